/* SPDX-License-Identifier: Apache-2.0 */
#include "audit/reader.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DIGITS = 8, CHUNK = 65536, FILES_MAX = 1 << 20 };

/* --- which files --- */

void audit_file_name(uint32_t number, char ret[32])
{
	snprintf(ret, 32, "%08u.log", (unsigned)number);
}

static uint32_t number_of(const char *name)
{
	char again[32];
	unsigned long n = strspn(name, "0123456789") >= DIGITS ? strtoul(name, NULL, 10) : 0;
	if (!n || n >= UINT32_MAX)
		return 0;
	audit_file_name((uint32_t)n, again);
	return strcmp(name, again) ? 0 : (uint32_t)n;
}

static int in_order(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return (x > y) - (x < y);
}

static int add(uint32_t **numbers, size_t *n, uint32_t number)
{
	if (*n >= FILES_MAX)
		return -E2BIG;
	uint32_t *more = !(*n & (*n - 1)) ? realloc(*numbers, (*n ? *n * 2 : 1) * sizeof *more) : *numbers;
	if (!more)
		return -ENOMEM;
	*numbers = more;
	more[(*n)++] = number;
	return 0;
}

int audit_files_in(int directory, uint32_t **ret, size_t *ret_n)
{
	uint32_t *numbers = NULL;
	size_t n = 0;
	int fd = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	if (!d) {
		r = -errno;
		if (fd >= 0)
			close(fd);
		return r;
	}
	for (struct dirent *e; !r && (e = readdir(d));)
		if (number_of(e->d_name))
			r = add(&numbers, &n, number_of(e->d_name));
	closedir(d);
	if (r) {
		free(numbers);
		return r;
	}
	if (n)
		qsort(numbers, n, sizeof *numbers, in_order);
	*ret = numbers;
	*ret_n = n;
	return 0;
}

/* --- reading --- */

struct audit_reader {
	int directory, fd; /* fd -1: the next file is to be opened */
	uint32_t *numbers;
	size_t n, at;
	struct audit_end end; /* file 0: all there is */
	char file[32];
	uint64_t line;
	int64_t left; /* bytes of this file */
	struct buf bytes; /* read; `used` of them have been given */
	size_t used;
	bool too_long; /* the rest of a line is to be passed over */
};

int audit_reader_open(struct audit_reader **ret, const char *directory, const struct audit_end *end)
{
	struct audit_reader *r = calloc(1, sizeof *r);
	if (!r)
		return -ENOMEM;
	r->fd = -1;
	r->directory = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int e = r->directory < 0 ? -errno : audit_files_in(r->directory, &r->numbers, &r->n);
	if (end)
		r->end = *end;
	while (!e && r->end.file && r->n && r->numbers[r->n - 1] > r->end.file)
		r->n--;
	if (e)
		audit_reader_close(r);
	else
		*ret = r;
	return e;
}

static void leave_file(struct audit_reader *r)
{
	if (r->fd >= 0)
		close(r->fd);
	r->fd = -1;
	r->at++;
	r->used = 0;
	buf_clear(&r->bytes);
}

void audit_reader_close(struct audit_reader *r)
{
	leave_file(r);
	if (r->directory >= 0)
		close(r->directory);
	buf_release(&r->bytes);
	free(r->numbers);
	free(r);
}

