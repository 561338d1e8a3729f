/* SPDX-License-Identifier: Apache-2.0 */
/* bench-calls SOCKET HOST|- CALLS ROUNDS PID...: what a call with 64 bytes there and back costs, one JSON
 * line.
 *
 * host.ping through libvigia, one at a time; PID...: the daemons it goes through. In turns with it the floor:
 * two processes on bare libuv that send each other as many bytes as such a call has on its wire, over a Unix
 * socket and over TCP on loopback. CPU of all ends; this end on processor 0, the floor's other one on 1 (who
 * runs this pins the daemons). The median round is printed.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

#include "libvigia/vigia.h"
#include "proto/frame.h"
#include "proto/msg.h"

enum { SIZE = 64, ROUNDS_MAX = 1001, PIDS_MAX = 8 };

static char data[SIZE];
static pid_t pids[PIDS_MAX];
static size_t pids_n;

static void die(const char *what)
{
	fprintf(stderr, "bench-calls: %s\n", what);
	exit(1);
}

static void pin(int processor)
{
	cpu_set_t set;
	CPU_ZERO(&set);
	CPU_SET(processor, &set);
	sched_setaffinity(0, sizeof set, &set);
}

static int64_t cpu_ns(pid_t pid)
{
	clockid_t clock;
	struct timespec t;
	if (clock_getcpuclockid(pid, &clock) || clock_gettime(clock, &t))
		die("a process is gone");
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static int64_t cpu_of(const pid_t *of, size_t n)
{
	int64_t sum = 0;
	for (size_t i = 0; i < n; i++)
		sum += cpu_ns(of[i]);
	return sum;
}

/* --- the floor --- */

static size_t query_n, answer_n;

/* As many bytes as the calls to the own daemon have. */
static void weigh(void)
{
	struct buf out = BUF_INIT;
	struct frame_route route = {0};
	struct msg *q = msg_new("host"), *a = msg_new("host");
	msg_set(q, "query", "ping");
	msg_set_bytes(q, "data", data, SIZE);
	msg_set_bytes(a, "data", data, SIZE);
	frame_put_query(&out, 0, 1, &route, q);
	query_n = out.len;
	buf_clear(&out);
	frame_put_msg(&out, FRAME_ANSWER, 1, a);
	frame_put(&out, FRAME_END, 0, 1, NULL, 0);
	answer_n = out.len;
	buf_release(&out);
	msg_free(q);
	msg_free(a);
}

struct end {
	uv_loop_t loop;
	union {
		uv_stream_t stream;
		uv_pipe_t pipe;
		uv_tcp_t tcp;
	};
	char out[256], in[65536];
	size_t expects, says, got;
	int64_t left; /* rounds; -1: for ever */
};

static void on_buffer(uv_handle_t *h, size_t suggested, uv_buf_t *ret)
{
	struct end *e = h->data;
	*ret = uv_buf_init(e->in, sizeof e->in);
}

static void say(struct end *e)
{
	uv_buf_t b = uv_buf_init(e->out, (unsigned)e->says);
	if (uv_try_write(&e->stream, &b, 1) != (int)e->says)
		die("a socket is full");
}

static void on_bytes(uv_stream_t *s, ssize_t n, const uv_buf_t *b)
{
	struct end *e = s->data;
	if (n < 0)
		exit(0);
	e->got += (size_t)n;
	if (e->got < e->expects)
		return;
	e->got = 0;
	if (e->left > 0)
		e->left--;
	if (e->left)
		say(e);
	else
		uv_stop(&e->loop);
}

static void open_end(struct end *e, int fd, bool tcp, size_t expects, size_t says)
{
	*e = (struct end){.expects = expects, .says = says, .left = -1};
	uv_loop_init(&e->loop);
	if (tcp ? uv_tcp_init(&e->loop, &e->tcp) || uv_tcp_open(&e->tcp, fd) || uv_tcp_nodelay(&e->tcp, 1)
		: uv_pipe_init(&e->loop, &e->pipe, 0) || uv_pipe_open(&e->pipe, fd))
		die("libuv takes no socket");
	e->stream.data = e;
	uv_read_start(&e->stream, on_buffer, on_bytes);
}

static void tcp_pair(int fds[2])
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof a;
	int l = socket(AF_INET, SOCK_STREAM, 0);
	fds[0] = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(l, (struct sockaddr *)&a, n) || listen(l, 1) || getsockname(l, (struct sockaddr *)&a, &n) ||
	    connect(fds[0], (struct sockaddr *)&a, n) || (fds[1] = accept(l, NULL, NULL)) < 0)
		die("no TCP on loopback");
	close(l);
}

