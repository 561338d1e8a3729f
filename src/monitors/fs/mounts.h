/* SPDX-License-Identifier: Apache-2.0 */
/* The mounted file systems that hold data: on a disk, on the network, or in memory for users (tmpfs); each
 * once, however often it is bound. Kernel views (proc, sysfs, cgroup ...) are none. */
#ifndef VIGIA_MONITORS_FS_MOUNTS_H
#define VIGIA_MONITORS_FS_MOUNTS_H

#include <stdbool.h>
#include <stddef.h>

enum { MOUNTS_MAX = 256 };

struct mount {
	char *path;	/* where it is mounted */
	char *instance; /* the path as systemd names mount units: "-", "var-lib", "srv-my\x2ddata" */
	char *device, *type;
	unsigned major, minor;
	bool read_only; /* the file system itself, and not only where we see it */
};

struct mounts {
	struct mount *list;
	size_t n;
};

/* Picks from the text of /proc/self/mountinfo. 0 or -ENOMEM. What does not look like it is skipped. */
int mounts_parse(struct mounts *ret, const char *mountinfo);
void mounts_release(struct mounts *m);

#endif
