/* SPDX-License-Identifier: Apache-2.0 */
#include "core/relay.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LAGS = 1 << 20, QUERY_KEEP = 4096 };
#define SPREAD UINT64_C(0x9e3779b1)
#define NUMBER_MOST ((1ULL << 62) - 1) /* above are the numbers of channels (docs/frames.md) */

struct relayed {
	struct relay *relay;
	struct call *call;
	uint64_t number; /* slot, and a count of 30 bits above it: an answer to who had the slot before is none */
	size_t next_vacant;
	uint64_t lost;	 /* events that the asker did not read in time, not yet told ... */
	uint64_t before; /* ... and the sequence before which they were */
	uv_timer_t *deadline; /* kept for the next call in this slot */
	bool answered;
};

/* --- slots --- */

static bool grow(struct relay *r)
{
	size_t size = r->size ? r->size * 2 : 8;
	struct relayed **more = realloc(r->slots, size * sizeof *more);
	if (!more)
		return false;
	r->slots = more;
	r->size = size;
	return true;
}

static struct relayed *take_slot(struct relay *r)
{
	if (r->vacant) {
		struct relayed *e = r->slots[r->vacant - 1];
		r->vacant = e->next_vacant;
		return e;
	}
	struct relayed *e = r->n < r->size || grow(r) ? calloc(1, sizeof *e) : NULL;
	if (!e)
		return NULL;
	e->relay = r;
	r->slots[r->n++] = e;
	e->number = (r->first << 32 | r->n) & NUMBER_MOST;
	return e;
}

static void free_slot(struct relayed *e)
{
	struct relay *r = e->relay;
	e->call = NULL;
	e->next_vacant = r->vacant;
	r->vacant = (uint32_t)e->number;
}

static struct relayed *find(const struct relay *r, uint64_t number)
{
	uint32_t slot = (uint32_t)number;
	struct relayed *e = slot && slot <= r->n ? r->slots[slot - 1] : NULL;
	return e && e->call && e->number == number ? e : NULL;
}

/* --- the deadline --- */

static void on_deadline(uv_timer_t *timer)
{
	struct relayed *e = timer->data;
	const struct msg *query = e->call->msg;
	call_fail(e->call, "deadline", "%s.%s did not answer in time", query->name, msg_get(query, "query", ""));
}

static void on_timer_closed(uv_handle_t *h)
{
	free(h);
}

static void stop_deadline(struct relayed *e)
{
	if (e->deadline)
		uv_timer_stop(e->deadline);
}

static int start_deadline(struct relayed *e, int64_t ms)
{
	if (!e->deadline) {
		e->deadline = calloc(1, sizeof *e->deadline);
		if (!e->deadline)
			return -ENOMEM;
		uv_timer_init(e->relay->core->net.loop, e->deadline);
		e->deadline->data = e;
	}
	return uv_timer_start(e->deadline, on_deadline, (uint64_t)ms, 0);
}

static void free_relayed(struct relayed *e)
{
	if (e->deadline)
		uv_close((uv_handle_t *)e->deadline, on_timer_closed);
	free(e);
}

/* --- there --- */

static int put_query(struct relayed *e, int64_t deadline_ms, struct buf *out)
{
	const struct call *c = e->call;
	struct frame_route route = {.deadline_ms = deadline_ms, .caller = c->caller};
	/* A program believes what it is told; other hosts judge for themselves. */
	if (c->op->owner && call_is_strangers(c))
		route.caller.given = false;
	return frame_put_query(out, c->one_way ? FRAME_ONE_WAY : 0, e->number, &route, c->msg);
}

static int begin(struct relay *r, struct call *c, int64_t deadline_ms)
{
	struct relayed *e = take_slot(r);
	struct buf *out = &r->query;
	if (!e)
		return -ENOMEM;
	buf_clear(out);
	e->number = (e->number + (1ULL << 32)) & NUMBER_MOST;
	e->call = c;
	e->lost = 0;
	e->answered = false;
	c->state = e;
	int ret = c->one_way ? 0 : start_deadline(e, deadline_ms);
	if (!ret)
		ret = put_query(e, deadline_ms, out);
	if (!ret)
		ret = r->send(r, out);
	if (out->size > QUERY_KEEP)
		buf_release(out);
	return ret;
}

int relay_run(struct relay *r, struct call *c, int64_t deadline_ms)
{
	int e = begin(r, c, deadline_ms ? deadline_ms : RELAY_DEADLINE_MS);
	if (e == -EMSGSIZE)
		return call_fail(c, "too-large", "a query has at most %d bytes", FRAME_PAYLOAD_MAX);
	if (e == -EHOSTUNREACH)
		return call_fail(c, "unreachable", "it does not say where it can be reached");
	if (e)
		return e == -ENOMEM ? call_fail_errno(c, e) : call_fail(c, "unreachable", "the way there broke: %s", strerror(-e));
	return c->one_way ? CALL_DONE : CALL_LATER;
}

/* The call ended here: the other side need not go on. One that ended there has left its slot already. */
void relay_over(struct call *c)
{
	struct relayed *e = c->state;
	struct buf out = BUF_INIT;
	if (!e)
		return;
	stop_deadline(e);
	if (!c->one_way && e->call) {
		frame_put(&out, FRAME_CANCEL, 0, e->number, NULL, 0);
		e->relay->send(e->relay, &out);
	}
	buf_release(&out);
	free_slot(e);
}

