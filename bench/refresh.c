/* SPDX-License-Identifier: Apache-2.0 */
/* bench-refresh SOCKET NAME NODES TIMES: `get --update` of one metric of nodes NAME1 ... NAMEn in turn,
 *through the master at SOCKET; how long each took. bench-refresh floor HOPS TIMES: the same bytes through so
 *many processes that only pass them on, and back: what the kernel takes for it. Hops are joined as those of
 *the other are: a Unix socket first, TCP between, a pair of sockets last.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static double now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void put(int fd, const char *text)
{
	size_t len = strlen(text);
	if (send(fd, text, len, MSG_NOSIGNAL) != (ssize_t)len)
		die("send");
}

/* Reads until `end` has come. */
static void take(int fd, const char *end)
{
	static char bytes[65536];
	size_t len = 0;
	do {
		ssize_t n = recv(fd, bytes + len, sizeof bytes - 1 - len, 0);
		if (n <= 0)
			die("the other side");
		len += (size_t)n;
		bytes[len] = '\0';
	} while (!strstr(bytes, end));
	if (strstr(bytes, "<error")) {
		fprintf(stderr, "bench-refresh: %s\n", bytes);
		exit(1);
	}
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static void tell(double *ms, int n)
{
	qsort(ms, (size_t)n, sizeof *ms, compare);
	printf("{\"median_ms\": %.3f, \"p99_ms\": %.3f, \"max_ms\": %.3f}\n", ms[n / 2], ms[n * 99 / 100],
	    ms[n - 1]);
}

static double ask(int fd, const char *node, int id, bool echoed)
{
	char query[300], end[60];
	snprintf(query, sizeof query,
	    "<monitor query=\"get\" id=\"%d\" node=\"%s\" monitor=\"host\" metric=\"load/1min\" "
	    "update=\"yes\"/>",
	    id, node);
	snprintf(end, sizeof end, echoed ? "/>" : "<end answer=\"%d\"", id);
	double begun = now_ms();
	put(fd, query);
	take(fd, end);
	return now_ms() - begun;
}

static void measure(int fd, const char *name, int nodes, int times, bool echoed)
{
	double *ms = calloc((size_t)times, sizeof *ms);
	char node[64];
	for (int i = 0; i < times; i++) {
		snprintf(node, sizeof node, "%s%d", name, i * 37 % nodes + 1);
		ms[i] = ask(fd, node, i + 1, echoed);
		usleep(1000);
	}
	tell(ms, times);
	free(ms);
}

static int dial(const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
	if (connect(fd, (struct sockaddr *)&a, sizeof a) < 0)
		die(path);
	put(fd, "<hmon version=\"1\" role=\"client\">");
	return fd;
}

/* --- the floor --- */

static void unix_pair(int fds[2])
{
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) < 0)
		die("socketpair");
}

static void tcp_pair(int fds[2])
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int listener = socket(AF_INET, SOCK_STREAM, 0), on = 1;
	if (bind(listener, (struct sockaddr *)&a, sizeof a) < 0 || listen(listener, 1) < 0)
		die("listen");
	getsockname(listener, (struct sockaddr *)&a, &(socklen_t){sizeof a});
	fds[0] = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(fds[0], (struct sockaddr *)&a, sizeof a) < 0 ||
	    (fds[1] = accept(listener, NULL, NULL)) < 0)
		die("connect");
	for (int i = 0; i < 2; i++)
		setsockopt(fds[i], IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	close(listener);
}

static void pass(int from, int to)
{
	char bytes[4096];
	ssize_t n = recv(from, bytes, sizeof bytes, 0);
	if (n <= 0 || send(to, bytes, (size_t)n, MSG_NOSIGNAL) != n)
		_exit(0);
}

/* One process: what comes on one side goes out on the other; the last sends it back. */
static void hop(int near, int far)
{
	struct pollfd p[2] = {{.fd = near, .events = POLLIN}, {.fd = far, .events = POLLIN}};
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		if (poll(p, 2, -1) < 0)
			_exit(1);
		if (p[0].revents)
			pass(near, far < 0 ? near : far);
		if (p[1].revents)
			pass(far, near);
	}
}

static int start_hops(int hops)
{
	int first[2];
	unix_pair(first);
	int near = first[1];
	for (int i = 0; i < hops; i++) {
		int fds[2] = {-1, -1};
		if (i < hops - 2)
			tcp_pair(fds);
		else if (i < hops - 1)
			unix_pair(fds);
		if (fork() == 0)
			hop(near, fds[0]);
		close(near);
		close(fds[0]);
		near = fds[1];
	}
	return first[0];
}

int main(int argc, char **argv)
{
	if (argc == 4 && !strcmp(argv[1], "floor"))
		measure(start_hops(atoi(argv[2])), "n", 100, atoi(argv[3]), true);
	else if (argc == 5)
		measure(dial(argv[1]), argv[2], atoi(argv[3]), atoi(argv[4]), false);
	else
		return 2;
	return 0;
}
