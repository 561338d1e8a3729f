/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/row.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* --- decoding --- */

struct decoder {
	const char *start, *at, *end;
	const struct config *config;
	const struct value *before;
	bool full;
	size_t index; /* of the next value */
	struct row *row;
	const char *why;
};

static int bad(struct decoder *d, const char *why)
{
	d->why = why;
	return -EINVAL;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_text(const struct decoder *d)
{
	enum metric_type t = d->config->metrics[d->index].type;
	return t == METRIC_STATE || t == METRIC_TEXT;
}

static int digits(struct decoder *d, uint64_t *ret)
{
	if (d->at == d->end || !is_digit(*d->at))
		return bad(d, "digits expected");
	uint64_t n = 0;
	for (; d->at < d->end && is_digit(*d->at); d->at++) {
		if (n > (UINT64_MAX - 9) / 10)
			return bad(d, "number too large");
		n = n * 10 + (uint64_t)(*d->at - '0');
	}
	*ret = n;
	return 0;
}

static struct row_change *change(struct decoder *d, enum value_kind kind)
{
	struct row *r = d->row;
	if (r->n == r->size) {
		size_t size = r->size ? r->size * 2 : 64;
		struct row_change *more = realloc(r->changes, size * sizeof *more);
		if (!more)
			return NULL;
		r->changes = more;
		r->size = size;
	}
	r->changes[r->n] = (struct row_change){.index = (uint32_t)d->index, .kind = kind};
	d->index++;
	return &r->changes[r->n++];
}

static int put_number(struct decoder *d, int64_t number)
{
	struct row_change *c = change(d, VALUE_NUMBER);
	if (!c)
		return -ENOMEM;
	c->number = number;
	return 0;
}

static int take_number(struct decoder *d, bool negative)
{
	uint64_t n;
	int r = digits(d, &n);
	if (r)
		return r;
	if (is_text(d))
		return bad(d, "a text was announced here, not a number");
	if (n > (uint64_t)INT64_MAX + negative)
		return bad(d, "number too large");
	return put_number(d, negative ? (int64_t)(0 - n) : (int64_t)n);
}

static int take_plain(struct decoder *d)
{
	return take_number(d, false);
}

static int take_minus(struct decoder *d)
{
	d->at++;
	return take_number(d, true);
}

static int take_difference(struct decoder *d)
{
	bool less = *d->at++ == '~';
	uint64_t n;
	int r = digits(d, &n);
	if (r)
		return r;
	const struct value *v = &d->before[d->index];
	if (d->full || v->kind != VALUE_NUMBER)
		return bad(d, "a difference to no number");
	int64_t number;
	if (n > INT64_MAX || (less ? __builtin_sub_overflow(v->number, (int64_t)n, &number)
				   : __builtin_add_overflow(v->number, (int64_t)n, &number)))
		return bad(d, "number too large");
	return put_number(d, number);
}

static int take_unchanged(struct decoder *d)
{
	uint64_t n = 1;
	d->at++;
	if (d->at < d->end && is_digit(*d->at)) {
		int r = digits(d, &n);
		if (r)
			return r;
	}
	if (d->full)
		return bad(d, "nothing can be unchanged in a full row");
	if (!n)
		return bad(d, "unchanged zero times");
	if (n > d->config->n - d->index)
		return bad(d, "more values than the config has");
	d->index += n;
	return 0;
}

static int take_none(struct decoder *d)
{
	d->at++;
	return change(d, VALUE_NONE) ? 0 : -ENOMEM;
}

static int take_text(struct decoder *d)
{
	if (!is_text(d))
		return bad(d, "a number was announced here, not a text");
	struct buf *texts = &d->row->texts;
	size_t from = texts->len;
	for (d->at++; d->at < d->end && *d->at != '"'; d->at++) {
		if (*d->at == '\\' && ++d->at == d->end)
			break;
		if (!*d->at)
			return bad(d, "a zero byte in a text");
		buf_putc(texts, *d->at);
	}
	if (d->at == d->end)
		return bad(d, "text without its closing quote");
	d->at++;
	if (texts->len - from > VALUE_TEXT_MAX)
		return bad(d, "text longer than 1023 bytes");
	struct row_change *c = change(d, VALUE_TEXT);
	if (!c)
		return -ENOMEM;
	c->text = from;
	c->len = texts->len - from;
	buf_putc(texts, '\0');
	return 0;
}

typedef int take_fn(struct decoder *d);

static take_fn *const takes[256] = {
    ['0'... '9'] = take_plain,
    ['-'] = take_minus,
    ['+'] = take_difference,
    ['~'] = take_difference,
    ['.'] = take_unchanged,
    ['!'] = take_none,
    ['"'] = take_text,
};

static int take_all(struct decoder *d)
{
	for (;;) {
		while (d->at < d->end && (*d->at == ' ' || *d->at == '\n'))
			d->at++;
		if (d->at == d->end)
			return 0;
		take_fn *take = takes[(unsigned char)*d->at];
		if (!take)
			return bad(d, "not a value");
		if (d->index == d->config->n)
			return bad(d, "more values than the config has");
		int r = take(d);
		if (r)
			return r;
	}
}

int row_decode(struct row *r, const char *text, size_t len, const struct config *c, const struct value *before,
    bool full, const char **ret_why, size_t *ret_at)
{
	struct decoder d = {.start = text, .at = text, .end = text + len, .config = c, .before = before,
	    .full = full, .row = r};
	r->n = 0;
	buf_clear(&r->texts);
	int e = take_all(&d);
	while (!e && full && d.index < c->n)
		e = change(&d, VALUE_NONE) ? 0 : -ENOMEM;
	if (!e && r->texts.failed)
		e = -ENOMEM;
	if (e == -EINVAL) {
		*ret_why = d.why;
		*ret_at = (size_t)(d.at - d.start);
	}
	return e;
}

int row_apply(const struct row *r, struct value *values)
{
	int e = 0;
	for (size_t i = 0; i < r->n; i++) {
		const struct row_change *c = &r->changes[i];
		struct value *v = &values[c->index];
		if (v->kind == VALUE_TEXT)
			free(v->text);
		v->kind = c->kind;
		v->number = c->number;
		if (c->kind != VALUE_TEXT)
			continue;
		v->text = strdup(r->texts.data + c->text);
		if (!v->text) {
			v->kind = VALUE_NONE;
			e = -ENOMEM;
		}
	}
	return e;
}

void row_release(struct row *r)
{
	free(r->changes);
	buf_release(&r->texts);
	*r = (struct row){0};
}

/* --- encoding --- */

static void put_text(struct buf *out, const char *s)
{
	buf_putc(out, '"');
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			buf_putc(out, '\\');
		buf_putc(out, *s);
	}
	buf_putc(out, '"');
}

