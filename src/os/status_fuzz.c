/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as /proc/PID/status: all three uids, or none of them. */
#include <stdlib.h>

#include "base/fuzz.h"
#include "os/process.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct process p = {.uid = 77777, .real_uid = 77777, .saved_uid = 77777};

	if (process_parse_status((const char *)data, size, &p) < 0)
		if (p.uid != 77777 || p.real_uid != 77777 || p.saved_uid != 77777)
			abort();
	return 0;
}
