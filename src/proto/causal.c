/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/causal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "proto/id_table.h"

enum {
	SOURCES = 64,		      /* lists of them */
	HEARD_MAX = FRAME_CAUSES_MAX, /* channels that are only heard of: more could not be named */
};

TAILQ_HEAD(line, waiting);
TAILQ_HEAD(places, place);

/* What one source offered and waits. Gone when nothing does. */
struct source {
	uint64_t id;
	STAILQ_HEAD(, waiting) items;
	struct source *next;
};

struct waiting {
	void *item;
	struct source *source;
	STAILQ_ENTRY(waiting) behind;
	TAILQ_ENTRY(waiting) younger;
	struct line
	    *line; /* the ready ones, or those that wait for one channel; NULL: not the first of its source */
	TAILQ_ENTRY(waiting) beside;
	uint64_t needs; /* of that channel */
	int64_t until_ns;
	size_t n;
	struct frame_cause causes[]; /* that stood out when it came */
};

/* How far a channel is. */
struct place {
	struct channel_id channel; /* first, for id_table */
	bool followed;
	uint64_t reached; /* shown up to here, if followed */
	uint64_t known;	  /* the most of it that was shown or heard of */
	struct line waiting;
	uint64_t least; /* none of those needs less */
	TAILQ_ENTRY(place) moved;
};

struct causal {
	struct id_table places;
	struct places moved; /* last first */
	size_t heard;	     /* places that are not followed */
	struct source *sources[SOURCES];
	struct line by_age, ready;
	size_t waiting;
	uint64_t early;
};

struct causal *causal_new(void)
{
	struct causal *c = calloc(1, sizeof *c);
	if (!c)
		return NULL;
	TAILQ_INIT(&c->moved);
	TAILQ_INIT(&c->by_age);
	TAILQ_INIT(&c->ready);
	return c;
}

/* --- places --- */

static void place_free(struct causal *c, struct place *p)
{
	c->heard -= !p->followed;
	id_table_remove(&c->places, p);
	TAILQ_REMOVE(&c->moved, p, moved);
	free(p);
}

static struct place *place_new(struct causal *c, const struct channel_id *channel)
{
	struct place *p = calloc(1, sizeof *p);
	if (!p)
		return NULL;
	p->channel = *channel;
	p->least = UINT64_MAX;
	TAILQ_INIT(&p->waiting);
	if (id_table_add(&c->places, p)) {
		free(p);
		return NULL;
	}
	TAILQ_INSERT_HEAD(&c->moved, p, moved);
	c->heard++;
	return p;
}

static struct place *place_get(struct causal *c, const struct channel_id *channel)
{
	struct place *p = id_table_find(&c->places, channel);
	return p ? p : place_new(c, channel);
}

static void know(struct causal *c, struct place *p, uint64_t sequence)
{
	if (sequence <= p->known)
		return;
	p->known = sequence;
	TAILQ_REMOVE(&c->moved, p, moved);
	TAILQ_INSERT_HEAD(&c->moved, p, moved);
}

static void forget_oldest_heard(struct causal *c)
{
	struct place *p = TAILQ_LAST(&c->moved, places);
	while (p->followed)
		p = TAILQ_PREV(p, places, moved);
	place_free(c, p);
}

static struct place *followed(const struct causal *c, const struct channel_id *channel)
{
	struct place *p = id_table_find(&c->places, channel);
	return p && p->followed ? p : NULL;
}

bool causal_position(const struct causal *c, const struct channel_id *channel, uint64_t *ret)
{
	const struct place *p = followed(c, channel);
	if (p)
		*ret = p->reached;
	return p;
}

/* --- who waits for what --- */

static struct place *awaited(const struct causal *c, const struct frame_cause *cause)
{
	struct place *p = followed(c, &cause->channel);
	return p && p->reached < cause->sequence ? p : NULL;
}

static void stand(struct waiting *w, struct line *line)
{
	TAILQ_INSERT_TAIL(line, w, beside);
	w->line = line;
}

/* The first of its source takes its place in the line where it belongs. */
static void line_up(struct causal *c, struct waiting *w)
{
	struct place *p = NULL;
	for (size_t i = 0; i < w->n && !p; i++) {
		p = awaited(c, &w->causes[i]);
		w->needs = w->causes[i].sequence;
	}
	stand(w, p ? &p->waiting : &c->ready);
	if (p && w->needs < p->least)
		p->least = w->needs;
}

/* Those that need no more of this channel go to where they belong now. */
static void call_up(struct causal *c, struct place *p)
{
	struct line were = TAILQ_HEAD_INITIALIZER(were);
	struct waiting *w;
	TAILQ_CONCAT(&were, &p->waiting, beside);
	p->least = UINT64_MAX;
	while ((w = TAILQ_FIRST(&were))) {
		TAILQ_REMOVE(&were, w, beside);
		line_up(c, w);
	}
}

int causal_follow(struct causal *c, const struct channel_id *channel, uint64_t sequence)
{
	struct place *p = place_get(c, channel);
	if (!p)
		return -ENOMEM;
	if (p->followed) {
		causal_reached(c, channel, sequence);
		return 0;
	}
	c->heard--;
	p->followed = true;
	p->reached = sequence;
	know(c, p, sequence);
	return 0;
}

void causal_leave(struct causal *c, const struct channel_id *channel)
{
	struct place *p = followed(c, channel);
	if (!p)
		return;
	p->followed = false;
	call_up(c, p);
	if (c->heard++ == HEARD_MAX)
		forget_oldest_heard(c);
}

