/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "os/clock.h"
#include "os/log.h"
#include "services/health/health.h"

/* A client that follows: gives what is in the ring, then what comes. */
struct follower {
	struct call *call;
	uint64_t next; /* number of the event to give next */
	int64_t from_ns, to_ns;
	bool follow;
	struct follower *next_follower;
};

static const struct event *event_at(const struct health *h, uint64_t i)
{
	return &h->events[i % EVENTS_KEPT];
}

static void wake(struct health *h)
{
	for (struct follower *f = h->followers, *next; f; f = next) {
		next = f->next_follower;
		if (!f->follow)
			continue;
		/* While something waits to leave, the event goes after it. */
		f->call->more = call_pending(f->call) || query_events_more(f->call) == CALL_MORE;
	}
}

void event_put(struct health *h, const char *kind, const char *node, const char *monitor, const char *format, ...)
{
	struct event *e = &h->events[h->events_n % EVENTS_KEPT];
	va_list ap;
	va_start(ap, format);
	vsnprintf(e->text, sizeof e->text, format, ap);
	va_end(ap);
	e->time_ns = clock_wall_ns();
	snprintf(e->kind, sizeof e->kind, "%s", kind);
	snprintf(e->node, sizeof e->node, "%s", node ? node : "");
	snprintf(e->monitor, sizeof e->monitor, "%s", monitor ? monitor : "");
	h->events_n++;
	log_event(LOG_NOTICE, "event", "%s %s%s%s: %s", e->kind, e->node, *e->monitor ? "/" : "", e->monitor, e->text);
	if (h->history) {
		struct history_event kept = {e->time_ns, e->kind, e->node, e->monitor, e->text};
		history_event(h->history, &kept);
	}
	wake(h);
}

/* What the ring holds was loaded from history at start (loading.c), so it is all that is asked of it. */
static bool give(struct follower *f, const struct event *e)
{
	if (e->time_ns < f->from_ns || e->time_ns >= f->to_ns)
		return false;
	struct msg *m = call_answer(f->call, "node");
	if (!m)
		return false;
	msg_set(m, "event", e->kind);
	msg_set_int(m, "time", e->time_ns);
	msg_set(m, "node", e->node);
	if (*e->monitor)
		msg_set(m, "monitor", e->monitor);
	msg_text(m, e->text, strlen(e->text));
	call_send(f->call, m);
	return true;
}

enum { A_TURN = 256 };

int query_events_more(struct call *c)
{
	struct health *h = health_of(c->peer);
	struct follower *f = c->state;
	uint64_t oldest = h->events_n > EVENTS_KEPT ? h->events_n - EVENTS_KEPT : 0;
	if (f->next < oldest)
		f->next = oldest;
	/* Only those given count: where nothing was sent nothing will have left, and `more` would not be called. */
	for (int given = 0; given < A_TURN && f->next < h->events_n;)
		given += give(f, event_at(h, f->next++));
	if (f->next < h->events_n)
		return CALL_MORE;
	return f->follow ? CALL_LATER : CALL_DONE;
}

int query_events(struct call *c)
{
	struct health *h = health_of(c->peer);
	struct follower *f = calloc(1, sizeof *f);
	if (!f)
		return call_fail(c, "failed", "no memory");
	*f = (struct follower){.call = c, .from_ns = c->args[0].number, .to_ns = c->args[1].number,
	    .follow = c->args[2].number, .next_follower = h->followers};
	h->followers = f;
	c->state = f;
	return query_events_more(c);
}

void query_events_over(struct call *c)
{
	struct health *h = health_of(c->peer);
	for (struct follower **p = &h->followers; *p; p = &(*p)->next_follower)
		if (*p == c->state) {
			struct follower *f = *p;
			*p = f->next_follower;
			free(f);
			return;
		}
}
