/* SPDX-License-Identifier: Apache-2.0 */
#include "core/channel_log.h"

#include <errno.h>
#include <stdlib.h>

#include "proto/wire.h"

enum { SEGMENT_LEAST = 512, SEGMENT_MOST = 64 << 10, SEGMENTS = 16 /* of a full log, at least */ };

/* Where a whole frame has what is needed of it here (docs/frames.md). */
enum {
	AT_LENGTH = 0,
	AT_KIND = 4,
	AT_LOST = FRAME_HEADER, /* of a gap */
	AT_SEQUENCE = FRAME_HEADER,
	AT_TIME = FRAME_HEADER + 8,
	AT_TAG = FRAME_HEADER + 16,
};

struct segment {
	TAILQ_ENTRY(segment) next;
	struct readers readers; /* whose place is in it */
	uint64_t first;		/* sequence of the frame at 0 */
	size_t begin;		/* what is before has been dropped */
	struct buf frames;
};

struct channel_reader {
	LIST_ENTRY(channel_reader) other;
	struct channel_log *log;
	struct segment *segment; /* NULL: has read everything, `at` and `next` mean nothing */
	size_t at;
	uint64_t next;	 /* sequence of what is there */
	uint64_t told;	 /* knows that it is past this one */
	uint64_t untold; /* lost since then, just before `next` */
	uint64_t lost;
	uint32_t mask;
	bool progress;
	void (*wake)(struct channel_reader *r, void *data);
	void *data;
};

/* --- frames --- */

static const uint8_t *frame_at(const struct segment *s, size_t at)
{
	return (const uint8_t *)s->frames.data + at;
}

static size_t frame_size(const uint8_t *frame)
{
	return FRAME_HEADER + wire_get32(frame + AT_LENGTH);
}

static bool is_gap(const uint8_t *frame)
{
	return frame[AT_KIND] == FRAME_LOST;
}

/* How many sequences it takes. */
static uint64_t span_of(const uint8_t *frame)
{
	return is_gap(frame) ? wire_get64(frame + AT_LOST) : 1;
}

static bool selects(const struct channel_reader *r, const uint8_t *frame)
{
	if (is_gap(frame))
		return true;
	uint32_t tag = wire_get32(frame + AT_TAG);
	return tag & r->mask || !tag;
}

/* --- segments --- */

/* Small where the log is small, so that those at its end don't stand beside the oldest. */
static size_t segment_size(size_t limit)
{
	size_t size = SEGMENT_LEAST;
	while (size < SEGMENT_MOST && size < limit / SEGMENTS)
		size *= 2;
	return size;
}

void channel_log_init(struct channel_log *l, size_t limit)
{
	*l = (struct channel_log){.oldest = 1, .limit = limit, .segment = segment_size(limit)};
	TAILQ_INIT(&l->segments);
	LIST_INIT(&l->done);
}

static void segment_free(struct channel_log *l, struct segment *s)
{
	TAILQ_REMOVE(&l->segments, s, next);
	buf_release(&s->frames);
	free(s);
}

void channel_log_release(struct channel_log *l)
{
	if (l->limits)
		limits_give(l->limits, LIMIT_CHANNEL_LOGS, l->owner, (int64_t)l->bytes);
	while (!TAILQ_EMPTY(&l->segments))
		segment_free(l, TAILQ_FIRST(&l->segments));
}

/* A large event may have come before it was full: the rest goes back. */
static void segment_close(struct segment *s)
{
	char *data = realloc(s->frames.data, s->frames.len);
	if (!data)
		return;
	s->frames.data = data;
	s->frames.size = s->frames.len;
}

/* A channel's first grows as it fills, later ones are taken whole. */
static struct segment *segment_new(struct channel_log *l, size_t n)
{
	struct segment *s = calloc(1, sizeof *s), *full = TAILQ_LAST(&l->segments, segments);
	if (!s || !buf_reserve(&s->frames, full && n < l->segment ? l->segment : n)) {
		free(s);
		return NULL;
	}
	s->first = l->sequence + 1;
	if (full)
		segment_close(full);
	TAILQ_INSERT_TAIL(&l->segments, s, next);
	return s;
}

static struct segment *segment_for(struct channel_log *l, size_t n)
{
	struct segment *s = TAILQ_LAST(&l->segments, segments);
	if (!s || s->frames.len + n > l->segment)
		return segment_new(l, n);
	if (buf_reserve(&s->frames, n))
		return s;
	s->frames.failed = false; /* what is in it is whole */
	return NULL;
}

