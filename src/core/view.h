/* SPDX-License-Identifier: Apache-2.0 */
/* The hosts of the cluster, as every core sees them: who there is, where, and in what state.
 *
 * A row says of one host what its source knew; the later revision of two is believed, so views that have heard the same
 * agree, whatever came first. A host that is down stays listed until it is removed, and comes back under its id. Who
 * spreads rows is a service's affair (health does, over HMON); the core only keeps them.
 */
#ifndef VIGIA_CORE_VIEW_H
#define VIGIA_CORE_VIEW_H

#include "core/core.h"

enum { VIEW_HOSTS_MAX = 20000, VIEW_ADDRESSES = 200 };

enum view_state { VIEW_UP, VIEW_DOWN, VIEW_LEFT, VIEW_REMOVED };

struct view_row {
	struct host_id id;
	char name[64];
	char addresses[VIEW_ADDRESSES]; /* HOST:PORT, several with a space between; "": can't be dialled */
	enum view_state state;
	int64_t revision; /* of this row: ns since 1970 where it was made */
};

/* Events of the channel "hosts", which all may read: data is the host's row, as text `NAME ID STATE`. */
enum { VIEW_EVENT_ADDED = 1, VIEW_EVENT_REMOVED = 2, VIEW_EVENT_STATE = 4 };

typedef void view_fn(void *data, const struct view_row *row);

/* With the own host as its first row. */
int view_start(struct core *core, const char *own_addresses);
void view_stop(struct core *core);
/* Who hears of each change; one. */
void view_watch(struct core *core, view_fn *fn, void *data);

/* Takes a row: 1: something is new; 0: it was known or is older; -EINVAL: no id, name or state that can be; -ENOSPC. */
int view_take(struct core *core, const struct view_row *row);
/* What is seen here of a host: a new revision of its row, if it is known and this is news. */
void view_state(struct core *core, const struct host_id *id, enum view_state state);

const struct view_row *view_own(const struct core *core);
const struct view_row *view_find(const struct core *core, const struct host_id *id);
/* By name, or by id; NULL: there is none. */
const struct view_row *view_named(const struct core *core, const char *name);
/* Those that are not removed, or all. */
void view_each(const struct core *core, bool all, view_fn *fn, void *data);

const char *view_state_name(enum view_state s);
/* As <host>'s fields, and back. 0 or -EINVAL. */
void view_put(struct msg *m, const struct view_row *row);
int view_get(const struct msg *m, struct view_row *ret);

extern const struct service host_service;

#endif
