/* SPDX-License-Identifier: Apache-2.0 */
#include "hmon/dial.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netdb.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { CONNECT_MS = 10000 };

/* --- connecting --- */

int dial_wait(int ms, int end_fd)
{
	struct pollfd end = {.fd = end_fd, .events = POLLIN};
	return poll(&end, 1, ms) > 0 ? -ECANCELED : 0;
}

static int await_connected(int fd, int end_fd)
{
	struct pollfd fds[] = {{.fd = fd, .events = POLLOUT}, {.fd = end_fd, .events = POLLIN}};
	int n = poll(fds, 2, CONNECT_MS);
	if (n <= 0)
		return n ? -errno : -ETIMEDOUT;
	if (fds[1].revents)
		return -ECANCELED;
	int error = 0;
	socklen_t size = sizeof error;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size))
		return -errno;
	return -error;
}

static int connect_to(const struct sockaddr *address, socklen_t size, int end_fd)
{
	int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	int r = connect(fd, address, size) ? -errno : 0;
	if (r == -EINPROGRESS)
		r = await_connected(fd, end_fd);
	if (!r)
		return fd;
	close(fd);
	return r;
}

int dial_socket(const char *path, int end_fd)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof address.sun_path)
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	return connect_to((const struct sockaddr *)&address, sizeof address, end_fd);
}

/* "host:7660" or "[::1]:7660" in two. */
static int split(char *host_and_port, char **ret_host, char **ret_port)
{
	char *colon = strrchr(host_and_port, ':');
	if (!colon || colon == host_and_port || !colon[1])
		return -EINVAL;
	*colon = '\0';
	size_t n = strlen(host_and_port);
	bool bracketed = *host_and_port == '[' && host_and_port[n - 1] == ']';
	if (bracketed)
		host_and_port[n - 1] = '\0';
	*ret_host = host_and_port + bracketed;
	*ret_port = colon + 1;
	return 0;
}

static int connect_any(const struct addrinfo *addresses, int end_fd)
{
	int r = -EHOSTUNREACH;
	for (const struct addrinfo *a = addresses; a && r < 0 && r != -ECANCELED; a = a->ai_next)
		r = connect_to(a->ai_addr, a->ai_addrlen, end_fd);
	return r;
}

int dial_host(const char *host_and_port, int end_fd)
{
	char copy[300], *host, *port;
	if (strlen(host_and_port) >= sizeof copy)
		return -ENAMETOOLONG;
	strcpy(copy, host_and_port);
	int r = split(copy, &host, &port);
	if (r)
		return r;
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *addresses;
	if (getaddrinfo(host, port, &hints, &addresses))
		return -EHOSTUNREACH;
	r = connect_any(addresses, end_fd);
	freeaddrinfo(addresses);
	return r;
}

void dial_default_socket(char *path, size_t size)
{
	const char *given = getenv("VIGIA_SOCKET"), *runtime = getenv("XDG_RUNTIME_DIR");
	if (given && *given) {
		snprintf(path, size, "%s", given);
		return;
	}
	snprintf(path, size, "%s/vigia/vigiad.sock", runtime && *runtime ? runtime : "/run");
	if (access(path, F_OK))
		snprintf(path, size, "/run/vigia/vigiad.sock");
}

/* --- the secret --- */

static int secret_path(const char *name, char path[PATH_MAX])
{
	const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
	int n;
	if (state && *state)
		n = snprintf(path, PATH_MAX, "%s/vigia/monitors/%s.secret", state, name);
	else
		n = snprintf(
		    path, PATH_MAX, "%s/.local/state/vigia/monitors/%s.secret", home ? home : "/root", name);
	return n < PATH_MAX - 5 ? 0 : -ENAMETOOLONG;
}

int dial_load_secret(const char *name, char secret[SECRET_SIZE])
{
	char path[PATH_MAX];
	int r = secret_path(name, path);
	if (r)
		return r;
	FILE *f = fopen(path, "re");
	if (!f)
		return -errno;
	r = fgets(secret, SECRET_SIZE, f) ? 0 : -ENOENT;
	fclose(f);
	if (!r)
		secret[strcspn(secret, "\n")] = '\0';
	return r;
}

static int make_folders(char *path)
{
	for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		int r = mkdir(path, 0700) && errno != EEXIST ? -errno : 0;
		*slash = '/';
		if (r)
			return r;
	}
	return 0;
}

static int write_file(const char *path, const char *line)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	int r = dprintf(fd, "%s\n", line) < 0 || fsync(fd) ? -errno : 0;
	return close(fd) && !r ? -errno : r;
}

/* In one step, so that a crash leaves the old one. */
int dial_keep_secret(const char *name, const char *secret)
{
	char path[PATH_MAX], fresh[PATH_MAX + 5];
	int r = secret_path(name, path);
	if (!r)
		r = make_folders(path);
	if (r)
		return r;
	snprintf(fresh, sizeof fresh, "%s.new", path);
	r = write_file(fresh, secret);
	if (!r && rename(fresh, path))
		r = -errno;
	return r;
}