void causal_reached(struct causal *c, const struct channel_id *channel, uint64_t sequence)
{
	struct place *p = followed(c, channel);
	if (!p || sequence <= p->reached)
		return;
	p->reached = sequence;
	know(c, p, sequence);
	if (sequence >= p->least)
		call_up(c, p);
}

/* --- what is put from here --- */

void causal_heard(struct causal *c, const struct frame_cause *causes, size_t n)
{
	while (n--) {
		struct place *p = place_get(c, &causes[n].channel);
		if (p)
			know(c, p, causes[n].sequence);
		if (c->heard > HEARD_MAX)
			forget_oldest_heard(c);
	}
}

size_t causal_causes(const struct causal *c, struct frame_cause *ret, size_t max)
{
	size_t n = 0;
	for (const struct place *p = TAILQ_FIRST(&c->moved); p && n < max; p = TAILQ_NEXT(p, moved))
		if (p->known)
			ret[n++] = (struct frame_cause){p->channel, p->known};
	return n;
}

/* --- sources --- */

static struct source **source_at(struct causal *c, uint64_t id)
{
	struct source **at = &c->sources[id * 0x9e3779b97f4a7c15 >> 32 & (SOURCES - 1)];
	while (*at && (*at)->id != id)
		at = &(*at)->next;
	return at;
}

static bool source_waits(const struct causal *c, uint64_t id)
{
	return c->waiting && *source_at((struct causal *)c, id);
}

static struct source *source_get(struct causal *c, uint64_t id)
{
	struct source **at = source_at(c, id), *s = *at;
	if (s)
		return s;
	s = calloc(1, sizeof *s);
	if (!s)
		return NULL;
	s->id = id;
	STAILQ_INIT(&s->items);
	return *at = s;
}

/* Its first item goes; the next one comes to a line. */
static void source_shift(struct causal *c, struct source *s)
{
	STAILQ_REMOVE_HEAD(&s->items, behind);
	if (!STAILQ_EMPTY(&s->items)) {
		line_up(c, STAILQ_FIRST(&s->items));
		return;
	}
	*source_at(c, s->id) = s->next;
	free(s);
}

/* --- items --- */

bool causal_ready(const struct causal *c, uint64_t source, const struct frame_cause *causes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (awaited(c, &causes[i]))
			return false;
	return !source_waits(c, source);
}

static struct waiting *waiting_new(const struct causal *c, const struct frame_cause *causes, size_t n)
{
	struct waiting *w = malloc(sizeof *w + n * sizeof *w->causes);
	if (!w)
		return NULL;
	*w = (struct waiting){0};
	for (size_t i = 0; i < n; i++)
		if (awaited(c, &causes[i]))
			w->causes[w->n++] = causes[i];
	return w;
}

int causal_offer(
    struct causal *c, uint64_t source, const struct frame_cause *causes, size_t n, void *item, int64_t now_ns)
{
	if (causal_ready(c, source, causes, n))
		return 1;
	struct waiting *w = waiting_new(c, causes, n);
	struct source *s = w ? source_get(c, source) : NULL;
	if (!s) {
		free(w);
		return -ENOMEM;
	}
	w->item = item;
	w->source = s;
	w->until_ns = now_ns + CAUSAL_WAIT_NS;
	TAILQ_INSERT_TAIL(&c->by_age, w, younger);
	c->waiting++;
	if (STAILQ_EMPTY(&s->items))
		line_up(c, w);
	STAILQ_INSERT_TAIL(&s->items, w, behind);
	return 0;
}

/* The oldest of all, if it need not wait any longer. As no source offers out of order, it is the first of its
 * own. */
static struct waiting *overdue(struct causal *c, int64_t now_ns)
{
	struct waiting *w = TAILQ_FIRST(&c->by_age);
	return w && (now_ns >= w->until_ns || c->waiting > CAUSAL_WAITING_MAX) ? w : NULL;
}

static void *take(struct causal *c, struct waiting *w)
{
	void *item = w->item;
	TAILQ_REMOVE(w->line, w, beside);
	TAILQ_REMOVE(&c->by_age, w, younger);
	c->waiting--;
	source_shift(c, w->source);
	free(w);
	return item;
}

void *causal_next(struct causal *c, int64_t now_ns, bool *ret_early)
{
	struct waiting *ready = TAILQ_FIRST(&c->ready), *w = ready ? ready : overdue(c, now_ns);
	if (!w)
		return NULL;
	if (ret_early)
		*ret_early = !ready;
	c->early += !ready;
	return take(c, w);
}

int64_t causal_wake_ns(const struct causal *c)
{
	const struct waiting *w = TAILQ_FIRST(&c->by_age);
	if (!TAILQ_EMPTY(&c->ready) || c->waiting > CAUSAL_WAITING_MAX)
		return INT64_MIN;
	return w ? w->until_ns : INT64_MAX;
}

uint64_t causal_early(const struct causal *c)
{
	return c->early;
}

void causal_free(struct causal *c, void (*drop)(void *item))
{
	if (!c)
		return;
	while (!TAILQ_EMPTY(&c->by_age)) {
		struct waiting *w = TAILQ_FIRST(&c->by_age);
		drop(take(c, w));
	}
	while (!TAILQ_EMPTY(&c->moved))
		place_free(c, TAILQ_FIRST(&c->moved));
	free(c);
}
