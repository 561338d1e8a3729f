/* SPDX-License-Identifier: Apache-2.0 */
/* What a certificate says of its owner (decision 0017), and what it must be like to be read at all.
 *
 * Subject: CN, the host's id, or a name that is none; O, the cluster; OU, a role each. A host is a node or a master and nothing else;
 * whoever is no host is neither. X.509 version 3, a P-256 key, ecdsa-with-SHA256, CA:FALSE, use just digitalSignature, for clients, and
 * for hosts also for servers; no critical extension besides. What does not follow this is refused: only our authority signs.
 * These are facts as they stand there; whether they are true, struct trust says (identity/trust.h).
 */
#ifndef VIGIA_IDENTITY_CERTIFICATE_H
#define VIGIA_IDENTITY_CERTIFICATE_H

#include <openssl/x509.h>

#include "identity/key.h"
#include "proto/id.h"

enum {
	CERTIFIED_NODE = 1,
	CERTIFIED_MASTER = 2,
	CERTIFIED_MONITOR = 4,
	CERTIFIED_READER = 8,
	CERTIFIED_OPERATOR = 16,
	CERTIFIED_USER = 32,
	CERTIFIED_HOST = CERTIFIED_NODE | CERTIFIED_MASTER,
	CERTIFIED_THIRD = CERTIFIED_MONITOR | CERTIFIED_READER | CERTIFIED_OPERATOR, /* parties: neither hosts nor users */
	CERTIFIED_ALL = 63,
};

enum {
	CERTIFICATE_NAME = 64,	/* 63 characters and the end */
	CERTIFICATE_SERIAL = 33, /* 16 bytes as hexadecimal digits, and the end */
	CERTIFICATE_ROLES = 64, /* all of them as text */
	CERTIFICATE_MAX = 4096, /* bytes, DER */
};

struct certificate {
	char name[CERTIFICATE_NAME];
	struct host_id host; /* none for whoever is no host */
	unsigned roles;
	char cluster[CLUSTER_TEXT];
	char serial[CERTIFICATE_SERIAL];
	int64_t from_s, until_s; /* wall clock; at until_s it is over */
};

/* -EBADMSG: these n bytes are not just one certificate, or a longer one than CERTIFICATE_MAX. */
int certificate_read(const void *der, size_t n, X509 **ret, struct buf *why);
int certificate_put(struct buf *to, const X509 *x, struct buf *why);
int certificate_put_pem(struct buf *to, X509 *const certificates[], size_t n, struct buf *why);
/* -EKEYREJECTED: it is not as said above. */
int certificate_facts(X509 *x, struct certificate *ret, struct buf *why);

/* May somebody of this name have these roles? -EINVAL, with what is wrong. `ret` may be NULL. */
int certificate_check_name(const char *name, unsigned roles, struct host_id *ret_host, struct buf *why);
/* Two thirds of its life are over: from then on a host asks for the next one. */
int64_t certificate_renew_s(const struct certificate *c);

/* "node,master"; one role at least. The text is the one for these roles, or -EINVAL. */
void certificate_roles_format(unsigned roles, char ret[CERTIFICATE_ROLES]);
int certificate_roles_parse(const char *text, unsigned *ret);
const char *certificate_role_name(unsigned i); /* of the role 1 << i; NULL: there are no more */

#endif
