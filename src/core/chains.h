/* SPDX-License-Identifier: Apache-2.0 */
/* Chains: events of other channels, of this host or another, that come into channels of this one.
 *
 * The daemon of the channel into which they come subscribes where they come from, for who made the chain, and goes on from
 * the last sequence when that host was away; what was lost meanwhile is told in the channel (channel_lost_chained()). A
 * chain ends when its source was deleted or its daemon started anew, and stays in the list with the reason.
 * No channel comes into itself: refused when a chain is made; where two are made at once, found when the upstreams tell.
 * Each change is an event of the channel "chains": `STATE CHANNEL-ID SOURCE-ID WHY`.
 */
#ifndef VIGIA_CORE_CHAINS_H
#define VIGIA_CORE_CHAINS_H

#include "core/channel_entry.h"

enum { CHAIN_UPSTREAMS_MAX = 4096 /* of one channel */ };

/* Tags of the channel "chains". */
enum { CHAIN_EVENT_BEGUN = 1, CHAIN_EVENT_WAITING = 2, CHAIN_EVENT_ENDED = 4 };

int chains_start(struct core *core);
/* All channels are gone. */
void chains_stop(struct core *core);
/* Those into a channel that goes. */
void chains_end(struct core *core, struct channel_entry *e);
/* What comes into a channel, as an answer to who is chained to it; NULL: no memory. */
struct msg *chains_upstreams(struct call *c, const struct channel *channel);

/* The operations: chain, unchain, chains. */
int chain_run(struct call *c);
void chain_over(struct call *c);
int chain_run_unchain(struct call *c);
int chain_run_list(struct call *c);

#endif
