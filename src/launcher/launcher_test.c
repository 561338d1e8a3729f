/* SPDX-License-Identifier: Apache-2.0 */
/* vigia-launcher as vigiad sees it: the real program, over os/launch.h. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/clock.h"
#include "os/launch_wire.h"

enum { PATIENCE_MS = 10000 };

static char place[] = "/tmp/vigia-launcher-XXXXXX";

static int make_place(void **state)
{
	char path[128];

	/* What it leaves is ours to see and to reap. */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	assert_non_null(mkdtemp(place));
	snprintf(path, sizeof path, "%s/mine", place);
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	fputs("#!/bin/sh\necho mine\n", f);
	fclose(f);
	assert_int_equal(chmod(path, 0755), 0);
	return 0;
}

static int remove_place(void **state)
{
	char command[128];

	snprintf(command, sizeof command, "rm -r %s", place);
	return system(command);
}

static struct helper *open_launcher(void)
{
	struct buf why = BUF_INIT;
	struct helper *h;

	if (helper_open(LAUNCHER, NULL, 0, &h, &why) < 0)
		fail_msg("%s", buf_str(&why));
	return h;
}

static void await_readable(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
}

static struct helper_notice await(struct helper *h)
{
	struct helper_notice n;
	int r;

	while ((r = helper_read(h, &n)) == 0)
		await_readable(helper_fd(h));
	assert_int_equal(r, 1);
	return n;
}

/* Whether it was executed; its process id. */
static int launch(struct helper *h, const struct launch *l, pid_t *ret_pid, const char **ret_what)
{
	static uint32_t id;
	int status, r;

	assert_int_equal(launch_start(h, ++id, l, &status), 0);
	struct helper_notice n = await(h);
	assert_int_equal(n.kind, HELPER_STARTED);
	assert_int_equal(n.id, id);
	assert_true(n.result > 0);
	*ret_pid = n.result;
	while ((r = launch_failed(status, ret_what)) == -EAGAIN)
		await_readable(status);
	close(status);
	return r;
}

static pid_t start(struct helper *h, const struct launch *l)
{
	const char *what;
	pid_t pid;

	assert_int_equal(launch(h, l, &pid, &what), 0);
	return pid;
}

static int await_ended(struct helper *h, pid_t pid)
{
	struct helper_notice n = await(h);

	assert_int_equal(n.kind, HELPER_ENDED);
	assert_int_equal(n.id, pid);
	return n.result;
}

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})
#define SHELL(text) WORDS("sh", "-c", text)

/* What a program wrote to its stdout. */
static const char *told(struct helper *h, const struct launch *l)
{
	static char text[8192];
	struct launch with = *l;
	size_t have = 0;
	ssize_t n;
	int out[2];

	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	with.fds = (const int[]){-1, out[1], -1};
	pid_t pid = start(h, &with);
	close(out[1]);
	while ((n = read(out[0], text + have, sizeof text - 1 - have)) > 0)
		have += (size_t)n;
	text[have] = '\0';
	close(out[0]);
	await_ended(h, pid);
	return text;
}

static bool is_alive(pid_t pid)
{
	char path[64], line[256] = "";

	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	FILE *f = fopen(path, "r");
	bool alive = f && fgets(line, sizeof line, f) && !strstr(line, ") Z ");

	if (f)
		fclose(f);
	return alive;
}