/* --- places --- */

static void reader_to(struct channel_reader *r, struct segment *s, size_t at, uint64_t next)
{
	if (r->segment != s) {
		LIST_REMOVE(r, other);
		LIST_INSERT_HEAD(s ? &s->readers : &r->log->done, r, other);
	}
	r->segment = s;
	r->at = at;
	r->next = next;
}

/* The same where this one is at the end of its segment. */
static void reader_past(struct channel_reader *r, struct segment *s, size_t at, uint64_t next)
{
	if (at < s->frames.len)
		reader_to(r, s, at, next);
	else
		reader_to(r, TAILQ_NEXT(s, next), 0, next);
}

static uint64_t next_of(const struct channel_reader *r)
{
	return r->segment ? r->next : r->log->sequence + 1;
}

/* --- the oldest goes --- */

static void lose(struct channel_reader *r, struct segment *s, size_t n)
{
	uint64_t span = span_of(frame_at(s, r->at));
	if (selects(r, frame_at(s, r->at))) {
		if (!r->untold)
			r->told = r->next - 1;
		r->untold += span;
		r->lost += span;
	}
	reader_past(r, s, r->at + n, r->next + span);
}

static void drop_oldest(struct channel_log *l)
{
	struct segment *s = TAILQ_FIRST(&l->segments);
	size_t n = frame_size(frame_at(s, s->begin));
	uint64_t span = span_of(frame_at(s, s->begin));
	struct channel_reader *next;
	for (struct channel_reader *r = LIST_FIRST(&s->readers); r; r = next) {
		next = LIST_NEXT(r, other);
		if (r->at == s->begin)
			lose(r, s, n);
	}
	s->begin += n;
	l->bytes -= n;
	if (l->limits)
		limits_give(l->limits, LIMIT_CHANNEL_LOGS, l->owner, (int64_t)n);
	l->oldest += span;
	if (s->begin == s->frames.len)
		segment_free(l, s);
}

/* --- a new one comes --- */

static void wake_done(struct channel_log *l, struct segment *s, size_t at, uint64_t first)
{
	struct channel_reader *next;
	for (struct channel_reader *r = LIST_FIRST(&l->done); r; r = next) {
		next = LIST_NEXT(r, other);
		if (!r->progress && !selects(r, frame_at(s, at)))
			continue;
		reader_to(r, s, at, first);
		r->wake(r, r->data);
	}
}

/* Its own limit is none that is reached: a log drops its oldest as it goes. */
static bool is_full(const struct channel_log *l, size_t n)
{
	if (l->bytes + n > l->limit)
		return true;
	enum limit full = l->limits ? limits_full(l->limits, LIMIT_CHANNEL_LOGS, l->owner, (int64_t)n) : LIMIT_NONE;
	if (full != LIMIT_NONE)
		limits_refuse(l->limits, full);
	return full != LIMIT_NONE;
}

/* The newest, of n bytes, is there: the oldest go until it fits, and who had read everything hears of it. */
static void appended(struct channel_log *l, struct segment *s, size_t at, size_t n, uint64_t first)
{
	while (l->oldest < first && is_full(l, n))
		drop_oldest(l);
	l->bytes += n;
	if (l->limits)
		limits_force(l->limits, LIMIT_CHANNEL_LOGS, l->owner, (int64_t)n);
	wake_done(l, s, at, first);
}

int channel_log_append(struct channel_log *l, const struct frame_event *e, int64_t wall_ns)
{
	size_t n = FRAME_HEADER + FRAME_EVENT + e->causes_n * FRAME_CAUSE + e->n;
	struct segment *s = segment_for(l, n);
	if (!s)
		return -ENOMEM;
	size_t at = s->frames.len;
	frame_put_event(&s->frames, 0, e);
	uint8_t *frame = (uint8_t *)s->frames.data + at;
	wire_put64(frame + AT_SEQUENCE, ++l->sequence);
	wire_put64(frame + AT_TIME, (uint64_t)wall_ns);
	appended(l, s, at, n, l->sequence);
	return 0;
}

int channel_log_gap(struct channel_log *l, uint64_t lost)
{
	size_t n = FRAME_HEADER + FRAME_LOSS;
	uint64_t first = l->sequence + 1;
	struct segment *s = segment_for(l, n);
	if (!s)
		return -ENOMEM;
	size_t at = s->frames.len;
	if (lost > INT64_MAX - l->sequence) /* nobody counts that far */
		lost = INT64_MAX - l->sequence;
	frame_put_lost(&s->frames, 0, lost, first + lost);
	l->sequence += lost;
	appended(l, s, at, n, first);
	return 0;
}

