/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as /proc/PID/cmdline: text for people that keeps to its limits. */
#include <stdlib.h>
#include <string.h>

#include "base/fuzz.h"
#include "os/process.h"
#include "os/utf8.h"

static void check(const char *text, size_t most)
{
	size_t n = strlen(text);

	if (n > most)
		abort();
	for (size_t at = 0; at < n;) {
		size_t length = utf8_char(text + at, n - at);
		if (!length || (unsigned char)text[at] < 0x20)
			abort();
		at += length;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct process p = {.program = "a-name-that-is-"};

	process_take_command((const char *)data, size, &p);
	check(p.command, PROCESS_COMMAND_MAX);
	check(p.program, PROCESS_PROGRAM_MAX);
	return 0;
}
