/* SPDX-License-Identifier: Apache-2.0 */
/* A user's order: a query that he has signed with his own key, for one host, once, and for a minute (decision 0025).
 *
 * Identity comes from the certificate of the user, which the cluster's authority gave him (`vigia login`): its name is uid.UID@REALM.
 * The order travels as the query's field `signed`, past daemons that can neither change nor repeat it. What is signed is
 *
 *   "vigia order 1\n", audience: host id (16), its life (8), nonce (16), until (8), and the query
 *
 * integers most significant byte first; a query as its name, its fields but for `id`, `at` and `signed`, sorted by name, its text, and its
 * children in their order: each text with its length (4) before it, each list with its count (4). Integers are as decimal, flags as yes or
 * no, bytes as base64: what XML makes of them, so that it does not matter how it travelled.
 *
 * On the wire: version (1), until (8), nonce (16), length (1) and signature (ecdsa-with-SHA256, DER), certificate (DER) to the end.
 */
#ifndef VIGIA_IDENTITY_ORDER_H
#define VIGIA_IDENTITY_ORDER_H

#include <sys/types.h>

#include "identity/certificate.h"
#include "proto/msg.h"

enum {
	ORDER_NONCE = 16,
	ORDER_LIFE_S = 60,
	ORDER_SKEW_S = 5,  /* clocks may differ */
	ORDER_SIGNATURE_MAX = 80,
	ORDER_MAX = 1 + 8 + ORDER_NONCE + 1 + ORDER_SIGNATURE_MAX + CERTIFICATE_MAX,
	ORDER_REALM = 32, /* bytes of a realm's name, with its end */
};

/* To whom: a host, and its daemon from its start to its end, so that nothing of before is good any more. */
struct order_audience {
	struct host_id host;
	uint64_t life;
};

struct order {
	int64_t until_s; /* wall clock */
	uint8_t nonce[ORDER_NONCE];
	const uint8_t *signature, *certificate; /* borrowed, from the bytes that were read */
	size_t signature_n, certificate_n;
};

/* Signs the query as it is, and appends the order to `to`. */
int order_put(struct buf *to, const struct msg *query, const struct order_audience *audience, int64_t now_s, EVP_PKEY *key, X509 *certificate,
    struct buf *why);
/* -EBADMSG: these n bytes are no order. */
int order_read(const void *bytes, size_t n, struct order *ret, struct buf *why);
/* Is it for this query, this audience and this time, by the owner of this key? Whose that is, and whether it is believed, is not looked at.
 * -EKEYREJECTED: it is not; -EKEYEXPIRED: it is over, or of too far ahead. */
int order_check(const struct order *o, const struct msg *query, const struct order_audience *audience, int64_t now_s, EVP_PKEY *key,
    struct buf *why);

/* The name of a user's certificate, and back. uid 0 has none. -EINVAL: no such uid or realm, or it is no such name. */
int order_name(char ret[CERTIFICATE_NAME], uid_t uid, const char *realm);
int order_user(const char *name, uid_t *ret_uid, char ret_realm[ORDER_REALM]);

#endif