/* An orphan is ours, as the nearest subreaper. */
static void end_orphan(pid_t pid)
{
	int status;

	assert_true(is_alive(pid));
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static const struct launch sleeper = {.arguments = (const char *const[]){"sleep", "1000", NULL}};

/* --- what a program finds ---------------------------------------------------------------------------------------- */

static void a_program_gets_its_words_and_its_place(void **state)
{
	struct helper *h = open_launcher();
	const char *const odd = "two words\n\x01\xff'\"$HOME";
	struct launch l = {.arguments = WORDS("printf", "%s|", odd, "", "last")};
	char expected[128];

	snprintf(expected, sizeof expected, "%s||last|", odd);
	assert_string_equal(told(h, &l), expected);
	l = (struct launch){.arguments = SHELL("pwd"), .directory = "/usr"};
	assert_string_equal(told(h, &l), "/usr\n");
	helper_close(h);
}

static void without_a_directory_it_is_home_or_the_root(void **state)
{
	struct helper *h = open_launcher();
	char expected[64];

	snprintf(expected, sizeof expected, "%s\n", place);
	struct launch l = {.arguments = WORDS("/bin/pwd"), .environment = WORDS("HOME=/nonexistent/vigia")};
	assert_string_equal(told(h, &l), "/\n");
	char home[64];
	snprintf(home, sizeof home, "HOME=%s", place);
	l.environment = WORDS(home);
	assert_string_equal(told(h, &l), expected);
	helper_close(h);
}

static void its_environment_is_vigiads_and_what_is_added(void **state)
{
	setenv("OF_MINE", "kept", 1);
	setenv("CHANGED", "before", 1);
	setenv("NOTIFY_SOCKET", "/run/nobody/elses", 1);
	setenv("WATCHDOG_USEC", "1000", 1);
	struct helper *h = open_launcher();
	struct launch l = {.arguments = SHELL("echo $OF_MINE $CHANGED $NEW ${NOTIFY_SOCKET-none} ${WATCHDOG_USEC-none}"),
	    .environment = WORDS("CHANGED=after", "NEW=a=b")};

	assert_string_equal(told(h, &l), "kept after a=b none none\n");
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	helper_close(h);
}

static void a_name_is_looked_for_in_the_path_a_path_is_not(void **state)
{
	struct helper *h = open_launcher();
	char path[128];

	snprintf(path, sizeof path, "PATH=/nonexistent:%s", place);
	struct launch l = {.arguments = WORDS("mine"), .environment = WORDS(path)};
	assert_string_equal(told(h, &l), "mine\n");
	snprintf(path, sizeof path, "%s/mine", place);
	l = (struct launch){.arguments = WORDS(path)};
	assert_string_equal(told(h, &l), "mine\n");
	l = (struct launch){.arguments = WORDS("./mine"), .directory = place};
	assert_string_equal(told(h, &l), "mine\n");
	helper_close(h);
}

static void it_is_as_free_as_if_started_by_hand(void **state)
{
	const unsigned long long glibcs_own = 3ULL << 31;
	struct helper *h = open_launcher();
	struct launch l = {.arguments = SHELL("ps -o pid=,sid=,pgid= -p $$ | tr -s ' '; "
					      "grep -h -e NoNewPrivs -e SigBlk -e SigIgn /proc/self/status; echo fds $(ls /proc/self/fd)")};
	const char *text = told(h, &l);
	int pid, session, group;

	assert_int_equal(sscanf(text, "%d %d %d", &pid, &session, &group), 3);
	assert_int_equal(pid, session);
	assert_int_equal(pid, group);
	assert_non_null(strstr(text, "NoNewPrivs:\t0\n"));
	assert_non_null(strstr(text, "SigBlk:\t0000000000000000\n"));
	assert_int_equal(strtoull(strstr(text, "SigIgn:") + 8, NULL, 16) & ~glibcs_own, 0);
	assert_non_null(strstr(text, "fds 0 1 2 3\n")); /* ls's own is the last */
	helper_close(h);
}

static void each_descriptor_is_given_or_nothing(void **state)
{
	struct helper *h = open_launcher();
	int in[2], err[2];
	char text[16] = "";

	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	assert_int_equal(pipe2(err, O_CLOEXEC), 0);
	struct launch l = {.arguments = SHELL("cat >&2; t=$(readlink /proc/$$/fd/1); echo $t >&2"), .fds = (const int[]){in[0], -1, err[1]}};
	pid_t pid = start(h, &l);
	assert_int_equal(write(in[1], "in ", 3), 3);
	close(in[1]);
	assert_int_equal(await_ended(h, pid), 0);
	assert_int_equal(read(err[0], text, sizeof text), 13);
	assert_string_equal(text, "in /dev/null\n");
	close(in[0]);
	close(err[0]);
	close(err[1]);
	helper_close(h);
}

/* --- how it ends -------------------------------------------------------------------------------------------------- */

static void its_end_is_told_with_its_status(void **state)
{
	struct helper *h = open_launcher();
	struct launch l = {.arguments = SHELL("exit 7")};
	int status = await_ended(h, start(h, &l));

	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 7);
	pid_t pid = start(h, &sleeper);
	assert_int_equal(kill(pid, SIGTERM), 0);
	status = await_ended(h, pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
	helper_close(h);
}

static void what_can_not_be_executed_says_why(void **state)
{
	static const struct {
		const char *program, *directory;
		int error;
		const char *what;
	} cases[] = {
	    {"vigia-no-such-program", NULL, -ENOENT, "can't be executed"},
	    {"/nonexistent/vigia", NULL, -ENOENT, "can't be executed"},
	    {"/etc/passwd", NULL, -EACCES, "can't be executed"},
	    {"/", NULL, -EACCES, "can't be executed"},
	    {"true", "/nonexistent/vigia", -ENOENT, "its directory can't be entered"},
	    {"true", "/etc/passwd", -ENOTDIR, "its directory can't be entered"},
	};
	struct helper *h = open_launcher();

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const char *what = "";
		pid_t pid;
		struct launch l = {.arguments = WORDS(cases[i].program), .directory = cases[i].directory,
		    .environment = WORDS("PATH=/usr/bin:/bin")}; /* a folder that may not be searched is EACCES */
		assert_int_equal(launch(h, &l, &pid, &what), cases[i].error);
		assert_string_equal(what, cases[i].what);
		assert_int_equal(WEXITSTATUS(await_ended(h, pid)), 127);
	}
	helper_close(h);
}

