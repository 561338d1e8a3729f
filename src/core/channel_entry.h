/* SPDX-License-Identifier: Apache-2.0 */
/* A channel of this host, its owner and who reads it: what channels.c, chains.c and polls.c share. */
#ifndef VIGIA_CORE_CHANNEL_ENTRY_H
#define VIGIA_CORE_CHANNEL_ENTRY_H

#include "core/channel.h"
#include "core/core.h"

struct chain;
struct poll;
struct subscription;

struct channel_entry {
	char *key; /* first: base/names.h */
	struct channel *channel;
	uint64_t number;
	struct channel_entry *next; /* in its bucket of numbers */
	uid_t owner;
	bool open_to_all; /* to put and subscribe */
	bool readable;	  /* to subscribe: the core's own */
	struct subscription *subscriptions;
	unsigned subscriptions_n;
	struct poll *polls;
	struct chain *chains; /* into it */
	unsigned chains_n;
};

enum channel_right { CHANNEL_OWN, CHANNEL_PUT, CHANNEL_READ };

/* By key, by number as "#12", or by its id, which no other channel has or had. */
struct channel_entry *channel_entry_find(const struct core *core, const char *name);
/* As a call's first argument names it, if it may; else the call has failed. */
struct channel_entry *channel_entry_for(struct call *c, enum channel_right right);
/* `after` can be a sequence that was seen of it; else the call has failed. */
int channel_entry_check_after(struct call *c, const struct channel_entry *e, int64_t after);
/* args[i], a tag or a mask, has 32 bits; else the call has failed. */
int channel_entry_check_bits(struct call *c, int i);
bool channel_entry_owned(const struct call *c, const struct channel_entry *e);
/* The next by key; NULL: the first, no more. */
struct channel_entry *channel_entry_next(const struct core *core, const struct channel_entry *after);
/* Something was put into it and waits: for a second at most. */
void channel_entry_tend(struct core *core, struct channel_entry *e);
/* What comes into it through others is not what it was: whoever it is chained into is told. */
void channel_entry_tell_upstreams(struct core *core, struct channel_entry *e);

#endif
