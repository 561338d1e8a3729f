/* SPDX-License-Identifier: Apache-2.0 */
/* A client's TLS, over a descriptor that waits: for who is no host of the cluster, and has a certificate of its authority's.
 *
 * A directory of mode 0700 has it, as `vigia cert --to` makes one. The other side must be a host of that cluster; which one, nobody checks.
 */
#ifndef VIGIA_CLIENT_GUARD_H
#define VIGIA_CLIENT_GUARD_H

#include <stddef.h>
#include <sys/types.h>

#include "base/buf.h"

#define GUARD_KEY "client.key"
#define GUARD_CERTIFICATE "client.pem"
#define GUARD_AUTHORITY "authority.pem"
#define GUARD_LIST "revoked.crl" /* may be missing */

struct guard;

/* The handshake, within 10 s. fd: borrowed. Negative errno with why. */
int guard_open(struct guard **ret, int fd, const char *directory, struct buf *why);
void guard_close(struct guard *g); /* NULL: nothing */
/* As send(2) of all of it. 0 or negative errno. */
int guard_send(struct guard *g, const void *bytes, size_t n);
/* n bytes came by fd: what they say is appended to `to`. 0; -EPIPE: its end; -EKEYREJECTED with why: it turns us away; -EPROTO. */
int guard_take(struct guard *g, const void *bytes, size_t n, struct buf *to, struct buf *why);

#endif
