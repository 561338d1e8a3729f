/* SPDX-License-Identifier: Apache-2.0 */
#include <fnmatch.h>
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

/* --- what is wrong --- */

struct problems {
	const char
	    *node; /* a pattern that a client can't apply itself unless it is a plain name; NULL: all */
	struct msg *told; /* its children */
	size_t wrong;	  /* what is not as somebody configured it to be */
};

/* Somebody said so, or has no other kernel. */
static bool is_chosen(const char *problem)
{
	return !strcmp(problem, "insecure-network") || !strcmp(problem, "sandbox");
}

static int on_problem(void *data, const struct msg *m)
{
	struct problems *p = data;
	if (p->node && fnmatch(p->node, msg_get(m, "node", ""), 0))
		return 0;
	struct msg *k = msg_child(p->told, "problem");
	for (const struct msg_field *f = m->fields; f; f = f->next)
		msg_set(k, f->name, f->text);
	msg_text(k, m->text, strlen(m->text));
	p->wrong += !is_chosen(msg_get(m, "problem", ""));
	return 0;
}

static void problem_row(struct table *t, const struct msg *m)
{
	table_cell(t, msg_get(m, "problem", ""), NULL, TONE_WARN);
	table_text(t, msg_get(m, "node", NULL));
	table_text(t, msg_get(m, "monitor", NULL));
	table_text(t, m->text);
}

static void say_problems(struct vigia *v, const struct problems *p)
{
	struct table *t = table_new(problem_columns, v->format, table_flags(v, 0));
	for (const struct msg *m = p->told->children; m; m = m->next)
		problem_row(t, m);
	table_end(t);
	if (!p->told->children && v->format == OUT_TABLE)
		puts("Nothing is wrong.");
}

/* --- both, of one moment --- */

struct snapshot {
	struct fleet *fleet;
	struct problems *problems;
};

static int on_either(void *data, const struct msg *m)
{
	struct snapshot *s = data;
	return strcmp(m->name, "node") ? on_problem(s->problems, m) : on_node(s->fleet, m);
}

/* Asked in one breath, the daemon answers both before it looks at anything else. */
static int ask_snapshot(struct vigia *v, struct snapshot *s)
{
	struct msg *list = vigia_query(v, "node", "list"), *status = vigia_query(v, "master", "status");
	if (s->problems->node)
		msg_set(list, "node", s->problems->node);
	fleet_list_begin(s->fleet);
	int r = vigia_ask_both(v, list, status, on_either, s);
	fleet_list_end(s->fleet);
	return r;
}

static void say_both(struct vigia *v, const struct fleet *f, const struct problems *p)
{
	static const char *const around[][3] = {
	    [OUT_TABLE] = {"", "\n", ""}, [OUT_JSON] = {"{\"nodes\": ", ",\n \"problems\": ", "}\n"}};
	if (v->format == OUT_CSV) {
		say_nodes(v, f);
		return;
	}
	fputs(around[v->format][0], stdout);
	say_nodes(v, f);
	fputs(around[v->format][1], stdout);
	say_problems(v, p);
	fputs(around[v->format][2], stdout);
}

static int on_info(void *data, const struct msg *m)
{
	printf("\nSandbox of vigiad: %s.\n", msg_get(m, "sandbox", "unknown"));
	return 0;
}

static int whole(struct vigia *v, struct problems *p)
{
	struct fleet f = {0};
	int r = ask_fleet(v, &f, p->node);
	if (!r)
		r = ask_snapshot(v, &(struct snapshot){&f, p});
	if (!r)
		say_both(v, &f, p);
	if (!r && v->format == OUT_TABLE && !p->node)
		r = vigia_ask(v, vigia_query(v, "master", "info"), on_info, NULL);
	fleet_release(&f);
	return r;
}

static int brief(struct vigia *v, struct problems *p)
{
	int r = vigia_ask(v, vigia_query(v, "master", "status"), on_problem, p);
	if (!r)
		say_problems(v, p);
	if (!r && v->format == OUT_JSON)
		putchar('\n');
	return r;
}

static int run(struct vigia *v, const struct args *a)
{
	struct problems p = {.node = a->n ? a->words[0] : NULL, .told = msg_new("problems")};
	if (!p.told)
		return WRONG;
	if (p.node && !strcmp(p.node, "."))
		p.node = vigia_self(v);
	int r = (a->flags[BRIEF] ? brief : whole)(v, &p);
	msg_free(p.told);
	return r ? r : p.wrong ? WRONG : DONE;
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
