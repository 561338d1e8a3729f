/* SPDX-License-Identifier: Apache-2.0 */
/* One measured value. A number is an integer scaled by its metric's decimals; a text is owned by whoever owns the
 * array. No value is a value too: the sensor did not answer. */
#ifndef VIGIA_BASE_VALUE_H
#define VIGIA_BASE_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum value_kind { VALUE_NONE, VALUE_NUMBER, VALUE_TEXT };

enum { VALUE_TEXT_MAX = 1023 }; /* bytes */

struct value {
	union {
		int64_t number;
		char *text;
	};
	enum value_kind kind;
};

bool value_equal(const struct value *a, const struct value *b);
/* Makes *to a copy of *from, freeing what it held. -ENOMEM leaves *to as it was. */
int value_copy(struct value *to, const struct value *from);
void value_clear(struct value *v);
void values_clear(struct value *v, size_t n);

#endif
