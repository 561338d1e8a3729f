/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "os/clock.h"
#include "os/log.h"
#include "services/health/health.h"

static const int64_t FOLD_NS = 600000000000;

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

static void put(struct health *h, const char *kind, const char *node, const char *monitor, const char *text)
{
	struct event *e = &h->events[h->events_n % EVENTS_KEPT];
	snprintf(e->text, sizeof e->text, "%s", text);
	e->folded = 0;
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

void event_put(struct health *h, const char *kind, const char *node, const char *monitor, const char *format, ...)
{
	char text[sizeof h->events->text];
	va_list ap;
	va_start(ap, format);
	vsnprintf(text, sizeof text, format, ap);
	va_end(ap);
	put(h, kind, node, monitor, text);
}

static struct event *last_of(struct health *h, const char *kind, const char *node, const char *monitor)
{
	uint64_t oldest = h->events_n > EVENTS_KEPT ? h->events_n - EVENTS_KEPT : 0;
	for (uint64_t i = h->events_n; i > oldest; i--) {
		struct event *e = &h->events[(i - 1) % EVENTS_KEPT];
		if (!strcmp(e->kind, kind) && !strcmp(e->node, node) && !strcmp(e->monitor, monitor ? monitor : ""))
			return e;
	}
	return NULL;
}

void event_put_folded(struct health *h, const char *kind, const char *node, const char *monitor, const char *format, ...)
{
	struct event *last = last_of(h, kind, node, monitor);
	if (last && clock_wall_ns() - last->time_ns < FOLD_NS) {
		last->folded++;
		return;
	}
	char text[sizeof h->events->text];
	va_list ap;
	va_start(ap, format);
	size_t n = (size_t)vsnprintf(text, sizeof text, format, ap);
	va_end(ap);
	if (last && last->folded && n < sizeof text)
		snprintf(text + n, sizeof text - n, " (and %u times before)", last->folded);
	put(h, kind, node, monitor, text);
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
	struct health *h = health_of(c->core);
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
	struct health *h = health_of(c->core);
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
	struct health *h = health_of(c->core);
	for (struct follower **p = &h->followers; *p; p = &(*p)->next_follower)
		if (*p == c->state) {
			struct follower *f = *p;
			*p = f->next_follower;
			free(f);
			return;
		}
}
