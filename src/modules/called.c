/* SPDX-License-Identifier: Apache-2.0 */
#include "modules/called.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct target {
	const struct vigia_module *module;
	const struct vigia_operation *operation;
};

struct vigia_called {
	struct call *call;
	const struct target *target;
	void *state;
	bool *gone; /* while it runs: set when it is over */
};

void *called_target_new(const struct vigia_module *module, const struct vigia_operation *operation)
{
	struct target *t = calloc(1, sizeof *t);
	if (t)
		*t = (struct target){module, operation};
	return t;
}

int called_run(struct call *c)
{
	bool gone = false;
	struct vigia_called *called = c->op->owner ? calloc(1, sizeof *called) : NULL;
	if (!called)
		return call_fail(c, "failed", "no memory");
	*called = (struct vigia_called){.call = c, .target = c->op->owner, .gone = &gone};
	c->state = called;
	int r = called->target->operation->run(called);
	if (gone)
		return -1;
	called->gone = NULL;
	return r == VIGIA_DONE ? CALL_DONE : CALL_LATER;
}

void called_over(struct call *c)
{
	struct vigia_called *called = c->state;
	if (!called)
		return;
	if (called->gone)
		*called->gone = true;
	if (called->target->operation->over)
		called->target->operation->over(called);
	free(called);
}

/* --- as vigia.h says --- */

void *vigia_called_data(const struct vigia_called *c)
{
	return c->target->module->data;
}

void **vigia_called_state(struct vigia_called *c)
{
	return &c->state;
}

const struct vigia_message *vigia_called_query(const struct vigia_called *c)
{
	return (const struct vigia_message *)c->call->msg;
}

int64_t vigia_called_uid(const struct vigia_called *c)
{
	return call_is_strangers(c->call) ? -1 : (int64_t)call_uid(c->call);
}

struct vigia_message *vigia_answer(struct vigia_called *c, const char *name)
{
	return (struct vigia_message *)call_answer(c->call, name);
}

void vigia_send(struct vigia_called *c, struct vigia_message *take_answer)
{
	call_send(c->call, (struct msg *)take_answer);
}

void vigia_end(struct vigia_called *c)
{
	call_end(c->call);
}

int vigia_fail(struct vigia_called *c, const char *code, const char *format, ...)
{
	char text[512];
	va_list ap;
	va_start(ap, format);
	vsnprintf(text, sizeof text, format, ap);
	va_end(ap);
	return call_fail(c->call, code, "%s", text);
}

int vigia_hand_on(struct vigia_called *c, const char *host)
{
	return call_hand_on(c->call, host);
}
