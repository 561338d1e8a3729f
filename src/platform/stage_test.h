/* SPDX-License-Identifier: Apache-2.0 */
/* The stage on which platforms are tested: hosts of one process on one loop, each with a port and a core that only
 * counts, and hosts that are processes of their own and send everything back.
 *
 * Messages are numbered by their sender for each receiver, and say how often the sender had lost that receiver. What comes
 * out of order, twice, changed, or with a gap that no `lost` covers, fails the test where it comes; so does one that was
 * sent after the sender was told of a loss when the receiver was not.
 */
#ifndef VIGIA_PLATFORM_STAGE_TEST_H
#define VIGIA_PLATFORM_STAGE_TEST_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "platform/platform.h"
#include "proto/frame.h"
#include "proto/wire.h"

enum { STAGE_HOSTS = 8, STAGE_PENDING = 1 << 22 };

/* Above 0 while the stage itself is at work: its own memory never fails. */
static int stage_depth;

static uv_loop_t loop;
static struct net net;
static uv_timer_t pulse; /* so that the loop looks up now and then */

/* What one host has of another. */
struct line {
	uint64_t sent, got; /* the last numbers */
	uint64_t heard_lost; /* how often the other had lost us, by its last message */
	unsigned lost;
	bool gap; /* the next may have any higher number */
	uint64_t sent_at_lost, got_since_lost;
};

struct stand {
	const struct platform_type *type;
	struct platform *p;
	struct platform_options options;
	char name[16], place[64];
	struct listener *port;
	struct line lines[STAGE_HOSTS]; /* by the other's number */
	unsigned accepted, lost, rooms;
	int error;
	char why[700];
	bool echo;
	bool hears_strangers; /* and is not told from whom it hears what, but of host 0 */
	struct buf stash[STAGE_HOSTS]; /* to be sent back when there is room */
};

static struct host_id id_of(int number)
{
	struct host_id id = {{0}};
	memset(id.bytes, 0xa0 + number, sizeof id.bytes);
	return id;
}

static int number_of(const struct host_id *id)
{
	int number = id->bytes[0] - 0xa0;
	assert_in_range(number, 0, STAGE_HOSTS - 1);
	return number;
}

static void on_pulse(uv_timer_t *timer)
{
}

static void stage_begin(void)
{
	uv_loop_init(&loop);
	net_start(&net, &loop);
	uv_timer_init(&loop, &pulse);
	uv_timer_start(&pulse, on_pulse, 5, 5);
}

static void stage_end(void)
{
	uv_close((uv_handle_t *)&pulse, NULL);
	net_stop(&net);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&loop), 0);
}

