/* SPDX-License-Identifier: Apache-2.0 */
#include "net/tls.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum { OUT_KEEP = 16384, RECORD = 16384, WIRE_ENOUGH = 256 << 10, SPARE_MAX = 256 << 10, READS_A_TURN = 4, FINISH_MS = 1000 };

struct stream {
	uv_poll_t poll;
	struct net *net;
	const struct stream_events *events;
	void *owner;
	struct buf out;
	size_t sent; /* of out */
	struct tls *tls; /* NULL: plain */
	size_t wired; /* of its output */
	struct stream *next_dirty;
	uv_timer_t *finish;
	int fd, polled;
	size_t mark; /* of stream_tell_below() */
	bool dirty, wanted, urgent, paused, finishing, shut, closing, ending, marked, end_said;
};

static void on_poll(uv_poll_t *poll, int status, int events);

static size_t wire_pending(const struct stream *s)
{
	return s->tls && !tls_is_busy(s->tls) ? tls_out(s->tls)->len - s->wired : 0;
}

static bool wants_to_write(const struct stream *s)
{
	return s->tls ? wire_pending(s) : s->out.len > s->sent;
}

static void set_poll(struct stream *s)
{
	bool deaf = s->paused || (s->finishing && !s->shut) || (s->tls && tls_is_busy(s->tls));
	int events = (deaf ? 0 : UV_READABLE) | (s->urgent ? UV_PRIORITIZED : 0) |
		     (wants_to_write(s) ? UV_WRITABLE : 0);
	if (!events && !(s->tls && tls_is_busy(s->tls)))
		events = UV_DISCONNECT;
	if (events == s->polled)
		return;
	s->polled = events;
	if (events)
		uv_poll_start(&s->poll, events, on_poll);
	else
		uv_poll_stop(&s->poll);
}

static void on_finish_closed(uv_handle_t *h)
{
	free(h);
}

static void on_closed(uv_handle_t *h)
{
	struct stream *s = h->data;
	close(s->fd);
	tls_free(s->tls);
	buf_release(&s->out);
	free(s);
}

static void unlink_dirty(struct stream *s)
{
	for (struct stream **p = &s->net->dirty; *p; p = &(*p)->next_dirty)
		if (*p == s) {
			*p = s->next_dirty;
			break;
		}
	s->dirty = false;
}

void stream_close(struct stream *s)
{
	if (s->closing)
		return;
	s->closing = true;
	if (s->dirty)
		unlink_dirty(s);
	if (s->finish)
		uv_close((uv_handle_t *)s->finish, on_finish_closed);
	uv_close((uv_handle_t *)&s->poll, on_closed);
}

static void ended(struct stream *s, int error)
{
	bool told = s->finishing;
	stream_close(s);
	if (!told)
		s->events->closed(s->owner, error);
}

/* Memory as large as what one turn gives a reader goes round: to take it anew costs more than to fill it. */
static void put_aside(struct stream *s)
{
	struct net *net = s->net;
	bool stopped = uv_is_closing((uv_handle_t *)&net->busy);
	if (!stopped && !net->spare.size && s->out.size <= SPARE_MAX) {
		net->spare = s->out;
		s->out = (struct buf)BUF_INIT;
		buf_clear(&net->spare);
	} else {
		buf_release(&s->out);
	}
}

static void take_spare(struct stream *s)
{
	s->out = s->net->spare;
	s->net->spare = (struct buf)BUF_INIT;
}

/* 1: all gone, 0: the kernel is full, -errno. */
static int send_all(int fd, struct buf *b, size_t *sent)
{
	while (*sent < b->len) {
		ssize_t n = send(fd, b->data + *sent, b->len - *sent, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN && *sent > b->len / 2) {
			buf_consume(b, *sent);
			*sent = 0;
		}
		if (n < 0)
			return errno == EAGAIN ? 0 : -errno;
		*sent += (size_t)n;
	}
	*sent = 0;
	return 1;
}

static int send_wire(struct stream *s)
{
	int r = tls_is_busy(s->tls) ? 0 : send_all(s->fd, tls_out(s->tls), &s->wired);
	if (r == 1)
		buf_release(tls_out(s->tls));
	return r;
}

static int encrypt(struct stream *s)
{
	int r = 0;
	while (!r && s->sent < s->out.len && wire_pending(s) < WIRE_ENOUGH) {
		size_t left = s->out.len - s->sent, n = left < RECORD ? left : RECORD;
		r = tls_write(s->tls, s->out.data + s->sent, n);
		s->sent += n;
	}
	return r;
}

static int write_secured(struct stream *s)
{
	int r = send_wire(s);
	if (!tls_is_open(s->tls))
		return r < 0 ? r : s->sent == s->out.len && r;
	while (r == 1 && s->sent < s->out.len) {
		r = encrypt(s);
		if (!r)
			r = send_wire(s);
	}
	if (r == 1)
		s->sent = 0;
	return r;
}

