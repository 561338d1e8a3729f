/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "root/root.h"
#include "root/sys.h"

enum { DIRECTORY = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC };

/* Of those on the way some are sticky, as /tmp: there others can't touch what is root's. */
static int check(const struct stat *st, bool on_the_way)
{
	bool closed = !(st->st_mode & (S_IWGRP | S_IWOTH)) || (on_the_way && (st->st_mode & S_ISVTX));

	return st->st_uid == 0 && closed ? 0 : -EPERM;
}

/* Closes `from`. */
static int descend(int from, const char *name, bool last)
{
	struct stat st;
	int fd = sys.openat(from, name, DIRECTORY), r = fd < 0 || sys.fstat(fd, &st) < 0 ? -errno : check(&st, !last);

	close(from);
	if (r < 0 && fd >= 0)
		close(fd);
	return r == 0 ? fd : r == -ENOTDIR ? -EPERM : r; /* a symbolic link */
}

int entries_open(const char *absolute)
{
	char path[PATH_MAX], *rest = path, *name;
	int fd = sys.openat(AT_FDCWD, "/", DIRECTORY);

	snprintf(path, sizeof path, "%s", absolute);
	if (fd < 0)
		return -errno;
	while (fd >= 0 && (name = strsep(&rest, "/")))
		if (*name)
			fd = descend(fd, name, !rest || !rest[strspn(rest, "/")]);
	return fd;
}

int entries_check(int dir, const char *name)
{
	struct stat st;

	if (sys.fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	return S_ISREG(st.st_mode) ? check(&st, false) : -EPERM;
}
