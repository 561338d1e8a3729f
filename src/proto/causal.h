/* SPDX-License-Identifier: Apache-2.0 */
/* Causal order among the channels that one place receives: an event waits here until the events that came before it,
 * of channels that are received here as well, have been shown.
 *
 * Pure: no clock, no memory of the events themselves but a pointer. Used by channels (for what is put into them, about
 * the channels chained into them) and by libvigia (for what it shows a program that subscribes to several).
 * The rule after Lamport, "Time, Clocks, and the Ordering of Events in a Distributed System", 1978, and Birman, Schiper
 * and Stephenson, "Lightweight causal and atomic group multicast", 1991, with the causes named outright in place of
 * vectors, since each event knows the few channels that its sender had read.
 *
 * What waits is bounded in number and time: a cause that does not come (its channel's host is cut off) is waited for
 * CAUSAL_WAIT_NS, then the event is shown and counted as early.
 */
#ifndef VIGIA_PROTO_CAUSAL_H
#define VIGIA_PROTO_CAUSAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/frame.h"

enum { CAUSAL_WAITING_MAX = 4096 };
#define CAUSAL_WAIT_NS 1000000000LL

struct causal;

struct causal *causal_new(void);
/* `drop` is called with each item that still waits. */
void causal_free(struct causal *c, void (*drop)(void *item));

/* This channel is received here from now on; everything up to `sequence` has been. Again: moves forward only. */
int causal_follow(struct causal *c, const struct channel_id *channel, uint64_t sequence);
void causal_leave(struct causal *c, const struct channel_id *channel);
/* Everything of this channel up to `sequence` has been shown, is lost, or is of no interest here. */
void causal_reached(struct causal *c, const struct channel_id *channel, uint64_t sequence);
/* How far: false when the channel is not followed. */
bool causal_position(const struct causal *c, const struct channel_id *channel, uint64_t *ret);
/* Up to `max` of the positions, the newest followed first: what an event that is put from here has as its causes. */
size_t causal_causes(const struct causal *c, struct frame_cause *ret, size_t max);

/* An item of `source` (what one source offers stays in its order) with its causes. 1: nothing stands before it, show
 * it; 0: it waits, and the item is ours until causal_next() gives it back; -ENOMEM. */
int causal_offer(struct causal *c, uint64_t source, const struct frame_cause *causes, size_t n, void *item,
    int64_t now_ns);
/* An item that may be shown now, or NULL. Call until NULL after each causal_reached(), and when causal_wake_ns() has
 * come. *ret_early: it was not waited for any longer (may be NULL). */
void *causal_next(struct causal *c, int64_t now_ns, bool *ret_early);
/* When the next waiting item will be shown at the latest; INT64_MAX: none waits. */
int64_t causal_wake_ns(const struct causal *c);

#endif
