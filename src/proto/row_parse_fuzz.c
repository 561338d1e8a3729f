/* SPDX-License-Identifier: Apache-2.0 */
/* The first byte is the metric, the rest a value's text. What parses is shown as a text that parses to the same. */
#include <stdlib.h>
#include <string.h>

#include "base/fuzz.h"
#include "proto/row.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	struct metric m = {.scale = data[0] % 10, .type = data[0] & 128 ? METRIC_STATE : METRIC_GAUGE};
	struct value v = {0}, again = {0};
	const char *why = NULL;
	if (row_parse(&v, (const char *)data + 1, size - 1, &m, &why)) {
		if (!why || v.kind)
			abort();
		return 0;
	}
	struct buf out = BUF_INIT;
	row_format(&out, &v, &m);
	if (row_parse(&again, buf_str(&out), out.len, &m, &why) || !value_equal(&v, &again))
		abort();
	value_clear(&v);
	value_clear(&again);
	buf_release(&out);
	return 0;
}
