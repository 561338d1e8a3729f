/* SPDX-License-Identifier: Apache-2.0 */
/* Making certificates: the three kinds that there are. */
#ifndef VIGIA_IDENTITY_SIGNING_H
#define VIGIA_IDENTITY_SIGNING_H

#include "identity/certificate.h"

enum signing_kind {
	SIGNING_AUTHORITY, /* itself: signs hosts, others, revocation lists, and its successor */
	SIGNING_CROSS,	   /* one authority's key by another's: signs no further authority */
	SIGNING_HOST,
	SIGNING_OTHER,
};

struct signing {
	enum signing_kind kind;
	const X509_NAME *subject;
	EVP_PKEY *subject_key;
	X509 *issuer; /* NULL: it signs itself */
	EVP_PKEY *key;
	int64_t from_s, until_s;
};

/* The serial is drawn. */
int signing_make(const struct signing *s, X509 **ret, struct buf *why);
/* Names, to be freed. That of an authority can be nobody's else: no name has capitals or spaces. */
X509_NAME *signing_authority_name(const char *cluster);
X509_NAME *signing_name(const char *name, unsigned roles, const char *cluster);

#endif
