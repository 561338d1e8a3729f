/* SPDX-License-Identifier: Apache-2.0 */
/* `monitor history`: read from disk on a worker, answered on the loop, a piece at a time.
 *
 * The next piece is read when the one before has left for a caller who reads, and a connection has one at a time: who
 * asks much and reads nothing holds one piece, and no worker. The more is held in all, the smaller the pieces.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "services/health/health.h"

enum { POINTS_A_STANZA = 200, PIECE = 65536, HELD_MOST = 6 << 20, READ_MOST = 512 << 10, READ_LEAST = 32 << 10 };

/* What the worker makes: stanzas, encoded. Owned by the worker while it runs, by the call otherwise. */
struct reading {
	uv_work_t work;
	struct health *health;
	const struct asker_type *asker; /* how it is to be encoded */
	struct history_query query;
	struct history_cursor cursor;
	char *names[3];
	int64_t id;
	struct call *call; /* NULL: the caller has gone */
	struct buf out;
	size_t sent, enough, held;
	int result; /* of the last piece: 1: there is more */
	bool working;
	struct msg *stanza;
	unsigned in_stanza;
};

/* Counts what the reading holds now, or will once its piece is read. */
static void hold(struct reading *r, size_t bytes)
{
	r->health->history_held += bytes - r->held;
	r->held = bytes;
}

static void reading_free(struct reading *r)
{
	for (int i = 0; i < 3; i++)
		free(r->names[i]);
	buf_release(&r->out);
	hold(r, r->out.size);
	msg_free(r->stanza);
	free(r);
}

static void put_stanza(struct reading *r)
{
	if (r->stanza && !msg_failed(r->stanza))
		r->asker->encode(&r->out, r->id, r->stanza);
	msg_free(r->stanza);
	r->stanza = NULL;
	r->in_stanza = 0;
}

static int begin_stanza(struct reading *r, const struct history_point *p)
{
	put_stanza(r);
	r->stanza = call_answer_to(r->asker, r->id, "monitor");
	if (!r->stanza)
		return -ENOMEM;
	msg_set(r->stanza, "node", p->node);
	msg_set(r->stanza, "monitor", p->monitor);
	msg_set(r->stanza, "metric", p->metric->name);
	if (*p->metric->unit)
		msg_set(r->stanza, "unit", p->metric->unit);
	return 0;
}

static void put_sample(struct msg *m, const struct history_point *p)
{
	struct buf text = BUF_INIT;
	msg_set_int(m, "t", p->time_ns);
	if (p->value.kind == VALUE_NONE)
		msg_set_flag(m, "none", true);
	else {
		row_format(&text, &p->value, p->metric);
		msg_set(m, "v", buf_str(&text));
	}
	buf_release(&text);
}

static void put_step(struct msg *m, const struct history_point *p)
{
	msg_set_int(m, "t", p->time_ns);
	msg_set_int(m, "c", (int64_t)p->count);
	msg_setf(m, "mean", "%.*f", p->metric->scale + 3, p->mean);
	msg_setf(m, "min", "%.*f", p->metric->scale, p->min);
	msg_setf(m, "max", "%.*f", p->metric->scale, p->max);
}

static bool same_series(const struct reading *r, const struct history_point *p)
{
	return r->stanza && !strcmp(msg_get(r->stanza, "metric", ""), p->metric->name) &&
	       !strcmp(msg_get(r->stanza, "node", ""), p->node) &&
	       !strcmp(msg_get(r->stanza, "monitor", ""), p->monitor);
}

static int on_point(void *data, const struct history_point *p)
{
	struct reading *r = data;
	bool text = p->metric->type == METRIC_TEXT || p->metric->type == METRIC_STATE;
	if (r->query.step_ns && !text && !p->count)
		return 0; /* the sensor did not answer: no sample, and no mean of 0 */
	if (!same_series(r, p) || r->in_stanza == POINTS_A_STANZA) {
		int e = begin_stanza(r, p);
		if (e)
			return e;
	}
	r->in_stanza++;
	struct msg *m = msg_child(r->stanza, "p");
	if (r->query.step_ns && !text)
		put_step(m, p);
	else
		put_sample(m, p);
	return r->out.len >= r->enough;
}

