/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/vault.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "identity/refuse.h"

enum { NAME_SIZE = 64 };

struct vault {
	int fd;
	char path[PATH_MAX];
};

static int refuse_file(struct buf *why, const struct vault *v, const char *name, int error)
{
	return refuse(why, error, "%s/%s: %s", v->path, name,
	    error == -ELOOP ? "is a symbolic link, which is never followed here" : strerror(-error));
}

/* --- the directory --- */

static int check_directory(int fd, const char *path, struct buf *why)
{
	struct stat st;
	if (fstat(fd, &st))
		return refuse(why, -errno, "%s: %s", path, strerror(errno));
	if (st.st_uid != geteuid())
		return refuse(why, -EPERM, "%s: belongs to uid %u, and must be uid %u's", path, st.st_uid, geteuid());
	if ((st.st_mode & 07777) != 0700)
		return refuse(why, -EPERM, "%s: has mode %04o, and must have 0700", path, st.st_mode & 07777);
	return 0;
}

static int open_directory(const char *path, int *ret_fd, struct buf *why)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0) {
		int e = -errno;
		bool link = !lstat(path, &st) && S_ISLNK(st.st_mode);
		return refuse(why, link ? -ELOOP : e, "%s: %s", path, link ? "is a symbolic link, which is never followed here" : strerror(-e));
	}
	int r = check_directory(fd, path, why);
	if (r)
		close(fd);
	else
		*ret_fd = fd;
	return r;
}

int vault_open(struct vault **ret, const char *directory, struct buf *why)
{
	if (strlen(directory) + NAME_SIZE >= PATH_MAX)
		return refuse(why, -ENAMETOOLONG, "%s: %s", directory, strerror(ENAMETOOLONG));
	struct vault *v = calloc(1, sizeof *v);
	int r = v ? open_directory(directory, &v->fd, why) : -ENOMEM;
	if (r) {
		free(v);
		return r;
	}
	strcpy(v->path, directory);
	*ret = v;
	return 0;
}

int vault_make(struct vault **ret, const char *directory, struct buf *why)
{
	/* The mode at once, whatever the umask takes away: too little is refused below. */
	if (mkdir(directory, 0700) && errno != EEXIST)
		return refuse(why, -errno, "%s: %s", directory, strerror(errno));
	return vault_open(ret, directory, why);
}

void vault_close(struct vault *v)
{
	if (v)
		close(v->fd);
	free(v);
}

const char *vault_path(const struct vault *v)
{
	return v->path;
}

bool vault_has(const struct vault *v, const char *name)
{
	struct stat st;
	return !fstatat(v->fd, name, &st, AT_SYMLINK_NOFOLLOW);
}

/* --- reading --- */

static int check_file(const struct vault *v, const char *name, enum vault_kind kind, const struct stat *st, struct buf *why)
{
	unsigned mode = st->st_mode & 07777;
	if (!S_ISREG(st->st_mode))
		return refuse(why, -EPERM, "%s/%s: is no plain file", v->path, name);
	if (st->st_uid != geteuid())
		return refuse(why, -EPERM, "%s/%s: belongs to uid %u, and must be uid %u's", v->path, name, st->st_uid, geteuid());
	if (kind == VAULT_SECRET && mode != 0600)
		return refuse(why, -EPERM, "%s/%s: has mode %04o, and must have 0600", v->path, name, mode);
	if (mode & 0022)
		return refuse(why, -EPERM, "%s/%s: has mode %04o: others may write it", v->path, name, mode);
	if (st->st_nlink != 1)
		return refuse(why, -EPERM, "%s/%s: has another name elsewhere (a hard link)", v->path, name);
	return 0;
}

