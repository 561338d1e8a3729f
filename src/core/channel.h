/* SPDX-License-Identifier: Apache-2.0 */
/* An event channel: a bounded log of events in their one order, and readers that go along it, each at its own
 * pace.
 *
 * The log holds each event once, as the frame that goes out; a reader is a place in it. So who puts never
 * waits, a reader that stands still costs nothing, and what the log had to drop before a reader came there is
 * counted for it event by event, as its mask would have selected them. No I/O and no clock here:
 * core/channels.c joins it to peers.
 */
#ifndef VIGIA_CORE_CHANNEL_H
#define VIGIA_CORE_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/limits.h"
#include "proto/causal.h"
#include "proto/frame.h"

enum {
	CHANNEL_LOG = 4 << 20,	      /* bytes a channel keeps when nothing else is said */
	CHANNEL_DATA_MAX = 256 << 10, /* of one event */
};

struct channel;
struct channel_reader;

/* --- the channel --- */

/* The first event gets sequence 1. log: bytes at most (what an event takes: its frame), or the newest event
 * alone; as much again may wait for causes. NULL: no memory. */
struct channel *channel_new(const struct channel_id *id, const char *key, size_t log);
/* What its log keeps is this user's from now on, as limits has it: with no room left the oldest goes. Borrowed. */
void channel_count(struct channel *c, struct limits *limits, uid_t owner);
/* All readers must have gone. */
void channel_free(struct channel *c);
const char *channel_key(const struct channel *c);
const struct channel_id *channel_id_of(const struct channel *c);
/* Of the newest event; 0: there was none. */
uint64_t channel_sequence(const struct channel *c);
/* The oldest that the log still has; channel_sequence() + 1 when it is empty. */
uint64_t channel_oldest(const struct channel *c);
/* Events that were put before a cause of theirs: it did not come in time, or too many waited. */
uint64_t channel_early(const struct channel *c);

/* An event in its place: sequence and time are set here, tag, sender, causes and data are the caller's.
 * `source` says whose order it must keep (a connection; below 2^63); an event whose causes come through a
 * chain into this channel waits for them, and those of the same source behind it. Returns 1: it is in the
 * log; 0: it waits, and channel_tick() says for how long at most; -EMSGSIZE: its data is larger than
 * CHANNEL_DATA_MAX; -EINVAL: more than FRAME_CAUSES_MAX causes; -ENOMEM. */
int channel_put(
    struct channel *c, uint64_t source, const struct frame_event *e, int64_t wall_ns, int64_t mono_ns);
/* What waited for longer than it should; returns when to call again (monotonic), INT64_MAX: nothing waits. */
int64_t channel_tick(struct channel *c, int64_t wall_ns, int64_t mono_ns);

/* --- chains into it --- */

/* A way by which another channel's events come into this one: it is chained to it itself (via is from), or to
 * others of which the last, `via`, is. A channel may come by several ways.
 *
 * All events wait for their causes in channels that are chained themselves, as far as events, losses and
 * notes of progress tell. What is put here, and does not come through a chain, waits also for causes in
 * channels that come whole via another. For the rest no order is promised. */
struct channel_upstream {
	struct channel_id from, via;
	bool whole; /* via is from: without a mask. Else all chains on the way are, and channel_upstreams() of
		     * `via` says so */
	uint64_t sequence; /* what it has up to this one was before */
};

/* Again: `whole` as given now, the sequence moves forward only. 0 or -ENOMEM. */
int channel_upstream_add(struct channel *c, const struct channel_upstream *u);
/* This way is no more; if via is from, neither are all others via it. */
void channel_upstream_remove(struct channel *c, const struct channel_id *from, const struct channel_id *via,
    int64_t wall_ns, int64_t mono_ns);
/* By any way: who would chain this channel to such a one makes a cycle. */
bool channel_has_upstream(const struct channel *c, const struct channel_id *from);
/* Up to `max` of them, in no order, each once with this channel as `via`: so they come into another into
 * which this one is chained without a mask, and it is to be told again when one comes or goes. Returns how
 * many there are. */
size_t channel_upstreams(const struct channel *c, struct channel_upstream *ret, size_t max);
/* How far a channel that is chained itself has been received here, also if it waits: where to go on after a
 * pause. */
bool channel_upstream_position(const struct channel *c, const struct channel_id *from, uint64_t *ret);
/* An event of `from`, which is chained itself, came: it is put with its own causes and itself as the first
 * one, and what waited for it follows. Results as channel_put(), -ENOENT: it is not chained, -EPROTO: it is
 * not after what came before. */
int channel_put_chained(struct channel *c, const struct channel_id *from, const struct frame_event *e,
    int64_t wall_ns, int64_t mono_ns);
/* Up to `sequence`, `lost` events of `from` will never come. They take as many sequences of this channel, so that its own
 * readers are told exactly, in its order. Results as channel_put_chained(); -EPROTO: also if so many can't be. */
int channel_lost_chained(struct channel *c, const struct channel_id *from, uint64_t lost, uint64_t sequence,
    int64_t wall_ns, int64_t mono_ns);
/* Everything of `from` up to `sequence` has come, or never will. */
void channel_reached(
    struct channel *c, const struct channel_id *from, uint64_t sequence, int64_t wall_ns, int64_t mono_ns);

/* --- readers --- */

struct channel_place {
	uint32_t mask;	/* which tags: (tag & mask) != 0, or tag == 0 */
	uint64_t after; /* the sequence that was seen last; UINT64_MAX: only what comes from now on. What has
			 * gone since counts as lost, whatever its tags were: nobody knows any more */
	bool progress;	/* tell how far it is where the mask leaves out events, as a loss of 0 */
};

/* `wake` is called when a reader that had read everything has something again, from within channel_put() and
 * others: it may not call back into the channel. Once, until it has read everything again. A new one has read
 * everything if it begins after channel_sequence(). */
struct channel_reader *channel_reader_new(struct channel *c, const struct channel_place *place,
    void (*wake)(struct channel_reader *r, void *data), void *data);
void channel_reader_free(struct channel_reader *r);
/* Puts whole frames with this number, a loss before what comes after it, until `most` bytes are exceeded or
 * it has read everything. Returns whether there is more. Without memory for `out` it stays where it is. */
bool channel_read(struct channel_reader *r, struct buf *out, uint64_t number, size_t most);
/* Events that it lost so far, told or not yet, without those that its channel lost before (channel_lost_chained()) and
 * that it was in time to be told of. */
uint64_t channel_reader_lost(const struct channel_reader *r);
/* The last sequence it is past, but not past a loss that it has not been told: what to give as `after` to go
 * on from there. */
uint64_t channel_reader_position(const struct channel_reader *r);

#endif
