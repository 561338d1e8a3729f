/* SPDX-License-Identifier: Apache-2.0 */
/* An operation on several hosts at once: each goes its way beside the others, every step of it is told as it comes, and
 * the call ends when all have come to their last one, which the view (core/view.h) shows. It fails when one has failed.
 */
#ifndef VIGIA_CORE_STEPS_H
#define VIGIA_CORE_STEPS_H

#include "core/core.h"
#include "core/view.h"

struct steps;
struct steps_host;

enum { STEPS_HOSTS_MAX = 1000 };

struct steps_type {
	const char *last;      /* what the last step is called when all is well */
	enum view_state until; /* what the view says of the host then */
	/* Called again every now and then until h->begun or it is over. */
	void (*begin)(struct steps_host *h);
	/* Ends h->work, if there is any. */
	void (*release)(struct steps_host *h);
};

struct steps_host {
	struct steps *steps;
	struct core *core;
	const char *name;     /* as it was said */
	struct host_id id;    /* none: not known yet */
	const char *by_name;  /* without an id: the one of this name in the view is meant; NULL: none yet */
	bool begun, over;
	int64_t deadline_ns;  /* monotonic */
	const char *waiting;  /* for what, when its deadline is over */
	void *work;
};

/* As an operation's run and over. `first` of the words: the hosts, each taken once. */
int steps_run(struct call *c, const struct steps_type *type, const struct msg *first, int64_t deadline_ns);
void steps_over(struct call *c);

void steps_tell(struct steps_host *h, const char *step, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Its last step; nothing that is under way is freed by these. */
void steps_fail(struct steps_host *h, const char *format, ...) __attribute__((format(printf, 2, 3)));
void steps_done(struct steps_host *h);
/* It is done if the view says so. */
void steps_look(struct steps_host *h);
/* The only one that is not over yet? */
bool steps_is_last(const struct steps_host *h);
/* Is called when the call is over and well. */
void steps_then(struct steps_host *h, void (*then)(struct core *core));
struct call *steps_call(const struct steps_host *h);

/* From the view: a host's row is new. */
void steps_heard(struct core *core, const struct view_row *row);

extern const struct op_field steps_fields[];

#endif
