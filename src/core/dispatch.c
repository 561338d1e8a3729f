/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/audited.h"
#include "core/call_life.h"
#include "core/core.h"
#include "core/links.h"
#include "core/orders.h"
#include "core/relay.h"
#include "core/secure.h"

/* --- finding --- */

const struct op *core_op(const struct core *core, const char *noun, const char *verb)
{
	const struct service *s = NULL;
	while ((s = core_next_service(core, s)))
		for (const struct op *op = s->ops; op && op->noun; op++)
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
    [OP_BYTES] = "bytes, in XML as base64",
    [OP_WORDS] = "words",
    [OP_SIZE] = "a number of bytes",
    [OP_SPAN] = "a number of nanoseconds",
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
	if (msg_field(query, arg->name)->type == MSG_FLAG || msg_get_int(query, arg->name, &n) || n < 0)
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

static int take_bytes(const struct op_arg *arg, const struct msg *query, union op_value *ret)
{
	return msg_get_bytes(query, arg->name, &ret->bytes, &ret->n);
}

static const struct msg *first_word(const struct msg *query, const char *name)
{
	const struct msg *k = query->children;
	while (k && strcmp(k->name, name))
		k = k->next;
	return k;
}

static int take_words(const struct op_arg *arg, const struct msg *query, union op_value *ret)
{
	ret->words = first_word(query, arg->name);
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
    [OP_BYTES] = take_bytes,
    [OP_WORDS] = take_words,
    [OP_SIZE] = take_number,
    [OP_SPAN] = take_number,
};

static union op_value absent(const struct op_arg *arg)
{
	if (arg->type == OP_PATTERN)
		return (union op_value){.text = "*"};
	if (arg->type == OP_NAME || arg->type == OP_TEXT)
		return (union op_value){.text = ""};
	if (arg->type == OP_BYTES || arg->type == OP_WORDS)
		return (union op_value){.n = 0};
	return (union op_value){.number = arg->fallback};
}

static bool is_said(const struct call *c, const struct op_arg *arg)
{
	return arg->type == OP_WORDS ? first_word(c->msg, arg->name) != NULL : msg_field(c->msg, arg->name) != NULL;
}

static int take_args(struct call *c)
{
	const struct op_arg *arg = c->op->args;
	for (int i = 0; i < OP_ARGS_MAX && arg[i].name; i++) {
		if (!is_said(c, &arg[i])) {
			if (arg[i].required)
				return call_fail(c, "bad-argument", "%s.%s needs %s: %s", c->op->noun, c->op->verb,
				    arg[i].name, arg[i].doc);
			c->args[i] = absent(&arg[i]);
		} else if (takes[arg[i].type](&arg[i], c->msg, &c->args[i])) {
			return call_fail_arg(c, i, "%s", type_forms[arg[i].type]);
		}
	}
	return 0;
}

static bool has_arg(const struct op *op, const char *name)
{
	for (int i = 0; i < OP_ARGS_MAX && op->args[i].name; i++)
		if (!strcmp(op->args[i].name, name))
			return true;
	return !strcmp(name, "query") || !strcmp(name, "id") || !strcmp(name, "at") || !strcmp(name, "signed");
}

static int refuse_unknown_args(struct call *c)
{
	for (const struct msg_field *f = c->msg->fields; f; f = f->next)
		if (!has_arg(c->op, f->name))
			return call_fail(c, "bad-argument", "%s.%s has no argument %s", c->op->noun, c->op->verb,
			    f->name);
	return 0;
}

/* --- taking a query --- */

/* Of who comes from elsewhere. */
static int refuse_stranger(struct call *c)
{
	const struct op *op = c->op;
	if (c->core->place && c->asker->foreign)
		return call_fail(c, "not-permitted", "%s.%s on another host takes your own key: `vigia login`", op->noun, op->verb);
	return call_fail(c, "not-permitted", "%s.%s is not for other hosts, nor for who comes by network: only for users of this one, on "
	    "its socket", op->noun, op->verb);
}

static int refuse_certified(struct call *c)
{
	return call_fail(c, "not-permitted", "%s.%s is not for %s: the certificate says %s", c->msg->name, msg_get(c->msg, "query", ""),
	    secure_name(c->peer), c->peer->who.roles & CERTIFIED_OPERATOR ? "operator" : "reader");
}

static int permitted(struct call *c)
{
	const struct op *op = c->op;
	bool changes = op->flags & (OP_CHANGES | OP_ACTS);
	enum secure_right right = secure_right(c);
	if (!(op->roles & c->asker->roles))
		return call_fail(c, "not-permitted", "%s.%s is not for a %s", op->noun, op->verb, c->asker->role);
	if (right == SECURE_REFUSES)
		return refuse_certified(c);
	if (changes && c->core->no_control && asker_is_stranger(c->asker))
		return call_fail(c, "not-permitted", "%s.%s: nothing is changed here from other hosts (control in vigia.conf)", op->noun,
		    op->verb);
	if (orders_take(c))
		return -1;
	if ((op->flags & (OP_CHANGES | OP_TRUSTED)) && right != SECURE_CHANGES && !call_operates(c))
		return call_fail(c, "not-permitted",
		    "%s.%s is only for the daemon's own user and root, on the daemon's own socket", op->noun, op->verb);
	if ((op->flags & OP_ACTS) && call_is_strangers(c))
		return refuse_stranger(c);
	if ((op->flags & OP_PRIVATE) && !call_is_vouched(c))
		return refuse_stranger(c);
	return audited_may_change(c);
}

static void refuse(struct asker *a, const struct asked *asked, const char *code, const char *format, ...)
{
	struct call c = {.asker = a, .core = a->core, .peer = a->peer, .id = asked->id, .one_way = asked->one_way};
	char text[256];
	va_list ap;
	va_start(ap, format);
	vsnprintf(text, sizeof text, format, ap);
	va_end(ap);
	a->core->figures.errors++;
	if (!asked->one_way)
		a->type->over(&c, code, text);
}

static void refuse_unknown(struct asker *a, const struct asked *asked, const char *noun, const char *verb)
{
	const struct service *s = core_left_out(a->core, noun, verb);
	if (s)
		refuse(a, asked, "unknown-query", "there is no %.40s.%.40s: " NOT_CHOSEN, noun, verb, s->name);
	else
		refuse(a, asked, "unknown-query", "there is no %.40s.%.40s", noun, verb);
}

/* What another host is asked: that one checks it. */
static const struct op elsewhere = {.noun = "a query", .verb = "of another host", .roles = ROLE_CLIENT,
    .more = relay_more, .over = relay_over};
static const struct op elsewhere_streams = {.noun = "a query", .verb = "of another host", .roles = ROLE_CLIENT,
    .flags = OP_STREAMS, .more = relay_more, .over = relay_over};

static bool is_here(const struct core *core, const char *to)
{
	struct host_id id;
	if (!*to || !strcmp(to, core->name))
		return true;
	return !host_id_parse(to, &id) && host_id_is(&id, &core->id);
}

static const struct op *op_for(struct core *core, const char *to, const struct msg *query)
{
	const struct op *here = core_op(core, query->name, msg_get(query, "query", ""));
	if (is_here(core, to))
		return here;
	/* Does one that isn't known here go on? Its own host knows, and keeps its deadline. */
	return !here || (here->flags & OP_STREAMS) ? &elsewhere_streams : &elsewhere;
}

static bool deadline_ok(struct asker *a, const struct asked *asked)
{
	if (asked->deadline_ms >= 0 && asked->deadline_ms <= FRAME_DEADLINE_MAX_MS)
		return true;
	refuse(a, asked, "bad-argument", "a deadline is 0 to %d ms, not %lld", FRAME_DEADLINE_MAX_MS,
	    (long long)asked->deadline_ms);
	return false;
}

static bool has_room(struct asker *a, const struct asked *asked)
{
	enum limit what = a->foreign ? LIMIT_QUERIES_PER_HOST : LIMIT_QUERIES;
	struct buf text = BUF_INIT;
	if (limits_allow(&a->core->limits, what, a->calls_n + 1))
		return true;
	if (a->type->too_many) {
		a->type->too_many(a, what);
		return false;
	}
	limits_put_reached(&a->core->limits, what, &text);
	refuse(a, asked, "too-many", "%s", buf_str(&text));
	buf_release(&text);
	return false;
}

static struct call *begin(struct asker *a, const struct asked *asked, struct msg *query)
{
	const struct op *op = op_for(a->core, asked->to, query);
	if (!deadline_ok(a, asked))
		return NULL;
	if (!op) {
		refuse_unknown(a, asked, query->name, msg_get(query, "query", ""));
		return NULL;
	}
	if (!has_room(a, asked))
		return NULL;
	struct call *c = call_new(a, op, asked, query);
	if (!c)
		refuse(a, asked, "failed", "no memory");
	return c;
}

static void run_op(struct call *c)
{
	int r = c->op->run(c);
	if (r == CALL_LATER || r == CALL_MORE)
		audited_begun(c);
	call_settle(c, r);
}

/* By now it is known who he is. */
static int hold(struct call *c)
{
	if (!c->holds)
		c->counted = uid_counted(call_uid(c));
	if (call_hold(c, LIMIT_OPERATIONS))
		return -1;
	return c->op->flags & OP_STREAMS ? call_hold(c, LIMIT_SUBSCRIPTIONS) : 0;
}

static void set_out(struct call *c, const char *to)
{
	if (permitted(c) || hold(c))
		return;
	if (!c->op->run)
		call_settle(c, links_ask(c, to, c->deadline_ms));
	else if (!refuse_unknown_args(c) && !take_args(c))
		run_op(c);
}

void dispatch(struct asker *a, const struct asked *asked, struct msg *take_query)
{
	a->core->figures.calls++;
	struct call *c = begin(a, asked, take_query);
	if (c)
		set_out(c, asked->to);
	else
		msg_free(take_query);
}

/* --- handing on --- */

/* Of its deadline, at least 1 ms; 0: it has none of its own. */
static int64_t left_ms(const struct call *c)
{
	int64_t gone = (int64_t)(uv_now(c->core->net.loop) - c->begun_ms);
	return !c->deadline_ms || c->deadline_ms > gone + 1 ? c->deadline_ms - (c->deadline_ms ? gone : 0) : 1;
}

static int refuse_hand_on(struct call *c, const char *to)
{
	const char *noun = c->msg->name, *verb = msg_get(c->msg, "query", "");
	if (c->answered)
		return call_fail(c, "failed", "%s.%s was handed on to %.60s, but had answered already", noun, verb, to);
	if (c->handed_on == CALL_HAND_ON_MAX)
		return call_fail(c, "failed", "%s.%s was handed on more than %d times, at last to %.60s", noun, verb,
		    CALL_HAND_ON_MAX, to);
	return 0;
}

int call_hand_on(struct call *c, const char *to)
{
	char host[64];
	if (refuse_hand_on(c, to))
		return -1;
	if (c->asker->foreign)
		return call_fail(c, "elsewhere", "%s", to);
	snprintf(host, sizeof host, "%s", to); /* which may be the operation's */
	audited_handed_on(c, host);
	call_leave_op(c);
	c->handed_on++;
	c->deadline_ms = left_ms(c);
	c->begun_ms = uv_now(c->core->net.loop);
	c->op = op_for(c->core, host, c->msg);
	if (c->op) {
		set_out(c, host);
		return -1;
	}
	c->op = &elsewhere;
	return call_fail(c, "unknown-query", "there is no %.40s.%.40s, to which it was handed on", c->msg->name,
	    msg_get(c->msg, "query", ""));
}
