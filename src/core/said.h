/* SPDX-License-Identifier: Apache-2.0 */
/* What a program says that starts a daemon on another host: lines, of which one tells who is there now (core/joining.h) and
 * the last of the others why there is nobody. Any bytes may come; of a long line its beginning counts. */
#ifndef VIGIA_CORE_SAID_H
#define VIGIA_CORE_SAID_H

#include <stdbool.h>
#include <stddef.h>

#include "proto/id.h"

enum { SAID_LINE = 512 };

struct said {
	char line[SAID_LINE]; /* under way, n bytes */
	char last[SAID_LINE]; /* printable but for bytes above 127; "": none */
	size_t n;
	bool known; /* name, id and already are */
	char name[64];
	struct host_id id;
	bool already;
};

void said_take(struct said *s, const char *bytes, size_t n);
/* Nothing more will come. */
void said_end(struct said *s);

#endif
