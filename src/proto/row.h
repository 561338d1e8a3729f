/* SPDX-License-Identifier: Apache-2.0 */
/* A period's values as text, in the order that `config` announced (docs/hmon.md, "Values in order").
 *
 *   12 -3     a number, scaled by the metric's decimals      .  .17   one, seventeen unchanged
 *   +5 ~5     five more, five less than the value before     !        no value
 *   "a \"b\"" a text
 *
 * Blanks may stand between any two and must stand only before an unsigned number that follows a
 * digit or a point. What is left
 * out at the end is unchanged. Decoding and applying are two steps, so that a bad row changes nothing.
 */
#ifndef VIGIA_PROTO_ROW_H
#define VIGIA_PROTO_ROW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/config.h"
#include "base/value.h"

struct row_change {
	uint32_t index;
	enum value_kind kind;
	int64_t number;	   /* absolute */
	size_t text, len;  /* where in row.texts, NUL-terminated there */
};

/* A decoded row; keep one and use it again. */
struct row {
	struct row_change *changes;
	size_t n, size;
	struct buf texts;
};

void row_release(struct row *r);

/* Decodes `text` against the values before. `full`: nothing may be left unchanged, and what is left out has no
 * value. 0; -EINVAL with *ret_why (static) and *ret_at (offset in text); -ENOMEM. */
int row_decode(struct row *r, const char *text, size_t len, const struct config *c, const struct value *before,
    bool full, const char **ret_why, size_t *ret_at);
/* Puts the row's values into place. -ENOMEM (only texts need memory) leaves some unset: treat as no value. */
int row_apply(const struct row *r, struct value *values);

/* Appends the row that leads from `before` (NULL: nothing known, a full row) to `now`. */
void row_encode(struct buf *out, const struct value *before, const struct value *now, size_t n);

/* A value in decimals, as people and `<v>` have it: "12.34". */
void row_format(struct buf *out, const struct value *v, const struct metric *m);
/* The reverse, for a number or text as metric m has it; more decimals than the scale are rounded half away from
 * zero. 0; -EINVAL with *ret_why; -ERANGE when it does not fit; -ENOMEM. */
int row_parse(struct value *ret, const char *s, size_t len, const struct metric *m, const char **ret_why);

#endif
