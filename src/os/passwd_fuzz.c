/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a line of passwd(5): a name that is text, or nothing. */
#include <stdlib.h>
#include <string.h>

#include "base/fuzz.h"
#include "os/users.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char name[PROCESS_USER_MAX + 1] = "";
	uid_t uid;

	if (users_parse((const char *)data, size, &uid, name) != (*name != '\0'))
		abort();
	for (const char *c = name; *c; c++)
		if ((unsigned char)*c < 0x20 || c - name > PROCESS_USER_MAX)
			abort();
	return 0;
}