/* --- readers --- */

/* The segment that has this one, which the log has. */
static struct segment *segment_of(const struct channel_log *l, uint64_t sequence)
{
	struct segment *s = TAILQ_LAST(&l->segments, segments);
	while (s->first > sequence)
		s = TAILQ_PREV(s, segments, next);
	return s;
}

static void reader_seek(struct channel_reader *r, uint64_t sequence)
{
	struct segment *s = segment_of(r->log, sequence);
	bool oldest = s == TAILQ_FIRST(&r->log->segments);
	size_t at = oldest ? s->begin : 0;
	uint64_t next = oldest ? r->log->oldest : s->first;
	while (next < sequence) {
		next += span_of(frame_at(s, at));
		at += frame_size(frame_at(s, at));
	}
	r->untold += next - sequence; /* from within a gap: its rest */
	r->lost += next - sequence;
	reader_past(r, s, at, next);
}

struct channel_reader *channel_log_reader(struct channel_log *l, const struct channel_place *place,
    void (*wake)(struct channel_reader *r, void *data), void *data)
{
	struct channel_reader *r = malloc(sizeof *r);
	if (!r)
		return NULL;
	uint64_t after = place->after < l->sequence ? place->after : l->sequence;
	uint64_t gone = after + 1 < l->oldest ? l->oldest - after - 1 : 0;
	*r = (struct channel_reader){.log = l,
	    .told = after,
	    .untold = gone,
	    .lost = gone,
	    .mask = place->mask,
	    .progress = place->progress,
	    .wake = wake,
	    .data = data};
	LIST_INSERT_HEAD(&l->done, r, other);
	if (after < l->sequence)
		reader_seek(r, after + gone + 1);
	return r;
}

void channel_reader_free(struct channel_reader *r)
{
	if (!r)
		return;
	LIST_REMOVE(r, other);
	free(r);
}

uint64_t channel_reader_lost(const struct channel_reader *r)
{
	return r->lost;
}

uint64_t channel_reader_position(const struct channel_reader *r)
{
	return r->untold ? r->told : next_of(r) - 1;
}

/* --- reading --- */

/* A frame that tells where it is; 0 lost: only that. */
static bool tell(struct channel_reader *r, struct buf *out, uint64_t number)
{
	uint64_t next = next_of(r);
	if (frame_put_lost(out, number, r->untold, next))
		return false;
	r->untold = 0;
	r->told = next - 1;
	return true;
}

static bool put_run(struct buf *out, const uint8_t *frames, size_t n, uint64_t number)
{
	if (!n)
		return true;
	if (!buf_reserve(out, n))
		return false;
	uint8_t *put = (uint8_t *)out->data + out->len;
	buf_put(out, frames, n);
	for (size_t at = 0; at < n; at += frame_size(put + at))
		frame_renumber(put + at, number);
	return true;
}

/* Past what its mask leaves out, then one run of what it selects, until more than `room` is put. */
static bool read_run(struct channel_reader *r, struct buf *out, uint64_t number, size_t room)
{
	struct segment *s = r->segment;
	size_t begin = r->at, end, size = s->frames.len;
	uint64_t next = r->next, selected;
	for (; begin < size && !selects(r, frame_at(s, begin)); next++)
		begin += frame_size(frame_at(s, begin));
	for (end = begin, selected = next; end < size && end - begin <= room && selects(r, frame_at(s, end));
	     end += frame_size(frame_at(s, end)))
		next += span_of(frame_at(s, end));
	if (!put_run(out, frame_at(s, begin), end - begin, number))
		return false;
	if (next > selected)
		r->told = next - 1;
	reader_past(r, s, end, next);
	return true;
}

/* Whether there was memory for all that fits. */
static bool read_on(struct channel_reader *r, struct buf *out, uint64_t number, size_t most)
{
	size_t begin = out->len;
	if (r->untold && !tell(r, out, number))
		return false;
	while (r->segment && out->len - begin <= most)
		if (!read_run(r, out, number, most - (out->len - begin)))
			return false;
	return r->segment || !r->progress || r->told == r->log->sequence || tell(r, out, number);
}

bool channel_read(struct channel_reader *r, struct buf *out, uint64_t number, size_t most)
{
	return !read_on(r, out, number, most) || r->segment;
}
