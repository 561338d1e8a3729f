/* SPDX-License-Identifier: Apache-2.0 */
/* Asks file systems for their sizes, any of which may never answer (a dead NFS server): the asking is done by
 * a thread.
 *
 * One thread asks them all, in turn. If it is stuck in one for longer than the limit, it is left there,
 * another takes over the rest, and that file system counts as hung until the stuck call comes back: so a dead
 * server costs one thread, whoever else is asked is late by the limit at most, once.
 */
#ifndef VIGIA_MONITORS_FS_PROBER_H
#define VIGIA_MONITORS_FS_PROBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/statvfs.h>

enum probe_state { PROBE_OK, PROBE_ERROR, PROBE_HUNG };

struct probe {
	enum probe_state state;
	int error; /* errno, when state is PROBE_ERROR */
	struct statvfs is;
};

/* statvfs(3), or what a test has in its place. 0 or -1 and errno. */
typedef int probe_fn(const char *path, struct statvfs *ret);

struct prober;

struct prober *prober_new(probe_fn *ask);
/* Threads that are stuck stay, and free what is theirs when they come back. */
void prober_free(struct prober *p);

/* A path to ask about from now on. The number stays until it is removed; -ENOMEM. */
int prober_add(struct prober *p, const char *path);
void prober_remove(struct prober *p, int number);

/* Asks all. Waits at most limit_ms for each one that newly hangs. */
int prober_ask(struct prober *p, int64_t limit_ms);
/* What the last prober_ask() found. */
const struct probe *prober_result(const struct prober *p, int number);

#endif
