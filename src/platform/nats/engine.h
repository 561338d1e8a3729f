/* SPDX-License-Identifier: Apache-2.0 */
/* libnats on our loop: the only file that knows it is engine.c.
 *
 * libnats lets a loop of another's poll its socket, so that what comes is read, and what leaves is written, by the loop's
 * own thread: no other thread touches a message. Connecting waits, so it runs on libuv's workers; a connection that is
 * lost is made anew by us, not by libnats, which would hold its lock for as long as a connect takes, and with it
 * whoever publishes meanwhile (decision 0012). What libnats says on a thread of its own comes over by uv_async_send.
 */
#ifndef VIGIA_PLATFORM_NATS_ENGINE_H
#define VIGIA_PLATFORM_NATS_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#include "base/buf.h"

struct engine;

struct engine_events {
	void (*up)(void *owner); /* connected; what is published to us from now on comes */
	void (*down)(void *owner);
	void (*came)(void *owner, const char *subject, const void *bytes, size_t n);
	void (*nobody)(void *owner, const char *subject); /* nobody heard what asked for an answer there */
	void (*writable)(void *owner); /* what was published is with the kernel */
};

struct engine_options {
	uv_loop_t *loop;
	const char *servers; /* commas between */
	const char *name;    /* of the client, for the server's administrator */
	const char *inbox, *nobody; /* subjects that we hear */
	int64_t dead_ns;
	int64_t payload_least; /* bytes that the server must take in one message */
	const struct engine_events *events;
	void *owner;
};

/* Connects, again and again. The texts are copied. -EINVAL, -EPROTONOSUPPORT with why; -ENOMEM. */
int engine_new(struct engine **ret, const struct engine_options *options, struct buf *why);
/* What is published still leaves, for 1 s; no event comes any more. `closed` is called when the loop is rid of it. */
void engine_close(struct engine *e, void (*closed)(void *owner));

bool engine_is_up(const struct engine *e);
/* Since when, on the loop's clock; how long ago the server was last heard. */
uint64_t engine_up_ms(const struct engine *e);
uint64_t engine_silent_ms(const struct engine *e);
/* It does not answer: connects anew. */
void engine_cut(struct engine *e, const char *why);
/* Why it is not up. */
const char *engine_why(const struct engine *e);

/* Puts a message; it leaves with engine_flush(). answer_to: where it is said that nobody heard it; NULL. What fails is
 * lost, as anything may be. */
void engine_publish(struct engine *e, const char *subject, const char *answer_to, const void *bytes, size_t n);
void engine_flush(struct engine *e);
size_t engine_pending(const struct engine *e);

#endif
