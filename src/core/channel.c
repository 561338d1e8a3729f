/* SPDX-License-Identifier: Apache-2.0 */
/* The log is a list of segments, each full of whole frames. Each segment knows the readers that stand in it, so what is
 * dropped concerns just those; who keeps up stands in the last. */
#include "core/channel.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { SEGMENT = 64 << 10, SEQUENCE_AT = FRAME_HEADER, TAG_AT = FRAME_HEADER + 16 };

struct segment {
	struct segment *next;
	struct channel_reader *readers; /* that stand here */
	size_t n, size;
	uint8_t bytes[];
};

struct channel_reader {
	struct channel *channel;
	struct segment *segment;
	size_t at; /* in it */
	uint32_t mask;
	bool progress, asleep;
	uint64_t position, told; /* sequences: passed; passed and the reader's owner knows it */
	uint64_t lost, untold;
	void (*wake)(struct channel_reader *r, void *data);
	void *data;
	struct channel_reader *next, **link; /* in the segment */
	struct channel_reader *next_asleep, **link_asleep;
};

/* What waits for its causes. */
struct held {
	struct channel_id chained; /* of host none: it was put here */
	uint64_t chained_sequence;
	uint32_t tag;
	struct entity_id sender;
	size_t causes_n, n;
	struct frame_cause causes[FRAME_CAUSES_MAX];
	uint8_t data[];
};

struct channel {
	char *key;
	struct channel_id id;
	struct segment *first, *last;
	size_t bytes, log;
	uint64_t sequence, oldest;
	struct channel_reader *asleep;
	struct causal *causal; /* NULL until something is chained into it */
	struct buf frame;
};

/* --- bytes of a frame in the log --- */

static uint64_t get(const uint8_t *p, int n)
{
	uint64_t v = 0;
	while (n--)
		v = v << 8 | *p++;
	return v;
}

static size_t whole(const uint8_t *frame)
{
	return FRAME_HEADER + (size_t)get(frame, 4);
}

static uint64_t sequence_of(const uint8_t *frame)
{
	return get(frame + SEQUENCE_AT, 8);
}

static bool selects(uint32_t mask, const uint8_t *frame)
{
	uint32_t tag = (uint32_t)get(frame + TAG_AT, 4);
	return !tag || (tag & mask);
}

/* --- readers in segments --- */

static void stand_in(struct channel_reader *r, struct segment *s, size_t at)
{
	r->segment = s;
	r->at = at;
	r->link = &s->readers;
	r->next = s->readers;
	if (r->next)
		r->next->link = &r->next;
	s->readers = r;
}

static void step_out(struct channel_reader *r)
{
	*r->link = r->next;
	if (r->next)
		r->next->link = r->link;
	r->segment = NULL;
}

static void wake_up(struct channel_reader *r)
{
	*r->link_asleep = r->next_asleep;
	if (r->next_asleep)
		r->next_asleep->link_asleep = r->link_asleep;
	r->asleep = false;
}

static void fall_asleep(struct channel_reader *r)
{
	r->asleep = true;
	r->link_asleep = &r->channel->asleep;
	r->next_asleep = r->channel->asleep;
	if (r->next_asleep)
		r->next_asleep->link_asleep = &r->next_asleep;
	r->channel->asleep = r;
}

/* --- the log --- */

/* Counts what a reader loses with the segment it stands in. */
static void lose(struct channel_reader *r)
{
	const struct segment *s = r->segment;
	for (size_t at = r->at; at < s->n; at += whole(s->bytes + at)) {
		r->untold += selects(r->mask, s->bytes + at);
		r->position = sequence_of(s->bytes + at);
	}
}

static void drop_first(struct channel *c)
{
	struct segment *s = c->first;
	while (s->readers) {
		struct channel_reader *r = s->readers;
		lose(r);
		step_out(r);
		stand_in(r, s->next, 0);
	}
	c->first = s->next;
	c->bytes -= s->size;
	c->oldest = sequence_of(c->first->bytes);
	free(s);
}

static struct segment *segment_new(size_t size)
{
	struct segment *s = malloc(sizeof *s + size);
	if (s)
		*s = (struct segment){.size = size};
	return s;
}

/* Where n bytes fit, the log's oldest dropped if need be; NULL: no memory. */
static struct segment *room_for(struct channel *c, size_t n)
{
	if (c->last && c->last->size - c->last->n >= n)
		return c->last;
	size_t usual = c->log / 8 < SEGMENT ? c->log / 8 : SEGMENT;
	struct segment *s = segment_new(n > usual ? n : usual);
	if (!s)
		return NULL;
	if (c->last)
		c->last->next = s;
	else
		c->first = s;
	c->last = s;
	c->bytes += s->size;
	return s;
}

