/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libvigia/connection.h"

enum { DATA_MAX = 256 << 10, FLUSH = 65536, POLL_DEADLINE_MS = 10000 };

/* --- making --- */

static int on_channel(void *data, const struct vigia_message *m)
{
	struct vigia_channel *c = data;
	snprintf(c->id, sizeof c->id, "%s", vigia_get_text(m, "id", ""));
	c->number = (uint64_t)vigia_get_int(m, "number", 0);
	c->sequence = (uint64_t)vigia_get_int(m, "sequence", 0);
	return 0;
}

int vigia_channel(struct vigia *v, const char *key, bool all, struct vigia_channel *ret, struct vigia_error *ret_error)
{
	struct vigia_channel c = {0};
	struct vigia_message *q = vigia_query("channel.create");
	if (!q)
		return -ENOMEM;
	vigia_set_text(q, "key", key);
	vigia_set_flag(q, "public", all);
	int r = vigia_call(v, NULL, q, 0, on_channel, &c, ret_error);
	if (!r)
		*ret = c;
	return r;
}

int vigia_channel_delete(struct vigia *v, const char *key, struct vigia_error *ret_error)
{
	struct vigia_message *q = vigia_query("channel.delete");
	if (!q)
		return -ENOMEM;
	vigia_set_text(q, "channel", key);
	return vigia_call(v, NULL, q, 0, NULL, NULL, ret_error);
}

/* --- putting --- */

int vigia_put(struct vigia *v, const struct vigia_channel *c, uint32_t tag, const void *data, size_t n)
{
	struct frame_event e = {.tag = tag, .data = data, .n = n};
	e.causes_n = order_causes(v, e.causes);
	if (n > DATA_MAX)
		return -EMSGSIZE;
	if (v->error)
		return v->error;
	if (v->out.len - v->sent > OUT_MAX)
		return -ENOBUFS;
	v->has_put = true;
	frame_put_event(&v->out, c->number, &e);
	if (v->out.failed)
		return -ENOMEM;
	return v->out.len - v->sent > FLUSH ? flush_out(v) : 0;
}

uint64_t vigia_put_refused(const struct vigia *v, struct vigia_error *ret_why)
{
	if (ret_why && v->refused)
		*ret_why = v->refusal;
	return v->refused;
}

/* --- subscribing --- */

static void give_event(const struct vigia_subscriber *s, const struct frame_event *e)
{
	char sender[ENTITY_ID_TEXT];
	entity_id_format(&e->sender, sender);
	struct vigia_event out = {.sequence = e->sequence, .time_ns = e->time_ns, .tag = e->tag, .sender = sender,
	    .data = e->data, .n = e->n};
	s->event(s->data, &out);
}

static void give_loss(const struct vigia_subscriber *s, uint64_t lost, uint64_t before)
{
	struct vigia_event out = {.lost = lost, .sequence = before};
	s->event(s->data, &out);
}

void subscription_show(struct ask *a, const struct frame_event *e)
{
	struct vigia_subscriber s = a->subscriber;
	give_event(&s, e);
}

void subscription_show_loss(struct ask *a, uint64_t lost, uint64_t before)
{
	struct vigia_subscriber s = a->subscriber;
	give_loss(&s, lost, before);
}

/* The first answer is the channel itself: from then on it lasts. */
static int begin(struct vigia *v, struct ask *a, const struct frame *f)
{
	struct msg *m;
	const char *why;
	struct channel_id id;
	int64_t sequence = 0;
	int r = frame_get_msg(f, &m, &why);
	if (r)
		return r;
	a->deadline_ns = INT64_MAX;
	if (channel_id_parse(msg_get(m, "id", ""), &id) || (a->after < 0 && msg_get_int(m, "sequence", &sequence)))
		r = -EPROTO;
	else if (a->unanswered)
		r = order_follow(v, a, &id, (uint64_t)(a->after < 0 ? sequence : a->after));
	msg_free(m);
	return r;
}

static int on_subscribed(struct vigia *v, struct ask *a, const struct frame *f)
{
	if (f->kind == FRAME_EVENT_KIND || f->kind == FRAME_LOST)
		return order_take(v, a, f);
	return f->kind == FRAME_ANSWER ? begin(v, a, f) : 0;
}

static void on_over(struct ask *a, int result, const struct vigia_error *error)
{
	if (a->subscriber.over)
		a->subscriber.over(a->subscriber.data, result, error);
}

static const struct ask_type subscription_type = {on_subscribed, on_over};

int64_t vigia_subscribe(struct vigia *v, const char *host, const char *key, uint32_t mask, int64_t after,
    const struct vigia_subscriber *s)
{
	struct msg *m = (struct msg *)vigia_query("channel.subscribe");
	struct ask *a = m ? ask_new(v, &subscription_type, 0) : NULL;
	if (!a) {
		msg_free(m);
		return -ENOMEM;
	}
	msg_set(m, "channel", key);
	msg_set_int(m, "mask", mask);
	if (after >= 0)
		msg_set_int(m, "after", after);
	a->subscriber = *s;
	a->after = after;
	a->masked = mask != UINT32_MAX;
	order_expect(v, a, true);
	int r = ask_send(v, a, 0, host, m, 0);
	int64_t number = (int64_t)a->number;
	if (r)
		ask_forget(v, a);
	return r ? r : number;
}

