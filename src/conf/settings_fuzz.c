/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a file of settings: what is read comes back from its own text. */
#include <stdlib.h>
#include <string.h>

#include "base/fuzz.h"
#include "conf/settings.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct settings s = {0};
	struct buf text = BUF_INIT;
	int line;
	if (settings_read(&s, (const char *)data, size, &line))
		return 0;
	settings_put(&s, &text);
	if (text.len != size || (size && memcmp(text.data, data, size)))
		abort();
	settings_release(&s);
	buf_release(&text);
	return 0;
}
