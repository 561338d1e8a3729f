/* SPDX-License-Identifier: Apache-2.0 */
#include "core/view.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/names.h"
#include "core/channels.h"
#include "core/joining.h"
#include "core/leaving.h"
#include "core/links.h"
#include "core/processes.h"
#include "core/steps.h"
#include "core/view_file.h"
#include "os/clock.h"
#include "os/host.h"
#include "proto/chars.h"

struct entry {
	char *id; /* first: base/names.h; as text */
	struct view_row row;
	bool keeps;
};

enum { FOUND = 256 };

struct view {
	struct host_id found[FOUND]; /* by a hash of the name: where view_named() looks first */
	struct names by_id;
	struct entry *own;
	struct view_file *file; /* NULL: none is kept */
	size_t removed;		/* rows */
	bool stopped;
	view_fn *fn;
	void *data;
};

static const char *const states[] = {
    [VIEW_UP] = "up",
    [VIEW_DOWN] = "down",
    [VIEW_LEFT] = "left",
    [VIEW_REMOVED] = "removed",
    [VIEW_UNKNOWN] = "unknown",
};

const char *view_state_name(enum view_state s)
{
	return states[s];
}

int view_state_parse(const char *name, enum view_state *ret)
{
	for (int s = VIEW_UP; s <= VIEW_REMOVED; s++)
		if (!strcmp(states[s], name)) {
			*ret = (enum view_state)s;
			return 0;
		}
	return -EINVAL;
}

enum view_state view_shown(const struct view_row *row)
{
	return row->unheard && row->state == VIEW_UP ? VIEW_UNKNOWN : row->state;
}

/* --- finding --- */

static struct entry *find(const struct core *core, const struct host_id *id)
{
	char text[HOST_ID_TEXT];
	host_id_format(id, text);
	return core->view ? names_find(&core->view->by_id, text) : NULL;
}

const struct view_row *view_find(const struct core *core, const struct host_id *id)
{
	const struct entry *e = find(core, id);
	return e ? &e->row : NULL;
}

const struct view_row *view_own(const struct core *core)
{
	return &core->view->own->row;
}

static struct host_id *found_as(const struct core *core, const char *name)
{
	uint32_t hash = 2166136261; /* FNV-1a */
	for (; *name; name++)
		hash = (hash ^ (uint8_t)*name) * 16777619;
	return &core->view->found[hash % FOUND];
}

static bool is_named(const struct view_row *row, const char *name)
{
	return row->state != VIEW_REMOVED && !strcmp(row->name, name);
}

/* Of two with one name the later one is meant: it was set up anew. */
const struct view_row *view_named(const struct core *core, const char *name)
{
	struct host_id id, *found = found_as(core, name);
	const struct view_row *best = NULL, *before = host_id_is_none(found) ? NULL : view_find(core, found);
	if (before && is_named(before, name))
		return before;
	if (!host_id_parse(name, &id))
		return view_find(core, &id);
	for (size_t i = 0; i < core->view->by_id.n; i++) {
		const struct view_row *row = &((const struct entry *)core->view->by_id.things[i])->row;
		if (is_named(row, name) && (!best || best->revision < row->revision))
			best = row;
	}
	if (best)
		*found = best->id;
	return best;
}

void view_each(const struct core *core, bool all, view_fn *fn, void *data)
{
	for (size_t i = 0; i < core->view->by_id.n; i++) {
		const struct view_row *row = &((const struct entry *)core->view->by_id.things[i])->row;
		if (all || row->state != VIEW_REMOVED)
			fn(data, row);
	}
}

/* --- telling --- */

static void announce(struct core *core, uint32_t tag, const struct view_row *row)
{
	char id[HOST_ID_TEXT], text[160];
	host_id_format(&row->id, id);
	int n = snprintf(text, sizeof text, "%s %s %s", row->name, id, states[view_shown(row)]);
	channels_put_own(core, "hosts", tag, text, (size_t)n);
}

