/* SPDX-License-Identifier: Apache-2.0 */
#include "net/net.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CONNECT_MS = 5000 };

struct dial {
	uv_getaddrinfo_t resolve;
	uv_poll_t poll;
	uv_timer_t timer;
	struct net *net;
	dial_fn *fn;
	void *data;
	int fd, handles;
	bool resolving, cancelled, over;
};

static void free_when_idle(struct dial *d)
{
	if (d->over && !d->handles && !d->resolving)
		free(d);
}

static void on_closed(uv_handle_t *h)
{
	struct dial *d = h->data;
	d->handles--;
	free_when_idle(d);
}

/* Ends the dial with a descriptor or an error; the descriptor leaves the loop before it is handed on. */
static void finish(struct dial *d, int result)
{
	if (d->over)
		return;
	d->over = true;
	if (d->handles > 1)
		uv_close((uv_handle_t *)&d->poll, on_closed);
	uv_close((uv_handle_t *)&d->timer, on_closed);
	if (result < 0 && d->fd >= 0)
		close(d->fd);
	if (!d->cancelled)
		d->fn(d->data, result);
}

static void on_timeout(uv_timer_t *timer)
{
	finish(timer->data, -ETIMEDOUT);
}

static void on_connected(uv_poll_t *poll, int status, int events)
{
	struct dial *d = poll->data;
	int error = 0;
	socklen_t len = sizeof error;
	/* libuv says EBADF whatever the error was; the socket knows. */
	if (getsockopt(d->fd, SOL_SOCKET, SO_ERROR, &error, &len))
		error = errno;
	if (!error)
		error = -status;
	if (!error)
		uv_poll_stop(&d->poll);
	finish(d, error ? -error : d->fd);
}

static int connect_to(struct dial *d, const struct addrinfo *a)
{
	d->fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (d->fd < 0)
		return -errno;
	if (connect(d->fd, a->ai_addr, a->ai_addrlen) && errno != EINPROGRESS)
		return -errno;
	int r = uv_poll_init(d->net->loop, &d->poll, d->fd);
	if (r)
		return r;
	d->poll.data = d;
	d->handles++;
	return uv_poll_start(&d->poll, UV_WRITABLE, on_connected);
}

static void on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *found)
{
	struct dial *d = request->data;
	d->resolving = false;
	int r = status ? status : d->over ? 0 : connect_to(d, found);
	uv_freeaddrinfo(found);
	if (r)
		finish(d, r);
	free_when_idle(d);
}

int dial_tcp(struct dial **ret, struct net *net, const char *address, dial_fn *fn, void *data)
{
	char host[256];
	const char *colon = strrchr(address, ':');
	size_t len = colon ? (size_t)(colon - address) : 0;
	if (!len || len >= sizeof host)
		return -EINVAL;
	bool bracketed = address[0] == '[' && address[len - 1] == ']';
	snprintf(host, sizeof host, "%.*s", (int)(bracketed ? len - 2 : len), address + bracketed);
	struct dial *d = calloc(1, sizeof *d);
	if (!d)
		return -ENOMEM;
	*d = (struct dial){.net = net, .fn = fn, .data = data, .fd = -1};
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
	d->resolve.data = d;
	int r = uv_getaddrinfo(net->loop, &d->resolve, on_resolved, host, colon + 1, &hints);
	if (r) {
		free(d);
		return r;
	}
	d->resolving = true;
	uv_timer_init(net->loop, &d->timer);
	d->timer.data = d;
	d->handles = 1;
	uv_timer_start(&d->timer, on_timeout, CONNECT_MS, 0);
	*ret = d;
	return 0;
}

void dial_cancel(struct dial *d)
{
	d->cancelled = true;
	if (!d->over)
		finish(d, -ECANCELED);
}
