/* SPDX-License-Identifier: Apache-2.0 */
/* The files of the audit log, written: DIRECTORY (0700), NNNNNNNN.log (0600), each with an anchor first. Only ever appended
 * to: a write that failed halfway is gone on with, byte by byte, and a file that a power cut tore is left as it is and another
 * one begun. Waits for the disk: for one thread at a time. */
#ifndef VIGIA_AUDIT_FILES_H
#define VIGIA_AUDIT_FILES_H

#include "audit/reader.h"

struct audit_files;

struct audit_files_options {
	const char *directory; /* made where it is missing */
	const char *host; /* the id, 32 hexadecimal digits */
	int64_t file_size; /* at which the next one is begun */
	unsigned files; /* so many are kept; 0: all. At least 2 */
};

/* Finds where the log ended. `found` gets a line of what was wrong there, if anything, `noted` of what a power cut does.
 * What can't be read or made now is tried again with the next write. 0 or -ENOMEM. */
int audit_files_open(struct audit_files **ret, const struct audit_files_options *o, struct buf *found,
    struct buf *noted);
void audit_files_close(struct audit_files *f);
/* From the next write on; the directory and host stay. */
void audit_files_configure(struct audit_files *f, int64_t file_size, unsigned files);
/* Lines as audit_put_record() puts them, each with its newline. Those that are taken are out of `lines`, on their way in
 * this order, whatever comes. 0: all are, and on disk; negative errno: call again later, also without lines, and `why` says
 * what failed. */
int audit_files_write(struct audit_files *f, struct buf *lines, struct buf *why);
/* What is with the kernel. */
void audit_files_end(const struct audit_files *f, struct audit_end *ret);

#endif
