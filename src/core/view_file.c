/* SPDX-License-Identifier: Apache-2.0 */
#include "core/view_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/file.h"
#include "os/log.h"

enum { RETRY_MS = 2000, SYNC_MS = 1000, PENDING_MAX = 1 << 20 };

struct job {
	uv_work_t work;
	struct view_file *file;
	struct buf text;
	bool under_way, whole;
	int result;
};

struct view_file {
	struct view_file_options o;
	char *path;
	struct buf pending; /* lines that no job has yet */
	bool whole;	    /* the next job writes all */
	bool unsynced, started, stopped;
	size_t size, in_order; /* bytes of the file; when it was last put in order */
	struct job write;
	struct job sync;
	int fd; /* for appending; the job's while it is under way */
	uv_timer_t retry, later;
	char read_trouble[700], write_trouble[400]; /* "": all is well */
};

/* --- reading --- */

struct reading {
	struct view_file *file;
	view_fn *fn;
	unsigned faults;
};

static void on_row(void *data, const struct view_row *row)
{
	struct reading *r = data;
	r->fn(r->file->o.data, row);
}

static void on_fault(void *data, size_t line, const char *why)
{
	struct reading *r = data;
	struct view_file *f = r->file;
	if (!r->faults++)
		snprintf(f->read_trouble, sizeof f->read_trouble, "%s:%zu: expected %s", f->path, line, why);
}

/* Beside it, under another name: the file itself stays until it is put in order. */
static void keep_aside(struct view_file *f)
{
	char *aside;
	size_t n = strlen(f->read_trouble);
	if (asprintf(&aside, "%s.bad", f->path) < 0)
		return;
	unlink(aside);
	bool kept = !link(f->path, aside);
	snprintf(f->read_trouble + n, sizeof f->read_trouble - n, "%s%s. Hosts that are missing come back when they are heard of",
	    kept ? "; the file is kept as " : "", kept ? aside : "");
	free(aside);
}

static void tell_faults(struct view_file *f, unsigned more)
{
	size_t n = strlen(f->read_trouble);
	if (more)
		snprintf(f->read_trouble + n, sizeof f->read_trouble - n, ", and %u more line%s", more, more == 1 ? "" : "s");
	keep_aside(f);
	log_event(LOG_ERR, "view", "%s", f->read_trouble);
}

static void can_t_read(struct view_file *f, const char *why)
{
	snprintf(f->read_trouble, sizeof f->read_trouble, "%s: %s", f->path, why);
}

static int read_whole(struct view_file *f, int fd, struct buf *to)
{
	struct stat st;
	ssize_t n = 1;
	if (fstat(fd, &st) || !S_ISREG(st.st_mode))
		return can_t_read(f, "not a plain file"), 0;
	while (n > 0 && to->len < VIEW_FILE_MAX) {
		if (!buf_reserve(to, 65536))
			return -ENOMEM;
		n = read(fd, to->data + to->len, 65536);
		to->len += n > 0 ? (size_t)n : 0;
	}
	if (n)
		can_t_read(f, n < 0 ? strerror(errno) : "too large: the end is left out");
	return 0;
}

static int read_file(struct view_file *f, view_fn *fn)
{
	struct buf text = BUF_INIT;
	struct reading r = {.file = f, .fn = fn};
	int fd = open(f->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0) {
		can_t_read(f, strerror(errno));
		tell_faults(f, 0);
		return 0;
	}
	int e = read_whole(f, fd, &text);
	close(fd);
	if (!e)
		view_lines_read(text.data, text.len, on_row, on_fault, &r);
	if (*f->read_trouble)
		tell_faults(f, r.faults ? r.faults - 1 : 0);
	buf_release(&text);
	return e;
}

/* --- writing: on a worker --- */

/* What is short of room for all takes a part, and says why with the rest. */
static int write_all(int fd, const struct buf *text)
{
	ssize_t n;
	for (size_t at = 0; at < text->len; at += (size_t)n)
		if ((n = write(fd, text->data + at, text->len - at)) < 0)
			return -errno;
	return 0;
}

