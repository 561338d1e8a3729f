/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tools/vigia/rate.h"
#include "tools/vigia/text.h"
#include "tools/vigia/values.h"
#include "tools/vigia/vigia.h"

enum { UPDATE, DEADLINE, VALUE, RATE }; /* flags */

/* A rate is what a counter grew between two looks so far apart, both measured then; a few more for a monitor
 * that measures only when its time has come. */
static const struct timespec BETWEEN_LOOKS = {1, 0};
enum { LOOKS = 6 };

struct getting {
	struct vigia *v;
	struct table *table; /* NULL: values alone */
	bool update;
	int64_t deadline_ms;
	size_t n;
	struct counters counters;
	struct names looked; /* struct rated: --rate's first look */
};

static void say_value(const char *text)
{
	struct buf out = BUF_INIT;
	text_put(&out, text);
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
			say_value(msg_get_flag(v, "none") ? "-" : v->text);
	}
	return 0;
}

static int ask(struct getting *g, const struct path *p, answer_fn *fn)
{
	struct msg *q = vigia_query(g->v, "monitor", "get");
	path_set(p, q);
	if (g->update) {
		msg_set_flag(q, "update", true);
		msg_set_int(q, "deadline", g->deadline_ms);
	}
	return vigia_ask(g->v, q, fn, g);
}

static int get(struct vigia *v, const struct path *p, void *data)
{
	struct getting *g = data;
	size_t before = g->n;
	int r = ask(g, p, on_monitor);
	return !r && g->n == before ? nothing_named(v, p) : r;
}

/* --- rates --- */

/* NULL: it is no counter. */
static struct rated *rated_of(struct getting *g, const struct msg *m, const struct msg *v)
{
	const char *monitor = msg_get(m, "monitor", ""), *metric = msg_get(v, "n", "");
	return counters_have(&g->counters, monitor, metric)
		   ? rated_named(&g->looked, msg_get(m, "node", ""), monitor, metric)
		   : NULL;
}

static int on_look(void *data, const struct msg *m)
{
	int64_t time_ns = 0;
	msg_get_int(m, "time", &time_ns);
	for (const struct msg *v = m->children; v; v = v->next) {
		struct rated *r = rated_of(data, m, v);
		if (r)
			rate_take(&r->rate, time_ns, value_number(v));
	}
	return 0;
}

static void say_rate(struct getting *g, const struct msg *m, const struct msg *v, double y)
{
	struct buf out = BUF_INIT;
	if (g->table) {
		values_name(g->table, m, v);
		rate_cells(g->table, y, msg_get(v, "u", NULL));
		values_state(g->table, m);
		return;
	}
	if (y >= 0)
		rate_put(&out, y);
	say_value(y >= 0 ? buf_str(&out) : "-");
	buf_release(&out);
}

static int on_rates(void *data, const struct msg *m)
{
	for (const struct msg *v = m->children; v; v = v->next) {
		struct rated *r = rated_of(data, m, v);
		if (r)
			say_rate(data, m, v, rate_now(&r->rate));
	}
	return 0;
}

static int ask_counters(struct vigia *v, const struct path *p, void *data)
{
	struct getting *g = data;
	return counters_ask(&g->counters, v, p);
}

static int look(struct vigia *v, const struct path *p, void *data)
{
	return ask(data, p, on_look);
}

static int say_rates(struct vigia *v, const struct path *p, void *data)
{
	return ask(data, p, on_rates);
}

static bool all_rated(const struct getting *g)
{
	for (size_t i = 0; i < g->looked.n; i++)
		if (isnan(rate_now(&((const struct rated *)g->looked.things[i])->rate)))
			return false;
	return true;
}

static int get_rates(struct getting *g, const struct args *a)
{
	g->update = true;
	int r = each_path(g->v, a, ask_counters, g);
	int looked = r > WRONG ? r : each_path(g->v, a, look, g);
	for (int i = 0; looked == DONE && !all_rated(g) && i < LOOKS; i++) {
		nanosleep(&BETWEEN_LOOKS, NULL);
		looked = each_path(g->v, a, look, g);
	}
	g->update = false;
	int said = looked > WRONG ? looked : each_path(g->v, a, say_rates, g);
	return said > r ? said : looked > r ? looked : r;
}

/* --- the command --- */

static bool take_options(struct getting *g, const struct args *a)
{
	int64_t deadline_ns = 1000000000;
	if (!duration_option(a, DEADLINE, &deadline_ns))
		return false;
	g->update = a->flags[UPDATE] || a->flags[DEADLINE];
	g->deadline_ms = deadline_ns / 1000000;
	if (g->deadline_ms < 1)
		complain("--deadline is at least 1ms: how long to wait for what is measured");
	return g->deadline_ms >= 1;
}

static int run(struct vigia *v, const struct args *a)
{
	struct getting g = {.v = v};
	if (!take_options(&g, a))
		return USAGE;
	if (!a->flags[VALUE])
		g.table = table_new(values_columns, v->format, table_flags(v, 0));
	int r = a->flags[RATE] ? get_rates(&g, a) : each_path(v, a, get, &g);
	if (g.table)
		end_document(v, g.table);
	rated_release(&g.looked);
	counters_release(&g.counters);
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
	{"value", NULL, "the values alone, a line each"},
	{"rate", NULL, "what counters grow a second, measured now and a second later"}},
    .words_max = -1,
    .completes = COMPLETE_PATHS,
    .run = run};
