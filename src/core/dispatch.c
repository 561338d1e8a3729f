/* SPDX-License-Identifier: Apache-2.0 */
#include "core/core.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- finding --- */

const struct op *core_op(const struct core *core, const char *noun, const char *verb)
{
	for (const struct service *const *s = core->services; *s; s++)
		for (const struct op *op = (*s)->ops; op && op->noun; op++)
			if (!strcmp(op->noun, noun) && !strcmp(op->verb, verb))
				return op;
	return NULL;
}

/* Greedy with one point of return: linear in pattern times name. */
bool pattern_match(const char *pattern, const char *name)
{
	const char *star = NULL, *again = NULL;
	while (*name) {
		if (*pattern == '*') {
			star = pattern++;
			again = name;
		} else if (*pattern == *name || *pattern == '?') {
			pattern++;
			name++;
		} else if (star) {
			pattern = star + 1;
			name = ++again;
		} else {
			return false;
		}
	}
	while (*pattern == '*')
		pattern++;
	return !*pattern;
}

bool pattern_plain(const char *pattern)
{
	return !strpbrk(pattern, "*?");
}

/* --- arguments --- */

static const char *const type_forms[] = {
    [OP_NAME] = "a name",
    [OP_PATTERN] = "a name or pattern",
    [OP_TEXT] = "a text",
    [OP_INTEGER] = "a whole number from 0",
    [OP_DURATION] = "a duration in milliseconds",
    [OP_TIME] = "a time in nanoseconds since 1970",
    [OP_FLAG] = "yes or no",
};

enum { DURATION_MAX_MS = 1000LL * 3600 * 24 * 365 };

static bool text_ok(const char *s, size_t max)
{
	size_t n = strlen(s);
	return n > 0 && n <= max;
}

static int take_number(const struct op_arg *arg, const struct msg *query, union op_value *ret)
{
	int64_t n;
	if (msg_get_int(query, arg->name, &n) || n < 0)
		return -EINVAL;
	if (arg->type == OP_DURATION && n > (int64_t)DURATION_MAX_MS * 100)
		return -EINVAL;
	ret->number = arg->type == OP_DURATION ? n * 1000000 : n;
	return 0;
}

static int take_flag(const struct op_arg *arg, const struct msg *query, union op_value *ret)
{
	const char *s = msg_get(query, arg->name, NULL);
	if (s && strcmp(s, "yes") && strcmp(s, "no"))
		return -EINVAL;
	ret->number = msg_get_flag(query, arg->name);
	return 0;
}

static int take_text(const struct op_arg *arg, const struct msg *query, union op_value *ret)
{
	const char *s = msg_get(query, arg->name, NULL);
	if (!s || !text_ok(s, 255))
		return -EINVAL;
	if (arg->type == OP_NAME && !pattern_plain(s))
		return -EINVAL;
	ret->text = s;
	return 0;
}

static int (*const takes[])(const struct op_arg *, const struct msg *, union op_value *) = {
    [OP_NAME] = take_text,
    [OP_PATTERN] = take_text,
    [OP_TEXT] = take_text,
    [OP_INTEGER] = take_number,
    [OP_DURATION] = take_number,
    [OP_TIME] = take_number,
    [OP_FLAG] = take_flag,
};

static union op_value absent(const struct op_arg *arg)
{
	if (arg->type == OP_PATTERN)
		return (union op_value){.text = "*"};
	if (arg->type == OP_NAME || arg->type == OP_TEXT)
		return (union op_value){.text = ""};
	return (union op_value){.number = arg->fallback};
}

static int take_args(struct call *c)
{
	const struct op_arg *arg = c->op->args;
	for (int i = 0; i < OP_ARGS_MAX && arg[i].name; i++) {
		if (!msg_field(c->msg, arg[i].name)) {
			if (arg[i].required)
				return call_fail(c, "bad-argument", "%s.%s needs %s: %s", c->op->noun, c->op->verb,
				    arg[i].name, arg[i].doc);
			c->args[i] = absent(&arg[i]);
		} else if (takes[arg[i].type](&arg[i], c->msg, &c->args[i])) {
			return call_fail(c, "bad-argument", "%s.%s: %s must be %s, not \"%.60s\"", c->op->noun,
			    c->op->verb, arg[i].name, type_forms[arg[i].type],
			    msg_get(c->msg, arg[i].name, "?"));
		}
	}
	return 0;
}

static bool has_arg(const struct op *op, const char *name)
{
	for (int i = 0; i < OP_ARGS_MAX && op->args[i].name; i++)
		if (!strcmp(op->args[i].name, name))
			return true;
	return !strcmp(name, "query") || !strcmp(name, "id");
}

static int refuse_unknown_args(struct call *c)
{
	for (const struct msg_field *f = c->msg->fields; f; f = f->next)
		if (!has_arg(c->op, f->name))
			return call_fail(c, "bad-argument", "%s.%s has no argument %s", c->op->noun, c->op->verb,
			    f->name);
	return 0;
}

/* --- calls --- */

