/* SPDX-License-Identifier: Apache-2.0 */
#include "history/chunk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "history/column.h"

enum { VERSION = 1, HAS_MARKS = 1, HAS_TEXTS = 2, TIMES = 0, SEQUENCES = 1, FIRST = 2 };

/* --- series and tables --- */

void series_release(struct series *s)
{
	for (size_t i = 0; i < s->texts_n; i++)
		free(s->texts[i]);
	free(s->numbers);
	free(s->kinds);
	free(s->text_of);
	free(s->texts);
	*s = (struct series){0};
}

struct value series_value(const struct series *s, size_t row)
{
	struct value v = {.kind = s->kinds ? (enum value_kind)s->kinds[row] : VALUE_NUMBER};
	if (v.kind == VALUE_TEXT)
		v.text = s->texts[s->text_of[row]];
	else
		v.number = s->numbers[row];
	return v;
}

void table_release(struct table *t)
{
	for (size_t i = 0; t->series && i < t->columns; i++)
		series_release(&t->series[i]);
	free(t->times);
	free(t->sequences);
	free(t->series);
	*t = (struct table){0};
}

int table_init(struct table *t, size_t rows, size_t columns)
{
	if (!rows || rows > CHUNK_ROWS_MAX || columns > METRICS_MAX * CHUNK_PARTS_MAX ||
	    rows * columns > CHUNK_CELLS_MAX)
		return -E2BIG;
	*t = (struct table){
	    .rows = rows,
	    .columns = columns,
	    .times = malloc(rows * sizeof *t->times),
	    .sequences = malloc(rows * sizeof *t->sequences),
	    .series = calloc(columns + 1, sizeof *t->series),
	};
	bool failed = !t->times || !t->sequences || !t->series;
	for (size_t i = 0; !failed && i < columns; i++)
		failed = !(t->series[i].numbers = malloc(rows * sizeof *t->series[i].numbers));
	if (failed)
		table_release(t);
	return failed ? -ENOMEM : 0;
}

static int series_needs_kinds(struct series *s, size_t rows)
{
	if (!s->kinds) {
		s->kinds = malloc(rows);
		if (!s->kinds)
			return -ENOMEM;
		memset(s->kinds, VALUE_NUMBER, rows);
	}
	return 0;
}

static int series_add_text(struct series *s, size_t rows, size_t row, const char *text)
{
	if (!s->text_of) {
		s->text_of = calloc(rows, sizeof *s->text_of);
		s->texts = calloc(rows, sizeof *s->texts);
		if (!s->text_of || !s->texts)
			return -ENOMEM;
	}
	size_t i = 0;
	while (i < s->texts_n && strcmp(s->texts[i], text))
		i++;
	if (i == s->texts_n) {
		s->texts[i] = strdup(text);
		if (!s->texts[i])
			return -ENOMEM;
		s->texts_n++;
	}
	s->text_of[row] = (uint32_t)i;
	return 0;
}

static int table_set(struct table *t, size_t row, const struct row_state *s)
{
	t->times[row] = s->place.time_ns;
	t->sequences[row] = (int64_t)s->place.at.sequence;
	for (size_t i = 0; i < t->columns; i++) {
		struct series *column = &t->series[i];
		column->numbers[row] = s->numbers[i];
		if (s->kinds[i] == VALUE_NUMBER)
			continue;
		int e = series_needs_kinds(column, t->rows);
		if (e)
			return e;
		column->kinds[row] = s->kinds[i] == VALUE_TEXT ? VALUE_TEXT : VALUE_NONE;
		if (s->kinds[i] == VALUE_TEXT)
			e = series_add_text(column, t->rows, row, s->texts[i]);
		if (e)
			return e;
	}
	return 0;
}

int table_from_rows(struct table *ret, struct bytes rows, size_t n)
{
	struct row_state s = {0};
	struct table t = {0};
	int e = n ? 0 : -EBADMSG;
	for (size_t row = 0; !e && row < n; row++) {
		struct bytes one = get_bytes(&rows, get_varint(&rows));
		e = rows.bad ? -EBADMSG : row_unpack(one, &s);
		if (!e && !row)
			e = table_init(&t, n, s.place.n);
		if (!e)
			e = s.place.n == t.columns ? table_set(&t, row, &s) : -EBADMSG;
	}
	row_state_release(&s);
	if (e)
		table_release(&t);
	else
		*ret = t;
	return e;
}

/* --- packing --- */

struct packer {
	struct buf directory, bodies;
	struct columns known;
	size_t rows;
};

static int pack_small(struct packer *p, const int64_t *x)
{
	struct columns none = {0};
	int e = column_pack(&p->bodies, &none, 0, x, p->rows);
	columns_release(&none);
	return e;
}