static void what_is_no_program_is_refused(void **state)
{
	struct helper *h = open_launcher();
	const char *many[LAUNCH_WORDS_MAX + 2];
	char *large = calloc(1, LAUNCH_BYTES_MAX);
	int status = -77;

	for (int i = 0; i <= LAUNCH_WORDS_MAX; i++)
		many[i] = "true";
	many[LAUNCH_WORDS_MAX + 1] = NULL;
	memset(large, 'x', LAUNCH_BYTES_MAX - 1);
	const struct {
		struct launch l;
		int error;
	} cases[] = {
	    {{.arguments = NULL}, -EINVAL},
	    {{.arguments = (const char *const[]){NULL}}, -EINVAL},
	    {{.arguments = WORDS("")}, -EINVAL},
	    {{.arguments = WORDS("true"), .directory = "tmp"}, -EINVAL},
	    {{.arguments = WORDS("true"), .environment = WORDS("A=1", "B")}, -EINVAL},
	    {{.arguments = WORDS("true"), .environment = WORDS("=1")}, -EINVAL},
	    {{.arguments = many}, -E2BIG},
	    {{.arguments = WORDS("true", large)}, -E2BIG},
	    {{.arguments = WORDS("true"), .fds = (const int[]){12345, -1, -1}}, -EBADF},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		assert_int_equal(launch_start(h, 1, &cases[i].l, &status), cases[i].error);
	assert_int_equal(status, -77);
	free(large);
	helper_close(h);
}

static void as_many_words_and_bytes_as_the_limits_say_go_through(void **state)
{
	struct helper *h = open_launcher();
	const char *many[LAUNCH_WORDS_MAX + 1];
	char *large = calloc(1, LAUNCH_BYTES_MAX);
	const struct launch of_words = {.arguments = many}, of_bytes = {.arguments = SHELL("echo ${#L}"), .environment = WORDS(large)};

	for (int i = 0; i < LAUNCH_WORDS_MAX; i++)
		many[i] = "x";
	many[0] = "true";
	many[LAUNCH_WORDS_MAX] = NULL;
	assert_int_equal(await_ended(h, start(h, &of_words)), 0);
	size_t room = LAUNCH_BYTES_MAX - sizeof(struct launch_request) - sizeof "" - sizeof "sh" - sizeof "-c" - sizeof "echo ${#L}";
	memset(large, 'x', room - 1);
	memcpy(large, "L=", 2);
	assert_int_equal(strtoul(told(h, &of_bytes), NULL, 10), room - 3);
	free(large);
	helper_close(h);
}

static void a_thousand_at_the_same_time(void **state)
{
	enum { N = 1000 };
	struct helper *h = open_launcher();
	int in[2], n = 0;

	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	const struct launch l = {.arguments = WORDS("cat"), .fds = (const int[]){in[0], -1, -1}};
	for (int i = 0; i < N; i++)
		start(h, &l);
	close(in[0]);
	close(in[1]);
	for (; n < N; n++)
		assert_int_equal(await(h).kind, HELPER_ENDED);
	helper_close(h);
}

/* --- decision 0009 ------------------------------------------------------------------------------------------------ */

static void programs_outlive_their_vigiad(void **state)
{
	struct helper *h = open_launcher();
	struct launch l = {.arguments = SHELL("trap '' TERM; sleep 1000 & echo $!; exec >&-; wait")};
	int out[2], child;
	char line[32] = "";

	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	l.fds = (const int[]){-1, out[1], -1};
	pid_t pid = start(h, &l), other = start(h, &sleeper);
	await_readable(out[0]);
	assert_true(read(out[0], line, sizeof line - 1) > 0);
	assert_int_equal(sscanf(line, "%d", &child), 1);
	int64_t from_ns = clock_mono_ns();
	helper_close(h);
	assert_true(clock_mono_ns() - from_ns < 1000000000);
	end_orphan(other);
	end_orphan(pid);
	end_orphan(child);
	close(out[0]);
	close(out[1]);
}

/* The one that serves: the keeper's only child. */
static pid_t worker_of(const struct helper *h)
{
	char path[64];
	int pid = 0;

	snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)helper_pid(h), (int)helper_pid(h));
	FILE *f = fopen(path, "r");
	assert_non_null(f);
	assert_int_equal(fscanf(f, "%d", &pid), 1);
	fclose(f);
	return pid;
}

