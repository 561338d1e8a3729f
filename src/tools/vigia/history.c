/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "os/clock.h"
#include "tools/vigia/rate.h"
#include "tools/vigia/text.h"

enum { FROM, TO, STEP, RAW, RATE }; /* flags */

/* Unless said: an hour, in so many steps of at least a second. */
enum { STEPS = 60, SPARK_MAX = 60 };
static const int64_t SECOND = 1000000000, HOUR = 3600000000000;

static const struct column raw_columns[] = {
    {"node", COLUMN_MACHINES},
    {"monitor", COLUMN_MACHINES},
    {"metric", COLUMN_MACHINES},
    {"unit", COLUMN_MACHINES},
    {"time"},
    {"value", COLUMN_NUMBER},
    {NULL},
};

static const struct column step_columns[] = {
    {"node", COLUMN_MACHINES},
    {"monitor", COLUMN_MACHINES},
    {"metric", COLUMN_MACHINES},
    {"unit", COLUMN_MACHINES},
    {"time"},
    {"mean", COLUMN_NUMBER},
    {"min", COLUMN_NUMBER},
    {"max", COLUMN_NUMBER},
    {"count", COLUMN_NUMBER, "SAMPLES"},
    {"value", COLUMN_MACHINES}, /* of a state or text, which have no mean */
    {NULL},
};

/* A step of a counter's rates under way. */
struct rates {
	struct rate last; /* the newest sample */
	int64_t begin_ns;
	double grown, seconds, least, most;
	int64_t n; /* 0: none under way */
};

/* A series under way: it may come in several answers. */
struct reading {
	struct vigia *v;
	bool raw, rate;
	struct counters counters;
	struct rates rates;
	int64_t from, to, step;
	struct table *table; /* of all that is asked; for people of this series */
	char node[64], monitor[64], metric[128], unit[128];
	double *line; /* what is charted */
	size_t line_n, line_size;
	size_t series;
};

/* States and texts have no mean: people see their values. */
static bool values_alone(const struct reading *r)
{
	return r->raw || (r->v->format == OUT_TABLE && r->series && !*r->unit);
}

static const struct column *columns_of(const struct reading *r)
{
	return values_alone(r) ? raw_columns : step_columns;
}

static double number(const char *s)
{
	return s ? strtod(s, NULL) : NAN;
}

/* --- the line above a series --- */

static void squeeze(const double *from, size_t n, double *to, size_t k)
{
	for (size_t i = 0; i < k; i++) {
		size_t first = i * n / k, last = (i + 1) * n / k;
		double sum = 0;
		for (size_t j = first; j < last; j++)
			sum += from[j];
		to[i] = sum / (double)(last - first);
	}
}

static void put_chart(struct buf *out, const struct reading *r)
{
	double chart[SPARK_MAX], low = NAN, high = NAN;
	size_t n = r->line_n < SPARK_MAX ? r->line_n : SPARK_MAX;
	squeeze(r->line, r->line_n, chart, n);
	for (size_t i = 0; i < r->line_n; i++) {
		low = fmin(low, r->line[i]);
		high = fmax(high, r->line[i]);
	}
	if (isnan(low))
		return;
	buf_puts(out, "  ");
	text_put_spark(out, chart, n, low, high);
	buf_putf(out, "  %.6g to %.6g", low, high);
}

static void say_series(struct reading *r)
{
	struct buf out = BUF_INIT;
	char name[300];
	if (!r->table || r->v->format != OUT_TABLE)
		return;
	snprintf(name, sizeof name, "%s/%s/%s", r->node, r->monitor, r->metric);
	if (r->series > 1)
		buf_putc(&out, '\n');
	size_t at = out.len;
	text_put(&out, name);
	struct buf bold = BUF_INIT;
	tone_put(&bold, TONE_HEAD, r->v->colour, out.data + at, out.len - at);
	out.len = at;
	buf_put(&out, bold.data, bold.len);
	if (*r->unit && strcmp(r->unit, "1") != 0) {
		buf_puts(&out, " in ");
		text_put(&out, r->unit);
	}
	if (r->v->terminal)
		put_chart(&out, r);
	puts(buf_str(&out));
	buf_release(&out);
	buf_release(&bold);
	table_end(r->table);
	r->table = NULL;
	r->line_n = 0;
}

