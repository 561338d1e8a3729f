/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vigia/table.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/vigia/text.h"
#include "tools/vigia/when.h"

/* After so many rows the columns are as wide as they get; the rest need not be kept. */
enum { ROWS_KEPT = 20000, COLUMNS_MAX = 24 };

struct cell {
	char *text;
	enum tone tone;
};

struct table {
	const struct column *columns;
	size_t columns_n;
	enum out_format format;
	unsigned flags;
	struct cell *kept; /* of whole rows and the one under way */
	size_t kept_n, kept_size;
	size_t at;   /* column of the next cell */
	size_t said; /* cells of this row, for machines */
	size_t rows; /* given */
	bool headed;
	size_t widths[COLUMNS_MAX];
	struct buf line; /* JSON and CSV: the row under way */
};

static void no_memory(void)
{
	fputs("vigia: no memory\n", stderr);
	exit(1);
}

void tone_put(struct buf *out, enum tone tone, bool colour, const char *s, size_t n)
{
	static const char *const codes[] = {"", "\033[32m", "\033[33m", "\033[1;31m", "\033[2m", "\033[1m"};
	bool on = colour && tone != TONE_NONE;
	if (on)
		buf_puts(out, codes[tone]);
	buf_put(out, s, n);
	if (on)
		buf_puts(out, "\033[0m");
}

static void print(struct buf *b)
{
	if (b->failed)
		no_memory();
	if (b->len)
		fwrite(b->data, 1, b->len, stdout);
	buf_clear(b);
}

struct table *table_new(const struct column *columns, enum out_format format, unsigned flags)
{
	struct table *t = calloc(1, sizeof *t);
	if (!t)
		no_memory();
	*t = (struct table){.columns = columns, .format = format, .flags = flags};
	while (columns[t->columns_n].name)
		t->columns_n++;
	return t;
}

size_t table_rows(const struct table *t)
{
	return t->rows;
}

/* --- for people --- */

static const char *heading(const struct column *c, char *room, size_t size)
{
	if (c->heading)
		return c->heading;
	size_t i = 0;
	for (; c->name[i] && i + 1 < size; i++)
		room[i] = c->name[i] == '_' ? ' ' : (char)toupper((unsigned char)c->name[i]);
	room[i] = '\0';
	return room;
}

static bool for_people(const struct column *c)
{
	return !(c->flags & COLUMN_MACHINES);
}

static bool to_right(const struct column *c)
{
	return (c->flags & COLUMN_NUMBER) && !(c->flags & COLUMN_LEFT);
}

static void put_blanks(struct buf *out, size_t n)
{
	while (n--)
		buf_putc(out, ' ');
}

static bool last_shown(const struct table *t, size_t column)
{
	for (size_t i = column + 1; i < t->columns_n; i++)
		if (for_people(&t->columns[i]))
			return false;
	return true;
}

static void put_cell(struct table *t, size_t column, const struct cell *cell)
{
	size_t width = text_width(cell->text);
	size_t gap = t->widths[column] > width ? t->widths[column] - width : 0;
	bool right = to_right(&t->columns[column]);
	if (right)
		put_blanks(&t->line, gap);
	tone_put(&t->line, cell->tone, t->flags & TABLE_COLOUR, cell->text, strlen(cell->text));
	if (last_shown(t, column))
		return;
	put_blanks(&t->line, (right ? 0 : gap) + 2);
}

static void put_row(struct table *t, const struct cell *row)
{
	for (size_t i = 0; i < t->columns_n; i++)
		if (for_people(&t->columns[i]))
			put_cell(t, i, &row[i]);
	while (t->line.len && t->line.data[t->line.len - 1] == ' ')
		t->line.len--;
	buf_putc(&t->line, '\n');
	print(&t->line);
}

static void put_head(struct table *t)
{
	char rooms[COLUMNS_MAX][32];
	struct cell row[COLUMNS_MAX];
	if (t->headed || (t->flags & TABLE_NO_HEAD))
		return;
	t->headed = true;
	for (size_t i = 0; i < t->columns_n; i++) {
		row[i].text = (char *)(uintptr_t)heading(&t->columns[i], rooms[i], sizeof rooms[i]);
		row[i].tone = TONE_HEAD;
		if (text_width(row[i].text) > t->widths[i])
			t->widths[i] = text_width(row[i].text);
	}
	put_row(t, row);
}

static void say_kept(struct table *t)
{
	size_t whole = t->columns_n ? t->kept_n / t->columns_n : 0;
	if (whole)
		put_head(t);
	for (size_t i = 0; i < whole; i++)
		put_row(t, t->kept + i * t->columns_n);
	for (size_t i = 0; i < t->kept_n; i++)
		free(t->kept[i].text);
	t->kept_n = 0;
}

