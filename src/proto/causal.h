/* SPDX-License-Identifier: Apache-2.0 */
/* Causal order among the channels that one place receives: an event waits here until the events that came
 * before it, of channels that are received here as well, have been shown.
 *
 * Pure: no clock, no memory of the events themselves but a pointer. Used by channels (for what is put into
 * them, about the channels chained into them) and by libvigia (for what it shows a program that subscribes to
 * several). The rule after Lamport, "Time, Clocks, and the Ordering of Events in a Distributed System", 1978,
 * and Birman, Schiper and Stephenson, "Lightweight causal and atomic group multicast", 1991, with the causes
 * named outright in place of vectors, since each event knows the few channels that its sender had read.
 *
 * What waits is bounded in number and time: a cause that does not come (its channel's host is cut off) is
 * waited for CAUSAL_WAIT_NS, then the event is shown and counted as early; so is the oldest when more than
 * CAUSAL_WAITING_MAX wait. A cause that never was holds up nobody but those behind it in its source.
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

/* --- how far each channel has been shown here --- */

/* This channel is received here from now on; everything up to `sequence` has been shown. Again: moves forward
 * only. 0 or -ENOMEM. */
int causal_follow(struct causal *c, const struct channel_id *channel, uint64_t sequence);
/* What was shown of it stays a cause of what is put from here. */
void causal_leave(struct causal *c, const struct channel_id *channel);
/* Everything of this channel up to `sequence` has been shown, is lost, or is of no interest here. */
void causal_reached(struct causal *c, const struct channel_id *channel, uint64_t sequence);
/* How far: false when the channel is not followed. */
bool causal_position(const struct causal *c, const struct channel_id *channel, uint64_t *ret);

/* --- what is put from here --- */

/* What has been shown here had these causes: they came before whatever is put from here, too, also where
 * their channels are not followed. For no memory it is forgotten. */
void causal_heard(struct causal *c, const struct frame_cause *causes, size_t n);
/* Up to `max` of the positions, the one that moved last first: the causes of an event that is put from here.
 */
size_t causal_causes(const struct causal *c, struct frame_cause *ret, size_t max);

/* --- what is shown here; n: at most FRAME_CAUSES_MAX --- */

/* Whether it would be shown at once: nothing of this source waits, nor does any cause stand out. */
bool causal_ready(const struct causal *c, uint64_t source, const struct frame_cause *causes, size_t n);
/* An item of `source` (what one source offers stays in its order) with its causes. 1: nothing stands before
 * it, show it; 0: it waits, and the item is ours until causal_next() gives it back; -ENOMEM. now_ns never
 * goes back. */
int causal_offer(struct causal *c, uint64_t source, const struct frame_cause *causes, size_t n, void *item,
    int64_t now_ns);
/* An item that may be shown now, or NULL. Call until NULL after an offer that waits, causal_reached(),
 * causal_leave(), and when causal_wake_ns() has come. now_ns INT64_MAX: whatever is the oldest. *ret_early:
 * it was not waited for any longer (may be NULL). */
void *causal_next(struct causal *c, int64_t now_ns, bool *ret_early);
/* When the next waiting item will be shown at the latest; INT64_MAX: none waits, INT64_MIN: at once. */
int64_t causal_wake_ns(const struct causal *c);
/* How many were shown early so far. */
uint64_t causal_early(const struct causal *c);

#endif
