/* SPDX-License-Identifier: Apache-2.0 */
/* An operating system for tests, in memory alone: a host that is nowhere, processes that do nothing and end when told,
 * other hosts that are a name. What stands on struct system_type can't tell it from a real one; a test can do with it
 * what a real one won't: use process ids again, let a thousand processes appear at once.
 *
 * It knows the programs true, false, echo and sleep, and those that it is taught. It takes no path from options. */
#ifndef VIGIA_OS_SUITE_MADE_UP_H
#define VIGIA_OS_SUITE_MADE_UP_H

#include "os/system.h"

extern const struct system_type system_made_up;

enum { MADE_UP_LIVES = -1 };

/* What a program does when it is started on `host` ("" is this one): its wait status when it has ended at once, or
 * MADE_UP_LIVES. Descriptors are the caller's. */
typedef int made_up_program_fn(void *data, const char *host, const struct launch *l);
int made_up_teach(struct system *s, const char *name, made_up_program_fn *fn, void *data);

/* A host that start_remote() finds; to others the connection fails, with status 255 as ssh's. */
int made_up_add_host(struct system *s, const char *name);

/* A process that nobody started: `like` but for its key, state and times. */
int made_up_add_process(struct system *s, const struct process *like, struct process_key *ret);
/* It ends with this wait status; false: there is none. */
bool made_up_end(struct system *s, int32_t pid, int status);
/* The next process is tried to be given this number. */
void made_up_next_pid(struct system *s, int32_t pid);
/* From now on, as when vigia-launcher is gone: nothing can be started, and how what was started ends nobody sees. */
void made_up_lose_launcher(struct system *s);

#endif