static void keep_cell(struct table *t, const char *text, enum tone tone)
{
	struct buf escaped = BUF_INIT;
	if (t->kept_n == t->kept_size) {
		t->kept_size = t->kept_size ? t->kept_size * 2 : 64;
		t->kept = realloc(t->kept, t->kept_size * sizeof *t->kept);
		if (!t->kept)
			no_memory();
	}
	text_put(&escaped, text);
	buf_puts(&escaped, "");
	size_t width = text_width(buf_str(&escaped));
	char *s = buf_take(&escaped);
	if (!s)
		no_memory();
	if (width > t->widths[t->at])
		t->widths[t->at] = width;
	t->kept[t->kept_n++] = (struct cell){s, tone};
}

/* --- for machines --- */

static void put_json(struct table *t, const struct column *c, unsigned flags, const char *value)
{
	buf_puts(&t->line, t->said ? ", " : "{");
	text_put_json(&t->line, c->name);
	buf_puts(&t->line, ": ");
	if (!value)
		buf_puts(&t->line, "null");
	else if (!(flags & COLUMN_NUMBER) || !text_put_number(&t->line, value))
		text_put_json(&t->line, value);
}

static void begin_json_row(struct table *t)
{
	if (!(t->flags & TABLE_STREAM))
		buf_puts(&t->line, t->rows ? ",\n " : "[");
}

static void put_csv_head(struct table *t)
{
	bool first = true;
	for (size_t i = 0; i < t->columns_n; i++) {
		if (t->columns[i].flags & COLUMN_PEOPLE)
			continue;
		buf_puts(&t->line, first ? "" : ",");
		text_put_csv(&t->line, t->columns[i].name);
		first = false;
	}
	buf_puts(&t->line, "\r\n");
	t->headed = true;
}

static void machine_cell(struct table *t, const struct column *c, unsigned flags, const char *value)
{
	if (t->format == OUT_CSV && !t->headed && !(t->flags & TABLE_NO_HEAD))
		put_csv_head(t);
	if (t->format == OUT_JSON) {
		if (!t->said)
			begin_json_row(t);
		put_json(t, c, flags, value);
		t->said++;
		return;
	}
	if (t->said++)
		buf_putc(&t->line, ',');
	if (value && !((flags & COLUMN_NUMBER) && text_put_number(&t->line, value)))
		text_put_csv(&t->line, value);
}

static void end_machine_row(struct table *t)
{
	if (t->format == OUT_JSON)
		buf_puts(&t->line, (t->flags & TABLE_STREAM) ? "}\n" : "}");
	else
		buf_puts(&t->line, "\r\n");
	print(&t->line);
}

/* --- both --- */

static void end_row(struct table *t)
{
	if (t->format != OUT_TABLE)
		end_machine_row(t);
	else if ((t->flags & TABLE_STREAM) || t->kept_n >= (size_t)ROWS_KEPT * t->columns_n)
		say_kept(t);
	if (t->flags & TABLE_STREAM)
		fflush(stdout);
	t->at = t->said = 0;
	t->rows++;
}

static void next_cell(struct table *t, unsigned flags, const char *value, const char *shown, enum tone tone)
{
	const struct column *c = &t->columns[t->at];
	if (t->format == OUT_TABLE)
		keep_cell(t, shown ? shown : value ? value : "-", tone);
	else if (!(c->flags & COLUMN_PEOPLE))
		machine_cell(t, c, flags, value);
	if (++t->at == t->columns_n)
		end_row(t);
}

void table_cell(struct table *t, const char *value, const char *shown, enum tone tone)
{
	next_cell(t, t->columns[t->at].flags, value, shown, tone);
}

void table_string(struct table *t, const char *value)
{
	next_cell(t, 0, value, NULL, TONE_NONE);
}

void table_text(struct table *t, const char *value)
{
	table_cell(t, value, NULL, TONE_NONE);
}

void table_int(struct table *t, int64_t n)
{
	char s[24];
	snprintf(s, sizeof s, "%lld", (long long)n);
	table_text(t, s);
}

void table_time(struct table *t, int64_t ns)
{
	struct buf utc = BUF_INIT, local = BUF_INIT;
	when_put_utc(&utc, ns);
	when_put(&local, ns);
	table_cell(t, ns > 0 ? buf_str(&utc) : NULL, ns > 0 ? buf_str(&local) : "-", TONE_NONE);
	buf_release(&utc);
	buf_release(&local);
}

void table_real(struct table *t, double n, int decimals, const char *shown, enum tone tone)
{
	char s[400];
	snprintf(s, sizeof s, "%.*f", decimals, n);
	table_cell(t, isfinite(n) ? s : NULL, isfinite(n) ? shown : "-", tone);
}

void table_end(struct table *t)
{
	if (t->format == OUT_TABLE)
		say_kept(t);
	if (t->format == OUT_CSV && !t->headed && !(t->flags & TABLE_NO_HEAD))
		put_csv_head(t);
	if (t->format == OUT_JSON && !(t->flags & TABLE_STREAM))
		buf_puts(&t->line, t->rows ? "]" : "[]");
	print(&t->line);
	buf_release(&t->line);
	free(t->kept);
	free(t);
}
