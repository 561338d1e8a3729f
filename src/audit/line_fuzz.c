/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a line: what is taken as a record or an anchor is put as it came, to the byte. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "audit/line.h"
#include "base/fuzz.h"

static void compare(struct buf *again, const char *hash, const char *line)
{
	buf_putf(again, " %s", hash);
	if (strcmp(buf_str(again), line))
		abort();
	buf_release(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char line[AUDIT_LINE_MAX + 1], copy[AUDIT_LINE_MAX + 1], hash[AUDIT_HASH];
	struct audit_record r;
	struct audit_anchor a;
	struct buf again = BUF_INIT;
	const char *why;
	size_t n = size < AUDIT_LINE_MAX ? size : AUDIT_LINE_MAX;
	memcpy(line, data, n);
	line[n] = '\0';
	memcpy(copy, line, sizeof copy);
	if (!audit_get_record(copy, &r, &why)) {
		buf_putf(&again, "%" PRIu64 " ", r.sequence);
		audit_put_record(&again, &r);
		compare(&again, r.hash, line);
	}
	memcpy(copy, line, sizeof copy);
	if (!audit_get_anchor(copy, &a, &why)) {
		audit_put_anchor(&again, &a);
		compare(&again, a.hash, line);
	}
	if (audit_hash("", line, n, hash))
		abort();
	return 0;
}
