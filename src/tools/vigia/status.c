/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>
#include <time.h>

#include "os/clock.h"
#include "tools/vigia/fleet.h"
#include "tools/vigia/text.h"
#include "tools/vigia/values.h"
#include "tools/vigia/vigia.h"
#include "tools/vigia/when.h"

enum { BRIEF }; /* flags */

/* A processor's share needs two looks; a period is a second where nobody chose another. Few nodes are asked
 * again and again until all have moved, many once. */
enum { LOOK_MS = 1300, FEW_NODES = 200, FEW_PAUSE_MS = 100 };

static const struct column node_columns[] = {
    {"node"},
    {"state"},
    {"reason"},
    {"since"},
    {"heard"},
    {"monitors", COLUMN_NUMBER},
    {"cpu_percent", COLUMN_NUMBER, "CPU"},
    {"load", COLUMN_NUMBER},
    {"memory_percent", COLUMN_NUMBER, "MEM"},
    {"temperature", COLUMN_NUMBER, "TEMP"},
    {NULL},
};

static const struct column problem_columns[] = {{"problem"}, {"node"}, {"monitor"},
    {"text", 0,
	"WHAT IS WRONG, AND "
	"WHAT TO DO"},
    {NULL}};

/* --- asking --- */

static int on_node(void *data, const struct msg *m)
{
	fleet_take_node(data, m);
	return 0;
}

static int on_values(void *data, const struct msg *m)
{
	fleet_take_values(data, m);
	return 0;
}

static int ask_figure(struct vigia *v, struct fleet *f, const char *node, const struct figure_query *figure)
{
	struct msg *q = vigia_query(v, "monitor", "get");
	if (node)
		msg_set(q, "node", node);
	msg_set(q, "monitor", figure->monitor);
	msg_set(q, "metric", figure->metric);
	return vigia_ask(v, q, on_values, f);
}

static bool all_moved(const struct fleet *f)
{
	for (size_t i = 0; i < f->nodes.n; i++) {
		const struct fleet_node *n = fleet_at(f, i);
		if (node_live(n) && n->before_ns && n->time_ns == n->before_ns)
			return false;
	}
	return true;
}

static void pause_ms(int ms)
{
	struct timespec t = {ms / 1000, ms % 1000 * 1000000L};
	nanosleep(&t, NULL);
}

static int look_again(struct vigia *v, struct fleet *f, const char *node)
{
	int64_t end_ns = clock_mono_ns() + LOOK_MS * 1000000LL;
	int r = DONE;
	fleet_rates(f);
	while (!r && !all_moved(f) && clock_mono_ns() < end_ns) {
		pause_ms(f->nodes.n <= FEW_NODES ? FEW_PAUSE_MS : LOOK_MS);
		r = ask_figure(v, f, node, &figure_queries[0]);
	}
	fleet_rates(f);
	return r;
}

static int ask_fleet(struct vigia *v, struct fleet *f, const char *node)
{
	struct msg *q = vigia_query(v, "node", "list");
	if (node)
		msg_set(q, "node", node);
	int r = vigia_ask(v, q, on_node, f);
	for (const struct figure_query *figure = figure_queries; !r && figure->monitor; figure++)
		if (figure->brief)
			r = ask_figure(v, f, node, figure);
	return r ? r : look_again(v, f, node);
}

/* --- the nodes --- */

static void age_cell(struct table *t, int64_t ns, bool now)
{
	struct buf utc = BUF_INIT, age = BUF_INIT;
	when_put_utc(&utc, ns);
	if (now && clock_wall_ns() - ns < 2000000000)
		buf_puts(&age, "now");
	else
		put_age(&age, ns);
	table_cell(t, ns > 0 ? buf_str(&utc) : NULL, ns > 0 ? buf_str(&age) : "-", TONE_NONE);
	buf_release(&utc);
	buf_release(&age);
}

static void real_cell(struct table *t, double n, int decimals, const char *after, enum tone tone)
{
	char shown[32];
	snprintf(shown, sizeof shown, "%.*f%s", *after ? 0 : decimals, n, after);
	table_real(t, n, decimals, shown, tone);
}

