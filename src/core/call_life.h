/* SPDX-License-Identifier: Apache-2.0 */
/* What only the dispatch does with calls. */
#ifndef VIGIA_CORE_CALL_LIFE_H
#define VIGIA_CORE_CALL_LIFE_H

#include "core/call.h"

/* NULL: no memory, and the query is still the caller's. */
struct call *call_new(struct asker *a, const struct op *op, const struct asked *asked, struct msg *take_query);
/* It is no call of its operation any more. */
void call_leave_op(struct call *c);
/* What an operation's run or more returned. */
void call_settle(struct call *c, int result);

#endif
