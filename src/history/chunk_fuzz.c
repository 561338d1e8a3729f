/* SPDX-License-Identifier: Apache-2.0 */
/* A chunk's bytes come from a file that may be damaged. What unpacks must survive packing and unpacking. */
#include <stdlib.h>
#include <string.h>

#include "base/fuzz.h"
#include "history/chunk.h"
#include "history/thin.h"

static void unpack(struct table *ret, const struct buf *packed)
{
	struct chunk c;
	if (chunk_open(&c, bytes_of(packed->data, packed->len)) || chunk_table(&c, ret))
		abort();
	chunk_release(&c);
}

static void compare(const struct table *a, const struct table *b)
{
	size_t bytes = a->rows * sizeof *a->times;
	if (a->rows != b->rows || a->columns != b->columns || memcmp(a->times, b->times, bytes) ||
	    memcmp(a->sequences, b->sequences, bytes))
		abort();
	for (size_t i = 0; i < a->columns; i++)
		for (size_t row = 0; row < a->rows; row++) {
			struct value x = series_value(&a->series[i], row),
				     y = series_value(&b->series[i], row);
			if (!value_equal(&x, &y))
				abort();
		}
}

static void pack_again(const struct table *t)
{
	struct buf b = BUF_INIT;
	struct table again, thinned;
	if (chunk_pack(&b, t))
		abort();
	unpack(&again, &b);
	compare(t, &again);
	table_release(&again);
	if (!thin_table(&thinned, t, INT64_C(60000000000)))
		table_release(&thinned);
	buf_release(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct chunk c;
	struct table t;
	if (chunk_open(&c, bytes_of(data, size)))
		return 0;
	if (c.rows * c.columns < 1 << 16 && !chunk_table(&c, &t)) {
		pack_again(&t);
		table_release(&t);
	}
	chunk_release(&c);
	return 0;
}
