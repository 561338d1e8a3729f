/* SPDX-License-Identifier: Apache-2.0 */
/* What services there are, and what they can be asked: the tables, told. Help, completion and the manual come from here. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/core.h"
#include "core/describe.h"
#include "core/finding.h"
#include "core/leases.h"
#include "core/relay.h"
#include "proto/chars.h"

enum { OPS_MAX = 256, NAME_MAX_BYTES = 63 };

static void put_op(struct call *c, const struct service *s, const struct op *op, bool chosen)
{
	struct msg *m = call_answer(c, "operation");
	if (m)
		op_describe(m, s, op);
	if (m && !chosen)
		msg_set_flag(m, "chosen", false);
	call_send(c, m);
}

static unsigned put_ops(struct call *c, const struct service *s, bool chosen)
{
	if (!pattern_match(c->args[0].text, s->name))
		return 0;
	for (const struct op *op = s->ops; op && op->noun; op++)
		if (op->roles & c->asker->roles)
			put_op(c, s, op, chosen);
	return 1;
}

static int no_service(struct call *c, const char *name)
{
	if (core_left_out(c->core, name, NULL))
		return call_fail(c, "not-found", NOT_CHOSEN, name);
	return call_fail(c, "not-found", "no service is named %s", name);
}

static int run_describe(struct call *c)
{
	const struct service *s = NULL;
	unsigned found = 0;
	while ((s = core_next_service(c->core, s)))
		found += put_ops(c, s, true);
	for (const struct service *const *out = c->core->left_out; c->args[1].number && out && *out; out++)
		found += put_ops(c, *out, false);
	if (!found && pattern_plain(c->args[0].text))
		return no_service(c, c->args[0].text);
	return CALL_DONE;
}

/* --- what programs offer --- */

/* A service as long as its registration, a call of the program that offers it. */
struct registered {
	struct service service;
	struct op *ops;
	struct call *call;
	unsigned users;
	struct use *uses;
	struct registered *next;
};

const struct service *core_next_service(const struct core *core, const struct service *after)
{
	const struct service *const *s = core->services;
	const struct registered *r = core->registered;
	if (!after)
		return *s ? *s : r ? &r->service : NULL;
	for (; *s; s++)
		if (*s == after)
			return s[1] ? s[1] : r ? &r->service : NULL;
	r = ((const struct registered *)after)->next;
	return r ? &r->service : NULL;
}

/* What a program offers under the same name is in its place. */
static bool is_replaced(const struct core *core, const char *noun)
{
	const struct registered *r = core->registered;
	while (r && strcmp(r->service.name, noun))
		r = r->next;
	return r;
}

static bool has_op(const struct service *s, const char *noun, const char *verb)
{
	for (const struct op *op = s->ops; op && op->noun; op++)
		if (!strcmp(op->noun, noun) && !strcmp(op->verb, verb))
			return true;
	return false;
}

const struct service *core_left_out(const struct core *core, const char *noun, const char *verb)
{
	for (const struct service *const *s = core->left_out; s && *s; s++)
		if ((verb ? has_op(*s, noun, verb) : !strcmp((*s)->name, noun)) && !is_replaced(core, noun))
			return *s;
	return NULL;
}

const struct service *core_left_out_role(const struct core *core, const char *role)
{
	for (const struct service *const *s = core->left_out; s && *s; s++)
		for (const struct role *const *r = (*s)->roles; r && *r; r++)
			if (!strcmp((*r)->name, role))
				return *s;
	return NULL;
}

static struct registered *find(const struct core *core, const char *name)
{
	struct registered *r = core->registered;
	while (r && strcmp(r->service.name, name))
		r = r->next;
	return r;
}

static int run_registered(struct call *c)
{
	struct registered *r = c->op->owner;
	return relay_run(r->call->peer->relay, c, c->deadline_ms);
}

/* --- reading a description --- */

static bool is_reserved(const char *name)
{
	return !strcmp(name, "query") || !strcmp(name, "id") || !strcmp(name, "answer") || !strcmp(name, "at") || !strcmp(name, "signed");
}

