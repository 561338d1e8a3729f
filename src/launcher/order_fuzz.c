/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes: an order whose words all lie within them, as many as it says, or none. */
#include "launcher/order.h"

#include <stdlib.h>
#include <string.h>

#include "base/fuzz.h"

static size_t count(char *const *words, const char *from, const char *end)
{
	size_t n = 0;

	for (; words[n]; n++)
		if (words[n] < from || words[n] + strlen(words[n]) >= end)
			abort();
	return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct order o;
	char *bytes = malloc(size + !size);

	memcpy(bytes, data, size);
	if (order_read(bytes, size, &o) == 0) {
		size_t n = count(o.words, bytes, bytes + size);
		if (n == 0 || o.environment != o.words + n + 1 || o.directory < bytes)
			abort();
		count(o.environment, bytes, bytes + size);
	}
	free(bytes);
	return 0;
}
