/* SPDX-License-Identifier: Apache-2.0 */
/* A worker's children, and how they end. */
#ifndef VIGIA_KEEPER_CHILDREN_H
#define VIGIA_KEEPER_CHILDREN_H

#include <stdbool.h>
#include <sys/types.h>

/* A descriptor, from now on told of SIGCHLD and SIGTERM; a terminal's Ctrl-C is vigiad's to handle. Or negative errno. */
int children_signals(void);
/* Takes one signal of it: -EINTR: SIGTERM; else 0. */
int children_take_signal(int signals);
/* In a child: signals as a program expects them. */
int children_reset_signals(void);
/* Calls `ended` for each child that ended, ours or one that we inherited as subreaper. It is reaped after that: until
 * then its number is nobody else's. 0; what `ended` returned when that is negative; or -EAGAIN: try again later. */
int children_reap(int (*ended)(void *data, pid_t pid, int status), void *data);

#endif
