/* SPDX-License-Identifier: Apache-2.0 */
/* The revocation list (an X.509 CRL, DER): the serials of certificates that are over before their time, all that a cluster has, signed
 * and numbered. A later list has a higher number, also when another key of the authority's signs it.
 *
 * That it says when the next one is to come (a day) is for others' programs: Vigia goes on with what it has. */
#ifndef VIGIA_IDENTITY_REVOKED_H
#define VIGIA_IDENTITY_REVOKED_H

#include <openssl/x509.h>
#include <stdbool.h>

#include "base/buf.h"

enum { REVOKED_MAX = 4 << 20, /* bytes */ REVOKED_LIFE_S = 86400 };

struct revoked {
	X509_CRL *crl; /* owned */
	uint64_t number;
	int64_t from_s; /* when it was made */
};

/* -EBADMSG: these n bytes are not just one list with a number. Who signed it is not looked at. */
int revoked_read(const void *der, size_t n, struct revoked *ret, struct buf *why);
void revoked_release(struct revoked *r);
int revoked_put(struct buf *to, const struct revoked *r, struct buf *why);
bool revoked_signed_by(const struct revoked *r, X509 *authority);
/* serial: as in struct certificate. Any thread may ask. */
bool revoked_has(const struct revoked *r, const char *serial);

/* --- making one --- */

int revoked_begin(struct revoked *ret, X509 *authority, uint64_t number, int64_t now_s, struct buf *why);
int revoked_add(struct revoked *r, const char *serial, int64_t when_s, struct buf *why);
int revoked_sign(struct revoked *r, EVP_PKEY *key, struct buf *why);

#endif
