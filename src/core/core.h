/* SPDX-License-Identifier: Apache-2.0 */
/* The core of a daemon: peers that speak HMON, the one dispatch of their queries, and the services behind it.
 *
 * The core knows no service by name: a service gives it operations and roles. Everything here happens on the loop.
 */
#ifndef VIGIA_CORE_CORE_H
#define VIGIA_CORE_CORE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "base/limits.h"
#include "core/call.h"
#include "identity/certificate.h"
#include "identity/context.h"
#include "net/net.h"
#include "proto/id.h"
#include "proto/msg.h"
#include "proto/xml.h"

struct audit;
struct peer;
struct place;
struct speech;
struct chains;
struct channels;
struct lease;
struct joining;
struct links;
struct membership;
struct processes;
struct registered;
struct relay;
struct steps;
struct view;
struct framed;

/* --- who connects: a role says what becomes of its stanzas --- */

struct role {
	const char *name; /* as in <hmon role="..."> */
	unsigned bit;	  /* of enum op_roles: which operations it may ask for */
	/* All but `name` and `bit` may be NULL. Negative: the peer is closed (say why with peer_refuse first). */
	int (*opened)(struct peer *p, const struct msg *hmon);
	int (*stanza)(struct peer *p, const struct msg *stanza); /* no query, no answer: those are seen to */
	int (*answer)(struct peer *p, const struct msg *answer);
	int (*row)(struct peer *p, const struct xml_row *row);
	void (*heard)(struct peer *p);			/* bytes came */
	void (*urgent)(struct peer *p);
	void (*stray)(struct peer *p);			/* urgent bytes came as data; they are out of it */
	void (*drained)(struct peer *p); /* all that was sent is with the kernel */
	void (*closed)(struct peer *p, int error, const char *why); /* free p->owner's ties */
};

struct service {
	const char *name, *doc;
	const struct op *ops; /* ends with one without a noun */
	const struct role *const *roles; /* ends with NULL; may be NULL */
};

struct core_figures {
	uint64_t accepted, refused, stanzas, rows, calls, errors, overflows;
	unsigned peers;
};

enum { CORE_OPERATORS_MAX = 64 };

struct core {
	struct net net;
	struct host_id id;
	char name[64]; /* of the node */
	struct channels *channels;
	struct chains *chains; /* between them */
	struct view *view;
	struct processes *processes;
	struct links *links;
	struct lease *leases;
	struct registered *registered; /* services that programs offer */
	struct buf passing;	       /* a frame on its way */
	struct joining *joining;
	struct steps *steps;	       /* operations on several hosts, under way */
	struct audit *audit;	       /* what is told of all this; NULL: nobody */
	bool leaving;		       /* it is removed from the cluster, and about to end */
	void (*end)(struct core *core); /* asks the daemon to end, soon; set after core_start() */
	struct membership *membership; /* the service's that sees to: */
	/* Where the authority is: makes a token for a newcomer and calls ready, later: token NULL: there is none, for people why. */
	void (*invite)(struct core *core, void (*ready)(void *owner, const char *token, const char *why), void *owner);
	struct place *place;   /* this host's in its cluster; NULL: in none */
	struct settings_change *settings; /* the service's that has this name; NULL: there is none */
	struct orders *orders; /* that users of other hosts have signed; NULL: none so far */
	char realm[32];	       /* within which uids mean the same */
	uid_t operators[CORE_OPERATORS_MAX];
	size_t operators_n;
	bool no_control;       /* other hosts may change nothing here */
	bool trusts_nodes;     /* they say which user asks, and may change what is his */
	bool insecure_control; /* other hosts may change things: for tests, in a network that leads nowhere */
	uint64_t askers, relays; /* so far */
	const struct service *const *services;
	const struct service *const *left_out; /* there are, but not chosen on this host; ends with NULL; NULL: none */
	struct limits limits;
	struct core_figures figures;
	struct peer *peers;
	TAILQ_HEAD(, peer) strangers; /* the oldest first */
	unsigned starved; /* listeners that wait for descriptors */
	int64_t told_starved_ns;
	unsigned left; /* peers, since memory was last given back */
	uv_timer_t tidy;
	void *context; /* of the services' */
};