/* --- polling --- */

struct polling {
	void (*event)(void *data, const struct vigia_event *e);
	void *data;
	struct vigia_error *error;
	struct frame_cause last; /* the newest that was shown */
	int64_t position;
	int result;
	bool more, over;
};

static int take_position(struct vigia *v, struct polling *p, const struct frame *f)
{
	struct msg *m;
	const char *why;
	int r = frame_get_msg(f, &m, &why);
	if (r)
		return r;
	r = channel_id_parse(msg_get(m, "id", ""), &p->last.channel) || msg_get_int(m, "position", &p->position) ? -EPROTO : 0;
	p->more = msg_get_flag(m, "more");
	msg_free(m);
	if (!r && p->last.sequence)
		order_heard(v, &p->last, 1);
	return r;
}

static int on_polled(struct vigia *v, struct ask *a, const struct frame *f)
{
	struct polling *p = a->polling;
	struct vigia_subscriber s = {.event = p->event, .data = p->data};
	struct frame_event e;
	uint64_t lost, before;
	if (f->kind == FRAME_ANSWER)
		return take_position(v, p, f);
	if (f->kind == FRAME_LOST) {
		if (frame_get_lost(f, &lost, &before))
			return -EPROTO;
		give_loss(&s, lost, before);
		return 0;
	}
	if (f->kind != FRAME_EVENT_KIND)
		return 0;
	if (frame_get_event(f, &e))
		return -EPROTO;
	order_heard(v, e.causes, e.causes_n);
	p->last.sequence = e.sequence;
	give_event(&s, &e);
	return 0;
}

static void on_polled_over(struct ask *a, int result, const struct vigia_error *error)
{
	struct polling *p = a->polling;
	p->over = true;
	p->result = result;
	if (error && p->error)
		*p->error = *error;
}

static const struct ask_type polling_type = {on_polled, on_polled_over};

static int ask_for_poll(struct vigia *v, const char *host, const char *key, uint32_t mask, int64_t after, unsigned most,
    int wait_ms, struct polling *p)
{
	int64_t deadline_ms = wait_ms + POLL_DEADLINE_MS;
	struct msg *m = (struct msg *)vigia_query("channel.poll");
	struct ask *a = m ? ask_new(v, &polling_type, deadline_ms) : NULL;
	if (!a) {
		msg_free(m);
		return -ENOMEM;
	}
	a->polling = p;
	msg_set(m, "channel", key);
	msg_set_int(m, "mask", mask);
	msg_set_int(m, "most", most);
	msg_set_int(m, "wait", wait_ms);
	if (after >= 0)
		msg_set_int(m, "after", after);
	int r = ask_send(v, a, 0, host, m, deadline_ms);
	if (r)
		ask_forget(v, a);
	return r;
}

int vigia_poll(struct vigia *v, const char *host, const char *key, uint32_t mask, int64_t *after, unsigned most, int wait_ms,
    void (*event)(void *data, const struct vigia_event *e), void *data, struct vigia_error *ret_error)
{
	struct polling p = {.event = event, .data = data, .error = ret_error};
	int r = ask_for_poll(v, host, key, mask, *after, most, wait_ms, &p);
	if (r)
		return say(ret_error, r, "", "%s", v->error ? v->why.text : strerror(-r));
	while (!p.over)
		vigia_wait(v, -1);
	if (p.result)
		return p.result;
	*after = p.position;
	return p.more;
}

/* --- chaining --- */

static int chain(struct vigia *v, const char *verb, const char *host, const char *key, const char *from_host,
    const char *from, const uint32_t *mask, struct vigia_error *ret_error)
{
	struct vigia_message *q = vigia_query(verb);
	if (!q)
		return -ENOMEM;
	vigia_set_text(q, "channel", key);
	vigia_set_text(q, "from", from);
	if (from_host && *from_host)
		vigia_set_text(q, "host", from_host);
	if (mask)
		vigia_set_int(q, "mask", *mask);
	return vigia_call(v, host, q, 0, NULL, NULL, ret_error);
}

int vigia_chain(struct vigia *v, const char *host, const char *key, const char *from_host, const char *from, uint32_t mask,
    struct vigia_error *ret_error)
{
	return chain(v, "channel.chain", host, key, from_host, from, &mask, ret_error);
}

int vigia_unchain(struct vigia *v, const char *host, const char *key, const char *from_host, const char *from,
    struct vigia_error *ret_error)
{
	return chain(v, "channel.unchain", host, key, from_host, from, NULL, ret_error);
}
