/* SPDX-License-Identifier: Apache-2.0 */
#include "audit/files.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/clock.h"
#include "os/paths.h"

enum { LEAST = 2 * (AUDIT_LINE_MAX + 1) /* bytes of a file: its anchor, and a record */ };

struct audit_files {
	char *path, host[AUDIT_HOST];
	int64_t file_size;
	unsigned keep;
	int directory, fd; /* -1: not open */
	bool found; /* where the log ended is known */
	char before[32]; /* what the next anchor says of the file before */
	struct audit_end end; /* with the kernel */
	struct audit_end made; /* with `out` */
	uint64_t next;
	char hash[AUDIT_HASH]; /* of the last line made */
	struct buf out; /* made, and not yet with the kernel */
	bool anchored, unsynced, new_name, to_drop;
	uint32_t told; /* the last file that a record says was dropped */
};

/* --- where it ended --- */

static void on_fault(void *data, const char *file, uint64_t line, const char *what)
{
	struct buf *said = data;
	if (!said->len)
		buf_putf(said, "%s:%" PRIu64 ": %s", file, line, what);
}

/* One file alone: is anything in it, and what does it end with? */
static int walk_file(struct audit_files *f, uint32_t number, struct audit_walk *w, struct audit_end *end)
{
	char name[32];
	const char *line = NULL;
	struct audit_reader *r;
	size_t n = 0;
	int piece, e = audit_reader_open(&r, f->path, NULL);
	if (e)
		return e;
	audit_file_name(number, name);
	audit_reader_only(r, number);
	end->size = 0;
	while ((piece = audit_reader_next(r, &line, &n)) > 0) {
		if (piece == AUDIT_FILE)
			audit_walk_file(w, name);
		else if (piece == AUDIT_LINE)
			audit_walk_line(w, line, n), end->size += (int64_t)n + 1;
		else
			audit_walk_torn(w, n);
	}
	audit_reader_close(r);
	return piece;
}

static void take_end(struct audit_files *f, const struct audit_walk *w)
{
	f->next = w->next;
	memcpy(f->hash, w->hash, sizeof f->hash);
	if (w->records) {
		f->end.sequence = w->next - 1;
		memcpy(f->end.hash, w->last_hash, sizeof f->end.hash);
	}
}

/* It goes on in the file it ended in only when nothing is wrong with that. */
static int reopen(struct audit_files *f, uint32_t number, int64_t size)
{
	char name[32];
	struct stat st;
	audit_file_name(number, name);
	int fd = openat(f->directory, name, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) || st.st_size != size || st.st_uid != geteuid() || (st.st_mode & 0777) != 0600) {
		close(fd);
		return -EPERM;
	}
	f->fd = fd;
	f->end.size = size;
	f->anchored = f->to_drop = true;
	return 0;
}

static void begin_of_all(struct audit_files *f)
{
	f->next = 1;
	audit_first_hash(f->host, f->hash);
	strcpy(f->before, "first");
}

static void say_torn(struct audit_files *f, uint64_t torn, struct buf *noted)
{
	snprintf(f->before, sizeof f->before, "torn:%" PRIu64, torn);
	buf_putf(noted, "%08u.log ends within a line of %" PRIu64 " bytes, as a power cut leaves it; a new file is begun",
	    (unsigned)f->end.file, torn);
}

static void say_other(struct audit_files *f, struct buf *found)
{
	strcpy(f->before, "broken");
	buf_putf(found, "%08u.log has another owner, mode or size than was left; a new file is begun", (unsigned)f->end.file);
}

/* The last file, unless nothing whole is in it: then it was just begun, and an earlier one says how the log goes on. */
static int find_end(struct audit_files *f, const uint32_t *numbers, size_t n, struct buf *found, struct buf *noted)
{
	struct audit_walk w = {.fault = on_fault, .data = found, .part = true};
	struct audit_end end = {0};
	int r = n ? walk_file(f, numbers[n - 1], &w, &end) : 0;
	bool in_last = w.next, whole;
	uint64_t torn = w.torn;
	for (size_t at = n; !r && !w.next && at > 1; at--)
		r = walk_file(f, numbers[at - 2], &w, &end);
	f->end.file = n ? numbers[n - 1] : 0;
	if (r)
		return r;
	if (!w.next) {
		begin_of_all(f);
		if (torn)
			say_torn(f, torn, noted);
		return 0;
	}
	take_end(f, &w);
	if (strcmp(w.host, f->host) && !found->len)
		buf_putf(found, "%s is the audit log of another host, %s", f->path, w.host);
	whole = !found->len && !torn;
	strcpy(f->before, found->len ? "broken" : "whole");
	if (torn)
		say_torn(f, torn, noted);
	else if (whole && in_last && reopen(f, numbers[n - 1], end.size))
		say_other(f, found);
	return 0;
}

