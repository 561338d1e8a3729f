/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of cells on standard output: aligned for people, or as JSON, or as CSV. What a command says is said
 * once, by its columns. Rows are given cell by cell, in the columns' order.
 *
 * As a stream each row leaves at once: JSON is a line a row then, and columns are as wide as they have been.
 */
#ifndef VIGIA_TOOLS_TABLE_H
#define VIGIA_TOOLS_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

enum out_format { OUT_TABLE, OUT_JSON, OUT_CSV };

enum tone { TONE_NONE, TONE_GOOD, TONE_WARN, TONE_BAD, TONE_DIM, TONE_HEAD };

enum column_flags {
	COLUMN_NUMBER = 1,   /* in JSON a number where it is one; for people to the right */
	COLUMN_MACHINES = 2, /* not for people */
	COLUMN_PEOPLE = 4,   /* only for people */
	COLUMN_LEFT = 8,     /* to the left, though a number */
};

struct column {
	const char *name; /* in JSON and CSV; the heading in capitals, when there is no other */
	unsigned flags;
	const char *heading;
};

struct table;

enum table_flags { TABLE_STREAM = 1, TABLE_COLOUR = 2, TABLE_NO_HEAD = 4 };

/* `columns` (borrowed) end with a nameless one. Never NULL: without memory it ends the program. */
struct table *table_new(const struct column *columns, enum out_format format, unsigned flags);
/* Says all that was not yet said, and frees. An open JSON document is closed, without a line feed. */
void table_end(struct table *t);

/* The next cell. value NULL: none. `shown`: for people, when not the value. */
void table_cell(struct table *t, const char *value, const char *shown, enum tone tone);
void table_text(struct table *t, const char *value);
/* The same, and never a number, whatever its column. */
void table_string(struct table *t, const char *value);
void table_int(struct table *t, int64_t n);
/* UTC to the nanosecond for machines, local seconds for people. 0: none. */
void table_time(struct table *t, int64_t ns);
/* With that many decimals; NAN: none. `shown` as above. */
void table_real(struct table *t, double n, int decimals, const char *shown, enum tone tone);

size_t table_rows(const struct table *t);

/* s with the tone's colour around it, when `colour`. */
void tone_put(struct buf *out, enum tone tone, bool colour, const char *s, size_t n);

#endif
