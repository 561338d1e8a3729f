/* SPDX-License-Identifier: Apache-2.0 */
/* By which ways other channels come into one (core/channel.h, struct channel_upstream), and which of them are
 * worth waiting for. */
#ifndef VIGIA_CORE_CHANNEL_WAYS_H
#define VIGIA_CORE_CHANNEL_WAYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/channel.h"
#include "proto/id_table.h"

struct channel_ways {
	struct id_table upstreams;
};

/* A channel that comes in, by at least one way. */
struct upstream {
	struct channel_id from; /* first, for id_table */
	uint64_t received;	/* if it is chained itself */
	bool chained;
	size_t n;
	struct way {
		struct channel_id via;
		bool whole;
	} * ways;
};

void ways_release(struct channel_ways *w);
struct upstream *ways_find(const struct channel_ways *w, const struct channel_id *from);
/* NULL: no memory, and nothing has changed. */
struct upstream *ways_add(
    struct channel_ways *w, const struct channel_id *from, const struct channel_id *via, bool whole);
/* Calls `gone` for each channel that is not worth waiting for after it. */
void ways_remove(struct channel_ways *w, const struct channel_id *from, const struct channel_id *via,
    void (*gone)(void *data, const struct channel_id *from), void *data);
/* Whether what it has is sure to come. */
bool upstream_is_sure(const struct upstream *u);
/* Whether this channel comes only through others, and what comes via `via` names it only after it has brought
 * what is named. */
bool ways_brings(const struct channel_ways *w, const struct channel_id *via, const struct channel_id *from);
/* Whether whatever comes in names it only after what is named has come in: it is chained itself, without a
 * mask, and so is waited for by all; or each that is chained brings it whole. */
bool ways_are_whole(const struct channel_ways *w, const struct upstream *u);

#endif
