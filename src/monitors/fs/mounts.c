/* SPDX-License-Identifier: Apache-2.0 */
#include "mounts.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Those without a block device that still hold data. "fuse." stands for all of its kinds. */
static const char *const deviceless[] = {"nfs", "nfs4", "cifs", "smb3", "9p", "afs", "ceph", "lustre",
    "beegfs", "gpfs", "glusterfs", "orangefs", "pvfs2", "panfs", "virtiofs", "overlay", "tmpfs", "zfs",
    "btrfs", "bcachefs", "fuse."};

static bool holds_data(const char *type, const char *device)
{
	for (size_t i = 0; i < sizeof deviceless / sizeof *deviceless; i++) {
		size_t n = strlen(deviceless[i]);
		if (!strncmp(type, deviceless[i], n) && (!type[n] || deviceless[i][n - 1] == '.'))
			return true;
	}
	return !strncmp(device, "/dev/", 5);
}

/* Small memory file systems of the system's own. */
static bool is_private(const char *path, const char *type)
{
	static const char *const roots[] = {"/dev", "/run", "/sys", "/proc"};
	for (size_t i = 0; i < sizeof roots / sizeof *roots; i++) {
		size_t n = strlen(roots[i]);
		if (!strncmp(path, roots[i], n) && (!path[n] || path[n] == '/'))
			return strcmp(path, "/dev/shm") && !strcmp(type, "tmpfs");
	}
	return false;
}

/* mountinfo writes blanks and backslashes as \040. In place. */
static void unescape(char *s)
{
	char *to = s;
	while (*s) {
		int code = 0, n = 0;
		if (*s == '\\' && sscanf(s + 1, "%3o%n", (unsigned *)&code, &n) == 1 && n == 3) {
			*to++ = (char)code;
			s += 4;
		} else {
			*to++ = *s++;
		}
	}
	*to = '\0';
}

static char *instance_of(const char *path)
{
	if (!strcmp(path, "/"))
		return strdup("-");
	char *name = malloc(strlen(path) * 4 + 1), *to = name;
	for (path += *path == '/'; name && *path; path++) {
		unsigned char c = (unsigned char)*path;
		if (c == '/')
			*to++ = '-';
		else if (isalnum(c) || c == '_' || c == ':' || c == '.')
			*to++ = (char)c;
		else
			to += sprintf(to, "\\x%02x", c);
	}
	if (name)
		*to = '\0';
	return name;
}

static bool have_device(const struct mounts *m, const struct mount *mount)
{
	for (size_t i = 0; i < m->n; i++)
		if (m->list[i].major == mount->major && m->list[i].minor == mount->minor)
			return true;
	return false;
}

/* A later mount on the same path hides the earlier one. */
static bool have_path(const struct mounts *m, const char *path)
{
	for (size_t i = 0; i < m->n; i++)
		if (!strcmp(m->list[i].path, path))
			return true;
	return false;
}

static void mount_release(struct mount *m)
{
	free(m->path);
	free(m->instance);
	free(m->device);
	free(m->type);
}

/* What systemd mounts over places that a unit is not to see, its own unit's among them. */
static bool is_cover(const char *line)
{
	return strstr(line, " /systemd/inaccessible/");
}

/* proc(5): 36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue */
static bool parse_line(struct mount *m, char *line)
{
	char *dash = strstr(line, " - "), options[4] = "";
	if (!dash)
		return false;
	*dash = '\0';
	bool good = !is_cover(line) && sscanf(line, "%*d %*d %u:%u %*s %ms", &m->major, &m->minor, &m->path) == 3 &&
	       sscanf(dash + 3, "%ms %ms %3[a-z]", &m->type, &m->device, options) >= 2;
	m->read_only = !strcmp(options, "ro");
	return good;
}

static int take_line(struct mounts *all, char *line)
{
	struct mount m = {0};
	bool good = parse_line(&m, line);
	if (good) {
		unescape(m.path);
		unescape(m.device);
		good = holds_data(m.type, m.device) && !is_private(m.path, m.type) && !have_device(all, &m) &&
		       !have_path(all, m.path) && all->n < MOUNTS_MAX;
	}
	if (good && !(m.instance = instance_of(m.path))) {
		mount_release(&m);
		return -ENOMEM;
	}
	if (good)
		all->list[all->n++] = m;
	else
		mount_release(&m);
	return 0;
}

int mounts_parse(struct mounts *ret, const char *mountinfo)
{
	struct mounts all = {.list = calloc(MOUNTS_MAX, sizeof *all.list)};
	char *copy = strdup(mountinfo), *rest = copy;
	int r = all.list && copy ? 0 : -ENOMEM;
	for (char *line; !r && (line = strsep(&rest, "\n"));)
		r = take_line(&all, line);
	free(copy);
	if (r)
		mounts_release(&all);
	else
		*ret = all;
	return r;
}

void mounts_release(struct mounts *m)
{
	for (size_t i = 0; i < m->n; i++)
		mount_release(&m->list[i]);
	free(m->list);
	*m = (struct mounts){0};
}
