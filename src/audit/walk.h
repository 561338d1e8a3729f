/* SPDX-License-Identifier: Apache-2.0 */
/* Is the chain whole? Takes the lines of all files in order, and tells where it breaks: a line that was changed, records that
 * are missing, repeated or in another order, files that are missing, or that were cut short. No files here: only lines.
 *
 * After a break it goes on from what the line says of itself, so that one change is told once. Who can write the files can make
 * a chain anew from any place to the end: against that, `expected` is what somebody has written down elsewhere. */
#ifndef VIGIA_AUDIT_WALK_H
#define VIGIA_AUDIT_WALK_H

#include "audit/line.h"

struct audit_walk {
	/* To be set before; may be NULL, 0 and "". */
	void (*fault)(void *data, const char *file, uint64_t line, const char *what);
	void (*note)(void *data, const char *file, uint64_t line, const char *what); /* no break: what there is to know */
	void *data;
	bool part; /* the files before are not looked at: what is said of them holds */
	struct audit_expected {
		uint64_t sequence; /* 0: none */
		const char *hash;
		bool seen; /* private */
	} expected[2];

	/* What came of it. */
	uint64_t files, records, faults;
	uint64_t first, next; /* sequences; next 0: no line yet */
	char host[AUDIT_HOST];
	char hash[AUDIT_HASH]; /* of the last line */
	char last_hash[AUDIT_HASH]; /* of the last record */
	uint64_t torn; /* bytes behind the last newline of the last file */

	/* private */
	char file[32], first_file[32], before_first[AUDIT_HASH];
	uint64_t line;
	bool told_dropped;
};

void audit_walk_file(struct audit_walk *w, const char *name);
/* A whole line, without its newline; longer than AUDIT_LINE_MAX: at least its first AUDIT_LINE_MAX + 1 bytes. */
void audit_walk_line(struct audit_walk *w, const char *line, size_t n);
/* A file, or the rest of one, that can't be read. */
void audit_walk_unreadable(struct audit_walk *w, const char *name, const char *why);
/* n bytes without a newline, at the end of a file. */
void audit_walk_torn(struct audit_walk *w, size_t n);
void audit_walk_end(struct audit_walk *w);

#endif
