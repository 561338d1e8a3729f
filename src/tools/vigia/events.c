/* SPDX-License-Identifier: Apache-2.0 */
#include <fnmatch.h>
#include <string.h>

#include "tools/vigia/vigia.h"

enum { FOLLOW, SINCE, UNTIL }; /* flags */

static const struct column columns[] = {
    {"time"}, {"event"}, {"node"}, {"monitor"}, {"text", 0, "WHAT HAPPENED"}, {NULL}};

struct listening {
	struct table *table;
	const char *node; /* a name or pattern; NULL: all */
};

static int on_event(void *data, const struct msg *m)
{
	struct listening *l = data;
	int64_t time_ns = 0;
	if (l->node && fnmatch(l->node, msg_get(m, "node", ""), 0))
		return 0;
	msg_get_int(m, "time", &time_ns);
	table_time(l->table, time_ns);
	table_text(l->table, msg_get(m, "event", ""));
	table_text(l->table, msg_get(m, "node", NULL));
	table_cell(l->table, msg_get(m, "monitor", NULL), msg_get(m, "monitor", ""), TONE_NONE);
	table_text(l->table, m->text);
	return 0;
}

/* Of a node that was forgotten there may be events still; of one that never was there are none, for ever. */
static int check(struct vigia *v, const char *node)
{
	struct path p = {.node = node};
	return !node || path_there(v, &p) ? DONE : WRONG;
}

static int listen_to(struct vigia *v, struct listening *l, struct msg *query, bool follow)
{
	int r = follow ? check(v, l->node) : DONE;
	if (r) {
		msg_free(query);
		return r;
	}
	l->table = table_new(columns, v->format, table_flags(v, follow ? TABLE_STREAM : 0));
	r = (follow ? vigia_follow : vigia_ask)(v, query, on_event, l);
	bool none = !table_rows(l->table);
	if (follow)
		table_end(l->table);
	else
		end_document(v, l->table);
	return !r && none ? check(v, l->node) : r;
}

static int run(struct vigia *v, const struct args *a)
{
	int64_t from = 0, to = 0;
	if (!time_option(a, SINCE, &from) || !time_option(a, UNTIL, &to))
		return USAGE;
	struct listening l = {.node = a->n ? a->words[0] : NULL};
	if (l.node && !strcmp(l.node, "."))
		l.node = vigia_self(v);
	struct msg *q = vigia_query(v, "node", "events");
	if (a->flags[SINCE])
		msg_set_int(q, "from", from);
	if (a->flags[UNTIL])
		msg_set_int(q, "to", to);
	if (a->flags[FOLLOW])
		msg_set_flag(q, "follow", true);
	return listen_to(v, &l, q, a->flags[FOLLOW]);
}

const struct command events_command = {.name = "events",
    .words = "[NODE]",
    .doc = "what happened: nodes and monitors that came, went, or fell silent",
    .flags = {{"follow", NULL, "go on as they happen, until interrupted"},
	{"since", "TIME", "not before this: -1h, 14:30"}, {"until", "TIME", "before this"}},
    .words_max = 1,
    .completes = COMPLETE_NODES,
    .run = run};
