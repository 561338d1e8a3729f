/* SPDX-License-Identifier: Apache-2.0 */
/* bench-events burst|stopped SOCKET PID READERS: events of 64 bytes through libvigia and the daemon PID, one
 * JSON line.
 *
 * burst: one emitter, READERS connections of another process, 1,000 events at a time, the next when all have
 * been received: CPU a delivery; beside it the same bytes written to as many sockets and read there. stopped:
 * a million events a second, READERS readers, each a process, of which one is stopped half of the time: what
 * the others get of it then and before, and what the stopped one is told afterwards.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "libvigia/vigia.h"

enum {
	SIZE = 64,
	READERS_MAX = 1000,
	BURST = 1000,
	BURSTS = 100,
	WARM = 5,
	SECONDS = 3,
	RATE = 1000000,
	WIRE = 132 /* bytes of an event of SIZE */
};

struct reader {
	struct vigia *connection;
	struct count {
		_Atomic uint64_t got, lost, last;
	} * count;
};

static struct count *counts; /* shared with the emitter */
static struct reader readers[READERS_MAX];
static struct vigia *v;
static struct vigia_channel channel;
static char data[SIZE];
static char key[32];

static void die(const char *what)
{
	fprintf(stderr, "bench-events: %s\n", what);
	exit(1);
}

