/* SPDX-License-Identifier: Apache-2.0 */
#include "services/health/recent.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "proto/row.h"

enum { ROWS_MAX = 64, BYTES_MAX = 128 * 1024 };

struct entry {
	struct recent_row row;
	char *text;
};

/* A config and values of it, to which rows are applied. */
struct base {
	struct config *config;
	struct value *values;
};

struct recent {
	struct entry rows[ROWS_MAX];
	unsigned first, n;
	size_t bytes;
	struct base base; /* as they were before the oldest row */
	struct history_position before;
	struct row row;
};

static void base_release(struct base *b)
{
	if (b->config)
		values_clear(b->values, b->config->n);
	free(b->values);
	config_unref(b->config);
	*b = (struct base){0};
}

static int base_follow(struct base *b, struct config *config)
{
	if (b->config == config)
		return 0;
	base_release(b);
	b->values = calloc(config->n, sizeof *b->values);
	if (!b->values)
		return -ENOMEM;
	b->config = config_ref(config);
	return 0;
}

static int base_apply(struct base *b, struct row *row, const struct recent_row *r)
{
	const char *why;
	size_t at;
	int e = base_follow(b, r->config);
	if (!e)
		e = row_decode(row, r->text, r->len, b->config, b->values, r->full, &why, &at);
	return e ? e : row_apply(row, b->values);
}

static int base_copy(struct base *to, const struct base *from)
{
	int e = from->config ? base_follow(to, from->config) : 0;
	for (size_t i = 0; !e && from->config && i < from->config->n; i++)
		e = value_copy(&to->values[i], &from->values[i]);
	return e;
}

struct recent *recent_new(struct history_position before)
{
	struct recent *r = calloc(1, sizeof *r);
	if (r)
		r->before = before;
	return r;
}

static struct entry *entry_at(struct recent *r, unsigned i)
{
	return &r->rows[(r->first + i) % ROWS_MAX];
}

static void entry_release(struct entry *e)
{
	config_unref(e->row.config);
	free(e->text);
	*e = (struct entry){0};
}

static void empty(struct recent *r)
{
	for (unsigned i = 0; i < r->n; i++)
		entry_release(entry_at(r, i));
	r->n = 0;
	r->bytes = 0;
	r->before = (struct history_position){0};
	base_release(&r->base);
}

void recent_free(struct recent *r)
{
	if (!r)
		return;
	empty(r);
	row_release(&r->row);
	free(r);
}

static int drop_oldest(struct recent *r)
{
	struct entry *e = entry_at(r, 0);
	int error = base_apply(&r->base, &r->row, &e->row);
	r->before = e->row.at;
	r->bytes -= e->row.len;
	entry_release(e);
	r->first = (r->first + 1) % ROWS_MAX;
	r->n--;
	return error;
}

static int put(struct recent *r, const struct recent_row *row)
{
	int error = 0;
	while (!error && r->n && (r->n == ROWS_MAX || r->bytes + row->len > BYTES_MAX))
		error = drop_oldest(r);
	if (error)
		return error;
	struct entry *e = entry_at(r, r->n);
	e->text = malloc(row->len + 1);
	if (!e->text)
		return -ENOMEM;
	memcpy(e->text, row->text, row->len);
	e->row = *row;
	e->row.text = e->text;
	e->row.config = config_ref(row->config);
	r->bytes += row->len;
	r->n++;
	return 0;
}

int recent_put(struct recent *r, struct config *config, struct history_position at, int64_t time_ns, bool full,
    const char *text, size_t len, const struct value *now)
{
	struct recent_row row = {config, at, time_ns, full, text, len};
	struct buf whole = BUF_INIT;
	if (!r->n && !full) {
		row_encode(&whole, NULL, now, config->n);
		row.full = true;
		row.text = buf_str(&whole);
		row.len = whole.len;
	}
	int e = whole.failed ? -ENOMEM : put(r, &row);
	if (e)
		empty(r);
	buf_release(&whole);
	return e;
}

struct history_position recent_before(const struct recent *r)
{
	return r->before;
}

struct history_position recent_last(const struct recent *r)
{
	return r->n ? r->rows[(r->first + r->n - 1) % ROWS_MAX].row.at : (struct history_position){0};
}

static int give_full(const struct base *b, const struct recent_row *row, recent_fn *fn, void *data)
{
	struct buf text = BUF_INIT;
	row_encode(&text, NULL, b->values, b->config->n);
	struct recent_row whole = *row;
	whole.full = true;
	whole.text = text.len ? text.data : "";
	whole.len = text.len;
	int r = text.failed ? -ENOMEM : fn(data, &whole);
	buf_release(&text);
	return r;
}

int recent_read(struct recent *r, struct history_position after, bool begin_full, recent_fn *fn, void *data)
{
	struct base b = {0};
	int e = begin_full ? base_copy(&b, &r->base) : 0;
	for (unsigned i = 0; !e && i < r->n; i++) {
		const struct recent_row *row = &entry_at(r, i)->row;
		if (begin_full)
			e = base_apply(&b, &r->row, row);
		if (e || !position_after(row->at, after))
			continue;
		e = begin_full && !row->full ? give_full(&b, row, fn, data) : fn(data, row);
		begin_full = false;
	}
	base_release(&b);
	return e;
}
