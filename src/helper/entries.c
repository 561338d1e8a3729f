/* SPDX-License-Identifier: Apache-2.0 */
#include "helper/entries.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "keeper/sys.h"

static bool is_safe(const struct stat *st)
{
	return (st->st_uid == 0 || st->st_uid == geteuid()) && !(st->st_mode & (S_IWGRP | S_IWOTH));
}

int entries_add(struct entries *e, const char *dir)
{
	struct stat st;

	if (e->n == ENTRY_DIRS_MAX)
		return -E2BIG;
	int fd = sys.open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	int r = sys.fstat(fd, &st) < 0 ? -errno : is_safe(&st) ? 0 : -EPERM;
	if (r < 0)
		close(fd);
	else
		e->dir[e->n++] = fd;
	return r;
}

static bool is_name(const char *name)
{
	size_t n = strnlen(name, HELPER_ENTRY_MAX + 1);

	return n > 0 && n <= HELPER_ENTRY_MAX && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == n;
}

int entries_find(const struct entries *e, const char name[HELPER_ENTRY_MAX + 1])
{
	struct stat st;

	if (!is_name(name))
		return -EINVAL;
	for (int i = 0; i < e->n; i++) {
		if (sys.fstatat(e->dir[i], name, &st, AT_SYMLINK_NOFOLLOW) == 0)
			return S_ISREG(st.st_mode) && is_safe(&st) ? e->dir[i] : -EPERM;
		if (errno != ENOENT)
			return -errno;
	}
	return -ENOENT;
}
