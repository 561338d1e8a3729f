/* SPDX-License-Identifier: Apache-2.0 */
/* What carries messages between hosts, and nothing else: the core above can't tell one from the other.
 *
 * A message is one frame (docs/frames.md), opaque here. What one host sends another arrives in order and once, or
 * `lost` says that some of it may not have: then both sides begin anew (calls under way fail, subscriptions go on from
 * the last sequence they saw). One break is told once on each side that lives, before anything that was sent after it.
 * Sending never waits: what is not gone yet is pending, and who has more asks for room first.
 * Local clients are no platform's affair: they come over this machine's socket, whatever carries between hosts.
 */
#ifndef VIGIA_PLATFORM_PLATFORM_H
#define VIGIA_PLATFORM_PLATFORM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "net/net.h"
#include "proto/id.h"

struct place;
struct platform; /* each type's own; begins with its const struct platform_type * */

/* They come from the loop, never from within a call of the functions below; each of these may be called in them. */
struct platform_events {
	/* A whole frame, borrowed. `from` is who the platform says it is, never what a message says. */
	void (*received)(void *owner, const struct host_id *from, const void *frame, size_t n);
	/* Something to or from this host may have got lost, or it can't be reached: why is for people. Comes once for each
	 * break; what was pending is dropped; sending again tries again. */
	void (*lost)(void *owner, const struct host_id *host, int error, const char *why);
	/* There is room again for who asked and found too little. */
	void (*room)(void *owner, const struct host_id *host);
};

struct platform_options {
	struct net *net;
	struct host_id self;
	const char *name;	/* of this host, for hellos and logs */
	int64_t idle_ns;	/* a link that carried nothing for so long is hung up */
	int64_t dead_ns;	/* what the other side has not taken after so long is lost; 0: 20 s */
	size_t pending_most;	/* bytes that may wait for one host */
	const char *server;	/* where a platform has servers: nats://HOST:PORT, several with a comma between */
	const char *cluster;	/* which of several on one server */
	struct place *place;	/* this host's in its cluster: links are over TLS; NULL: plain */
	const struct platform_events *events;
	void *owner;
};

/* One a folder below src/platform, a const table. Errors: negative errno with `why` for people where there is one. */
struct platform_type {
	const char *name, *doc;
	const char *version; /* of Vigia: a module of another build is refused */
	/* Does not wait for a server. The options' texts are copied. */
	int (*open)(struct platform **ret, const struct platform_options *options, struct buf *why);
	/* What is pending may still leave, for 1 s; no event comes any more. */
	void (*close)(struct platform *p);
	/* Where a host is reached, as the core learned it ("" forgets): HOST:PORT, several with a space between; and its name,
	 * for people ("": not known). */
	void (*place)(struct platform *p, const struct host_id *host, const char *name, const char *addresses);
	/* Queues one frame. -EHOSTUNREACH: it has no place; -ENOBUFS: it would make more than pending_most wait (when nothing
	 * waits, any frame is taken). What goes wrong later comes as `lost`. */
	int (*send)(struct platform *p, const struct host_id *to, const void *frame, size_t n);
	/* How many bytes can be queued for this host now; when 0 or less than the caller wants, `room` comes later. */
	size_t (*room)(struct platform *p, const struct host_id *to);
	/* A connection that began with the preface on this daemon's port, and whose hello names a host: the platform takes
	 * the stream, whatever it answers, and what was read of it already, from its first byte on. May be called within that
	 * stream's events. NULL where hosts don't connect to each other. */
	int (*accepted)(struct platform *p, struct stream *stream, const void *read, size_t n);
	/* This host's place is another, or there is news of whom to believe: who is not any more is hung up on. NULL: no need. */
	void (*judge)(struct platform *p, struct place *place);
	/* What is wrong with it as a whole, for `vigia status`; 0 when all is well, else negative errno. */
	int (*trouble)(struct platform *p, struct buf *ret_what);
};

extern const struct platform_type platform_direct;

/* The type of this name: our own, or from the module platform-NAME.so in `dir`, which stays loaded. -ENOENT: there is
 * none; -ELIBACC: it can't be loaded; -ELIBBAD: it is no such module, or another version's. */
int platform_find(const struct platform_type **ret, const char *name, const char *dir, struct buf *why);

#endif
