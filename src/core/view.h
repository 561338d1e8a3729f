/* SPDX-License-Identifier: Apache-2.0 */
/* The hosts of the cluster, as every core sees them: who there is, where, and in what state.
 *
 * A row says of one host what its source knew; the later revision of two is believed, so views that have heard the same
 * agree, whatever came first. A host that is down stays listed until it is removed, and comes back under its id. Who
 * spreads rows is a service's affair (health does, over HMON); the core only keeps them, also on disk
 * (core/view_file.h). A host that was up when this daemon ended is `unknown` until it is heard of again, and so is one
 * that alone would tell of itself and has fallen silent: a node's master. That is each daemon's own view.
 *
 * That a host was removed is remembered for VIEW_REMOVED_NS, so that a daemon which was away does not bring it back;
 * of more than VIEW_REMOVED_MAX such rows the oldest go.
 */
#ifndef VIGIA_CORE_VIEW_H
#define VIGIA_CORE_VIEW_H

#include "core/core.h"

enum { VIEW_HOSTS_MAX = 20000, VIEW_REMOVED_MAX = 5000, VIEW_ADDRESSES = 200 };
#define VIEW_REMOVED_NS (90LL * 86400 * 1000000000)

enum view_state { VIEW_UP, VIEW_DOWN, VIEW_LEFT, VIEW_REMOVED, VIEW_UNKNOWN /* only shown: in no row */ };

struct view_row {
	struct host_id id;
	char name[64];
	char addresses[VIEW_ADDRESSES]; /* HOST:PORT, several with a space between; "": can't be dialled */
	enum view_state state;
	int64_t revision; /* of this row: ns since 1970 where it was made */
	bool unheard;	  /* nobody who would know is heard: since this start, or any more */
};

/* Events of the channel "hosts", which all may read: data is the host's row, as text `NAME ID STATE`. */
enum { VIEW_EVENT_ADDED = 1, VIEW_EVENT_REMOVED = 2, VIEW_EVENT_STATE = 4 };

typedef void view_fn(void *data, const struct view_row *row);

/* With the own host as its first row, and what is kept in the directory (NULL: nothing is kept). */
int view_start(struct core *core, const char *own_addresses, const char *directory);
/* Nothing is taken any more; and what is left, once the loop has ended. */
void view_stop(struct core *core);
void view_release(struct core *core);
/* What is wrong with the file, for `vigia status`; 0 when all is well. */
int view_trouble(const struct core *core, struct buf *ret_what);
/* Who hears of each change; one. */
void view_watch(struct core *core, view_fn *fn, void *data);

/* Takes a row: 1: something is new; 0: it was known or is older; -EINVAL: no id, name or state that can be; -ENOSPC. */
int view_take(struct core *core, const struct view_row *row);
/* What is seen here of a host: a new revision of its row, if it is known and this is news. */
void view_state(struct core *core, const struct host_id *id, enum view_state state);
/* Whether who would tell of this host is heard here; what the row says, and its revision, stay. */
void view_heard(struct core *core, const struct host_id *id, bool heard);
/* For a row made here: later than the one that is known of this host. */
int64_t view_next_revision(const struct core *core, const struct host_id *id);

/* This host leaves the cluster: it is removed, in its own view first. */
void view_leave(struct core *core);
/* That host keeps the view for this one: what is taken out of it there is out everywhere. */
void view_keep(struct core *core, const struct host_id *id);
bool view_keeps(const struct core *core, const struct host_id *id);
bool view_is_kept_elsewhere(const struct core *core);

const struct view_row *view_own(const struct core *core);
const struct view_row *view_find(const struct core *core, const struct host_id *id);
/* By name, or by id; NULL: there is none. */
const struct view_row *view_named(const struct core *core, const char *name);
/* Those that are not removed, or all. */
void view_each(const struct core *core, bool all, view_fn *fn, void *data);

const char *view_state_name(enum view_state s);
/* A state that a row can have. 0 or -EINVAL. */
int view_state_parse(const char *name, enum view_state *ret);
/* Has it an id, a name, and nothing that can't be? */
bool view_row_is_good(const struct view_row *row);
/* What is to be told of it. */
enum view_state view_shown(const struct view_row *row);
/* As <host>'s fields, and back. 0 or -EINVAL. */
void view_put(struct msg *m, const struct view_row *row);
int view_get(const struct msg *m, struct view_row *ret);

extern const struct service host_service;

#endif