static int read_arg(struct call *c, const struct msg *m, struct op_arg *ret)
{
	*ret = (struct op_arg){.name = msg_get(m, "name", ""), .doc = msg_get(m, "doc", ""),
	    .required = msg_get_flag(m, "required")};
	if (!chars_are_name(ret->name, strlen(ret->name)) || is_reserved(ret->name))
		return call_fail(c, "bad-argument", "service.register: an argument can't be named \"%s\"", ret->name);
	if (op_type_named(msg_get(m, "type", "text"), &ret->type))
		return call_fail(c, "bad-argument", "service.register: argument %s: no type is named %.40s", ret->name,
		    msg_get(m, "type", ""));
	msg_get_int(m, "default", &ret->fallback);
	if (ret->type == OP_DURATION && ret->fallback >= 0 && ret->fallback <= INT64_MAX / 1000000)
		ret->fallback *= 1000000;
	return 0;
}

static int read_args(struct call *c, const struct msg *m, struct op *op)
{
	int n = 0;
	for (const struct msg *a = m->children; a; a = a->next) {
		if (!strcmp(a->name, "field"))
			continue;
		if (n == OP_ARGS_MAX)
			return call_fail(c, "bad-argument", "service.register: %s has more than %d arguments", op->verb,
			    OP_ARGS_MAX);
		if (read_arg(c, a, &op->args[n++]))
			return -1; /* the call is over, and its message with it */
	}
	return 0;
}

static int read_field(struct call *c, const struct msg *m, struct op_field *ret)
{
	*ret = (struct op_field){.name = msg_get(m, "name", ""), .doc = msg_get(m, "doc", "")};
	if (!chars_are_name(ret->name, strlen(ret->name)) || is_reserved(ret->name))
		return call_fail(c, "bad-argument", "service.register: a field can't be named \"%s\"", ret->name);
	if (op_type_named(msg_get(m, "type", "text"), &ret->type))
		return call_fail(c, "bad-argument", "service.register: field %s: no type is named %.40s", ret->name,
		    msg_get(m, "type", ""));
	return 0;
}

static int read_fields(struct call *c, const struct msg *m, struct op *op)
{
	size_t n = 0;
	for (const struct msg *k = m->children; k; k = k->next)
		n += !strcmp(k->name, "field");
	if (!n)
		return 0;
	if (n > OP_FIELDS_MAX)
		return call_fail(c, "bad-argument", "service.register: the answers of %s have more than %d fields", op->verb,
		    OP_FIELDS_MAX);
	struct op_field *f = calloc(n + 1, sizeof *f);
	if (!f)
		return call_fail(c, "failed", "no memory");
	op->fields = f;
	for (const struct msg *k = m->children; k; k = k->next)
		if (!strcmp(k->name, "field") && read_field(c, k, f++))
			return -1;
	return 0;
}

static int read_op(struct call *c, const struct msg *m, struct registered *r, struct op *op)
{
	*op = (struct op){.noun = r->service.name, .verb = msg_get(m, "name", ""), .doc = msg_get(m, "doc", ""),
	    .roles = ROLE_CLIENT, .run = run_registered, .more = relay_more, .over = relay_over, .owner = r};
	op->flags = (msg_get_flag(m, "changes") ? OP_ACTS : 0u) | (msg_get_flag(m, "streams") ? OP_STREAMS : 0u);
	if (!chars_are_name(op->verb, strlen(op->verb)) || strchr(op->verb, '.'))
		return call_fail(c, "bad-argument", "service.register: an operation can't be named \"%.60s\"", op->verb);
	int r_args = read_args(c, m, op);
	return r_args ? r_args : read_fields(c, m, op);
}

static int read_ops(struct call *c, struct registered *r)
{
	size_t n = 0;
	for (const struct msg *m = c->msg->children; m; m = m->next)
		n++;
	r->ops = n <= OPS_MAX ? calloc(n + 1, sizeof *r->ops) : NULL;
	if (!r->ops)
		return call_fail(c, "too-many", "service.register: a service has at most %d operations", OPS_MAX);
	r->service.ops = r->ops;
	n = 0;
	for (const struct msg *m = c->msg->children; m; m = m->next)
		if (read_op(c, m, r, &r->ops[n++]))
			return -1;
	return 0;
}

/* --- registering --- */

static bool noun_is_taken(const struct core *core, const char *noun)
{
	const struct service *s = NULL;
	while ((s = core_next_service(core, s))) {
		if (!strcmp(s->name, noun))
			return true;
		for (const struct op *op = s->ops; op && op->noun; op++)
			if (!strcmp(op->noun, noun))
				return true;
	}
	return false;
}