static int pack_marks(struct packer *p, const uint8_t *kinds)
{
	int64_t *x = malloc(p->rows * sizeof *x);
	if (!x)
		return -ENOMEM;
	for (size_t i = 0; i < p->rows; i++)
		x[i] = kinds[i];
	int e = pack_small(p, x);
	free(x);
	return e;
}

static int pack_texts(struct packer *p, const struct series *s)
{
	put_varint(&p->bodies, s->texts_n);
	for (size_t i = 0; i < s->texts_n; i++) {
		size_t n = strlen(s->texts[i]);
		put_varint(&p->bodies, n);
		buf_put(&p->bodies, s->texts[i], n);
	}
	int64_t *x = malloc(p->rows * sizeof *x);
	if (!x)
		return -ENOMEM;
	for (size_t i = 0; i < p->rows; i++)
		x[i] = s->text_of[i];
	int e = pack_small(p, x);
	free(x);
	return e;
}

static int pack_column(struct packer *p, uint32_t index, const int64_t *x, unsigned flags)
{
	size_t begin = p->bodies.len;
	int e = column_pack(&p->bodies, &p->known, index, x, p->rows);
	put_varint(&p->directory, (p->bodies.len - begin) * 4 + flags);
	return e;
}

static int pack_series(struct packer *p, uint32_t index, const struct series *s)
{
	int e = pack_column(p, index, s->numbers, (s->kinds ? HAS_MARKS : 0) | (s->text_of ? HAS_TEXTS : 0));
	size_t begin = p->bodies.len;
	if (!e && s->kinds) {
		e = pack_marks(p, s->kinds);
		put_varint(&p->directory, p->bodies.len - begin);
		begin = p->bodies.len;
	}
	if (!e && s->text_of) {
		e = pack_texts(p, s);
		put_varint(&p->directory, p->bodies.len - begin);
	}
	return e;
}

int chunk_pack(struct buf *b, const struct table *t)
{
	struct packer p = {.rows = t->rows};
	buf_putc(&p.directory, VERSION);
	put_varint(&p.directory, t->rows);
	put_varint(&p.directory, t->columns);
	int e = pack_column(&p, TIMES, t->times, 0);
	if (!e)
		e = pack_column(&p, SEQUENCES, t->sequences, 0);
	for (size_t i = 0; !e && i < t->columns; i++)
		e = pack_series(&p, (uint32_t)i + FIRST, &t->series[i]);
	buf_put(b, p.directory.data, p.directory.len);
	buf_put(b, p.bodies.data, p.bodies.len);
	if (p.directory.failed || p.bodies.failed || b->failed)
		e = -ENOMEM;
	buf_release(&p.directory);
	buf_release(&p.bodies);
	columns_release(&p.known);
	return e;
}

/* --- unpacking --- */

void chunk_release(struct chunk *c)
{
	free(c->parts);
	*c = (struct chunk){0};
}

/* The lengths come first, the bytes after: so the parts are given lengths from `at` on in a second walk. */
static int read_directory(struct chunk *c, struct bytes *b)
{
	struct bytes lengths = *b;
	for (size_t i = 0; i < c->columns + FIRST; i++) {
		uint64_t head = get_varint(b);
		for (unsigned flags = head & 3; flags; flags &= flags - 1)
			get_varint(b);
	}
	for (size_t i = 0; i < c->columns + FIRST; i++) {
		struct chunk_part *part = &c->parts[i];
		uint64_t head = get_varint(&lengths);
		uint64_t marks = head & HAS_MARKS ? get_varint(&lengths) : 0;
		uint64_t texts = head & HAS_TEXTS ? get_varint(&lengths) : 0;
		part->numbers = get_bytes(b, head / 4);
		if (head & HAS_MARKS)
			part->marks = get_bytes(b, marks);
		if (head & HAS_TEXTS)
			part->texts = get_bytes(b, texts);
		if (head & HAS_TEXTS && !(head & HAS_MARKS))
			b->bad = true;
	}
	return b->bad ? -EBADMSG : 0;
}

int chunk_open(struct chunk *ret, struct bytes b)
{
	struct chunk c = {0};
	uint8_t version = get_byte(&b);
	uint64_t rows = get_varint(&b), columns = get_varint(&b);
	if (b.bad || version != VERSION || !rows || rows > CHUNK_ROWS_MAX ||
	    columns > METRICS_MAX * CHUNK_PARTS_MAX || rows * columns > CHUNK_CELLS_MAX ||
	    columns > bytes_left(&b))
		return -EBADMSG;
	c.rows = rows;
	c.columns = columns;
	c.parts = calloc(columns + FIRST, sizeof *c.parts);
	if (!c.parts)
		return -ENOMEM;
	int e = read_directory(&c, &b);
	if (e)
		chunk_release(&c);
	else
		*ret = c;
	return e;
}