static void node_row(struct table *t, const struct fleet_node *n, bool unicode)
{
	table_text(t, n->name);
	table_cell(t, n->state, NULL, state_tone(n->state));
	table_text(t, n->reason);
	age_cell(t, n->since_ns, false);
	age_cell(t, n->heard_ns, true);
	table_int(t, n->monitors);
	real_cell(t, node_cpu(n), 1, "%", percent_tone(node_cpu(n)));
	real_cell(t, node_load(n), 2, "", load_tone(n));
	real_cell(t, node_memory(n), 1, "%", percent_tone(node_memory(n)));
	real_cell(t, node_temperature(n), 1, unicode ? "°C" : " C", temperature_tone(node_temperature(n)));
}

static void say_nodes(struct vigia *v, const struct fleet *f)
{
	struct table *t = table_new(node_columns, v->format, table_flags(v, 0));
	for (size_t i = 0; i < f->nodes.n; i++)
		node_row(t, fleet_at(f, i), v->unicode);
	table_end(t);
}

static int nodes_part(struct vigia *v, const char *node)
{
	struct fleet f = {0};
	int r = ask_fleet(v, &f, node);
	if (!r && v->format == OUT_JSON)
		fputs("{\"nodes\": ", stdout);
	if (!r)
		say_nodes(v, &f);
	if (!r && v->format == OUT_JSON)
		fputs(",\n \"problems\": ", stdout);
	fleet_release(&f);
	return r;
}

/* --- what is wrong --- */

struct problems {
	struct table *table;
	const char
	    *node; /* a pattern that a client can't apply itself unless it is a plain name; NULL: all */
	size_t n, wrong; /* told; of those, what is not as somebody configured it to be */
};

static int on_problem(void *data, const struct msg *m)
{
	struct problems *p = data;
	if (p->node && strcmp(p->node, msg_get(m, "node", "")))
		return 0;
	p->n++;
	p->wrong += strcmp(msg_get(m, "problem", ""), "insecure-network") != 0;
	if (!p->table)
		return 0;
	table_cell(p->table, msg_get(m, "problem", ""), NULL, TONE_WARN);
	table_text(p->table, msg_get(m, "node", NULL));
	table_text(p->table, msg_get(m, "monitor", NULL));
	table_text(p->table, m->text);
	return 0;
}

static int ask_problems(struct vigia *v, struct problems *p)
{
	return vigia_ask(v, vigia_query(v, "master", "status"), on_problem, p);
}

static int problems_part(struct vigia *v, const char *node, bool brief)
{
	bool says = v->format != OUT_CSV || brief;
	struct problems p = {.node = node && !strpbrk(node, "*?") ? node : NULL};
	if (says)
		p.table = table_new(problem_columns, v->format, table_flags(v, 0));
	if (!brief && v->format == OUT_TABLE)
		putchar('\n');
	int r = ask_problems(v, &p);
	if (p.table)
		table_end(p.table);
	if (!r && !p.n && v->format == OUT_TABLE)
		puts("Nothing is wrong.");
	return r ? r : p.wrong ? WRONG : DONE;
}

static int run(struct vigia *v, const struct args *a)
{
	const char *node = a->n ? a->words[0] : NULL;
	if (node && !strcmp(node, "."))
		node = vigia_self(v);
	int r = a->flags[BRIEF] ? DONE : nodes_part(v, node);
	if (r)
		return r;
	r = problems_part(v, node, a->flags[BRIEF]);
	if (v->format == OUT_JSON)
		puts(a->flags[BRIEF] ? "" : "}");
	return r;
}

const struct command status_command = {.name = "status",
    .words = "[NODE]",
    .doc = "the cluster: nodes with their state, what is wrong, what to do",
    .more = "  Ends with 0 when nothing is wrong, 1 when something is. A processor's share is measured while "
	    "you wait,\n"
	    "  for a second at most; --brief does without.\n",
    .flags = {{"brief", NULL, "only what is wrong"}},
    .words_max = 1,
    .completes = COMPLETE_NODES,
    .run = run};
