/* SPDX-License-Identifier: Apache-2.0 */
/* A journal body, and what waits to become one: records, one a period.
 *
 *	record = monitor, config (0: as the row before), length, row (row.h)
 */
#ifndef VIGIA_HISTORY_JOURNAL_H
#define VIGIA_HISTORY_JOURNAL_H

#include "history/bytes.h"

struct record {
	uint64_t monitor, config;
	struct bytes row;
};

static inline void record_put(struct buf *b, uint64_t monitor, uint64_t config, const void *row, size_t n)
{
	if (!buf_reserve(b, 3 * VARINT_MAX + n))
		return;
	put_varint(b, monitor);
	put_varint(b, config);
	put_varint(b, n);
	buf_put(b, row, n);
}

/* False at the end or at bytes that are no record. */
static inline bool record_get(struct bytes *b, struct record *ret)
{
	if (!bytes_left(b))
		return false;
	ret->monitor = get_varint(b);
	ret->config = get_varint(b);
	ret->row = get_bytes(b, get_varint(b));
	return !b->bad;
}

#endif
