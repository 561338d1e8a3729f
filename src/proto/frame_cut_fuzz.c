/* SPDX-License-Identifier: Apache-2.0 */
/* The first byte is a size; the rest, a stream, is cut in one go and in pieces of that size: the same frames,
 * the same end, and never more held than one frame. */
#include <stdlib.h>
#include <string.h>

#include "base/fuzz.h"
#include "proto/frame.h"

struct seen {
	uint64_t sum;
	int n;
};

static int on_frame(void *data, const struct frame *f)
{
	struct seen *s = data;
	const uint64_t words[] = {f->kind, f->flags, f->number, f->n};
	for (size_t i = 0; i < 4; i++)
		s->sum = s->sum * 1099511628211u + words[i];
	for (size_t i = 0; i < f->n; i++)
		s->sum = s->sum * 1099511628211u + f->payload[i];
	return ++s->n == 200;
}

static int cut(struct frame_cutter *c, const uint8_t *data, size_t size, size_t piece, struct seen *s)
{
	int r = 0;
	for (size_t at = 0; at < size && !r; at += piece) {
		r = frame_cut(c, data + at, size - at < piece ? size - at : piece, on_frame, s);
		if (c->held.len > FRAME_HEADER + FRAME_PAYLOAD_MAX || c->held.size > 2 * (at + piece) + 64)
			abort();
	}
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct frame_cutter whole = {0}, pieces = {0};
	struct seen a = {0}, b = {0};
	size_t piece = 1 + (size ? data[0] : 0);
	data += !!size;
	size -= !!size;
	int r = cut(&whole, data, size, size + 1, &a);
	if (cut(&pieces, data, size, piece, &b) != r || a.sum != b.sum || a.n != b.n ||
	    whole.at != pieces.at || whole.why != pieces.why || whole.held.len > size)
		abort();
	frame_cutter_release(&whole);
	frame_cutter_release(&pieces);
	return 0;
}
