/* SPDX-License-Identifier: Apache-2.0 */
/* A whole core on a loop, with nothing real around it: all of the core's own services, an operating system and other hosts
 * that are made up, clocks that only move when told, numbers that are not drawn. So the same input does the same every time, and
 * nothing of this machine is started or signalled. For tests; one at a time.
 *
 * Whoever breaks a promise (docs/frames.md: what is well-formed, one last word for a query; nothing left behind) is aborted.
 */
#ifndef VIGIA_CORE_QUERIES_STAGE_H
#define VIGIA_CORE_QUERIES_STAGE_H

#include "core/core.h"
#include "proto/frame.h"

/* --- who is there --- */

/* Connections, made when they are first used. */
enum stage_who {
	STAGE_CONSOLE, /* the daemon's own user, in XML; all others speak frames */
	STAGE_PROGRAM,
	STAGE_OTHER_PROGRAM,
	STAGE_USER, /* another user of this host */
	STAGE_STRANGER, /* who comes by network */
	STAGE_CONNECTIONS,
	STAGE_HOST = STAGE_CONNECTIONS, /* h2, which is up; not a connection but the platform's */
	STAGE_ALL,
};

/* --- from its beginning to its end --- */

void stage_begin(void);
/* All hang up, and everything must be released. */
void stage_end(void);
struct core *stage_core(void);
/* Nothing more can be asked: the core has left the cluster. */
bool stage_is_over(void);

/* --- what happens --- */

/* Until nothing more happens at once. */
void stage_turn(void);
/* So much time is over, and what is due is done, each once; 0: until something is due. */
void stage_wait(int64_t ms);
/* Any bytes; the first of a connection decide what it speaks, unless it greets before. From h2: as a frame. */
void stage_say(enum stage_who who, const void *bytes, size_t n, bool greet);
/* A frame that asks nothing; of who speaks XML: nothing. */
void stage_say_frame(enum stage_who who, const struct buf *frame);
void stage_ask(enum stage_who who, int64_t id, bool one_way, const struct frame_route *route, const struct msg *query);
/* The number of a query that it was asked, the last for 0; 0: it was not. */
uint64_t stage_asked(enum stage_who who, size_t before);
/* It reads nothing, or reads again. */
void stage_be_deaf(enum stage_who who, bool deaf);
void stage_hang_up(enum stage_who who);
/* The platform: what is sent to h2 waits, or has left; the way there breaks. */
void stage_fill(bool full);
void stage_break(void);
void stage_end_process(int32_t pid, int status);

/* --- what was done, since the program began --- */

/* The i-th operation of the core's tables, and whether it has run: with rights and arguments that were good. NULL: no more. */
const struct op *stage_op(size_t i, bool *ret_ran);

#endif
