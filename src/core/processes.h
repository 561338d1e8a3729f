/* SPDX-License-Identifier: Apache-2.0 */
/* The processes of this host, over the operating-system layer (os/system.h): listed, started, signalled, and told of when
 * they end.
 *
 * Who may read a process's name may list it; a signal takes the process's own user, or who runs the daemon. Nothing of this is for
 * other hosts until callers there can prove who they are.
 */
#ifndef VIGIA_CORE_PROCESSES_H
#define VIGIA_CORE_PROCESSES_H

#include "core/core.h"
#include "os/system.h"

/* Takes the system, which is open already: it is turned on the core's loop, and closed by processes_stop(). */
int processes_start(struct core *core, struct system *take_system);
void processes_stop(struct core *core);
/* What is wrong with it, for `vigia status`; 0 when all is well. */
int processes_trouble(const struct core *core, struct buf *ret_what);

struct system *processes_system(const struct core *core);
const struct system_type *processes_system_type(const struct core *core);
/* May who asks act on this process? 0, or it has failed. */
int processes_check_rights(struct call *c, int64_t pid);
/* Tells of its end, as struct system_type says. 0, or the call has failed. */
int processes_watch(struct call *c, int64_t pid, system_ended_fn *ended, void *owner, struct system_watch **ret);
/* How this host's processors are made up, as fields; nothing while that is not known. */
void processes_put_topology(const struct core *core, struct msg *m);

extern const struct service process_service;

#endif