#define UNTIL_WITHIN(seconds, condition) \
	do { \
		uint64_t end_ = uv_hrtime() + (uint64_t)((seconds) * 1e9); \
		while (!(condition)) { \
			uv_run(&loop, UV_RUN_ONCE); \
			if (uv_hrtime() > end_) \
				fail_msg("never: %s", #condition); \
		} \
	} while (0)
#define UNTIL(condition) UNTIL_WITHIN(60, condition)

/* --- messages --- */

#define LOST_SHIFT 40

/* A frame of n bytes of payload that its number decides. */
static void make_message(struct buf *out, uint64_t number, size_t n)
{
	char *payload = malloc(n + 8);
	uint64_t x = number * 0x9e3779b97f4a7c15 + n;
	for (size_t i = 0; i < n; i += 8, x = x * 6364136223846793005 + 1)
		memcpy(payload + i, &x, 8);
	frame_put(out, FRAME_ANSWER, 0, number, payload, n);
	free(payload);
}

static void check_message(const struct frame *f)
{
	struct buf same = BUF_INIT;
	make_message(&same, f->number, f->n);
	assert_int_equal(same.len, FRAME_HEADER + f->n);
	assert_memory_equal(same.data + FRAME_HEADER, f->payload, f->n);
	buf_release(&same);
}

/* As platform.send, for the next of this line's numbers; that only counts if it is taken. */
static int say(struct stand *s, int to, size_t n)
{
	struct buf frame = BUF_INIT;
	struct host_id id = id_of(to);
	stage_depth++;
	make_message(&frame, (uint64_t)s->lines[to].lost << LOST_SHIFT | (s->lines[to].sent + 1), n);
	stage_depth--;
	int r = s->type->send(s->p, &id, frame.data, frame.len);
	if (!r)
		s->lines[to].sent++;
	buf_release(&frame);
	return r;
}

static inline size_t room_for(struct stand *s, int to)
{
	struct host_id id = id_of(to);
	return s->type->room(s->p, &id);
}

/* --- a core that counts --- */

static void send_back(struct stand *s, int to)
{
	struct buf *b = &s->stash[to];
	struct host_id id = id_of(to);
	size_t at = 0;
	while (at < b->len) {
		size_t n = FRAME_HEADER + wire_get32((const uint8_t *)b->data + at);
		if (s->type->send(s->p, &id, b->data + at, n))
			break;
		at += n;
	}
	buf_consume(b, at);
	if (!b->len)
		buf_release(b);
}

static bool is_stranger(const struct stand *s, const struct host_id *id)
{
	struct host_id known = id_of(0);
	return s->hears_strangers && !host_id_is(id, &known);
}

static void hear(void *owner, const struct host_id *from, const void *frame, size_t n)
{
	struct stand *s = owner;
	struct frame f;
	const char *why = "";
	assert_int_equal(frame_read(frame, n, &f, &why), 0);
	if (is_stranger(s, from))
		return;
	struct line *line = &s->lines[number_of(from)];
	check_message(&f);
	uint64_t number = f.number & ((1ull << LOST_SHIFT) - 1), lost = f.number >> LOST_SHIFT;
	bool first = !line->got && lost; /* nothing that we had was lost */
	if (number <= line->got || (number != line->got + 1 && !line->gap && !first))
		fail_msg("%s got number %d after %d of host %d", s->name, (int)number, (int)line->got, number_of(from));
	if (line->got && lost != line->heard_lost && !line->gap)
		fail_msg("%s was not told of what host %d lost before it said number %d", s->name, number_of(from),
		    (int)number);
	line->got = number;
	line->heard_lost = lost;
	line->gap = false;
	line->got_since_lost++;
	if (s->echo) {
		buf_put(&s->stash[number_of(from)], frame, n);
		send_back(s, number_of(from));
	}
}

static void stand_received(void *owner, const struct host_id *from, const void *frame, size_t n)
{
	stage_depth++;
	hear(owner, from, frame, n);
	stage_depth--;
}

static void hear_lost(void *owner, const struct host_id *host, int error, const char *why)
{
	struct stand *s = owner;
	assert_true(error < 0);
	if (is_stranger(s, host))
		return;
	struct line *line = &s->lines[number_of(host)];
	s->lost++;
	s->error = error;
	snprintf(s->why, sizeof s->why, "%s", why);
	line->lost++;
	line->gap = true;
	line->sent_at_lost = line->sent;
	line->got_since_lost = 0;
	buf_release(&s->stash[number_of(host)]);
}

static void stand_lost(void *owner, const struct host_id *host, int error, const char *why)
{
	stage_depth++;
	hear_lost(owner, host, error, why);
	stage_depth--;
}

static void stand_room(void *owner, const struct host_id *host)
{
	struct stand *s = owner;
	s->rooms++;
	send_back(s, number_of(host));
}

static const struct platform_events stand_events = {stand_received, stand_lost, stand_room};

/* --- its port: reads until the hello is whole, as the core does --- */

struct caller {
	struct stand *stand;
	struct stream *stream;
	struct buf read;
};

static void caller_free(struct caller *c)
{
	buf_release(&c->read);
	free(c);
}

static void on_caller_data(void *owner, char *bytes, size_t n)
{
	struct caller *c = owner;
	stage_depth++;
	buf_put(&c->read, bytes, n);
	stage_depth--;
	const uint8_t *hello = (const uint8_t *)c->read.data + FRAME_PREFACE_SIZE;
	if (c->read.len < FRAME_PREFACE_SIZE + FRAME_HEADER ||
	    c->read.len < FRAME_PREFACE_SIZE + FRAME_HEADER + wire_get32(hello))
		return;
	if (c->stand->p)
		c->stand->type->accepted(c->stand->p, c->stream, c->read.data, c->read.len);
	else
		stream_close(c->stream);
	caller_free(c);
}

static void on_caller_closed(void *owner, int error)
{
	caller_free(owner);
}

static void on_call(void *data, int fd)
{
	static const struct stream_events events = {.data = on_caller_data, .closed = on_caller_closed};
	stage_depth++;
	struct caller *c = calloc(1, sizeof *c);
	c->stand = data;
	c->stand->accepted++;
	assert_int_equal(stream_new(&c->stream, &net, fd, &events, c), 0);
	stage_depth--;
}

static void stand_listen(struct stand *s)
{
	assert_int_equal(listener_tcp(&s->port, &net, "127.0.0.1", 0, on_call, s), 0);
	snprintf(s->place, sizeof s->place, "127.0.0.1:%d", listener_port(s->port));
}

/* --- hosts of this process --- */

static struct stand *stand_new(const struct platform_type *type, int number, const char *server, int64_t idle_ms)
{
	struct stand *s = calloc(1, sizeof *s);
	s->type = type;
	snprintf(s->name, sizeof s->name, "h%d", number);
	s->options = (struct platform_options){.net = &net, .self = id_of(number), .name = s->name,
	    .idle_ns = idle_ms * 1000000, .pending_most = STAGE_PENDING, .server = server, .cluster = "test",
	    .events = &stand_events, .owner = s};
	return s;
}

static void stand_open(struct stand *s)
{
	struct buf why = BUF_INIT;
	if (s->type->open(&s->p, &s->options, &why))
		fail_msg("%s", buf_str(&why));
	buf_release(&why);
	if (s->type->accepted)
		stand_listen(s);
}

static void stand_shut(struct stand *s)
{
	if (s->p)
		s->type->close(s->p);
	s->p = NULL;
	if (s->port)
		listener_close(s->port);
	s->port = NULL;
}

static void stand_free(struct stand *s)
{
	stand_shut(s);
	for (int i = 0; i < STAGE_HOSTS; i++)
		buf_release(&s->stash[i]);
	free(s);
}

static inline void introduce_as(struct stand *s, int number, const char *name, const char *place)
{
	struct host_id id = id_of(number);
	s->type->place(s->p, &id, name, place);
}

static inline void introduce(struct stand *s, int number, const char *place)
{
	introduce_as(s, number, "", place);
}

/* --- hosts that are processes of their own: they send back what they get --- */

struct child {
	pid_t pid;
	int fd; /* its stdin and stdout; it ends with it */
	char place[64];
};

/* Words for peer_main: TYPE NUMBER SERVER IDLE_MS DEAD_MS PARENT'S-NUMBER PARENT'S-PLACE. */
static inline struct child child_start(const struct stand *parent, int parent_number, int number, int dead_ms)
{
	int fds[2];
	char n[12], idle[24], dead[12], of[12];
	struct child c = {0};
	snprintf(n, sizeof n, "%d", number);
	snprintf(of, sizeof of, "%d", parent_number);
	snprintf(idle, sizeof idle, "%lld", (long long)parent->options.idle_ns / 1000000);
	snprintf(dead, sizeof dead, "%d", dead_ms);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	fflush(stdout);
	c.pid = fork();
	if (!c.pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(fds[1], 0);
		dup2(fds[1], 1);
		execl("/proc/self/exe", "peer", "--peer", parent->type->name, n,
		    parent->options.server ? parent->options.server : "-", idle, dead, of,
		    *parent->place ? parent->place : "-", NULL);
		_exit(127);
	}
	close(fds[1]);
	c.fd = fds[0];
	assert_true(read(c.fd, c.place, sizeof c.place - 1) > 0);
	c.place[strcspn(c.place, "\n")] = '\0';
	return c;
}

static inline void child_kill(struct child *c)
{
	int status;
	kill(c->pid, SIGKILL);
	assert_int_equal(waitpid(c->pid, &status, 0), c->pid);
	close(c->fd);
	c->pid = 0;
}

static void on_stdin_closed(void *owner, int error)
{
	_exit(0); /* the parent is gone or wants it */
}

static void on_stdin(void *owner, char *bytes, size_t n)
{
}

static inline int peer_main(const struct platform_type *type, char **argv)
{
	static const struct stream_events events = {.data = on_stdin, .closed = on_stdin_closed};
	struct stream *in;
	struct stand *s = stand_new(type, atoi(argv[3]), argv[4], atoi(argv[5]));
	stage_begin();
	s->echo = true;
	for (int i = 0; i < STAGE_HOSTS; i++)
		s->lines[i].gap = true; /* it may be the second of its kind */
	s->options.dead_ns = atoi(argv[6]) * 1000000LL;
	stand_open(s);
	introduce(s, atoi(argv[7]), strcmp(argv[8], "-") ? argv[8] : "");
	stream_new(&in, &net, 0, &events, NULL);
	printf("%s\n", s->port ? s->place : "-");
	fflush(stdout);
	return uv_run(&loop, UV_RUN_DEFAULT);
}

#endif
