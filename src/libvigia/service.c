/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libvigia/connection.h"

struct offer {
	const struct vigia_service *service;
	void *data;
	bool taken, over; /* the daemon has it; it is over */
	struct vigia_error error;
	struct offer *next;
};

struct vigia_called {
	struct vigia *v;
	const struct offer *offer;
	const struct vigia_operation *operation;
	uint64_t number;
	bool one_way;
	struct msg *query;
	int64_t uid;
	void *state;
	struct vigia_called *next;
};

/* --- offering --- */

static const char *const types[] = {
    [VIGIA_NAME] = "name",
    [VIGIA_PATTERN] = "pattern",
    [VIGIA_TEXT] = "text",
    [VIGIA_INTEGER] = "integer",
    [VIGIA_DURATION] = "duration",
    [VIGIA_TIME] = "time",
    [VIGIA_FLAG] = "flag",
    [VIGIA_BYTES] = "bytes",
    [VIGIA_WORDS] = "words",
    [VIGIA_SIZE] = "size",
    [VIGIA_SPAN] = "span",
};

static void put_argument(struct msg *m, const struct vigia_argument *a)
{
	msg_set(m, "name", a->name);
	msg_set(m, "type", types[a->type]);
	msg_set(m, "doc", a->doc ? a->doc : "");
	if (a->required)
		msg_set_flag(m, "required", true);
	if (a->fallback)
		msg_set_int(m, "default", a->fallback);
}

static void put_field(struct msg *m, const struct vigia_answer_field *f)
{
	msg_set(m, "name", f->name);
	msg_set(m, "type", types[f->type]);
	msg_set(m, "doc", f->doc ? f->doc : "");
}

static void put_operation(struct msg *m, const struct vigia_operation *o)
{
	msg_set(m, "name", o->name);
	msg_set(m, "doc", o->doc ? o->doc : "");
	msg_set_flag(m, "changes", o->flags & VIGIA_CHANGES);
	msg_set_flag(m, "streams", o->flags & VIGIA_STREAMS);
	for (int i = 0; i < VIGIA_ARGUMENTS && o->arguments[i].name; i++)
		put_argument(msg_child(m, "argument"), &o->arguments[i]);
	for (const struct vigia_answer_field *f = o->fields; f && f->name; f++)
		put_field(msg_child(m, "field"), f);
}

static int on_registered(struct vigia *v, struct ask *a, const struct frame *f)
{
	a->offer->taken = true;
	a->deadline_ns = INT64_MAX;
	return 0;
}

static void on_over(struct ask *a, int result, const struct vigia_error *error)
{
	a->offer->over = true;
	if (error)
		a->offer->error = *error;
}

static const struct ask_type offer_type = {on_registered, on_over};

static struct offer *offer_new(struct vigia *v, const struct vigia_service *service, void *data)
{
	struct offer *o = calloc(1, sizeof *o);
	if (!o)
		return NULL;
	*o = (struct offer){.service = service, .data = data, .next = v->offers};
	v->offers = o;
	return o;
}

static int send_offer(struct vigia *v, struct offer *o)
{
	struct msg *m = (struct msg *)vigia_query("service.register");
	struct ask *a = m ? ask_new(v, &offer_type, 0) : NULL;
	if (!a) {
		msg_free(m);
		return -ENOMEM;
	}
	a->offer = o;
	msg_set(m, "name", o->service->name);
	if (o->service->doc)
		msg_set(m, "doc", o->service->doc);
	for (const struct vigia_operation *op = o->service->operations; op->name; op++)
		put_operation(msg_child(m, "operation"), op);
	int r = ask_send(v, a, 0, NULL, m, 0);
	if (r)
		ask_forget(v, a);
	return r;
}

int vigia_serve(struct vigia *v, const struct vigia_service *service, void *data, struct vigia_error *ret_error)
{
	struct offer *o = offer_new(v, service, data);
	int r = o ? send_offer(v, o) : -ENOMEM;
	while (!r && !o->taken && !o->over) {
		r = vigia_wait(v, -1);
		r = r > 0 || r == -EINTR ? 0 : r;
	}
	if (r || o->taken)
		return r ? say(ret_error, r, "", "%s", v->error ? v->why.text : strerror(-r)) : 0;
	if (ret_error)
		*ret_error = o->error;
	return -EREMOTEIO;
}

/* --- being asked --- */

