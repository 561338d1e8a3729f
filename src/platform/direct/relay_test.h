/* SPDX-License-Identifier: Apache-2.0 */
/* A way between two hosts that can be cut: for both, or so that only one of them notices. */
#ifndef VIGIA_PLATFORM_DIRECT_RELAY_TEST_H
#define VIGIA_PLATFORM_DIRECT_RELAY_TEST_H

#include "platform/stage_test.h"

enum { PASSAGES_MAX = 64, LEFT = 1, RIGHT = 2 };

struct passage {
	struct stream *left, *right; /* NULL: closed */
	struct dial *dial;
	struct buf early;	     /* before the right one stands */
};

struct relay {
	struct listener *port;
	char place[64], to[64];
	struct passage passages[PASSAGES_MAX];
	unsigned n; /* used in turn */
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

static void pass(struct stream *to, const void *bytes, size_t n)
{
	if (to)
		buf_put(stream_out(to), bytes, n);
}

static void on_left(void *owner, char *bytes, size_t n)
{
	struct passage *p = owner;
	if (p->dial)
		buf_put(&p->early, bytes, n);
	else
		pass(p->right, bytes, n);
}

static void on_right(void *owner, char *bytes, size_t n)
{
	pass(((struct passage *)owner)->left, bytes, n);
}

static void on_left_closed(void *owner, int error)
{
	struct passage *p = owner;
	p->left = NULL;
	if (p->right)
		stream_finish(p->right);
	p->right = NULL;
}

static void on_right_closed(void *owner, int error)
{
	struct passage *p = owner;
	p->right = NULL;
	if (p->left)
		stream_finish(p->left);
	p->left = NULL;
}

static void on_reached(void *data, int fd)
{
	static const struct stream_events events = {.data = on_right, .closed = on_right_closed};
	struct passage *p = data;
	p->dial = NULL;
	if (fd < 0 || stream_new(&p->right, &net, fd, &events, p)) {
		shut(&p->left);
		return;
	}
	pass(p->right, p->early.data, p->early.len);
	buf_release(&p->early);
}

static void passage_end(struct passage *p)
{
	if (p->dial)
		dial_cancel(p->dial);
	shut(&p->left);
	shut(&p->right);
	buf_release(&p->early);
	*p = (struct passage){0};
}

static void on_relay_call(void *data, int fd)
{
	static const struct stream_events events = {.data = on_left, .closed = on_left_closed};
	struct relay *r = data;
	struct passage *p = &r->passages[r->n++ % PASSAGES_MAX];
	passage_end(p);
	assert_int_equal(stream_new(&p->left, &net, fd, &events, p), 0);
	assert_int_equal(dial_tcp(&p->dial, &net, r->to, 0, on_reached, p), 0);
}

static void relay_begin(struct relay *r, const char *to)
{
	memset(r, 0, sizeof *r);
	strcpy(r->to, to);
	assert_int_equal(listener_tcp(&r->port, &net, "127.0.0.1", 0, on_relay_call, r), 0);
	snprintf(r->place, sizeof r->place, "127.0.0.1:%d", listener_port(r->port));
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
}

#endif
