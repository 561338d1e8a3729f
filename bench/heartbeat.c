/* SPDX-License-Identifier: Apache-2.0 */
/* bench-heartbeat [CONNECTIONS [SECONDS [ROUNDS]]]: what watching costs.
 *
 * Two processes over loopback, one watching and one answering at a beat a second; CPU of each by getrusage,
 * kernel included, as a share of one core; the median of the rounds. The floor beside it is the same loop
 * sending one plain byte and sending it back, which is what any heartbeat costs at least.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "heartbeat/heartbeat.h"

#define MS ((int64_t)1000000)
#define SECOND (1000 * MS)
#define TICK (2 * MS)
#define SLOTS 4096
#define ROUNDS_MAX 25

struct connection {
	int fd;
	struct heartbeat *h; /* NULL: the floor */
	int64_t due_ns;
	struct connection *next;
};

struct side {
	struct connection *all;
	int n, epoll;
	bool watching;
	struct connection *wheel[SLOTS];
	int64_t turned_ns;
	uint64_t echoes;
};

static int64_t monotonic(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * SECOND + t.tv_nsec;
}

static void die(const char *what)
{
	fprintf(stderr, "bench-heartbeat: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void arm(struct side *s, struct connection *c, int64_t due)
{
	int64_t slot = due / TICK;

	if (due == INT64_MAX)
		return;
	if (slot >= s->turned_ns / TICK + SLOTS)
		slot = s->turned_ns / TICK + SLOTS - 1;
	c->due_ns = due;
	c->next = s->wheel[slot % SLOTS];
	s->wheel[slot % SLOTS] = c;
}

static void plain_beat(struct side *s, struct connection *c, int64_t now)
{
	if (send(c->fd, "b", 1, MSG_NOSIGNAL) < 0)
		die("send");
	arm(s, c, c->due_ns + SECOND);
}

static void fire(struct side *s, struct connection *c, int64_t now)
{
	if (!c->h) {
		plain_beat(s, c, now);
		return;
	}
	heartbeat_handle(c->h, 0, now);
	arm(s, c, heartbeat_next(c->h));
}

static void turn_wheel(struct side *s, int64_t now)
{
	for (; s->turned_ns + TICK <= now; s->turned_ns += TICK) {
		struct connection **slot = &s->wheel[s->turned_ns / TICK % SLOTS], *c = *slot, *next;

		*slot = NULL;
		for (; c; c = next) {
			next = c->next;
			fire(s, c, now);
		}
	}
}

static void on_plain(struct side *s, struct connection *c)
{
	char buf[64];

	if (recv(c->fd, buf, sizeof buf, MSG_DONTWAIT) <= 0)
		return;
	s->echoes++;
	if (!s->watching && send(c->fd, "b", 1, MSG_NOSIGNAL) < 0)
		die("send");
}

static void on_event(struct side *s, struct connection *c, uint32_t events, int64_t now)
{
	if (c->h)
		heartbeat_handle(c->h, (short)events, now);
	else
		on_plain(s, c);
}

static void loop(struct side *s, int64_t until)
{
	struct epoll_event e[256];
	int64_t now = monotonic();
	int n;

	while (now < until) {
		n = epoll_wait(s->epoll, e, 256, (int)(TICK / MS));
		now = monotonic();
		for (int i = 0; i < n; i++)
			on_event(s, e[i].data.ptr, e[i].events, now);
		turn_wheel(s, now);
	}
}

static void begin(struct side *s, struct connection *c, bool urgent)
{
	struct heartbeat_config config = {.transport = HEARTBEAT_URGENT, .interval_ns = SECOND};
	struct epoll_event e = {.events = EPOLLIN | (urgent ? EPOLLPRI : 0), .data.ptr = c};
	int64_t now = monotonic();
	int r = 0;

	if (urgent)
		r = (s->watching ? heartbeat_watch : heartbeat_answer)(c->fd, &config, c, now, &c->h);
	if (r < 0 || epoll_ctl(s->epoll, EPOLL_CTL_ADD, c->fd, &e) < 0)
		die("begin");
	if (urgent)
		arm(s, c, heartbeat_next(c->h));
	else if (s->watching)
		arm(s, c, now + (int64_t)(c - s->all) * SECOND / s->n);
}

static double cpu_seconds(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median_share(struct side *s, int seconds, int rounds)
{
	double share[ROUNDS_MAX], before;
	int64_t begun;

	loop(s, monotonic() + 2 * SECOND);
	for (int i = 0; i < rounds; i++) {
		before = cpu_seconds();
		begun = monotonic();
		loop(s, begun + seconds * SECOND);
		share[i] = 100 * (cpu_seconds() - before) / ((double)(monotonic() - begun) / 1e9);
	}
	qsort(share, (size_t)rounds, sizeof share[0], compare);
	return share[rounds / 2];
}

static uint64_t echoes(const struct side *s)
{
	struct heartbeat_counts c;
	uint64_t sum = s->echoes;

	for (int i = 0; i < s->n; i++)
		if (s->all[i].h) {
			heartbeat_counts(s->all[i].h, &c);
			sum += c.received;
		}
	return sum;
}

static int not_up(const struct side *s)
{
	int n = 0;

	for (int i = 0; i < s->n; i++)
		n += s->all[i].h && heartbeat_state(s->all[i].h) != STEP_UP;
	return n;
}

static struct side *make_side(int n, bool watching)
{
	struct side *s = calloc(1, sizeof *s);

	s->all = calloc((size_t)n, sizeof *s->all);
	s->n = n;
	s->watching = watching;
	s->epoll = epoll_create1(0);
	s->turned_ns = monotonic() / TICK * TICK;
	return s;
}

/* Both sides connect in step, so that the listen queue never overflows. */
static void connect_all(struct side *s, const struct sockaddr_in *to, int listener, bool urgent)
{
	for (int i = 0; i < s->n; i++) {
		struct connection *c = &s->all[i];

		c->fd = s->watching ? accept(listener, NULL, NULL) : socket(AF_INET, SOCK_STREAM, 0);
		if (c->fd < 0 ||
		    (!s->watching && connect(c->fd, (const struct sockaddr *)to, sizeof *to) < 0))
			die("connect");
	}
	for (int i = 0; i < s->n; i++)
		begin(s, &s->all[i], urgent);
}

struct outcome {
	double share;
	uint64_t echoes;
	int not_up;
};

static void answer_in_child(
    int pipe_to, int n, const struct sockaddr_in *a, bool urgent, int seconds, int rounds)
{
	struct side *s = make_side(n, false);
	struct outcome o;

	connect_all(s, a, -1, urgent);
	o.share = median_share(s, seconds, rounds);
	o.echoes = echoes(s);
	if (write(pipe_to, &o, sizeof o) != sizeof o)
		die("pipe");
	loop(s, INT64_MAX); /* until the watching side is done, too */
}

static void run(const char *name, bool urgent, int n, int seconds, int rounds)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int listener = socket(AF_INET, SOCK_STREAM, 0), p[2];
	struct outcome mine, other;
	struct side *s;
	pid_t child;

	if (bind(listener, (struct sockaddr *)&a, sizeof a) < 0 || listen(listener, 4096) < 0 || pipe(p) < 0)
		die("listen");
	getsockname(listener, (struct sockaddr *)&a, &(socklen_t){sizeof a});
	child = fork();
	if (child == 0)
		answer_in_child(p[1], n, &a, urgent, seconds, rounds);
	s = make_side(n, true);
	connect_all(s, &a, listener, urgent);
	mine.share = median_share(s, seconds, rounds);
	mine.echoes = echoes(s);
	mine.not_up = not_up(s);
	if (read(p[0], &other, sizeof other) != sizeof other)
		die("the answering side");
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	printf("%-8s %6d connections, 1 beat/s: watch %.2f %%  answer %.2f %%  both %.2f %% of a core, %.2f "
	       "us a "
	       "round trip; %.1f echoes/s, %d not up\n",
	    name, n, mine.share, other.share, mine.share + other.share, (mine.share + other.share) * 1e4 / n,
	    (double)mine.echoes / (seconds * rounds + 2), mine.not_up);
	fflush(stdout);
	for (int i = 0; i < n; i++) {
		heartbeat_free(s->all[i].h);
		close(s->all[i].fd);
	}
	close(listener);
}

int main(int argc, char **argv)
{
	int n = argc > 1 ? atoi(argv[1]) : 10000, seconds = argc > 2 ? atoi(argv[2]) : 5;
	int rounds = argc > 3 ? atoi(argv[3]) : 5;
	struct rlimit r;

	getrlimit(RLIMIT_NOFILE, &r);
	r.rlim_cur = r.rlim_max;
	setrlimit(RLIMIT_NOFILE, &r);
	if (n < 1 || seconds < 1 || rounds < 1 || rounds > ROUNDS_MAX)
		return 2;
	run("floor", false, n, seconds, rounds);
	run("urgent", true, n, seconds, rounds);
	return 0;
}