static int64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static int64_t cpu_ns(pid_t pid)
{
	clockid_t clock;
	struct timespec t;
	if (clock_getcpuclockid(pid, &clock) || clock_gettime(clock, &t))
		die("a process is gone");
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

/* --- who reads --- */

static void on_event(void *owner, const struct vigia_event *e)
{
	struct count *c = ((struct reader *)owner)->count;
	if (e->lost)
		c->lost += e->lost;
	else if (e->sequence != c->got + c->lost + 1)
		die("an event is out of its place");
	else
		c->got++;
}

static void on_over(void *owner, int result, const struct vigia_error *error)
{
	die(error ? error->text : "a subscription is over");
}

static void subscribe(struct reader *r, const char *at)
{
	static const struct vigia_subscriber all = {.event = on_event, .over = on_over};
	struct vigia_subscriber s = all;
	struct vigia_error why;
	s.data = r;
	if (vigia_open(&r->connection, at, &why))
		die(why.text);
	if (vigia_subscribe(r->connection, NULL, key, UINT32_MAX, 0, &s) < 0)
		die("no subscription");
}

static uint64_t seen(const struct count *c)
{
	return c->got + c->lost;
}

static uint64_t least(int n)
{
	uint64_t least = UINT64_MAX;
	for (int i = 0; i < n; i++)
		least = seen(&counts[i]) < least ? seen(&counts[i]) : least;
	return least;
}

/* Tells `up` whenever all have seen another burst. */
static void read_all(const char *at, int n, int up)
{
	struct epoll_event events[READERS_MAX], e = {.events = EPOLLIN};
	int poll = epoll_create1(0);
	uint64_t next = BURST;
	for (int i = 0; i < n; i++) {
		readers[i].count = &counts[i];
		subscribe(&readers[i], at);
		vigia_dispatch(readers[i].connection);
		e.data.ptr = &readers[i];
		epoll_ctl(poll, EPOLL_CTL_ADD, vigia_fd(readers[i].connection), &e);
	}
	for (;;) {
		int found = epoll_wait(poll, events, n, -1);
		for (int i = 0; i < found; i++)
			if (vigia_dispatch(((struct reader *)events[i].data.ptr)->connection))
				die("a connection broke");
		if (least(n) >= next) {
			next += BURST;
			if (write(up, "", 1) != 1)
				exit(0);
		}
	}
}

static pid_t read_elsewhere(const char *at, int n, int up, struct count *first)
{
	pid_t pid = fork();
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	counts = first;
	read_all(at, n, up);
	exit(0);
}

/* --- who puts --- */

static void create(const char *at)
{
	struct vigia_error why;
	snprintf(key, sizeof key, "bench-%d", (int)getpid());
	if (vigia_open(&v, at, &why) || vigia_channel(v, key, true, &channel, &why))
		die(why.text);
}

/* Returns how many were taken. */
static uint64_t put(uint64_t n)
{
	for (uint64_t i = 0; i < n; i++) {
		int r = vigia_put(v, &channel, 1, data, SIZE);
		if (r == -ENOBUFS)
			return i;
		if (r)
			die("an event is not taken");
	}
	return n;
}

static void flush(void)
{
	if (vigia_dispatch(v) < 0)
		die("the daemon is gone");
}

/* --- bursts --- */

static void burst(int down)
{
	char byte;
	put(BURST);
	while (vigia_events(v) & POLLOUT)
		flush();
	if (read(down, &byte, 1) != 1)
		die("no readers");
}

/* The same bytes from this process to as many sockets of another. */
static void copy_all(int poll, int n, int up)
{
	static char bytes[65536];
	struct epoll_event events[READERS_MAX];
	for (uint64_t got = 0;;) {
		int found = epoll_wait(poll, events, n, -1);
		for (int i = 0; i < found; i++) {
			ssize_t k = read(events[i].data.fd, bytes, sizeof bytes);
			if (k <= 0)
				exit(0);
			got += (uint64_t)k;
		}
		if (got == (uint64_t)n * BURST * WIRE) {
			got = 0;
			if (write(up, "", 1) != 1)
				exit(0);
		}
	}
}

static void copy_burst(const int *to, int n, int down)
{
	static char bytes[65536];
	static size_t left[READERS_MAX];
	size_t all = (size_t)n;
	char byte;
	for (int i = 0; i < n; i++)
		left[i] = BURST * WIRE;
	while (all)
		for (int i = 0; i < n; i++) {
			ssize_t k = left[i]
					? send(to[i], bytes, left[i] < sizeof bytes ? left[i] : sizeof bytes,
					      MSG_DONTWAIT)
					: 0;
			left[i] -= k > 0 ? (size_t)k : 0;
			all -= k > 0 && !left[i];
		}
	if (read(down, &byte, 1) != 1)
		die("no readers");
}

static double bench_copying(int n)
{
	static int to[READERS_MAX];
	int fds[2], poll = epoll_create1(0), told[2];
	if (pipe(told))
		die("no pipe");
	for (int i = 0; i < n; i++) {
		struct epoll_event e = {.events = EPOLLIN};
		if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds))
			die("no sockets");
		to[i] = fds[0];
		e.data.fd = fds[1];
		epoll_ctl(poll, EPOLL_CTL_ADD, fds[1], &e);
	}
	pid_t child = fork();
	if (!child) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		copy_all(poll, n, told[1]);
	}
	for (int i = 0; i < WARM; i++)
		copy_burst(to, n, told[0]);
	int64_t before = cpu_ns(getpid()) + cpu_ns(child);
	for (int i = 0; i < BURSTS; i++)
		copy_burst(to, n, told[0]);
	int64_t used = cpu_ns(getpid()) + cpu_ns(child) - before;
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	return (double)used / 1e3 / BURST / BURSTS / n;
}

static void bench_burst(const char *at, pid_t daemon, int n)
{
	int fds[2];
	if (pipe(fds))
		die("no pipe");
	pid_t child = read_elsewhere(at, n, fds[1], counts), all[] = {getpid(), daemon, child};
	double us[3];
	for (int i = 0; i < WARM; i++)
		burst(fds[0]);
	for (int i = 0; i < 3; i++)
		us[i] = -(double)cpu_ns(all[i]);
	for (int i = 0; i < BURSTS; i++)
		burst(fds[0]);
	for (int i = 0; i < 3; i++)
		us[i] = (us[i] + (double)cpu_ns(all[i])) / 1e3 / BURST / BURSTS / n;
	double floor = bench_copying(n);
	uint64_t lost = 0;
	for (int i = 0; i < n; i++)
		lost += counts[i].lost;
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	printf("{\"us_per_delivery\": %.3f, \"emitter\": %.4f, \"daemon\": %.3f, \"readers\": %.3f, "
	       "\"floor_us\": %.3f, \"lost\": %llu}\n",
	    us[0] + us[1] + us[2], us[0], us[1], us[2], floor, (unsigned long long)lost);
}

