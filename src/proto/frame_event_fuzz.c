/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as the payload of an event, and of a loss. What reads is written as the same bytes. */
#include <stdlib.h>
#include <string.h>

#include "base/fuzz.h"
#include "proto/frame.h"

static void check(bool good)
{
	if (!good)
		abort();
}

static void same(struct buf *out, const uint8_t *data, size_t size)
{
	check(out->len == FRAME_HEADER + size && !memcmp(out->data + FRAME_HEADER, data, size));
	buf_release(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct frame f = {.kind = FRAME_EVENT_KIND, .number = 1, .payload = data, .n = size};
	struct buf out = BUF_INIT;
	struct frame_event e;
	uint64_t lost, before;
	if (!frame_get_event(&f, &e)) {
		check(!frame_put_event(&out, 1, &e));
		same(&out, data, size);
	}
	if (!frame_get_lost(&f, &lost, &before)) {
		check(!frame_put_lost(&out, 1, lost, before));
		same(&out, data, size);
	}
	return 0;
}