/* Half a line would take the next one with it. */
static int append(struct view_file *f, const struct buf *text)
{
	if (f->fd < 0)
		f->fd = open(f->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (f->fd < 0)
		return -errno;
	off_t end = lseek(f->fd, 0, SEEK_END);
	int r = write_all(f->fd, text);
	return !r ? 0 : end < 0 || ftruncate(f->fd, end) ? -EIO : r;
}

static int replace(struct view_file *f, struct buf *text)
{
	int r = text->failed ? -ENOMEM : file_replace(f->path, buf_str(text));
	if (f->fd >= 0)
		close(f->fd);
	f->fd = -1;
	return r;
}

static void do_write(uv_work_t *work)
{
	struct job *j = work->data;
	j->result = j->whole ? replace(j->file, &j->text) : append(j->file, &j->text);
}

static void do_sync(uv_work_t *work)
{
	struct job *j = work->data;
	int fd = open(j->file->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	j->result = fd < 0 || fdatasync(fd) ? -errno : 0;
	if (fd >= 0)
		close(fd);
}

/* --- writing: on the loop --- */

static void write_more(struct view_file *f);

static void on_retry(uv_timer_t *timer)
{
	write_more(timer->data);
}

static void went_wrong(struct view_file *f, int error)
{
	if (!*f->write_trouble)
		log_event(LOG_ERR, "view", "%s: %s; tried again until it is well", f->path, strerror(-error));
	snprintf(f->write_trouble, sizeof f->write_trouble, "%s: %s", f->path, strerror(-error));
	f->whole = true;
	buf_release(&f->pending);
	if (!f->stopped)
		uv_timer_start(&f->retry, on_retry, RETRY_MS, 0);
}

static void on_synced(uv_work_t *work, int status)
{
	struct job *j = work->data;
	j->under_way = false;
	if (j->result)
		went_wrong(j->file, j->result);
}

static void on_later(uv_timer_t *timer)
{
	struct view_file *f = timer->data;
	if (f->sync.under_way)
		uv_timer_start(timer, on_later, SYNC_MS, 0);
	else if (!uv_queue_work(f->o.loop, &f->sync.work, do_sync, on_synced))
		f->sync.under_way = true, f->unsynced = false;
}

static void went_well(struct view_file *f, const struct job *j)
{
	f->size = j->whole ? j->text.len : f->size + j->text.len;
	if (j->whole)
		f->in_order = f->size;
	if (*f->write_trouble)
		log_event(LOG_NOTICE, "view", "%s is written again", f->path);
	*f->write_trouble = '\0';
	if (j->whole || f->unsynced || f->stopped)
		return;
	f->unsynced = true;
	uv_timer_start(&f->later, on_later, SYNC_MS, 0);
}

static void settle(struct view_file *f)
{
	struct job *j = &f->write;
	j->under_way = false;
	if (j->result)
		went_wrong(f, j->result);
	else
		went_well(f, j);
	buf_release(&j->text);
}

static void on_written(uv_work_t *work, int status)
{
	struct job *j = work->data;
	settle(j->file);
	if (!j->result)
		write_more(j->file);
}

static bool fill(struct view_file *f, struct job *j)
{
	if (!f->whole && !f->pending.len)
		return false;
	j->whole = f->whole;
	j->text = j->whole ? (struct buf)BUF_INIT : f->pending;
	if (j->whole) {
		f->o.put_all(f->o.data, &j->text);
		buf_release(&f->pending);
	}
	f->pending = (struct buf)BUF_INIT;
	f->whole = false;
	return true;
}

static void write_more(struct view_file *f)
{
	if (f->write.under_way || !fill(f, &f->write))
		return;
	f->write.under_way = true;
	int r = uv_queue_work(f->o.loop, &f->write.work, do_write, on_written); /* the result may be there already */
	if (!r)
		return;
	f->write.result = r;
	settle(f);
}

void view_file_put(struct view_file *f, const struct view_row *row)
{
	if (!f->started || f->stopped || f->whole)
		return;
	view_line_put(&f->pending, row);
	size_t outdated = f->size + f->pending.len - f->in_order;
	if (f->pending.failed || f->pending.len > PENDING_MAX || outdated > f->in_order + VIEW_FILE_SLACK)
		f->whole = true;
	write_more(f);
}

/* --- life --- */

int view_file_open(struct view_file **ret, const struct view_file_options *o, view_fn *fn)
{
	struct view_file *f = calloc(1, sizeof *f);
	if (!f || asprintf(&f->path, "%s/view", o->directory) < 0) {
		free(f);
		return -ENOMEM;
	}
	f->o = *o;
	f->fd = -1;
	f->write.file = f->sync.file = f;
	f->write.work.data = &f->write;
	f->sync.work.data = &f->sync;
	int r = read_file(f, fn);
	if (r) {
		free(f->path);
		free(f);
		return r;
	}
	*ret = f;
	return 0;
}

void view_file_begin(struct view_file *f)
{
	uv_timer_init(f->o.loop, &f->retry);
	uv_timer_init(f->o.loop, &f->later);
	f->retry.data = f->later.data = f;
	f->started = f->whole = true;
	write_more(f);
}

int view_file_trouble(const struct view_file *f, struct buf *ret_what)
{
	if (*f->write_trouble)
		buf_puts(ret_what, f->write_trouble);
	if (*f->read_trouble)
		buf_putf(ret_what, "%s%s", *f->write_trouble ? "; " : "", f->read_trouble);
	return *f->write_trouble || *f->read_trouble ? -EIO : 0;
}

void view_file_stop(struct view_file *f)
{
	f->stopped = true;
	if (!f->started)
		return;
	uv_close((uv_handle_t *)&f->retry, NULL);
	uv_close((uv_handle_t *)&f->later, NULL);
}

void view_file_free(struct view_file *f)
{
	if (f->started && !f->write.under_way && fill(f, &f->write)) {
		do_write(&f->write.work);
		settle(f);
	}
	if (f->fd >= 0)
		close(f->fd);
	buf_release(&f->pending);
	free(f->path);
	free(f);
}