static void chart(struct reading *r, double y)
{
	if (r->line_n == r->line_size) {
		size_t size = r->line_size ? r->line_size * 2 : 256;
		double *more = realloc(r->line, size * sizeof *more);
		if (!more)
			return;
		r->line = more;
		r->line_size = size;
	}
	r->line[r->line_n++] = y;
}

/* --- points --- */

static void begin_row(struct reading *r, int64_t time_ns)
{
	struct table *t = r->table;
	table_text(t, r->node);
	table_text(t, r->monitor);
	table_text(t, r->metric);
	table_text(t, *r->unit ? r->unit : NULL);
	table_time(t, time_ns);
}

static void put_point(struct reading *r, const struct msg *p)
{
	struct table *t = r->table;
	int64_t time_ns = 0;
	const char *value = msg_get(p, "v", NULL);
	msg_get_int(p, "t", &time_ns);
	begin_row(r, time_ns);
	if (values_alone(r)) {
		if (*r->unit)
			table_text(t, value);
		else
			table_string(t, value);
		chart(r, number(value));
		return;
	}
	table_text(t, msg_get(p, "mean", NULL));
	table_text(t, msg_get(p, "min", NULL));
	table_text(t, msg_get(p, "max", NULL));
	table_text(t, msg_get(p, "c", NULL));
	table_string(t, value);
	chart(r, number(msg_get(p, "mean", NULL)));
}

/* --- rates: of samples, gathered into steps here --- */

static void rate_cell(struct table *t, double y)
{
	struct buf b = BUF_INIT;
	rate_put(&b, y);
	table_text(t, buf_str(&b));
	buf_release(&b);
}

static void end_step(struct reading *r)
{
	const struct rates *s = &r->rates;
	if (!s->n)
		return;
	begin_row(r, s->begin_ns);
	rate_cell(r->table, s->grown / s->seconds);
	rate_cell(r->table, s->least);
	rate_cell(r->table, s->most);
	table_int(r->table, s->n);
	table_text(r->table, NULL);
	chart(r, s->grown / s->seconds);
	r->rates.n = 0;
}

static void gather(struct reading *r, double y)
{
	struct rates *s = &r->rates;
	int64_t begin_ns = s->last.time_ns - s->last.time_ns % r->step;
	if (s->n && begin_ns != s->begin_ns)
		end_step(r);
	if (!s->n)
		*s = (struct rates){.last = s->last, .begin_ns = begin_ns, .least = y, .most = y};
	s->grown += s->last.grown;
	s->seconds += s->last.seconds;
	s->least = fmin(s->least, y);
	s->most = fmax(s->most, y);
	s->n++;
}

static void put_rate(struct reading *r, const struct msg *p)
{
	int64_t time_ns = 0;
	msg_get_int(p, "t", &time_ns);
	double y = rate_take(&r->rates.last, time_ns, number(msg_get(p, "v", NULL)));
	if (isnan(y))
		return;
	if (!r->raw) {
		gather(r, y);
		return;
	}
	begin_row(r, time_ns);
	rate_cell(r->table, y);
	chart(r, y);
}

/* --- series --- */

static void end_series(struct reading *r)
{
	end_step(r);
	say_series(r);
}

static bool same(const struct reading *r, const struct msg *m)
{
	return r->series && !strcmp(r->node, msg_get(m, "node", "")) &&
	       !strcmp(r->monitor, msg_get(m, "monitor", "")) && !strcmp(r->metric, msg_get(m, "metric", ""));
}

