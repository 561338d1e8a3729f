/* SPDX-License-Identifier: Apache-2.0 */
/* bench-platform TYPE SERVER|- MODULES ping|stream COUNT: messages of 64 bytes between two processes, one
 * JSON line.
 *
 * ping: one at a time there and back, CPU of both ends a round trip; stream: as many as there is room for,
 * CPU of both ends a message. TYPE libnats: the floor, request and reply of libnats alone, as its examples
 * have it. The server's own CPU is not in it.
 */
#include <errno.h>
#include <nats/nats.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "platform/platform.h"
#include "proto/frame.h"

enum { SIZE = 64, WARM = 1000 };

static uv_loop_t loop;
static struct net net;
static const struct platform_type *type;
static struct platform *platform;
static struct host_id other;
static uint64_t got, sent, wanted;
static bool is_echo, streaming;
static char frame[FRAME_HEADER + SIZE];

static void die(const char *what)
{
	fprintf(stderr, "bench-platform: %s\n", what);
	exit(1);
}

static int64_t cpu_ns(int who)
{
	struct rusage u;
	getrusage(who, &u);
	return (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000000ll +
	       (u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1000ll;
}

static void fill(void)
{
	while (sent < wanted && !type->send(platform, &other, frame, sizeof frame))
		sent++;
}

static void on_received(void *owner, const struct host_id *from, const void *bytes, size_t n)
{
	got++;
	if (is_echo && !streaming)
		type->send(platform, from, bytes, n);
	else if (!is_echo && !streaming && sent < wanted)
		sent += !type->send(platform, from, bytes, n);
	if (is_echo && streaming && got == wanted)
		type->send(platform, from, bytes, n);
}

static void on_lost(void *owner, const struct host_id *host, int error, const char *why)
{
	die(why);
}

static void on_room(void *owner, const struct host_id *host)
{
	fill();
}

/* --- one end --- */

struct caller {
	struct stream *stream;
};

static void on_first_bytes(void *owner, char *bytes, size_t n)
{
	struct caller *c = owner;
	type->accepted(platform, c->stream, bytes, n);
	free(c);
}

static void on_gone(void *owner, int error)
{
	free(owner);
}

static void on_call(void *data, int fd)
{
	static const struct stream_events events = {.data = on_first_bytes, .closed = on_gone};
	struct caller *c = calloc(1, sizeof *c);
	if (stream_new(&c->stream, &net, fd, &events, c))
		die("no stream");
}

static int open_end(int number, const char *server)
{
	static const struct platform_events events = {on_received, on_lost, on_room};
	struct platform_options o = {.net = &net,
	    .self = {{(uint8_t)number, 1}},
	    .name = number == 1 ? "one" : "two",
	    .idle_ns = 60000000000,
	    .pending_most = 1 << 20,
	    .server = server,
	    .cluster = "bench",
	    .events = &events};
	struct buf why = BUF_INIT;
	struct listener *port;
	other = (struct host_id){{(uint8_t)(3 - number), 1}};
	uv_loop_init(&loop);
	net_start(&net, &loop);
	if (type->open(&platform, &o, &why))
		die(buf_str(&why));
	if (!type->accepted)
		return 0;
	if (listener_tcp(&port, &net, "127.0.0.1", 0, on_call, NULL))
		die("no port");
	return listener_port(port);
}

static void echo(int fd, const char *server)
{
	int port = open_end(2, server);
	is_echo = true;
	if (write(fd, &port, sizeof port) != sizeof port)
		die("no parent");
	for (;;)
		uv_run(&loop, UV_RUN_ONCE);
}

static void run(uint64_t n, uint64_t expected)
{
	uint64_t until = got + expected;
	wanted = sent + n;
	if (streaming)
		fill();
	else
		sent += !type->send(platform, &other, frame, sizeof frame);
	while (got < until)
		uv_run(&loop, UV_RUN_ONCE);
}

static void make_frame(void)
{
	char payload[SIZE];
	struct buf whole = BUF_INIT;
	memset(payload, 'x', sizeof payload);
	frame_put(&whole, FRAME_ANSWER, 0, 1, payload, sizeof payload);
	memcpy(frame, whole.data, sizeof frame);
	buf_release(&whole);
}

static void report(pid_t child, int64_t self, uint64_t count)
{
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	printf("{\"us\": %.3f, \"of_it_caller\": %.3f}\n",
	    (double)(self + cpu_ns(RUSAGE_CHILDREN)) / 1e3 / (double)count,
	    (double)self / 1e3 / (double)count);
}

static void bench_platform(const char *server, uint64_t count)
{
	int fds[2], port;
	char place[64];
	make_frame();
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds))
		die("no sockets");
	pid_t pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		wanted = count + 1; /* with the first one */
		echo(fds[1], server);
	}
	if (read(fds[0], &port, sizeof port) != sizeof port)
		die("no child");
	open_end(1, server);
	snprintf(place, sizeof place, "127.0.0.1:%d", port);
	type->place(platform, &other, "", place);
	run(streaming ? 1 : WARM, streaming ? 0 : WARM);
	int64_t self = cpu_ns(RUSAGE_SELF);
	run(count, streaming ? 1 : count);
	report(pid, cpu_ns(RUSAGE_SELF) - self, count);
}

/* --- the floor --- */

static void on_request(natsConnection *nc, natsSubscription *sub, natsMsg *msg, void *closure)
{
	natsConnection_Publish(nc, natsMsg_GetReply(msg), natsMsg_GetData(msg), natsMsg_GetDataLength(msg));
	natsMsg_Destroy(msg);
}

static natsConnection *connect_to(const char *server)
{
	natsOptions *o;
	natsConnection *nc;
	if (natsOptions_Create(&o) || natsOptions_SetURL(o, server) || natsOptions_SetSendAsap(o, true) ||
	    natsConnection_Connect(&nc, o))
		die("no nats-server");
	return nc;
}

static void request(natsConnection *nc, uint64_t n)
{
	natsMsg *answer;
	for (uint64_t i = 0; i < n; i++) {
		if (natsConnection_Request(&answer, nc, "bench.echo", frame, SIZE, 5000))
			die("no answer");
		natsMsg_Destroy(answer);
	}
}

static void bench_libnats(const char *server, uint64_t count)
{
	int fds[2];
	char byte = 0;
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds))
		die("no sockets");
	pid_t pid = fork();
	if (!pid) {
		natsSubscription *sub;
		natsConnection *nc = connect_to(server);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (natsConnection_Subscribe(&sub, nc, "bench.echo", on_request, NULL) ||
		    natsConnection_Flush(nc) || write(fds[1], &byte, 1) != 1)
			die("no subscription");
		for (;;)
			pause();
	}
	if (read(fds[0], &byte, 1) != 1)
		die("no child");
	natsConnection *nc = connect_to(server);
	request(nc, WARM);
	int64_t self = cpu_ns(RUSAGE_SELF);
	request(nc, count);
	report(pid, cpu_ns(RUSAGE_SELF) - self, count);
}

int main(int argc, char **argv)
{
	struct buf why = BUF_INIT;
	if (argc != 6)
		die("usage: bench-platform TYPE SERVER|- MODULES ping|stream COUNT");
	streaming = !strcmp(argv[4], "stream");
	if (!strcmp(argv[1], "libnats")) {
		bench_libnats(argv[2], strtoull(argv[5], NULL, 10));
		return 0;
	}
	if (platform_find(&type, argv[1], argv[3], &why))
		die(buf_str(&why));
	bench_platform(argv[2], strtoull(argv[5], NULL, 10));
	return 0;
}
