/* SPDX-License-Identifier: Apache-2.0 */
/* One node: all that its monitors measure, what tells most first. */
#include <fnmatch.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tools/vigia/screen.h"
#include "tools/vigia/text.h"
#include "tools/vigia/values.h"

/* --- order --- */

/* What people look for first, in this order; all else comes after, by name. */
static const char *const telling[] = {"host/load/1min", "host/load/5min", "host/load/15min", "host/cpu/user",
    "host/cpu/system", "host/cpu/iowait", "host/cpu/steal", "host/cpu/idle", "host/memory/available",
    "host/memory/total", "host/pressure/*/some/10s", "host/swap/free", "temperature/temperature/*",
    "temperature/fan/*", "fs/fs/*/used", "*/state", "*/text", "fs/fs/*/available", "host/disk/*/read_bytes",
    "host/disk/*/write_bytes", "host/disk/*/io_time", "host/net/*/rx_bytes", "host/net/*/tx_bytes",
    "host/net/*/?x_errors", "host/net/*/?x_dropped", "*/perf/*", "host/kernel/*", "host/memory/*",
    "host/swap/*", "fs/*", "host/disk/*", "host/net/*", "temperature/*", "host/uptime/*", "host/pressure/*",
    "vigia/*"};
enum { TELLING = sizeof telling / sizeof *telling };

static const char *const order_names[] = {"most telling first", "by name", "what moves first"};

const char *host_order_name(void)
{
	return order_names[screen.host_order];
}

struct ranked {
	const struct live_metric *metric;
	double rank; /* the least first */
};

static double meaning(const struct live_metric *k)
{
	for (int i = 0; i < TELLING; i++)
		if (!fnmatch(telling[i], k->name, 0))
			return i;
	return TELLING;
}

/* How far the newest is from what it was, of all that it has been. */
static double stillness(const struct live_metric *k)
{
	double low = NAN, high = NAN, moved = 0;
	for (int i = 0; i < LIVE_PAST; i++) {
		double y = k->past[i], before = i ? k->past[i - 1] : NAN;
		low = fmin(low, y);
		high = fmax(high, y);
		if (!isnan(y) && !isnan(before))
			moved += fabs(y - before);
	}
	return high > low ? -moved / fmax(fabs(high), fabs(low)) : 1;
}

static double rank_of(const struct live_metric *k)
{
	return screen.host_order == BY_MEANING	? meaning(k)
	       : screen.host_order == BY_CHANGE ? stillness(k)
						: 0;
}

static int compare(const void *a, const void *b)
{
	const struct ranked *x = a, *y = b;
	int r = x->rank < y->rank ? -1 : x->rank > y->rank ? 1 : strverscmp(x->metric->name, y->metric->name);
	return screen.order.reverse ? -r : r;
}

/* The caller frees it. */
static struct ranked *sorted_lines(size_t *ret_n)
{
	const struct names *all = &screen.l->metrics;
	struct ranked *lines = calloc(all->n + 1, sizeof *lines);
	size_t n = 0;
	for (size_t i = 0; lines && i < all->n; i++) {
		const struct live_metric *k = all->things[i];
		if (filter_fits(screen.host_filter, k->name))
			lines[n++] = (struct ranked){k, rank_of(k)};
	}
	if (lines)
		qsort(lines, n, sizeof *lines, compare);
	*ret_n = n;
	return lines;
}

/* --- a metric --- */

static void put_number(struct buf *out, double y)
{
	buf_putf(out, fabs(y) < 100 ? "%.3g" : "%.0f", y);
}

static void put_unit(struct buf *out, const char *unit)
{
	const char *shown = !strcmp(unit, "Cel") ? (screen.l->v->unicode ? "\302\260C" : "C") : unit;
	if (*shown && strcmp(shown, "1"))
		buf_putf(out, " %s", shown);
}

