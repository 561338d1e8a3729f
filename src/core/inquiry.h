/* SPDX-License-Identifier: Apache-2.0 */
/* Queries that this daemon asks of other hosts in the name of who asked it: the one dispatch, with the core as the asker.
 */
#ifndef VIGIA_CORE_INQUIRY_H
#define VIGIA_CORE_INQUIRY_H

#include "core/core.h"

struct inquiry;

struct inquiry_type {
	const char *name; /* for people */
	/* An answer to the query of this number, borrowed. */
	void (*answer)(void *owner, int64_t number, const struct msg *m);
	/* The last of it; code NULL: it went well. Of one that can't be asked it comes while it is asked. */
	void (*over)(void *owner, int64_t number, const char *code, const char *text);
};

/* NULL: no memory. */
struct inquiry *inquiry_new(struct core *core, const struct inquiry_type *type, void *owner);
/* Queries of it that go on are cancelled; the owner hears nothing more. Also from within its own functions. NULL: nothing. */
void inquiry_free(struct inquiry *q);
/* Queries are numbered as they are asked, from 1. take_query NULL or one that failed: it is over with "no memory". */
void inquiry_ask(struct inquiry *q, const struct host_id *to, int64_t deadline_ms,
    const struct frame_caller *caller, struct msg *take_query);

#endif
