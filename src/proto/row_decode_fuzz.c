/* SPDX-License-Identifier: Apache-2.0 */
/* The first byte says how the values before are and whether the row is full; the rest is the row. What decodes, encodes
 * to a row that leads to the same values. */
#include <stdlib.h>
#include <string.h>

#include "base/fuzz.h"
#include "proto/row.h"

enum { METRICS = 40 };

static struct config *make_config(void)
{
	struct config *c = config_new(METRICS);
	for (size_t i = 0; i < METRICS; i++)
		c->metrics[i].type = i % 4 == 3 ? METRIC_TEXT : METRIC_GAUGE;
	return c;
}

static void make_before(struct value *v, unsigned how)
{
	static const int64_t numbers[] = {0, 100, -7, INT64_MAX, INT64_MIN, 1000000};
	for (size_t i = 0; i < METRICS; i++) {
		v[i] = (struct value){0};
		if ((i + how) % 5 == 0)
			continue;
		if (i % 4 == 3)
			v[i] = (struct value){.kind = VALUE_TEXT, .text = strdup("old \"x\"")};
		else
			v[i] = (struct value){.kind = VALUE_NUMBER, .number = numbers[(i + how) % 6]};
	}
}

static void encode_and_decode(struct row *r, const struct config *c, struct value *before, const struct value *now)
{
	struct buf out = BUF_INIT;
	const char *why;
	size_t at;
	row_encode(&out, before, now, METRICS);
	if (row_decode(r, buf_str(&out), out.len, c, before, false, &why, &at) || row_apply(r, before))
		abort();
	for (size_t i = 0; i < METRICS; i++)
		if (!value_equal(&before[i], &now[i]))
			abort();
	buf_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct row r = {0};
	struct value before[METRICS], now[METRICS];
	struct config *c = make_config();
	unsigned how = size ? data[0] : 0;
	const char *text = (const char *)data + !!size, *why = NULL;
	size_t len = size - !!size, at = SIZE_MAX;
	make_before(before, how);
	make_before(now, how);
	if (row_decode(&r, text, len, c, before, how & 128, &why, &at)) {
		if (!why || at > len)
			abort();
	} else {
		row_apply(&r, now);
		encode_and_decode(&r, c, before, now);
	}
	values_clear(before, METRICS);
	values_clear(now, METRICS);
	row_release(&r);
	config_unref(c);
	return 0;
}
