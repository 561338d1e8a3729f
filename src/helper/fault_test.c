/* SPDX-License-Identifier: Apache-2.0 */
/* A run of the helper's life, in which the first, second, third ... system call fails, until none is left to fail.
 * Whatever fails: each START is answered or the helper ends, who was told STARTED is told ENDED or the helper ends,
 * and in the end no program is left. The same with its keeper, where LOST may take the place of any answer and READY
 * follows it, or all of it ends. */
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
#include <unistd.h>

#include "helper/entries.h"
#include "helper/serve.h"
#include "keeper/fault_test.h"
#include "keeper/keeper.h"
#include "os/helper_wire.h"

_Noreturn static void be_helper(int socket, bool kept)
{
	struct entries e = {0};
	const struct trade trade = {"vigia-helper", true, serve, &e};

	sys = faulty;
	if (kept)
		sys.poll = hasty_poll;
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	int r = entries_add(&e, "/bin");
	if (r == 0)
		r = kept ? keeper_run(socket, &trade) : serve(socket, &e);
	_exit(r < 0 ? 1 : 0);
}

static pid_t start_helper(bool kept, int *ret_socket)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	pid_t pid = fork();
	if (pid == 0) {
		close(pair[0]);
		be_helper(pair[1], kept);
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

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, program), 0);
	pid_t helper = start_helper(false, &socket);
	live(socket, program[1], &pid);
	close(socket);
	assert_int_equal(waitpid(helper, &status, 0), helper);
	assert_true(WIFEXITED(status));
	/* Whoever inherits it may take a moment to hear of its end. */
	for (int ms = 0; pid && ms < 8000 && kill(pid, 0) == 0; ms += 10)
		poll(NULL, 0, 10);
	if (pid)
		assert_int_equal(kill(pid, 0), -1);
	close(program[0]);
	close(program[1]);
}

/* --- with a keeper ---------------------------------------------------------------------------------------------- */

static pid_t worker_of(pid_t keeper)
{
	char path[64];
	int pid = 0;

	snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)keeper, (int)keeper);
	FILE *f = fopen(path, "r");
	if (f && fscanf(f, "%d", &pid) != 1)
		pid = 0;
	if (f)
		fclose(f);
	return pid;
}

/* False: it ended instead. */
static bool hear_ready(int socket)
{
	struct helper_answer a;

	while (hear(socket, &a)) {
		if (a.kind == HELPER_MSG_READY)
			return true;
		assert_int_equal(a.kind, HELPER_MSG_LOST);
	}
	return false;
}

/* READY; START of cat; STARTED; the worker killed; LOST; and again. */
static void live_and_die(int socket, int program, pid_t keeper)
{
	struct helper_answer a;

	for (int i = 0; i < 3 && hear_ready(socket); i++) {
		say(socket, HELPER_MSG_START, "cat", program);
		if (!hear(socket, &a))
			return;
		if (a.kind == HELPER_MSG_LOST)
			continue;
		assert_int_equal(a.kind, HELPER_MSG_STARTED);
		pid_t worker = worker_of(keeper);
		if (worker > 0)
			kill(worker, SIGKILL);
	}
}

/* All that it leaves is ours to reap; nothing of that lives. */
static void await_nobody(void)
{
	int r = 0;

	for (int ms = 0; ms < 8000 && r >= 0; ms += 2) {
		while ((r = waitpid(-1, NULL, WNOHANG)) > 0)
			;
		poll(NULL, 0, r < 0 ? 0 : 2);
	}
	assert_int_equal(r, -1);
}

static void one_kept_life(int nth, int error)
{
	int socket, program[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, program), 0);
	pid_t keeper = start_helper(true, &socket);
	live_and_die(socket, program[1], keeper);
	close(socket);
	await_nobody();
	close(program[0]);
	close(program[1]);
}

/* --- what fails ------------------------------------------------------------------------------------------------- */

static void whatever_fails_nothing_is_left(void **state)
{
	fail_each(one_life);
}

