/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as what a link begins with. A hello that is read is written and read again as the same. */
#include <stdlib.h>
#include <string.h>

#include "base/fuzz.h"
#include "platform/direct/hello.h"

static void write_and_read(const struct hello *h)
{
	struct buf out = BUF_INIT;
	struct frame f;
	struct hello again = {0};
	const char *why = NULL;
	if (hello_put(&out, h) || frame_read(out.data, out.len, &f, &why) || hello_get(&f, &again, &why))
		abort();
	if (memcmp(h, &again, sizeof again))
		abort();
	buf_release(&out);
}

static int on_frame(void *data, const struct frame *f)
{
	struct hello h = {0};
	struct farewell bye = {0};
	const char *why = NULL;
	int r = hello_get(f, &h, &why);
	if (!r)
		write_and_read(&h);
	else if (!why)
		abort();
	if (!farewell_get(f, &bye, &why) && strlen(bye.why) >= sizeof bye.why)
		abort();
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct frame_cutter c = {0};
	frame_cut(&c, data, size, on_frame, NULL);
	frame_cutter_release(&c);
	return 0;
}