/* O_NONBLOCK: a FIFO is told from a file only once it is open. */
static int open_file(const struct vault *v, const char *name, enum vault_kind kind, int flags, struct stat *st, struct buf *why)
{
	int fd = openat(v->fd, name, flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
	if (fd < 0)
		return refuse_file(why, v, name, -errno);
	int r = fstat(fd, st) ? -errno : check_file(v, name, kind, st, why);
	if (!r)
		return fd;
	close(fd);
	return r;
}

/* As many as there are, `most` at most. */
static int read_all(int fd, char *to, size_t most, size_t *ret_n)
{
	size_t have = 0;
	while (have < most) {
		ssize_t n = read(fd, to + have, most - have);
		if (n < 0 && errno != EINTR)
			return -errno;
		if (!n)
			break;
		have += n > 0 ? (size_t)n : 0;
	}
	*ret_n = have;
	return 0;
}

int vault_read_secret(const struct vault *v, const char *name, void *to, size_t most, size_t *ret_n, struct buf *why)
{
	struct stat st;
	int fd = open_file(v, name, VAULT_SECRET, O_RDONLY, &st, why);
	if (fd < 0)
		return fd;
	int r = (size_t)st.st_size > most ? -EFBIG : read_all(fd, to, most, ret_n);
	close(fd);
	return r ? refuse_file(why, v, name, r) : 0;
}

int vault_read(const struct vault *v, const char *name, enum vault_kind kind, size_t most, struct buf *to, struct buf *why)
{
	struct stat st;
	size_t n = 0;
	int fd = open_file(v, name, kind, O_RDONLY, &st, why);
	if (fd < 0)
		return fd;
	int r = (size_t)st.st_size > most ? -EFBIG : buf_reserve(to, (size_t)st.st_size) ? 0 : -ENOMEM;
	if (!r)
		r = read_all(fd, to->data + to->len, (size_t)st.st_size, &n);
	to->len += n;
	close(fd);
	return r ? refuse_file(why, v, name, r) : 0;
}

/* --- writing --- */

static int write_all(int fd, const char *bytes, size_t n)
{
	while (n) {
		ssize_t written = write(fd, bytes, n);
		if (written < 0 && errno != EINTR)
			return -errno;
		bytes += written > 0 ? written : 0;
		n -= written > 0 ? (size_t)written : 0;
	}
	return fsync(fd) ? -errno : 0;
}

/* What was there under that name, if only a link that somebody planted, is not opened but taken away. */
static int write_fresh(const struct vault *v, const char *name, const void *bytes, size_t n)
{
	if (unlinkat(v->fd, name, 0) && errno != ENOENT)
		return -errno;
	int fd = openat(v->fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	int r = fchmod(fd, 0600) ? -errno : write_all(fd, bytes, n);
	return close(fd) && !r ? -errno : r;
}

static int rename_synced(const struct vault *v, const char *from, const char *to)
{
	return renameat(v->fd, from, v->fd, to) || fsync(v->fd) ? -errno : 0;
}

int vault_write(const struct vault *v, const char *name, const void *bytes, size_t n, struct buf *why)
{
	char fresh[NAME_SIZE];
	if (snprintf(fresh, sizeof fresh, "%s.new", name) >= (int)sizeof fresh)
		return refuse_file(why, v, name, -ENAMETOOLONG);
	int r = write_fresh(v, fresh, bytes, n);
	if (!r)
		r = rename_synced(v, fresh, name);
	if (r)
		unlinkat(v->fd, fresh, 0);
	return r ? refuse_file(why, v, name, r) : 0;
}

int vault_append(const struct vault *v, const char *name, const void *bytes, size_t n, struct buf *why)
{
	struct stat st;
	int fd = open_file(v, name, VAULT_SECRET, O_WRONLY | O_CREAT | O_APPEND, &st, why);
	if (fd < 0)
		return fd;
	int r = write_all(fd, bytes, n);
	if (!r && !st.st_size && fsync(v->fd))
		r = -errno;
	if (r && ftruncate(fd, st.st_size))
		r = -EIO;
	close(fd);
	return r ? refuse_file(why, v, name, r) : 0;
}

int vault_rename(const struct vault *v, const char *from, const char *to, struct buf *why)
{
	int r = rename_synced(v, from, to);
	return r ? refuse_file(why, v, from, r) : 0;
}

int vault_remove(const struct vault *v, const char *name, struct buf *why)
{
	int r = (unlinkat(v->fd, name, 0) && errno != ENOENT) || fsync(v->fd) ? -errno : 0;
	return r ? refuse_file(why, v, name, r) : 0;
}
