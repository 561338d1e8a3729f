/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/audited.h"
#include "core/call_life.h"
#include "core/core.h"
#include "core/links.h"

/* --- life --- */

#define HOLD(what) (UINT64_C(1) << (what))
_Static_assert(LIMITS_N <= 64, "a call has no room to hold so many limits");

static struct frame_caller caller_of(const struct asker *a, const struct asked *asked)
{
	if (a->foreign)
		return asked->caller;
	return (struct frame_caller){.host = a->core->id, .uid = a->uid, .pid = (uint32_t)a->pid, .given = true};
}

struct call *call_new(struct asker *a, const struct op *op, const struct asked *asked, struct msg *take_query)
{
	struct call *c = calloc(1, sizeof *c);
	if (!c)
		return NULL;
	*c = (struct call){.op = op, .begun_ms = uv_now(a->core->net.loop), .asker = a, .core = a->core, .peer = a->peer, .id = asked->id,
	    .deadline_ms = asked->deadline_ms, .one_way = asked->one_way, .caller = caller_of(a, asked),
	    .msg = take_query, .next = a->calls};
	a->calls = c;
	a->calls_n++;
	return c;
}

static void let_go(struct call *c, uint64_t holds)
{
	for (enum limit what = 0; what < LIMITS_N; what++)
		if (holds & c->holds & HOLD(what))
			limits_give(&c->core->limits, what, c->counted, 1);
	c->holds &= ~holds;
}

void call_leave_op(struct call *c)
{
	if (c->op->over)
		c->op->over(c);
	let_go(c, ~HOLD(LIMIT_OPERATIONS));
	c->state = NULL;
	c->more = false;
}

static void call_free(struct call *c)
{
	for (struct call **p = &c->asker->calls; *p; p = &(*p)->next)
		if (*p == c) {
			*p = c->next;
			break;
		}
	c->asker->calls_n--;
	call_leave_op(c);
	let_go(c, HOLD(LIMIT_OPERATIONS));
	msg_free(c->msg);
	free(c);
}

void call_settle(struct call *c, int result)
{
	if (result == CALL_DONE)
		call_end(c);
	else if (result >= 0)
		c->more = result == CALL_MORE;
}

/* --- answering --- */

struct msg *call_answer_to(const struct asker_type *type, int64_t id, const char *name)
{
	struct msg *m = msg_new(name);
	if (m && type->number_in_answer)
		msg_set_int(m, "answer", id);
	return m;
}

struct msg *call_answer(struct call *c, const char *name)
{
	return call_answer_to(c->asker->type, c->id, name);
}

void call_send(struct call *c, struct msg *m)
{
	c->answered = true;
	if (m && !c->one_way)
		c->asker->type->answer(c, m);
	msg_free(m);
}

/* One that would be the last word in XML. Takes m. */
static struct msg *untellable(struct msg *m)
{
	static const char text[] = "an answer that is named end can't be told in XML";
	msg_free(m);
	m = msg_new("error");
	if (!m)
		return NULL;
	msg_set(m, "code", "failed");
	msg_text(m, text, sizeof text - 1);
	return m;
}

/* In XML a message says itself what it is and to which query, in whatever words its maker put there. Takes m. */
static struct msg *marked(const struct call *c, struct msg *m)
{
	if (!strcmp(m->name, "end") && !(m = untellable(m)))
		return NULL;
	msg_unset(m, "query");
	msg_unset(m, "answer");
	msg_set_int(m, "answer", c->id);
	if (!strcmp(m->name, "error")) {
		msg_unset(m, "partial");
		msg_set_flag(m, "partial", true);
	}
	return m;
}

void call_pass(struct call *c, struct msg *take_answer)
{
	call_send(c, c->asker->type->number_in_answer ? marked(c, take_answer) : take_answer);
}

void call_frames(struct call *c, const struct buf *frames)
{
	if (!c->one_way)
		c->asker->type->frames(c, frames);
}

static void over(struct call *c, const char *code, const char *text)
{
	audited_over(c, code);
	if (!c->one_way)
		c->asker->type->over(c, code, text);
	call_free(c);
}

void call_end(struct call *c)
{
	over(c, NULL, NULL);
}

int call_fail(struct call *c, const char *code, const char *format, ...)
{
	char text[512];
	va_list ap;
	va_start(ap, format);
	vsnprintf(text, sizeof text, format, ap);
	va_end(ap);
	c->core->figures.errors++;
	over(c, code, text);
	return -1;
}

/* As XML would have said it, whichever way it came. */
static void put_came(struct buf *out, const struct call *c, const char *argument)
{
	const struct msg_field *f = msg_field(c->msg, argument);
	if (!f)
		return;
	if (f->type == MSG_INT)
		buf_putf(out, ", not \"%lld\"", (long long)f->number);
	else if (f->type == MSG_FLAG)
		buf_putf(out, ", not \"%s\"", f->number ? "yes" : "no");
	else if (f->type == MSG_BYTES)
		buf_putf(out, ", not %u bytes", f->n);
	else
		buf_putf(out, ", not \"%.60s\"", f->text);
}

