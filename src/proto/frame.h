/* SPDX-License-Identifier: Apache-2.0 */
/* Frames: what XML says, in binary (docs/frames.md). */
#ifndef VIGIA_PROTO_FRAME_H
#define VIGIA_PROTO_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "proto/id.h"
#include "proto/msg.h"

enum {
	FRAME_HEADER = 16,
	FRAME_PAYLOAD_MAX = 1 << 20,
	FRAME_NAME_MAX = 255,
	FRAME_FIELDS_MAX = 64, /* of one message */
	FRAME_ITEMS_MAX = 65536, /* fields and messages of one frame */
	FRAME_DEPTH_MAX = 4,
	FRAME_CAUSES_MAX = 15,
	FRAME_EVENT = 52, /* an event without causes and data */
	FRAME_CAUSE = 32,
	FRAME_LOSS = 16,
};

#define FRAME_PREFACE "\x89VIGIA1\n"
enum { FRAME_PREFACE_SIZE = 8 };

enum frame_kind {
	FRAME_HELLO = 1,
	FRAME_QUERY,
	FRAME_ANSWER,
	FRAME_END,
	FRAME_ERROR,
	FRAME_EVENT_KIND,
	FRAME_LOST,
	FRAME_CANCEL,
	FRAME_PARTIAL,
};

enum { FRAME_ONE_WAY = 1 };

struct frame {
	enum frame_kind kind;
	unsigned flags;
	uint64_t number;
	const uint8_t *payload; /* borrowed, at any address; the frame's header lies just before it */
	size_t n;
};

/* --- cutting a stream into frames --- */

/* All zero to begin with; `at` FRAME_PREFACE_SIZE where a preface came before. */
struct frame_cutter {
	struct buf held; /* the begin of a frame whose end has not come */
	uint64_t at;	 /* bytes of the stream before the frame that fn has or that is awaited */
	const char *why; /* what is wrong at that byte */
};

/* Returns 0 to go on; anything else stops, frame_cut returns it, and the cutter may be gone. */
typedef int frame_fn(void *data, const struct frame *f);

/* Gives each whole frame to fn, borrowed: from `bytes` where it lies there whole. 0; -EPROTO: why and at say what and
 * where; -ENOMEM; or what fn returned. After that nothing more may be fed. Never holds more than one frame, nor takes
 * memory for more of it than twice what has come. */
int frame_cut(struct frame_cutter *c, const void *bytes, size_t n, frame_fn *fn, void *data);
void frame_cutter_release(struct frame_cutter *c);
/* One whole frame and nothing behind it, as a platform carries it. 0 or -EPROTO with *ret_why. */
int frame_read(const void *bytes, size_t n, struct frame *ret, const char **ret_why);

/* --- messages --- */

/* For whom a daemon asks, as the kernel of that host said. */
struct frame_caller {
	struct host_id host;
	uint32_t uid, pid;
	bool given;
};

enum { FRAME_DEADLINE_MAX_MS = 86400000 };

struct frame_route {
	char to[64]; /* "": the daemon that is asked */
	int64_t deadline_ms; /* from 0; a daemon refuses a query with more than FRAME_DEADLINE_MAX_MS */
	struct frame_caller caller;
};

/* 0 with a message to free, -EPROTO with *ret_why (static), -ENOMEM. Names are those of proto/chars.h, so that what
 * is read here can be written as XML. */
int frame_get_msg(const struct frame *f, struct msg **ret, const char **ret_why);
int frame_get_query(const struct frame *f, struct frame_route *ret_route, struct msg **ret, const char **ret_why);
/* Only the route, and where the message begins in the payload: who passes a query on need not know what it says. That it
 * can be read is checked, else the next daemon would blame the one that passed it on. */
int frame_get_route(const struct frame *f, struct frame_route *ret_route, size_t *ret_message, const char **ret_why);

/* Whole frames. On failure nothing is put: -EMSGSIZE: a limit above would be exceeded; -EINVAL: a name that frames don't
 * have, a field that is there twice, a negative deadline; -ENOMEM: also sticks to `out`. Text that frames don't have
 * goes out as "?" (proto/cbor.h). */
int frame_put_msg(struct buf *out, enum frame_kind kind, uint64_t number, const struct msg *m);
int frame_put_query(struct buf *out, unsigned flags, uint64_t number, const struct frame_route *route,
    const struct msg *m);
/* A query passed on: the same message under another route and number. */
int frame_put_query_bytes(struct buf *out, unsigned flags, uint64_t number, const struct frame_route *route,
    const void *message, size_t n);
/* For who writes a payload in place: a header, then the payload is put, then its length is set. frame_end: 0, -EMSGSIZE or
 * -ENOMEM; nothing is left of the frame then. */
size_t frame_begin(struct buf *out, enum frame_kind kind, unsigned flags, uint64_t number);
int frame_end(struct buf *out, size_t begin);
/* The header and these bytes. */
int frame_put(struct buf *out, enum frame_kind kind, unsigned flags, uint64_t number, const void *payload, size_t n);
/* Sets the number of a whole frame that begins at `bytes`. */
void frame_renumber(void *bytes, uint64_t number);

/* --- events --- */

struct frame_cause {
	struct channel_id channel;
	uint64_t sequence;
};

struct frame_event {
	uint64_t sequence;
	int64_t time_ns;
	uint32_t tag;
	struct entity_id sender;
	struct frame_cause causes[FRAME_CAUSES_MAX];
	size_t causes_n;
	const uint8_t *data; /* borrowed */
	size_t n;
};

/* 0, -EMSGSIZE, -EINVAL (more causes than there may be), -ENOMEM. */
int frame_put_event(struct buf *out, uint64_t number, const struct frame_event *e);
/* 0 or -EPROTO. Causes beyond causes_n are left as they were. */
int frame_get_event(const struct frame *f, struct frame_event *ret);
int frame_put_lost(struct buf *out, uint64_t number, uint64_t lost, uint64_t before);
int frame_get_lost(const struct frame *f, uint64_t *ret_lost, uint64_t *ret_before);

#endif
