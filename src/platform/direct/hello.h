/* SPDX-License-Identifier: Apache-2.0 */
/* What two daemons say to each other that is not the core's (docs/frames.md, "Between daemons"). */
#ifndef VIGIA_PLATFORM_DIRECT_HELLO_H
#define VIGIA_PLATFORM_DIRECT_HELLO_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "proto/frame.h"
#include "proto/id.h"

enum { HELLO_VERSION = 1 };

struct hello {
	struct host_id id;
	char name[64];
	uint64_t boot, era; /* platform/pair.h */
	bool keep;	    /* I know no way to dial you: don't hang up */
	struct host_id to;  /* whom it was dialled for; none in the answer */
};

/* 0 or -ENOMEM. */
int hello_put(struct buf *out, const struct hello *h);
/* 0, -EPROTO with *ret_why (static), -ENOMEM. */
int hello_get(const struct frame *f, struct hello *ret, const char **ret_why);

/* How a link ends: an error of number 0 with one of these codes. With another it is the core's, once the link is open. */
#define HELLO_IDLE "idle" /* in order: I say no more here */
#define HELLO_REFUSED "refused"
#define HELLO_LEAVING "leaving"

struct farewell {
	char code[32];
	char why[200];
};

int farewell_put(struct buf *out, const char *code, const char *why);
int farewell_get(const struct frame *f, struct farewell *ret, const char **ret_why);

#endif
