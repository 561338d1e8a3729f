/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/frame.h"

#include <errno.h>
#include <string.h>

#include "proto/wire.h"

enum { AT_LENGTH = 0, AT_KIND = 4, AT_FLAGS = 5, AT_ZERO = 6, AT_NUMBER = 8 };
enum { HELD_KEEP = 4096 };

/* --- the header --- */

enum { ANY_NUMBER, NO_NUMBER, A_NUMBER };

static const struct {
	unsigned flags;
	uint32_t least, most; /* bytes of payload */
	int number;
} kinds[] = {
    [FRAME_HELLO] = {0, 1, FRAME_PAYLOAD_MAX, NO_NUMBER},
    [FRAME_QUERY] = {FRAME_ONE_WAY, 2, FRAME_PAYLOAD_MAX, A_NUMBER},
    [FRAME_ANSWER] = {0, 1, FRAME_PAYLOAD_MAX, A_NUMBER},
    [FRAME_END] = {0, 0, 0, A_NUMBER},
    [FRAME_ERROR] = {0, 1, FRAME_PAYLOAD_MAX, ANY_NUMBER},
    [FRAME_EVENT_KIND] = {0, FRAME_EVENT, FRAME_PAYLOAD_MAX, A_NUMBER},
    [FRAME_LOST] = {0, FRAME_LOSS, FRAME_LOSS, A_NUMBER},
    [FRAME_CANCEL] = {0, 0, 0, A_NUMBER},
    [FRAME_PARTIAL] = {0, 1, FRAME_PAYLOAD_MAX, A_NUMBER},
};

/* Why it is not to be had, and *ret_at which byte of it says so; NULL: it is well. */
static const char *check_header(const struct frame *f, unsigned zero, unsigned *ret_at)
{
	*ret_at = AT_LENGTH;
	if (f->n > FRAME_PAYLOAD_MAX)
		return "a frame of more than 1048576 bytes";
	*ret_at = AT_KIND;
	if (f->kind < FRAME_HELLO || (size_t)f->kind >= sizeof kinds / sizeof *kinds)
		return "a frame of no known kind";
	*ret_at = AT_FLAGS;
	if (f->flags & ~kinds[f->kind].flags)
		return "a flag that this kind of frame does not have";
	*ret_at = AT_ZERO;
	if (zero)
		return "not zero where a frame has zero";
	*ret_at = AT_NUMBER;
	if (kinds[f->kind].number == A_NUMBER && !f->number)
		return "a frame that belongs to no query";
	if (kinds[f->kind].number == NO_NUMBER && f->number)
		return "a hello with a number";
	*ret_at = AT_LENGTH;
	return f->n < kinds[f->kind].least || f->n > kinds[f->kind].most
		   ? "a length that this kind of frame does not have"
		   : NULL;
}

static const char *read_header(const uint8_t *h, struct frame *ret, unsigned *ret_at)
{
	*ret = (struct frame){.kind = (enum frame_kind)h[AT_KIND],
	    .flags = h[AT_FLAGS],
	    .number = wire_get64(h + AT_NUMBER),
	    .payload = h + FRAME_HEADER,
	    .n = wire_get32(h + AT_LENGTH)};
	return check_header(ret, wire_get16(h + AT_ZERO), ret_at);
}

/* --- cutting --- */

static int take_header(struct frame_cutter *c, const uint8_t *h, struct frame *ret)
{
	unsigned at;
	c->why = read_header(h, ret, &at);
	if (!c->why)
		return 0;
	c->at += at;
	return -EPROTO;
}

static int hold(struct frame_cutter *c, const uint8_t **bytes, size_t *n, size_t until)
{
	size_t more = until - c->held.len < *n ? until - c->held.len : *n;
	buf_put(&c->held, *bytes, more);
	*bytes += more;
	*n -= more;
	return c->held.failed ? -ENOMEM : 0;
}

static void drop_held(struct frame_cutter *c)
{
	if (c->held.size > HELD_KEEP)
		buf_release(&c->held);
	else
		buf_clear(&c->held);
}