static void whatever_fails_the_keeper_leaves_nothing(void **state)
{
	fail_each(one_kept_life);
}

static void each_call_was_made(void **state)
{
	for (size_t i = 0; i < INDEX(setsid); i++) /* those after it are the launcher's */
		if (!seen[i])
			fail_msg("call %zu of struct sys was never made", i);
}

/* --- how long the keeper waits ---------------------------------------------------------------------------------- */

enum { WAITS = 12 };
static const int expected_ms[WAITS] = {200, 400, 800, 1600, 3200, 6400, 12800, 25600, 51200, 60000, 60000, 60000};

static struct {
	int forks, forks_that_work, waits, lost;
	int ms[WAITS];
} played;

static pid_t play_fork(void)
{
	errno = EAGAIN;
	return ++played.forks <= played.forks_that_work ? 100000 + played.forks : -1;
}

static pid_t play_waitpid(pid_t pid, int *status, int options)
{
	*status = SIGSEGV;
	return 100000 + played.forks;
}

static ssize_t play_send(int fd, const void *bytes, size_t n, int flags)
{
	const struct helper_answer *a = bytes;

	assert_int_equal(a->kind, HELPER_MSG_LOST);
	assert_int_equal(a->result, SIGSEGV);
	played.lost++;
	return (ssize_t)n;
}

/* vigiad closes in the last one. */
static int play_poll(struct pollfd *fds, nfds_t n, int ms)
{
	played.ms[played.waits++] = ms;
	return played.waits == WAITS;
}

static ssize_t play_recvmsg(int fd, struct msghdr *message, int flags)
{
	errno = EAGAIN;
	return -1;
}

static int play_prctl(int option, ...)
{
	return 0;
}

static int play_sigprocmask(int how, const sigset_t *set, sigset_t *old)
{
	return 0;
}

static int play(int forks_that_work)
{
	const struct trade trade = {"vigia-helper", true, serve, NULL};

	played = (typeof(played)){.forks_that_work = forks_that_work};
	sys.fork = play_fork;
	sys.waitpid = play_waitpid;
	sys.send = play_send;
	sys.poll = play_poll;
	sys.recvmsg = play_recvmsg;
	sys.prctl = play_prctl;
	sys.sigprocmask = play_sigprocmask;
	int r = keeper_run(-1, &trade);
	sys = real;
	return r;
}

static void the_keeper_waits_longer_each_time(void **state)
{
	assert_int_equal(play(WAITS), 0);
	assert_int_equal(played.lost, WAITS);
	assert_memory_equal(played.ms, expected_ms, sizeof expected_ms);
}

static void a_worker_that_can_not_be_forked_is_tried_again_but_for_the_first(void **state)
{
	assert_int_equal(play(1), 0);
	assert_int_equal(played.lost, 1);
	assert_int_equal(played.forks, WAITS);
	assert_memory_equal(played.ms, expected_ms, sizeof expected_ms);
	assert_int_equal(play(0), -EAGAIN);
	assert_int_equal(played.waits, 0);
}

static void after_a_minute_of_life_the_wait_is_the_first_again(void **state)
{
	assert_int_equal(keeper_backoff_ms(60000, 59999999999), 60000);
	assert_int_equal(keeper_backoff_ms(60000, 60000000001), 200);
	assert_int_equal(keeper_backoff_ms(0, 0), 200);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(whatever_fails_nothing_is_left),
	    cmocka_unit_test(whatever_fails_the_keeper_leaves_nothing),
	    cmocka_unit_test(each_call_was_made),
	    cmocka_unit_test(the_keeper_waits_longer_each_time),
	    cmocka_unit_test(a_worker_that_can_not_be_forked_is_tried_again_but_for_the_first),
	    cmocka_unit_test(after_a_minute_of_life_the_wait_is_the_first_again),
	};

	fault_begin();
	return cmocka_run_group_tests_name("helper-fault", tests, NULL, NULL);
}