/* Readers that had read everything stand at the end of the last segment: no need to move them. */
static int append(struct channel *c, const struct frame_event *e)
{
	buf_clear(&c->frame);
	frame_put_event(&c->frame, 0, e);
	struct segment *s = c->frame.failed ? NULL : room_for(c, c->frame.len);
	if (!s)
		return -ENOMEM;
	memcpy(s->bytes + s->n, c->frame.data, c->frame.len);
	s->n += c->frame.len;
	c->sequence = e->sequence;
	while (c->bytes > c->log && c->first != c->last)
		drop_first(c);
	return 0;
}

static void wake_all(struct channel *c)
{
	while (c->asleep) {
		struct channel_reader *r = c->asleep;
		wake_up(r);
		r->wake(r, r->data);
	}
}

static int take(struct channel *c, struct frame_event *e, int64_t wall_ns)
{
	e->sequence = c->sequence + 1;
	e->time_ns = wall_ns;
	int r = append(c, e);
	if (!r)
		wake_all(c);
	return r;
}

/* --- the channel --- */

struct channel *channel_new(const struct channel_id *id, const char *key, size_t log)
{
	struct channel *c = calloc(1, sizeof *c);
	if (!c)
		return NULL;
	*c = (struct channel){.id = *id, .log = log, .oldest = 1, .key = strdup(key)};
	if (c->key)
		return c;
	free(c);
	return NULL;
}

void channel_free(struct channel *c)
{
	for (struct segment *s = c->first, *next; s; s = next) {
		next = s->next;
		free(s);
	}
	if (c->causal)
		causal_free(c->causal, free);
	buf_release(&c->frame);
	free(c->key);
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
	return c->sequence;
}

uint64_t channel_oldest(const struct channel *c)
{
	return c->oldest;
}

/* --- what waits for its causes --- */

static struct held *hold(const struct frame_event *e, const struct channel_id *chained, uint64_t sequence)
{
	struct held *h = malloc(sizeof *h + e->n);
	if (!h)
		return NULL;
	*h = (struct held){.chained_sequence = sequence, .tag = e->tag, .sender = e->sender, .causes_n = e->causes_n,
	    .n = e->n};
	if (chained)
		h->chained = *chained;
	memcpy(h->causes, e->causes, e->causes_n * sizeof *e->causes);
	memcpy(h->data, e->data, e->n);
	return h;
}

static int take_held(struct channel *c, struct held *h, int64_t wall_ns)
{
	struct frame_event e = {.tag = h->tag, .sender = h->sender, .causes_n = h->causes_n, .data = h->data, .n = h->n};
	memcpy(e.causes, h->causes, h->causes_n * sizeof *h->causes);
	int r = take(c, &e, wall_ns);
	if (!host_id_is_none(&h->chained.host))
		causal_reached(c->causal, &h->chained, h->chained_sequence);
	free(h);
	return r;
}

static int take_all_due(struct channel *c, int64_t wall_ns, int64_t mono_ns)
{
	int r = 0;
	struct held *h;
	while (c->causal && (h = causal_next(c->causal, mono_ns, NULL)))
		r = take_held(c, h, wall_ns);
	return r;
}

static int offer(struct channel *c, uint64_t source, struct held *h, int64_t wall_ns, int64_t mono_ns)
{
	int r = h ? causal_offer(c->causal, source, h->causes, h->causes_n, h, mono_ns) : -ENOMEM;
	if (r == 1) {
		r = take_held(c, h, wall_ns);
		if (!r)
			take_all_due(c, wall_ns, mono_ns);
		return r ? r : 1;
	}
	if (r < 0)
		free(h);
	return r;
}

int channel_put(struct channel *c, uint64_t source, const struct frame_event *e, int64_t wall_ns, int64_t mono_ns)
{
	struct frame_event own = *e;
	if (e->n > CHANNEL_DATA_MAX)
		return -EMSGSIZE;
	if (c->causal)
		return offer(c, source, hold(e, NULL, 0), wall_ns, mono_ns);
	int r = take(c, &own, wall_ns);
	return r ? r : 1;
}

int64_t channel_tick(struct channel *c, int64_t wall_ns, int64_t mono_ns)
{
	take_all_due(c, wall_ns, mono_ns);
	return c->causal ? causal_wake_ns(c->causal) : INT64_MAX;
}

/* --- chains --- */

int channel_upstream_add(struct channel *c, const struct channel_id *from, uint64_t sequence)
{
	if (!c->causal)
		c->causal = causal_new();
	return c->causal ? causal_follow(c->causal, from, sequence) : -ENOMEM;
}