static void begin(struct reading *r, const struct msg *m)
{
	end_series(r);
	r->rates = (struct rates){0};
	r->series++;
	snprintf(r->node, sizeof r->node, "%s", msg_get(m, "node", ""));
	snprintf(r->monitor, sizeof r->monitor, "%s", msg_get(m, "monitor", ""));
	snprintf(r->metric, sizeof r->metric, "%s", msg_get(m, "metric", ""));
	snprintf(r->unit, sizeof r->unit, "%s", msg_get(m, "unit", ""));
	if (r->rate)
		snprintf(r->unit, sizeof r->unit, "%s/s", msg_get(m, "unit", "1"));
}

static int on_series(void *data, const struct msg *m)
{
	struct reading *r = data;
	if (r->rate && !counters_have(&r->counters, msg_get(m, "monitor", ""), msg_get(m, "metric", "")))
		return 0;
	if (!same(r, m))
		begin(r, m);
	if (!r->table)
		r->table = table_new(columns_of(r), r->v->format, table_flags(r->v, 0));
	for (const struct msg *p = m->children; p; p = p->next)
		(r->rate ? put_rate : put_point)(r, p);
	return 0;
}

static int history(struct vigia *v, const struct path *p, void *data)
{
	struct reading *r = data;
	size_t before = r->series;
	int e = r->rate ? counters_ask(&r->counters, v, p) : DONE;
	if (e)
		return e;
	struct msg *q = vigia_query(v, "monitor", "history");
	path_set(p, q);
	msg_set_int(q, "from", r->from);
	msg_set_int(q, "to", r->to);
	if (!r->raw && !r->rate)
		msg_set_int(q, "step", r->step / 1000000);
	e = vigia_ask(v, q, on_series, r);
	if (e || r->series != before)
		return e;
	if (path_there(v, p))
		complain("nothing was kept of it in that time");
	return WRONG;
}

static bool take_options(struct reading *r, const struct args *a)
{
	r->to = clock_wall_ns();
	r->from = r->to - HOUR;
	if (!time_option(a, TO, &r->to) || !time_option(a, FROM, &r->from))
		return false;
	if (r->from >= r->to) {
		complain("--from must be before --to");
		return false;
	}
	int64_t steps = (r->to - r->from) / STEPS / SECOND;
	r->step = (steps ? steps : 1) * SECOND;
	r->raw = a->flags[RAW] != NULL;
	r->rate = a->flags[RATE] != NULL;
	if (!duration_option(a, STEP, &r->step))
		return false;
	if (r->raw && a->flags[STEP]) {
		complain("--raw is each sample, without steps: leave out --step");
		return false;
	}
	if (r->step < 1000000)
		complain("--step is at least 1ms");
	return r->step >= 1000000;
}

static int run(struct vigia *v, const struct args *a)
{
	struct reading r = {.v = v};
	if (!take_options(&r, a))
		return USAGE;
	int e = each_path(v, a, history, &r);
	end_series(&r);
	if (v->format != OUT_TABLE)
		end_document(v, r.table ? r.table : table_new(columns_of(&r), v->format, 0));
	counters_release(&r.counters);
	free(r.line);
	return e;
}

const struct command history_command = {.name = "history",
    .words = "NODE[/MONITOR[/METRIC]]...",
    .doc = "values as they were: mean, least and most of each step",
    .more = "  Alone the last hour in 60 steps. On a terminal each series is headed by a small chart of its "
	    "means.\n"
	    "  --rate reads each sample, so of long times ask few counters.\n",
    .flags = {{"from", "TIME", "not before this (-1h)"}, {"to", "TIME", "before this (now)"},
	{"step", "DURATION", "one line for so long"}, {"raw", NULL, "each sample instead"},
	{"rate", NULL, "of counters, what they grew a second"}},
    .words_min = 1,
    .words_max = -1,
    .completes = COMPLETE_PATHS,
    .run = run};
