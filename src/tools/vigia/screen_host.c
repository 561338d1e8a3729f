/* SPDX-License-Identifier: Apache-2.0 */
/* One node: all that its monitors measure. */
#include <math.h>
#include <string.h>

#include "tools/vigia/screen.h"
#include "tools/vigia/text.h"
#include "tools/vigia/values.h"

static double last_of(const struct live_metric *k)
{
	return k->past[LIVE_PAST - 1];
}

static void put_rate(struct buf *out, const struct live_metric *k)
{
	double rate = last_of(k);
	bool bytes = !strcmp(k->unit, "By");
	if (isnan(rate))
		return;
	if (bytes)
		text_put_bytes(out, rate);
	else
		buf_putf(out, fabs(rate) < 100 ? "%.3g" : "%.0f", rate);
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
	if (*k->unit && strcmp(k->unit, "1") && strcmp(k->unit, "By"))
		buf_putf(out, " %s", k->unit);
}

static void put_past(struct buf *out, const struct live_metric *k, size_t columns)
{
	double low = NAN, high = NAN;
	size_t n = columns < LIVE_PAST ? columns : LIVE_PAST;
	const double *past = k->past + LIVE_PAST - n;
	for (size_t i = 0; i < n; i++) {
		low = fmin(low, past[i]);
		high = fmax(high, past[i]);
	}
	if (!isnan(high))
		text_put_spark(out, past, n, k->counter && low > 0 ? 0 : low, high);
}

static void draw_metric(int y, const struct live_metric *k)
{
	struct buf value = BUF_INIT, rate = BUF_INIT, past = BUF_INIT;
	int name = COLS < 80 ? COLS / 2 : 36;
	int chart = COLS - name - 34;
	put_value(&value, k);
	if (k->counter)
		put_rate(&rate, k);
	if (chart > 3 && *k->unit)
		put_past(&past, k, (size_t)chart);
	int x = put(y, 0, name, false, 0, k->name);
	x = put(y, x, 18, true, 0, buf_str(&value));
	x = put(y, x, 13, true, attributes(TONE_DIM), buf_str(&rate));
	x = put(y, x, 2, false, 0, "");
	put(y, x, chart, false, attributes(TONE_GOOD), buf_str(&past));
	buf_release(&value);
	buf_release(&rate);
	buf_release(&past);
}

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
		buf_putf(out, "; %lld processors", (long long)n->processors);
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
	put_line(2, n ? attributes(state_tone(n->state)) : 0, buf_str(&b));
	buf_release(&b);
}

static void draw_summary(int y, const struct fleet_node *n)
{
	int x = put(y, 0, 4, false, A_BOLD, "CPU");
	x = draw_bar(y, x, node_cpu(n) / 100, 20, attributes(figures[0].tone(n)));
	x = draw_figure(y, x, n, &figures[0], 0);
	x = put(y, x, 8, true, A_BOLD, "MEM");
	x = draw_bar(y, x, node_memory(n) / 100, 20, attributes(figures[2].tone(n)));
	x = draw_figure(y, x, n, &figures[2], 0);
	x = put(y, x, 8, true, A_BOLD, "LOAD");
	draw_figure(y, x, n, &figures[1], 0);
}

static size_t fitting_metrics(void)
{
	size_t n = 0;
	for (size_t i = 0; i < screen.l->metrics.n; i++)
		n += filter_fits(
		    screen.host_filter, ((struct live_metric *)screen.l->metrics.things[i])->name);
	return n;
}

static void draw_metrics(int y, int lines)
{
	size_t skip = screen.metric;
	for (size_t i = 0; lines > 0 && i < screen.l->metrics.n; i++) {
		const struct live_metric *k = screen.l->metrics.things[i];
		if (!filter_fits(screen.host_filter, k->name))
			continue;
		if (skip) {
			skip--;
			continue;
		}
		draw_metric(y++, k);
		lines--;
	}
}

void draw_host(void)
{
	const struct fleet_node *n = names_find(&screen.l->fleet.nodes, screen.l->host);
	size_t all = fitting_metrics(), lines = body_lines() > 1 ? (size_t)body_lines() - 1 : 0;
	if (screen.metric + lines > all)
		screen.metric = all > lines ? all - lines : 0;
	draw_host_title(n);
	if (n)
		draw_summary(3, n);
	draw_metrics(4, (int)lines);
	if (!all)
		put_line(
		    4, 0, screen.l->metrics.n ? "No metric fits the filter." : "Nothing was measured yet.");
}
