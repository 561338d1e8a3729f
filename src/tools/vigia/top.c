/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vigia/top.h"

#include <fnmatch.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "os/clock.h"
#include "tools/vigia/interrupt.h"
#include "tools/vigia/text.h"

enum { SORT, FILTER, PLAIN, ROUNDS }; /* flags */

/* --- figures --- */

#define RATE_VALUE(name, which)                                                                              \
	static double name(const struct fleet_node *n)                                                       \
	{                                                                                                    \
		return node_rate(n, which);                                                                  \
	}
RATE_VALUE(received, RATE_RECEIVED)
RATE_VALUE(sent, RATE_SENT)
RATE_VALUE(read_rate, RATE_READ)
RATE_VALUE(written, RATE_WRITTEN)

static enum tone cpu_tone(const struct fleet_node *n)
{
	return percent_tone(node_cpu(n));
}

static enum tone memory_tone(const struct fleet_node *n)
{
	return percent_tone(node_memory(n));
}

static enum tone heat_tone(const struct fleet_node *n)
{
	return temperature_tone(node_temperature(n));
}

static enum tone plain_tone(const struct fleet_node *n)
{
	return TONE_NONE;
}

const struct figure figures[] = {
    {"cpu_percent", "CPU%", 5, 1, node_cpu, cpu_tone, "processors busy, all together"},
    {"load", "LOAD", 6, 2, node_load, load_tone, "mean run queue of a minute"},
    {"memory_percent", "MEM%", 5, 1, node_memory, memory_tone, "memory in use, caches aside"},
    {"received", "RX/s", 6, -1, received, plain_tone, "bytes a second from real networks"},
    {"sent", "TX/s", 6, -1, sent, plain_tone, "bytes a second to them"},
    {"read", "READ/s", 6, -1, read_rate, plain_tone, "bytes a second from disks"},
    {"written", "WRIT/s", 6, -1, written, plain_tone, "bytes a second to them"},
    {"temperature", "TEMP", 5, 1, node_temperature, heat_tone, "hottest sensor, Celsius"},
    {NULL},
};

void figure_put(struct buf *out, const struct figure *f, double value)
{
	if (isnan(value))
		buf_putc(out, '-');
	else if (f->decimals < 0)
		text_put_short(out, value);
	else
		buf_putf(out, "%.*f", f->decimals, value);
}

/* --- order --- */

bool order_parse(struct order *o, const char *name)
{
	if (!strcmp(name, "node") || !strcmp(name, "state")) {
		*o = (struct order){.figure = *name == 'n' ? BY_NAME : BY_STATE};
		return true;
	}
	for (int i = 0; figures[i].name; i++)
		if (!strncmp(figures[i].name, name, strlen(name))) {
			*o = (struct order){.figure = i};
			return true;
		}
	return false;
}

static int severity(const struct fleet_node *n)
{
	static const char *const worst[] = {"down", "late", "busy", "left", "not watched"};
	for (int i = 0; i < 5; i++)
		if (!strcmp(n->state, worst[i]))
			return 5 - i;
	return 0;
}

static double rank(const struct fleet_node *n, const struct order *o)
{
	double y = o->figure == BY_STATE ? severity(n) : o->figure >= 0 ? figures[o->figure].value(n) : 0;
	return isnan(y) ? -INFINITY : y;
}

/* The most first; the rest by name. */
static int compare(const void *a, const void *b, void *data)
{
	const struct order *o = data;
	const struct fleet_node *x = *(struct fleet_node *const *)a, *y = *(struct fleet_node *const *)b;
	double rx = rank(x, o), ry = rank(y, o);
	int r = rx > ry ? -1 : rx < ry ? 1 : strverscmp(x->name, y->name);
	return o->reverse ? -r : r;
}

bool filter_fits(const char *filter, const char *name)
{
	if (!*filter)
		return true;
	return strpbrk(filter, "*?") ? !fnmatch(filter, name, 0) : strcasestr(name, filter) != NULL;
}

struct fleet_node **top_sort(const struct fleet *f, const struct order *o, const char *filter, size_t *ret_n)
{
	struct order order = *o;
	struct fleet_node **sorted = calloc(f->nodes.n + 1, sizeof *sorted);
	size_t n = 0;
	for (size_t i = 0; sorted && i < f->nodes.n; i++)
		if (filter_fits(filter, fleet_at(f, i)->name))
			sorted[n++] = fleet_at(f, i);
	if (sorted)
		qsort_r(sorted, n, sizeof *sorted, compare, &order);
	*ret_n = n;
	return sorted;
}

/* --- plain lines --- */

static const struct column columns[] = {
    {"time"},
    {"node"},
    {"state"},
    {"cpu_percent", COLUMN_NUMBER, " CPU%"},
    {"load", COLUMN_NUMBER, "  LOAD"},
    {"memory_percent", COLUMN_NUMBER, " MEM%"},
    {"received", COLUMN_NUMBER, "  RX/s"},
    {"sent", COLUMN_NUMBER, "  TX/s"},
    {"read", COLUMN_NUMBER, "READ/s"},
    {"written", COLUMN_NUMBER, "WRIT/s"},
    {"temperature", COLUMN_NUMBER, " TEMP"},
    {NULL},
};