static int unpack_numbers(const struct chunk *c, size_t index, int64_t **ret)
{
	int64_t base = column_base(c->parts[index].numbers);
	if (base < -1 || base >= (int64_t)index)
		return -EBADMSG;
	int64_t *like = NULL, *x = malloc(c->rows * sizeof *x);
	int e = x ? 0 : -ENOMEM;
	if (!e && base >= 0) {
		/* A base has none itself, or bytes made for it would have us go down without end. */
		e = column_base(c->parts[base].numbers) == -1 ? unpack_numbers(c, (size_t)base, &like)
							      : -EBADMSG;
	}
	if (!e)
		e = column_unpack(c->parts[index].numbers, like, x, c->rows);
	free(like);
	if (e)
		free(x);
	else
		*ret = x;
	return e;
}

int chunk_times(const struct chunk *c, int64_t **ret)
{
	return unpack_numbers(c, TIMES, ret);
}

int chunk_sequences(const struct chunk *c, int64_t **ret)
{
	return unpack_numbers(c, SEQUENCES, ret);
}

static int unpack_small(const struct chunk *c, struct bytes packed, int64_t max, int64_t **ret)
{
	int64_t *x = malloc(c->rows * sizeof *x);
	int e = x ? column_unpack(packed, NULL, x, c->rows) : -ENOMEM;
	for (size_t i = 0; !e && i < c->rows; i++)
		if (x[i] < 0 || x[i] > max)
			e = -EBADMSG;
	if (e)
		free(x);
	else
		*ret = x;
	return e;
}

static int unpack_marks(const struct chunk *c, const struct chunk_part *part, struct series *s)
{
	int64_t *x;
	int e = unpack_small(c, part->marks, part->texts.at ? VALUE_TEXT : VALUE_NUMBER, &x);
	if (e)
		return e;
	s->kinds = malloc(c->rows);
	for (size_t i = 0; s->kinds && i < c->rows; i++)
		s->kinds[i] = (uint8_t)x[i];
	free(x);
	return s->kinds ? 0 : -ENOMEM;
}

static int unpack_dictionary(const struct chunk *c, struct bytes *b, struct series *s)
{
	uint64_t n = get_varint(b);
	if (b->bad || !n || n > c->rows || n > bytes_left(b))
		return -EBADMSG;
	s->texts = calloc(n, sizeof *s->texts);
	if (!s->texts)
		return -ENOMEM;
	for (; s->texts_n < n; s->texts_n++) {
		struct bytes text = get_bytes(b, get_varint(b));
		if (b->bad || bytes_left(&text) > VALUE_TEXT_MAX)
			return -EBADMSG;
		s->texts[s->texts_n] = strndup((const char *)text.at, bytes_left(&text));
		if (!s->texts[s->texts_n])
			return -ENOMEM;
	}
	return 0;
}

static int unpack_texts(const struct chunk *c, struct bytes b, struct series *s)
{
	int64_t *x;
	int e = unpack_dictionary(c, &b, s);
	if (!e)
		e = unpack_small(c, b, (int64_t)s->texts_n - 1, &x);
	if (e)
		return e;
	s->text_of = malloc(c->rows * sizeof *s->text_of);
	for (size_t i = 0; s->text_of && i < c->rows; i++)
		s->text_of[i] = (uint32_t)x[i];
	free(x);
	return s->text_of ? 0 : -ENOMEM;
}

int chunk_series(const struct chunk *c, size_t column, struct series *ret)
{
	if (column >= c->columns)
		return -EBADMSG;
	const struct chunk_part *part = &c->parts[column + FIRST];
	struct series s = {0};
	int e = unpack_numbers(c, column + FIRST, &s.numbers);
	if (!e && part->marks.at)
		e = unpack_marks(c, part, &s);
	if (!e && part->texts.at)
		e = unpack_texts(c, part->texts, &s);
	if (e)
		series_release(&s);
	else
		*ret = s;
	return e;
}

int chunk_table(const struct chunk *c, struct table *ret)
{
	struct table t = {.rows = c->rows, .columns = c->columns};
	t.series = calloc(c->columns + 1, sizeof *t.series);
	int e = t.series ? chunk_times(c, &t.times) : -ENOMEM;
	if (!e)
		e = chunk_sequences(c, &t.sequences);
	for (size_t i = 0; !e && i < c->columns; i++)
		e = chunk_series(c, i, &t.series[i]);
	if (e)
		table_release(&t);
	else
		*ret = t;
	return e;
}
