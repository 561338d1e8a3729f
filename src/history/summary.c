/* SPDX-License-Identifier: Apache-2.0 */
#include "history/summary.h"

double unscaled(double n, unsigned scale)
{
	static const double powers[] = {1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9};
	return n / powers[scale <= METRIC_SCALE_MAX ? scale : METRIC_SCALE_MAX];
}

static void put_json_string(struct buf *b, const char *s)
{
	buf_putc(b, '"');
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			buf_putc(b, '\\');
		if ((unsigned char)*s < ' ')
			buf_putf(b, "\\u%04x", *s);
		else
			buf_putc(b, *s);
	}
	buf_putc(b, '"');
}

static void put_number(struct buf *b, int64_t n, unsigned scale)
{
	if (scale)
		buf_putf(b, "%.12g", unscaled((double)n, scale));
	else
		buf_put_int(b, n);
}

struct spread {
	int64_t min, max;
	double sum;
	size_t n;
};

static struct spread spread_of(const struct series *s, size_t rows)
{
	struct spread spread = {.min = INT64_MAX, .max = INT64_MIN};
	for (size_t i = 0; i < rows; i++) {
		if (s->kinds && s->kinds[i] != VALUE_NUMBER)
			continue;
		int64_t n = s->numbers[i];
		spread.min = n < spread.min ? n : spread.min;
		spread.max = n > spread.max ? n : spread.max;
		spread.sum += (double)n;
		spread.n++;
	}
	return spread;
}

static void put_spread(struct buf *b, const struct spread *s, unsigned scale)
{
	double mean = s->sum / (double)s->n;
	buf_putf(b, "[%.8g,", unscaled(mean, scale));
	put_number(b, s->min, scale);
	buf_putc(b, ',');
	put_number(b, s->max, scale);
	buf_putf(b, ",%zu]", s->n);
}

static void put_element(struct buf *b, const struct metric *m, const struct series *s, size_t rows)
{
	struct spread spread = spread_of(s, rows);
	struct value last = series_value(s, rows - 1);
	if (spread.n == rows && spread.min == spread.max)
		put_number(b, spread.min, m->scale);
	else if (spread.n)
		put_spread(b, &spread, m->scale);
	else if (last.kind == VALUE_TEXT)
		put_json_string(b, last.text);
	else
		buf_puts(b, "null");
}

void summary_put(struct buf *b, const struct config *c, const struct table *t)
{
	buf_putc(b, '[');
	for (size_t i = 0; i < c->n && i < t->columns; i++) {
		if (i)
			buf_putc(b, ',');
		put_element(b, &c->metrics[i], &t->series[i], t->rows);
	}
	buf_putc(b, ']');
}
