/* SPDX-License-Identifier: Apache-2.0 */
#include "os/paths.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define SOCKET_NAME "vigiad.sock"
#define SYSTEM_CONFIG "/etc/vigia/vigia.conf"
#define SYSTEM_SOCKET "/run/vigia/" SOCKET_NAME

#define SAY(why, ...) \
	do { \
		if (why) \
			buf_putf(why, __VA_ARGS__); \
	} while (0)

static const char *absolute_env(const char *variable)
{
	const char *value = secure_getenv(variable);

	return value && value[0] == '/' ? value : NULL;
}

static int join(char **ret, const char *a, const char *b)
{
	struct buf path = BUF_INIT;

	buf_puts(&path, a);
	buf_puts(&path, b);
	char *s = buf_take(&path);
	if (!s)
		return -ENOMEM;
	*ret = s;
	return 0;
}

static int home(const char **ret_home, struct buf *why)
{
	const char *dir = absolute_env("HOME");

	if (!dir) {
		struct passwd *p = getpwuid(geteuid());
		dir = p && p->pw_dir && p->pw_dir[0] == '/' ? p->pw_dir : NULL;
	}
	if (!dir) {
		SAY(why, "user %u has no home directory: set HOME", (unsigned)geteuid());
		return -ENOENT;
	}
	*ret_home = dir;
	return 0;
}

static int in_home(const char *below, char **ret, struct buf *why)
{
	const char *dir;
	int r = home(&dir, why);

	return r < 0 ? r : join(ret, dir, below);
}

int paths_runtime(char **ret_dir, struct buf *why)
{
	const char *xdg = absolute_env("XDG_RUNTIME_DIR");
	char user[64];

	if (xdg)
		return join(ret_dir, xdg, "/vigia");
	if (geteuid() == 0)
		return join(ret_dir, "/run", "/vigia");
	snprintf(user, sizeof user, "/run/user/%u", (unsigned)geteuid());
	return join(ret_dir, user, "/vigia");
}

int paths_state(char **ret_dir, struct buf *why)
{
	const char *xdg = absolute_env("XDG_STATE_HOME");

	if (xdg)
		return join(ret_dir, xdg, "/vigia");
	if (geteuid() == 0)
		return join(ret_dir, "/var/lib", "/vigia");
	return in_home("/.local/state/vigia", ret_dir, why);
}

static int own_config(char **ret_file, struct buf *why)
{
	const char *xdg = absolute_env("XDG_CONFIG_HOME");

	if (xdg)
		return join(ret_file, xdg, "/vigia/vigia.conf");
	if (geteuid() == 0)
		return join(ret_file, SYSTEM_CONFIG, "");
	return in_home("/.config/vigia/vigia.conf", ret_file, why);
}

static bool is_absent(const char *file)
{
	struct stat st;

	return stat(file, &st) < 0 && (errno == ENOENT || errno == ENOTDIR);
}

int paths_config(const char *given, char **ret_file, struct buf *why)
{
	char *own = NULL;

	if (given)
		return join(ret_file, given, "");
	int r = own_config(&own, NULL);
	if (r == -ENOMEM)
		return r;
	if (own && !is_absent(own)) {
		*ret_file = own;
		return 0;
	}
	if (!is_absent(SYSTEM_CONFIG)) {
		free(own);
		return join(ret_file, SYSTEM_CONFIG, "");
	}
	SAY(why, "no configuration file: neither %s nor %s", own ? own : "one of the user's", SYSTEM_CONFIG);
	free(own);
	return -ENOENT;
}

/* Each missing directory on the way to the last one. */
static int make_parents(char *path)
{
	for (char *p = path + 1; *p; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		int r = mkdir(path, 0700) < 0 && errno != EEXIST ? -errno : 0;
		*p = '/';
		/* A parent we may not make but that is there anyhow shows itself at the next step. */
		if (r < 0 && r != -EACCES && r != -EROFS && r != -EPERM)
			return r;
	}
	return 0;
}

static int check_dir(const char *dir, struct buf *why)
{
	struct stat st;

	if (stat(dir, &st) < 0) {
		int r = -errno;
		SAY(why, "%s: %s", dir, strerror(-r));
		return r;
	}
	if (!S_ISDIR(st.st_mode)) {
		SAY(why, "%s is not a directory", dir);
		return -ENOTDIR;
	}
	if (st.st_uid != geteuid()) {
		SAY(why, "%s belongs to user %u, not to %u who runs this", dir, (unsigned)st.st_uid, (unsigned)geteuid());
		return -EPERM;
	}
	if (st.st_mode & (S_IWGRP | S_IWOTH)) {
		SAY(why, "others may write in %s: chmod go-w it", dir);
		return -EPERM;
	}
	return 0;
}

int paths_make(const char *dir, struct buf *why)
{
	char *path;

	if (join(&path, dir, "") < 0)
		return -ENOMEM;
	int r = make_parents(path);
	free(path);
	if (r >= 0 && mkdir(dir, 0700) < 0 && errno != EEXIST)
		r = -errno;
	if (r < 0) {
		SAY(why, "can't make %s: %s", dir, strerror(-r));
		return r;
	}
	return check_dir(dir, why);
}

int paths_address(const char *file, struct sockaddr_un *ret_address, struct buf *why)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	if (strlen(file) >= sizeof address.sun_path) {
		SAY(why, "%s: a socket's path may have %zu bytes at most, this has %zu", file,
		    sizeof address.sun_path - 1, strlen(file));
		return -ENAMETOOLONG;
	}
	strcpy(address.sun_path, file);
	*ret_address = address;
	return 0;
}

int paths_socket(const char *dir, struct sockaddr_un *ret_address, struct buf *why)
{
	char *file;

	if (join(&file, dir, "/" SOCKET_NAME) < 0)
		return -ENOMEM;
	int r = paths_address(file, ret_address, why);
	free(file);
	return r;
}

static bool is_socket(const struct sockaddr_un *address)
{
	struct stat st;

	return stat(address->sun_path, &st) == 0 && S_ISSOCK(st.st_mode);
}

static int own_socket(struct sockaddr_un *ret_address, struct buf *why)
{
	char *dir;
	int r = paths_runtime(&dir, why);

	if (r < 0)
		return r;
	r = paths_socket(dir, ret_address, why);
	free(dir);
	return r;
}

int paths_find_socket(const char *given, struct sockaddr_un *ret_address, struct buf *why)
{
	struct sockaddr_un own, system;

	if (!given)
		given = secure_getenv("VIGIA_SOCKET");
	if (given && *given)
		return paths_address(given, ret_address, why);
	int r = own_socket(&own, why);
	if (r < 0)
		return r;
	if (is_socket(&own)) {
		*ret_address = own;
		return 0;
	}
	paths_address(SYSTEM_SOCKET, &system, NULL);
	if (is_socket(&system)) {
		*ret_address = system;
		return 0;
	}
	SAY(why, "no vigiad runs here: there is no %s", own.sun_path);
	if (strcmp(own.sun_path, SYSTEM_SOCKET) != 0)
		SAY(why, " and no %s", SYSTEM_SOCKET);
	return -ENOENT;
}
