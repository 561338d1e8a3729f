/* SPDX-License-Identifier: Apache-2.0 */
/* Queries passed on, and their answers passed back: to a program that offers a service, or to another host.
 *
 * The asker's call lasts as long as the relayed one; whichever ends first ends the other. Events for an asker that lags
 * are counted, not kept. A deadline holds for the last word, of an operation that goes on for the first.
 */
#ifndef VIGIA_CORE_RELAY_H
#define VIGIA_CORE_RELAY_H

#include "core/core.h"
#include "proto/frame.h"

enum { RELAY_DEADLINE_MS = 10000 };

struct relayed;

/* Where queries are passed on to. */
struct relay {
	struct core *core;
	int (*send)(struct relay *r, const struct buf *frame); /* 0 or negative errno */
	void *owner;
	struct relayed **slots; /* by the lower 32 bits of their number, less 1 */
	size_t n, size, vacant; /* slots used; had; the first that is free, + 1 */
	uint64_t first; /* count of a slot: one relay's answers are not another's that had the same way */
	struct buf query;	/* on its way */
};

void relay_init(struct relay *r, struct core *core, int (*send)(struct relay *r, const struct buf *frame), void *owner);
/* What is under way ends with this error: of the operations of this owner, or all. */
void relay_fail(struct relay *r, const void *owner, const char *code, const char *text);
/* Is anything under way? */
bool relay_waits(const struct relay *r);
void relay_release(struct relay *r, const char *code, const char *text);

/* As an operation's run, more and over. deadline_ms 0: RELAY_DEADLINE_MS. What `send` says is wrong: "unreachable". */
int relay_run(struct relay *r, struct call *c, int64_t deadline_ms);
int relay_more(struct call *c);
void relay_over(struct call *c);
/* A frame that came back. 0, or -EPROTO: it belongs to nothing that was asked. */
int relay_take(struct relay *r, const struct frame *f);

#endif
