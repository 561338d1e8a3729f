/* SPDX-License-Identifier: Apache-2.0 */
/* What two hosts agree on, seen from one of them: which life each is in, and how many breaks there were between them.
 *
 * Both platforms carry it the same way: whatever opens a way between two hosts says a boot (drawn anew in each life of a
 * daemon) and an era (counted up by whoever noticed a break). A higher era than one's own is a break that only the
 * other noticed so far. So one break is told once on each side, before anything that was said after it.
 * Pure: no clock, no bytes.
 */
#ifndef VIGIA_PLATFORM_PAIR_H
#define VIGIA_PLATFORM_PAIR_H

#include <stdbool.h>
#include <stdint.h>

/* Far more than one can count; what a peer says beyond it is refused. */
#define PAIR_ERA_MAX (INT64_MAX / 2)

struct pair {
	uint64_t boot, former; /* the other's lives: this and the one before; 0: never heard of */
	uint64_t era;
	bool used; /* something may have been said since the last break */
};

enum pair_word {
	PAIR_AGREED,
	PAIR_BROKEN, /* there was a break, and this is the first that this side hears of it: tell */
	PAIR_BEHIND, /* the other hasn't heard of the last break: it will, by our era */
	PAIR_TWO,    /* a life that was over: two hosts have this id. Nothing is changed */
};

/* The other says which life it is in, and its era. */
enum pair_word pair_hear(struct pair *p, uint64_t boot, uint64_t era);
/* After PAIR_TWO: it is this one, then. Whether there is something to tell. */
bool pair_replace(struct pair *p, uint64_t boot, uint64_t era);
/* From now on something may be said. */
void pair_use(struct pair *p);
/* This side noticed a break. */
void pair_break(struct pair *p);

#endif
