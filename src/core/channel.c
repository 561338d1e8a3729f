/* SPDX-License-Identifier: Apache-2.0 */
#include "core/channel.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/channel_log.h"
#include "core/channel_ways.h"

#define CHAIN_SOURCE (UINT64_C(1) << 63)
#define RETRY_NS 10000000LL

struct channel {
	struct channel_id id;
	struct channel_log log;
	struct channel_ways ways;
	struct causal *order; /* NULL: nothing was ever chained into it, so nothing waits */
	struct held *due;     /* its turn has come, but there was no memory for it */
	size_t held;	      /* bytes that wait */
	char key[];
};

/* What takes its turn: an event or a loss, how far a chain is, or both. */
struct turn {
	const struct frame_event *event;
	uint64_t lost;
	const struct channel_id *from; /* NULL: not through a chain */
	uint64_t reached;	       /* of `from` */
};

/* A turn that waits, and what it points at. */
struct held {
	struct turn turn;
	struct channel_id from;
	struct frame_event event;
	uint8_t data[];
};

/* --- the channel --- */

struct channel *channel_new(const struct channel_id *id, const char *key, size_t log)
{
	size_t n = strlen(key) + 1;
	struct channel *c = calloc(1, sizeof *c + n);
	if (!c)
		return NULL;
	c->id = *id;
	memcpy(c->key, key, n);
	channel_log_init(&c->log, log);
	return c;
}

void channel_count(struct channel *c, struct limits *limits, uid_t owner)
{
	c->log.limits = limits;
	c->log.owner = owner;
}

void channel_free(struct channel *c)
{
	if (!c)
		return;
	free(c->due);
	causal_free(c->order, free);
	ways_release(&c->ways);
	channel_log_release(&c->log);
	free(c);
}

const char *channel_key(const struct channel *c)
{
	return c->key;
}

const struct channel_id *channel_id_of(const struct channel *c)
{
	return &c->id;
}

uint64_t channel_sequence(const struct channel *c)
{
	return c->log.sequence;
}

uint64_t channel_oldest(const struct channel *c)
{
	return c->log.oldest;
}

uint64_t channel_early(const struct channel *c)
{
	return c->order ? causal_early(c->order) : 0;
}

struct channel_reader *channel_reader_new(struct channel *c, const struct channel_place *place,
    void (*wake)(struct channel_reader *r, void *data), void *data)
{
	return channel_log_reader(&c->log, place, wake, data);
}

/* --- a turn is taken --- */

static struct upstream *chained(const struct channel *c, const struct channel_id *from)
{
	struct upstream *u = ways_find(&c->ways, from);
	return u && u->chained ? u : NULL;
}

static bool comes_along(
    const struct channel *c, const struct channel_id *from, const struct frame_cause *cause)
{
	return from && ways_brings(&c->ways, from, &cause->channel);
}

static void reach(struct channel *c, const struct turn *t)
{
	for (size_t i = 0; t->event && i < t->event->causes_n; i++)
		if (comes_along(c, t->from, &t->event->causes[i]))
			causal_reached(c->order, &t->event->causes[i].channel, t->event->causes[i].sequence);
	causal_reached(c->order, t->from, t->reached);
}

static int take_turn(struct channel *c, const struct turn *t, int64_t wall_ns)
{
	int r = 0;
	if (t->event)
		r = channel_log_append(&c->log, t->event, wall_ns);
	else if (t->lost)
		r = channel_log_gap(&c->log, t->lost);
	if (!r && t->from)
		reach(c, t);
	return r;
}

static size_t held_size(const struct held *h)
{
	return sizeof *h + h->event.n;
}

/* More bytes than may wait: the oldest does not. */
static struct held *next_due(struct channel *c, int64_t mono_ns)
{
	struct held *h = causal_next(c->order, c->held > c->log.limit ? INT64_MAX : mono_ns, NULL);
	if (h)
		c->held -= held_size(h);
	return h;
}

