/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a message over NATS: a header that is read is written as it was, and the data cut into frames. */
#include <stdlib.h>
#include <string.h>

#include "base/fuzz.h"
#include "platform/nats/header.h"
#include "proto/frame.h"

static int on_frame(void *data, const struct frame *f)
{
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct header h;
	struct frame_cutter c = {0};
	uint8_t again[HEADER_SIZE];
	const char *why = NULL;
	if (header_get(data, size, &h, &why)) {
		if (!why)
			abort();
		return 0;
	}
	header_put(again, &h);
	if (memcmp(again, data, HEADER_SIZE) || h.n != size - HEADER_SIZE)
		abort();
	frame_cut(&c, h.data, h.n, on_frame, NULL);
	frame_cutter_release(&c);
	return 0;
}
