/* SPDX-License-Identifier: Apache-2.0 */
#include "net/net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "os/descriptors.h"

enum { BACKLOG = 16384, ACCEPTS_A_TURN = 512, PAUSE_MS = 100, SPARE_MOST = 64 };

/* A kernel's queue holds somaxconn (4096) callers; four sockets on one port hold four times that, for the moment in
 * which ten thousand nodes come back at once. */
enum { SOCKETS_MAX = 4 };

struct listener {
	uv_poll_t polls[SOCKETS_MAX];
	int fds[SOCKETS_MAX];
	unsigned n;
	uv_timer_t pause;
	struct net *net;
	listener_fn *fn;
	void *data;
	char *path;
	unsigned handles;
};

static void on_poll(uv_poll_t *poll, int status, int events);

/* Some are kept for what the daemon opens itself. */
static bool is_spare(int fd)
{
	int64_t most = descriptors_most(), spare = most / 8 < SPARE_MOST ? most / 8 : SPARE_MOST;
	return fd >= most - spare;
}

/* The lowest that is free is the next one. */
static bool are_few(const struct listener *l)
{
	int fd = fcntl(l->fds[0], F_DUPFD_CLOEXEC, 0);
	bool few = fd < 0 || is_spare(fd);
	if (fd >= 0)
		close(fd);
	return few;
}

static void tell(struct listener *l, bool few)
{
	if (l->net->descriptors)
		l->net->descriptors(l->net->descriptors_data, few);
}

static void on_pause_over(uv_timer_t *timer)
{
	struct listener *l = timer->data;
	if (are_few(l)) {
		uv_timer_start(&l->pause, on_pause_over, PAUSE_MS, 0);
		return;
	}
	tell(l, false);
	for (unsigned i = 0; i < l->n; i++)
		uv_poll_start(&l->polls[i], UV_READABLE, on_poll);
}

/* Out of descriptors or memory: the queue keeps the callers while others leave. */
static void pause_accepting(struct listener *l)
{
	tell(l, true);
	for (unsigned i = 0; i < l->n; i++)
		uv_poll_stop(&l->polls[i]);
	uv_timer_start(&l->pause, on_pause_over, PAUSE_MS, 0);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct listener *l = poll->data;
	for (int i = 0; i < ACCEPTS_A_TURN; i++) {
		int fd = accept4(l->fds[poll - l->polls], NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0) {
			l->fn(l->data, fd);
			if (!is_spare(fd) || !are_few(l))
				continue;
			pause_accepting(l);
			return;
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
			pause_accepting(l);
		if (errno != EINTR && errno != ECONNABORTED)
			return;
	}
}

static struct listener *listener_new(struct net *net, const char *path, listener_fn *fn, void *data)
{
	struct listener *l = calloc(1, sizeof *l);
	if (!l || (path && !(l->path = strdup(path)))) {
		free(l);
		return NULL;
	}
	l->net = net;
	l->fn = fn;
	l->data = data;
	uv_timer_init(net->loop, &l->pause);
	l->pause.data = l;
	l->handles = 1;
	return l;
}

/* Takes fd. */
static int add_socket(struct listener *l, int fd)
{
	uv_poll_t *poll = &l->polls[l->n];
	int r = uv_poll_init(l->pause.loop, poll, fd);
	if (r) {
		close(fd);
		return r;
	}
	poll->data = l;
	l->fds[l->n++] = fd;
	l->handles++;
	return uv_poll_start(poll, UV_READABLE, on_poll);
}

static int fail(int fd)
{
	int e = -errno;
	close(fd);
	return e;
}

static int tcp_address(const char *host, int port, struct sockaddr_storage *ret)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)ret;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret;
	memset(ret, 0, sizeof *ret);
	if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons((uint16_t)port);
		return sizeof *v4;
	}
	if (inet_pton(AF_INET6, host, &v6->sin6_addr) == 1) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons((uint16_t)port);
		return sizeof *v6;
	}
	return -EINVAL;
}

static int tcp_socket(struct sockaddr_storage *address, socklen_t len, bool shared)
{
	int on = 1;
	int fd = socket(address->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (shared)
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
	if (bind(fd, (struct sockaddr *)address, len) || getsockname(fd, (struct sockaddr *)address, &len))
		return fail(fd);
	return fd;
}

/* Sockets that share a port would share it with another daemon too: one that does not share finds that out first. */
static int claim(struct sockaddr_storage *address, socklen_t len)
{
	int fd = tcp_socket(address, len, false);
	if (fd < 0)
		return fd;
	int r = listen(fd, 1) ? -errno : 0;
	close(fd);
	return r;
}

static int add_tcp(struct listener *l, struct sockaddr_storage *address, socklen_t len)
{
	int fd = tcp_socket(address, len, true);
	if (fd < 0)
		return fd;
	if (listen(fd, BACKLOG))
		return fail(fd);
	return add_socket(l, fd);
}

int listener_tcp(struct listener **ret, struct net *net, const char *host, int port, listener_fn *fn, void *data)
{
	struct sockaddr_storage address;
	int len = tcp_address(host, port, &address);
	if (len < 0)
		return len;
	int r = claim(&address, (socklen_t)len);
	if (r)
		return r;
	struct listener *l = listener_new(net, NULL, fn, data);
	if (!l)
		return -ENOMEM;
	while (!r && l->n < SOCKETS_MAX)
		r = add_tcp(l, &address, (socklen_t)len);
	if (r) {
		listener_close(l);
		return r;
	}
	*ret = l;
	return 0;
}

int listener_unix(struct listener **ret, struct net *net, const char *path, listener_fn *fn, void *data)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof address.sun_path)
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	unlink(path);
	if (bind(fd, (struct sockaddr *)&address, sizeof address) || chmod(path, 0666) || listen(fd, BACKLOG))
		return fail(fd);
	struct listener *l = listener_new(net, path, fn, data);
	if (!l) {
		close(fd);
		return -ENOMEM;
	}
	int r = add_socket(l, fd);
	if (r) {
		listener_close(l);
		return r;
	}
	*ret = l;
	return 0;
}

int listener_port(const struct listener *l)
{
	struct sockaddr_storage address;
	socklen_t len = sizeof address;
	if (getsockname(l->fds[0], (struct sockaddr *)&address, &len))
		return -errno;
	if (address.ss_family == AF_INET)
		return ntohs(((struct sockaddr_in *)&address)->sin_port);
	return address.ss_family == AF_INET6 ? ntohs(((struct sockaddr_in6 *)&address)->sin6_port) : 0;
}

static void on_closed(uv_handle_t *h)
{
	struct listener *l = h->data;
	if (--l->handles)
		return;
	free(l->path);
	free(l);
}

void listener_close(struct listener *l)
{
	if (l->path)
		unlink(l->path);
	if (uv_is_active((uv_handle_t *)&l->pause))
		tell(l, false);
	for (unsigned i = 0; i < l->n; i++) {
		uv_close((uv_handle_t *)&l->polls[i], on_closed);
		close(l->fds[i]); /* now: the port may be wanted again in this turn */
	}
	uv_close((uv_handle_t *)&l->pause, on_closed);
}
