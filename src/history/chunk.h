/* SPDX-License-Identifier: Apache-2.0 */
/* A chunk: a chain's rows turned round, column by column (column.h), so that one series reads alone.
 *
 *	chunk	= version, rows, columns, directory, columns' bytes
 *	columns	: times, sequences, then `parts` a metric: 1, or 6 once thinned
 *	directory: a column: length * 4 + has marks * 1 + has texts * 2; then the lengths of the marks and
 *texts it has marks	= a column of value kinds;  texts = count, (length, bytes) each, then a column of
 *indices
 */
#ifndef VIGIA_HISTORY_CHUNK_H
#define VIGIA_HISTORY_CHUNK_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/config.h"
#include "history/bytes.h"
#include "history/row.h"

enum { CHUNK_ROWS_MAX = 4096, CHUNK_CELLS_MAX = 1 << 22, CHUNK_PARTS_MAX = 6 };

/* One series unpacked. Zeroed: empty. */
struct series {
	int64_t *numbers;  /* as in row_state: carried over what is no number */
	uint8_t *kinds;	   /* NULL: all are numbers */
	uint32_t *text_of; /* index into texts; NULL: no texts */
	char **texts;
	size_t texts_n;
};
void series_release(struct series *s);
struct value series_value(const struct series *s, size_t row);

/* All of some rows. Zeroed: empty. */
struct table {
	size_t rows, columns; /* columns: of values, times and sequences not counted */
	int64_t *times, *sequences;
	struct series *series;
};
void table_release(struct table *t);
/* -ENOMEM; -E2BIG: beyond the limits above. */
int table_init(struct table *t, size_t rows, size_t columns);
/* The chain's rows (each as length, row) become a table. -EBADMSG, -ENOMEM. */
int table_from_rows(struct table *ret, struct bytes rows, size_t n);

/* Appends the packed table. */
int chunk_pack(struct buf *b, const struct table *t);

/* A packed chunk, opened: borrows the bytes. */
struct chunk {
	size_t rows, columns;
	struct chunk_part {
		struct bytes numbers, marks, texts;
	} * parts; /* columns + 2 */
};
/* 0, -EBADMSG or -ENOMEM. Any bytes are safe, here and below. */
int chunk_open(struct chunk *ret, struct bytes packed);
void chunk_release(struct chunk *c);
/* Of times, sequences: rows numbers, malloced. */
int chunk_times(const struct chunk *c, int64_t **ret);
int chunk_sequences(const struct chunk *c, int64_t **ret);
int chunk_series(const struct chunk *c, size_t column, struct series *ret);
int chunk_table(const struct chunk *c, struct table *ret);

#endif