void channel_upstream_remove(struct channel *c, const struct channel_id *from)
{
	if (c->causal)
		causal_leave(c->causal, from);
}

bool channel_has_upstream(const struct channel *c, const struct channel_id *from)
{
	uint64_t position;
	return c->causal && causal_position(c->causal, from, &position);
}

/* The oldest cause gives way: the newest is the one that the chain itself adds. */
static void add_cause(struct frame_event *e, const struct channel_id *from, uint64_t sequence)
{
	if (e->causes_n == FRAME_CAUSES_MAX)
		memmove(e->causes, e->causes + 1, --e->causes_n * sizeof *e->causes);
	e->causes[e->causes_n++] = (struct frame_cause){*from, sequence};
}

int channel_put_chained(struct channel *c, const struct channel_id *from, const struct frame_event *e, int64_t wall_ns,
    int64_t mono_ns)
{
	if (e->n > CHANNEL_DATA_MAX)
		return -EMSGSIZE;
	if (!c->causal)
		return -ENOENT;
	struct frame_event own = *e;
	add_cause(&own, from, e->sequence);
	struct held *h = hold(&own, from, e->sequence);
	return offer(c, from->number ^ get(from->host.bytes, 8), h, wall_ns, mono_ns);
}

void channel_reached(struct channel *c, const struct channel_id *from, uint64_t sequence, int64_t wall_ns, int64_t mono_ns)
{
	if (!c->causal)
		return;
	causal_reached(c->causal, from, sequence);
	take_all_due(c, wall_ns, mono_ns);
}

/* --- readers --- */

/* Where the event after `after` is; what was dropped before it is not known any more and counts in full. */
static void place(struct channel_reader *r, uint64_t after)
{
	struct channel *c = r->channel;
	struct segment *s = c->first;
	size_t at = 0;
	if (after + 1 < c->oldest)
		r->untold = c->oldest - 1 - after;
	r->position = after + 1 < c->oldest ? c->oldest - 1 : after;
	while (s->next && sequence_of(s->next->bytes) <= after + 1)
		s = s->next;
	while (at < s->n && sequence_of(s->bytes + at) <= r->position)
		at += whole(s->bytes + at);
	stand_in(r, s, at);
}

struct channel_reader *channel_reader_new(struct channel *c, const struct channel_place *p,
    void (*wake)(struct channel_reader *r, void *data), void *data)
{
	struct channel_reader *r = calloc(1, sizeof *r);
	if (!r)
		return NULL;
	*r = (struct channel_reader){.channel = c, .mask = p->mask, .progress = p->progress, .wake = wake, .data = data};
	if (!c->last && !room_for(c, 1)) {
		free(r);
		return NULL;
	}
	place(r, p->after < c->sequence ? p->after : c->sequence);
	return r;
}

void channel_reader_free(struct channel_reader *r)
{
	if (r->asleep)
		wake_up(r);
	step_out(r);
	free(r);
}

static void tell_lost(struct channel_reader *r, struct buf *out, uint64_t number)
{
	if (r->untold)
		frame_put_lost(out, number, r->untold, r->position + 1);
	r->lost += r->untold;
	r->untold = 0;
}

/* One frame, if it is wanted; its number is the reader's. */
static void give(struct channel_reader *r, struct buf *out, uint64_t number)
{
	const uint8_t *frame = r->segment->bytes + r->at;
	size_t n = whole(frame), at = out->len;
	r->position = sequence_of(frame);
	r->at += n;
	if (!selects(r->mask, frame))
		return;
	buf_put(out, frame, n);
	if (!out->failed)
		frame_renumber(out->data + at, number);
	r->told = r->position;
}

static bool at_end(struct channel_reader *r)
{
	if (r->at < r->segment->n)
		return false;
	if (!r->segment->next)
		return true;
	struct segment *next = r->segment->next;
	step_out(r);
	stand_in(r, next, 0);
	return false;
}

bool channel_read(struct channel_reader *r, struct buf *out, uint64_t number, size_t most)
{
	size_t begin = out->len;
	tell_lost(r, out, number);
	while (!at_end(r)) {
		if (out->len - begin >= most)
			return true;
		give(r, out, number);
	}
	if (r->progress && r->told < r->position)
		frame_put_lost(out, number, 0, r->position + 1);
	r->told = r->position;
	if (!r->asleep)
		fall_asleep(r);
	return false;
}

uint64_t channel_reader_lost(const struct channel_reader *r)
{
	return r->lost + r->untold;
}

uint64_t channel_reader_position(const struct channel_reader *r)
{
	return r->position;
}
