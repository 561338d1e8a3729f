/* SPDX-License-Identifier: Apache-2.0 */
/* The view on disk, so that a daemon that starts again knows the hosts it knew: STATE/view, a line a row (core/view_line.h),
 * the last line about a host counts.
 *
 * Lines are appended by a worker, one at a time, and are on disk a second later; the loop never waits for a disk. The file
 * is put in order when it is opened, when much of it is outdated, and after anything went wrong, which is tried again each
 * few seconds: until then nothing is kept here but that it is to be done. What could not be read is kept beside it, as
 * STATE/view.bad.
 */
#ifndef VIGIA_CORE_VIEW_FILE_H
#define VIGIA_CORE_VIEW_FILE_H

#include <uv.h>

#include "core/view_line.h"

enum { VIEW_FILE_MAX = 64 << 20, VIEW_FILE_SLACK = 1 << 20 /* outdated bytes that may gather beside as many that count */ };

struct view_file;

struct view_file_options {
	uv_loop_t *loop;
	const char *directory;
	void (*put_all)(void *data, struct buf *to); /* every row, as lines */
	void *data;
};

/* Reads the file: `fn` gets each row, older ones of a host before newer ones. Whatever is wrong with it is told by
 * view_file_trouble(). 0 or -ENOMEM. */
int view_file_open(struct view_file **ret, const struct view_file_options *o, view_fn *fn);
/* All rows have been taken: puts the file in order. */
void view_file_begin(struct view_file *f);
/* This row is new. */
void view_file_put(struct view_file *f, const struct view_row *row);
/* What is wrong, for people; 0 when all is well. */
int view_file_trouble(const struct view_file *f, struct buf *ret_what);
/* While the loop runs, and, once it has ended, the rest: what was put is with the kernel then. */
void view_file_stop(struct view_file *f);
void view_file_free(struct view_file *f);

#endif
