/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as the files of a log, one after the other with a byte of 1 between: all of it is walked, and a chain in which nothing
 * is wrong has a hash for its end. */
#include <stdlib.h>
#include <string.h>

#include "audit/walk.h"
#include "base/fuzz.h"

static void on_told(void *data, const char *file, uint64_t line, const char *what)
{
	uint64_t *n = data;
	(*n)++;
	if (!*what)
		abort();
}

static void walk_file(struct audit_walk *w, const char *bytes, size_t n)
{
	const char *end;
	audit_walk_file(w, "file");
	for (; n && (end = memchr(bytes, '\n', n)); bytes = end + 1) {
		audit_walk_line(w, bytes, (size_t)(end - bytes));
		n -= (size_t)(end + 1 - bytes);
	}
	if (n)
		audit_walk_torn(w, n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *bytes = (const char *)data, *end;
	uint64_t told = 0;
	struct audit_walk w = {.fault = on_told, .note = on_told, .data = &told};
	for (; size && (end = memchr(bytes, 1, size)); bytes = end + 1) {
		walk_file(&w, bytes, (size_t)(end - bytes));
		size -= (size_t)(end + 1 - bytes);
	}
	walk_file(&w, bytes, size);
	audit_walk_end(&w);
	if (w.faults > told || (w.records && !w.faults && strlen(w.hash) != AUDIT_HASH - 1))
		abort();
	return 0;
}
