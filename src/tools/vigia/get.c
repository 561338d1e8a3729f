/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "os/clock.h"
#include "tools/vigia/text.h"
#include "tools/vigia/values.h"
#include "tools/vigia/vigia.h"
#include "tools/vigia/when.h"

enum { UPDATE, DEADLINE, VALUE }; /* flags */

struct getting {
	struct table *table; /* NULL: values alone */
	bool update;
	int64_t deadline_ms;
	size_t n;
};

static void say_value(const struct msg *v)
{
	struct buf out = BUF_INIT;
	text_put(&out, msg_get_flag(v, "none") ? "-" : v->text);
	puts(buf_str(&out));
	buf_release(&out);
}

static int on_monitor(void *data, const struct msg *m)
{
	struct getting *g = data;
	for (const struct msg *v = m->children; v; v = v->next) {
		g->n++;
		if (g->table)
			values_row(g->table, m, v);
		else
			say_value(v);
	}
	return 0;
}

static int get(struct vigia *v, const struct path *p, void *data)
{
	struct getting *g = data;
	size_t before = g->n;
	struct msg *q = vigia_query(v, "monitor", "get");
	path_set(p, q);
	if (g->update) {
		msg_set_flag(q, "update", true);
		msg_set_int(q, "deadline", g->deadline_ms);
	}
	int r = vigia_ask(v, q, on_monitor, g);
	if (!r && g->n == before) {
		complain("nothing is named %s/%s/%s; `vigia list` says what there is",
		    p->node ? p->node : "*", p->monitor ? p->monitor : "*", p->metric ? p->metric : "*");
		return WRONG;
	}
	return r;
}

static int run(struct vigia *v, const struct args *a)
{
	int64_t deadline_ns = 1000000000;
	struct getting g = {.update = a->flags[UPDATE] || a->flags[DEADLINE]};
	if (!duration_option(a, DEADLINE, &deadline_ns))
		return USAGE;
	g.deadline_ms = deadline_ns / 1000000;
	if (!a->flags[VALUE])
		g.table = table_new(values_columns, v->format, table_flags(v, 0));
	int r = each_path(v, a, get, &g);
	if (g.table)
		end_document(v, g.table);
	return r;
}

const struct command get_command = {.name = "get",
    .words = "[NODE[/MONITOR[/METRIC]]]...",
    .doc = "values, as last measured or measured now",
    .more = "  Values that are not current are marked: late (the monitor is silent), gone (it is not "
	    "connected),\n"
	    "  old (its node is not up), with their age. A node named . is the daemon's own.\n",
    .flags = {{"update", NULL, "measure now"},
	{"deadline", "DURATION", "wait for that so long (1s); implies --update"},
	{"value", NULL, "the values alone, a line each"}},
    .words_max = -1,
    .completes = COMPLETE_PATHS,
    .run = run};
