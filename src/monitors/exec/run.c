/* SPDX-License-Identifier: Apache-2.0 */
#include "run.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PRINTED_MOST = 1 << 20 };
static const int64_t KILL_NS = 1000000000;

struct child {
	pid_t pid;
	int pidfd, out, err; /* -1: closed */
	int64_t left;	     /* bytes that it may still print */
};

static int64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* --- starting --- */

static void become(const char *const argv[], int out, int err, pid_t parent)
{
	sigset_t none;
	sigemptyset(&none);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(127);
	setpgid(0, 0);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setenv("LC_ALL", "C", 1); /* a decimal comma would spoil the numbers */
	int null = open("/dev/null", O_RDONLY);
	dup2(null, STDIN_FILENO);
	dup2(out, STDOUT_FILENO);
	dup2(err, STDERR_FILENO);
	closefrom(3);
	execv(argv[0], (char *const *)argv);
	dprintf(STDERR_FILENO, "can't run %s: %s\n", argv[0], strerror(errno));
	_exit(127);
}

static int start(struct child *c, const char *const argv[])
{
	int out[2] = {-1, -1}, err[2] = {-1, -1}, r = 0;
	pid_t parent = getpid();
	if (pipe2(out, O_CLOEXEC) || pipe2(err, O_CLOEXEC) || (c->pid = fork()) < 0)
		r = -errno;
	if (!r && !c->pid)
		become(argv, out[1], err[1], parent);
	close_fd(&out[1]);
	close_fd(&err[1]);
	if (r) {
		close_fd(&out[0]);
		close_fd(&err[0]);
		return r;
	}
	setpgid(c->pid, c->pid); /* whoever comes first */
	fcntl(out[0], F_SETFL, O_NONBLOCK);
	fcntl(err[0], F_SETFL, O_NONBLOCK);
	c->out = out[0];
	c->err = err[0];
	c->pidfd = (int)syscall(SYS_pidfd_open, c->pid, 0);
	return 0;
}

/* --- listening --- */

static void keep(char *to, size_t size, size_t *len, const char *bytes, size_t n)
{
	if (n > size - 1 - *len)
		n = size - 1 - *len;
	for (size_t i = 0; i < n; i++)
		to[*len + i] = bytes[i] ? bytes[i] : '?';
	*len += n;
	to[*len] = '\0';
}

/* What is there now. At its end, or when there is too much, the descriptor is closed (SIGPIPE ends a flood).
 */
static void drain(int *fd, char *to, size_t size, size_t *len, int64_t *left)
{
	char bytes[8192];
	ssize_t n = read(*fd, bytes, sizeof bytes);
	if (n > 0)
		keep(to, size, len, bytes, (size_t)n);
	*left -= n > 0 ? n : 0;
	if (!n || *left < 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		close_fd(fd);
}

static void drain_both(struct run *r, struct child *c)
{
	drain(&c->out, r->output, sizeof r->output, &r->output_len, &c->left);
	drain(&c->err, r->errors, sizeof r->errors, &r->errors_len, &c->left);
}

/* Until it ends (also when a child of its own keeps the pipes open), the time is over or we are told to end.
 */
static int listen_to(struct run *r, struct child *c, int64_t until_ns, int end_fd)
{
	for (;;) {
		struct pollfd fds[] = {{.fd = c->pidfd, .events = POLLIN}, {.fd = end_fd, .events = POLLIN},
		    {.fd = c->out, .events = POLLIN}, {.fd = c->err, .events = POLLIN}};
		int64_t left_ms = (until_ns - now_ns() + 999999) / 1000000;
		r->timed_out = left_ms <= 0;
		if (r->timed_out)
			return 0;
		if (poll(fds, 4, left_ms > 1000000 ? 1000000 : (int)left_ms) < 0 && errno != EINTR)
			return -errno;
		if (fds[1].revents)
			return -ECANCELED;
		drain_both(r, c);
		if (fds[0].revents)
			return 0;
	}
}

/* The rest of the pipe, but no more than a pipe can hold: a grandchild might fill it for ever. */
static void drain_rest(struct run *r, struct child *c)
{
	for (int i = 0; i < RUN_OUTPUT_SIZE / 8192 + 1; i++)
		drain_both(r, c);
}

/* Those that made a session of their own, too: once orphans they are our children, as their subreaper. Killing one may
 * hand us its children, so again until there is none. */
static void end_descendants(void)
{
	int64_t until_ns = now_ns() + KILL_NS;
	for (bool any = true; any && now_ns() < until_ns;) {
		int pid;
		FILE *f = fopen("/proc/thread-self/children", "re");
		for (any = false; f && fscanf(f, "%d", &pid) == 1; any = true)
			kill(pid, SIGKILL);
		if (f)
			fclose(f);
		while (any && waitpid(-1, NULL, WNOHANG) > 0)
			;
		if (any)
			poll(NULL, 0, 1);
	}
}

int run_program(struct run *r, const char *const argv[], int64_t limit_ms, int end_fd)
{
	struct child c = {.pidfd = -1, .out = -1, .err = -1, .left = PRINTED_MOST};
	int64_t from = now_ns();
	r->output_len = r->errors_len = 0;
	r->output[0] = r->errors[0] = '\0';
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	int e = start(&c, argv);
	if (e)
		return e;
	e = c.pidfd < 0 ? -errno : listen_to(r, &c, from + limit_ms * 1000000, end_fd);
	kill(-c.pid, SIGKILL); /* not reaped yet, so the number is still its own */
	kill(c.pid, SIGKILL);
	waitpid(c.pid, &r->status, 0);
	end_descendants();
	drain_rest(r, &c);
	r->took_ns = now_ns() - from;
	close_fd(&c.pidfd);
	close_fd(&c.out);
	close_fd(&c.err);
	return e;
}