static int may_register(struct call *c)
{
	const char *name = c->args[0].text;
	if (!c->peer || !c->peer->framed)
		return call_fail(c, "not-permitted", "service.register: only in frames, by the program that offers it");
	if (!chars_are_name(name, strlen(name)) || strchr(name, '.') || strlen(name) > NAME_MAX_BYTES)
		return call_fail(c, "bad-argument", "service.register: a service can't be named \"%.60s\"", name);
	if (noun_is_taken(c->core, name))
		return call_fail(c, "exists", "there is a service or noun %s already", name);
	return call_hold(c, LIMIT_SERVICES);
}

static int send_query(struct relay *r, const struct buf *frame)
{
	struct peer *p = r->owner;
	if (!p->closing && !p->doomed)
		buf_put(peer_out(p), frame->data, frame->len);
	return 0;
}

static int need_relay(struct peer *p)
{
	if (p->relay)
		return 0;
	p->relay = calloc(1, sizeof *p->relay);
	if (!p->relay)
		return -ENOMEM;
	relay_init(p->relay, p->core, send_query, p);
	return 0;
}

static int run_register(struct call *c)
{
	if (may_register(c))
		return -1;
	struct registered *r = need_relay(c->peer) ? NULL : calloc(1, sizeof *r);
	if (!r)
		return call_fail(c, "failed", "no memory");
	*r = (struct registered){.service = {.name = c->args[0].text, .doc = c->args[1].text}, .call = c};
	c->state = r;
	if (read_ops(c, r))
		return -1;
	struct registered **end = &c->core->registered;
	while (*end)
		end = &(*end)->next;
	*end = r;
	call_send(c, call_answer(c, "service"));
	return CALL_LATER;
}

static void end_users(struct registered *r, const char *code, const char *why);

static void free_ops(struct op *ops)
{
	for (struct op *op = ops; op && op->noun; op++)
		free((void *)(uintptr_t)op->fields);
	free(ops);
}

static void over_register(struct call *c)
{
	struct registered *r = c->state;
	if (!r)
		return;
	for (struct registered **p = &c->core->registered; *p; p = &(*p)->next)
		if (*p == r) {
			*p = r->next;
			break;
		}
	relay_fail(c->peer->relay, r, "unavailable", "the program that offers this service is gone");
	end_users(r, "unavailable", "the program that offers it is gone");
	free_ops(r->ops);
	free(r);
}

/* All who wait for it or use it are told why, then the program. */
static void end_service(struct registered *r, const char *why)
{
	char text[160];
	snprintf(text, sizeof text, "service %s: %s", r->service.name, why);
	relay_fail(r->call->peer->relay, r, "deleted", text);
	end_users(r, "deleted", why);
	call_fail(r->call, "deleted", "%s", text);
}

static int run_delete(struct call *c)
{
	struct registered *r = find(c->core, c->args[0].text);
	if (!r)
		return call_fail(c, "not-found", "no program offers a service named %s", c->args[0].text);
	if (!call_trusted(c) && !call_is_of(c, r->call->asker->uid))
		return call_fail(c, "not-permitted", "service %s belongs to uid %d", r->service.name,
		    (int)r->call->asker->uid);
	end_service(r, "it was deleted");
	return CALL_DONE;
}

void registry_end(struct core *core)
{
	while (core->registered) {
		struct registered *last = core->registered;
		while (last->next)
			last = last->next;
		end_service(last, "this host leaves the cluster");
	}
}

/* --- using: a call that lasts as long as somebody needs the service --- */

struct use {
	struct call *call;
	struct registered *of; /* NULL: a service of the daemon's own, which stays */
	struct use *next;
};

static void end_users(struct registered *r, const char *code, const char *why)
{
	while (r->uses) {
		struct use *u = r->uses;
		r->uses = u->next;
		u->of = NULL;
		call_fail(u->call, code, "service %s: %s", r->service.name, why);
	}
	leases_end(r->call->core, r->service.name, code, why);
}

static int run_use(struct call *c)
{
	struct registered *r = find(c->core, c->args[0].text);
	if (!r && !noun_is_taken(c->core, c->args[0].text))
		return no_service(c, c->args[0].text);
	struct use *u = calloc(1, sizeof *u);
	if (!u)
		return call_fail(c, "failed", "no memory");
	*u = (struct use){.call = c, .of = r, .next = r ? r->uses : NULL};
	if (r)
		r->uses = u, r->users++;
	c->state = u;
	call_send(c, call_answer(c, "service"));
	return CALL_LATER;
}