static void tell(struct core *core, const struct view_row *before, const struct view_row *row)
{
	bool was = before->state != VIEW_REMOVED, is = row->state != VIEW_REMOVED;
	if (!was && is)
		announce(core, VIEW_EVENT_ADDED, row);
	else if (was && !is)
		announce(core, VIEW_EVENT_REMOVED, row);
	else if (was && view_shown(before) != view_shown(row))
		announce(core, VIEW_EVENT_STATE, row);
	*found_as(core, row->name) = (struct host_id){0};
	if ((!was && is) || strcmp(before->addresses, row->addresses) || strcmp(before->name, row->name))
		links_place(core, &row->id, row->name, row->addresses);
	steps_heard(core, row);
	if (row->revision == before->revision)
		return; /* only heard of again */
	if (core->view->file)
		view_file_put(core->view->file, row);
	if (core->view->fn)
		core->view->fn(core->view->data, row);
}

/* --- taking --- */

static void entry_free(struct entry *e)
{
	free(e->id);
	free(e);
}

static struct entry *oldest_removed(const struct view *v)
{
	struct entry *oldest = NULL;
	for (size_t i = 0; i < v->by_id.n; i++) {
		struct entry *e = v->by_id.things[i];
		if (e->row.state == VIEW_REMOVED && (!oldest || e->row.revision < oldest->row.revision))
			oldest = e;
	}
	return oldest;
}

static void drop(struct core *core, struct entry *e)
{
	core->view->removed -= e->row.state == VIEW_REMOVED;
	links_place(core, &e->row.id, "", "");
	names_remove(&core->view->by_id, e->id);
	entry_free(e);
}

static bool drop_oldest_removed(struct core *core)
{
	struct entry *e = core->view->removed ? oldest_removed(core->view) : NULL;
	if (e)
		drop(core, e);
	return e;
}

static int entry_new(struct core *core, const struct host_id *id, struct entry **ret)
{
	if (core->view->by_id.n >= VIEW_HOSTS_MAX && !drop_oldest_removed(core))
		return -ENOSPC;
	struct entry *e = calloc(1, sizeof *e);
	if (!e || !(e->id = malloc(HOST_ID_TEXT))) {
		free(e);
		return -ENOMEM;
	}
	host_id_format(id, e->id);
	int r = names_add(&core->view->by_id, e);
	if (r) {
		entry_free(e);
		return r;
	}
	*ret = e;
	return 0;
}

static bool is_plain(const char *s, bool spaces)
{
	if (chars_good(s, strlen(s)) != strlen(s))
		return false;
	for (; *s; s++)
		if ((unsigned char)*s < ' ' || *s == 0x7f || (*s == ' ' && !spaces))
			return false;
	return true;
}

/* A later revision there always is. */
bool view_row_is_good(const struct view_row *row)
{
	return !host_id_is_none(&row->id) && *row->name && is_plain(row->name, false) && !strpbrk(row->name, "/*?") &&
	       is_plain(row->addresses, true) && row->revision > 0 && row->revision < INT64_MAX / 2;
}

static bool is_news(const struct entry *e, const struct view_row *row)
{
	return row->revision > e->row.revision || (row->revision == e->row.revision && e->row.unheard && !row->unheard);
}

static bool is_forgotten(const struct view_row *row)
{
	return row->state == VIEW_REMOVED && row->revision < clock_wall_ns() - VIEW_REMOVED_NS;
}

static int put(struct core *core, const struct view_row *row, struct entry **ret)
{
	struct view *v = core->view;
	struct entry *e = find(core, &row->id);
	int r = e ? 0 : entry_new(core, &row->id, &e);
	if (r)
		return r;
	v->removed += (row->state == VIEW_REMOVED) - (e->row.revision && e->row.state == VIEW_REMOVED);
	e->row = *row;
	*ret = e;
	return 0;
}

