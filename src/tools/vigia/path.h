/* SPDX-License-Identifier: Apache-2.0 */
/* HOST/MONITOR/METRIC: each part a name or pattern; parts left out, or empty, are all. A metric may hold
 * slashes, and with one at its end it is all that begin so. */
#ifndef VIGIA_TOOLS_PATH_H
#define VIGIA_TOOLS_PATH_H

#include "proto/msg.h"

struct path {
	const char *node, *monitor, *metric; /* NULL: all */
	char *memory;
};

/* 0 or -ENOMEM. A first part "." is `self`, the daemon's own node. */
int path_init(struct path *p, const char *text, const char *self);
void path_release(struct path *p);
/* Sets the query's node, monitor and metric. */
void path_set(const struct path *p, struct msg *query);

#endif
