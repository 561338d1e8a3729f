/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libvigia/connection.h"

enum { DATA_MAX = 256 << 10, FLUSH = 65536 };

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
	if (n > DATA_MAX)
		return -EMSGSIZE;
	if (v->error)
		return v->error;
	if (v->out.len - v->sent > OUT_MAX)
		return -ENOBUFS;
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

static int give_event(struct ask *a, const struct frame *f)
{
	struct frame_event e;
	char sender[ENTITY_ID_TEXT];
	if (frame_get_event(f, &e))
		return -EPROTO;
	entity_id_format(&e.sender, sender);
	struct vigia_event out = {.sequence = e.sequence, .time_ns = e.time_ns, .tag = e.tag, .sender = sender,
	    .data = e.data, .n = e.n};
	a->subscriber.event(a->subscriber.data, &out);
	return 0;
}

static int give_loss(struct ask *a, const struct frame *f)
{
	struct vigia_event out = {0};
	if (frame_get_lost(f, &out.lost, &out.sequence))
		return -EPROTO;
	a->subscriber.event(a->subscriber.data, &out);
	return 0;
}

/* The first answer is the channel itself: from then on it lasts. */
static int on_subscribed(struct vigia *v, struct ask *a, const struct frame *f)
{
	if (f->kind == FRAME_EVENT_KIND)
		return give_event(a, f);
	if (f->kind == FRAME_LOST)
		return give_loss(a, f);
	a->deadline_ns = INT64_MAX;
	return 0;
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
	int r = ask_send(v, a, 0, host, m, 0);
	int64_t number = (int64_t)a->number;
	if (r)
		ask_forget(v, a);
	return r ? r : number;
}
