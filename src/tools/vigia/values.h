/* SPDX-License-Identifier: Apache-2.0 */
/* A `monitor` answer's values as rows of a table. */
#ifndef VIGIA_TOOLS_VALUES_H
#define VIGIA_TOOLS_VALUES_H

#include "proto/msg.h"
#include "tools/vigia/table.h"

extern const struct column values_columns[];
/* The value v (`<v>`) of the answer m. */
void values_row(struct table *t, const struct msg *m, const struct msg *v);

/* Four cells of it: for people the whole name, then its parts; two: value and unit. */
void values_name(struct table *t, const struct msg *m, const struct msg *v);
void values_value(struct table *t, const struct msg *v);
/* Two: the monitor's state, with its age where it is not current; when it was measured. */
void values_state(struct table *t, const struct msg *m);

/* NAN: it has none, or is a text. */
double value_number(const struct msg *v);

/* "12 min" since that time of the wall clock; "" for 0. */
void put_age(struct buf *out, int64_t time_ns);

#endif