static pid_t floor_begin(struct end *e, bool tcp)
{
	int fds[2];
	if (tcp)
		tcp_pair(fds);
	else if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds))
		die("no sockets");
	pid_t pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		pin(1);
		close(fds[0]);
		open_end(e, fds[1], tcp, query_n, answer_n);
		uv_run(&e->loop, UV_RUN_DEFAULT);
		exit(0);
	}
	close(fds[1]);
	open_end(e, fds[0], tcp, answer_n, query_n);
	return pid;
}

static double floor_round(struct end *e, pid_t other, int calls)
{
	pid_t both[] = {getpid(), other};
	int64_t before = cpu_of(both, 2);
	e->left = calls;
	say(e);
	uv_run(&e->loop, UV_RUN_DEFAULT);
	return (double)(cpu_of(both, 2) - before) / 1e3 / calls;
}

/* --- ours --- */

static int on_answer(void *ret, const struct vigia_message *m)
{
	size_t n;
	const void *bytes = vigia_get_bytes(m, "data", &n);
	*(bool *)ret = bytes && n == SIZE && !memcmp(bytes, data, SIZE);
	return 0;
}

static void ping(struct vigia *v, const char *host)
{
	struct vigia_error why = {0};
	bool same = false;
	struct vigia_message *q = vigia_query("host.ping");
	vigia_set_bytes(q, "data", data, SIZE);
	if (vigia_call(v, host, q, 0, on_answer, &same, &why))
		die(why.text);
	if (!same)
		die("another answer than was asked");
}

static double our_round(struct vigia *v, const char *host, int calls, double *ret_client)
{
	int64_t self = cpu_ns(getpid()), before = self + cpu_of(pids, pids_n);
	for (int i = 0; i < calls; i++)
		ping(v, host);
	int64_t self_after = cpu_ns(getpid());
	*ret_client = (double)(self_after - self) / 1e3 / calls;
	return (double)(self_after + cpu_of(pids, pids_n) - before) / 1e3 / calls;
}

/* --- both --- */

struct round {
	double us, client, unix_us, tcp_us, times, times_of_links;
};

static int compare(const void *a, const void *b)
{
	double x = ((const struct round *)a)->times, y = ((const struct round *)b)->times;
	return (x > y) - (x < y);
}

static void report(struct round *r, int n)
{
	qsort(r, (size_t)n, sizeof *r, compare);
	const struct round *m = &r[n / 2];
	printf("{\"times\": %.2f, \"times_of_links\": %.2f, \"us\": %.2f, \"of_it_client\": %.2f, "
	       "\"floor_unix_us\": %.2f, "
	       "\"floor_tcp_us\": %.2f, \"rounds\": [%.2f, %.2f], \"bytes\": [%zu, %zu]}\n",
	    m->times, m->times_of_links, m->us, m->client, m->unix_us, m->tcp_us, r[0].times, r[n - 1].times,
	    query_n, answer_n);
}

static void run(struct vigia *v, const char *host, int calls, int rounds)
{
	static struct end local, network;
	static struct round r[ROUNDS_MAX];
	pid_t other[] = {floor_begin(&local, false), floor_begin(&network, true)};
	for (int i = -1; i < rounds; i++) { /* the first is for warming up */
		struct round now = {.unix_us = floor_round(&local, other[0], calls)};
		now.us = our_round(v, host, calls, &now.client);
		now.tcp_us = floor_round(&network, other[1], calls);
		now.times = now.us / now.unix_us;
		now.times_of_links = pids_n < 2 ? now.times : now.us / (now.unix_us + now.tcp_us);
		if (i >= 0)
			r[i] = now;
	}
	for (int i = 0; i < 2; i++) {
		kill(other[i], SIGKILL);
		waitpid(other[i], NULL, 0);
	}
	report(r, rounds);
}

int main(int argc, char **argv)
{
	struct vigia *v;
	struct vigia_error why;
	int calls, rounds;
	if (argc < 6 || argc > 5 + PIDS_MAX || (calls = atoi(argv[3])) < 1 || (rounds = atoi(argv[4])) < 1 ||
	    rounds > ROUNDS_MAX)
		die("usage: bench-calls SOCKET HOST|- CALLS ROUNDS PID...");
	for (int i = 5; i < argc; i++)
		pids[pids_n++] = atoi(argv[i]);
	pin(0);
	memset(data, 'x', sizeof data);
	weigh();
	if (vigia_open(&v, argv[1], &why))
		die(why.text);
	run(v, strcmp(argv[2], "-") ? argv[2] : NULL, calls, rounds);
	vigia_close(v);
	return 0;
}