static void put_unchanged(struct buf *out, size_t run)
{
	buf_putc(out, '.');
	if (run > 1)
		buf_put_int(out, (int64_t)run);
}

static void put_absolute(struct buf *out, int64_t number)
{
	char last = out->len ? out->data[out->len - 1] : ' ';
	if (number >= 0 && (is_digit(last) || last == '.'))
		buf_putc(out, ' ');
	buf_put_int(out, number);
}

/* -INT64_MIN is no int64_t. */
static uint64_t magnitude(int64_t n)
{
	return n < 0 ? 0 - (uint64_t)n : (uint64_t)n;
}

/* A difference only pays when it is shorter than the number itself. */
static bool difference_pays(int64_t before, int64_t now, int64_t *ret_difference)
{
	return !__builtin_sub_overflow(now, before, ret_difference) &&
	    magnitude(*ret_difference) < magnitude(now) / 2;
}

static void put_number_after(struct buf *out, const struct value *before, int64_t now)
{
	int64_t difference;
	if (before && before->kind == VALUE_NUMBER && difference_pays(before->number, now, &difference)) {
		buf_putc(out, difference < 0 ? '~' : '+');
		buf_put_int(out, difference < 0 ? -difference : difference);
	} else {
		put_absolute(out, now);
	}
}