static int write_out(struct stream *s)
{
	int r = s->tls ? write_secured(s) : send_all(s->fd, &s->out, &s->sent);
	if (r != 1)
		return r;
	if (s->out.size > OUT_KEEP)
		put_aside(s);
	buf_clear(&s->out);
	return 1;
}

void stream_push(struct stream *s)
{
	if (!s->closing && !s->out.failed && s->out.len)
		write_out(s); /* what is wrong with it is found out at the end of the turn */
}

/* Closing with input unread would make the kernel throw away what the peer has not read yet. */
static void listen_out(struct stream *s)
{
	if (s->shut)
		return;
	s->shut = true;
	if (shutdown(s->fd, SHUT_WR))
		ended(s, -errno);
	else
		set_poll(s);
}

static void tell_below(struct stream *s)
{
	if (s->closing || s->finishing || !s->marked || stream_pending(s) > s->mark)
		return;
	s->marked = false;
	s->events->below(s->owner);
}

static void hand_out(struct stream *s);

/* The last that is said. */
static int say_end(struct stream *s)
{
	if (!s->tls || s->end_said)
		return 1;
	s->end_said = true;
	tls_say_end(s->tls);
	return send_wire(s);
}

static void flush(struct stream *s)
{
	if (s->closing)
		return;
	bool had = s->out.len > 0 || s->wanted;
	int r = s->out.failed ? -ENOMEM : write_out(s);
	if (r == 1 && (s->finishing || s->ending))
		r = say_end(s);
	if (r < 0) {
		ended(s, r);
		return;
	}
	if (r && (s->finishing || s->ending)) {
		listen_out(s);
		return;
	}
	set_poll(s);
	s->wanted = s->wanted && !r;
	if (r && had && s->events->drained)
		s->events->drained(s->owner);
	tell_below(s);
	if (s->tls && !s->closing && tls_is_open(s->tls) && tls_has_more(s->tls))
		hand_out(s);
}

/* --- reading --- */

static void hand_out(struct stream *s)
{
	while (!s->closing && !s->paused) {
		ssize_t n = tls_read(s->tls, s->net->read_buffer, sizeof s->net->read_buffer);
		if (n < 0)
			ended(s, n == -EPIPE ? 0 : (int)n);
		if (n <= 0)
			return;
		if (!s->finishing)
			s->events->data(s->owner, s->net->read_buffer, (size_t)n);
	}
}

static void on_step(void *owner, int result)
{
	struct stream *s = owner;
	if (s->closing)
		return;
	int r = send_wire(s); /* also why it failed, for the other side */
	if (result < 0 || r < 0) {
		ended(s, result < 0 ? result : r);
		return;
	}
	if (result == 1 && s->events->secured)
		s->events->secured(s->owner);
	if (s->closing)
		return;
	set_poll(s);
	if (result == 1)
		stream_out(s); /* what waits leaves, and what came behind the handshake is handed out */
	else if (tls_has_more(s->tls))
		tls_step(s->tls);
}

static void take_in(struct stream *s, const char *bytes, size_t n)
{
	int r = tls_put_in(s->tls, bytes, n);
	if (!r && tls_is_open(s->tls)) {
		hand_out(s);
		return;
	}
	if (!r)
		r = tls_step(s->tls);
	if (r)
		ended(s, r);
	else
		set_poll(s);
}

static void take(struct stream *s, char *bytes, size_t n)
{
	if (s->tls)
		take_in(s, bytes, n);
	else if (!s->finishing)
		s->events->data(s->owner, bytes, n);
}

static void read_in(struct stream *s)
{
	for (int i = 0; i < READS_A_TURN && !s->closing && !s->paused && !(s->tls && tls_is_busy(s->tls)); i++) {
		ssize_t n = recv(s->fd, s->net->read_buffer, sizeof s->net->read_buffer, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0) {
			ended(s, n ? -errno : s->tls ? -ECONNRESET : 0);
			return;
		}
		take(s, s->net->read_buffer, (size_t)n);
		if ((size_t)n < sizeof s->net->read_buffer)
			return;
	}
}

/* libuv says EBADF whatever the error was; the socket knows. */
static int socket_error(int fd, int status)
{
	int error = 0;
	socklen_t len = sizeof error;
	return !getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) && error ? -error : status;
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct stream *s = poll->data;
	if (status < 0) {
		ended(s, socket_error(s->fd, status));
		return;
	}
	if ((events & UV_PRIORITIZED) && s->events->urgent)
		s->events->urgent(s->owner);
	if ((events & UV_READABLE) && !s->closing)
		read_in(s);
	if ((events & UV_WRITABLE) && !s->closing)
		flush(s);
	if (events == UV_DISCONNECT && !s->closing)
		ended(s, s->tls ? -ECONNRESET : 0);
}

