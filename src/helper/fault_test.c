/* SPDX-License-Identifier: Apache-2.0 */
/* A run of the helper's life, in which the first, second, third ... system call fails, until none is left to fail.
 * Whatever fails: each START is answered or the helper ends, who was told STARTED is told ENDED or the helper ends,
 * and in the end no program is left. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "helper/entries.h"
#include "helper/serve.h"
#include "helper/sys.h"
#include "os/helper_wire.h"

enum { CALLS = sizeof(struct sys) / sizeof(void *) };

/* Shared with the helper and, until it executes, with its child. */
static struct {
	int countdown; /* the call that fails is the one that brings it to 0 */
	int failed;
	int error;
	int calls[CALLS]; /* how often each was made to fail */
} *fault;

static struct sys real;

static bool fails(size_t call)
{
	if (--fault->countdown != 0)
		return false;
	fault->failed = 1;
	fault->calls[call]++;
	errno = fault->error;
	return true;
}

#define INDEX(call) (offsetof(struct sys, call) / sizeof(void *))
#define FAULT(call, type, params, args) \
	static type fault_##call params \
	{ \
		return fails(INDEX(call)) ? -1 : real.call args; \
	}

static int fault_open(const char *path, int flags, ...)
{
	return fails(INDEX(open)) ? -1 : real.open(path, flags);
}
FAULT(fstat, int, (int fd, struct stat *st), (fd, st))
FAULT(fstatat, int, (int dir, const char *name, struct stat *st, int flags), (dir, name, st, flags))
FAULT(pipe2, int, (int fds[2], int flags), (fds, flags))
FAULT(fork, pid_t, (void), ())
static int fault_prctl(int option, ...)
{
	return fails(INDEX(prctl)) ? -1 : real.prctl(option, SIGKILL); /* PR_SET_PDEATHSIG is all that is asked */
}
FAULT(setpgid, int, (pid_t pid, pid_t group), (pid, group))
FAULT(dup2, int, (int from, int to), (from, to))
FAULT(chdir, int, (const char *path), (path))
FAULT(execveat, int, (int dir, const char *name, char *const argv[], char *const envp[], int flags),
    (dir, name, argv, envp, flags))
FAULT(sigprocmask, int, (int how, const sigset_t *set, sigset_t *old), (how, set, old))
FAULT(signalfd, int, (int fd, const sigset_t *mask, int flags), (fd, mask, flags))
FAULT(poll, int, (struct pollfd *fds, nfds_t n, int ms), (fds, n, ms))
FAULT(recvmsg, ssize_t, (int fd, struct msghdr *m, int flags), (fd, m, flags))
FAULT(send, ssize_t, (int fd, const void *bytes, size_t n, int flags), (fd, bytes, n, flags))
FAULT(read, ssize_t, (int fd, void *bytes, size_t n), (fd, bytes, n))
FAULT(waitid, int, (idtype_t type, id_t id, siginfo_t *info, int options), (type, id, info, options))
FAULT(kill, int, (pid_t pid, int signal), (pid, signal))

static const struct sys faulty = {fault_open, fault_fstat, fault_fstatat, fault_pipe2, fault_fork, fault_prctl, fault_setpgid,
    fault_dup2, fault_chdir, fault_execveat, fault_sigprocmask, fault_signalfd, fault_poll, fault_recvmsg, fault_send, fault_read,
    fault_waitid, fault_kill};

_Noreturn static void be_helper(int socket)
{
	struct entries e = {0};

	sys = faulty;
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	int r = entries_add(&e, "/bin");
	if (r == 0)
		r = serve(socket, &e);
	_exit(r < 0 ? 1 : 0);
}

static pid_t start_helper(int *ret_socket)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	pid_t pid = fork();
	if (pid == 0) {
		close(pair[0]);
		be_helper(pair[1]);
	}
	close(pair[1]);
	*ret_socket = pair[0];
	return pid;
}

/* False: the helper is gone. */
static bool hear(int socket, struct helper_answer *ret)
{
	struct pollfd p = {.fd = socket, .events = POLLIN};

	assert_int_equal(poll(&p, 1, 8000), 1);
	return recv(socket, ret, sizeof *ret, 0) == sizeof *ret;
}

static void say(int socket, uint32_t kind, const char *entry, int fd)
{
	struct helper_request q = {.kind = kind, .id = 1, .signal = SIGTERM};
	struct iovec bytes = {&q, sizeof q};
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof fd)] = {0};
	struct msghdr m = {.msg_iov = &bytes, .msg_iovlen = 1};

	if (entry) {
		strcpy(q.entry, entry);
		m.msg_control = control;
		m.msg_controllen = sizeof control;
		*CMSG_FIRSTHDR(&m) = (struct cmsghdr){CMSG_LEN(sizeof fd), SOL_SOCKET, SCM_RIGHTS};
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&m)), &fd, sizeof fd);
	}
	sendmsg(socket, &m, MSG_NOSIGNAL);
}

/* READY; START of cat; SIGNAL; ENDED. */
static void live(int socket, int program, pid_t *ret_pid)
{
	struct helper_answer a;

	if (!hear(socket, &a))
		return;
	assert_int_equal(a.kind, HELPER_MSG_READY);
	say(socket, HELPER_MSG_START, "cat", program);
	if (!hear(socket, &a))
		return;
	assert_int_equal(a.kind, HELPER_MSG_STARTED);
	if (a.result < 0)
		return;
	*ret_pid = a.result;
	say(socket, HELPER_MSG_SIGNAL, NULL, -1);
	struct pollfd p = {.fd = socket, .events = POLLIN};
	/* A kill that failed is the one thing the helper can do nothing about: then only the end helps. */
	int r = 0;
	for (int ms = 0; ms < 8000 && r == 0 && !fault->calls[INDEX(kill)]; ms += 10)
		r = poll(&p, 1, 10);
	assert_true(r == 1 || fault->calls[INDEX(kill)]);
	if (r == 1 && hear(socket, &a))
		assert_int_equal(a.kind, HELPER_MSG_ENDED);
}

static void one_life(int nth, int error)
{
	int socket, program[2], status;
	pid_t pid = 0;

	*fault = (typeof(*fault)){.countdown = nth, .error = error};
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, program), 0);
	pid_t helper = start_helper(&socket);
	live(socket, program[1], &pid);
	close(socket);
	assert_int_equal(waitpid(helper, &status, 0), helper);
	assert_true(WIFEXITED(status));
	if (pid)
		assert_int_equal(kill(pid, 0), -1);
	close(program[0]);
	close(program[1]);
}

static void whatever_fails_nothing_is_left(void **state)
{
	static const int errors[] = {ENOMEM, EIO};
	int seen[CALLS] = {0};

	real = sys;
	for (size_t e = 0; e < sizeof errors / sizeof *errors; e++) {
		int nth = 0;
		do {
			one_life(++nth, errors[e]);
			for (int i = 0; i < CALLS; i++)
				seen[i] += fault->calls[i];
		} while (fault->failed && nth < 1000);
		assert_true(nth > 20);
	}
	for (int i = 0; i < CALLS; i++)
		if (!seen[i])
			fail_msg("call %d of struct sys was never made", i);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(whatever_fails_nothing_is_left)};

	fault = mmap(NULL, sizeof *fault, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return cmocka_run_group_tests_name("helper-fault", tests, NULL, NULL);
}
