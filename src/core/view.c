/* SPDX-License-Identifier: Apache-2.0 */
#include "core/view.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/names.h"
#include "core/channels.h"
#include "core/links.h"
#include "core/processes.h"
#include "os/clock.h"
#include "os/host.h"
#include "proto/chars.h"

struct entry {
	char *id; /* first: base/names.h; as text */
	struct view_row row;
};

struct view {
	struct names by_id;
	struct entry *own;
	view_fn *fn;
	void *data;
};

static const char *const states[] = {
    [VIEW_UP] = "up",
    [VIEW_DOWN] = "down",
    [VIEW_LEFT] = "left",
    [VIEW_REMOVED] = "removed",
};

const char *view_state_name(enum view_state s)
{
	return states[s];
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

/* Of two with one name the later one is meant: it was set up anew. */
const struct view_row *view_named(const struct core *core, const char *name)
{
	struct host_id id;
	const struct view_row *best = NULL;
	if (!host_id_parse(name, &id))
		return view_find(core, &id);
	for (size_t i = 0; i < core->view->by_id.n; i++) {
		const struct view_row *row = &((const struct entry *)core->view->by_id.things[i])->row;
		if (!strcmp(row->name, name) && row->state != VIEW_REMOVED && (!best || best->revision < row->revision))
			best = row;
	}
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
	int n = snprintf(text, sizeof text, "%s %s %s", row->name, id, states[row->state]);
	channels_put_own(core, "hosts", tag, text, (size_t)n);
}

static void tell(struct core *core, const struct view_row *before, const struct view_row *row)
{
	bool was = before && before->state != VIEW_REMOVED, is = row->state != VIEW_REMOVED;
	if (!was && is)
		announce(core, VIEW_EVENT_ADDED, row);
	else if (was && !is)
		announce(core, VIEW_EVENT_REMOVED, row);
	else if (was && before->state != row->state)
		announce(core, VIEW_EVENT_STATE, row);
	if (!before || strcmp(before->addresses, row->addresses))
		links_place(core, &row->id, row->addresses);
	if (core->view->fn)
		core->view->fn(core->view->data, row);
}

/* --- taking --- */

static int entry_new(struct core *core, const struct host_id *id, struct entry **ret)
{
	if (core->view->by_id.n >= VIEW_HOSTS_MAX)
		return -ENOSPC;
	struct entry *e = calloc(1, sizeof *e);
	if (!e || !(e->id = malloc(HOST_ID_TEXT))) {
		free(e);
		return -ENOMEM;
	}
	host_id_format(id, e->id);
	int r = names_add(&core->view->by_id, e);
	if (r) {
		free(e->id);
		free(e);
		return r;
	}
	*ret = e;
	return 0;
}

static bool is_good(const struct view_row *row)
{
	return !host_id_is_none(&row->id) && chars_good(row->name, strlen(row->name)) == strlen(row->name) && *row->name &&
	       !strpbrk(row->name, " /*?") && row->revision > 0;
}

int view_take(struct core *core, const struct view_row *row)
{
	struct view_row before;
	struct entry *e = find(core, &row->id);
	if (!is_good(row))
		return -EINVAL;
	if (e && (e == core->view->own || row->revision <= e->row.revision))
		return 0;
	bool known = e;
	int r = known ? 0 : entry_new(core, &row->id, &e);
	if (r)
		return r;
	before = e->row;
	e->row = *row;
	tell(core, known ? &before : NULL, &e->row);
	return 1;
}

void view_state(struct core *core, const struct host_id *id, enum view_state state)
{
	const struct view_row *row = view_find(core, id);
	if (!row || row->state == state)
		return;
	struct view_row next = *row;
	int64_t now_ns = clock_wall_ns();
	next.state = state;
	next.revision = now_ns > row->revision ? now_ns : row->revision + 1;
	view_take(core, &next);
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

static int get_state(const char *name, enum view_state *ret)
{
	for (size_t i = 0; i < sizeof states / sizeof *states; i++)
		if (!strcmp(states[i], name)) {
			*ret = (enum view_state)i;
			return 0;
		}
	return -EINVAL;
}

int view_get(const struct msg *m, struct view_row *ret)
{
	struct view_row row = {0};
	const char *name = msg_get(m, "name", ""), *addresses = msg_get(m, "addresses", "");
	if (strlen(name) >= sizeof row.name || strlen(addresses) >= sizeof row.addresses)
		return -EINVAL;
	strcpy(row.name, name);
	strcpy(row.addresses, addresses);
	if (host_id_parse(msg_get(m, "id", ""), &row.id) || get_state(msg_get(m, "state", ""), &row.state) ||
	    msg_get_int(m, "revision", &row.revision) || !is_good(&row))
		return -EINVAL;
	*ret = row;
	return 0;
}

/* --- operations --- */

static void put_host(void *data, const struct view_row *row)
{
	struct call *c = data;
	struct msg *m = pattern_match(c->args[0].text, row->name) ? call_answer(c, "host") : NULL;
	if (m)
		view_put(m, row);
	call_send(c, m);
}

static int run_list(struct call *c)
{
	view_each(c->core, c->args[1].number, put_host, c);
	return CALL_DONE;
}

static int run_find(struct call *c)
{
	const struct view_row *row = view_named(c->core, c->args[0].text);
	if (!row)
		return call_fail(c, "not-found", "no host is named %s", c->args[0].text);
	struct msg *m = call_answer(c, "host");
	if (m)
		view_put(m, row);
	call_send(c, m);
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
    {"state", OP_TEXT, "up, down, left or removed"},
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

static const struct op ops[] = {
    {"host", "list", "the hosts of the cluster, as this one sees them", OP_READS, ROLE_CLIENT,
	.args = {{"host", OP_PATTERN, "hosts, by name"}, {"all", OP_FLAG, "those that were removed as well"}}, .run = run_list,
	.fields = row_fields},
    {"host", "find", "a host's id and where it is", OP_READS, ROLE_CLIENT,
	.args = {{"host", OP_TEXT, "its name or id", .required = true}}, .run = run_find, .fields = row_fields},
    {"host", "info", "what the host that is asked is made of", OP_READS, ROLE_CLIENT, .run = run_info,
	.fields = info_fields},
    {NULL},
};

const struct service host_service = {.name = "host", .doc = "the hosts of the cluster", .ops = ops};

/* --- start and end --- */

int view_start(struct core *core, const char *own_addresses)
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
	return 0;
}

void view_stop(struct core *core)
{
	for (size_t i = 0; i < core->view->by_id.n; i++) {
		struct entry *e = core->view->by_id.things[i];
		free(e->id);
		free(e);
	}
	names_release(&core->view->by_id);
	free(core->view);
	core->view = NULL;
}
