/* SPDX-License-Identifier: Apache-2.0 */
/* Operations, described once: a const table a service. The dispatch, argument checks, rights, help, completion and
 * the manual are made from it.
 *
 * An operation is asked as a query whose element is its noun and whose `query` is its verb (docs/hmon.md).
 */
#ifndef VIGIA_CORE_OP_H
#define VIGIA_CORE_OP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct call;
struct msg;

enum op_type {
	OP_NAME,     /* a node, monitor or metric */
	OP_PATTERN,  /* the same with * and ?; absent: "*" */
	OP_TEXT,
	OP_INTEGER,  /* from 0 */
	OP_DURATION, /* on the wire milliseconds, here ns */
	OP_TIME,     /* ns since 1970 */
	OP_FLAG,
	OP_BYTES,    /* opaque; in XML base64 */
	OP_WORDS,    /* children with the argument's name, in order, their texts the words */
	OP_SIZE,     /* bytes, from 0 */
	OP_SPAN,     /* ns, from 0; what people write is an OP_DURATION */
};

struct op_arg {
	const char *name;
	enum op_type type;
	const char *doc;
	bool required;
	int64_t fallback; /* of numbers */
	bool secret; /* neither kept nor shown */
};

/* Of an answer: for who shows it, and for typed clients. */
struct op_field {
	const char *name;
	enum op_type type;
	const char *doc;
};

enum op_flags {
	OP_READS = 0,
	OP_CHANGES = 1, /* only for the daemon's own user and root, on its own socket */
	OP_STREAMS = 2, /* goes on until cancelled */
	OP_PRIVATE = 8, /* not from other hosts */
	OP_TRUSTED = 16, /* for those alone who may change things, though it reads */
	OP_TRAFFIC = 32, /* of what acts: moves what programs send each other, and is recorded in samples */
	OP_OPERATES = 64, /* of these: also for this host's operators */
	OP_ACTS = 4,	/* changes what is the caller's own: the operation itself checks whose. Not from other hosts */
};

enum op_roles { ROLE_CLIENT = 1, ROLE_NODE = 2, ROLE_MONITOR = 4, ROLE_MASTER = 8, ROLE_NEWCOMER = 16 /* has only a token */ };

enum { OP_ARGS_MAX = 10, OP_FIELDS_MAX = 32 };

/* What run and more return; negative: the call has failed and call_fail() has said why. */
enum { CALL_DONE, CALL_MORE, CALL_LATER };

struct op {
	const char *noun, *verb, *doc;
	unsigned flags, roles;
	struct op_arg args[OP_ARGS_MAX]; /* ends with a nameless one */
	/* Answers with call_send(). CALL_MORE: call `more` when what was sent has left; CALL_LATER: call_end() or
	 * call_fail() will be called in time, or it goes on until cancelled. */
	int (*run)(struct call *c);
	int (*more)(struct call *c);
	/* Frees c->state; called once when the call is over, however it ended. May be NULL. */
	void (*over)(struct call *c);
	/* All that its answers may have, also where they are of several kinds; ends with a nameless one. NULL: it answers
	 * nothing, or what docs/hmon.md tells. */
	const struct op_field *fields;
	void *owner; /* of a service that a program registered: that */
};

union op_value {
	const char *text;
	int64_t number;
	struct {
		const uint8_t *bytes;
		size_t n;
	};
	const struct msg *words; /* the first; NULL: none */
};

#endif
