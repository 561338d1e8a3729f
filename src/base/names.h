/* SPDX-License-Identifier: Apache-2.0 */
/* Things with a name, in order of their names. The things are the caller's; each begins with its `char *name`.
 * Finding is logarithmic, and "the next after this name" holds however the set changed in between. */
#ifndef VIGIA_BASE_NAMES_H
#define VIGIA_BASE_NAMES_H

#include <stddef.h>

struct names {
	void **things;
	size_t n, size;
};

void names_release(struct names *s);
void *names_find(const struct names *s, const char *name);
/* 0, -EEXIST or -ENOMEM. */
int names_add(struct names *s, void *thing);
void names_remove(struct names *s, const char *name);
/* The first thing after `name` (NULL: the first of all), or NULL. */
void *names_after(const struct names *s, const char *name);

#endif
