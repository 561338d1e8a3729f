/* SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "output.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Labels and units must be fit for a config whatever comes: else one plugin could end the monitor's
 * connection. */
static void check(const struct perf *p)
{
	if (!*p->label || strpbrk(p->label, " /\"<>&*?") || p->decimals > PERF_DECIMALS_MAX || !*p->unit)
		abort();
	for (const char *s = p->label; *s; s++)
		if (*s <= ' ' || *s > '~')
			abort();
	for (const char *s = p->unit; *s; s++)
		if (*s <= ' ' || *s > '~')
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct output o;
	char *bytes = strndup((const char *)data, size);
	output_parse(&o, bytes);
	for (size_t i = 0; i < o.n; i++)
		check(&o.perf[i]);
	free(bytes);
	return 0;
}
