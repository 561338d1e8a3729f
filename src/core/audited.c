/* SPDX-License-Identifier: Apache-2.0 */
#include "core/audited.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "audit/audit.h"
#include "core/secure.h"
#include "os/clock.h"

enum { WHAT_MAX = 120 };

struct written {
	struct audit_record r;
	char host[HOST_ID_TEXT], what[WHAT_MAX];
	struct buf args;
};

/* --- who --- */

static void name_local(struct written *w, const struct asker *a)
{
	w->r.uid = a->uid;
	w->r.pid = a->pid > 0 ? (uint32_t)a->pid : 0;
	host_id_format(&a->core->id, w->host);
	w->r.how = a->peer ? AUDIT_BY_KERNEL : AUDIT_ITSELF;
}

static void name_stranger(struct written *w, const struct asker *a)
{
	w->r.how = !a->peer ? AUDIT_ITSELF : secure_name(a->peer) ? AUDIT_BY_CERTIFICATE : AUDIT_BY_NOTHING;
	w->r.address = a->address;
}

static void name_asker(struct written *w, const struct asker *a)
{
	*w = (struct written){.r = {.time_ns = clock_wall_ns(), .uid = AUDIT_NOBODY, .address = "", .code = "", .args = ""}};
	w->r.host = w->host;
	w->r.what = w->what;
	if (a->uid != (uid_t)-1)
		name_local(w, a);
	else
		name_stranger(w, a);
}

static void name_caller(struct written *w, const struct call *c)
{
	name_asker(w, c->asker);
	snprintf(w->what, sizeof w->what, "%s.%s", c->msg->name, msg_get(c->msg, "query", ""));
	if (!c->asker->foreign)
		return;
	w->r.how = c->proven ? AUDIT_BY_SIGNATURE : AUDIT_BY_HOST;
	w->r.address = "";
	w->r.uid = c->caller.given ? c->caller.uid : AUDIT_NOBODY;
	w->r.pid = c->caller.given ? c->caller.pid : 0;
	host_id_format(&c->caller.host, w->host);
}

/* --- what --- */

static const struct op_arg *arg_of(const struct op *op, const char *name)
{
	for (int i = 0; op && !op->owner && i < OP_ARGS_MAX && op->args[i].name; i++)
		if (!strcmp(op->args[i].name, name))
			return &op->args[i];
	return NULL;
}

static void put_text(struct buf *args, const char *name, const char *value)
{
	audit_put_arg(args, name, value, strlen(value));
}

static void put_bytes(struct buf *args, const struct msg *m, const char *name)
{
	const uint8_t *bytes;
	size_t n = 0;
	char text[40] = "(no bytes)";
	if (!msg_get_bytes(m, name, &bytes, &n))
		snprintf(text, sizeof text, "(%zu bytes)", n);
	put_text(args, name, text);
}

static void put_known(struct buf *args, const struct op_arg *arg, const struct msg *m, const struct msg_field *f)
{
	char number[40];
	snprintf(number, sizeof number, "%lld", f->type == MSG_INT ? (long long)f->number : 0);
	if (f->type == MSG_BYTES || arg->type == OP_BYTES)
		put_bytes(args, m, f->name);
	else if (f->type == MSG_TEXT)
		audit_put_arg(args, f->name, f->text, f->n);
	else
		put_text(args, f->name, f->type == MSG_INT ? number : f->number ? "yes" : "no");
}

static bool is_envelope(const char *name, bool here)
{
	return !strcmp(name, "query") || !strcmp(name, "id") || !strcmp(name, "signed") || (here && !strcmp(name, "at"));
}

static void put_field(struct buf *args, const struct call *c, const struct op *op, const struct msg_field *f)
{
	static const struct op_arg place = {"at", OP_TEXT, ""};
	const struct op_arg *arg = strcmp(f->name, "at") ? arg_of(op, f->name) : &place;
	if (is_envelope(f->name, c->op->run))
		return;
	if (arg && !arg->secret)
		put_known(args, arg, c->msg, f);
	else
		put_text(args, f->name, "(left out)");
}

/* A program and how many words for it: passwords have been seen on command lines. */
static void put_words(struct buf *args, const struct op *op, const struct msg *m)
{
	for (int i = 0; op && !op->owner && i < OP_ARGS_MAX && op->args[i].name; i++) {
		const struct msg *first = NULL;
		unsigned n = 0;
		char value[AUDIT_VALUE_MAX];
		if (op->args[i].type != OP_WORDS)
			continue;
		for (const struct msg *k = m->children; k; k = k->next)
			if (!strcmp(k->name, op->args[i].name) && !n++)
				first = k;
		if (n > 1)
			snprintf(value, sizeof value, "%.60s (and %u more)", first->text, n - 1);
		if (n)
			put_text(args, op->args[i].name, n > 1 ? value : first->text);
	}
}

