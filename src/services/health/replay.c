/* SPDX-License-Identifier: Apache-2.0 */
/* A worker reads a batch of periods from the node's own history; the loop sends them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "services/health/uplink.h"

enum { ROWS = 256 };

struct replay_row {
	struct recent_row row;
	struct buf text;
};

struct replay {
	uv_work_t work;
	struct history *history;
	char *node, *monitor;
	struct cursor *cursor; /* its uplink is held until this is done */
	struct history_position after;
	struct replay_row rows[ROWS];
	size_t n, bytes;
	int result;
};

/* On the worker. The config is its own copy's reference: only the digest is compared. */
static int on_period(void *data, struct config *config, const struct history_period *p)
{
	struct replay *r = data;
	struct replay_row *row = &r->rows[r->n++];
	row_encode(&row->text, NULL, p->values, config->n);
	row->row = (struct recent_row){.config = config_ref(config), .at = p->at, .time_ns = p->time_ns, .full = true,
	    .text = row->text.data, .len = row->text.len};
	r->bytes += row->text.len;
	return row->text.failed ? -ENOMEM : r->bytes > PENDING_ENOUGH;
}

static void on_work(uv_work_t *work)
{
	struct replay *r = work->data;
	r->result = history_replay(r->history, r->node, r->monitor, r->after, ROWS, on_period, r);
}

static void replay_free(struct replay *r)
{
	for (size_t i = 0; i < r->n; i++) {
		buf_release(&r->rows[i].text);
		config_unref(r->rows[i].row.config);
	}
	free(r->node);
	free(r->monitor);
	free(r);
}

/* What is missing may only not be committed yet: the next send asks again. */
static bool awaits_disk(const struct cursor *c)
{
	return !*c->uplink->health->history_trouble &&
	       position_after(recent_before(c->monitor->recent), c->monitor->committed);
}

/* Full rows one after the other; a config of an earlier time is announced on its way. */
static bool send_row(struct cursor *c, struct replay_row *row)
{
	if (!c->config || c->config->digest != row->row.config->digest) {
		cursor_announce(c, row->row.config);
		return false;
	}
	cursor_send(c, &row->row);
	return true;
}

static void send_rows(struct cursor *c, struct replay *r)
{
	for (size_t i = 0; i < r->n; i++)
		if (stream_pending(c->uplink->peer->stream) >= PENDING_ENOUGH || !send_row(c, &r->rows[i]))
			return;
}

static bool still_wanted(const struct cursor *c, const struct replay *r)
{
	return c->uplink->registered && c->known && c->sent.boot == r->after.boot &&
	       c->sent.sequence == r->after.sequence;
}

static void on_done(uv_work_t *work, int status)
{
	struct replay *r = work->data;
	struct cursor *c = r->cursor;
	struct uplink *u = c->uplink;
	bool wanted = still_wanted(c, r);
	c->replaying = false;
	if (wanted && r->n)
		send_rows(c, r);
	else if (wanted && !r->result && !awaits_disk(c))
		cursor_skip_to_recent(c);
	if (r->n || !wanted)
		cursors_pump(u);
	replay_free(r);
	uplink_release(u);
}

static struct replay *replay_new(struct cursor *c)
{
	struct replay *r = calloc(1, sizeof *r);
	if (!r)
		return NULL;
	r->work.data = r;
	r->history = c->uplink->health->history;
	r->cursor = c;
	r->after = c->sent;
	r->node = strdup(c->uplink->health->core->name);
	r->monitor = strdup(c->monitor->name);
	return r;
}

void replay_start(struct cursor *c)
{
	struct health *h = c->uplink->health;
	if (!h->history) {
		cursor_skip_to_recent(c);
		return;
	}
	struct replay *r = replay_new(c);
	if (!r)
		return; /* the next send tries again */
	if (!r->node || !r->monitor || uv_queue_work(h->core->net.loop, &r->work, on_work, on_done)) {
		replay_free(r);
		return;
	}
	c->replaying = true;
	uplink_hold(c->uplink);
}
