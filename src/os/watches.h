/* SPDX-License-Identifier: Apache-2.0 */
/* Processes whose end somebody wants to hear of. */
#ifndef VIGIA_OS_WATCHES_H
#define VIGIA_OS_WATCHES_H

#include "os/source.h"
#include "os/system.h"

struct watches {
	int sources, proc; /* borrowed */
	unsigned n;
	struct system_watch *first;
};

/* As in struct system_type. */
int watches_add(struct watches *w, const struct process_key *key, system_ended_fn *ended, void *owner,
    struct system_watch **ret);
void watches_remove(struct system_watch *w);
void watches_release(struct watches *w);

#endif
