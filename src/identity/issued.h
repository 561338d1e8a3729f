/* SPDX-License-Identifier: Apache-2.0 */
/* What an authority has issued and taken back: the file `issued`, a line each, which only grows until it is opened the next time:
 *
 *   key CLUSTER                               from here on this key signs
 *   issued SERIAL NAME ROLES FROM UNTIL
 *   revoked SERIAL AT
 *   list NUMBER AT                            a revocation list of this number
 *
 * Each is on disk before what it tells of leaves the authority. Certificates that have been over for ISSUED_KEPT_S are dropped when it is
 * opened; so is a last line without its end, since nobody can have what it tells of. Any other line is a refusal: an authority that
 * forgot a certificate could not revoke it. */
#ifndef VIGIA_IDENTITY_ISSUED_H
#define VIGIA_IDENTITY_ISSUED_H

#include "identity/certificate.h"

enum { ISSUED_FILE_MAX = 64 << 20, ISSUED_KEPT_S = 7 * 86400 };

struct issued_entry {
	char serial[CERTIFICATE_SERIAL], name[CERTIFICATE_NAME];
	unsigned roles;
	char cluster[CLUSTER_TEXT];
	int64_t from_s, until_s, revoked_s; /* revoked_s 0: it is not */
};

struct issued;

/* v: borrowed. A file that is missing is an empty one only to issued_make. -EBADMSG: with file and line. */
int issued_make(struct issued **ret, const struct vault *v, struct buf *why);
int issued_open(struct issued **ret, const struct vault *v, int64_t now_s, struct buf *why);
void issued_close(struct issued *d);

/* On disk when they return; on failure nothing has changed. */
int issued_add_key(struct issued *d, const char *cluster, struct buf *why);
int issued_add(struct issued *d, const struct certificate *c, struct buf *why);
/* All of that name that are neither over nor revoked; how many. */
int issued_revoke(struct issued *d, const char *name, int64_t now_s, struct buf *why);
/* The next number, one higher than any before. */
int issued_number(struct issued *d, int64_t now_s, uint64_t *ret, struct buf *why);

/* Whose key signs now; "": none has been told. */
const char *issued_cluster(const struct issued *d);
uint64_t issued_last_number(const struct issued *d);
/* In the order they were issued; NULL: no more. Borrowed until the next change. */
const struct issued_entry *issued_get(const struct issued *d, size_t i);
/* By its serial, or NULL. */
const struct issued_entry *issued_find(const struct issued *d, const char *serial);
/* When the last certificate of this key is over; 0: it issued none. */
int64_t issued_until(const struct issued *d, const char *cluster);

#endif