static void over(struct vigia_called *c)
{
	struct vigia_called **p = &c->v->called;
	while (*p != c)
		p = &(*p)->next;
	*p = c->next;
	if (c->operation->over)
		c->operation->over(c);
	msg_free(c->query);
	free(c);
}

static const struct vigia_operation *find(const struct vigia *v, const struct msg *query, const struct offer **ret)
{
	const char *verb = msg_get(query, "query", "");
	for (const struct offer *o = v->offers; o; o = o->next)
		for (const struct vigia_operation *op = o->service->operations; op->name; op++)
			if (!o->over && !strcmp(o->service->name, query->name) && !strcmp(op->name, verb)) {
				*ret = o;
				return op;
			}
	return NULL;
}

static int begin(struct vigia *v, const struct frame *f, const struct frame_route *route, struct msg *query)
{
	struct vigia_called *c = calloc(1, sizeof *c);
	if (!c)
		return -ENOMEM;
	*c = (struct vigia_called){.v = v, .number = f->number, .one_way = f->flags & FRAME_ONE_WAY, .query = query,
	    .uid = route->caller.given ? (int64_t)route->caller.uid : -1, .next = v->called};
	c->operation = find(v, query, &c->offer);
	v->called = c;
	if (!c->operation) {
		static const struct vigia_operation none = {.name = ""};
		c->operation = &none;
		vigia_fail(c, "unknown-query", "this program has no such operation any more");
	} else if (c->operation->run(c) == VIGIA_DONE) {
		vigia_end(c);
	}
	return 0;
}

static int on_query(struct vigia *v, const struct frame *f)
{
	struct frame_route route;
	struct msg *query;
	const char *why;
	int r = frame_get_query(f, &route, &query, &why);
	if (r)
		return r;
	r = begin(v, f, &route, query);
	if (r)
		msg_free(query);
	return r;
}

static int on_cancel(struct vigia *v, const struct frame *f)
{
	struct vigia_called *c = v->called;
	while (c && c->number != f->number)
		c = c->next;
	if (c)
		over(c);
	return 0;
}

int service_take_frame(struct vigia *v, const struct frame *f)
{
	return f->kind == FRAME_QUERY ? on_query(v, f) : on_cancel(v, f);
}

void service_release(struct vigia *v)
{
	while (v->called)
		over(v->called);
	while (v->offers) {
		struct offer *o = v->offers;
		v->offers = o->next;
		free(o);
	}
}

/* --- what an operation does with its call --- */

void *vigia_called_data(const struct vigia_called *c)
{
	return c->offer->data;
}

void **vigia_called_state(struct vigia_called *c)
{
	return &c->state;
}

const struct vigia_message *vigia_called_query(const struct vigia_called *c)
{
	return (const struct vigia_message *)c->query;
}

int64_t vigia_called_uid(const struct vigia_called *c)
{
	return c->uid;
}

struct vigia_message *vigia_answer(struct vigia_called *c, const char *name)
{
	return (struct vigia_message *)msg_new(name);
}

static int put(struct vigia_called *c, enum frame_kind kind, const struct msg *m)
{
	return c->one_way || c->v->error ? 0 : frame_put_msg(&c->v->out, kind, c->number, m);
}

static void put_error(struct vigia_called *c, const char *code, const char *text)
{
	struct msg *m = msg_new("error");
	if (!m)
		return;
	msg_set(m, "code", code);
	msg_text(m, text, strlen(text));
	put(c, FRAME_ERROR, m);
	msg_free(m);
}

/* One that is too large is the last word: what the program says of this call afterwards is nobody's any more. */
void vigia_send(struct vigia_called *c, struct vigia_message *take_answer)
{
	struct msg *m = (struct msg *)take_answer;
	if (m && !msg_failed(m) && put(c, FRAME_ANSWER, m) == -EMSGSIZE)
		put_error(c, "too-large", "an answer is larger than a frame may be");
	msg_free(m);
}

void vigia_end(struct vigia_called *c)
{
	if (!c->one_way && !c->v->error)
		frame_put(&c->v->out, FRAME_END, 0, c->number, NULL, 0);
	over(c);
}

int vigia_hand_on(struct vigia_called *c, const char *host)
{
	return vigia_fail(c, "elsewhere", "%s", host);
}

int vigia_fail(struct vigia_called *c, const char *code, const char *format, ...)
{
	char text[512];
	va_list ap;
	va_start(ap, format);
	vsnprintf(text, sizeof text, format, ap);
	va_end(ap);
	put_error(c, code, text);
	over(c);
	return -1;
}
