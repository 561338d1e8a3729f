/* SPDX-License-Identifier: Apache-2.0 */
/* The processes of this host, one after another, with names and commands; read some at a time. */
#ifndef VIGIA_OS_WALK_H
#define VIGIA_OS_WALK_H

#include "os/system.h"
#include "os/users.h"

/* proc, users: borrowed. */
int walk_new(int proc, struct users *users, unsigned *count, struct system_walk **ret);
int walk_next(struct system_walk *w, struct process *ret);
void walk_free(struct system_walk *w);
/* One alone. */
int walk_one(int proc, struct users *users, int32_t pid, struct process *ret);

#endif
