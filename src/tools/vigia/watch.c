/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>

#include "tools/vigia/values.h"
#include "tools/vigia/vigia.h"

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

static void say_lost(const struct msg *m)
{
	int64_t lost = 0;
	if (!msg_get_int(m, "lost", &lost) && lost)
		complain("%s/%s: %" PRId64 " periods were left out, output is too slow",
		    msg_get(m, "node", ""), msg_get(m, "monitor", ""), lost);
}

static int on_period(void *data, const struct msg *m)
{
	int64_t time_ns = 0;
	msg_get_int(m, "time", &time_ns);
	say_lost(m);
	for (const struct msg *v = m->children; v; v = v->next) {
		table_time(data, time_ns);
		values_name(data, m, v);
		values_value(data, v);
		table_text(data, msg_get(m, "state", "current"));
	}
	return 0;
}

static int watch(struct vigia *v, const struct path *p, void *data)
{
	struct msg *q = vigia_query(v, "monitor", "subscribe");
	path_set(p, q);
	return vigia_follow(v, q, on_period, data);
}

static int run(struct vigia *v, const struct args *a)
{
	struct table *t = table_new(columns, v->format, table_flags(v, TABLE_STREAM));
	int r = each_path(v, a, watch, t);
	table_end(t);
	return r;
}

const struct command watch_command = {.name = "watch",
    .words = "[NODE[/MONITOR[/METRIC]]]",
    .doc = "values as they change, a line each, until interrupted",
    .more = "  First all values as they are, then those that changed, as each period comes.\n",
    .words_max = 1,
    .completes = COMPLETE_PATHS,
    .run = run};
