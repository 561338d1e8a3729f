/* SPDX-License-Identifier: Apache-2.0 */
/* Varints, written into a buf and read from foreign bytes.
 *
 * The one rule: a reader that ran past its end sticks (`bad`) and then gives zeros; whoever reads asks once,
 * at the end, and bounds every count by what could be there before taking memory for it.
 */
#ifndef VIGIA_HISTORY_BYTES_H
#define VIGIA_HISTORY_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

enum { VARINT_MAX = 10 };

struct bytes {
	const uint8_t *at;
	const uint8_t *end;
	bool bad;
};

static inline struct bytes bytes_of(const void *data, size_t n)
{
	return (struct bytes){.at = data, .end = (const uint8_t *)data + n};
}

static inline size_t bytes_left(const struct bytes *b)
{
	return (size_t)(b->end - b->at);
}

static inline uint64_t zigzag(int64_t n)
{
	return ((uint64_t)n << 1) ^ (uint64_t)(n >> 63);
}

static inline int64_t unzigzag(uint64_t u)
{
	return (int64_t)(u >> 1) ^ -(int64_t)(u & 1);
}

/* Room for VARINT_MAX bytes is the caller's; returns the end. */
static inline uint8_t *varint_write(uint8_t *to, uint64_t u)
{
	while (u >= 0x80) {
		*to++ = (uint8_t)u | 0x80;
		u >>= 7;
	}
	*to++ = (uint8_t)u;
	return to;
}

static inline void put_varint(struct buf *b, uint64_t u)
{
	if (buf_reserve(b, VARINT_MAX))
		b->len = (size_t)((char *)varint_write((uint8_t *)b->data + b->len, u) - b->data);
}

static inline void put_signed(struct buf *b, int64_t n)
{
	put_varint(b, zigzag(n));
}

static inline uint8_t get_byte(struct bytes *b)
{
	if (b->at < b->end)
		return *b->at++;
	b->bad = true;
	return 0;
}

static inline uint64_t get_varint(struct bytes *b)
{
	uint64_t u = 0;
	for (unsigned shift = 0; shift < 64; shift += 7) {
		uint8_t byte = get_byte(b);
		u |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80))
			return u;
	}
	b->bad = true;
	return 0;
}

static inline int64_t get_signed(struct bytes *b)
{
	return unzigzag(get_varint(b));
}

/* The next n bytes as a reader of their own; an empty one when there are fewer. */
static inline struct bytes get_bytes(struct bytes *b, uint64_t n)
{
	if (n > bytes_left(b)) {
		b->bad = true;
		n = 0;
	}
	struct bytes part = bytes_of(b->at, (size_t)n);
	b->at += n;
	return part;
}

#endif
