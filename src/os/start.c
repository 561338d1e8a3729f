/* SPDX-License-Identifier: Apache-2.0 */
#include "os/start.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/clock.h"
#include "os/utf8.h"

enum { STACK = 65536, SAID_MAX = 1000 };

/* --- where it is --- */

static bool is_beside(const char *file, char *ret, size_t size)
{
	static const char *const ways[] = {"/../sbin/vigiad", "/../../sbin/vigiad"};
	char dir[PATH_MAX];
	if (!strchr(file, '/') || !realpath(file, dir))
		return false;
	*strrchr(dir, '/') = '\0';
	for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
		if (snprintf(ret, size, "%s%s", dir, ways[i]) < (int)size && !access(ret, X_OK))
			return true;
	return false;
}

/* Beside this library or program, wherever the prefix was moved to; else where it was installed. */
static const char *find(char *ret, size_t size)
{
	Dl_info self;
	if (dladdr((void *)(uintptr_t)daemon_start, &self) && is_beside(self.dli_fname, ret, size))
		return ret;
	return is_beside("/proc/self/exe", ret, size) ? ret : VIGIAD;
}

/* --- the other process --- */

struct start {
	const char *program;
	char *stacks;
	int said;
	pid_t pid;
	int error; /* why it could not be executed */
};

/* Shares our memory until it executes: no more than system calls. */
static int execute(void *data)
{
	static char name[] = "vigiad", option[] = "--daemon";
	static char *const words[] = {name, option, NULL};
	struct start *s = data;
	struct sigaction usual = {.sa_handler = SIG_DFL};
	sigset_t none;
	int null = open("/dev/null", O_RDONLY);
	for (int i = 1; i < NSIG; i++)
		sigaction(i, &usual, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	dup2(null, STDIN_FILENO);
	dup2(s->said, STDOUT_FILENO);
	dup2(s->said, STDERR_FILENO);
	close_range(3, ~0U, 0);
	execv(s->program, words);
	s->error = errno;
	_exit(127);
}

/* Its parent ends at once, so it is init's. */
static int begin(void *data)
{
	struct start *s = data;
	s->pid = clone(execute, s->stacks + STACK, CLONE_VM | CLONE_VFORK | SIGCHLD, s);
	if (s->pid < 0)
		s->error = errno;
	_exit(0);
}

/* That parent has no signal for its end, and so is nobody's SIGCHLD and no wait()'s but this one. (A process that executes
 * something gets that signal back: hence two.) */
static int begin_apart(struct start *s)
{
	sigset_t all, before;
	s->stacks = mmap(NULL, 2 * STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	if (s->stacks == MAP_FAILED)
		return -ENOMEM;
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	pid_t pid = clone(begin, s->stacks + 2 * STACK, CLONE_VM | CLONE_VFORK, s);
	int r = pid < 0 ? -errno : 0;
	while (!r && waitpid(pid, NULL, __WALL) < 0 && errno == EINTR)
		;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	munmap(s->stacks, 2 * STACK);
	return r ? r : -s->error;
}

/* --- what it says --- */

/* Until its end of the pipe is closed. 0, or -ETIMEDOUT. */
static int listen_to(int fd, int64_t end_ns, char *ret, size_t size)
{
	size_t n = 0;
	for (;;) {
		char bytes[256];
		int64_t left_ns = end_ns - clock_mono_ns();
		struct pollfd p = {.fd = fd, .events = POLLIN};
		int ready = left_ns > 0 ? poll(&p, 1, (int)(left_ns / 1000000) + 1) : 0;
		if (!ready)
			return -ETIMEDOUT;
		ssize_t k = ready > 0 ? read(fd, bytes, sizeof bytes) : -1;
		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			break;
		size_t fits = (size_t)k < size - 1 - n ? (size_t)k : size - 1 - n;
		memcpy(ret + n, bytes, fits);
		n += fits;
	}
	while (n && ret[n - 1] == '\n')
		n--;
	ret[n] = '\0';
	return 0;
}

int daemon_start(int deadline_ms, struct buf *why)
{
	char program[PATH_MAX], said[SAID_MAX] = "", harmless[SAID_MAX];
	int64_t end_ns = clock_mono_ns() + deadline_ms * 1000000LL;
	int ends[2];
	if (pipe2(ends, O_CLOEXEC))
		return -errno;
	struct start s = {.program = find(program, sizeof program), .said = ends[1]};
	int r = begin_apart(&s);
	close(ends[1]);
	if (!r && (r = listen_to(ends[0], end_ns, said, sizeof said)))
		kill(s.pid, SIGKILL); /* it holds the pipe still, so it is it */
	close(ends[0]);
	if (!r && strncmp(said, "host ", 5))
		r = -ECHILD;
	if (r) {
		utf8_harmless(harmless, sizeof harmless, said, strlen(said));
		buf_putf(why, "%s can't be started: %s", s.program, *said ? harmless : strerror(-r));
	}
	return r;
}
