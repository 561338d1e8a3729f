/* SPDX-License-Identifier: Apache-2.0 */
#include "services/health/reach.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "heartbeat/probe.h"
#include "os/clock.h"

struct reach {
	struct net *net;
	struct dial *dial; /* until it is connected */
	struct probe probe;
	uv_poll_t poll;
	uv_timer_t timer;
	int fd, handles;
	int64_t probe_ns;
	bool secure;
	reach_fn *fn;
	void *data;
};

static void on_handle_closed(uv_handle_t *handle)
{
	struct reach *r = handle->data;
	if (!--r->handles)
		free(r);
}

static void end(struct reach *r)
{
	if (!r->handles) {
		free(r);
		return;
	}
	uv_close((uv_handle_t *)&r->poll, on_handle_closed);
	uv_close((uv_handle_t *)&r->timer, on_handle_closed);
}

static void settle(struct reach *r, int result, bool urgent)
{
	if (r->handles)
		uv_poll_stop(&r->poll); /* before the descriptor is somebody else's */
	r->fn(r->data, result, urgent);
	end(r);
}

static void on_probe(uv_poll_t *poll, int status, int events);
static void on_probe_late(uv_timer_t *timer);

/* Counted from now: the loop's own time may be older, and a timer that fires early would be the last. */
static void arm(struct reach *r)
{
	int64_t wait = r->probe.deadline_ns - clock_mono_ns();
	uv_update_time(r->net->loop);
	uv_timer_start(&r->timer, on_probe_late, wait > 0 ? (uint64_t)(wait / 1000000) + 1 : 0, 0);
}

static void step_probe(struct reach *r, short events)
{
	enum probe_result result = probe_handle(&r->probe, events, clock_mono_ns());
	if (result == PROBE_BROKEN) {
		close(r->fd);
		settle(r, -ECONNRESET, false);
		return;
	}
	if (result != PROBE_PENDING) {
		settle(r, r->fd, result == PROBE_URGENT);
		return;
	}
	arm(r);
	short want = probe_events(&r->probe);
	uv_poll_start(&r->poll, (want & POLLIN ? UV_READABLE : 0) | (want & POLLOUT ? UV_WRITABLE : 0) |
	    (want & POLLPRI ? UV_PRIORITIZED : 0), on_probe);
}

static void on_probe(uv_poll_t *poll, int status, int events)
{
	step_probe(poll->data, (short)((events & UV_READABLE ? POLLIN : 0) | (events & UV_WRITABLE ? POLLOUT : 0) |
				       (events & UV_PRIORITIZED ? POLLPRI : 0) | (status < 0 ? POLLERR : 0)));
}

static void on_probe_late(uv_timer_t *timer)
{
	step_probe(timer->data, 0);
}

static int begin_probe(struct reach *r)
{
	int64_t now = clock_mono_ns();
	int e = probe_dial(&r->probe, r->fd, now);
	if (e || (e = uv_poll_init(r->net->loop, &r->poll, r->fd)))
		return e;
	uv_timer_init(r->net->loop, &r->timer);
	r->handles = 2;
	r->poll.data = r->timer.data = r;
	if (r->probe_ns && r->probe.deadline_ns < now + r->probe_ns)
		r->probe.deadline_ns = now + r->probe_ns;
	return 0;
}

static void on_dialled(void *data, int fd)
{
	struct reach *r = data;
	r->dial = NULL;
	r->fd = fd;
	if (fd < 0 || r->secure || begin_probe(r))
		settle(r, fd, false);
	else
		step_probe(r, 0);
}

int reach_start(struct reach **ret, struct net *net, const char *address, const struct reach_patience *patience,
    reach_fn *fn, void *data)
{
	struct reach *r = calloc(1, sizeof *r);
	if (!r)
		return -ENOMEM;
	*r = (struct reach){.net = net, .fn = fn, .data = data, .fd = -1, .probe_ns = patience->probe_ns, .secure = patience->secure};
	int e = dial_tcp(&r->dial, net, address, patience->connect_ms, on_dialled, r);
	if (e) {
		free(r);
		return e;
	}
	*ret = r;
	return 0;
}

void reach_cancel(struct reach *r)
{
	if (r->dial)
		dial_cancel(r->dial);
	if (r->handles)
		uv_poll_stop(&r->poll);
	if (r->fd >= 0)
		close(r->fd);
	end(r);
}