/* Of the core itself: what services there are, and the role of clients. Channels have theirs (core/channels.h). */
extern const struct service registry_service;
/* Ends what programs offer, what was registered last first; the programs go on. */
void registry_end(struct core *core);

int core_start(struct core *core, uv_loop_t *loop, const struct host_id *id, const char *name, const struct service *const *services,
    const struct limit_values *limits);
/* Says good-bye to every peer; the loop ends when they are gone. */
void core_stop(struct core *core);
/* The service after this one (NULL: the first), those that programs offer last; NULL: no more. */
const struct service *core_next_service(const struct core *core, const struct service *after);
/* The service of those left out that has this operation (verb NULL: that is so called), or NULL; or a role. */
const struct service *core_left_out(const struct core *core, const char *noun, const char *verb);
const struct service *core_left_out_role(const struct core *core, const char *role);
/* Why there is nothing of it: service's name. */
#define NOT_CHOSEN "service %s is not chosen on this host (services in vigia.conf)"
/* The operation, or NULL. */
const struct op *core_op(const struct core *core, const char *noun, const char *verb);

/* --- peers --- */

struct peer {
	struct core *core;
	struct asker asker; /* its uid and address are the connection's */
	struct stream *stream;
	const struct speech *speech; /* NULL until the first byte */
	struct xml *xml;	     /* where it speaks HMON */
	struct framed *framed;	     /* where it speaks frames */
	struct relay *relay;	     /* where it offers services; NULL: none */
	const struct role *role;     /* NULL until it said which; none in frames */
	void *owner; /* the role's */
	void *started; /* of a program that this daemon started: who it is */
	int64_t since_ns; /* monotonic */
	bool local;	/* Unix socket or loopback */
	bool dialled, greeted, closing, doomed;
	bool secure; /* over TLS; who it is: */
	enum context_protocol protocol;
	struct certificate who;
	uv_timer_t *timer;
	uid_t counted;	  /* on whose row of limits it is; LIMITS_NOBODY: on none */
	size_t pending;	  /* bytes that are counted there */
	bool strange;	  /* has not said who it is: */
	TAILQ_ENTRY(peer) strangers;
	int64_t next_query; /* ids of the queries that we ask */
	struct peer *next, **link;
};

/* Takes fd. accepted: waits for the peer's root. */
int peer_accept(struct core *core, int fd, struct peer **ret);
/* We dialled: sends our root. The role is ours to choose: what the other side's stanzas mean to us. */
int peer_dialled(struct core *core, int fd, const struct role *role, const struct msg *greet, void *owner,
    struct peer **ret);
/* The role is content with it: no time limit any more. */
void peer_registered(struct peer *p);
/* Sends a stanza and frees it. */
void peer_send(struct peer *p, struct msg *m);
void peer_send_row(struct peer *p, const struct xml_row *row);
/* Has the table of limits know what waits for all of them now. */
void peers_count_pending(struct core *core);
/* For bytes that are put by hand; counts against the limit at the end of the turn. */
struct buf *peer_out(struct peer *p);
/* <error>, without closing. */
void peer_error(struct peer *p, const char *code, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* <error>, then the connection closes; `closed` is called with this text. Returns -EPROTO for convenience. */
int peer_refuse(struct peer *p, const char *code, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* The same with too-many, as this limit is reached. */
int peer_refuse_limit(struct peer *p, enum limit reached);
/* Closes at once, or after what is pending; `closed` is not called. */
void peer_close(struct peer *p);
void peer_leave(struct peer *p);
/* "n*" against "n1". */
bool pattern_match(const char *pattern, const char *name);
bool pattern_plain(const char *pattern);

#endif
