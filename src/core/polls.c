/* SPDX-License-Identifier: Apache-2.0 */
#include "core/polls.h"

#include <stdlib.h>

static const int64_t WAIT_MOST_NS = 60000000000;

struct poll {
	struct call *call;
	struct channel_entry *entry;
	struct channel_reader *reader;
	uv_timer_t *timer; /* NULL: does not wait */
	struct poll *next;
};

/* --- answering --- */

/* One frame at a time: an event, or a loss. */
static bool collect(struct poll *p, struct buf *out, int64_t most)
{
	bool more = true;
	for (int64_t n = 0; more && n < most && out->len < POLL_BYTES; n++)
		more = channel_read(p->reader, out, (uint64_t)p->call->id, 0);
	return more;
}

static void put_position(struct poll *p, bool more)
{
	char id[CHANNEL_ID_TEXT];
	struct msg *m = call_answer(p->call, "poll");
	if (!m)
		return;
	channel_id_format(channel_id_of(p->entry->channel), id);
	msg_set(m, "id", id);
	msg_set_int(m, "position", (int64_t)channel_reader_position(p->reader));
	msg_set_flag(m, "more", more);
	call_send(p->call, m);
}

/* CALL_LATER: there was nothing. */
static int answer(struct poll *p, bool last)
{
	struct call *c = p->call;
	struct buf out = BUF_INIT;
	bool more = collect(p, &out, c->args[3].number);
	bool any = out.len;
	if (any)
		call_frames(c, &out);
	buf_release(&out);
	if (!any && !last)
		return CALL_LATER;
	put_position(p, more);
	return CALL_DONE;
}

/* --- waiting --- */

static void wake(struct channel_reader *r, void *data)
{
	struct poll *p = data;
	p->call->more = true;
	p->call->asker->type->want(p->call->asker);
}

static void on_late(uv_timer_t *timer)
{
	struct poll *p = timer->data;
	answer(p, true);
	call_end(p->call);
}

static int start_timer(struct poll *p, int64_t wait_ns)
{
	p->timer = calloc(1, sizeof *p->timer);
	if (!p->timer)
		return call_fail(p->call, "failed", "no memory");
	uv_timer_init(p->call->core->net.loop, p->timer);
	p->timer->data = p;
	uv_timer_start(p->timer, on_late, (uint64_t)(wait_ns / 1000000), 0);
	return CALL_LATER;
}

static void on_closed(uv_handle_t *h)
{
	free(h);
}

/* --- as an operation --- */

static struct poll *poll_new(struct call *c, struct channel_entry *e)
{
	struct poll *p = calloc(1, sizeof *p);
	struct channel_place place = {.mask = (uint32_t)c->args[2].number,
	    .after = c->args[1].number < 0 ? UINT64_MAX : (uint64_t)c->args[1].number};
	if (!p)
		return NULL;
	*p = (struct poll){.call = c, .entry = e, .reader = channel_reader_new(e->channel, &place, wake, p), .next = e->polls};
	if (!p->reader) {
		free(p);
		return NULL;
	}
	return e->polls = p;
}

static int check(struct call *c)
{
	if (channel_entry_check_bits(c, 2))
		return -1;
	if (c->args[3].number < 1 || c->args[3].number > POLL_MOST_MAX)
		return call_fail_arg(c, 3, "from 1 to %d", POLL_MOST_MAX);
	if (c->args[4].number > WAIT_MOST_NS)
		return call_fail_arg(c, 4, "at most 60 s");
	return 0;
}

int poll_run(struct call *c)
{
	struct channel_entry *e = check(c) ? NULL : channel_entry_for(c, CHANNEL_READ);
	if (!e || channel_entry_check_after(c, e, c->args[1].number))
		return -1;
	struct poll *p = c->state = poll_new(c, e);
	if (!p)
		return call_fail(c, "failed", "no memory");
	int64_t wait_ns = c->args[4].number;
	int r = answer(p, !wait_ns);
	return r == CALL_LATER ? start_timer(p, wait_ns) : r;
}

int poll_more(struct call *c)
{
	return answer(c->state, false);
}

void poll_over(struct call *c)
{
	struct poll *p = c->state;
	if (!p)
		return;
	struct poll **at = &p->entry->polls;
	while (*at != p)
		at = &(*at)->next;
	*at = p->next;
	if (p->timer)
		uv_close((uv_handle_t *)p->timer, on_closed);
	channel_reader_free(p->reader);
	free(p);
}

void polls_end(struct channel_entry *e)
{
	while (e->polls)
		call_fail(e->polls->call, "deleted", "channel %s was deleted", e->key);
}
