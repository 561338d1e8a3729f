/* SPDX-License-Identifier: Apache-2.0 */
#include "core/channel_ways.h"

#include <stdlib.h>

static void upstream_free(struct upstream *u)
{
	if (!u)
		return;
	free(u->ways);
	free(u);
}

void ways_release(struct channel_ways *w)
{
	for (size_t i = 0; i < w->upstreams.size; i++)
		upstream_free(w->upstreams.slots[i]);
	id_table_release(&w->upstreams);
}

struct upstream *ways_find(const struct channel_ways *w, const struct channel_id *from)
{
	return id_table_find(&w->upstreams, from);
}

static struct way *way_find(const struct upstream *u, const struct channel_id *via)
{
	for (size_t i = 0; i < u->n; i++)
		if (channel_id_is(&u->ways[i].via, via))
			return &u->ways[i];
	return NULL;
}

bool upstream_is_sure(const struct upstream *u)
{
	bool sure = u->chained;
	for (size_t i = 0; i < u->n; i++)
		sure |= u->ways[i].whole;
	return sure;
}

static bool comes_whole(const struct upstream *u, const struct channel_id *via)
{
	const struct way *way = way_find(u, via);
	return way && way->whole;
}

bool ways_brings(const struct channel_ways *w, const struct channel_id *via, const struct channel_id *from)
{
	const struct upstream *u = ways_find(w, from);
	return u && !u->chained && comes_whole(u, via);
}

bool ways_are_whole(const struct channel_ways *w, const struct upstream *u)
{
	bool whole = true;
	if (u->chained)
		return comes_whole(u, &u->from);
	for (size_t i = 0; whole && i < w->upstreams.size; i++) {
		const struct upstream *via = w->upstreams.slots[i];
		whole = !via || !via->chained || comes_whole(u, &via->from);
	}
	return whole;
}

/* --- one more --- */

static struct way *way_add(struct upstream *u, const struct channel_id *via)
{
	struct way *ways = realloc(u->ways, (u->n + 1) * sizeof *ways);
	if (!ways)
		return NULL;
	u->ways = ways;
	ways[u->n] = (struct way){.via = *via};
	return &ways[u->n++];
}

static struct upstream *upstream_new(struct channel_ways *w, const struct channel_id *from)
{
	struct upstream *u = calloc(1, sizeof *u);
	if (!u)
		return NULL;
	u->from = *from;
	if (!id_table_add(&w->upstreams, u))
		return u;
	free(u);
	return NULL;
}

static void drop_if_none(struct channel_ways *w, struct upstream *u)
{
	if (u->n)
		return;
	id_table_remove(&w->upstreams, u);
	upstream_free(u);
}

struct upstream *ways_add(
    struct channel_ways *w, const struct channel_id *from, const struct channel_id *via, bool whole)
{
	struct upstream *u = ways_find(w, from);
	if (!u)
		u = upstream_new(w, from);
	if (!u)
		return NULL;
	struct way *way = way_find(u, via);
	if (!way)
		way = way_add(u, via);
	if (!way) {
		drop_if_none(w, u);
		return NULL;
	}
	way->whole = whole;
	u->chained |= channel_id_is(from, via);
	return u;
}

/* --- one less --- */

static void way_remove(struct upstream *u, const struct channel_id *via)
{
	struct way *way = way_find(u, via);
	if (!way)
		return;
	*way = u->ways[--u->n];
	u->chained &= !channel_id_is(&u->from, via);
}

/* Returns whether the whole channel is gone by that. */
static bool upstream_remove(struct channel_ways *w, struct upstream *u, const struct channel_id *via,
    void (*gone)(void *data, const struct channel_id *from), void *data)
{
	bool last = (way_remove(u, via), !u->n);
	if (!upstream_is_sure(u))
		gone(data, &u->from);
	drop_if_none(w, u);
	return last;
}

void ways_remove(struct channel_ways *w, const struct channel_id *from, const struct channel_id *via,
    void (*gone)(void *data, const struct channel_id *from), void *data)
{
	bool all = channel_id_is(from, via);
	for (size_t i = 0; i < w->upstreams.size;) {
		struct upstream *u = w->upstreams.slots[i];
		bool this = u && (all || channel_id_is(&u->from, from));
		if (!this || !upstream_remove(w, u, via, gone, data))
			i++;
	}
}
