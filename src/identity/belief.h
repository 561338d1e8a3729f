/* SPDX-License-Identifier: Apache-2.0 */
/* What a host believes just now: the struct trust that is newest, and whether newcomers are let in. Handshakes on any thread ask it, so
 * whoever began one with an older context sees the newest revocation list nevertheless. */
#ifndef VIGIA_IDENTITY_BELIEF_H
#define VIGIA_IDENTITY_BELIEF_H

#include "identity/trust.h"

struct belief;

typedef int64_t belief_clock_fn(void); /* seconds since 1970 */

/* Takes the trust. now_s NULL: the wall clock. */
int belief_new(struct belief **ret, struct trust *take_trust, belief_clock_fn *now_s);
struct belief *belief_ref(struct belief *b);
void belief_unref(struct belief *b); /* NULL: nothing */

/* A reference, the caller's. */
struct trust *belief_trust(struct belief *b);
void belief_set(struct belief *b, struct trust *take_trust);
int64_t belief_now(const struct belief *b);
/* Those who have no certificate yet, over ALPN vigia-join. Nobody, to begin with. */
void belief_let_join(struct belief *b, bool let);
bool belief_lets_join(const struct belief *b);

#endif
