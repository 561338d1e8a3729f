/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "tools/vigia/rate.h"
#include "tools/vigia/values.h"
#include "tools/vigia/vigia.h"

enum { RATE }; /* flags */

static const struct column columns[] = {
    {"time"},
    {"name", COLUMN_PEOPLE, "NODE/MONITOR/METRIC"},
    {"node", COLUMN_MACHINES},
    {"monitor", COLUMN_MACHINES},
    {"metric", COLUMN_MACHINES},
    {"value", COLUMN_NUMBER},
    {"unit"},
    {"state", COLUMN_MACHINES},
    {NULL},
};

struct watching {
	struct table *table;
	bool rate;
	struct counters counters;
	struct names seen; /* struct rated */
};

static void say_lost(const struct msg *m)
{
	int64_t lost = 0;
	if (!msg_get_int(m, "lost", &lost) && lost)
		complain("%s/%s: %" PRId64 " period%s left out, output is too slow", msg_get(m, "node", ""),
		    msg_get(m, "monitor", ""), lost, lost == 1 ? " was" : "s were");
}

static void say_value(struct watching *w, const struct msg *m, const struct msg *v, int64_t time_ns)
{
	table_time(w->table, time_ns);
	values_name(w->table, m, v);
	values_value(w->table, v);
	table_text(w->table, msg_get(m, "state", "current"));
}

static void say_rate(struct watching *w, const struct msg *m, const struct msg *v, int64_t time_ns)
{
	const char *monitor = msg_get(m, "monitor", ""), *metric = msg_get(v, "n", "");
	struct rated *r = counters_have(&w->counters, monitor, metric)
			      ? rated_named(&w->seen, msg_get(m, "node", ""), monitor, metric)
			      : NULL;
	double y = r ? rate_take(&r->rate, time_ns, value_number(v)) : NAN;
	if (isnan(y))
		return;
	table_time(w->table, time_ns);
	values_name(w->table, m, v);
	rate_cells(w->table, y, msg_get(v, "u", NULL));
	table_text(w->table, msg_get(m, "state", "current"));
}

static int on_period(void *data, const struct msg *m)
{
	struct watching *w = data;
	int64_t time_ns = 0;
	msg_get_int(m, "time", &time_ns);
	say_lost(m);
	for (const struct msg *v = m->children; v; v = v->next)
		(w->rate ? say_rate : say_value)(w, m, v, time_ns);
	return 0;
}

static int on_config(void *data, const struct msg *m)
{
	*(bool *)data |= m->children != NULL;
	return 0;
}

static bool plain(const char *name)
{
	return name && !strpbrk(name, "*?");
}

/* What is named and not there would be waited for in silence. A pattern may come to fit something later. */
static int check(struct vigia *v, const struct path *p)
{
	bool any = false;
	struct msg *q = vigia_query(v, "config", "get");
	path_set(p, q);
	int r = vigia_ask(v, q, on_config, &any);
	if (r || any)
		return r;
	if (plain(p->node) && plain(p->monitor))
		return nothing_named(v, p);
	complain("nothing is named so yet; waiting for it");
	return DONE;
}

static int watch(struct vigia *v, const struct path *p, void *data)
{
	struct watching *w = data;
	int r = w->rate				     ? counters_ask(&w->counters, v, p)
		: p->node || p->monitor || p->metric ? check(v, p)
						     : DONE;
	if (r)
		return r;
	struct msg *q = vigia_query(v, "monitor", "subscribe");
	path_set(p, q);
	return vigia_follow(v, q, on_period, w);
}

static int run(struct vigia *v, const struct args *a)
{
	struct watching w = {
	    .table = table_new(columns, v->format, table_flags(v, TABLE_STREAM)), .rate = a->flags[RATE]};
	int r = each_path(v, a, watch, &w);
	table_end(w.table);
	rated_release(&w.seen);
	counters_release(&w.counters);
	return r;
}

const struct command watch_command = {.name = "watch",
    .words = "[NODE[/MONITOR[/METRIC]]]",
    .doc = "values as they change, a line each, until interrupted",
    .more = "  First all values as they are, then those that changed, as each period comes.\n",
    .flags = {{"rate", NULL, "what counters grew a second since the line before"}},
    .words_max = 1,
    .completes = COMPLETE_PATHS,
    .run = run};
