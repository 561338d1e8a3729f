/* SPDX-License-Identifier: Apache-2.0 */
/* Operations as messages: what `service.describe` answers, and programs say of their own. */
#ifndef VIGIA_CORE_DESCRIBE_H
#define VIGIA_CORE_DESCRIBE_H

#include "core/core.h"

const char *op_type_name(enum op_type type);
/* 0, or -ENOENT. */
int op_type_named(const char *name, enum op_type *ret);
bool op_type_is_number(enum op_type type);

/* Into an <operation>: its service, name, doc and flags, and a child for each <argument> and each <field> of answers. */
void op_describe(struct msg *m, const struct service *s, const struct op *op);

#endif
