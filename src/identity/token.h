/* SPDX-License-Identifier: Apache-2.0 */
/* What a newcomer needs to join, as one line: `vigia1.` and base64url (RFC 4648, 5, without padding) of
 *
 *   32 bytes   SHA-256 of the authority's public key
 *   16 bytes   the secret
 *    8 bytes   when it is over: seconds since 1970, the highest byte first
 *   1 to 512   where masters are: HOST[:PORT], more of them behind commas
 *    4 bytes   the first of the SHA-256 of all that: a token that was not copied whole is told from a wrong one
 *
 * Each token has one text, and only that is read. */
#ifndef VIGIA_IDENTITY_TOKEN_H
#define VIGIA_IDENTITY_TOKEN_H

#include "identity/key.h"

enum { TOKEN_SECRET = 16, TOKEN_MASTERS = 512, TOKEN_TEXT_MAX = 800 };

struct token {
	uint8_t authority[FINGERPRINT_BYTES];
	uint8_t secret[TOKEN_SECRET];
	int64_t until_s;
	char masters[TOKEN_MASTERS + 1];
};

/* -EINVAL: masters, or the time, cannot be in a token. */
int token_put(struct buf *to, const struct token *t, struct buf *why);
/* The whole of these n bytes; -EBADMSG: they are no token. It may be over: that is for the caller to say. */
int token_read(const char *text, size_t n, struct token *ret, struct buf *why);
/* Nothing of the secret is left. */
void token_clear(struct token *t);

#endif
