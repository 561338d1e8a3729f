/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "tools/vigia/vigia.h"

enum { FOLLOW, SINCE, UNTIL }; /* flags */

static const struct column columns[] = {
    {"time"}, {"event"}, {"node"}, {"monitor"}, {"text", 0, "WHAT HAPPENED"}, {NULL}};

struct listening {
	struct table *table;
	const char *node; /* NULL: all */
};

static bool wanted(const char *name, const struct msg *m, const char *field)
{
	return !name || !strcmp(name, msg_get(m, field, ""));
}

static int on_event(void *data, const struct msg *m)
{
	struct listening *l = data;
	int64_t time_ns = 0;
	if (!wanted(l->node, m, "node"))
		return 0;
	msg_get_int(m, "time", &time_ns);
	table_time(l->table, time_ns);
	table_text(l->table, msg_get(m, "event", ""));
	table_text(l->table, msg_get(m, "node", NULL));
	table_cell(l->table, msg_get(m, "monitor", NULL), msg_get(m, "monitor", ""), TONE_NONE);
	table_text(l->table, m->text);
	return 0;
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
	l.table = table_new(columns, v->format, table_flags(v, a->flags[FOLLOW] ? TABLE_STREAM : 0));
	int r = (a->flags[FOLLOW] ? vigia_follow : vigia_ask)(v, q, on_event, &l);
	if (a->flags[FOLLOW])
		table_end(l.table);
	else
		end_document(v, l.table);
	return r;
}

const struct command events_command = {.name = "events",
    .words = "[NODE]",
    .doc = "what happened: nodes and monitors that came, went, or fell silent",
    .flags = {{"follow", NULL, "go on as they happen, until interrupted"},
	{"since", "TIME", "not before this: -1h, 14:30"}, {"until", "TIME", "before this"}},
    .words_max = 1,
    .completes = COMPLETE_NODES,
    .run = run};
