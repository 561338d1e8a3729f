/* SPDX-License-Identifier: Apache-2.0 */
/* A run of the launcher's life, in which the first, second, third ... system call fails, until none is left to fail.
 * Whatever fails: each LAUNCH is answered or the launcher ends; who was told STARTED is told ENDED, or the launcher
 * ends; a program that could not be executed says so; and one that was executed runs on. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "keeper/fault_test.h"
#include "keeper/keeper.h"
#include "launcher/serve.h"
#include "os/launch_wire.h"

enum { PATIENCE_MS = 8000 };

_Noreturn static void be_launcher(int socket)
{
	const struct trade trade = {"vigia-launcher", false, launcher_serve, NULL};

	sys = faulty;
	sys.poll = hasty_poll;
	_exit(keeper_run(socket, &trade) < 0 ? 1 : 0);
}

static pid_t start_launcher(int *ret_socket)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	pid_t pid = fork();
	if (pid == 0) {
		close(pair[0]);
		be_launcher(pair[1]);
	}
	close(pair[1]);
	*ret_socket = pair[0];
	return pid;
}

/* False: the launcher is gone. */
static bool hear(int socket, struct helper_answer *ret)
{
	struct pollfd p = {.fd = socket, .events = POLLIN};

	assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
	return recv(socket, ret, sizeof *ret, 0) == sizeof *ret;
}

/* Until that comes; false: LOST came, or the end. */
static bool hear_kind(int socket, uint32_t kind, struct helper_answer *ret)
{
	bool heard = hear(socket, ret);

	assert_true(!heard || ret->kind == kind || ret->kind == HELPER_MSG_LOST);
	return heard && ret->kind == kind;
}

/* `cat`, whose stdin is ours. */
static void say_launch(int socket, int status, int in)
{
	struct {
		struct launch_request q;
		char words[sizeof "/\0cat\0A=1"];
	} message = {{.kind = HELPER_MSG_LAUNCH, .id = 1, .arguments = 1, .environment = 1, .given = 1}, "/\0cat\0A=1"};
	const int fds[] = {status, in};
	struct iovec bytes = {&message, sizeof message.q + sizeof message.words};
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof fds)] = {0};
	struct msghdr m = {.msg_iov = &bytes, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};

	*CMSG_FIRSTHDR(&m) = (struct cmsghdr){CMSG_LEN(sizeof fds), SOL_SOCKET, SCM_RIGHTS};
	memcpy(CMSG_DATA(CMSG_FIRSTHDR(&m)), fds, sizeof fds);
	sendmsg(socket, &m, MSG_NOSIGNAL);
}

static bool was_executed(int status)
{
	struct launch_failure f;
	struct pollfd p = {.fd = status, .events = POLLIN};

	assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
	ssize_t n = read(status, &f, sizeof f);
	if (n == 0)
		return true;
	assert_int_equal(n, sizeof f);
	assert_int_equal(f.error, fault->error);
	assert_true(f.at < LAUNCH_STEPS);
	return false;
}

static bool is_alive(pid_t pid)
{
	return kill(pid, 0) == 0;
}

/* STARTED is heard; then the program ends, by itself or because we close its stdin, and ENDED is. */
static void see_through(int socket, pid_t pid, int status, int in)
{
	struct helper_answer a;
	bool executed = was_executed(status);

	if (executed)
		assert_true(is_alive(pid));
	close(in);
	if (!hear_kind(socket, HELPER_MSG_ENDED, &a))
		return;
	assert_int_equal(a.id, pid);
	assert_int_equal(WEXITSTATUS(a.result), executed ? 0 : 127);
}

static void live(int socket)
{
	int status[2], in[2];
	struct helper_answer a;

	assert_int_equal(pipe2(status, O_CLOEXEC), 0);
	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	say_launch(socket, status[1], in[0]);
	close(status[1]);
	close(in[0]);
	if (hear_kind(socket, HELPER_MSG_STARTED, &a) && a.result > 0)
		see_through(socket, a.result, status[0], in[1]);
	else
		close(in[1]);
	close(status[0]);
}

static void await_nobody(void)
{
	int r = 0;

	for (int ms = 0; ms < PATIENCE_MS && r >= 0; ms += 2) {
		while ((r = waitpid(-1, NULL, WNOHANG)) > 0)
			;
		poll(NULL, 0, r < 0 ? 0 : 2);
	}
	assert_int_equal(r, -1);
}

static void one_life(int nth, int error)
{
	struct helper_answer a;
	int socket;

	start_launcher(&socket);
	/* Twice: what one life of the worker could not, the next can. */
	for (int i = 0; i < 2; i++) {
		bool heard;
		while ((heard = hear(socket, &a)) && a.kind == HELPER_MSG_LOST)
			;
		if (!heard)
			break;
		assert_int_equal(a.kind, HELPER_MSG_READY);
		live(socket);
		if (i == 0)
			send(socket, "nonsense", 8, MSG_NOSIGNAL);
	}
	close(socket);
	await_nobody();
}

static void whatever_fails_everybody_is_told(void **state)
{
	fail_each(one_life);
}

static void each_call_was_made(void **state)
{
	static const size_t ours[] = {INDEX(fork), INDEX(prctl), INDEX(dup2), INDEX(chdir), INDEX(sigprocmask), INDEX(signalfd),
	    INDEX(poll), INDEX(recvmsg), INDEX(send), INDEX(read), INDEX(waitpid), INDEX(setsid), INDEX(execvp)};

	for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
		if (!seen[ours[i]])
			fail_msg("call %zu of struct sys was never made", ours[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(whatever_fails_everybody_is_told),
	    cmocka_unit_test(each_call_was_made),
	};

	fault_begin();
	return cmocka_run_group_tests_name("launcher-fault", tests, NULL, NULL);
}
