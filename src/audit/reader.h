/* SPDX-License-Identifier: Apache-2.0 */
/* The files of the audit log, DIRECTORY/NNNNNNNN.log, read line by line in their order, by anybody who may, while the daemon
 * writes on. Waits for the disk: for workers and programs. */
#ifndef VIGIA_AUDIT_READER_H
#define VIGIA_AUDIT_READER_H

#include <sys/types.h>

#include "audit/walk.h"

/* The numbers of the files that are there, in order; *ret is freed by the caller. 0 or negative errno. */
int audit_files_in(int directory, uint32_t **ret, size_t *ret_n);
void audit_file_name(uint32_t number, char ret[32]);

/* Where the log ended once. */
struct audit_end {
	uint32_t file; /* 0: nowhere yet */
	int64_t size;
	uint64_t sequence; /* of the last record, and its hash; 0: there is none yet */
	char hash[AUDIT_HASH];
};

struct audit_reader;

enum audit_piece { AUDIT_NO_MORE, AUDIT_FILE, AUDIT_LINE, AUDIT_TORN };

/* end: no further than that; NULL: all there is. -ENOENT: no such directory. */
int audit_reader_open(struct audit_reader **ret, const char *directory, const struct audit_end *end);
void audit_reader_close(struct audit_reader *r);
/* A file begins, a line of it (borrowed until the next call; of one that is too long its beginning), or what is behind its
 * last newline. Negative errno: this file can't be read on; the next call is about the next one. */
int audit_reader_next(struct audit_reader *r, const char **ret_line, size_t *ret_n);
/* Which file, and which line of it. */
const char *audit_reader_file(const struct audit_reader *r);
uint64_t audit_reader_line(const struct audit_reader *r);
/* Before the first piece: this file alone. */
void audit_reader_only(struct audit_reader *r, uint32_t number);
/* What the anchor of a file says; its texts are in `line`, of AUDIT_LINE_MAX + 1 bytes. 0 or negative errno. */
int audit_reader_anchor(int directory, uint32_t number, char *line, struct audit_anchor *ret);
/* Leaves out the files whose last record was before that time. */
void audit_reader_skip(struct audit_reader *r, int64_t before_ns);

/* Walks all of it, to `end`, which takes the second place of what is expected: 0, or negative errno where the directory
 * can't be read; files that can't are faults. -EAGAIN: the oldest file was dropped meanwhile: once more, with a fresh walk
 * and a new end. */
int audit_verify(const char *directory, const struct audit_end *end, struct audit_walk *w);

#endif
