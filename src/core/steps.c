/* SPDX-License-Identifier: Apache-2.0 */
#include "core/steps.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "os/clock.h"

enum { TICK_MS = 200 };

struct steps {
	struct call *call;
	const struct steps_type *type;
	uv_timer_t *timer;
	void (*then)(struct core *core);
	struct steps *next, **link;
	size_t n, left, failed;
	struct steps_host hosts[];
};

const struct op_field steps_fields[] = {
    {"host", OP_TEXT, "which of them, as it was said"},
    {"step", OP_TEXT, "what it has come to: the last is joined, removed or failed"},
    {"text", OP_TEXT, "more about it"},
    {NULL},
};

/* --- telling --- */

static void tell(struct steps_host *h, const char *step, const char *format, va_list ap)
{
	char text[512];
	struct msg *m = call_answer(h->steps->call, "host");
	vsnprintf(text, sizeof text, format, ap);
	if (m) {
		msg_set(m, "host", h->name);
		msg_set(m, "step", step);
		if (*text)
			msg_set(m, "text", text);
	}
	call_send(h->steps->call, m);
}

void steps_tell(struct steps_host *h, const char *step, const char *format, ...)
{
	va_list ap;
	va_start(ap, format);
	tell(h, step, format, ap);
	va_end(ap);
}

static void on_tick(uv_timer_t *timer);

/* The call ends from the timer: whoever is on the stack now may go on with it. */
static void end_host(struct steps_host *h, bool failed)
{
	struct steps *s = h->steps;
	h->over = true;
	s->failed += failed;
	if (!--s->left)
		uv_timer_start(s->timer, on_tick, 0, 0);
}

void steps_fail(struct steps_host *h, const char *format, ...)
{
	va_list ap;
	if (h->over)
		return;
	va_start(ap, format);
	tell(h, "failed", format, ap);
	va_end(ap);
	end_host(h, true);
}

void steps_done(struct steps_host *h)
{
	const struct view_row *row = view_find(h->core, &h->id);
	if (h->over)
		return;
	steps_tell(h, h->steps->type->last, "%s", row && strcmp(row->name, h->name) ? row->name : "");
	end_host(h, false);
}

/* --- what the view says --- */

static const struct view_row *row_of(const struct steps_host *h)
{
	return !host_id_is_none(&h->id) ? view_find(h->core, &h->id) : h->by_name ? view_named(h->core, h->by_name) : NULL;
}

void steps_look(struct steps_host *h)
{
	const struct view_row *row = h->over ? NULL : row_of(h);
	if (!row || view_shown(row) != h->steps->type->until)
		return;
	h->id = row->id;
	steps_done(h);
}

void steps_heard(struct core *core, const struct view_row *row)
{
	for (struct steps *s = core->steps; s; s = s->next)
		for (size_t i = 0; view_shown(row) == s->type->until && i < s->n; i++)
			steps_look(&s->hosts[i]);
}

/* --- the course of it --- */

bool steps_is_last(const struct steps_host *h)
{
	return h->steps->left == 1 && !h->over;
}

void steps_then(struct steps_host *h, void (*then)(struct core *core))
{
	h->steps->then = then;
}

struct call *steps_call(const struct steps_host *h)
{
	return h->steps->call;
}

static void finish(struct steps *s)
{
	struct core *core = s->call->core;
	void (*then)(struct core *) = s->then;
	if (s->failed)
		call_fail(s->call, "failed", "%zu of %zu hosts failed", s->failed, s->n);
	else
		call_end(s->call);
	if (then)
		then(core);
}

static void go_on(struct steps_host *h, int64_t now_ns)
{
	if (!h->over && !h->begun)
		h->steps->type->begin(h);
	if (!h->over && h->deadline_ns <= now_ns)
		steps_fail(h, "it took too long: %s", h->waiting);
}

static void on_tick(uv_timer_t *timer)
{
	struct steps *s = timer->data;
	int64_t now_ns = clock_mono_ns();
	for (size_t i = 0; i < s->n; i++)
		go_on(&s->hosts[i], now_ns);
	if (!s->left)
		finish(s);
}

/* --- begin and end --- */

static bool is_said_before(const struct steps *s, const char *name)
{
	for (size_t i = 0; i < s->n; i++)
		if (!strcmp(s->hosts[i].name, name))
			return true;
	return false;
}

static size_t count(const struct msg *first)
{
	size_t n = 0;
	for (const struct msg *k = first; k; k = k->next)
		n += !strcmp(k->name, first->name);
	return n;
}

static void take_hosts(struct steps *s, const struct msg *first, int64_t deadline_ns)
{
	for (const struct msg *k = first; k; k = k->next)
		if (!strcmp(k->name, first->name) && !is_said_before(s, k->text))
			s->hosts[s->n++] = (struct steps_host){.steps = s, .core = s->call->core, .name = k->text,
			    .deadline_ns = clock_mono_ns() + deadline_ns, .waiting = "it could not begin"};
	s->left = s->n;
}

static struct steps *steps_new(struct call *c, const struct steps_type *type, size_t n)
{
	struct steps *s = calloc(1, sizeof *s + n * sizeof *s->hosts);
	uv_timer_t *timer = s ? calloc(1, sizeof *timer) : NULL;
	if (!timer) {
		free(s);
		return NULL;
	}
	*s = (struct steps){.call = c, .type = type, .timer = timer, .next = c->core->steps, .link = &c->core->steps};
	uv_timer_init(c->core->net.loop, timer);
	timer->data = s;
	if (s->next)
		s->next->link = &s->next;
	c->core->steps = s;
	return s;
}

int steps_run(struct call *c, const struct steps_type *type, const struct msg *first, int64_t deadline_ns)
{
	size_t n = count(first);
	if (n > STEPS_HOSTS_MAX)
		return call_fail(c, "too-many", "more than %d hosts at once", STEPS_HOSTS_MAX);
	struct steps *s = steps_new(c, type, n);
	if (!s)
		return call_fail(c, "failed", "no memory");
	c->state = s;
	take_hosts(s, first, deadline_ns);
	uv_timer_start(s->timer, on_tick, TICK_MS, TICK_MS);
	for (size_t i = 0; i < s->n; i++)
		type->begin(&s->hosts[i]);
	return CALL_LATER;
}

static void on_timer_closed(uv_handle_t *h)
{
	free(h);
}

void steps_over(struct call *c)
{
	struct steps *s = c->state;
	if (!s)
		return;
	for (size_t i = 0; i < s->n; i++)
		s->type->release(&s->hosts[i]);
	*s->link = s->next;
	if (s->next)
		s->next->link = s->link;
	uv_close((uv_handle_t *)s->timer, on_timer_closed);
	free(s);
}