/* --- one that stands still --- */

/* What is put, and what each of n gets, a second. */
struct phase {
	double put, got, lost;
};

static struct phase emit(int n, double seconds)
{
	int64_t begun = now_ns(), took;
	uint64_t sent = 0, got = 0, lost = 0;
	for (int i = 0; i < n; i++) {
		got -= counts[i].got;
		lost -= counts[i].lost;
	}
	while ((took = now_ns() - begun) < seconds * 1e9) {
		uint64_t due = (uint64_t)(took / (1e9 / RATE));
		sent += put(due - sent < BURST ? due - sent : BURST);
		flush();
		if (due - sent < BURST)
			poll(NULL, 0, 1);
	}
	for (int i = 0; i < n; i++) {
		got += counts[i].got;
		lost += counts[i].lost;
	}
	return (struct phase){
	    (double)sent / took * 1e9, (double)got / n / took * 1e9, (double)lost / n / took * 1e9};
}

/* All that were put are with the daemon, and every reader is past them. */
static void settle(int n)
{
	struct vigia_error why;
	while (vigia_events(v) & POLLOUT)
		if (vigia_wait(v, 1) < 0)
			die("the daemon is gone");
	if (vigia_channel(v, key, true, &channel, &why))
		die(why.text);
	for (int64_t end = now_ns() + 10000000000LL; least(n) < channel.sequence && now_ns() < end;)
		poll(NULL, 0, 1);
}

static void bench_stopped(const char *at, pid_t daemon, int n)
{
	pid_t pids[READERS_MAX];
	int fds[2];
	if (pipe(fds))
		die("no pipe");
	for (int i = 0; i < n; i++)
		pids[i] = read_elsewhere(at, 1, fds[1], &counts[i]);
	put(1);
	settle(n);
	emit(n - 1, 1);
	settle(n);
	struct phase before = emit(n - 1, SECONDS);
	settle(n);
	kill(pids[n - 1], SIGSTOP);
	struct phase during = emit(n - 1, SECONDS);
	settle(n - 1);
	kill(pids[n - 1], SIGCONT);
	settle(n);
	const struct count *c = &counts[n - 1];
	printf("{\"lose_percent\": %.2f, \"put_per_s\": %.0f, \"before_per_s\": %.0f, \"during_per_s\": "
	       "%.0f, \"others_lost_per_s\": [%.0f, "
	       "%.0f], \"stopped_got\": %llu, \"stopped_lost\": %llu, \"unaccounted\": %lld, \"refused\": "
	       "%llu}\n",
	    during.got < before.got ? (1 - during.got / before.got) * 100 : 0, during.put, before.got,
	    during.got, before.lost, during.lost, (unsigned long long)c->got, (unsigned long long)c->lost,
	    (long long)(channel.sequence - seen(c)), (unsigned long long)vigia_put_refused(v, NULL));
	for (int i = 0; i < n; i++) {
		kill(pids[i], SIGKILL);
		waitpid(pids[i], NULL, 0);
	}
}

int main(int argc, char **argv)
{
	int n;
	if (argc != 5 || (n = atoi(argv[4])) < 1 || n > READERS_MAX)
		die("usage: bench-events burst|stopped SOCKET PID READERS");
	counts = mmap(
	    NULL, sizeof *counts * READERS_MAX, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (counts == MAP_FAILED)
		die("no memory");
	memset(data, 'x', sizeof data);
	create(argv[2]);
	(strcmp(argv[1], "burst") ? bench_stopped : bench_burst)(argv[2], atoi(argv[3]), n);
	return 0;
}
