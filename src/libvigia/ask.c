/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libvigia/connection.h"
#include "os/clock.h"

enum { DEADLINE_MS = 10000 };

/* --- those under way --- */

static struct ask **place_of(struct vigia *v, uint64_t number)
{
	struct ask **p = &v->asks[number % ASKS];
	while (*p && (*p)->number != number)
		p = &(*p)->next;
	return p;
}

struct ask *ask_find(struct vigia *v, uint64_t number)
{
	return *place_of(v, number);
}

struct ask *ask_new(struct vigia *v, const struct ask_type *type, int64_t deadline_ms)
{
	struct ask *a = calloc(1, sizeof *a);
	if (!a)
		return NULL;
	*a = (struct ask){.type = type, .number = ++v->last,
	    .deadline_ns = clock_mono_ns() + (deadline_ms ? deadline_ms : DEADLINE_MS) * 1000000};
	a->next = v->asks[a->number % ASKS];
	v->asks[a->number % ASKS] = a;
	v->asks_n++;
	return a;
}

void ask_forget(struct vigia *v, struct ask *a)
{
	struct ask **p = place_of(v, a->number);
	order_leave(v, a);
	*p = a->next;
	v->asks_n--;
	free(a);
}

/* Its owner may ask anew from within. */
static void end(struct vigia *v, struct ask *a, int result, const struct vigia_error *error)
{
	uint64_t number = a->number;
	order_hurry(v, number);
	if (!(a = ask_find(v, number)))
		return;
	struct ask copy = *a;
	ask_forget(v, a);
	copy.type->over(&copy, result, error);
}

void ask_end_all(struct vigia *v, int result, const struct vigia_error *error)
{
	for (size_t i = 0; i < ASKS; i++)
		while (v->asks[i])
			end(v, v->asks[i], result, error);
}

/* The newest first: one is often all there are. */
int64_t ask_next_deadline_ns(const struct vigia *v)
{
	int64_t next = INT64_MAX;
	unsigned left = v->asks_n;
	for (uint64_t i = v->last; left; i--)
		for (const struct ask *a = v->asks[i % ASKS]; a; a = a->next, left--)
			next = a->deadline_ns < next ? a->deadline_ns : next;
	return next;
}

static struct ask *overdue(struct vigia *v, int64_t now_ns)
{
	unsigned left = v->asks_n;
	for (uint64_t i = v->last; left; i--)
		for (struct ask *a = v->asks[i % ASKS]; a; a = a->next, left--)
			if (a->deadline_ns <= now_ns)
				return a;
	return NULL;
}

void ask_check_deadlines(struct vigia *v)
{
	struct ask *a;
	struct vigia_error error;
	while ((a = overdue(v, clock_mono_ns()))) {
		uint64_t number = a->number;
		say(&error, 0, "deadline", "%s did not answer in time", a->what);
		end(v, a, -ETIMEDOUT, &error);
		frame_put(&v->out, FRAME_CANCEL, 0, number, NULL, 0);
	}
}

/* --- asking --- */

int ask_send(struct vigia *v, struct ask *a, unsigned flags, const char *host, struct msg *take_query,
    int64_t deadline_ms)
{
	struct frame_route route = {.deadline_ms = deadline_ms};
	int r = v->error ? v->error : msg_failed(take_query) ? -ENOMEM : 0;
	if (host && strlen(host) >= sizeof route.to)
		r = r ? r : -ENAMETOOLONG;
	if (!r) {
		strcpy(route.to, host ? host : "");
		if (a)
			snprintf(a->what, sizeof a->what, "%s.%s", take_query->name, msg_get(take_query, "query", ""));
		r = frame_put_query(&v->out, flags, a ? a->number : ++v->last, &route, take_query);
	}
	msg_free(take_query);
	return r ? r : v->out.failed ? -ENOMEM : 0;
}

/* --- what comes --- */

static void read_error(const struct frame *f, struct vigia_error *ret)
{
	struct msg *m;
	const char *why;
	if (frame_get_msg(f, &m, &why)) {
		say(ret, 0, "failed", "an error that can't be read");
		return;
	}
	say(ret, 0, msg_get(m, "code", "failed"), "%s", m->text);
	msg_free(m);
}

int ask_take_frame(struct vigia *v, const struct frame *f)
{
	struct vigia_error error;
	struct ask *a = ask_find(v, f->number);
	if (!a)
		return 0; /* cancelled */
	if (f->kind == FRAME_END) {
		end(v, a, 0, NULL);
	} else if (f->kind == FRAME_ERROR) {
		read_error(f, &error);
		end(v, a, -EREMOTEIO, &error);
	} else {
		return a->type->frame(v, a, f);
	}
	return 0;
}
