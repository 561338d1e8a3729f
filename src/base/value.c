/* SPDX-License-Identifier: Apache-2.0 */
#include "base/value.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool value_equal(const struct value *a, const struct value *b)
{
	if (a->kind != b->kind)
		return false;
	switch (a->kind) {
	case VALUE_NONE:
		return true;
	case VALUE_NUMBER:
		return a->number == b->number;
	case VALUE_TEXT:
		return !strcmp(a->text, b->text);
	}
	return false;
}

int value_copy(struct value *to, const struct value *from)
{
	struct value copy = *from;
	if (from->kind == VALUE_TEXT) {
		copy.text = strdup(from->text);
		if (!copy.text)
			return -ENOMEM;
	}
	value_clear(to);
	*to = copy;
	return 0;
}

void value_clear(struct value *v)
{
	if (v->kind == VALUE_TEXT)
		free(v->text);
	*v = (struct value){.kind = VALUE_NONE};
}

void values_clear(struct value *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		value_clear(&v[i]);
}
