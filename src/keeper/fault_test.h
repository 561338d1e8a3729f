/* SPDX-License-Identifier: Apache-2.0 */
/* Each system call of the table in turn fails, once: for tests of what runs below a keeper. `fault` is shared with
 * every process that the test forks. */
#ifndef VIGIA_KEEPER_FAULT_TEST_H
#define VIGIA_KEEPER_FAULT_TEST_H

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "keeper/sys.h"

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
	if (__atomic_sub_fetch(&fault->countdown, 1, __ATOMIC_RELAXED) != 0)
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
	va_list ap;

	va_start(ap, option);
	unsigned long argument = va_arg(ap, unsigned long);
	va_end(ap);
	return fails(INDEX(prctl)) ? -1 : real.prctl(option, argument, 0UL, 0UL, 0UL);
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
FAULT(waitpid, pid_t, (pid_t pid, int *status, int options), (pid, status, options))
FAULT(kill, int, (pid_t pid, int signal), (pid, signal))
FAULT(setsid, pid_t, (void), ())
FAULT(execvp, int, (const char *file, char *const argv[]), (file, argv))

/* The keeper's back-off is the one wait for one descriptor. */
static int hasty_poll(struct pollfd *fds, nfds_t n, int ms)
{
	return fault_poll(fds, n, n == 1 ? 2 : ms);
}

static const struct sys faulty = {fault_open, fault_fstat, fault_fstatat, fault_pipe2, fault_fork, fault_prctl, fault_setpgid,
    fault_dup2, fault_chdir, fault_execveat, fault_sigprocmask, fault_signalfd, fault_poll, fault_recvmsg, fault_send, fault_read,
    fault_waitid, fault_waitpid, fault_kill, fault_setsid, fault_execvp};

static void fault_begin(void)
{
	real = sys;
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	fault = mmap(NULL, sizeof *fault, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
}

/* How often each was made to fail, since the test began. */
static int seen[CALLS];

static void fail_each(void one(int nth, int error))
{
	static const int errors[] = {ENOMEM, EIO};

	for (size_t e = 0; e < sizeof errors / sizeof *errors; e++) {
		int nth = 0;
		do {
			*fault = (typeof(*fault)){.countdown = ++nth, .error = errors[e]};
			one(nth, errors[e]);
			for (int i = 0; i < CALLS; i++)
				seen[i] += fault->calls[i];
		} while (fault->failed && nth < 1000);
		assert_true(nth > 20);
	}
}

#endif