/* All whose turn has come. */
static int settle(struct channel *c, int64_t wall_ns, int64_t mono_ns)
{
	while (c->order && (c->due || (c->due = next_due(c, mono_ns)))) {
		int r = take_turn(c, &c->due->turn, wall_ns);
		if (r)
			return r;
		free(c->due);
		c->due = NULL;
	}
	return 0;
}

/* --- a turn waits --- */

static struct held *held_new(const struct turn *t)
{
	size_t n = t->event ? t->event->n : 0;
	struct held *h = malloc(sizeof *h + n);
	if (!h)
		return NULL;
	*h = (struct held){.turn = {.lost = t->lost, .reached = t->reached}};
	if (t->from) {
		h->from = *t->from;
		h->turn.from = &h->from;
	}
	if (!t->event)
		return h;
	h->event = *t->event;
	h->event.data = h->data;
	memcpy(h->data, n ? t->event->data : h->data, n);
	h->turn.event = &h->event;
	return h;
}

static int hold(struct channel *c, uint64_t source, const struct turn *t, const struct frame_cause *causes,
    size_t n, int64_t mono_ns)
{
	struct held *h = held_new(t);
	int r = h ? causal_offer(c->order, source, causes, n, h, mono_ns) : -ENOMEM;
	if (r < 0)
		free(h);
	else
		c->held += held_size(h);
	return r;
}

/* What comes through a chain waits only for channels that are chained themselves. These never wait in a
 * circle, as who names a place in a channel's log came after all that was there before it; but whether a copy
 * that another channel brings comes before or after what that one's own events wait for is chance. */
static bool may_wait_for(const struct channel *c, const struct turn *t, const struct channel_id *channel)
{
	return !t->from || (!channel_id_is(channel, t->from) && chained(c, channel));
}

static size_t causes_of(const struct channel *c, const struct turn *t, struct frame_cause *ret)
{
	size_t n = 0;
	for (size_t i = 0; t->event && i < t->event->causes_n; i++)
		if (may_wait_for(c, t, &t->event->causes[i].channel))
			ret[n++] = t->event->causes[i];
	return n;
}

static int offer(struct channel *c, uint64_t source, const struct turn *t, int64_t wall_ns, int64_t mono_ns)
{
	struct frame_cause causes[FRAME_CAUSES_MAX];
	int r = settle(c, wall_ns, mono_ns);
	if (r)
		return r;
	size_t n = c->order ? causes_of(c, t, causes) : 0;
	bool ready = !c->order || causal_ready(c->order, source, causes, n);
	r = ready ? take_turn(c, t, wall_ns) : hold(c, source, t, causes, n, mono_ns);
	if (r)
		return r;
	settle(c, wall_ns, mono_ns); /* without memory it is tried again before anything else */
	return ready;
}

static int check(const struct frame_event *e)
{
	if (e->causes_n > FRAME_CAUSES_MAX)
		return -EINVAL;
	return e->n > CHANNEL_DATA_MAX ? -EMSGSIZE : 0;
}

int channel_put(
    struct channel *c, uint64_t source, const struct frame_event *e, int64_t wall_ns, int64_t mono_ns)
{
	int r = check(e);
	return r ? r : offer(c, source, &(struct turn){.event = e}, wall_ns, mono_ns);
}

int64_t channel_tick(struct channel *c, int64_t wall_ns, int64_t mono_ns)
{
	if (settle(c, wall_ns, mono_ns))
		return mono_ns + RETRY_NS;
	return c->order ? causal_wake_ns(c->order) : INT64_MAX;
}

/* --- chains into it --- */

/* Also if it will not be waited for: then it is left again. */
static int follow(struct channel *c, const struct channel_upstream *u)
{
	if (!c->order)
		c->order = causal_new();
	if (!c->order)
		return -ENOMEM;
	return causal_follow(c->order, &u->from, u->sequence);
}

static void leave(void *data, const struct channel_id *from)
{
	struct channel *c = data;
	causal_leave(c->order, from);
}

