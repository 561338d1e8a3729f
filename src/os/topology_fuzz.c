/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as what vigia-topology writes: counts that make sense, or nothing. */
#include <stdlib.h>

#include "base/fuzz.h"
#include "os/topology.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct host_topology t = {.threads = -77};

	if (topology_parse((const char *)data, size, &t) < 0) {
		if (t.threads != -77)
			abort();
		return 0;
	}
	if (t.packages < 0 || t.nodes < 0 || t.cores < 0 || t.threads <= 0 || t.caches_n > TOPOLOGY_CACHES_MAX)
		abort();
	for (int i = 0; i < t.caches_n; i++)
		if (t.caches[i].count < 0 || t.caches[i].size < 0 || !t.caches[i].name[0])
			abort();
	return 0;
}
