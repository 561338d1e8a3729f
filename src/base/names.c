/* SPDX-License-Identifier: Apache-2.0 */
#include "base/names.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char *name_at(const struct names *s, size_t i)
{
	return *(char *const *)s->things[i];
}

/* Where `name` is or would stand. */
static size_t place(const struct names *s, const char *name)
{
	size_t low = 0, high = s->n;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (strcmp(name_at(s, middle), name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

void names_release(struct names *s)
{
	free(s->things);
	*s = (struct names){0};
}

void *names_find(const struct names *s, const char *name)
{
	size_t i = place(s, name);
	return i < s->n && !strcmp(name_at(s, i), name) ? s->things[i] : NULL;
}

int names_add(struct names *s, void *thing)
{
	const char *name = *(char **)thing;
	size_t i = place(s, name);
	if (i < s->n && !strcmp(name_at(s, i), name))
		return -EEXIST;
	if (s->n == s->size) {
		size_t size = s->size ? s->size * 2 : 8;
		void **more = realloc(s->things, size * sizeof *more);
		if (!more)
			return -ENOMEM;
		s->things = more;
		s->size = size;
	}
	memmove(s->things + i + 1, s->things + i, (s->n - i) * sizeof *s->things);
	s->things[i] = thing;
	s->n++;
	return 0;
}

void names_remove(struct names *s, const char *name)
{
	size_t i = place(s, name);
	if (i == s->n || strcmp(name_at(s, i), name))
		return;
	s->n--;
	memmove(s->things + i, s->things + i + 1, (s->n - i) * sizeof *s->things);
}

void *names_after(const struct names *s, const char *name)
{
	size_t i = name ? place(s, name) : 0;
	if (name && i < s->n && !strcmp(name_at(s, i), name))
		i++;
	return i < s->n ? s->things[i] : NULL;
}
