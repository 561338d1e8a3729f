/* SPDX-License-Identifier: Apache-2.0 */
/* A cluster's authority, on the one host that has its key: it says who somebody is, and takes it back.
 *
 * Its files lie in the vault (`cluster/`): authority.key, authority.pem (the bundle, identity/trust.h), issued (identity/issued.h), and
 * revoked.crl, the newest list. Whatever it signs is on disk before it is given out.
 * Nothing here asks who wants it: that is done above. Everything waits for the disk; one thread at a time.
 * -ESTALE from any of them: replacing the key was cut off by an error of the disk; it is to be closed and opened again.
 */
#ifndef VIGIA_IDENTITY_AUTHORITY_H
#define VIGIA_IDENTITY_AUTHORITY_H

#include "identity/issued.h"
#include "identity/trust.h"

enum {
	AUTHORITY_LIFE_S = 20 * 365 * 86400,
	AUTHORITY_HOST_LIFE_S = 90 * 86400,
	AUTHORITY_USER_LIFE_S = 12 * 3600,
	AUTHORITY_SKEW_S = 300, /* clocks may differ: so much earlier does a certificate begin */
};

struct authority;

/* v: borrowed, as in authority_open(). -EEXIST: there is an authority, or this host is in somebody's cluster. */
int authority_make(struct authority **ret, struct vault *v, int64_t now_s, struct buf *why);
/* -ENOENT: the key is not on this host. A step that a crash cut off is finished, or is as if it had not begun. */
int authority_open(struct authority **ret, struct vault *v, int64_t now_s, struct buf *why);
void authority_close(struct authority *a);

struct authority_grant {
	const char *name; /* as certificate_check_name() */
	unsigned roles;
	int64_t life_s; /* from now; no longer than the authority's own */
};

/* The certificate's DER is appended to `to`; ret may be NULL. -EBADMSG, -EKEYREJECTED: as request_read(); -EINVAL: no such grant. */
int authority_sign(struct authority *a, const void *request, size_t n, const struct authority_grant *g, int64_t now_s, struct buf *to,
    struct certificate *ret, struct buf *why);
/* The same name and roles once more. -ENOENT: that serial is none it has issued; -EKEYREVOKED, -EKEYEXPIRED. */
int authority_renew(struct authority *a, const char *serial, const void *request, size_t n, int64_t life_s, int64_t now_s, struct buf *to,
    struct certificate *ret, struct buf *why);

/* All certificates of that name; how many. When the list does not get to disk this is an error, and they are revoked nevertheless: the
 * next one says so, which is made when this is said again (0 then), or at the next start. -ENOENT: there is none that is not over or
 * on the list. */
int authority_revoke(struct authority *a, const char *name, int64_t now_s, struct buf *why);
/* A new list, also without news: once a day, so that hosts see that they are told. */
int authority_renew_list(struct authority *a, int64_t now_s, struct buf *why);

/* A new key. The old one and it sign each other, and the old one is gone: what it has signed counts until the last of that is over.
 * -EBUSY: there is still something of the key before the old one. */
int authority_rotate(struct authority *a, int64_t now_s, struct buf *why);

/* Bundle and list as they are, borrowed until the next change. */
struct trust *authority_trust(const struct authority *a);
const struct issued *authority_issued(const struct authority *a);

#endif
