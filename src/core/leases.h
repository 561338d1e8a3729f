/* SPDX-License-Identifier: Apache-2.0 */
/* Who observes and who controls what: leases on processes and services of this host, each a call that lasts as long as it is held.
 *
 * The rule: observers never conflict, with anybody. Who controls may share that with others who share; who controls
 * exclusively is the only one that controls. Whoever comes first holds it: a later one is refused and told who that is.
 * A lease ends with its call, so also with the program that held it, and with the process or service that it is on. Each change is an event of the channel "leases": `taken|released MODE WHAT UID PID HOST`, tagged
 * with 1 << mode.
 */
#ifndef VIGIA_CORE_LEASES_H
#define VIGIA_CORE_LEASES_H

#include "core/core.h"

enum lease_mode { LEASE_OBSERVE, LEASE_SHARE, LEASE_EXCLUSIVE };


/* May this asker control it, as far as leases go? If not, `why` names the holder. `what`: "process 4711". */
bool lease_allows(const struct call *c, const char *what, struct buf *why);

/* The service is there no more: its leases end with this error. */
void leases_end(struct core *core, const char *service, const char *code, const char *why);

extern const struct service lease_service;

#endif
