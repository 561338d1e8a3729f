/* SPDX-License-Identifier: Apache-2.0 */
#include "os/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static int file_in(const char *dir, char ret_file[PATH_MAX])
{
	return snprintf(ret_file, PATH_MAX, "%s/vigiad.pid", dir) < PATH_MAX ? 0 : -ENAMETOOLONG;
}

static long holder(int fd)
{
	char text[16] = "";
	ssize_t n = pread(fd, text, sizeof text - 1, 0);

	return n > 0 ? strtol(text, NULL, 10) : 0;
}

static int explain(const char *dir, const char *file, int fd, int error, struct buf *why)
{
	if (why && error == EWOULDBLOCK)
		buf_putf(why, "another vigiad (process %ld) has its files in %s; to run two on one host, give each its own"
		    " XDG_RUNTIME_DIR and XDG_STATE_HOME", holder(fd), dir);
	else if (why)
		buf_putf(why, "%s: %s", file, strerror(error));
	return error == EWOULDBLOCK ? -EBUSY : -error;
}

/* lock_drop() removes the file: what we locked must still be what the name means. */
static bool is_in_place(int fd, const char *path)
{
	struct stat ours, named;

	return fstat(fd, &ours) == 0 && stat(path, &named) == 0 && ours.st_ino == named.st_ino &&
	    ours.st_dev == named.st_dev;
}

/* For people only: on a full disk the lock holds without it. */
static void write_pid(int fd)
{
	char text[16];
	int n = snprintf(text, sizeof text, "%ld\n", (long)getpid());

	if (ftruncate(fd, 0) < 0 || pwrite(fd, text, n, 0) != n)
		return;
}

/* Where nothing can be written the file that is there, or else the directory itself, holds the lock. */
static int open_lock(const char *dir, const char *file)
{
	int fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);

	if (fd >= 0 || (errno != EROFS && errno != ENOSPC))
		return fd;
	fd = open(file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	return fd >= 0 || errno != ENOENT ? fd : open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

int lock_take(const char *dir, int *ret_fd, struct buf *why)
{
	char file[PATH_MAX];
	int fd;

	if (file_in(dir, file) < 0)
		return -ENAMETOOLONG;
	for (;;) {
		fd = open_lock(dir, file);
		if (fd < 0)
			return explain(dir, file, fd, errno, why);
		if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
			int r = explain(dir, file, fd, errno, why);
			close(fd);
			return r;
		}
		if (is_in_place(fd, file) || is_in_place(fd, dir))
			break;
		close(fd);
	}
	write_pid(fd);
	*ret_fd = fd;
	return 0;
}

void lock_drop(const char *dir, int fd)
{
	char file[PATH_MAX];

	if (fd < 0)
		return;
	if (file_in(dir, file) == 0)
		unlink(file);
	close(fd);
}
