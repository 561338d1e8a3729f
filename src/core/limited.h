/* SPDX-License-Identifier: Apache-2.0 */
/* The table of limits, as it is asked: `limit.list`; and what becomes of a table of descriptors that is full. */
#ifndef VIGIA_CORE_LIMITED_H
#define VIGIA_CORE_LIMITED_H

#include "core/core.h"

/* Has the core hear of listeners that wait for descriptors. */
void limited_start(struct core *core, const struct limit_values *values);
/* From now on these. */
void limited_set(struct core *core, const struct limit_values *values);

/* -EMFILE: no connections are accepted just now, and why; 0: all is well. */
int limited_trouble(const struct core *core, struct buf *ret_what);

extern const struct service limit_service;

#endif