static int open_plain(int directory, uint32_t number)
{
	char name[32];
	struct stat st;
	audit_file_name(number, name);
	int fd = openat(directory, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return -errno;
	if (!fstat(fd, &st) && S_ISREG(st.st_mode))
		return fd;
	close(fd);
	return -EINVAL;
}

static int begin_file(struct audit_reader *r)
{
	audit_file_name(r->numbers[r->at], r->file);
	r->line = 0;
	r->too_long = false;
	r->left = r->end.file == r->numbers[r->at] ? r->end.size : INT64_MAX;
	r->fd = open_plain(r->directory, r->numbers[r->at]);
	if (r->fd >= 0)
		return AUDIT_FILE;
	int e = r->fd;
	leave_file(r);
	return e;
}

/* How many more; 0: the file's end. */
static ssize_t read_more(struct audit_reader *r)
{
	buf_consume(&r->bytes, r->used);
	r->used = 0;
	if (!buf_reserve(&r->bytes, CHUNK))
		return -ENOMEM;
	ssize_t n = read(r->fd, r->bytes.data + r->bytes.len, r->left < CHUNK ? (size_t)r->left : CHUNK);
	if (n < 0)
		return -errno;
	r->bytes.len += (size_t)n;
	r->left -= n;
	return n;
}

/* The bytes that were read hold a line: whole, or the beginning of one that is too long. */
static bool take_line(struct audit_reader *r, const char **ret_line, size_t *ret_n)
{
	const char *from = r->bytes.data ? r->bytes.data + r->used : "";
	size_t have = r->bytes.len - r->used;
	const char *end = memchr(from, '\n', have);
	if (!end && (have <= AUDIT_LINE_MAX || r->too_long)) {
		r->used += r->too_long ? have : 0;
		return false;
	}
	bool rest = r->too_long;
	r->too_long = !end;
	r->used += end ? (size_t)(end + 1 - from) : have;
	if (rest)
		return take_line(r, ret_line, ret_n);
	r->line++;
	*ret_line = from;
	*ret_n = end ? (size_t)(end - from) : have;
	return true;
}

static int end_file(struct audit_reader *r, size_t *ret_n)
{
	size_t torn = r->bytes.len - r->used;
	leave_file(r);
	*ret_n = torn;
	return torn ? AUDIT_TORN : AUDIT_NO_MORE;
}

static int next_of_file(struct audit_reader *r, const char **ret_line, size_t *ret_n)
{
	ssize_t n = 1;
	while (!take_line(r, ret_line, ret_n))
		if ((n = read_more(r)) <= 0)
			break;
	if (n > 0)
		return AUDIT_LINE;
	if (n < 0) {
		leave_file(r);
		return (int)n;
	}
	return end_file(r, ret_n);
}

int audit_reader_next(struct audit_reader *r, const char **ret_line, size_t *ret_n)
{
	int piece = AUDIT_NO_MORE;
	if (r->fd >= 0)
		piece = next_of_file(r, ret_line, ret_n);
	return piece || r->at >= r->n ? piece : begin_file(r);
}

const char *audit_reader_file(const struct audit_reader *r)
{
	return r->file;
}

uint64_t audit_reader_line(const struct audit_reader *r)
{
	return r->line;
}

/* --- leaving out --- */

void audit_reader_only(struct audit_reader *r, uint32_t number)
{
	r->numbers[0] = number;
	r->n = r->n ? 1 : 0;
}

int audit_reader_anchor(int directory, uint32_t number, char *line, struct audit_anchor *ret)
{
	const char *why;
	int fd = open_plain(directory, number);
	if (fd < 0)
		return fd;
	ssize_t n = read(fd, line, AUDIT_LINE_MAX);
	close(fd);
	line[n > 0 ? n : 0] = '\0';
	line[strcspn(line, "\n")] = '\0';
	return audit_get_anchor(line, ret, &why);
}

static bool begins_before(const struct audit_reader *r, uint32_t number, int64_t time_ns)
{
	char line[AUDIT_LINE_MAX + 1];
	struct audit_anchor a;
	return !audit_reader_anchor(r->directory, number, line, &a) && a.time_ns < time_ns;
}

void audit_reader_skip(struct audit_reader *r, int64_t before_ns)
{
	while (r->at + 1 < r->n && begins_before(r, r->numbers[r->at + 1], before_ns))
		r->at++;
}

/* --- verifying --- */

static void walk_all(struct audit_reader *r, struct audit_walk *w)
{
	const char *line = NULL;
	size_t n = 0;
	int piece;
	while ((piece = audit_reader_next(r, &line, &n))) {
		if (piece == AUDIT_FILE)
			audit_walk_file(w, audit_reader_file(r));
		else if (piece == AUDIT_LINE)
			audit_walk_line(w, line, n);
		else if (piece == AUDIT_TORN)
			audit_walk_torn(w, n);
		else if (piece != -ENOENT || w->files) /* else the oldest was just dropped */
			audit_walk_unreadable(w, audit_reader_file(r), strerror(-piece));
	}
	audit_walk_end(w);
}

static bool is_dropped(const struct audit_reader *r, uint32_t number)
{
	char name[32];
	audit_file_name(number, name);
	return faccessat(r->directory, name, F_OK, AT_SYMLINK_NOFOLLOW) && errno == ENOENT;
}

int audit_verify(const char *directory, const struct audit_end *end, struct audit_walk *w)
{
	struct audit_reader *r;
	int e = audit_reader_open(&r, directory, end);
	if (e)
		return e;
	if (end)
		w->expected[1] = (struct audit_expected){.sequence = end->sequence, .hash = end->hash};
	walk_all(r, w);
	e = r->n && is_dropped(r, r->numbers[0]) ? -EAGAIN : 0;
	audit_reader_close(r);
	return e;
}