static void over_use(struct call *c)
{
	struct use *u = c->state;
	if (u && u->of) {
		struct use **p = &u->of->uses;
		while (*p != u)
			p = &(*p)->next;
		*p = u->next;
		u->of->users--;
	}
	free(u);
}

/* --- listing --- */

static void put_service(struct call *c, const struct service *s)
{
	const struct registered *r = find(c->core, s->name);
	struct msg *m = call_answer(c, "service");
	if (!m)
		return;
	msg_set(m, "name", s->name);
	msg_set(m, "host", c->core->name);
	msg_set_int(m, "process", r ? r->call->asker->pid : getpid());
	if (r)
		msg_set_int(m, "users", r->users);
	msg_set(m, "doc", s->doc);
	call_send(c, m);
}

static const struct op_field service_fields[] = {
    {"name", OP_NAME, "the service's, and the noun of its operations"},
    {"host", OP_NAME, "where it is"},
    {"process", OP_INTEGER, "who offers it: the daemon or a program"},
    {"users", OP_INTEGER, "how many said that they need it"},
    {"chosen", OP_FLAG, "no: this host's configuration leaves it out"},
    {"doc", OP_TEXT, "a line about it"},
    {NULL},
};

static unsigned put_services(struct call *c)
{
	const struct service *s = NULL;
	unsigned n = 0;
	while ((s = core_next_service(c->core, s)))
		if (pattern_match(c->args[0].text, s->name)) {
			put_service(c, s);
			n++;
		}
	return n;
}

static void put_left_out(struct call *c, const struct service *s)
{
	struct msg *m = pattern_match(c->args[0].text, s->name) ? call_answer(c, "service") : NULL;
	if (!m)
		return;
	msg_set(m, "name", s->name);
	msg_set(m, "host", c->core->name);
	msg_set_flag(m, "chosen", false);
	msg_set(m, "doc", s->doc);
	call_send(c, m);
}

static int run_list(struct call *c)
{
	put_services(c);
	for (const struct service *const *out = c->core->left_out; c->args[1].number && out && *out; out++)
		put_left_out(c, *out);
	return CALL_DONE;
}

static int run_find(struct call *c)
{
	return finding_run(c, put_services);
}

#define SERVICE {"service", OP_PATTERN, "services, by name"}
#define ALL {"all", OP_FLAG, "those too that are not chosen on this host"}

static const struct op ops[] = {
    {"service", "list", "the services of this host", OP_READS, ROLE_CLIENT, .args = {SERVICE, ALL}, .run = run_list,
	.fields = service_fields},
    {"service", "find", "where services are: the nearest, on this host or else the first other that answers; or all", OP_READS,
	ROLE_CLIENT,
	.args = {{"service", OP_PATTERN, "services, by name", .required = true},
	    {"everywhere", OP_FLAG, "all that there are, on all hosts"}}, .run = run_find, .over = finding_over,
	.fields = service_fields},
    {"service", "describe", "what services can be asked", OP_READS, ROLE_CLIENT, .args = {SERVICE, ALL}, .run = run_describe},
    {"service", "register", "offers a service to all, as long as this goes on; operations are its children", OP_STREAMS | OP_ACTS,
	ROLE_CLIENT,
	.args = {{"name", OP_TEXT, "the service's, and the noun of its operations", .required = true},
	    {"doc", OP_TEXT, "a line about it"}}, .run = run_register, .over = over_register},
    {"service", "get", "says that a service is needed, as long as this goes on", OP_STREAMS, ROLE_CLIENT,
	.args = {{"service", OP_NAME, "its name", .required = true}}, .run = run_use, .over = over_use},
    {"service", "delete", "ends a service that a program offers", OP_ACTS, ROLE_CLIENT,
	.args = {{"service", OP_NAME, "its name", .required = true}}, .run = run_delete},
    {NULL},
};

static int client_opened(struct peer *p, const struct msg *hmon)
{
	peer_registered(p);
	return 0;
}

static const struct role client_role = {.name = "client", .bit = ROLE_CLIENT, .opened = client_opened};
static const struct role *const roles[] = {&client_role, NULL};

const struct service registry_service = {
    .name = "service", .doc = "services, and what they can be asked", .ops = ops, .roles = roles};