int channel_upstream_add(struct channel *c, const struct channel_upstream *u)
{
	struct upstream *up = ways_find(&c->ways, &u->from);
	uint64_t received = up && up->chained ? up->received : 0;
	int r = follow(c, u);
	if (r)
		return r;
	up = ways_add(&c->ways, &u->from, &u->via, u->whole);
	if (!up && !ways_find(&c->ways, &u->from))
		causal_leave(c->order, &u->from);
	if (!up)
		return -ENOMEM;
	if (!upstream_is_sure(up))
		causal_leave(c->order, &u->from);
	up->received = u->sequence > received ? u->sequence : received;
	return 0;
}

void channel_upstream_remove(struct channel *c, const struct channel_id *from, const struct channel_id *via,
    int64_t wall_ns, int64_t mono_ns)
{
	ways_remove(&c->ways, from, via, leave, c);
	settle(c, wall_ns, mono_ns);
}

bool channel_has_upstream(const struct channel *c, const struct channel_id *from)
{
	return ways_find(&c->ways, from);
}

static struct channel_upstream upstream_as_told(const struct channel *c, const struct upstream *u)
{
	struct channel_upstream told = {.from = u->from, .via = c->id, .whole = ways_are_whole(&c->ways, u)};
	causal_position(c->order, &u->from, &told.sequence);
	return told;
}

size_t channel_upstreams(const struct channel *c, struct channel_upstream *ret, size_t max)
{
	const struct id_table *t = &c->ways.upstreams;
	for (size_t i = 0, n = 0; i < t->size && n < max; i++)
		if (t->slots[i])
			ret[n++] = upstream_as_told(c, t->slots[i]);
	return t->n;
}

bool channel_upstream_position(const struct channel *c, const struct channel_id *from, uint64_t *ret)
{
	const struct upstream *u = chained(c, from);
	if (u)
		*ret = u->received;
	return u;
}

/* One source a chain, the same also when it was taken away and is back. */
static uint64_t source_of(const struct channel_id *from)
{
	return channel_id_hash(from) | CHAIN_SOURCE;
}

static struct frame_event caused_by(const struct channel_id *from, const struct frame_event *e)
{
	struct frame_event put = *e;
	put.causes[0] = (struct frame_cause){*from, e->sequence};
	put.causes_n = 1;
	for (size_t i = 0; i < e->causes_n && put.causes_n < FRAME_CAUSES_MAX; i++)
		if (!channel_id_is(&e->causes[i].channel, from))
			put.causes[put.causes_n++] = e->causes[i];
	return put;
}

static int check_chained(const struct upstream *u, const struct frame_event *e)
{
	if (!u)
		return -ENOENT;
	return e->sequence <= u->received ? -EPROTO : check(e);
}

int channel_put_chained(struct channel *c, const struct channel_id *from, const struct frame_event *e,
    int64_t wall_ns, int64_t mono_ns)
{
	struct upstream *u = chained(c, from);
	int r = check_chained(u, e);
	if (r)
		return r;
	struct frame_event put = caused_by(from, e);
	struct turn t = {.event = &put, .from = from, .reached = e->sequence};
	r = offer(c, source_of(from), &t, wall_ns, mono_ns);
	if (r >= 0)
		u->received = e->sequence;
	return r;
}

int channel_lost_chained(struct channel *c, const struct channel_id *from, uint64_t lost, uint64_t sequence,
    int64_t wall_ns, int64_t mono_ns)
{
	struct upstream *u = chained(c, from);
	struct turn t = {.lost = lost, .from = from, .reached = sequence};
	if (!u)
		return -ENOENT;
	if (sequence <= u->received || lost > sequence - u->received)
		return -EPROTO;
	int r = offer(c, source_of(from), &t, wall_ns, mono_ns);
	if (r >= 0)
		u->received = sequence;
	return r;
}

/* Waits behind what came before it. If there is no memory for that, the next one says it again. */
void channel_reached(
    struct channel *c, const struct channel_id *from, uint64_t sequence, int64_t wall_ns, int64_t mono_ns)
{
	struct upstream *u = chained(c, from);
	struct turn t = {.from = from, .reached = sequence};
	if (!u || sequence <= u->received)
		return;
	if (offer(c, source_of(from), &t, wall_ns, mono_ns) >= 0)
		u->received = sequence;
}
