/* SPDX-License-Identifier: Apache-2.0 */
/* A run of vigia-root's life, in which the first, second, third ... system call fails, until none is left to fail. Whatever fails: a
 * request is answered or the connection closes; whoever was told that a program runs is told of its end, or the connection closes,
 * or its status pipe says why it does not; nothing ever runs with rights of root's; and the next one is served, or vigia-root ends.
 *
 * Who is not root plays it: then nobody becomes anybody else. */
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
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/helper_wire.h"
#include "os/launch_wire.h"
#include "root/root.h"
#include "root/sys.h"

enum { CALLS = sizeof(struct sys) / sizeof(void *), AS = 65534 };

/* Shared with vigia-root and, until it executes, with its child. */
static struct {
	int countdown; /* the call that fails is the one that brings it to 0 */
	int failed;
	int error;
	int calls[CALLS]; /* how often each was made to fail */
} *fault;

static struct sys real;
static char path[64];
static bool is_root;

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
		return fails(INDEX(call)) ? (type)-1 : real.call args; \
	}

static int fault_openat(int dir, const char *name, int flags, ...)
{
	return fails(INDEX(openat)) ? -1 : real.openat(dir, name, flags);
}
FAULT(fstat, int, (int fd, struct stat *st), (fd, st))
FAULT(fstatat, int, (int dir, const char *name, struct stat *st, int flags), (dir, name, st, flags))
FAULT(socket, int, (int family, int type, int protocol), (family, type, protocol))
FAULT(bind, int, (int fd, const struct sockaddr *address, socklen_t n), (fd, address, n))
FAULT(listen, int, (int fd, int backlog), (fd, backlog))
FAULT(accept4, int, (int fd, struct sockaddr *address, socklen_t *n, int flags), (fd, address, n, flags))
FAULT(getsockopt, int, (int fd, int level, int option, void *value, socklen_t *n), (fd, level, option, value, n))
FAULT(getpeername, int, (int fd, struct sockaddr *address, socklen_t *n), (fd, address, n))
FAULT(sigprocmask, int, (int how, const sigset_t *set, sigset_t *old), (how, set, old))
FAULT(ppoll, int, (struct pollfd *fds, nfds_t n, const struct timespec *most, const sigset_t *mask), (fds, n, most, mask))
FAULT(recvmsg, ssize_t, (int fd, struct msghdr *m, int flags), (fd, m, flags))
FAULT(send, ssize_t, (int fd, const void *bytes, size_t n, int flags), (fd, bytes, n, flags))
FAULT(fork, pid_t, (void), ())
FAULT(waitpid, pid_t, (pid_t pid, int *status, int options), (pid, status, options))
FAULT(setsid, pid_t, (void), ())
FAULT(dup2, int, (int from, int to), (from, to))
FAULT(chdir, int, (const char *to), (to))
FAULT(close_range, int, (unsigned from, unsigned to, int flags), (from, to, flags))
FAULT(pidfd_send_signal, int, (int fd, int signal), (fd, signal))

/* --- as another user, or in play ---------------------------------------------------------------------------------- */

static uid_t whom(void)
{
	return is_root ? AS : getuid();
}

static int fault_lchown(const char *name, uid_t uid, gid_t gid)
{
	return fails(INDEX(lchown)) ? -1 : is_root ? real.lchown(name, uid, gid) : 0;
}

static struct passwd *fault_getpwuid(uid_t uid)
{
	return fails(INDEX(getpwuid)) ? NULL : real.getpwuid(uid);
}

static int fault_initgroups(const char *user, gid_t gid)
{
	return fails(INDEX(initgroups)) ? -1 : is_root ? real.initgroups(user, gid) : 0;
}

static int fault_setresgid(gid_t a, gid_t b, gid_t c)
{
	return fails(INDEX(setresgid)) ? -1 : is_root ? real.setresgid(a, b, c) : 0;
}

static int fault_setresuid(uid_t a, uid_t b, uid_t c)
{
	errno = EPERM;
	return fails(INDEX(setresuid)) ? -1 : is_root ? real.setresuid(a, b, c) : a ? 0 : -1;
}

static int fault_prctl(int option, ...)
{
	return fails(INDEX(prctl)) ? -1 : real.prctl(option, 1UL, 0UL, 0UL, 0UL);
}

/* Whatever failed before: none of root's rights go into a program. */
static int fault_execveat(int dir, const char *name, char *const argv[], char *const envp[], int flags)
{
	uid_t r, e, s;

	if (fails(INDEX(execveat)))
		return -1;
	getresuid(&r, &e, &s);
	if (r != whom() || e != r || s != r || prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
		abort();
	return real.execveat(dir, name, argv, envp, flags);
}

static const struct sys faulty = {fault_openat, fault_fstat, fault_fstatat, fault_socket, fault_bind, fault_lchown, fault_listen,
    fault_accept4, fault_getsockopt, fault_getpeername, fault_sigprocmask, fault_ppoll, fault_recvmsg, fault_send, fault_fork,
    fault_waitpid, fault_getpwuid, fault_initgroups, fault_setresgid, fault_setresuid, fault_prctl, fault_setsid, fault_dup2,
    fault_chdir, fault_close_range, fault_execveat, fault_pidfd_send_signal};

/* --- a life ------------------------------------------------------------------------------------------------------- */

_Noreturn static void be_root(int ready)
{
	const struct root root = {.user = getuid(), .lowest = 1, .entries = "/usr/bin"};

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sys = faulty;
	int listener = door_open(path, getgid());
	close(ready);
	if (listener >= 0)
		root_serve(listener, &root);
	_exit(1);
}

/* Returns when it listens, or can't. */
static pid_t start_root(void)
{
	int ready[2];
	char byte;

	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	pid_t pid = fork();
	if (pid == 0)
		be_root(ready[1]);
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 0);
	close(ready[0]);
	return pid;
}

