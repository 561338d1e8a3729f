/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vigia/typed.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "os/file.h"
#include "os/paths.h"
#include "os/utf8.h"

/* More is cut unread; so much is never written by us. */
enum { FILE_MOST = 2 * TYPED_LINES * TYPED_LINE };

static char *directory(void)
{
	const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
	struct buf dir = BUF_INIT;
	if (state && *state == '/')
		buf_putf(&dir, "%s/vigia", state);
	else if (home && *home == '/')
		buf_putf(&dir, "%s/.local/state/vigia", home);
	else
		return NULL;
	return buf_take(&dir);
}

char *typed_file(void)
{
	struct buf file = BUF_INIT;
	char *dir = directory();
	if (!dir || paths_make(dir, NULL) < 0) {
		free(dir);
		return NULL;
	}
	buf_putf(&file, "%s/history", dir);
	free(dir);
	return buf_take(&file);
}

static bool is_ours(const struct stat *s)
{
	return S_ISREG(s->st_mode) && s->st_uid == geteuid();
}

/* Another console may have replaced the file while we waited for the lock. -EAGAIN: it has. */
static int try_open(const char *file)
{
	struct stat held, there;
	int fd = open(file, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
	if (fd < 0)
		return -errno;
	int r = flock(fd, LOCK_EX) || fstat(fd, &held) ? -errno : is_ours(&held) ? 0 : -EINVAL;
	if (!r && (stat(file, &there) || there.st_ino != held.st_ino || there.st_dev != held.st_dev))
		r = -EAGAIN;
	if (!r && held.st_mode & 077)
		r = fchmod(fd, 0600) ? -errno : 0;
	if (r)
		close(fd);
	return r ? r : fd;
}

static int open_locked(const char *file)
{
	int fd = -EAGAIN;
	for (int i = 0; i < 100 && fd == -EAGAIN; i++)
		fd = try_open(file);
	return fd;
}

static bool makes_sense(const char *line, size_t n)
{
	size_t i = 0, k;
	while (i < n && (k = utf8_char(line + i, n - i)) && (unsigned char)line[i] >= ' ' && line[i] != 0x7f)
		i += k;
	return n && n <= TYPED_LINE && i == n;
}

static char *contents(int fd)
{
	struct stat s;
	if (fstat(fd, &s))
		return NULL;
	off_t from = s.st_size > FILE_MOST ? s.st_size - FILE_MOST : 0;
	char *text = malloc((size_t)(s.st_size - from) + 1);
	ssize_t n = text ? pread(fd, text, (size_t)(s.st_size - from), from) : -1;
	if (n < 0) {
		free(text);
		return NULL;
	}
	for (ssize_t i = 0; i < n; i++)
		text[i] = text[i] ? text[i] : '\1'; /* a line with a NUL makes no sense, either */
	text[n] = '\0';
	return text;
}

/* The lines that make sense, of the last so many; how many lines there were in all. */
static size_t each_line(char *text, size_t skip, void (*fn)(void *data, const char *line), void *data)
{
	size_t n = 0;
	char *line;
	while ((line = strsep(&text, "\n"))) {
		if (!makes_sense(line, strlen(line)))
			continue;
		if (n++ >= skip && fn)
			fn(data, line);
	}
	return n;
}

static void put_line(void *data, const char *line)
{
	buf_putf(data, "%s\n", line);
}

static void cut(const char *file, const char *text, size_t n)
{
	struct buf kept = BUF_INIT;
	char *copy = strdup(text);
	if (copy)
		each_line(copy, n - TYPED_LINES, put_line, &kept);
	if (copy && !kept.failed)
		file_replace(file, buf_str(&kept));
	free(copy);
	buf_release(&kept);
}

void typed_read(const char *file, void (*fn)(void *data, const char *line), void *data)
{
	int fd = file ? open_locked(file) : -1;
	char *text = fd >= 0 ? contents(fd) : NULL, *copy = text ? strdup(text) : NULL;
	if (copy) {
		size_t n = each_line(copy, 0, NULL, NULL);
		if (n > TYPED_LINES)
			cut(file, text, n);
		each_line(text, n > TYPED_LINES ? n - TYPED_LINES : 0, fn, data);
	}
	free(copy);
	free(text);
	if (fd >= 0)
		close(fd);
}

void typed_add(const char *file, const char *line)
{
	struct buf out = BUF_INIT;
	int fd = file && makes_sense(line, strlen(line)) ? open_locked(file) : -1;
	if (fd < 0)
		return;
	buf_putf(&out, "%s\n", line);
	if (!out.failed && write(fd, out.data, out.len) < 0)
		errno = 0; /* a full disk is not the console's business */
	buf_release(&out);
	close(fd);
}
