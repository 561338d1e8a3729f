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

/* Another address waits behind this one, or none does. */
enum { CONNECT_MS = 5000, NEXT_MS = 1000 };

struct dial {
	uv_getaddrinfo_t resolve;
	uv_poll_t *poll; /* one an address: closing takes a turn */
	uv_timer_t timer;
	struct net *net;
	dial_fn *fn;
	void *data;
	struct addrinfo *found, *next;
	uint64_t patience_ms;
	int fd, last; /* what the address before ended with */
	bool resolving, closed, cancelled, over;
};

static void free_when_idle(struct dial *d)
{
	if (!d->over || !d->closed || d->resolving)
		return;
	uv_freeaddrinfo(d->found);
	free(d);
}

static void on_timer_closed(uv_handle_t *h)
{
	struct dial *d = h->data;
	d->closed = true;
	free_when_idle(d);
}

static void on_poll_closed(uv_handle_t *h)
{
	free(h);
}

/* The descriptor leaves the loop before it is handed on or closed. */
static int leave_loop(struct dial *d)
{
	int fd = d->fd;
	d->fd = -1;
	if (d->poll)
		uv_close((uv_handle_t *)d->poll, on_poll_closed);
	d->poll = NULL;
	return fd;
}

static void finish(struct dial *d, int result)
{
	if (d->over)
		return;
	d->over = true;
	uv_close((uv_handle_t *)&d->timer, on_timer_closed);
	if (!d->cancelled)
		d->fn(d->data, result);
}

static void try_next(struct dial *d);

static void give_up_address(struct dial *d, int error)
{
	int fd = leave_loop(d);
	if (fd >= 0)
		close(fd);
	d->last = error;
	try_next(d);
}

static void on_timeout(uv_timer_t *timer)
{
	give_up_address(timer->data, -ETIMEDOUT);
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
	if (error)
		give_up_address(d, -error);
	else
		finish(d, leave_loop(d));
}

static int connect_to(struct dial *d, const struct addrinfo *a)
{
	d->fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (d->fd < 0 || (connect(d->fd, a->ai_addr, a->ai_addrlen) && errno != EINPROGRESS))
		return -errno;
	d->poll = calloc(1, sizeof *d->poll);
	if (!d->poll)
		return -ENOMEM;
	int r = uv_poll_init(d->net->loop, d->poll, d->fd);
	if (r) {
		free(d->poll);
		d->poll = NULL;
		return r;
	}
	d->poll->data = d;
	uint64_t most = a->ai_next && d->patience_ms > NEXT_MS ? NEXT_MS : d->patience_ms;
	uv_timer_start(&d->timer, on_timeout, most, 0);
	return uv_poll_start(d->poll, UV_WRITABLE, on_connected);
}

static void try_next(struct dial *d)
{
	const struct addrinfo *a = d->next;
	if (!a) {
		finish(d, d->last);
		return;
	}
	d->next = a->ai_next;
	int r = connect_to(d, a);
	if (r)
		give_up_address(d, r);
}

static void on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *found)
{
	struct dial *d = request->data;
	d->resolving = false;
	d->found = d->next = found;
	d->last = status;
	if (!d->over)
		try_next(d);
	free_when_idle(d);
}

int dial_tcp(struct dial **ret, struct net *net, const char *address, int64_t patience_ms, dial_fn *fn, void *data)
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
	*d = (struct dial){.net = net, .fn = fn, .data = data, .fd = -1,
	    .patience_ms = patience_ms ? (uint64_t)patience_ms : CONNECT_MS};
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
	uv_timer_start(&d->timer, on_timeout, CONNECT_MS, 0);
	*ret = d;
	return 0;
}

void dial_cancel(struct dial *d)
{
	int fd = leave_loop(d);
	if (fd >= 0)
		close(fd);
	d->cancelled = true;
	finish(d, -ECANCELED);
}
