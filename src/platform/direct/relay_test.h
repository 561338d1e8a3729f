/* SPDX-License-Identifier: Apache-2.0 */
/* A way between two hosts that can be cut: for both, or so that only one of them notices; and that can be slow, each
 * connection in its own way. */
#ifndef VIGIA_PLATFORM_DIRECT_RELAY_TEST_H
#define VIGIA_PLATFORM_DIRECT_RELAY_TEST_H

#include "base/dice_test.h"
#include "platform/stage_test.h"

enum { PASSAGES_MAX = 64, LEFT = 1, RIGHT = 2 };

struct passage {
	struct stream *left, *right; /* NULL: closed */
	struct dial *dial;
	struct buf to_left, to_right; /* on their way */
	uint64_t delay_ns, due_ns;
};

struct relay {
	struct listener *port;
	char place[64], to[64];
	struct passage passages[PASSAGES_MAX];
	unsigned n; /* used in turn */
	uint64_t slowest_ms;
	uv_timer_t timer;
};

static void shut(struct stream **s)
{
	if (*s)
		stream_close(*s);
	*s = NULL;
}

/* Its end is seen at once, as a reset. */
static void reset(struct stream **s)
{
	static const struct linger at_once = {1, 0};
	if (*s)
		setsockopt(stream_fd(*s), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
	shut(s);
}

static void pass(struct stream *to, struct buf *bytes)
{
	if (to)
		buf_put(stream_out(to), bytes->data, bytes->len);
	buf_clear(bytes);
}

static void pass_on(struct passage *p)
{
	if (p->dial)
		return;
	pass(p->right, &p->to_right);
	pass(p->left, &p->to_left);
	p->due_ns = 0;
}

static void hold(struct passage *p, struct buf *way, const void *bytes, size_t n)
{
	buf_put(way, bytes, n);
	if (!p->delay_ns)
		pass_on(p);
	else if (!p->due_ns)
		p->due_ns = uv_hrtime() + p->delay_ns;
}

static void on_left(void *owner, char *bytes, size_t n)
{
	struct passage *p = owner;
	hold(p, &p->to_right, bytes, n);
}

static void on_right(void *owner, char *bytes, size_t n)
{
	struct passage *p = owner;
	hold(p, &p->to_left, bytes, n);
}

static void on_left_closed(void *owner, int error)
{
	struct passage *p = owner;
	p->left = NULL;
	pass_on(p);
	if (p->right)
		stream_finish(p->right);
	p->right = NULL;
}

static void on_right_closed(void *owner, int error)
{
	struct passage *p = owner;
	p->right = NULL;
	pass_on(p);
	if (p->left)
		stream_finish(p->left);
	p->left = NULL;
}

static void on_reached(void *data, int fd)
{
	static const struct stream_events events = {.data = on_right, .closed = on_right_closed};
	struct passage *p = data;
	p->dial = NULL;
	if (fd < 0 || stream_new(&p->right, &net, fd, &events, p))
		shut(&p->left);
	else if (!p->delay_ns)
		pass_on(p);
}

static void passage_end(struct passage *p)
{
	if (p->dial)
		dial_cancel(p->dial);
	shut(&p->left);
	shut(&p->right);
	buf_release(&p->to_left);
	buf_release(&p->to_right);
	*p = (struct passage){0};
}

static void on_relay_call(void *data, int fd)
{
	static const struct stream_events events = {.data = on_left, .closed = on_left_closed};
	struct relay *r = data;
	struct passage *p = &r->passages[r->n++ % PASSAGES_MAX];
	passage_end(p);
	p->delay_ns = r->slowest_ms ? dice_below(r->slowest_ms * 1000000) : 0;
	assert_int_equal(stream_new(&p->left, &net, fd, &events, p), 0);
	assert_int_equal(dial_tcp(&p->dial, &net, r->to, 0, on_reached, p), 0);
}

static void on_relay_timer(uv_timer_t *timer)
{
	struct relay *r = timer->data;
	for (struct passage *p = r->passages; p < r->passages + PASSAGES_MAX; p++)
		if (p->due_ns && p->due_ns < uv_hrtime())
			pass_on(p);
}

static void relay_begin(struct relay *r, const char *to)
{
	memset(r, 0, sizeof *r);
	strcpy(r->to, to);
	assert_int_equal(listener_tcp(&r->port, &net, "127.0.0.1", 0, on_relay_call, r), 0);
	snprintf(r->place, sizeof r->place, "127.0.0.1:%d", listener_port(r->port));
	uv_timer_init(&loop, &r->timer);
	r->timer.data = r;
	uv_timer_start(&r->timer, on_relay_timer, 1, 1);
}

/* Whoever is not told keeps a link that leads nowhere. */
static void relay_cut(struct relay *r, int told)
{
	for (struct passage *p = r->passages; p < r->passages + PASSAGES_MAX; p++) {
		if (told & LEFT)
			reset(&p->left);
		if (told & RIGHT)
			reset(&p->right);
	}
}

static void relay_end(struct relay *r)
{
	for (struct passage *p = r->passages; p < r->passages + PASSAGES_MAX; p++)
		passage_end(p);
	listener_close(r->port);
	uv_close((uv_handle_t *)&r->timer, NULL);
}

#endif
