/* SPDX-License-Identifier: Apache-2.0 */
/* Calls: operations under way, whoever asked and however it was said.
 *
 * An asker is anybody who may ask: a connection in XML or frames, another host, a service of this daemon. Handlers see
 * the call, and answer it with a struct msg; how that travels is the asker's affair. Everything here happens on the loop.
 */
#ifndef VIGIA_CORE_CALL_H
#define VIGIA_CORE_CALL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/limits.h"
#include "core/op.h"
#include "proto/frame.h"
#include "proto/msg.h"

struct core;
struct peer;
struct asker;

/* --- who asks --- */

struct asker_type {
	/* An answer, borrowed. */
	void (*answer)(struct call *c, const struct msg *m);
	/* The last word; code NULL: it went well. */
	void (*over)(struct call *c, const char *code, const char *text);
	/* For what is made off the loop: an answer as it goes out; how many of n bytes are whole answers, at least one
	 * and else about `most`; and what these made, as it is. */
	void (*encode)(struct buf *out, int64_t id, const struct msg *m);
	size_t (*cut)(const char *bytes, size_t n, size_t most);
	void (*put)(struct call *c, const char *bytes, size_t n);
	/* Whole frames with the call's number: events, losses. */
	void (*frames)(struct call *c, const struct buf *frames);
	/* An answer that came as a frame, under the call's number; NULL: as any other. */
	void (*pass)(struct call *c, const struct frame *f);
	/* Has calls that have more go on at the end of this turn, though nothing was sent. */
	void (*want)(struct asker *a);
	/* How many bytes wait for it to read. */
	size_t (*pending)(const struct asker *a);
	/* More than its share of calls: the asker is refused as a whole. NULL: just this call is. */
	void (*too_many)(struct asker *a, enum limit reached);
	/* Do answers carry the number in the message itself (XML), or beside it? */
	bool number_in_answer;
};

struct asker {
	const struct asker_type *type;
	struct core *core;
	struct peer *peer;	/* the connection, where it is one */
	const char *role;	/* "client"; for people */
	unsigned roles;		/* of enum op_roles */
	uid_t uid;		/* (uid_t)-1: not known */
	bool foreign;		/* asks from another host: uid is that host's word */
	pid_t pid;		/* its process, where that is known */
	uint64_t entity;	/* counted in this daemon, from 1: which asker this is */
	char address[64];	/* for people */
	struct call *calls;
	unsigned calls_n;
};

/* Nobody knows which user it is: it may read. */
bool asker_is_stranger(const struct asker *a);
/* The daemon's own user or root, by this kernel's word. */
bool asker_trusted(const struct asker *a);
/* Whose call it is, by this kernel's word, or by his own signature; and by another daemon's only with core->trusts_nodes (never root) or
 * core->insecure_control. (uid_t)-1: a stranger's. */
uid_t call_uid(const struct call *c);
bool call_is_strangers(const struct call *c);
/* Somebody of this cluster: a user of this host, or one that another host's daemon vouches for. He may read what users may. */
bool call_is_vouched(const struct call *c);
bool call_trusted(const struct call *c);
/* May it do what is for the daemon's own user, root, and where the operation says so for operators? */
bool call_operates(const struct call *c);
bool call_is_of(const struct call *c, uid_t uid);
/* On whose row of limits what is his is: LIMITS_NOBODY for strangers, root and the daemon's own user. */
uid_t uid_counted(uid_t uid);
uid_t asker_counted(const struct asker *a);
bool asker_has_call(const struct asker *a, int64_t id);
/* What was sent has left: goes on with calls that have more. */
void asker_go_on(struct asker *a);
/* Ends its call `id`; false when there is none. */
bool asker_cancel(struct asker *a, int64_t id);
/* The operation that does so: ends the call of its asker that args[0] says. As an operation's run. */
int call_run_cancel(struct call *c);
/* It goes: its calls are over, without an answer. */
void asker_drop_calls(struct asker *a);

/* Answers as frames: what every asker in frames has. */
void frames_encode(struct buf *out, int64_t id, const struct msg *m);
void frames_encode_over(struct buf *out, int64_t id, const char *code, const char *text);
size_t frames_cut(const char *bytes, size_t n, size_t most);

/* --- calls --- */

struct call {
	const struct op *op;
	struct asker *asker;
	struct core *core;
	struct peer *peer; /* asker->peer */
	int64_t id;
	union op_value args[OP_ARGS_MAX]; /* as in op->args; texts live as long as the call */
	void *state;
	struct frame_caller caller; /* who it is for, as his own kernel said */
	int64_t deadline_ms; /* as it was asked; 0: the operation's own */
	bool more, one_way;
	bool answered;
	bool cancelled; /* by its asker */
	bool refused; /* whatever code it ends with */
	bool proven;  /* its user has signed it */
	uint8_t handed_on; /* how often */
	uid_t counted; /* on whose row of limits; LIMITS_NOBODY: on none */
	uint64_t holds; /* one of each of these limits, until it is over */
	uint64_t begun_ms; /* by the loop's clock */
	struct msg *msg;
	struct call *next;
};

/* An answer's element, begun: fill it and call_send() it. */
struct msg *call_answer(struct call *c, const char *name);
/* The same where the call may have gone meanwhile: for a worker that `encode`s. */
struct msg *call_answer_to(const struct asker_type *type, int64_t id, const char *name);
/* Takes m; NULL: nothing. */
void call_send(struct call *c, struct msg *m);
/* As somebody else, who is not believed, answered it: under this call's number, and nothing that ends it. */
void call_pass(struct call *c, struct msg *take_answer);
/* Whole frames with the call's number: events, losses. */
void call_frames(struct call *c, const struct buf *frames);
void call_end(struct call *c);
/* Ends the call with an error; returns -1. */
int call_fail(struct call *c, const char *code, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* The same, as its args[i] can't be what was said: bad-argument, `NOUN.VERB: NAME must be FORMAT, not "WHAT CAME"`. */
int call_fail_arg(struct call *c, int i, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* The same, as the daemon could not: failed, "NOUN.VERB: WHY". r: -errno. */
int call_fail_errno(struct call *c, int r);

enum { CALL_HAND_ON_MAX = 4 };

/* Ends it here, without a word, and asks the same of host `to` (a name or id) in the caller's name and in what is left of his
 * time: for a service that has another server there. Where a host or program asked, its own daemon does so. Fails after an
 * answer, and the fifth time; one-way it may just end. Returns -1. */
int call_hand_on(struct call *c, const char *to);

/* Ends the call with too-many, as this limit is reached; returns -1. */
int call_fail_limit(struct call *c, enum limit reached);
/* Counts one of `what` for its caller until it is over, or fails: then returns -1. At most once of each. */
int call_hold(struct call *c, enum limit what);

/* How much waits for this caller to read. */
size_t call_pending(const struct call *c);

/* Takes a query: finds the operation, checks role, rights and arguments, runs it, or passes it on. Errors go to the asker.
 * `id` is its number for it, which no other call of this asker has. */
struct asked {
	int64_t id;
	bool one_way;
	const char *to;	     /* a host's name or id; "": this one */
	int64_t deadline_ms; /* 0: the operation's own; refused beyond FRAME_DEADLINE_MAX_MS */
	struct frame_caller caller; /* for whom; not given: for the asker itself */
};

void dispatch(struct asker *a, const struct asked *asked, struct msg *take_query);

#endif
