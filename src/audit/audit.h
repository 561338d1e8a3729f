/* SPDX-License-Identifier: Apache-2.0 */
/* The audit log: what was changed, refused and by whom, in lines that are only ever appended (audit/line.h), chained by hashes
 * over all files (audit/walk.h says how that is checked), in a directory of the daemon's alone. Decision 0019.
 *
 * Putting never waits: a worker writes what the loop put, in order, and has it on disk before it takes more. What can't be
 * written waits in memory, AUDIT_QUEUE bytes at most; what becomes of changes then is the admin's choice. Nothing is lost
 * without being counted. Everything here happens on the loop. */
#ifndef VIGIA_AUDIT_AUDIT_H
#define VIGIA_AUDIT_AUDIT_H

#include <uv.h>

#include "audit/files.h"
#include "audit/rates.h"

enum { AUDIT_QUEUE = 4 << 20 };

enum audit_unwritable {
	AUDIT_HOLD,   /* records wait in memory; once that is full, changes are refused */
	AUDIT_REFUSE, /* changes are refused as long as the log can't be written */
	AUDIT_GO_ON,  /* changes go on, and what could not be recorded is counted */
};

struct audit;

struct audit_options {
	struct audit_files_options files;
	enum audit_unwritable unwritable;
	struct audit_pace changes; /* of one user */
};

/* Whatever is wrong with its files is told by audit_trouble(). 0 or -ENOMEM. */
int audit_open(struct audit **ret, uv_loop_t *loop, const struct audit_options *o);
void audit_configure(struct audit *a, const struct audit_options *o);
/* May one more of this kind be told of who r names? If not, it has been counted, and the log will say how many they were. */
bool audit_takes(struct audit *a, const struct audit_record *who, enum audit_kind kind);
/* What it takes. Borrowed; r->sequence and r->hash are not read. */
void audit_put(struct audit *a, const struct audit_record *r, enum audit_kind kind);
/* May he whom r names change something? -EAGAIN: he has changed too much for now; -EIO: the log can't take it; with
 * why. `trusted`: as much as he likes. */
int audit_may_change(struct audit *a, const struct audit_record *r, bool trusted, struct buf *why);
/* What is wrong, for people; 0 when all is well. */
int audit_trouble(const struct audit *a, struct buf *ret_what);
const char *audit_directory(const struct audit *a);
/* What is on disk: what a reader can find there for sure. */
void audit_written(const struct audit *a, struct audit_end *ret);
/* While the loop runs, and, once it has ended, the rest: then all that was put is with the kernel, or lost. */
void audit_stop(struct audit *a);
void audit_free(struct audit *a);

#endif
