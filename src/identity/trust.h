/* SPDX-License-Identifier: Apache-2.0 */
/* Whom to believe: the cluster's authority, perhaps also the one before it, and who has been revoked.
 *
 * The authority is known as a bundle (authority.pem): its self-signed certificate, and, after its key was replaced, three more: the one
 * before's, the new key signed by the old and the old by the new. The last says until when certificates of the old key count; the one
 * before it lets a host that believes the old believe the new. Chains have two links: an authority, and the certificate. Only a host
 * that has not heard of a new key yet takes one between, the new key signed by the old, which is shown in the handshake.
 *
 * A struct trust never changes: news make another one. Any thread may use one that it holds; it lives as long as somebody does.
 */
#ifndef VIGIA_IDENTITY_TRUST_H
#define VIGIA_IDENTITY_TRUST_H

#include "identity/certificate.h"
#include "identity/revoked.h"

enum { TRUST_BUNDLE_MAX = 16384 /* bytes, PEM */ };

/* A time that judges nobody: for a host's own certificate, which it keeps though it be over. */
enum { TRUST_ANY_TIME = -1 };

enum trust_use { TRUST_CLIENT, TRUST_SERVER }; /* what the certificate's owner is in this handshake */

struct trust;

/* From a bundle and a list (DER). list NULL: no list yet, as somebody who just joins. -EBADMSG: no such bundle or list;
 * -EKEYREJECTED: its parts, or the list, are not signed as they must be. */
int trust_new(struct trust **ret, const void *pem, size_t n, const void *list, size_t list_n, struct buf *why);
struct trust *trust_ref(struct trust *t);
void trust_unref(struct trust *t); /* NULL: nothing */

/* A newer list, by the newest key. 1: *ret; 0: it is not newer. */
int trust_with_list(struct trust *t, const void *list, size_t n, struct trust **ret, struct buf *why);
/* The bundle and list after the key was replaced. 1: *ret; 0: it is the authority already believed; -EKEYREJECTED: that one has not
 * signed it. */
int trust_with_bundle(struct trust *t, const void *pem, size_t n, const void *list, size_t list_n, struct trust **ret,
    struct buf *why);

/* Whose certificate is it, at that time? shown: what came with it, or NULL. 0; -EKEYREJECTED: not signed by these, not yet valid, or not as
 * certificates are here; -EKEYEXPIRED; -EKEYREVOKED. */
int trust_check(struct trust *t, X509 *x, STACK_OF(X509) *shown, enum trust_use use, int64_t now_s, struct certificate *ret,
    struct buf *why);
/* The same of somebody who was checked earlier, maybe with another trust: a connection that is open. */
int trust_judge(struct trust *t, const struct certificate *c, int64_t now_s, struct buf *why);

/* The newest authority. */
X509 *trust_authority(struct trust *t);
const char *trust_cluster(const struct trust *t);
/* Until when certificates of the key before the newest count; 0: there is no such key. */
int64_t trust_before_until(const struct trust *t);
/* What who has a certificate of the newest key shows beside it, as long as that of the key before counts; NULL: nothing. */
X509 *trust_succession(struct trust *t, const struct certificate *c, int64_t now_s);
/* That which signed this certificate of ours, or NULL; borrowed. */
X509 *trust_issuer(struct trust *t, const struct certificate *c);
/* As text, borrowed, to be handed on. */
const struct buf *trust_bundle(const struct trust *t);
const struct revoked *trust_list(const struct trust *t); /* NULL: none */
/* Newest or before. */
bool trust_has_key(const struct trust *t, const uint8_t fingerprint[FINGERPRINT_BYTES]);

#endif
