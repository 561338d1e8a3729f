/* SPDX-License-Identifier: Apache-2.0 */
/* A binary range coder with probabilities that learn (G. N. N. Martin, "Range encoding", 1979; the carry
 * handling is that of LZMA's). A decision whose outcome is nearly certain costs hundredths of a bit.
 *
 * The decoder is safe on any bytes: past the end it reads zeros.
 */
#ifndef VIGIA_HISTORY_RANGE_H
#define VIGIA_HISTORY_RANGE_H

#include <stdint.h>

#include "base/buf.h"
#include "history/bytes.h"

/* How likely the next bit is 0, in 1/65536, and how often it was asked: it learns fast at first. */
struct chance {
	uint16_t p;
	uint8_t asked;
};

#define CHANCE_EVEN                                                                                          \
	{                                                                                                    \
		.p = 0x8000                                                                                  \
	}
enum { CHANCE_SLOWEST = 5, RANGE_BOTTOM = 1 << 24 };

struct range_encoder {
	struct buf *out;
	uint64_t low;
	uint32_t range;
	uint8_t held;	 /* byte that a carry may still raise */
	uint64_t held_n; /* it and the 0xff bytes behind it; 0 before the first */
};

struct range_decoder {
	struct bytes in;
	uint32_t range, code;
};

static inline void chance_learn(struct chance *c, int bit)
{
	static const uint8_t rate[] = {1, 2, 2, 3, 3, 3, 4, 4, 4, 4, 4, 4, 4};
	unsigned r = c->asked < sizeof rate ? rate[c->asked++] : CHANCE_SLOWEST;
	if (bit)
		c->p -= (uint16_t)(c->p >> r);
	else
		c->p += (uint16_t)((0xffff - c->p) >> r);
}

/* The part of `range` that stands for 0; never empty and never all of it. */
static inline uint32_t chance_bound(const struct chance *c, uint32_t range)
{
	return (range >> 16) * (c->p < 32 ? 32u : c->p > 0xffe0 ? 0xffe0u : c->p);
}

static inline struct range_encoder range_encoder(struct buf *out)
{
	return (struct range_encoder){.out = out, .range = UINT32_MAX};
}

static inline void range_shift(struct range_encoder *e)
{
	if (e->low < 0xff000000u || e->low > UINT32_MAX || !e->held_n) {
		uint8_t carry = (uint8_t)(e->low >> 32);
		if (e->held_n)
			buf_putc(e->out, (char)(e->held + carry));
		for (; e->held_n > 1; e->held_n--)
			buf_putc(e->out, (char)(0xff + carry));
		e->held_n = 0;
		e->held = (uint8_t)(e->low >> 24);
	}
	e->held_n++;
	e->low = (uint32_t)e->low << 8;
}

static inline void range_put(struct range_encoder *e, struct chance *c, int bit)
{
	uint32_t bound = chance_bound(c, e->range);
	if (bit) {
		e->low += bound;
		e->range -= bound;
	} else {
		e->range = bound;
	}
	chance_learn(c, bit);
	while (e->range < RANGE_BOTTOM) {
		e->range <<= 8;
		range_shift(e);
	}
}

/* The low n bits of u, each as likely 0 as 1. */
static inline void range_put_even(struct range_encoder *e, uint64_t u, unsigned n)
{
	while (n) {
		unsigned k = n > 8 ? 8 : n;
		n -= k;
		e->range >>= k;
		e->low += (uint64_t)e->range * ((u >> n) & ((1u << k) - 1));
		while (e->range < RANGE_BOTTOM) {
			e->range <<= 8;
			range_shift(e);
		}
	}
}

/* Ends the stream with no more bytes than decoding needs: what follows reads as zeros. */
static inline void range_finish(struct range_encoder *e)
{
	uint64_t top = e->low + e->range - 1;
	unsigned drop = 31;
	while ((top >> drop << drop) < e->low)
		drop--;
	e->low = top >> drop << drop;
	size_t begin = e->out->len;
	for (int i = 0; i < 5; i++)
		range_shift(e);
	while (e->out->len > begin && e->out->data[e->out->len - 1] == 0)
		e->out->len--;
}

static inline struct range_decoder range_decoder(struct bytes in)
{
	struct range_decoder d = {.in = in, .range = UINT32_MAX};
	for (int i = 0; i < 4; i++)
		d.code = d.code << 8 | get_byte(&d.in);
	return d;
}

static inline void range_fill(struct range_decoder *d)
{
	while (d->range < RANGE_BOTTOM) {
		d->range <<= 8;
		d->code = d->code << 8 | get_byte(&d->in);
	}
}

static inline int range_get(struct range_decoder *d, struct chance *c)
{
	uint32_t bound = chance_bound(c, d->range);
	int bit = d->code >= bound;
	if (bit) {
		d->code -= bound;
		d->range -= bound;
	} else {
		d->range = bound;
	}
	chance_learn(c, bit);
	range_fill(d);
	return bit;
}

static inline uint64_t range_get_even(struct range_decoder *d, unsigned n)
{
	uint64_t u = 0;
	while (n) {
		unsigned k = n > 8 ? 8 : n;
		n -= k;
		d->range >>= k;
		uint32_t part = d->code / d->range;
		if (part >> k)
			part = (1u << k) - 1;
		d->code -= part * d->range;
		u = u << k | part;
		range_fill(d);
	}
	return u;
}

#endif