/* Seconds a second are a share of the time. */
static void put_rate(struct buf *out, const struct live_metric *k)
{
	double rate = k->past[LIVE_PAST - 1];
	bool share = !strcmp(k->unit, "s"), bytes = !strcmp(k->unit, "By");
	if (isnan(rate)) {
		buf_putc(out, '-');
		return;
	}
	if (share)
		buf_putf(out, "%.1f %%", rate * 100);
	else if (bytes)
		text_put_bytes(out, rate);
	else
		put_number(out, rate);
	if (!share && !bytes)
		put_unit(out, k->unit);
	if (!share)
		buf_puts(out, "/s");
}

static void put_value(struct buf *out, const struct live_metric *k)
{
	if (!k->text)
		buf_putc(out, '-');
	else if (!strcmp(k->unit, "By"))
		text_put_bytes(out, k->value);
	else
		buf_puts(out, k->text);
	if (strcmp(k->unit, "By"))
		put_unit(out, k->unit);
}

/* A chart from its least to its most; what hardly moves is to look so: 2 % of it, or of a share 5 % of the
 * time, are the whole height at least. */
static void put_past(struct buf *out, const struct live_metric *k, size_t columns)
{
	double low = NAN, high = NAN;
	size_t n = columns < LIVE_PAST ? columns : LIVE_PAST;
	const double *past = k->past + LIVE_PAST - n;
	for (size_t i = 0; i < n; i++) {
		low = fmin(low, past[i]);
		high = fmax(high, past[i]);
	}
	if (isnan(high))
		return;
	low = k->counter && low > 0 ? 0 : low;
	double least = k->counter && !strcmp(k->unit, "s") ? 0.05 : 0.02 * fabs(high);
	text_put_spark(out, past, n, low, fmax(high, low + least));
}

/* --- columns --- */

/* With fewer lines there is neither a summary nor a heading of the columns. */
enum { SUMMARY_LINES = 10 };

enum { NOW_WIDTH = 14, TOTAL_WIDTH = 14, CHART_LEAST = 10 };

struct widths {
	int name, total, chart;
};

/* Names get the room that they need, before totals and long charts. */
static struct widths widths_of(const struct ranked *lines, size_t n)
{
	size_t longest = 6;
	for (size_t i = 0; i < n; i++) {
		size_t width = strlen(lines[i].metric->name);
		longest = width > longest ? width : longest;
	}
	int room = COLS - NOW_WIDTH, most = room - 2 - CHART_LEAST;
	struct widths w = {.name = (int)longest};
	if (w.name > most)
		w.name = most > 24 ? most : room;
	room -= w.name + 2;
	w.total = room >= TOTAL_WIDTH + 2 + 2 * CHART_LEAST ? TOTAL_WIDTH : 0;
	w.chart = room - (w.total ? w.total + 2 : 0);
	return w;
}

/* The end of a name tells more than its beginning. */
static int put_name(int y, int width, const char *name)
{
	char cut[256];
	size_t n = strlen(name);
	if (n <= (size_t)width || width < 4)
		return put(y, 0, width, false, 0, name);
	snprintf(cut, sizeof cut, "..%s", name + n - (size_t)width + 2);
	return put(y, 0, width, false, 0, cut);
}

static void draw_text(int y, int x, const struct live_metric *k)
{
	struct buf value = BUF_INIT;
	put_value(&value, k);
	if (text_width(buf_str(&value)) >= NOW_WIDTH)
		put(y, x + 2, COLS - x - 2, false, 0, buf_str(&value));
	else
		put(y, x, NOW_WIDTH, true, 0, buf_str(&value));
	buf_release(&value);
}

static void draw_metric(int y, const struct live_metric *k, const struct widths *w)
{
	struct buf now = BUF_INIT, past = BUF_INIT, total = BUF_INIT;
	int x = put_name(y, w->name, k->name);
	if (!*k->unit) {
		draw_text(y, x, k);
		return;
	}
	(k->counter ? put_rate : put_value)(&now, k);
	if (k->counter)
		put_value(&total, k);
	if (w->chart > 3)
		put_past(&past, k, (size_t)w->chart);
	x = put(y, x, NOW_WIDTH, true, 0, buf_str(&now)) + 2;
	x = put(y, x, w->chart, false, attributes(TONE_GOOD), buf_str(&past));
	if (w->total)
		put(y, x + 2, w->total, true, attributes(TONE_DIM), buf_str(&total));
	buf_release(&now);
	buf_release(&past);
	buf_release(&total);
}