static void put_value(struct buf *out, const struct value *before, const struct value *now)
{
	switch (now->kind) {
	case VALUE_NONE:
		buf_putc(out, '!');
		break;
	case VALUE_NUMBER:
		put_number_after(out, before, now->number);
		break;
	case VALUE_TEXT:
		put_text(out, now->text);
		break;
	}
}

void row_encode(struct buf *out, const struct value *before, const struct value *now, size_t n)
{
	size_t run = 0;
	for (size_t i = 0; i < n; i++) {
		if (before && value_equal(&before[i], &now[i])) {
			run++;
			continue;
		}
		if (run)
			put_unchanged(out, run);
		run = 0;
		put_value(out, before ? &before[i] : NULL, &now[i]);
	}
}

/* --- in decimals --- */

static const uint64_t powers[METRIC_SCALE_MAX + 1] = {
    1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000, 1000000000};

static void format_number(struct buf *out, int64_t number, uint8_t scale)
{
	if (!scale) {
		buf_put_int(out, number);
		return;
	}
	uint64_t u = magnitude(number);
	buf_putf(out, "%s%llu.%0*llu", number < 0 ? "-" : "", (unsigned long long)(u / powers[scale]), scale,
	    (unsigned long long)(u % powers[scale]));
}

void row_format(struct buf *out, const struct value *v, const struct metric *m)
{
	if (v->kind == VALUE_NUMBER)
		format_number(out, v->number, m->scale);
	else if (v->kind == VALUE_TEXT)
		buf_puts(out, v->text);
}

static int parse_text(struct value *ret, const char *s, size_t len, const char **ret_why)
{
	if (len > VALUE_TEXT_MAX) {
		*ret_why = "text longer than 1023 bytes";
		return -EINVAL;
	}
	char *text = strndup(s, len);
	if (!text)
		return -ENOMEM;
	*ret = (struct value){.kind = VALUE_TEXT, .text = text};
	return 0;
}

static bool add_digit(uint64_t *n, char c)
{
	return !__builtin_mul_overflow(*n, 10u, n) && !__builtin_add_overflow(*n, (uint64_t)(c - '0'), n);
}

/* Digits with at most one point, as an integer at `scale`. */
static int parse_decimal(const char *s, const char *end, uint8_t scale, uint64_t *ret)
{
	uint64_t n = 0;
	int decimals = -1;
	bool any = false, up = false;
	for (; s < end; s++) {
		if (*s == '.' && decimals < 0) {
			decimals = 0;
			continue;
		}
		if (!is_digit(*s))
			return -EINVAL;
		any = true;
		if (decimals >= scale) {
			if (decimals++ == scale)
				up = *s >= '5';
			continue;
		}
		if (decimals >= 0)
			decimals++;
		if (!add_digit(&n, *s))
			return -ERANGE;
	}
	if (!any)
		return -EINVAL;
	for (int i = decimals < 0 ? 0 : decimals; i < scale; i++)
		if (!add_digit(&n, '0'))
			return -ERANGE;
	return __builtin_add_overflow(n, (uint64_t)up, ret) ? -ERANGE : 0;
}

int row_parse(struct value *ret, const char *s, size_t len, const struct metric *m, const char **ret_why)
{
	if (m->type == METRIC_STATE || m->type == METRIC_TEXT)
		return parse_text(ret, s, len, ret_why);
	bool negative = len && *s == '-';
	uint64_t n;
	int r = parse_decimal(s + negative, s + len, m->scale, &n);
	if (!r && n > (uint64_t)INT64_MAX + negative)
		r = -ERANGE;
	if (r) {
		*ret_why = r == -ERANGE ? "number too large" : "not a decimal number";
		return r;
	}
	*ret = (struct value){.kind = VALUE_NUMBER, .number = (int64_t)(negative ? 0 - n : n)};
	return 0;
}