/* The frame that is held, given on if its end has come now. */
static int cut_held(struct frame_cutter *c, const uint8_t **bytes, size_t *n, frame_fn *fn, void *data)
{
	struct frame f;
	int r = c->held.len < FRAME_HEADER ? hold(c, bytes, n, FRAME_HEADER) : 0;
	if (r || c->held.len < FRAME_HEADER)
		return r;
	r = take_header(c, (const uint8_t *)c->held.data, &f);
	if (!r)
		r = hold(c, bytes, n, FRAME_HEADER + f.n);
	if (r || c->held.len < FRAME_HEADER + f.n)
		return r;
	f.payload = (const uint8_t *)c->held.data + FRAME_HEADER; /* it may have moved */
	r = fn(data, &f);
	if (r)
		return r;
	c->at += c->held.len;
	drop_held(c);
	return 0;
}

/* The frames that lie whole in the bytes. */
static int cut_whole(struct frame_cutter *c, const uint8_t **bytes, size_t *n, frame_fn *fn, void *data)
{
	while (*n >= FRAME_HEADER) {
		struct frame f;
		int r = take_header(c, *bytes, &f);
		if (r)
			return r;
		size_t size = FRAME_HEADER + f.n;
		if (size > *n)
			return 0;
		r = fn(data, &f);
		if (r)
			return r;
		c->at += size;
		*bytes += size;
		*n -= size;
	}
	return 0;
}

int frame_cut(struct frame_cutter *c, const void *bytes, size_t n, frame_fn *fn, void *data)
{
	const uint8_t *from = bytes;
	if (c->why)
		return -EPROTO;
	if (c->held.len) {
		int r = cut_held(c, &from, &n, fn, data);
		if (r || c->held.len)
			return r;
	}
	int r = cut_whole(c, &from, &n, fn, data);
	return r || !n ? r : hold(c, &from, &n, n);
}

void frame_cutter_release(struct frame_cutter *c)
{
	buf_release(&c->held);
}

int frame_read(const void *bytes, size_t n, struct frame *ret, const char **ret_why)
{
	struct frame f;
	unsigned at;
	const char *why = n < FRAME_HEADER ? "less than a frame's header" : read_header(bytes, &f, &at);
	if (!why && f.n != n - FRAME_HEADER)
		why = "not just one frame";
	if (why) {
		*ret_why = why;
		return -EPROTO;
	}
	*ret = f;
	return 0;
}

/* --- writing --- */

size_t frame_begin(struct buf *out, enum frame_kind kind, unsigned flags, uint64_t number)
{
	size_t begin = out->len;
	if (!buf_reserve(out, FRAME_HEADER))
		return begin;
	uint8_t *h = (uint8_t *)out->data + begin;
	h[AT_KIND] = (uint8_t)kind;
	h[AT_FLAGS] = (uint8_t)flags;
	wire_put16(h + AT_ZERO, 0);
	wire_put64(h + AT_NUMBER, number);
	out->len += FRAME_HEADER;
	return begin;
}

int frame_end(struct buf *out, size_t begin)
{
	size_t n = out->failed ? 0 : out->len - begin - FRAME_HEADER;
	if (out->failed || n > FRAME_PAYLOAD_MAX) {
		out->len = begin;
		return out->failed ? -ENOMEM : -EMSGSIZE;
	}
	wire_put32((uint8_t *)out->data + begin + AT_LENGTH, (uint32_t)n);
	return 0;
}

int frame_put(
    struct buf *out, enum frame_kind kind, unsigned flags, uint64_t number, const void *payload, size_t n)
{
	if (n > FRAME_PAYLOAD_MAX)
		return -EMSGSIZE;
	buf_reserve(out, FRAME_HEADER + n);
	size_t begin = frame_begin(out, kind, flags, number);
	buf_put(out, payload, n);
	return frame_end(out, begin);
}

void frame_renumber(void *bytes, uint64_t number)
{
	wire_put64((uint8_t *)bytes + AT_NUMBER, number);
}