int view_take(struct core *core, const struct view_row *row)
{
	struct entry *e = find(core, &row->id);
	if (!view_row_is_good(row))
		return -EINVAL;
	if (core->view->stopped || (e ? e == core->view->own || !is_news(e, row) : is_forgotten(row)))
		return 0;
	struct view_row before = e ? e->row : (struct view_row){.state = VIEW_REMOVED};
	int r = put(core, row, &e);
	if (r)
		return r;
	tell(core, &before, &e->row);
	if (core->view->removed > VIEW_REMOVED_MAX)
		drop_oldest_removed(core);
	return 1;
}

int64_t view_next_revision(const struct core *core, const struct host_id *id)
{
	const struct view_row *row = view_find(core, id);
	int64_t now_ns = clock_wall_ns();
	return !row || now_ns > row->revision ? now_ns : row->revision + 1;
}

void view_state(struct core *core, const struct host_id *id, enum view_state state)
{
	const struct view_row *row = view_find(core, id);
	if (!row || (row->state == state && !row->unheard))
		return;
	struct view_row next = *row;
	next.state = state;
	next.unheard = false;
	next.revision = view_next_revision(core, id);
	view_take(core, &next);
}

void view_heard(struct core *core, const struct host_id *id, bool heard)
{
	struct entry *e = find(core, id);
	if (core->view->stopped || !e || e == core->view->own || e->row.unheard == !heard)
		return;
	struct view_row before = e->row;
	e->row.unheard = !heard;
	tell(core, &before, &e->row);
}

void view_leave(struct core *core)
{
	struct entry *own = core->view->own;
	struct view_row before = own->row, next = before;
	next.state = VIEW_REMOVED;
	next.revision = view_next_revision(core, &core->id);
	if (!put(core, &next, &own))
		tell(core, &before, &own->row);
}

/* --- who keeps it --- */

void view_keep(struct core *core, const struct host_id *id)
{
	struct entry *e = find(core, id);
	if (e)
		e->keeps = true;
}

bool view_keeps(const struct core *core, const struct host_id *id)
{
	const struct entry *e = find(core, id);
	return e && e->keeps;
}

bool view_is_kept_elsewhere(const struct core *core)
{
	for (size_t i = 0; i < core->view->by_id.n; i++)
		if (((const struct entry *)core->view->by_id.things[i])->keeps)
			return true;
	return false;
}

void view_watch(struct core *core, view_fn *fn, void *data)
{
	core->view->fn = fn;
	core->view->data = data;
}

/* --- as messages --- */

void view_put(struct msg *m, const struct view_row *row)
{
	char id[HOST_ID_TEXT];
	host_id_format(&row->id, id);
	msg_set(m, "id", id);
	msg_set(m, "name", row->name);
	msg_set(m, "state", states[row->state]);
	if (*row->addresses)
		msg_set(m, "addresses", row->addresses);
	msg_set_int(m, "revision", row->revision);
}

int view_get(const struct msg *m, struct view_row *ret)
{
	struct view_row row = {0};
	const char *name = msg_get(m, "name", ""), *addresses = msg_get(m, "addresses", "");
	if (strlen(name) >= sizeof row.name || strlen(addresses) >= sizeof row.addresses)
		return -EINVAL;
	strcpy(row.name, name);
	strcpy(row.addresses, addresses);
	if (host_id_parse(msg_get(m, "id", ""), &row.id) || view_state_parse(msg_get(m, "state", ""), &row.state) ||
	    msg_get_int(m, "revision", &row.revision) || !view_row_is_good(&row))
		return -EINVAL;
	*ret = row;
	return 0;
}

/* --- operations --- */

static void put_host(void *data, const struct view_row *row)
{
	struct call *c = data;
	struct view_row shown = *row;
	struct msg *m = call_answer(c, "host");
	shown.state = view_shown(row);
	if (m)
		view_put(m, &shown);
	call_send(c, m);
}

