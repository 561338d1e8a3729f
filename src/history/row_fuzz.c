/* SPDX-License-Identifier: Apache-2.0 */
/* A journal body may hold anything when the file was damaged. What unpacks must pack again to the same
 * values. */
#include <stdlib.h>

#include "base/fuzz.h"
#include "history/chunk.h"
#include "history/journal.h"
#include "history/row.h"

static void pack_again(const struct row_state *s)
{
	struct value *values = malloc((s->place.n + 1) * sizeof *values);
	struct row_state packed = {0}, unpacked = {0};
	struct buf b = BUF_INIT;
	row_values(s, values);
	struct history_period p = {s->place.at, s->place.time_ns, values};
	if (row_pack(&b, &packed, s->place.n, true, &p) || row_unpack(bytes_of(b.data, b.len), &unpacked))
		abort();
	struct value *again = malloc((s->place.n + 1) * sizeof *again);
	row_values(&unpacked, again);
	for (size_t i = 0; i < s->place.n; i++)
		if (!value_equal(&values[i], &again[i]))
			abort();
	free(values);
	free(again);
	row_state_release(&packed);
	row_state_release(&unpacked);
	buf_release(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes b = bytes_of(data, size);
	struct row_state s = {0};
	struct record r;
	size_t rows = 0;
	struct buf chain = BUF_INIT;
	while (record_get(&b, &r)) {
		if (row_unpack(r.row, &s))
			continue;
		pack_again(&s);
		put_varint(&chain, bytes_left(&r.row));
		buf_put(&chain, r.row.at, bytes_left(&r.row));
		rows++;
	}
	row_state_release(&s);
	struct table t;
	if (rows && !table_from_rows(&t, bytes_of(chain.data, chain.len), rows))
		table_release(&t);
	buf_release(&chain);
	return 0;
}
