/* SPDX-License-Identifier: Apache-2.0 */
/* The map of this room. Daemons dial each other when they have something to say and hang up when idle.
 *
 *   direct.c   the table: what the core calls
 *   remote.c   another host: where it is, what waits for it, dialling, breaks
 *   link.c     one connection: hello, frames, hanging up
 *   hello.c    the messages of links' own
 *
 * A link's way: an accepted one is HEARING for the hello, a dialled one has sent its own and is GREETING; then both are
 * OPEN. Who has said "idle" (or was told and says it back) is LEAVING: it sends nothing more there. When both have said
 * it, each shows the end of its stream, and who sees the other's knows that all it sent was read. Only then does what it
 * sends go over another link: so order holds, whoever dialled, and hanging up loses nothing. Any other end is a break,
 * and a break takes all links of that host with it.
 */
#ifndef VIGIA_PLATFORM_DIRECT_DIRECT_H
#define VIGIA_PLATFORM_DIRECT_DIRECT_H

#include <uv.h>

#include "platform/direct/hello.h"
#include "platform/host.h"
#include "platform/platform.h"

enum {
	LINKS_MAX = 4, /* of one host: both dial at once, while others end */
	STRANGERS_MAX = 1024, /* hosts that called us and of which the core knows no place */
	HELLO_MS = 5000,
	REST_MS = 200, /* after a break, before the next dial */
};

struct platform {
	const struct platform_type *type;
	struct platform_options o;
	char *name;
	uint64_t boot; /* this life */
	struct hosts remotes;
	unsigned handles; /* that the loop still has */
	unsigned strangers;
	struct buf twin; /* who else has this host's id; "" nobody */
	bool closed;
};

enum link_state { LINK_HEARING, LINK_GREETING, LINK_OPEN, LINK_LEAVING, LINK_GONE };

struct link {
	struct platform *platform;
	struct remote *remote; /* HEARING: NULL */
	struct stream *stream;
	struct frame_cutter cutter;
	uv_timer_t timer;
	uint64_t moved_ms; /* when something last came or was put */
	enum link_state state;
	bool carried;	/* something of ours was put there */
	bool dismissed; /* the other said it sends no more */
	bool keep;
	struct buf early; /* what the core had read of it, until the next turn */
	char address[80]; /* for people */
	struct link *next;
};

struct remote {
	struct host host; /* first */
	struct platform *platform;
	char *place; /* NULL: none */
	struct link *links, *out; /* out: where our frames go */
	struct dial *dial;
	struct link *greeting;
	const char *next_address; /* in place, of the dialling under way */
	char address[80];	  /* that is dialled */
	struct buf why;		  /* how the addresses before failed */
	int error;
	uv_timer_t timer; /* runs: resting */
	bool resting, gone;
};

/* --- direct.c --- */

/* The loop is rid of one of our handles. */
void platform_unref(struct platform *p);

/* --- remote.c --- */

struct remote *remote_find(struct platform *p, const struct host_id *id);
/* Found or made; NULL: no memory. */
struct remote *remote_get(struct platform *p, const struct host_id *id);
void remote_place(struct remote *r, const char *addresses);
size_t remote_pending(const struct remote *r);
int remote_send(struct remote *r, const void *frame, size_t n);
size_t remote_room(struct remote *r);
/* Something is different: sends what waits if it can, dials if it must, goes when nobody needs it. */
void remote_settle(struct remote *r);
/* A break: drops links and what waits, tells. */
void remote_break(struct remote *r, int error, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* The other knows of a break that we did not: its older links go, and what waits. remote_tell() follows. */
void remote_reset(struct remote *r, struct link *but);
void remote_tell(struct remote *r, int error, const char *why);
/* The dialled link came to nothing. */
void remote_dial_failed(struct remote *r, int error, const char *why);
void remote_tell_room(struct remote *r);
void remote_free(struct remote *r);

/* --- link.c --- */

/* Take the stream, or fd. */
int link_accept(struct platform *p, struct stream *stream, const void *read, size_t n);
int link_dialled(struct remote *r, int fd, struct link **ret);
/* Is the other side still whom we take it for? */
bool link_is_believed(const struct link *l);
void link_put(struct link *l, const void *bytes, size_t n);
/* Ends it without a word, or with one. */
void link_drop(struct link *l);
void link_finish(struct link *l, const char *code, const char *why);

#endif