static void put_certificate(struct buf *args, const struct asker *a)
{
	const char *name = a->peer ? secure_name(a->peer) : NULL;
	if (name)
		put_text(args, "certificate", name);
}

static void put_args(struct written *w, const struct call *c)
{
	const struct op *op = c->op->run ? c->op : core_op(c->core, c->msg->name, msg_get(c->msg, "query", ""));
	for (const struct msg_field *f = c->msg->fields; f; f = f->next)
		put_field(&w->args, c, op, f);
	put_words(&w->args, op, c->msg);
}

static bool changes(const struct call *c)
{
	return c->op->flags & (OP_CHANGES | OP_ACTS);
}

static enum audit_kind kind_of(const struct call *c)
{
	return c->op->owner || (c->op->flags & OP_TRAFFIC) ? AUDIT_TRAFFIC : AUDIT_CHANGE;
}

static void put(struct core *core, struct written *w, enum audit_kind kind, const char *result, const char *code)
{
	w->r.result = result;
	w->r.code = code ? code : "";
	w->r.args = buf_str(&w->args);
	audit_put(core->audit, &w->r, kind);
	buf_release(&w->args);
}

static void put_call(struct call *c, enum audit_kind kind, const char *result, const char *code)
{
	struct written w;
	name_caller(&w, c);
	if (!audit_takes(c->core->audit, &w.r, kind))
		return;
	put_certificate(&w.args, c->asker);
	put_args(&w, c);
	put(c->core, &w, kind, result, code);
}

/* --- of calls --- */

int audited_may_change(struct call *c)
{
	struct written w;
	struct buf why = BUF_INIT;
	if (!c->core->audit || !changes(c) || kind_of(c) == AUDIT_TRAFFIC)
		return 0;
	name_caller(&w, c);
	int r = audit_may_change(c->core->audit, &w.r, call_trusted(c), &why);
	c->refused = r;
	if (r == -EAGAIN) {
		limits_refuse(&c->core->limits, LIMIT_CHANGES_RATE);
		call_fail_limit(c, LIMIT_CHANGES_RATE);
	} else if (r) {
		call_fail(c, "unavailable", "%s.%s: %s", c->op->noun, c->op->verb, buf_str(&why));
	}
	buf_release(&why);
	return r ? -1 : 0;
}

void audited_begun(struct call *c)
{
	if (c->core->audit && changes(c) && (c->op->flags & OP_STREAMS))
		put_call(c, kind_of(c), "begun", NULL);
}

static bool is_refusal(const char *code)
{
	static const char *const refusals[] = {"not-permitted", "held", "stranger"};
	for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++)
		if (!strcmp(code, refusals[i]))
			return true;
	return false;
}

void audited_over(struct call *c, const char *code)
{
	if (!c->core->audit)
		return;
	if (code && (c->refused || is_refusal(code)))
		put_call(c, AUDIT_REFUSAL, "refused", code);
	else if (changes(c) && code)
		put_call(c, kind_of(c), "failed", code);
	else if (changes(c))
		put_call(c, kind_of(c), c->cancelled ? "cancelled" : "done", NULL);
}

void audited_gone(struct call *c)
{
	if (c->core->audit && changes(c))
		put_call(c, kind_of(c), "gone", NULL);
}

void audited_handed_on(struct call *c, const char *to)
{
	if (c->core->audit && changes(c))
		put_call(c, kind_of(c), "handed-on", to);
}

/* --- of the rest --- */

void audited_refusal(const struct asker *a, const char *what, const char *code, const char *why)
{
	struct written w;
	if (!a->core->audit)
		return;
	name_asker(&w, a);
	if (!audit_takes(a->core->audit, &w.r, AUDIT_REFUSAL))
		return;
	snprintf(w.what, sizeof w.what, "%s", what);
	put_certificate(&w.args, a);
	if (*a->role)
		put_text(&w.args, "role", a->role);
	put_text(&w.args, "why", why);
	put(a->core, &w, AUDIT_REFUSAL, "refused", code);
}

void audited_signal(struct core *core, const char *what, const char *code)
{
	struct asker a = {.core = core, .role = "", .uid = (uid_t)-1};
	struct written w;
	if (!core->audit)
		return;
	name_asker(&w, &a);
	w.r.how = "signal";
	snprintf(w.what, sizeof w.what, "%s", what);
	put(core, &w, AUDIT_CHANGE, code ? "failed" : "done", code);
}

int audited_trouble(const struct core *core, struct buf *ret_what)
{
	return core->audit ? audit_trouble(core->audit, ret_what) : 0;
}