int call_fail_arg(struct call *c, int i, const char *format, ...)
{
	const char *name = c->op->args[i].name;
	struct buf came = BUF_INIT;
	char expected[256];
	va_list ap;
	va_start(ap, format);
	vsnprintf(expected, sizeof expected, format, ap);
	va_end(ap);
	put_came(&came, c, name);
	call_fail(c, "bad-argument", "%s.%s: %s must be %s%s", c->op->noun, c->op->verb, name, expected, buf_str(&came));
	buf_release(&came);
	return -1;
}

int call_fail_errno(struct call *c, int r)
{
	return call_fail(c, "failed", "%s.%s: %s", c->op->noun, c->op->verb, strerror(-r));
}

int call_fail_limit(struct call *c, enum limit reached)
{
	struct buf text = BUF_INIT;
	limits_put_reached(&c->core->limits, reached, &text);
	c->refused = true;
	call_fail(c, "too-many", "%s", buf_str(&text));
	buf_release(&text);
	return -1;
}

int call_hold(struct call *c, enum limit what)
{
	if (c->holds & HOLD(what))
		return 0;
	enum limit reached = limits_take(&c->core->limits, what, c->counted, 1);
	if (reached != LIMIT_NONE)
		return call_fail_limit(c, reached);
	c->holds |= HOLD(what);
	return 0;
}

size_t call_pending(const struct call *c)
{
	return c->asker->type->pending(c->asker);
}

/* --- an asker's calls --- */

bool asker_is_stranger(const struct asker *a)
{
	return a->foreign || a->uid == (uid_t)-1;
}

static bool is_trusted(uid_t uid)
{
	return uid == 0 || uid == geteuid();
}

bool asker_trusted(const struct asker *a)
{
	return !asker_is_stranger(a) && is_trusted(a->uid);
}

uid_t uid_counted(uid_t uid)
{
	return is_trusted(uid) ? LIMITS_NOBODY : uid;
}

uid_t asker_counted(const struct asker *a)
{
	return a->foreign ? LIMITS_NOBODY : uid_counted(a->uid);
}

uid_t call_uid(const struct call *c)
{
	const struct core *core = c->core;
	if (!asker_is_stranger(c->asker))
		return c->asker->uid;
	if (c->proven || (c->asker->foreign && c->caller.given && core->insecure_control))
		return c->caller.uid;
	return core->trusts_nodes && call_is_vouched(c) && c->caller.uid ? c->caller.uid : (uid_t)-1;
}

bool call_is_vouched(const struct call *c)
{
	return !asker_is_stranger(c->asker) || c->proven ||
	       (c->asker->foreign && c->caller.given && c->caller.uid != (uid_t)-1 && (c->core->insecure_control || links_know_hosts(c->core)));
}

bool call_is_strangers(const struct call *c)
{
	return call_uid(c) == (uid_t)-1;
}

bool call_trusted(const struct call *c)
{
	return is_trusted(call_uid(c));
}

static bool is_operator(const struct core *core, uid_t uid)
{
	for (size_t i = 0; i < core->operators_n; i++)
		if (core->operators[i] == uid)
			return true;
	return false;
}

bool call_operates(const struct call *c)
{
	return call_trusted(c) || ((c->op->flags & OP_OPERATES) && !call_is_strangers(c) && is_operator(c->core, call_uid(c)));
}

bool call_is_of(const struct call *c, uid_t uid)
{
	return !call_is_strangers(c) && call_uid(c) == uid;
}

bool asker_has_call(const struct asker *a, int64_t id)
{
	for (const struct call *c = a->calls; c; c = c->next)
		if (c->id == id)
			return true;
	return false;
}

/* So that one that always has more leaves room for the others. */
static void begin_with(struct asker *a, struct call *first)
{
	struct call **at = &a->calls, *before = a->calls;
	while (*at && *at != first)
		at = &(*at)->next;
	if (!*at || before == first)
		return;
	*at = NULL;
	a->calls = first;
	while (first->next)
		first = first->next;
	first->next = before;
}

void asker_go_on(struct asker *a)
{
	for (struct call *c = a->calls, *next; c; c = next) {
		next = c->next;
		if (!c->more)
			continue;
		call_settle(c, c->op->more(c));
		if (a->type->pending(a)) {
			begin_with(a, next);
			return;
		}
	}
}

bool asker_cancel(struct asker *a, int64_t id)
{
	for (struct call *c = a->calls; c; c = c->next)
		if (c->id == id) {
			c->cancelled = true;
			call_end(c);
			return true;
		}
	return false;
}

int call_run_cancel(struct call *c)
{
	int64_t of = c->args[0].number;
	if (of == c->id || !asker_cancel(c->asker, of))
		return call_fail(c, "not-found", "no query %lld is under way", (long long)of);
	return CALL_DONE;
}

void asker_drop_calls(struct asker *a)
{
	while (a->calls) {
		audited_gone(a->calls);
		call_free(a->calls);
	}
}
