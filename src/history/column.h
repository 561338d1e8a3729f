/* SPDX-License-Identifier: Apache-2.0 */
/* One series of integers, packed without loss by the cheapest of a few models.
 *
 *	constant    the value
 *	like        another column's changes times a ratio (kernels tell the same number in several places and
 *units) around      distances from a middle value (noise) steps       differences (gauges that wander,
 *counters) slopes      differences of differences (counters at a steady rate, clocks)
 *
 * The last three are divided by their greatest common divisor and coded by how they have been so far
 *(range.h). Arithmetic wraps at 64 bits, so any values go through.
 */
#ifndef VIGIA_HISTORY_COLUMN_H
#define VIGIA_HISTORY_COLUMN_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "history/bytes.h"

/* What `like` looks among: the columns packed so far. Zeroed before the first; release frees. */
struct columns {
	struct column_key {
		uint64_t hash; /* of the differences over their divisor */
		uint64_t divisor;
		const int64_t *x;
		uint32_t index;
	} * keys;
	size_t n, size;
};
void columns_release(struct columns *c);

/* Appends column `index` (n >= 1 values, which must stay until the last column is packed). 0 or -ENOMEM. */
int column_pack(struct buf *b, struct columns *known, uint32_t index, const int64_t *x, size_t n);

/* Which column must be unpacked first: its index, or -1. -EBADMSG. Columns that others are like are never
 * like others themselves. */
int64_t column_base(struct bytes packed);
/* `base`: the column named by column_base(), or NULL. 0 or -EBADMSG; any bytes are safe. */
int column_unpack(struct bytes packed, const int64_t *base, int64_t *ret_x, size_t n);

#endif
