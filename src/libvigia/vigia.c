/* SPDX-License-Identifier: Apache-2.0 */
#include "libvigia/vigia.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libvigia/connection.h"
#include "os/clock.h"
#include "os/start.h"

enum { READ = 65536, OPEN_MS = 5000, START_MS = 10000, CLOSE_MS = 1000, OUT_KEEP = 65536 };

/* --- the socket --- */

/* 0: what could leave has left. */
int flush_out(struct vigia *v)
{
	while (v->sent < v->out.len) {
		ssize_t n = send(v->fd, v->out.data + v->sent, v->out.len - v->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? 0 : -EPIPE;
		v->sent += (size_t)n;
	}
	v->sent = 0;
	if (v->out.size > OUT_KEEP)
		buf_release(&v->out);
	buf_clear(&v->out);
	return 0;
}

static int on_hello(struct vigia *v, const struct frame *f)
{
	struct msg *m;
	const char *why;
	if (frame_get_msg(f, &m, &why))
		return -EPROTO;
	snprintf(v->host, sizeof v->host, "%s", msg_get(m, "name", ""));
	msg_free(m);
	v->met = true;
	return 0;
}

/* An event was not taken; or the connection is over. */
static int on_error_of_no_query(struct vigia *v, const struct frame *f)
{
	struct msg *m;
	const char *why;
	if (frame_get_msg(f, &m, &why))
		return -EPROTO;
	bool over = strcmp(msg_get(m, "code", ""), "event") != 0;
	say(over ? &v->why : &v->refusal, 0, msg_get(m, "code", ""), "%s", m->text);
	v->refused += !over;
	msg_free(m);
	return over ? -EPIPE : 0;
}

static int on_frame(void *data, const struct frame *f)
{
	struct vigia *v = data;
	if (f->kind == FRAME_HELLO)
		return on_hello(v, f);
	if (f->kind == FRAME_ERROR && !f->number)
		return on_error_of_no_query(v, f);
	if (f->kind == FRAME_QUERY || f->kind == FRAME_CANCEL)
		return service_take_frame(v, f);
	return ask_take_frame(v, f);
}

static int feed(struct vigia *v, const char *bytes, size_t n)
{
	int r = frame_cut(&v->cutter, bytes, n, on_frame, v);
	if (r == -EPROTO)
		say(&v->why, 0, "", "not a frame of Vigia's at byte %llu: %s", (unsigned long long)v->cutter.at,
		    v->cutter.why ? v->cutter.why : "a message");
	return r;
}

/* 1: something came; 0: nothing now. */
static int read_in(struct vigia *v)
{
	char bytes[READ];
	ssize_t n = recv(v->fd, bytes, sizeof bytes, MSG_DONTWAIT);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -EPIPE;
	if (!n)
		return -EPIPE;
	int r = feed(v, bytes, (size_t)n);
	return r ? r : 1;
}

static int broken(struct vigia *v, int r)
{
	v->error = -EPIPE;
	if (!*v->why.text)
		say(&v->why, 0, "", "%s", r == -EPIPE ? "vigiad closed the connection" : strerror(-r));
	ask_end_all(v, -EPIPE, &v->why);
	return -EPIPE;
}

static int step(struct vigia *v)
{
	if (v->error)
		return v->error;
	int r = flush_out(v), got = r ? r : read_in(v);
	if (got < 0)
		return broken(v, got);
	order_settle(v);
	ask_check_deadlines(v);
	r = flush_out(v);
	return r ? broken(v, r) : got;
}

/* --- waiting --- */

int vigia_fd(const struct vigia *v)
{
	return v->fd;
}

short vigia_events(const struct vigia *v)
{
	return (short)(POLLIN | (v->out.len ? POLLOUT : 0));
}

int vigia_timeout_ms(const struct vigia *v)
{
	int64_t next = ask_next_deadline_ns(v), turn = order_wake_ns(v);
	next = turn < next ? turn : next;
	if (next == INT64_MAX)
		return -1;
	int64_t left = next == INT64_MIN ? 0 : next - clock_mono_ns();
	return left <= 0 ? 0 : left > 3600000000000 ? 3600000 : (int)(left / 1000000) + 1;
}

int vigia_dispatch(struct vigia *v)
{
	int r;
	do
		r = step(v);
	while (r > 0);
	return r;
}

static int sooner(int a, int b)
{
	return a < 0 ? b : b < 0 ? a : a < b ? a : b;
}

int vigia_wait(struct vigia *v, int timeout_ms)
{
	if (v->error)
		return v->error;
	int r = flush_out(v);
	if (r)
		return broken(v, r);
	struct pollfd p = {.fd = v->fd, .events = vigia_events(v)};
	r = poll(&p, 1, sooner(timeout_ms, vigia_timeout_ms(v)));
	if (r < 0)
		return -errno;
	return step(v);
}

/* --- open and close --- */

static int greet(struct vigia *v)
{
	struct msg *m = msg_new("hello");
	if (!m)
		return -ENOMEM;
	msg_set_int(m, "version", 1);
	msg_set(m, "role", "client");
	buf_put(&v->out, FRAME_PREFACE, FRAME_PREFACE_SIZE);
	int r = frame_put_msg(&v->out, FRAME_HELLO, 0, m);
	msg_free(m);
	return r ? r : v->out.failed ? -ENOMEM : 0;
}

static int meet(struct vigia *v, struct vigia_error *ret_error)
{
	int64_t end_ns = clock_mono_ns() + OPEN_MS * 1000000LL;
	int r = greet(v);
	while (!r && !v->met) {
		int64_t left_ns = end_ns - clock_mono_ns();
		if (left_ns <= 0)
			return say(ret_error, -ETIMEDOUT, "", "what answers there says nothing for 5 s");
		r = vigia_wait(v, (int)(left_ns / 1000000) + 1);
		r = r == -EINTR || r > 0 ? 0 : r;
	}
	if (r && ret_error)
		*ret_error = v->why;
	return r;
}

int vigia_open(struct vigia **ret, const char *at, struct vigia_error *ret_error)
{
	int fd = connect_to(at, ret_error);
	if (fd < 0)
		return fd;
	struct vigia *v = calloc(1, sizeof *v);
	if (!v) {
		close(fd);
		return say(ret_error, -ENOMEM, "", "no memory");
	}
	v->fd = fd;
	int r = meet(v, ret_error);
	if (r)
		vigia_close(v);
	else
		*ret = v;
	return r;
}

static bool wait_for(const struct vigia *v, short events, int64_t end_ns)
{
	struct pollfd p = {.fd = v->fd, .events = events};
	int64_t left_ns = end_ns - clock_mono_ns();
	return left_ns > 0 && (poll(&p, 1, (int)(left_ns / 1000000) + 1) > 0 || errno == EINTR);
}

/* The daemon that finds nobody to write to reads no more either: so we read until it has seen our end. */
int vigia_open_or_start(struct vigia **ret, struct vigia_error *ret_error)
{
	struct buf why = BUF_INIT;
	int r = vigia_open(ret, NULL, ret_error);
	if (r != -ENOENT && r != -ECONNREFUSED)
		return r;
	r = daemon_start(START_MS, &why);
	if (r)
		say(ret_error, r, "", "%s", buf_str(&why));
	buf_release(&why);
	return r ? r : vigia_open(ret, NULL, ret_error);
}

static void let_leave(struct vigia *v)
{
	char bytes[4096];
	int64_t end_ns = clock_mono_ns() + CLOSE_MS * 1000000LL;
	while (!v->error && !flush_out(v) && v->out.len && wait_for(v, POLLOUT, end_ns))
		;
	if (!v->has_put || v->error || shutdown(v->fd, SHUT_WR))
		return;
	while (wait_for(v, POLLIN, end_ns) && recv(v->fd, bytes, sizeof bytes, MSG_DONTWAIT) > 0)
		;
}

static void nothing_over(struct ask *a, int result, const struct vigia_error *error)
{
}

void vigia_close(struct vigia *v)
{
	static const struct ask_type nobody = {.over = nothing_over};
	if (!v)
		return;
	let_leave(v);
	for (size_t i = 0; i < ASKS; i++)
		for (struct ask *a = v->asks[i]; a; a = a->next)
			*a = (struct ask){.type = &nobody, .number = a->number, .next = a->next};
	ask_end_all(v, -EPIPE, &v->why);
	service_release(v);
	order_release(v);
	close(v->fd);
	frame_cutter_release(&v->cutter);
	buf_release(&v->out);
	free(v);
}

const char *vigia_host(const struct vigia *v)
{
	return v->host;
}