static void on_work(uv_work_t *work)
{
	struct reading *r = work->data;
	r->result = history_read_on(r->health->history, &r->query, &r->cursor, on_point, r);
	put_stanza(r);
	if (r->out.failed)
		r->result = -ENOMEM;
}

/* Whole answers only: those to other queries come between. */
static void put_piece(struct reading *r)
{
	size_t n = r->asker->cut(r->out.data + r->sent, r->out.len - r->sent, PIECE);
	r->asker->put(r->call, r->out.data + r->sent, n);
	r->sent += n;
	if (r->sent == r->out.len) {
		buf_release(&r->out);
		hold(r, r->out.size);
		r->sent = 0;
	}
}

/* Is another of this caller's queries read or sent just now? Then this one waits for its turn. */
static bool others_turn(const struct call *c)
{
	for (const struct call *other = c->asker->calls; other; other = other->next) {
		const struct reading *r = other->state;
		if (other != c && other->op == c->op && r && (r->working || r->out.len))
			return true;
	}
	return false;
}

static void on_worked(uv_work_t *work, int status);

static int read_piece(struct reading *r)
{
	size_t held = r->health->history_held, share = held < HELD_MOST ? (HELD_MOST - held) / 8 : 0;
	r->enough = share > READ_MOST ? READ_MOST : share < READ_LEAST ? READ_LEAST : share;
	int e = uv_queue_work(r->health->core->net.loop, &r->work, on_work, on_worked);
	if (e)
		return call_fail_errno(r->call, e);
	hold(r, r->enough);
	r->working = true;
	return CALL_LATER;
}

int query_history_more(struct call *c)
{
	struct reading *r = c->state;
	if (r->out.len)
		put_piece(r);
	else if (!others_turn(c))
		return read_piece(r);
	return r->out.len || r->result ? CALL_MORE : CALL_DONE;
}

/* What was read is sent; where a piece held no point, the next is read at once: nothing leaves that would ask. */
static void on_worked(uv_work_t *work, int status)
{
	struct reading *r = work->data;
	struct call *c = r->call;
	r->working = false;
	hold(r, r->out.size);
	if (!c) {
		reading_free(r);
	} else if (r->result < 0) {
		call_fail(c, "failed", "history can't be read: %s", strerror(-r->result));
	} else {
		int next = r->out.len || r->result ? query_history_more(c) : CALL_DONE;
		if (next == CALL_DONE)
			call_end(c);
		else if (next >= 0)
			c->more = next == CALL_MORE;
	}
}

void query_history_over(struct call *c)
{
	struct reading *r = c->state;
	if (!r)
		return;
	r->call = NULL;
	if (!r->working)
		reading_free(r);
	else
		uv_cancel((uv_req_t *)&r->work); /* if no worker has begun; on_worked comes in any case */
}

int query_history(struct call *c)
{
	struct health *h = health_of(c->core);
	if (!h->history)
		return call_fail(c, "unavailable", "this daemon keeps no history (history { enabled = false })");
	struct reading *r = calloc(1, sizeof *r);
	if (!r)
		return call_fail(c, "failed", "no memory");
	for (int i = 0; i < 3; i++)
		r->names[i] = strdup(c->args[i].text);
	*r = (struct reading){.health = h, .asker = c->asker->type, .call = c, .id = c->id, .work.data = r, .result = 1,
	    .names = {r->names[0], r->names[1], r->names[2]},
	    .query = {.node = r->names[0], .monitor = r->names[1], .metric = r->names[2],
		.from_ns = c->args[3].number, .to_ns = c->args[4].number, .step_ns = c->args[5].number}};
	c->state = r;
	return others_turn(c) ? CALL_MORE : read_piece(r);
}