/* The query outlives its stanza: calls may run long. */
static struct msg *keep(const struct msg *query)
{
	struct msg *m = msg_new(query->name);
	if (!m)
		return NULL;
	for (const struct msg_field *f = query->fields; f; f = f->next)
		if (f->type == MSG_TEXT)
			msg_set(m, f->name, f->text);
		else
			msg_set_int(m, f->name, f->number);
	if (!msg_failed(m))
		return m;
	msg_free(m);
	return NULL;
}

static void call_free(struct call *c)
{
	for (struct call **p = &c->peer->calls; *p; p = &(*p)->next)
		if (*p == c) {
			*p = c->next;
			break;
		}
	c->peer->calls_n--;
	if (c->op->over)
		c->op->over(c);
	msg_free(c->msg);
	free(c);
}

struct msg *call_answer(struct call *c, const char *name)
{
	struct msg *m = msg_new(name);
	if (m)
		msg_set_int(m, "answer", c->id);
	return m;
}

void call_send(struct call *c, struct msg *m)
{
	peer_send(c->peer, m);
}

void call_end(struct call *c)
{
	call_send(c, call_answer(c, "end"));
	c->ended = true;
	call_free(c);
}

static void send_error(struct peer *p, int64_t id, const char *code, const char *text)
{
	struct msg *m = msg_new("error");
	if (m) {
		msg_set_int(m, "answer", id);
		msg_set(m, "code", code);
		msg_text(m, text, strlen(text));
	}
	p->core->figures.errors++;
	peer_send(p, m);
}

int call_fail(struct call *c, const char *code, const char *format, ...)
{
	char text[512];
	va_list ap;
	va_start(ap, format);
	vsnprintf(text, sizeof text, format, ap);
	va_end(ap);
	send_error(c->peer, c->id, code, text);
	call_free(c);
	return -1;
}

size_t call_pending(const struct call *c)
{
	return stream_pending(c->peer->stream);
}

static void settle(struct call *c, int result)
{
	if (result == CALL_DONE)
		call_end(c);
	else if (result >= 0)
		c->more = result == CALL_MORE;
}

static int permitted(struct call *c)
{
	const struct op *op = c->op;
	if (!(op->roles & c->peer->role->bit))
		return call_fail(c, "not-permitted", "%s.%s is not for a %s", op->noun, op->verb, c->peer->role->name);
	if ((op->flags & OP_CHANGES) && !peer_trusted(c->peer))
		return call_fail(c, "not-permitted",
		    "%s.%s is only for the daemon's own user and root, on the daemon's own socket", op->noun, op->verb);
	return 0;
}

static int query_id(struct peer *p, const struct msg *query, int64_t *ret)
{
	int64_t id;
	if (msg_get_int(query, "id", &id) || id < 1 || id > INT32_MAX) {
		peer_error(p, "bad-stanza", "<%.40s>: a query needs an id from 1 to 2147483647", query->name);
		return -EINVAL;
	}
	for (const struct call *c = p->calls; c; c = c->next)
		if (c->id == id) {
			peer_error(p, "bad-stanza", "query %lld is still under way", (long long)id);
			return -EINVAL;
		}
	*ret = id;
	return 0;
}

static struct call *call_new(struct peer *p, const struct op *op, int64_t id, const struct msg *query)
{
	struct call *c = calloc(1, sizeof *c);
	if (!c)
		return NULL;
	*c = (struct call){.op = op, .peer = p, .id = id, .msg = keep(query)};
	if (!c->msg) {
		free(c);
		return NULL;
	}
	c->next = p->calls;
	p->calls = c;
	p->calls_n++;
	return c;
}

void dispatch(struct peer *p, const struct msg *query)
{
	int64_t id;
	const char *verb = msg_get(query, "query", "");
	if (query_id(p, query, &id))
		return;
	p->core->figures.calls++;
	const struct op *op = core_op(p->core, query->name, verb);
	if (!op) {
		char text[128];
		snprintf(text, sizeof text, "there is no %.40s.%.40s", query->name, verb);
		send_error(p, id, "unknown-query", text);
		return;
	}
	if (p->calls_n >= p->core->limits.calls) {
		peer_refuse(p, "too-many", "more than %u queries under way", p->core->limits.calls);
		return;
	}
	struct call *c = call_new(p, op, id, query);
	if (!c) {
		send_error(p, id, "failed", "no memory");
		return;
	}
	if (permitted(c) || refuse_unknown_args(c) || take_args(c))
		return;
	settle(c, op->run(c));
}

void dispatch_more(struct peer *p)
{
	for (struct call *c = p->calls, *next; c; c = next) {
		next = c->next;
		if (!c->more)
			continue;
		settle(c, c->op->more(c));
		if (stream_pending(p->stream))
			return;
	}
}

bool dispatch_cancel(struct peer *p, int64_t id)
{
	for (struct call *c = p->calls; c; c = c->next)
		if (c->id == id) {
			call_end(c);
			return true;
		}
	return false;
}

void dispatch_drop_all(struct peer *p)
{
	while (p->calls)
		call_free(p->calls);
}
