/* SPDX-License-Identifier: Apache-2.0 */
#include "core/describe.h"

#include <errno.h>
#include <string.h>

static const char *const types[] = {
    [OP_NAME] = "name",
    [OP_PATTERN] = "pattern",
    [OP_TEXT] = "text",
    [OP_INTEGER] = "integer",
    [OP_DURATION] = "duration",
    [OP_TIME] = "time",
    [OP_FLAG] = "flag",
    [OP_BYTES] = "bytes",
    [OP_WORDS] = "words",
    [OP_SIZE] = "size",
    [OP_SPAN] = "span",
};

const char *op_type_name(enum op_type type)
{
	return types[type];
}

int op_type_named(const char *name, enum op_type *ret)
{
	for (size_t i = 0; i < sizeof types / sizeof *types; i++)
		if (!strcmp(types[i], name)) {
			*ret = (enum op_type)i;
			return 0;
		}
	return -ENOENT;
}

bool op_type_is_number(enum op_type type)
{
	return type == OP_INTEGER || type == OP_DURATION || type == OP_TIME || type == OP_SIZE || type == OP_SPAN;
}

static void put_arg(struct msg *m, const struct op_arg *arg)
{
	msg_set(m, "name", arg->name);
	msg_set(m, "type", types[arg->type]);
	msg_set(m, "doc", arg->doc);
	if (arg->required)
		msg_set_flag(m, "required", true);
	else if (op_type_is_number(arg->type) && arg->fallback != INT64_MAX)
		msg_set_int(m, "default", arg->type == OP_DURATION ? arg->fallback / 1000000 : arg->fallback);
}

static void put_field(struct msg *m, const struct op_field *f)
{
	msg_set(m, "name", f->name);
	msg_set(m, "type", types[f->type]);
	msg_set(m, "doc", f->doc);
}

void op_describe(struct msg *m, const struct service *s, const struct op *op)
{
	msg_set(m, "service", s->name);
	msg_setf(m, "name", "%s.%s", op->noun, op->verb);
	msg_set(m, "doc", op->doc);
	msg_set_flag(m, "changes", op->flags & (OP_CHANGES | OP_ACTS));
	msg_set_flag(m, "streams", op->flags & OP_STREAMS);
	if (op->flags & OP_TRUSTED)
		msg_set_flag(m, "trusted", true);
	for (int i = 0; i < OP_ARGS_MAX && op->args[i].name; i++)
		put_arg(msg_child(m, "argument"), &op->args[i]);
	for (const struct op_field *f = op->fields; f && f->name; f++)
		put_field(msg_child(m, "field"), f);
}