int stream_new(struct stream **ret, struct net *net, int fd, const struct stream_events *events, void *owner)
{
	struct stream *s = calloc(1, sizeof *s);
	if (!s)
		return -ENOMEM;
	*s = (struct stream){.net = net, .events = events, .owner = owner, .fd = fd, .polled = -1};
	int r = uv_poll_init(net->loop, &s->poll, fd);
	if (r) {
		free(s);
		return r;
	}
	s->poll.data = s;
	set_poll(s);
	*ret = s;
	return 0;
}

int stream_secure(struct stream *s, struct ssl_ctx_st *context, bool accepting, const char *alpn)
{
	int r = tls_new(&s->tls, s->net, context, accepting, alpn, on_step, s);
	s->urgent = false;
	if (!r && !accepting)
		r = tls_step(s->tls);
	set_poll(s);
	return r;
}

const struct ssl_st *stream_ssl(const struct stream *s)
{
	return s->tls && !tls_is_busy(s->tls) ? tls_ssl(s->tls) : NULL;
}

bool stream_is_shaking(const struct stream *s)
{
	return s->tls && tls_is_busy(s->tls);
}

const char *stream_why(const struct stream *s)
{
	return s->tls ? tls_why(s->tls) : "";
}

struct buf *stream_out(struct stream *s)
{
	if (!s->dirty && !s->closing) {
		if (!s->out.size)
			take_spare(s);
		s->dirty = true;
		s->next_dirty = s->net->dirty;
		s->net->dirty = s;
	}
	return &s->out;
}

size_t stream_pending(const struct stream *s)
{
	return s->out.len - s->sent + wire_pending(s);
}

void stream_tell_below(struct stream *s, size_t mark)
{
	s->marked = true;
	s->mark = mark;
	if (stream_pending(s) <= mark)
		stream_out(s); /* told at the end of this turn */
}

void stream_end(struct stream *s)
{
	s->ending = true;
	stream_out(s);
}

int stream_fd(const struct stream *s)
{
	return s->fd;
}

void stream_want_drained(struct stream *s)
{
	s->wanted = true;
	stream_out(s);
}

void stream_want_urgent(struct stream *s, bool want)
{
	s->urgent = want && !s->tls;
	if (!s->closing)
		set_poll(s);
}

void stream_give(struct stream *s, const struct stream_events *events, void *owner)
{
	s->events = events;
	s->owner = owner;
	stream_want_urgent(s, false);
}

void stream_pause(struct stream *s, bool paused)
{
	s->paused = paused;
	if (s->closing)
		return;
	set_poll(s);
	if (!paused && s->tls && tls_has_more(s->tls))
		stream_out(s); /* at the end of this turn */
}

static void on_finish_late(uv_timer_t *timer)
{
	stream_close(timer->data);
}

void stream_finish(struct stream *s)
{
	if (s->closing || s->finishing)
		return;
	if (s->tls && !tls_is_open(s->tls)) {
		stream_close(s);
		return;
	}
	s->finishing = true;
	s->urgent = false;
	s->finish = calloc(1, sizeof *s->finish);
	if (!s->finish) {
		stream_close(s);
		return;
	}
	uv_timer_init(s->net->loop, s->finish);
	s->finish->data = s;
	uv_timer_start(s->finish, on_finish_late, FINISH_MS, 0);
	stream_out(s);
}

/* --- the end of a turn --- */

static void flush_dirty(struct net *net)
{
	struct stream *s = net->dirty;
	net->dirty = NULL;
	while (s) {
		struct stream *next = s->next_dirty;
		s->dirty = false;
		s->next_dirty = NULL;
		flush(s);
		s = next;
	}
}

static void on_busy(uv_idle_t *handle)
{
}

/* Who streams to a fast reader has more as soon as this has left: others get a turn in between. */
void net_flush(struct net *net)
{
	if (net->dirty && net->before_output)
		net->before_output(net->before_data);
	for (int i = 0; i < 8 && net->dirty; i++)
		flush_dirty(net);
	if (net->dirty)
		uv_idle_start(&net->busy, on_busy);
	else
		uv_idle_stop(&net->busy);
}

static void on_prepare(uv_prepare_t *handle)
{
	net_flush(handle->data);
}

static void on_check(uv_check_t *handle)
{
	net_flush(handle->data);
}

int net_start(struct net *net, uv_loop_t *loop)
{
	net->loop = loop;
	net->dirty = NULL;
	net->spare = (struct buf)BUF_INIT;
	net->handshakes = NULL;
	net->handshakes_n = 0;
	net->before_output = NULL;
	net->descriptors = NULL;
	uv_prepare_init(loop, &net->prepare);
	uv_check_init(loop, &net->check);
	uv_idle_init(loop, &net->busy);
	net->prepare.data = net->check.data = net;
	uv_prepare_start(&net->prepare, on_prepare);
	return uv_check_start(&net->check, on_check);
}

void net_stop(struct net *net)
{
	uv_close((uv_handle_t *)&net->prepare, NULL);
	uv_close((uv_handle_t *)&net->check, NULL);
	uv_close((uv_handle_t *)&net->busy, NULL);
	buf_release(&net->spare);
}
