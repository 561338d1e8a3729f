/* SPDX-License-Identifier: Apache-2.0 */
#include "os/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int write_whole(int fd, const char *text)
{
	size_t n = strlen(text);

	while (n > 0) {
		ssize_t written = write(fd, text, n);
		if (written < 0 && errno != EINTR)
			return -errno;
		text += written > 0 ? written : 0;
		n -= written > 0 ? (size_t)written : 0;
	}
	return fsync(fd) < 0 ? -errno : 0;
}

static int write_fresh(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		return -errno;
	int r = write_whole(fd, text);
	return close(fd) < 0 && r == 0 ? -errno : r;
}

/* The new name is on disk only when the directory is. */
static int sync_directory(const char *path)
{
	char dir[PATH_MAX];
	const char *slash = strrchr(path, '/');
	size_t n = slash ? (size_t)(slash - path) : 0;

	snprintf(dir, sizeof dir, "%.*s%s", (int)n, path, slash ? "/" : ".");
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	int r = fsync(fd) < 0 ? -errno : 0;
	close(fd);
	return r;
}

int file_replace(const char *path, const char *text)
{
	char fresh[PATH_MAX];

	if (snprintf(fresh, sizeof fresh, "%s.new", path) >= (int)sizeof fresh)
		return -ENAMETOOLONG;
	int r = write_fresh(fresh, text);
	if (r == 0 && rename(fresh, path) < 0)
		r = -errno;
	if (r < 0) {
		unlink(fresh);
		return r;
	}
	return sync_directory(path);
}
