/* SPDX-License-Identifier: Apache-2.0 */
/* A record of the audit log as a line of text, and back; and the hash that chains it to the line before.
 *
 *   SEQUENCE TIME UID PID HOST HOW ADDRESS NOUN.VERB RESULT[:CODE] [NAME="VALUE"...] HASH
 *
 * "-" stands for what is not known. HASH is the SHA-256 of the hash of the line before, a space, and this line up to the
 * space before HASH. The first line of each file is an anchor:
 *
 *   anchor 1 SEQUENCE TIME HOST BEFORE PREVIOUS HASH
 *
 * where SEQUENCE is that of the next record, PREVIOUS the hash of the last line of the file before, and BEFORE what that file
 * was found to be. Before the first file of all PREVIOUS is the SHA-256 of "vigia-audit-1 HOST". */
#ifndef VIGIA_AUDIT_LINE_H
#define VIGIA_AUDIT_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

enum {
	AUDIT_HASH = 65, /* with the end */
	AUDIT_HOST = 33,
	AUDIT_VALUE_MAX = 96, /* of one argument, escaped */
	AUDIT_ARGS_MAX = 800, /* of all */
	AUDIT_LINE_MAX = 1792, /* without its newline */
};

#define AUDIT_NOBODY UINT32_MAX /* a uid that is not known */

/* How it is known who it was. Other words may come. */
#define AUDIT_BY_KERNEL "kernel"   /* this host's kernel says so */
#define AUDIT_BY_HOST "host"       /* another host's daemon vouches for him */
#define AUDIT_BY_SIGNATURE "signature" /* his own key */
#define AUDIT_BY_CERTIFICATE "certificate" /* that of a program that came by network */
#define AUDIT_BY_NOTHING "nothing" /* whoever it was came by network */
#define AUDIT_ITSELF "itself"      /* the daemon */

struct audit_record {
	uint64_t sequence;
	int64_t time_ns; /* since 1970 */
	uint32_t uid, pid; /* pid 0: not known */
	const char *host, *how, *address; /* "": not known */
	const char *what; /* NOUN.VERB */
	const char *result, *code; /* "done"; "failed" and why, else "" */
	const char *args; /* as audit_put_arg() puts them */
	const char *hash; /* in what was read */
};

struct audit_anchor {
	uint64_t sequence;
	int64_t time_ns;
	const char *host, *before, *previous, *hash;
};

/* NAME="VALUE" behind what is there, made harmless and cut to AUDIT_VALUE_MAX; what goes beyond AUDIT_ARGS_MAX ends in
 * "...". */
void audit_put_arg(struct buf *args, const char *name, const char *value, size_t n);
/* Without sequence, hash and newline. What does not fit a word of its kind has its bytes replaced by '?'. */
void audit_put_record(struct buf *to, const struct audit_record *r);
/* The same of an anchor, from "anchor" to PREVIOUS. */
void audit_put_anchor(struct buf *to, const struct audit_anchor *a);
/* "2026-11-23T09:15:24.123456789Z". */
void audit_put_time(struct buf *to, int64_t time_ns);

/* A line without its newline, which is cut up: the texts are in it. 0, or -EINVAL with what was expected. What they take is
 * what would be put, to the byte. */
int audit_get_record(char *line, struct audit_record *ret, const char **ret_why);
int audit_get_anchor(char *line, struct audit_anchor *ret, const char **ret_why);
bool audit_is_anchor(const char *line);

/* Of these n bytes behind a line whose hash is `previous`, which may be ret. 0, -E2BIG or -ENOMEM. */
int audit_hash(const char *previous, const char *bytes, size_t n, char ret[AUDIT_HASH]);
/* What is PREVIOUS on a host before anything was recorded. */
int audit_first_hash(const char *host, char ret[AUDIT_HASH]);

#endif