static void programs_outlive_the_launcher_which_has_a_successor(void **state)
{
	struct helper *h = open_launcher();
	pid_t pid = start(h, &sleeper);

	assert_int_equal(kill(worker_of(h), SIGKILL), 0);
	struct helper_notice n = await(h);
	assert_int_equal(n.kind, HELPER_LOST);
	assert_true(WIFSIGNALED(n.result) && WTERMSIG(n.result) == SIGKILL);
	assert_int_equal(await(h).kind, HELPER_READY);
	struct launch l = {.arguments = WORDS("true")};
	assert_int_equal(await_ended(h, start(h, &l)), 0);
	end_orphan(pid);
	helper_close(h);
}

static void programs_outlive_the_keeper(void **state)
{
	struct helper *h = open_launcher();
	pid_t pid = start(h, &sleeper), worker = worker_of(h);
	struct helper_notice n;

	assert_int_equal(kill(helper_pid(h), SIGKILL), 0);
	await_readable(helper_fd(h));
	assert_int_equal(helper_read(h, &n), -EPIPE);
	helper_lost(h);
	assert_int_equal(waitpid(worker, NULL, 0), worker);
	end_orphan(pid);
}

static void nonsense_ends_the_worker_and_no_program(void **state)
{
	struct launch_request q = {.kind = HELPER_MSG_LAUNCH, .arguments = 1};
	struct helper *h = open_launcher();
	pid_t pid = start(h, &sleeper);

	assert_int_equal(send(helper_fd(h), &q, sizeof q, 0), sizeof q);
	assert_int_equal(await(h).kind, HELPER_LOST);
	assert_int_equal(await(h).kind, HELPER_READY);
	end_orphan(pid);
	helper_close(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_program_gets_its_words_and_its_place),
	    cmocka_unit_test(without_a_directory_it_is_home_or_the_root),
	    cmocka_unit_test(its_environment_is_vigiads_and_what_is_added),
	    cmocka_unit_test(a_name_is_looked_for_in_the_path_a_path_is_not),
	    cmocka_unit_test(it_is_as_free_as_if_started_by_hand),
	    cmocka_unit_test(each_descriptor_is_given_or_nothing),
	    cmocka_unit_test(its_end_is_told_with_its_status),
	    cmocka_unit_test(what_can_not_be_executed_says_why),
	    cmocka_unit_test(what_is_no_program_is_refused),
	    cmocka_unit_test(as_many_words_and_bytes_as_the_limits_say_go_through),
	    cmocka_unit_test(a_thousand_at_the_same_time),
	    cmocka_unit_test(programs_outlive_their_vigiad),
	    cmocka_unit_test(programs_outlive_the_launcher_which_has_a_successor),
	    cmocka_unit_test(programs_outlive_the_keeper),
	    cmocka_unit_test(nonsense_ends_the_worker_and_no_program),
	};

	return cmocka_run_group_tests_name("launcher", tests, make_place, remove_place);
}
