/* SPDX-License-Identifier: Apache-2.0 */
/* The tokens that a master gave out and that nobody has used yet: the file `tokens`, a line each:
 *
 *   SHA256 UNTIL ROLES         of the secret; what who shows it may become
 *
 * Only hashes are kept. One is taken once: it is gone from the disk before anything is granted for it. */
#ifndef VIGIA_IDENTITY_TOKENS_H
#define VIGIA_IDENTITY_TOKENS_H

#include "identity/certificate.h"
#include "identity/token.h"

enum { TOKENS_MAX = 256, TOKENS_LIFE_S = 15 * 60 };

struct tokens;

/* v: borrowed. No file: no tokens. -EBADMSG: with file and line. */
int tokens_open(struct tokens **ret, const struct vault *v, struct buf *why);
void tokens_close(struct tokens *t);

/* Draws the secret: fills in ret->secret and ret->until_s. roles: node, master or both, else -EINVAL. -EAGAIN: there are TOKENS_MAX. */
int tokens_issue(struct tokens *t, unsigned roles, int64_t now_s, struct token *ret, struct buf *why);
/* -EKEYREJECTED: none was given out with this secret, or it was used; -EKEYEXPIRED. How long it takes tells nothing of the others'. */
int tokens_take(struct tokens *t, const uint8_t secret[TOKEN_SECRET], int64_t now_s, unsigned *ret_roles, struct buf *why);
/* How many could be taken now: without any, nobody needs to be let in to show one. */
size_t tokens_open_n(const struct tokens *t, int64_t now_s);

#endif
