/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as /proc/PID/stat: text that harms nobody and numbers that make sense, or nothing. */
#include <stdlib.h>
#include <string.h>

#include "base/fuzz.h"
#include "os/process.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct process_units units = {.booted_ns = 1700000000000000000, .tick_ns = 10000000, .page = 4096};
	struct process p = {.parent = -77};

	if (process_parse_stat((const char *)data, size, &units, &p) < 0) {
		if (p.parent != -77)
			abort();
		return 0;
	}
	if (p.key.pid < 0 || p.parent < 0 || p.threads < 0 || p.cpu_ns < 0 || p.memory < 0 || p.started_ns < units.booted_ns)
		abort();
	for (const char *c = p.program; *c; c++)
		if ((unsigned char)*c < 0x20)
			abort();
	return 0;
}