/* Which of how many stand there is said where there is room for it. */
static void draw_columns(int y, const struct widths *w, size_t first, size_t shown, size_t all)
{
	char which[100], chart[120] = "";
	snprintf(which, sizeof which, "%zu to %zu of %zu, %s", all ? first + 1 : 0, first + shown, all,
	    host_order_name());
	int x = put(y, 0, w->name, false, A_BOLD, "METRIC");
	if ((int)strlen(which) + 8 <= w->name)
		put(y, 8, w->name - 8, false, 0, which);
	else if ((int)strlen(which) + 18 <= w->chart)
		snprintf(chart, sizeof chart, "LAST 60 PERIODS   %s", which);
	if (!*chart && w->chart >= 15)
		snprintf(chart, sizeof chart, "LAST 60 PERIODS");
	x = put(y, x, NOW_WIDTH, true, A_BOLD, "NOW") + 2;
	x = put(y, x, w->chart, false, A_BOLD, chart);
	if (w->total)
		put(y, x + 2, w->total, true, A_BOLD, "TOTAL");
}

/* --- the whole --- */

static void put_facts(struct buf *out, const struct fleet_node *n)
{
	buf_putf(out, "%s is %s", n->name, n->state);
	if (*n->reason)
		buf_putf(out, " (%s)", n->reason);
	if (n->since_ns) {
		buf_puts(out, " for ");
		put_age(out, n->since_ns);
	}
	if (n->processors)
		buf_putf(out, "; %lld processor%s", (long long)n->processors, n->processors == 1 ? "" : "s");
	if (*n->system)
		buf_putf(out, "; %s", n->system);
}

static void draw_host_title(const struct fleet_node *n)
{
	struct buf b = BUF_INIT;
	if (n)
		put_facts(&b, n);
	else
		buf_putf(&b, "%s: there is no such node any more", screen.l->host);
	put_line(heading_line(), n ? attributes(state_tone(n->state)) : 0, buf_str(&b));
	buf_release(&b);
}

static void draw_summary(int y, const struct fleet_node *n)
{
	int bar = COLS >= 80 ? 20 : COLS >= 50 ? 6 : 0;
	int x = put(y, 0, 4, false, A_BOLD, "CPU");
	x = bar ? draw_bar(y, x, node_cpu(n) / 100, bar, attributes(figures[0].tone(n))) : x;
	x = draw_figure(y, x, n, &figures[0], 0);
	x = put(y, x, 6, true, A_BOLD, "MEM");
	x = bar ? draw_bar(y, x, node_memory(n) / 100, bar, attributes(figures[2].tone(n))) : x;
	x = draw_figure(y, x, n, &figures[2], 0);
	x = put(y, x, 7, true, A_BOLD, "LOAD");
	draw_figure(y, x, n, &figures[1], 0);
}

/* Draws as many as fit from screen.metric on. */
static void draw_metrics(int y, size_t room)
{
	size_t n;
	struct ranked *lines = sorted_lines(&n);
	if (screen.metric + room > n)
		screen.metric = n > room ? n - room : 0;
	size_t shown = n - screen.metric < room ? n - screen.metric : room;
	struct widths w = widths_of(lines + screen.metric, lines ? shown : 0);
	if (LINES >= SUMMARY_LINES)
		draw_columns(y - 1, &w, screen.metric, shown, n);
	for (size_t i = 0; lines && i < shown; i++)
		draw_metric(y + (int)i, lines[screen.metric + i].metric, &w);
	if (!n)
		put_line(
		    y, 0, screen.l->metrics.n ? "No metric fits the filter." : "Nothing was measured yet.");
	free(lines);
}

void draw_host(void)
{
	const struct fleet_node *n = names_find(&screen.l->fleet.nodes, screen.l->host);
	int extra = LINES >= SUMMARY_LINES ? 2 : 0;
	int room = body_lines() - extra;
	draw_host_title(n);
	if (n && extra)
		draw_summary(body_first(), n);
	draw_metrics(body_first() + extra, room > 0 ? (size_t)room : 0);
}
