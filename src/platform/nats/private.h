/* SPDX-License-Identifier: Apache-2.0 */
/* The map of this room. Hosts talk through a nats-server (docs/platform-nats.md), which loses silently when it dies or
 * when somebody is slow: so every message says how many bytes of frames went before it, and how many of the other's
 * were taken.
 *
 *   nats.c     the table: what the core calls; the turn's output
 *   remote.c   another host: agreeing, sending within the window, taking, breaks
 *   header.c   what stands before the frames
 *   engine.c   libnats
 *
 * A remote is at REST until there is something to say; then it is ASKING for the other's life and era; what it hears
 * makes it OPEN. A break puts it to rest, and a new era begins, in which both count from 0. The window is in bytes that
 * were sent and not taken. Time runs (one timer, the busy remotes) only while something is awaited.
 */
#ifndef VIGIA_PLATFORM_NATS_PRIVATE_H
#define VIGIA_PLATFORM_NATS_PRIVATE_H

#include <uv.h>

#include "platform/host.h"
#include "platform/nats/engine.h"
#include "platform/nats/header.h"
#include "platform/platform.h"
#include "proto/frame.h"

enum {
	WINDOW = 512 * 1024,
	PIECE = 64 * 1024, /* of frames in a message; one frame that is longer goes in several */
	OUT_MOST = 1024 * 1024, /* bytes that libnats may hold for us */
	REMOTES_MAX = 16384,
	TICK_MS = 20,
	TAKEN_MS = 40, /* what was taken is said after so long at the latest */
	ASK_MS = 50, ASK_MOST_MS = 1000, /* doubling */
	PROBE_MS = 1000, /* what was sent is not taken: ask whether anybody is there */
	GRACE_MS = 2000, /* after connecting: others are on their way, too */
	REST_MS = 200,
	BEAT_MS = 5000,
	SUBJECT_MAX = 128,
};

#define DEAD_NS 20000000000LL

struct platform {
	const struct platform_type *type;
	struct platform_options o;
	char *name, *cluster, *server;
	char self[HOST_ID_TEXT];
	uint64_t boot;
	struct engine *engine;
	struct hosts remotes;
	struct remote *dirty; /* have something for the turn's end */
	struct remote *busy;  /* await something */
	uv_prepare_t prepare;
	uv_check_t check;
	uv_idle_t idle; /* on while there is more to flush */
	uv_timer_t tick, beat;
	unsigned handles;
	bool closed;
	char twin[100]; /* who else has this host's id, and when he was heard */
	uint64_t twin_ms;
	uint64_t odd; /* messages that were none of ours */
	char odd_why[100];
	uint64_t odd_ms;
};

enum remote_state { REMOTE_REST, REMOTE_ASKING, REMOTE_OPEN };

struct remote {
	struct host host; /* first */
	struct platform *platform;
	enum remote_state state;
	uint64_t sent, sent_taken; /* bytes of ours in this era, and what the other says it took */
	uint64_t taken, taken_told;
	size_t part_left; /* of a frame that goes in several messages */
	struct frame_cutter cutter;
	uint64_t since_ms;	/* what is awaited has been since then */
	uint64_t asked_ms, ask_again_ms;
	uint64_t owed_ms;	/* since then the other has not been told what we took; 0: it has */
	uint64_t rest_until_ms;
	uint64_t heard_ms;
	bool unheard;	 /* since we last asked */
	bool owes_state; /* at the turn's end */
	bool is_dirty, is_busy;
	struct remote *next_dirty, *next_busy;
	char subject[SUBJECT_MAX], nobody[SUBJECT_MAX];
};

/* --- nats.c --- */

uint64_t now_ms(const struct platform *p);
void mark_dirty(struct remote *r);
void mark_busy(struct remote *r);
void note_odd(struct platform *p, const char *why);

/* --- remote.c --- */

struct remote *remote_find(struct platform *p, const struct host_id *id);
/* Found or made; NULL: there are too many, or no memory. */
struct remote *remote_get(struct platform *p, const struct host_id *id);
void remote_free(struct remote *r);
int remote_send(struct remote *r, const void *frame, size_t n);
size_t remote_room(struct remote *r);
void remote_hear(struct remote *r, const struct header *h);
/* The server says that it is not there. */
void remote_nobody(struct remote *r);
/* We are connected again: whoever awaits something asks. */
void remote_up(struct remote *r);
void remote_tell_room(struct remote *r);
/* What is to leave at this turn's end. True: there is more, and libnats is full. */
bool remote_flush(struct remote *r);
/* All of it, whatever the window; for the end. */
void remote_flush_all(struct remote *r);
/* Time has passed. False: it awaits nothing any more. */
bool remote_tick(struct remote *r);
void remote_break(struct remote *r, int error, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