static void put_if_meant(void *data, const struct view_row *row)
{
	struct call *c = data;
	if (pattern_match(c->args[0].text, row->name))
		put_host(c, row);
}

static int run_list(struct call *c)
{
	view_each(c->core, c->args[1].number, put_if_meant, c);
	return CALL_DONE;
}

static int run_find(struct call *c)
{
	const struct view_row *row = view_named(c->core, c->args[0].text);
	if (!row)
		return call_fail(c, "not-found", "no host is named %s", c->args[0].text);
	put_host(c, row);
	return CALL_DONE;
}

static int run_info(struct call *c)
{
	char id[HOST_ID_TEXT];
	struct host_facts f;
	struct msg *m = call_answer(c, "host");
	if (!m)
		return call_fail(c, "failed", "no memory");
	host_facts(&f);
	host_id_format(&c->core->id, id);
	msg_set(m, "name", c->core->name);
	msg_set(m, "id", id);
	msg_set(m, "system", f.system);
	msg_set(m, "machine", f.machine);
	msg_set(m, "byte-order", f.big_endian ? "big" : "little");
	msg_set_int(m, "processors", f.processors);
	msg_set_int(m, "memory", f.memory);
	msg_set_int(m, "booted", f.booted_ns);
	processes_put_topology(c->core, m);
	call_send(c, m);
	return CALL_DONE;
}

static const struct op_field row_fields[] = {
    {"name", OP_NAME, "the host's"},
    {"id", OP_TEXT, "the host's, for ever"},
    {"state", OP_TEXT, "up, down, left, removed, or unknown: it was up, and nobody is heard who would tell"},
    {"addresses", OP_TEXT, "where its daemon can be dialled"},
    {"revision", OP_TIME, "of what is known of it: the latest is believed"},
    {NULL},
};

static const struct op_field info_fields[] = {
    {"name", OP_NAME, "the host's"},
    {"id", OP_TEXT, "the host's, for ever"},
    {"system", OP_TEXT, "its operating system, and the kernel"},
    {"machine", OP_TEXT, "the architecture"},
    {"byte-order", OP_TEXT, "big or little"},
    {"processors", OP_INTEGER, "that are online"},
    {"memory", OP_SIZE, "of the machine"},
    {"booted", OP_TIME, "when"},
    {"packages", OP_INTEGER, "of processors"},
    {"numa-nodes", OP_INTEGER, "parts with memory of their own"},
    {"cores", OP_INTEGER, "in all"},
    {"threads", OP_INTEGER, "of hardware, in all"},
    {"topology", OP_TEXT, "how these lie within each other, with their caches"},
    {NULL},
};

static const struct op_field ping_fields[] = {
    {"data", OP_BYTES, "as it came"},
    {NULL},
};

static int run_ping(struct call *c)
{
	struct msg *m = call_answer(c, "host");
	if (m)
		msg_set_bytes(m, "data", c->args[0].bytes, c->args[0].n);
	call_send(c, m);
	return CALL_DONE;
}

