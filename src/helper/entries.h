/* SPDX-License-Identifier: Apache-2.0 */
/* What may be started: the files of a few directories, a file an entry. Each must belong to root or to whom the helper
 * runs as, with nobody else to write it: who could put a program there could start it himself. */
#ifndef VIGIA_HELPER_ENTRIES_H
#define VIGIA_HELPER_ENTRIES_H

#include "os/helper.h"

enum { ENTRY_DIRS_MAX = 8 };

struct entries {
	int n;
	int dir[ENTRY_DIRS_MAX];
};

/* One that does not exist is passed over. -EPERM: others may write there; -E2BIG: too many. */
int entries_add(struct entries *e, const char *dir);
/* The descriptor of the directory that holds the program. -EINVAL: not [a-z0-9-]{1,31} and a NUL; -ENOENT; -EPERM:
 * others may write it. */
int entries_find(const struct entries *e, const char name[HELPER_ENTRY_MAX + 1]);

#endif