static void say_node(struct table *t, const struct fleet_node *n, int64_t now_ns)
{
	table_time(t, now_ns);
	table_text(t, n->name);
	table_cell(t, n->state, NULL, state_tone(n->state));
	for (const struct figure *f = figures; f->name; f++) {
		struct buf shown = BUF_INIT;
		double y = f->value(n);
		figure_put(&shown, f, y);
		table_real(t, y, f->decimals < 0 ? 0 : f->decimals, buf_str(&shown), f->tone(n));
		buf_release(&shown);
	}
}

static void say_all(struct table *t, const struct live *l, const struct order *o, const char *filter)
{
	size_t n;
	int64_t now_ns = clock_wall_ns();
	struct fleet_node **sorted = top_sort(&l->fleet, o, filter, &n);
	for (size_t i = 0; i < n; i++)
		say_node(t, sorted[i], now_ns);
	free(sorted);
	fflush(stdout);
}

static void wait_for(const struct live *l, int64_t until_ns)
{
	int64_t left = until_ns - clock_mono_ns();
	struct pollfd p = {.fd = live_fd(l), .events = POLLIN};
	poll(&p, 1, left > 0 ? (int)(left / 1000000) + 1 : 0);
}

static void say_loss(const struct live *l, bool *told)
{
	if (l->lost_ns && !*told)
		complain("%s; trying again each second", l->why);
	else if (!l->lost_ns && *told)
		complain("the daemon is there again");
	*told = l->lost_ns != 0;
}

static int plain(struct live *l, const struct order *o, const char *filter, int64_t rounds)
{
	struct table *t = table_new(columns, l->v->format, table_flags(l->v, TABLE_STREAM));
	bool told = false;
	int64_t next_ns = 0, begun_ns = clock_mono_ns();
	while (!interrupt_came() && rounds) {
		wait_for(l, next_ns ? next_ns : clock_mono_ns() + 100000000);
		live_take(l);
		bool past = l->past_left && clock_mono_ns() < begun_ns + 1000000000;
		bool waits = !next_ns && !l->lost_ns && (!l->ready || past);
		if (waits || clock_mono_ns() < next_ns)
			continue;
		live_tick(l);
		say_loss(l, &told);
		if (!l->lost_ns) {
			say_all(t, l, o, filter);
			rounds -= rounds > 0;
		}
		next_ns = (next_ns ? next_ns : clock_mono_ns()) + 1000000000;
	}
	table_end(t);
	return DONE;
}

/* --- the command --- */

static bool take_rounds(const struct args *a, int64_t *ret)
{
	if (!a->flags[ROUNDS] || (!msg_parse_int(a->flags[ROUNDS], ret) && *ret > 0))
		return true;
	complain("--rounds is a number from 1");
	return false;
}

static bool can_draw(void)
{
	const char *term = getenv("TERM");
	return isatty(STDOUT_FILENO) && isatty(STDIN_FILENO) && term && *term && strcmp(term, "dumb");
}

struct showing {
	struct order order;
	const char *filter;
	int64_t rounds;
	bool lines;
};

/* What it subscribes to ends with its connection: a console's goes on. */
static int show(const struct vigia *v, const struct showing *s)
{
	struct vigia own = *v;
	struct live l;
	own.client = NULL;
	int r = vigia_connect(&own);
	if (r)
		return r;
	interrupt_catch();
	signal(SIGPIPE, SIG_DFL);
	live_open(&l, &own);
	r = s->lines ? plain(&l, &s->order, s->filter, s->rounds) : screen_run(&l, s->order, s->filter);
	live_close(&l);
	client_close(own.client);
	return r;
}

static int run(struct vigia *v, const struct args *a)
{
	struct order order = {.figure = BY_NAME};
	int64_t rounds = -1;
	const char *filter = a->flags[FILTER] ? a->flags[FILTER] : "";
	if (a->flags[SORT] && !order_parse(&order, a->flags[SORT])) {
		complain(
		    "--sort is node, state, cpu, load, memory, received, sent, read, written or temperature");
		return USAGE;
	}
	if (!take_rounds(a, &rounds))
		return USAGE;
	bool lines = !can_draw() || v->format != OUT_TABLE || a->flags[PLAIN] || rounds > 0;
	return show(v, &(struct showing){order, filter, rounds, lines});
}

const struct command top_command = {.name = "top",
    .words = "",
    .doc = "the nodes live, full screen; without a terminal as lines each second",
    .more = "  Keys are explained by h. Rates are computed from counters; networks and disks that only pass "
	    "on what\n"
	    "  others carry (loopback, bridges, partitions) are left out.\n",
    .flags = {{"sort", "COLUMN",
		  "node, state, cpu, load, memory, received, sent, read, written, temperature"},
	{"filter", "TEXT", "only nodes whose name holds it, or fits it with * and ?"},
	{"plain", NULL, "lines, though there is a terminal"},
	{"rounds", "N", "so many rounds of lines, then end"}},
    .alone = true,
    .run = run};
