/* SPDX-License-Identifier: Apache-2.0 */
/* What carries messages between hosts, and nothing else: the core above can't tell one from the other.
 *
 * A message is one frame (docs/frames.md), opaque here. What one host sends another arrives in order and once, or
 * `lost` says that some of it may not have: then both sides begin anew (calls under way fail, subscriptions go on from
 * the last sequence they saw). Sending never waits: what is not gone yet is pending, and who has more asks for room first.
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

struct platform; /* each type's own; begins with its const struct platform_type * */

struct platform_events {
	/* A whole frame, borrowed. `from` is who the platform says it is, never what a message says. */
	void (*received)(void *owner, const struct host_id *from, const void *frame, size_t n);
	/* Something to or from this host may have got lost, or it can't be reached: why is for people. Comes once for each
	 * break; sending again tries again. */
	void (*lost)(void *owner, const struct host_id *host, int error, const char *why);
	/* There is room again for who asked and found too little. */
	void (*room)(void *owner, const struct host_id *host);
};

struct platform_options {
	struct net *net;
	struct host_id self;
	const char *name;	/* of this host, for hellos and logs */
	int64_t idle_ns;	/* a link that carried nothing for so long is hung up */
	size_t pending_most;	/* bytes that may wait for one host */
	const char *server;	/* where a platform has servers: nats://HOST:PORT */
	const char *cluster;	/* which of several on one server */
	const struct platform_events *events;
	void *owner;
};

/* One a folder below src/platform, a const table. Errors: negative errno with `why` for people where there is one. */
struct platform_type {
	const char *name, *doc;
	int (*open)(struct platform **ret, const struct platform_options *options, struct buf *why);
	/* What is pending may still leave, for 1 s; no event comes any more. */
	void (*close)(struct platform *p);
	/* Where a host is reached, as the core learned it ("" forgets): HOST:PORT, several with a space between. */
	void (*place)(struct platform *p, const struct host_id *host, const char *addresses);
	/* Queues one frame. -EHOSTUNREACH: it has no place; -ENOBUFS: more than pending_most waits. What goes wrong later
	 * comes as `lost`. */
	int (*send)(struct platform *p, const struct host_id *to, const void *frame, size_t n);
	/* How many bytes can be queued for this host now; when 0 or less than the caller wants, `room` comes later. */
	size_t (*room)(struct platform *p, const struct host_id *to);
	/* A connection that began with the preface on this daemon's port, and whose hello names a host: the platform takes
	 * fd and what was read of it already. NULL where hosts don't connect to each other. */
	int (*accepted)(struct platform *p, int fd, const void *read, size_t n);
	/* What is wrong with it as a whole, for `vigia status`; 0 when all is well. */
	int (*trouble)(struct platform *p, struct buf *ret_what);
};

extern const struct platform_type platform_direct;

#endif