static int open_directory(struct audit_files *f, struct buf *why)
{
	struct stat st;
	int r = paths_make(f->path, why);
	if (r)
		return r;
	f->directory = open(f->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (f->directory < 0 || fstat(f->directory, &st))
		return -errno;
	if (st.st_uid == geteuid() && (st.st_mode & 0777) == 0700)
		return 0;
	buf_putf(why, "%s: must be its owner's alone, mode 0700", f->path);
	close(f->directory);
	f->directory = -1;
	return -EPERM;
}

static int find(struct audit_files *f, struct buf *found, struct buf *noted, struct buf *why)
{
	uint32_t *numbers = NULL;
	size_t n = 0;
	int r = f->directory < 0 ? open_directory(f, why) : 0;
	if (!r)
		r = audit_files_in(f->directory, &numbers, &n);
	if (!r)
		r = find_end(f, numbers, n, found, noted);
	free(numbers);
	f->found = !r;
	f->made = f->end;
	return r;
}

int audit_files_open(struct audit_files **ret, const struct audit_files_options *o, struct buf *found,
    struct buf *noted)
{
	struct audit_files *f = calloc(1, sizeof *f);
	struct buf why = BUF_INIT;
	if (!f || !(f->path = strdup(o->directory))) {
		free(f);
		return -ENOMEM;
	}
	snprintf(f->host, sizeof f->host, "%s", o->host);
	f->directory = f->fd = -1;
	audit_files_configure(f, o->file_size, o->files);
	find(f, found, noted, &why);
	buf_release(&why);
	*ret = f;
	return 0;
}

void audit_files_configure(struct audit_files *f, int64_t file_size, unsigned files)
{
	f->file_size = file_size < LEAST ? LEAST : file_size;
	f->keep = files == 1 ? 2 : files;
}

void audit_files_close(struct audit_files *f)
{
	if (!f)
		return;
	if (f->fd >= 0)
		close(f->fd);
	if (f->directory >= 0)
		close(f->directory);
	buf_release(&f->out);
	free(f->path);
	free(f);
}

void audit_files_end(const struct audit_files *f, struct audit_end *ret)
{
	*ret = f->end;
}

/* --- lines --- */

/* What stands behind `from` in out is a line without its hash; it is taken back where it gets none. */
static int chain(struct audit_files *f, size_t from)
{
	int r = audit_hash(f->hash, f->out.data + from, f->out.len - from, f->hash);
	if (!r)
		buf_putf(&f->out, " %s\n", f->hash);
	else
		f->out.len = from;
	return r;
}

/* What is in it already stays, and can be written. */
static bool has_room(struct audit_files *f)
{
	bool room = buf_reserve(&f->out, AUDIT_LINE_MAX + 64);
	f->out.failed = false;
	return room;
}

static int put_record(struct audit_files *f, const char *line, size_t n)
{
	size_t from = f->out.len;
	if (!has_room(f))
		return -ENOMEM;
	buf_putf(&f->out, "%" PRIu64 " ", f->next);
	buf_put(&f->out, line, n);
	int r = chain(f, from);
	if (r)
		return r;
	f->made.sequence = f->next++;
	memcpy(f->made.hash, f->hash, sizeof f->hash);
	return 0;
}

static int put_anchor(struct audit_files *f)
{
	struct audit_anchor a = {.sequence = f->next, .time_ns = clock_wall_ns(), .host = f->host, .before = f->before,
	    .previous = f->hash};
	size_t from = f->out.len;
	if (!has_room(f))
		return -ENOMEM;
	audit_put_anchor(&f->out, &a);
	return chain(f, from);
}

/* --- with the kernel --- */

/* Somebody else took it away, cut it or wrote in it. */
static int check_untouched(struct audit_files *f, struct buf *why)
{
	struct stat st;
	if (fstat(f->fd, &st))
		return -errno;
	if (st.st_nlink && st.st_size == f->end.size)
		return 0;
	buf_putf(why, "%s/%08u.log was %s by somebody else", f->path, (unsigned)f->end.file,
	    !st.st_nlink ? "removed" : "changed");
	return -ESTALE;
}

static int flush(struct audit_files *f, struct buf *why)
{
	while (f->out.len) {
		ssize_t n = write(f->fd, f->out.data, f->out.len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		f->end.size += n;
		f->unsynced = true;
		buf_consume(&f->out, (size_t)n);
	}
	f->end.sequence = f->made.sequence;
	memcpy(f->end.hash, f->made.hash, sizeof f->end.hash);
	return 0;
}

static int sync_all(struct audit_files *f)
{
	if (f->unsynced && fdatasync(f->fd))
		return -errno;
	f->unsynced = false;
	if (f->new_name && fsync(f->directory))
		return -errno;
	f->new_name = false;
	return 0;
}

/* --- one file after the other --- */

static void leave_file(struct audit_files *f, const char *before)
{
	close(f->fd);
	f->fd = -1;
	f->unsynced = false;
	strcpy(f->before, before);
}

/* Names its last record and hash: who reads what is left sees that it went by rule. */
static int tell_dropped(struct audit_files *f, uint32_t number, const struct audit_anchor *after)
{
	char name[32], until[32];
	struct buf args = BUF_INIT, line = BUF_INIT;
	audit_file_name(number, name);
	snprintf(until, sizeof until, "%" PRIu64, after->sequence - 1);
	audit_put_arg(&args, "file", name, strlen(name));
	audit_put_arg(&args, "until", until, strlen(until));
	audit_put_arg(&args, "last", after->previous, strlen(after->previous));
	struct audit_record r = {.time_ns = clock_wall_ns(), .uid = geteuid(), .pid = (uint32_t)getpid(), .host = f->host,
	    .how = AUDIT_ITSELF, .address = "", .what = "audit.drop", .result = "done", .code = "", .args = buf_str(&args)};
	audit_put_record(&line, &r);
	int e = args.failed || line.failed ? -ENOMEM : put_record(f, line.data, line.len);
	buf_release(&args);
	buf_release(&line);
	return e;
}

static int drop(struct audit_files *f, uint32_t number, uint32_t next, struct buf *why)
{
	char name[32], line[AUDIT_LINE_MAX + 1];
	struct audit_anchor after;
	int r = f->told >= number || audit_reader_anchor(f->directory, next, line, &after) ? 0 : tell_dropped(f, number, &after);
	if (!r)
		f->told = number;
	if (!r)
		r = flush(f, why);
	if (!r)
		r = sync_all(f);
	audit_file_name(number, name);
	return r ? r : unlinkat(f->directory, name, 0) && errno != ENOENT ? -errno : 0;
}

static int drop_oldest(struct audit_files *f, struct buf *why)
{
	uint32_t *numbers = NULL;
	size_t n = 0;
	int r = f->keep ? audit_files_in(f->directory, &numbers, &n) : 0;
	for (size_t i = 0; !r && i + f->keep < n; i++)
		r = drop(f, numbers[i], numbers[i + 1], why);
	free(numbers);
	f->to_drop = r;
	return r;
}

static int create(struct audit_files *f)
{
	char name[32];
	audit_file_name(f->end.file + 1, name);
	int fd = openat(f->directory, name, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 && errno != EEXIST)
		return -errno;
	f->end.file++; /* one that is there already is not ours, and stays */
	if (fd < 0)
		return -EEXIST;
	f->fd = fd;
	f->end.size = 0;
	f->new_name = f->to_drop = true;
	f->anchored = false;
	return 0;
}

static int begin_file(struct audit_files *f)
{
	int r = f->fd < 0 ? create(f) : 0;
	if (!r && !f->anchored)
		r = put_anchor(f);
	f->anchored = !r;
	return r;
}

/* --- writing --- */

static bool is_full(const struct audit_files *f)
{
	return f->end.size + (int64_t)f->out.len >= f->file_size;
}

static int take_lines(struct audit_files *f, struct buf *lines)
{
	const char *from = lines->data, *end = lines->data + lines->len, *newline;
	int r = 0;
	while (!r && !is_full(f) && (newline = memchr(from, '\n', (size_t)(end - from)))) {
		r = put_record(f, from, (size_t)(newline - from));
		from = r ? from : newline + 1;
	}
	buf_consume(lines, (size_t)(from - lines->data));
	return r;
}

/* The next lines, as many as go into this file. */
static int write_some(struct audit_files *f, struct buf *lines, struct buf *why)
{
	int r = begin_file(f);
	if (!r && lines->len)
		r = take_lines(f, lines);
	int flushed = flush(f, why);
	r = r ? r : flushed;
	if (!r && f->to_drop)
		r = drop_oldest(f, why);
	if (!r)
		r = sync_all(f);
	if (!r && is_full(f))
		leave_file(f, "whole");
	return r;
}

/* What was made before goes first. */
static int go_on(struct audit_files *f, struct buf *why)
{
	int r = f->found ? 0 : find(f, why, why, why);
	if (!r && f->fd >= 0 && f->out.len)
		r = flush(f, why);
	else if (!r && f->fd >= 0 && check_untouched(f, why))
		leave_file(f, "broken");
	return r;
}

int audit_files_write(struct audit_files *f, struct buf *lines, struct buf *why)
{
	int r = go_on(f, why);
	if (!r && (lines->len || f->unsynced || f->to_drop))
		do
			r = write_some(f, lines, why);
		while (!r && lines->len);
	return r;
}
