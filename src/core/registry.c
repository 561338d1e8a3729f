/* SPDX-License-Identifier: Apache-2.0 */
/* What services there are, and what they can be asked: the tables, told. Help, completion and the manual come from here. */
#include <string.h>

#include "core/core.h"

static const char *const types[] = {
    [OP_NAME] = "name",
    [OP_PATTERN] = "pattern",
    [OP_TEXT] = "text",
    [OP_INTEGER] = "integer",
    [OP_DURATION] = "duration",
    [OP_TIME] = "time",
    [OP_FLAG] = "flag",
    [OP_BYTES] = "bytes",
};

static bool is_number(enum op_type type)
{
	return type == OP_INTEGER || type == OP_DURATION || type == OP_TIME;
}

static void put_arg(struct msg *m, const struct op_arg *arg)
{
	msg_set(m, "name", arg->name);
	msg_set(m, "type", types[arg->type]);
	msg_set(m, "doc", arg->doc);
	if (arg->required)
		msg_set_flag(m, "required", true);
	else if (is_number(arg->type) && arg->fallback != INT64_MAX)
		msg_set_int(m, "default", arg->type == OP_DURATION ? arg->fallback / 1000000 : arg->fallback);
}

static void put_op(struct call *c, const struct service *s, const struct op *op)
{
	struct msg *m = call_answer(c, "operation");
	if (!m)
		return;
	msg_set(m, "service", s->name);
	msg_setf(m, "name", "%s.%s", op->noun, op->verb);
	msg_set(m, "doc", op->doc);
	msg_set_flag(m, "changes", op->flags & (OP_CHANGES | OP_ACTS));
	msg_set_flag(m, "streams", op->flags & OP_STREAMS);
	for (int i = 0; i < OP_ARGS_MAX && op->args[i].name; i++)
		put_arg(msg_child(m, "argument"), &op->args[i]);
	call_send(c, m);
}

static int run_describe(struct call *c)
{
	unsigned found = 0;
	for (const struct service *const *s = c->core->services; *s; s++) {
		if (!pattern_match(c->args[0].text, (*s)->name))
			continue;
		found++;
		for (const struct op *op = (*s)->ops; op && op->noun; op++)
			if (op->roles & c->asker->roles)
				put_op(c, *s, op);
	}
	if (!found && pattern_plain(c->args[0].text))
		return call_fail(c, "not-found", "no service is named %s", c->args[0].text);
	return CALL_DONE;
}

static int run_list(struct call *c)
{
	for (const struct service *const *s = c->core->services; *s; s++) {
		struct msg *m = pattern_match(c->args[0].text, (*s)->name) ? call_answer(c, "service") : NULL;
		if (!m)
			continue;
		msg_set(m, "name", (*s)->name);
		msg_set(m, "host", c->core->name);
		msg_set(m, "doc", (*s)->doc);
		call_send(c, m);
	}
	return CALL_DONE;
}

#define SERVICE {"service", OP_PATTERN, "services, by name"}

static const struct op ops[] = {
    {"service", "list", "the services of this host", OP_READS, ROLE_CLIENT, .args = {SERVICE}, .run = run_list},
    {"service", "describe", "what services can be asked", OP_READS, ROLE_CLIENT, .args = {SERVICE}, .run = run_describe},
    {NULL},
};

const struct service registry_service = {.name = "service", .doc = "services, and what they can be asked", .ops = ops};