static const struct op ops[] = {
    {"host", "list", "the hosts of the cluster, as this one sees them", OP_READS, ROLE_CLIENT,
	.args = {{"host", OP_PATTERN, "hosts, by name"}, {"all", OP_FLAG, "those that were removed as well"}}, .run = run_list,
	.fields = row_fields},
    {"host", "find", "a host's id and where it is", OP_READS, ROLE_CLIENT,
	.args = {{"host", OP_TEXT, "its name or id", .required = true}}, .run = run_find, .fields = row_fields},
    {"host", "info", "what the host that is asked is made of", OP_READS, ROLE_CLIENT, .run = run_info,
	.fields = info_fields},
    {"host", "ping", "the same bytes back: is it there, and how fast", OP_READS, ROLE_CLIENT,
	.args = {{"data", OP_BYTES, "what comes back"}}, .run = run_ping, .fields = ping_fields},
    {"host", "add", "starts a vigiad on other hosts, over ssh, and tells each step until they have joined",
	OP_CHANGES | OP_STREAMS, ROLE_CLIENT,
	.args = {{"host", OP_WORDS, "hosts as ssh knows them: NAME, or USER@NAME", .required = true},
	    {"command", OP_TEXT, "what to start there, in place of what add { } in vigia.conf says"},
	    {"deadline", OP_DURATION, "to have joined", .fallback = 30000000000}}, .run = joining_run, .over = steps_over,
	.fields = steps_fields},
    {"host", "remove", "has hosts leave the cluster, and ends their daemons; one that is down is taken out of the view",
	OP_OPERATES | OP_CHANGES | OP_STREAMS, ROLE_CLIENT,
	.args = {{"host", OP_WORDS, "hosts, by name or id", .required = true},
	    {"deadline", OP_DURATION, "to have left", .fallback = 30000000000},
	    {"here", OP_FLAG, "just the view of who is asked, and himself"}}, .run = leaving_run, .over = steps_over,
	.fields = steps_fields},
    {NULL},
};

const struct service host_service = {.name = "host", .doc = "the hosts of the cluster", .ops = ops};

/* --- start and end --- */

/* Of the own host only that it is later is kept: clocks are set back. */
static void on_kept(void *data, const struct view_row *kept)
{
	struct core *core = data;
	struct view_row row = *kept;
	struct entry *e = find(core, &row.id);
	if (e && e == core->view->own) {
		e->row.revision = e->row.revision > row.revision ? e->row.revision : row.revision + 1;
		return;
	}
	row.unheard = row.state == VIEW_UP;
	if ((e && row.revision < e->row.revision) || put(core, &row, &e))
		return;
	if (core->view->removed > VIEW_REMOVED_MAX)
		drop_oldest_removed(core);
}

static void put_line(void *data, const struct view_row *row)
{
	view_line_put(data, row);
}

static void put_all(void *data, struct buf *to)
{
	view_each(data, true, put_line, to);
}

static void place(void *data, const struct view_row *row)
{
	links_place(data, &row->id, row->name, row->addresses);
}

static void drop_forgotten(struct core *core)
{
	struct view *v = core->view;
	for (size_t i = v->by_id.n; i-- > 0;) {
		struct entry *e = v->by_id.things[i];
		if (is_forgotten(&e->row))
			drop(core, e);
	}
}

static int load(struct core *core, const char *directory)
{
	struct view_file_options o = {
	    .loop = core->net.loop, .directory = directory, .put_all = put_all, .data = core};
	int r = view_file_open(&core->view->file, &o, on_kept);
	if (r)
		return r;
	drop_forgotten(core);
	view_each(core, false, place, core);
	view_file_begin(core->view->file);
	return 0;
}

int view_start(struct core *core, const char *own_addresses, const char *directory)
{
	core->view = calloc(1, sizeof *core->view);
	if (!core->view)
		return -ENOMEM;
	struct view_row row = {.id = core->id, .state = VIEW_UP, .revision = clock_wall_ns()};
	snprintf(row.name, sizeof row.name, "%s", core->name);
	snprintf(row.addresses, sizeof row.addresses, "%s", own_addresses);
	int r = view_take(core, &row);
	if (r < 0)
		return r;
	core->view->own = find(core, &core->id);
	return directory ? load(core, directory) : 0;
}

void view_stop(struct core *core)
{
	core->view->stopped = true;
	if (core->view->file)
		view_file_stop(core->view->file);
}

void view_release(struct core *core)
{
	if (core->view->file)
		view_file_free(core->view->file);
	for (size_t i = 0; i < core->view->by_id.n; i++)
		entry_free(core->view->by_id.things[i]);
	names_release(&core->view->by_id);
	free(core->view);
	core->view = NULL;
}

int view_trouble(const struct core *core, struct buf *ret_what)
{
	return !core->view->file ? 0 : view_file_trouble(core->view->file, ret_what);
}
