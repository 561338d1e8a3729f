/* SPDX-License-Identifier: Apache-2.0 */
/* What came before what, as this program sees it: an event of one channel waits until the events that caused it, of other
 * channels that are subscribed to as well, have been shown; and what is put names what was shown. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libvigia/connection.h"
#include "os/clock.h"
#include "proto/causal.h"

enum { HELD_MOST = 8 << 20 };

/* A frame that waits for its turn; or, before that, for the answers to other subscriptions, since until then nobody knows
 * which channels they are of. */
struct held {
	uint64_t ask;
	int64_t until_ns;
	struct held *next;
	struct frame frame;
	uint8_t payload[];
};

static struct causal *order_of(struct vigia *v)
{
	if (!v->order)
		v->order = causal_new();
	return v->order;
}

/* --- showing --- */

/* A frame as it is read: an event, or a loss before a sequence. */
struct read {
	bool event;
	uint64_t lost, before;
	struct frame_event e;
};

/* Not all of it is set. */
static int read_frame(const struct frame *f, struct read *ret)
{
	ret->event = f->kind == FRAME_EVENT_KIND;
	if (ret->event)
		return frame_get_event(f, &ret->e);
	ret->e.causes_n = 0;
	return frame_get_lost(f, &ret->lost, &ret->before);
}

static void reach(struct vigia *v, const struct ask *a, const struct read *r)
{
	if (r->event)
		causal_heard(v->order, r->e.causes, r->e.causes_n);
	if (a->follows)
		causal_reached(v->order, &a->channel, r->event ? r->e.sequence : r->before - !!r->before);
	else if (r->event)
		causal_heard(v->order, &(struct frame_cause){a->channel, r->e.sequence}, 1);
}

/* Before the program sees it: what it puts then is caused by it. */
static void show(struct vigia *v, struct ask *a, const struct read *r)
{
	if (v->order)
		reach(v, a, r);
	if (r->event)
		subscription_show(a, &r->e);
	else if (r->lost) /* 0 tells only how far it is */
		subscription_show_loss(a, r->lost, r->before);
}

static void show_held(struct vigia *v, struct held *h)
{
	struct ask *a = ask_find(v, h->ask);
	struct read r;
	v->held -= h->frame.n;
	if (a) {
		a->waiting--;
		if (!read_frame(&h->frame, &r))
			show(v, a, &r);
	}
	free(h);
}

static void show_due(struct vigia *v)
{
	struct held *h;
	while (v->order && v->held && (h = causal_next(v->order, v->held > HELD_MOST ? INT64_MAX : clock_mono_ns(), NULL)))
		show_held(v, h);
}

int64_t order_wake_ns(const struct vigia *v)
{
	int64_t turn_ns = v->order ? causal_wake_ns(v->order) : INT64_MAX;
	return v->early && v->early->until_ns < turn_ns ? v->early->until_ns : turn_ns;
}

/* --- taking --- */

static struct held *held_new(struct vigia *v, struct ask *a, const struct frame *f)
{
	struct held *h = malloc(sizeof *h + f->n);
	if (!h)
		return NULL;
	*h = (struct held){.ask = a->number, .until_ns = clock_mono_ns() + CAUSAL_WAIT_NS, .frame = *f};
	memcpy(h->payload, f->payload, f->n);
	h->frame.payload = h->payload;
	v->held += f->n;
	a->waiting++;
	return h;
}

/* Shown, or held until its turn comes. */
static int offer(struct vigia *v, struct ask *a, const struct frame *f, const struct read *r)
{
	if (!v->order || causal_ready(v->order, a->number, r->e.causes, r->e.causes_n)) {
		show(v, a, r);
		return 0;
	}
	struct held *h = held_new(v, a, f);
	if (!h)
		return -ENOMEM;
	if (causal_offer(v->order, a->number, r->e.causes, r->e.causes_n, h, clock_mono_ns()))
		show_held(v, h);
	return 0;
}

static int keep_early(struct vigia *v, struct ask *a, const struct frame *f)
{
	struct held *h = held_new(v, a, f);
	if (!h)
		return -ENOMEM;
	*(v->early ? &v->last_early->next : &v->early) = h;
	v->last_early = h;
	return 0;
}

static bool may_offer_early(const struct vigia *v)
{
	return v->early && (!v->unanswered || v->held > HELD_MOST || v->early->until_ns <= clock_mono_ns());
}

static void offer_early(struct vigia *v, struct held *h)
{
	struct ask *a = ask_find(v, h->ask);
	struct read r;
	v->early = h->next;
	v->held -= h->frame.n;
	if (a) {
		a->waiting--;
		if (!read_frame(&h->frame, &r))
			offer(v, a, &h->frame, &r);
	}
	free(h);
}

void order_settle(struct vigia *v)
{
	while (may_offer_early(v))
		offer_early(v, v->early);
	show_due(v);
}

void order_hurry(struct vigia *v, uint64_t ask)
{
	struct ask *a = ask_find(v, ask);
	struct held *h;
	if (!a || !a->waiting)
		return;
	while (v->early)
		offer_early(v, v->early);
	while ((a = ask_find(v, ask)) && a->waiting && (h = causal_next(v->order, INT64_MAX, NULL)))
		show_held(v, h);
}

int order_take(struct vigia *v, struct ask *a, const struct frame *f)
{
	struct read r;
	if (read_frame(f, &r))
		return -EPROTO;
	int e = v->unanswered || v->early ? keep_early(v, a, f) : offer(v, a, f, &r);
	order_settle(v);
	return e;
}

/* --- who follows what --- */

static bool is_followed_by_others(const struct vigia *v, const struct ask *a)
{
	for (size_t i = 0; i < ASKS; i++)
		for (const struct ask *other = v->asks[i]; other; other = other->next)
			if (other != a && other->follows && channel_id_is(&other->channel, &a->channel))
				return true;
	return false;
}

int order_follow(struct vigia *v, struct ask *a, const struct channel_id *channel, uint64_t sequence)
{
	int r = !order_of(v) ? -ENOMEM : a->masked ? 0 : causal_follow(v->order, channel, sequence);
	if (r)
		return r;
	a->channel = *channel;
	a->follows = !a->masked;
	order_expect(v, a, false);
	return 0;
}

void order_expect(struct vigia *v, struct ask *a, bool expected)
{
	v->unanswered += expected;
	v->unanswered -= a->unanswered;
	a->unanswered = expected;
}

void order_leave(struct vigia *v, struct ask *a)
{
	order_expect(v, a, false);
	if (!a->follows)
		return;
	a->follows = false;
	if (!is_followed_by_others(v, a))
		causal_leave(v->order, &a->channel);
}

void order_release(struct vigia *v)
{
	causal_free(v->order, free);
	for (struct held *h = v->early, *next; h; h = next) {
		next = h->next;
		free(h);
	}
}

/* --- what is put --- */

size_t order_causes(const struct vigia *v, struct frame_cause *ret)
{
	return v->order ? causal_causes(v->order, ret, FRAME_CAUSES_MAX) : 0;
}

void order_heard(struct vigia *v, const struct frame_cause *causes, size_t n)
{
	if (order_of(v))
		causal_heard(v->order, causes, n);
}
