/* SPDX-License-Identifier: Apache-2.0 */
/* `monitor history`: read from disk on a worker, answered on the loop. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "services/health/health.h"

enum { POINTS_A_STANZA = 200, POINTS_MAX = 2000000, BYTES_MAX = 64 << 20, PIECE = 65536 };

/* What the worker makes: stanzas, encoded. Owned by the worker while it runs, by the call after. */
struct reading {
	uv_work_t work;
	struct history *history;
	struct history_query query;
	char *names[3];
	int64_t id;
	struct call *call; /* NULL: the caller has gone */
	struct buf out;
	size_t sent;
	int result;
	uint64_t points;
	struct msg *stanza;
	unsigned in_stanza;
	const struct metric *metric; /* of the stanza */
	char node[64], monitor[64];
};

static void reading_free(struct reading *r)
{
	for (int i = 0; i < 3; i++)
		free(r->names[i]);
	buf_release(&r->out);
	msg_free(r->stanza);
	free(r);
}

static void put_stanza(struct reading *r)
{
	if (r->stanza && !msg_failed(r->stanza))
		xml_put(&r->out, r->stanza);
	msg_free(r->stanza);
	r->stanza = NULL;
	r->in_stanza = 0;
}

static int begin_stanza(struct reading *r, const struct history_point *p)
{
	put_stanza(r);
	r->stanza = msg_new("monitor");
	if (!r->stanza)
		return -ENOMEM;
	msg_set_int(r->stanza, "answer", r->id);
	msg_set(r->stanza, "node", p->node);
	msg_set(r->stanza, "monitor", p->monitor);
	msg_set(r->stanza, "metric", p->metric->name);
	if (*p->metric->unit)
		msg_set(r->stanza, "unit", p->metric->unit);
	r->metric = p->metric;
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
	if (++r->points > POINTS_MAX || r->out.len > BYTES_MAX)
		return -EFBIG;
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
	return 0;
}

static void on_work(uv_work_t *work)
{
	struct reading *r = work->data;
	r->result = history_read(r->history, &r->query, on_point, r);
	put_stanza(r);
	if (r->out.failed)
		r->result = -ENOMEM;
}

static void fail(struct reading *r)
{
	struct call *c = r->call;
	if (r->result == -EFBIG)
		call_fail(c, "bad-argument", "more than %d points: ask for less, or for a step", POINTS_MAX);
	else
		call_fail(c, "failed", "history can't be read: %s", strerror(-r->result));
}

/* Whole stanzas only: answers to other queries come between. */
int query_history_more(struct call *c)
{
	struct reading *r = c->state;
	size_t n = r->out.len - r->sent;
	if (n > PIECE) {
		const char *end = memrchr(r->out.data + r->sent, '\n', PIECE);
		if (!end)
			end = memchr(r->out.data + r->sent + PIECE, '\n', n - PIECE);
		n = end ? (size_t)(end + 1 - (r->out.data + r->sent)) : n;
	}
	buf_put(peer_out(c->peer), r->out.data + r->sent, n);
	r->sent += n;
	return r->sent < r->out.len ? CALL_MORE : CALL_DONE;
}

static void on_worked(uv_work_t *work, int status)
{
	struct reading *r = work->data;
	struct call *c = r->call;
	r->work.data = NULL;
	if (!c) {
		reading_free(r);
	} else if (r->result < 0) {
		fail(r);
	} else if (query_history_more(c) == CALL_DONE) {
		call_end(c);
	} else {
		c->more = true;
	}
}

void query_history_over(struct call *c)
{
	struct reading *r = c->state;
	if (!r)
		return;
	r->call = NULL;
	if (!r->work.data)
		reading_free(r);
}

int query_history(struct call *c)
{
	struct health *h = health_of(c->peer);
	if (!h->history)
		return call_fail(c, "unavailable", "this daemon keeps no history (history { enabled = false })");
	struct reading *r = calloc(1, sizeof *r);
	if (!r)
		return call_fail(c, "failed", "no memory");
	for (int i = 0; i < 3; i++)
		r->names[i] = strdup(c->args[i].text);
	*r = (struct reading){.history = h->history, .call = c, .id = c->id, .work.data = r,
	    .names = {r->names[0], r->names[1], r->names[2]},
	    .query = {.node = r->names[0], .monitor = r->names[1], .metric = r->names[2],
		.from_ns = c->args[3].number, .to_ns = c->args[4].number, .step_ns = c->args[5].number}};
	c->state = r;
	int e = uv_queue_work(h->core->net.loop, &r->work, on_work, on_worked);
	if (!e)
		return CALL_LATER;
	r->work.data = NULL;
	return call_fail(c, "failed", "%s", strerror(-e));
}
