/* SPDX-License-Identifier: Apache-2.0 */
/* Connections by network where this host is in a cluster: over TLS, and what a peer may be is what its certificate says (decision
 * 0017). Where it is in none, they are plain, and nobody listens beyond this machine unless he was told to.
 */
#ifndef VIGIA_CORE_SECURE_H
#define VIGIA_CORE_SECURE_H

#include "core/core.h"

/* Has the new peer begin with TLS. 0 or negative errno. */
int secure_begin(struct peer *p, bool accepted);
/* The handshake is over: learns who it is. -EPROTO: it may not be what it is here, and is closed. */
int secure_done(struct peer *p);
/* May it have this role of HMON's? A plain peer may have any. */
bool secure_may_be(const struct peer *p, const char *role);
/* Is it called so? Whoever comes with a monitor's certificate has its name and no other; a plain peer may have any. */
bool secure_is_named(const struct peer *p, const char *name);

/* What a certificate of somebody who is neither a host nor a user says of a call; the operation's own rules come after that. */
enum secure_right {
	SECURE_NOTHING, /* it has none: as anybody else */
	SECURE_READS,	/* as a stranger, who reads */
	SECURE_CHANGES, /* as the daemon's own user */
	SECURE_REFUSES,
};
enum secure_right secure_right(const struct call *c);
/* For people; NULL: it has shown none. Borrowed. */
const char *secure_name(const struct peer *p);

/* One line about a handshake that failed. */
void secure_failed(const struct peer *p);
/* Peers who are not believed any more, after news of the authority, are closed. */
void secure_judge(struct core *core);
/* The same of third parties whose certificates are over by now; hosts and users come with new ones by themselves. */
void secure_expire(struct core *core, int64_t now_s);

#endif
