/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as what is said from another host: the same comes of them in one piece and byte by byte. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/said.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(const struct said *s)
{
	if (strlen(s->last) >= SAID_LINE || strpbrk(s->last, "\n\r\t\x1b\x7f") || (s->known && !*s->name))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct said whole = {0}, bytes = {0};

	said_take(&whole, (const char *)data, n);
	said_end(&whole);
	check(&whole);
	for (size_t i = 0; i < n; i++)
		said_take(&bytes, (const char *)data + i, 1);
	said_end(&bytes);
	if (strcmp(whole.last, bytes.last) || whole.known != bytes.known || strcmp(whole.name, bytes.name) ||
	    whole.already != bytes.already || !host_id_is(&whole.id, &bytes.id))
		abort();
	return 0;
}
