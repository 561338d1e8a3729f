/* SPDX-License-Identifier: Apache-2.0 */
/* A host's own place in a cluster: its key, its certificate, whom it believes, and the TLS contexts that come of these.
 *
 * Files in the vault: authority.pem, revoked.crl, host.pem, host.key. Each piece of news is on disk before it counts; connections that are
 * open go on, and those that begin have it. What waits for the disk is not for a loop's thread, and one thread at a time; place_context,
 * place_judge, place_own and place_belief never wait, and any thread may call them.
 */
#ifndef VIGIA_IDENTITY_PLACE_H
#define VIGIA_IDENTITY_PLACE_H

#include "identity/context.h"

struct place;

/* v: borrowed. A certificate that is over is no error here (nobody will believe it); -ENOENT: this host is in no cluster;
 * -EKEYREJECTED: the files do not belong together, or to a host of another id than `self`. now_s NULL: the wall clock. */
int place_open(struct place **ret, struct vault *v, const struct host_id *self, belief_clock_fn *now_s, struct buf *why);
void place_close(struct place *p);

/* --- coming in, and going --- */

/* A new key, which waits, and the request for its certificate (DER): of a newcomer, or of a host that renews its own. Another one takes
 * the place of one that waits. */
int place_request(struct vault *v, struct buf *to, struct buf *why);

struct place_papers {
	const void *bundle, *list, *certificate; /* PEM, DER, DER */
	size_t bundle_n, list_n, certificate_n;
	const uint8_t *fingerprint; /* the token's: the authority has this key; NULL: any (on the authority's own host) */
};

/* What a newcomer was given; place_open() is next, and then place_judge() of the master that gave it: only now is there a list to find
 * him in. -EEXIST: this host is in a cluster already. */
int place_join(struct vault *v, const struct host_id *self, const struct place_papers *papers, int64_t now_s, struct buf *why);
/* All of it is gone. -EBUSY: the cluster's authority is here. */
int place_leave(struct vault *v, struct buf *why);

/* --- news --- */

/* For the request last made. -EKEYREJECTED: it is not for that, or for another host. */
int place_take_certificate(struct place *p, const void *der, size_t n, struct buf *why);
/* 1: taken; 0: it is no news. Errors as trust_with_list() and trust_with_bundle(). */
int place_take_list(struct place *p, const void *der, size_t n, struct buf *why);
int place_take_authority(struct place *p, const void *pem, size_t n, const void *list, size_t list_n, struct buf *why);

/* --- what comes of it --- */

/* A reference, the caller's. */
SSL_CTX *place_context(struct place *p, enum context_kind kind);
struct certificate place_own(struct place *p);
/* Borrowed. The newest trust, with bundle and list to hand on, and whether newcomers are let in. */
struct belief *place_belief(struct place *p);
/* An open connection's other side, now: 0, or as trust_judge(): the connection is to be closed. */
int place_judge(struct place *p, const struct certificate *peer, struct buf *why);
/* For a token: that of the authority which signed this host's certificate, since that is what a newcomer will be shown. */
int place_fingerprint(struct place *p, uint8_t ret[FINGERPRINT_BYTES]);

#endif