static int dial(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	strcpy(a.sun_path, path);
	if (connect(fd, (struct sockaddr *)&a, sizeof a) == 0)
		return fd;
	close(fd);
	return -1;
}

static void say(int fd, const struct root_request *q, const int fds[], size_t n)
{
	struct iovec bytes = {(void *)q, sizeof *q};
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(ROOT_START_FDS * sizeof *fds)] = {0};
	struct msghdr m = {.msg_iov = &bytes, .msg_iovlen = 1, .msg_control = control, .msg_controllen = CMSG_SPACE(n * sizeof *fds)};

	*CMSG_FIRSTHDR(&m) = (struct cmsghdr){CMSG_LEN(n * sizeof *fds), SOL_SOCKET, SCM_RIGHTS};
	memcpy(CMSG_DATA(CMSG_FIRSTHDR(&m)), fds, n * sizeof *fds);
	sendmsg(fd, &m, MSG_NOSIGNAL);
}

/* The next of this kind and id; another one's end is told to everybody. False: the connection has closed. */
static bool hear(int fd, uint32_t kind, uint32_t id, struct helper_answer *ret)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	for (;;) {
		assert_int_equal(poll(&p, 1, 8000), 1);
		if (recv(fd, ret, sizeof *ret, 0) != sizeof *ret)
			return false;
		if (ret->kind == kind && ret->id == id)
			return true;
		assert_int_equal(ret->kind, HELPER_MSG_ENDED);
	}
}

/* START of true: STARTED, then ENDED with 0, or with 127 and why. */
static void start_one(int fd, int proof)
{
	struct root_request q = {.kind = ROOT_MSG_START, .id = 1, .uid = whom(), .entry = "true"};
	struct launch_failure f;
	struct helper_answer a;
	int status[2], null = open("/dev/null", O_RDWR | O_CLOEXEC);

	assert_int_equal(pipe2(status, O_CLOEXEC), 0);
	say(fd, &q, (const int[]){proof, status[1], null, null, null}, ROOT_START_FDS);
	close(status[1]);
	close(null);
	if (hear(fd, HELPER_MSG_STARTED, q.id, &a)) {
		int pid = a.result;
		ssize_t said = read(status[0], &f, sizeof f);
		assert_true(pid < 0 ? said == 0 : said == 0 || (said == sizeof f && f.error > 0 && f.at < LAUNCH_STEPS));
		if (pid > 0 && hear(fd, HELPER_MSG_ENDED, (uint32_t)pid, &a))
			assert_true(WIFEXITED(a.result) && WEXITSTATUS(a.result) == (said ? 127 : 0));
	}
	close(status[0]);
}

/* A process of the user's that waits for its end. */
static pid_t start_target(void)
{
	int ready[2];
	char byte;

	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	pid_t pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (is_root && setresuid(AS, AS, AS) < 0)
			_exit(1);
		close(ready[1]);
		for (;;)
			pause();
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 0);
	close(ready[0]);
	return pid;
}

/* SIGNAL: 0 when it was sent, and only then. */
static void signal_one(int fd, int proof)
{
	struct root_request q = {.kind = ROOT_MSG_SIGNAL, .id = 2, .uid = whom(), .signal = SIGTERM};
	struct helper_answer a;
	pid_t pid = start_target();
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0), status = 0;

	say(fd, &q, (const int[]){proof, pidfd}, ROOT_SIGNAL_FDS);
	bool sent = hear(fd, HELPER_MSG_SIGNALLED, q.id, &a) && a.result == 0;
	if (!sent)
		kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && (WTERMSIG(status) == SIGTERM || !sent));
	close(pidfd);
}

static void one_life(void)
{
	int pair[2], fd;
	pid_t root = start_root();

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	for (int i = 0; i < 2 && (fd = dial()) >= 0; i++) {
		start_one(fd, pair[0]);
		signal_one(fd, pair[0]);
		close(fd);
	}
	kill(root, SIGKILL);
	assert_int_equal(waitpid(root, NULL, 0), root);
	close(pair[0]);
	close(pair[1]);
}

/* How often each was made to fail, since the test began. */
static int seen[CALLS];

static void whatever_fails_nothing_has_rights_and_everything_is_told(void **state)
{
	static const int errors[] = {ENOMEM, EIO, EPERM};

	for (size_t e = 0; e < sizeof errors / sizeof *errors; e++) {
		int nth = 0;
		do {
			*fault = (typeof(*fault)){.countdown = ++nth, .error = errors[e]};
			one_life();
			for (int i = 0; i < CALLS; i++)
				seen[i] += fault->calls[i];
		} while (fault->failed && nth < 1000);
		assert_true(nth > 60);
	}
}

static void each_call_was_made_to_fail(void **state)
{
	for (size_t i = 0; i < CALLS; i++)
		if (!seen[i])
			fail_msg("call %zu of struct sys was never made", i);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(whatever_fails_nothing_has_rights_and_everything_is_told),
	    cmocka_unit_test(each_call_was_made_to_fail),
	};
	char dir[] = "/tmp/vigia-root-XXXXXX";

	real = sys;
	is_root = geteuid() == 0;
	fault = mmap(NULL, sizeof *fault, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (fault == MAP_FAILED || !mkdtemp(dir))
		return 1;
	snprintf(path, sizeof path, "%s/socket", dir);
	int r = cmocka_run_group_tests_name("root-fault", tests, NULL, NULL);
	unlink(path);
	rmdir(dir);
	return r;
}