/* --- and back --- */

static uint64_t sequence_of(const struct frame *f)
{
	struct frame_event event;
	return frame_get_event(f, &event) ? 0 : event.sequence;
}

/* As much waits as may; what is lost meanwhile is told once that has left, whether more comes or not. */
static bool lags(struct relayed *e, uint64_t lost, uint64_t before)
{
	struct call *c = e->call;
	size_t pending = (size_t)c->core->limits.v[LIMIT_PENDING].most, most = pending < LAGS ? pending : LAGS;
	if (call_pending(c) <= most)
		return false;
	e->lost += lost;
	e->before = before;
	c->more = true;
	return true;
}

static void put_lost(struct relayed *e, struct buf *out)
{
	if (e->lost)
		frame_put_lost(out, (uint64_t)e->call->id, e->lost, e->before);
	e->lost = 0;
}

static int pass_event(struct relayed *e, const struct frame *f)
{
	struct call *c = e->call;
	struct buf *out = &c->core->passing;
	if (lags(e, 1, sequence_of(f) + 1))
		return 0;
	buf_clear(out);
	e->before = sequence_of(f);
	put_lost(e, out);
	frame_put(out, f->kind, 0, (uint64_t)c->id, f->payload, f->n);
	call_frames(c, out);
	return 0;
}

static int pass_loss(struct relayed *e, const struct frame *f)
{
	struct call *c = e->call;
	struct buf *out = &c->core->passing;
	uint64_t lost, before;
	if (frame_get_lost(f, &lost, &before))
		return -EPROTO;
	if (lags(e, lost, before))
		return 0;
	e->lost += lost;
	buf_clear(out);
	frame_put_lost(out, (uint64_t)c->id, e->lost, before);
	e->lost = 0;
	call_frames(c, out);
	return 0;
}

static int pass_answer(struct relayed *e, const struct frame *f)
{
	struct call *c = e->call;
	struct msg *m;
	const char *why;
	if (c->asker->type->pass) {
		c->asker->type->pass(c, f);
		return 0;
	}
	int r = frame_get_msg(f, &m, &why);
	if (r)
		return r;
	call_pass(c, m);
	return 0;
}

static void tell_lost(struct relayed *e)
{
	struct buf *out = &e->call->core->passing;
	if (!e->lost)
		return;
	buf_clear(out);
	put_lost(e, out);
	call_frames(e->call, out);
}

/* What waited has left. */
int relay_more(struct call *c)
{
	struct relayed *e = c->state;
	if (e->call)
		tell_lost(e);
	return CALL_LATER;
}

static int pass_end(struct relayed *e, const struct frame *f)
{
	struct call *c = e->call;
	tell_lost(e);
	e->call = NULL;
	call_end(c);
	return 0;
}

static int pass_error(struct relayed *e, const struct frame *f)
{
	struct call *c = e->call;
	struct msg *m;
	const char *why;
	if (frame_get_msg(f, &m, &why))
		return -EPROTO;
	const char *code = msg_get(m, "code", "failed");
	tell_lost(e);
	e->call = NULL;
	if (!strcmp(code, "elsewhere"))
		call_hand_on(c, m->text);
	else
		call_fail(c, code, "%s", m->text);
	msg_free(m);
	return 0;
}

static int (*const passes[])(struct relayed *e, const struct frame *f) = {
    [FRAME_ANSWER] = pass_answer,
    [FRAME_PARTIAL] = pass_answer,
    [FRAME_EVENT_KIND] = pass_event,
    [FRAME_LOST] = pass_loss,
    [FRAME_END] = pass_end,
    [FRAME_ERROR] = pass_error,
};

int relay_take(struct relay *r, const struct frame *f)
{
	if ((size_t)f->kind >= sizeof passes / sizeof *passes || !passes[f->kind] || !(uint32_t)f->number ||
	    (uint32_t)f->number > r->n)
		return -EPROTO;
	struct relayed *e = find(r, f->number);
	if (!e)
		return 0; /* cancelled meanwhile */
	if (!e->answered && (e->call->op->flags & OP_STREAMS))
		stop_deadline(e);
	e->answered = true;
	e->call->answered |= f->kind != FRAME_ERROR;
	return passes[f->kind](e, f);
}

/* --- life --- */

void relay_init(struct relay *r, struct core *core, int (*send)(struct relay *r, const struct buf *frame), void *owner)
{
	*r = (struct relay){.core = core, .send = send, .owner = owner, .first = ++core->relays * SPREAD};
}

bool relay_waits(const struct relay *r)
{
	for (size_t i = 0; i < r->n; i++)
		if (r->slots[i]->call)
			return true;
	return false;
}

void relay_fail(struct relay *r, const void *owner, const char *code, const char *text)
{
	for (size_t i = 0; i < r->n; i++) {
		struct call *c = r->slots[i]->call;
		if (!c || (owner && c->op->owner != owner))
			continue;
		r->slots[i]->call = NULL;
		call_fail(c, code, "%s", text);
	}
}

void relay_release(struct relay *r, const char *code, const char *text)
{
	relay_fail(r, NULL, code, text);
	for (size_t i = 0; i < r->n; i++)
		free_relayed(r->slots[i]);
	free(r->slots);
	buf_release(&r->query);
	*r = (struct relay){.core = r->core};
}
