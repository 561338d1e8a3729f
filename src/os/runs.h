/* SPDX-License-Identifier: Apache-2.0 */
/* Programs started through vigia-launcher, or through vigia-root, until they end. When that dies they go on, and their ends are
 * seen by the kernel's word alone: without a status. */
#ifndef VIGIA_OS_RUNS_H
#define VIGIA_OS_RUNS_H

#include "os/source.h"
#include "os/system.h"

struct runs;

/* Starts the launcher. sources: borrowed. */
int runs_open(struct runs **ret, const char *launcher, int sources, int proc, struct buf *why);
/* Those of vigia-root at this path, to which one is connected when something is asked of it. */
int runs_open_root(struct runs **ret, const char *path, int sources, int proc);
void runs_close(struct runs *r);
/* As in struct system_type. */
int runs_start(struct runs *r, const struct launch *l, const struct system_run_events *events, void *owner,
    struct system_run **ret);
int runs_start_entry(struct runs *r, const struct system_for *who, const char *entry, int input,
    const struct system_run_events *events, void *owner, struct system_run **ret);
int runs_signal_as(struct runs *r, const struct system_for *who, const struct process_key *process, int signal,
    const struct system_run_events *events, void *owner, struct system_run **ret);
void runs_forget(struct system_run *run);
int runs_trouble(const struct runs *r, struct buf *ret_what);

#endif
