/* SPDX-License-Identifier: Apache-2.0 */
/* vigia-helper as vigiad sees it: the real program, over os/helper.h. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/clock.h"
#include "os/helper_wire.h"

static char entries[] = "/tmp/vigia-helper-XXXXXX";

static void write_entry(const char *name, const char *script, mode_t mode)
{
	char path[128];

	snprintf(path, sizeof path, "%s/%s", entries, name);
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	fputs(script, f);
	fclose(f);
	assert_int_equal(chmod(path, mode), 0);
}

static int make_entries(void **state)
{
	char path[128];

	assert_non_null(mkdtemp(entries));
	write_entry("cat", "#!/bin/sh\nexec cat\n", 0755);
	write_entry("fail", "#!/bin/sh\nprintf '%0300d' 7 >&2; echo end >&2; exit 3\n", 0755);
	write_entry("stubborn", "#!/bin/sh\ntrap '' TERM\necho ready\nwhile :; do sleep 1; done\n", 0755);
	write_entry("facts", "#!/bin/sh\necho $0; pwd; env | cut -d= -f1 | sort | tr '\\n' ' '; echo; "
			     "grep -h -e NoNewPrivs -e SigBlk -e SigIgn /proc/self/status; ls /proc/self/fd | wc -l\n", 0755);
	write_entry("litter", "#!/bin/sh\nsleep 1000 & echo $!\nsetsid -f sh -c 'echo $$; exec sleep 1000'\nsleep 0.1\n", 0755);
	write_entry("writable", "#!/bin/sh\n", 0777);
	write_entry("not-executable", "#!/bin/sh\n", 0644);
	snprintf(path, sizeof path, "%s/link", entries);
	assert_int_equal(symlink("/bin/true", path), 0);
	snprintf(path, sizeof path, "cp /bin/cat %s/binary", entries);
	return system(path);
}

static int remove_entries(void **state)
{
	char command[128];

	snprintf(command, sizeof command, "rm -r %s", entries);
	return system(command);
}

static struct helper *open_helper(void)
{
	const char *const dirs[] = {"/nonexistent/vigia", entries};
	struct buf why = BUF_INIT;
	struct helper *h;

	if (helper_open(HELPER, dirs, 2, &h, &why) < 0)
		fail_msg("%s", buf_str(&why));
	return h;
}

static struct helper_notice await(struct helper *h)
{
	struct helper_notice n;
	struct pollfd p = {.fd = helper_fd(h), .events = POLLIN};

	for (;;) {
		int r = helper_read(h, &n);
		if (r == 1)
			return n;
		assert_int_equal(r, 0);
		assert_int_equal(poll(&p, 1, 10000), 1);
	}
}

/* Our end of the program's stdin and stdout. */
static int start(struct helper *h, uint32_t id, const char *entry, int *ret_result)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(helper_start(h, id, entry, pair[1]), 0);
	close(pair[1]);
	struct helper_notice n = await(h);
	assert_int_equal(n.kind, HELPER_STARTED);
	assert_int_equal(n.id, id);
	*ret_result = n.result;
	return pair[0];
}

static char *read_all(int fd)
{
	static char text[4096];
	size_t have = 0;
	ssize_t n;

	while ((n = read(fd, text + have, sizeof text - 1 - have)) > 0)
		have += n;
	text[have] = '\0';
	close(fd);
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

static void a_program_talks_over_its_descriptor(void **state)
{
	struct helper *h = open_helper();
	char text[8] = "";
	int pid, fd = start(h, 1, "cat", &pid);

	assert_true(pid > 0);
	assert_int_equal(write(fd, "hello", 5), 5);
	assert_int_equal(read(fd, text, 5), 5);
	assert_string_equal(text, "hello");
	close(fd);
	struct helper_notice n = await(h);
	assert_int_equal(n.kind, HELPER_ENDED);
	assert_int_equal(n.id, 1);
	assert_true(WIFEXITED(n.result) && WEXITSTATUS(n.result) == 0);
	helper_close(h);
}

static void the_end_of_stderr_comes_with_the_status(void **state)
{
	struct helper *h = open_helper();
	int pid, fd = start(h, 5, "fail", &pid);
	struct helper_notice n = await(h);

	assert_int_equal(WEXITSTATUS(n.result), 3);
	assert_int_equal(strlen(n.tail), HELPER_TAIL_MAX);
	assert_string_equal(n.tail + HELPER_TAIL_MAX - 5, "7end\n");
	close(fd);
	helper_close(h);
}

static void signals_reach_the_program(void **state)
{
	struct helper *h = open_helper();
	int pid, fd = start(h, 9, "cat", &pid);

	assert_int_equal(helper_signal(h, 9, SIGHUP), -EINVAL);
	assert_int_equal(helper_signal(h, 77, SIGTERM), 0);
	assert_int_equal(helper_signal(h, 9, SIGTERM), 0);
	struct helper_notice n = await(h);
	assert_true(WIFSIGNALED(n.result) && WTERMSIG(n.result) == SIGTERM);
	close(fd);
	helper_close(h);
}

static void what_can_not_be_started_says_why(void **state)
{
	static const struct {
		const char *entry;
		int error;
	} cases[] = {{"nothing", -ENOENT}, {"writable", -EPERM}, {"link", -EPERM}, {"not-executable", -EACCES}};
	struct helper *h = open_helper();
	int r;

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		close(start(h, i, cases[i].entry, &r));
		assert_int_equal(r, cases[i].error);
	}
	int fd = start(h, 50, "cat", &r);
	close(start(h, 50, "cat", &r));
	assert_int_equal(r, -EEXIST);
	assert_int_equal(helper_start(h, 1, "../cat", 0), -EINVAL);
	assert_int_equal(helper_start(h, 1, "", 0), -EINVAL);
	assert_int_equal(helper_start(h, 1, "abcdefghijklmnopqrstuvwxyzabcdef", 0), -EINVAL);
	close(fd);
	helper_close(h);
}

static void a_program_finds_a_clean_place(void **state)
{
	const unsigned long long glibcs_own = 3ULL << 31; /* 32 and 33: make(1) ignores them, no program can see to it */
	setenv("SECRET_OF_MINE", "1", 1);
	signal(SIGPIPE, SIG_IGN);
	struct helper *h = open_helper();
	int pid, fd = start(h, 1, "facts", &pid);
	const char *text = read_all(fd);

	assert_null(strstr(text, "SECRET"));
	assert_non_null(strstr(text, "/facts\n/\n"));
	assert_non_null(strstr(text, "PATH"));
	assert_non_null(strstr(text, "NoNewPrivs:\t1\n"));
	assert_non_null(strstr(text, "SigBlk:\t0000000000000000\n"));
	assert_non_null(strstr(text, "SigIgn:"));
	assert_int_equal(strtoull(strstr(text, "SigIgn:") + 8, NULL, 16) & ~glibcs_own, 0);
	signal(SIGPIPE, SIG_DFL);
	helper_close(h);
}

static int count_files(pid_t pid)
{
	char path[64];
	int n = 0;

	snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
	DIR *d = opendir(path);
	for (struct dirent *e; d && (e = readdir(d));)
		n += e->d_name[0] != '.';
	if (d)
		closedir(d);
	return n;
}

static void a_binary_keeps_its_name_and_gets_no_descriptor_of_ours(void **state)
{
	struct helper *h = open_helper();
	char path[64], name[16] = "";
	int pid, fd = start(h, 1, "binary", &pid);

	/* Its echo shows that it is past its own start, which opens libraries. */
	assert_int_equal(write(fd, "x", 1), 1);
	assert_int_equal(read(fd, name, 1), 1);
	snprintf(path, sizeof path, "/proc/%d/comm", pid);
	FILE *f = fopen(path, "r");
	assert_non_null(f);
	assert_non_null(fgets(name, sizeof name, f));
	fclose(f);
	assert_string_equal(name, "binary\n");
	assert_int_equal(count_files(pid), 3);
	close(fd);
	helper_close(h);
}

static void what_a_program_leaves_behind_ends(void **state)
{
	struct helper *h = open_helper();
	int pid, child, daemon, fd = start(h, 1, "litter", &pid);
	char line[64] = "";

	await(h);
	assert_true(read(fd, line, sizeof line - 1) > 0);
	assert_int_equal(sscanf(line, "%d %d", &child, &daemon), 2);
	for (int i = 0; i < 100 && is_alive(child); i++)
		usleep(10000);
	assert_false(is_alive(child));
	assert_true(is_alive(daemon));
	helper_close(h);
	assert_false(is_alive(daemon));
	close(fd);
}

static void closing_ends_even_who_ignores_term(void **state)
{
	struct helper *h = open_helper();
	char line[16] = "";
	int pid, other, fd = start(h, 1, "stubborn", &pid), gentle = start(h, 2, "cat", &other);

	assert_true(read(fd, line, sizeof line) > 0);
	int64_t from_ns = clock_mono_ns();
	helper_close(h);
	int64_t took_ms = (clock_mono_ns() - from_ns) / 1000000;
	assert_false(is_alive(pid));
	assert_false(is_alive(other));
	assert_true(took_ms >= 1900 && took_ms < 3500);
	close(fd);
	close(gentle);
}

/* As when vigiad is killed: nobody says anything, the socket just closes. */
static void programs_end_with_their_vigiad(void **state)
{
	int words[2], program;
	assert_int_equal(pipe(words), 0);
	pid_t vigiad = fork();
	if (vigiad == 0) {
		int pid;
		struct helper *h = open_helper();
		start(h, 1, "cat", &pid);
		_exit(write(words[1], &pid, sizeof pid) != sizeof pid);
	}
	assert_int_equal(read(words[0], &program, sizeof program), sizeof program);
	waitpid(vigiad, NULL, 0);
	for (int i = 0; i < 300 && is_alive(program); i++)
		usleep(10000);
	assert_false(is_alive(program));
	close(words[0]);
	close(words[1]);
}

static void no_more_than_a_limit(void **state)
{
	struct helper *h = open_helper();
	int fds[HELPER_PROGRAMS_MAX], r;

	for (int i = 0; i < HELPER_PROGRAMS_MAX; i++) {
		fds[i] = start(h, i, "cat", &r);
		assert_true(r > 0);
	}
	close(start(h, 1000, "cat", &r));
	assert_int_equal(r, -EAGAIN);
	for (int i = 0; i < HELPER_PROGRAMS_MAX; i++)
		close(fds[i]);
	for (int i = 0; i < HELPER_PROGRAMS_MAX; i++)
		assert_int_equal(await(h).kind, HELPER_ENDED);
	fds[0] = start(h, 0, "cat", &r);
	assert_true(r > 0);
	close(fds[0]);
	helper_close(h);
}

static void opening_says_what_is_wrong(void **state)
{
	const char *const shared[] = {"/tmp"};
	struct buf why = BUF_INIT;
	struct helper *h = NULL;

	assert_int_equal(helper_open(HELPER, shared, 1, &h, &why), -EPERM);
	assert_non_null(strstr(buf_str(&why), "/tmp: must belong to root or you"));
	buf_clear(&why);
	assert_int_equal(helper_open("/nonexistent/helper", NULL, 0, &h, &why), -ENOENT);
	assert_string_equal(buf_str(&why), "/nonexistent/helper: No such file or directory");
	assert_null(h);
	buf_release(&why);
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

static void lose_worker(struct helper *h)
{
	assert_int_equal(kill(worker_of(h), SIGKILL), 0);
	struct helper_notice n = await(h);
	assert_int_equal(n.kind, HELPER_LOST);
	assert_true(WIFSIGNALED(n.result) && WTERMSIG(n.result) == SIGKILL);
}

static void assert_serves(struct helper *h, uint32_t id)
{
	int pid, fd = start(h, id, "cat", &pid);

	assert_true(pid > 0);
	close(fd);
	struct helper_notice n = await(h);
	assert_int_equal(n.kind, HELPER_ENDED);
	assert_int_equal(n.id, id);
}

static void assert_comm(pid_t pid, const char *name)
{
	char path[64], line[32] = "";

	snprintf(path, sizeof path, "/proc/%d/comm", (int)pid);
	FILE *f = fopen(path, "r");
	assert_non_null(f);
	assert_non_null(fgets(line, sizeof line, f));
	fclose(f);
	assert_string_equal(strtok(line, "\n"), name);
}

static void a_worker_that_dies_leaves_nobody_and_has_a_successor(void **state)
{
	struct helper *h = open_helper();
	char line[64] = "";
	int pid, other, child, daemon, fd = start(h, 1, "litter", &pid);

	assert_int_equal(await(h).kind, HELPER_ENDED);
	assert_true(read(fd, line, sizeof line - 1) > 0);
	assert_int_equal(sscanf(line, "%d %d", &child, &daemon), 2);
	int cat = start(h, 2, "cat", &other);
	assert_comm(helper_pid(h), "vigia-keeper");
	assert_comm(worker_of(h), "vigia-helper");
	lose_worker(h);
	/* Not "soon": whoever hears of it may start the same again. */
	assert_int_equal(kill(other, 0), -1);
	assert_int_equal(kill(daemon, 0), -1);
	assert_int_equal(await(h).kind, HELPER_READY);
	assert_comm(worker_of(h), "vigia-helper");
	assert_serves(h, 2);
	close(fd);
	close(cat);
	helper_close(h);
}

static void what_nobody_heard_is_dropped(void **state)
{
	struct helper *h = open_helper();
	int pair[2];
	char byte;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	lose_worker(h);
	assert_int_equal(helper_start(h, 1, "cat", pair[1]), 0);
	assert_int_equal(send(helper_fd(h), "nonsense", 8, 0), 8);
	close(pair[1]);
	assert_int_equal(await(h).kind, HELPER_READY);
	assert_int_equal(read(pair[0], &byte, 1), 0);
	assert_serves(h, 2);
	close(pair[0]);
	helper_close(h);
}

static void closing_does_not_wait_for_the_next_one(void **state)
{
	struct helper *h = open_helper();

	for (int i = 0; i < 3; i++) {
		lose_worker(h);
		assert_int_equal(await(h).kind, HELPER_READY);
	}
	lose_worker(h); /* 1.6 s until the next */
	int64_t from_ns = clock_mono_ns();
	helper_close(h);
	assert_true(clock_mono_ns() - from_ns < 1000000000);
}

static void the_keeper_ends_by_no_signal_but_kill(void **state)
{
	struct helper *h = open_helper();
	static const int signals[] = {SIGTERM, SIGINT, SIGHUP, SIGPIPE, SIGUSR1};
	int pid, fd = start(h, 1, "cat", &pid);
	struct helper_notice n;

	for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
		assert_int_equal(kill(helper_pid(h), signals[i]), 0);
	assert_serves(h, 2);
	pid_t worker = worker_of(h);
	assert_int_equal(kill(helper_pid(h), SIGKILL), 0);
	struct pollfd p = {.fd = helper_fd(h), .events = POLLIN};
	assert_int_equal(poll(&p, 1, 10000), 1);
	assert_int_equal(helper_read(h, &n), -EPIPE);
	assert_int_equal(helper_start(h, 3, "cat", fd), -EPIPE);
	int status = helper_lost(h);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	for (int i = 0; i < 300 && (is_alive(pid) || is_alive(worker)); i++)
		usleep(10000);
	assert_false(is_alive(pid) || is_alive(worker));
	close(fd);
}

static void nonsense_ends_the_worker(void **state)
{
	struct helper *h = open_helper();

	assert_int_equal(send(helper_fd(h), "nonsense", 8, 0), 8);
	struct helper_notice n = await(h);
	assert_int_equal(n.kind, HELPER_LOST);
	assert_true(WIFEXITED(n.result) && WEXITSTATUS(n.result) == 1);
	assert_int_equal(await(h).kind, HELPER_READY);
	assert_serves(h, 1);
	helper_close(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_program_talks_over_its_descriptor),
	    cmocka_unit_test(the_end_of_stderr_comes_with_the_status),
	    cmocka_unit_test(signals_reach_the_program),
	    cmocka_unit_test(what_can_not_be_started_says_why),
	    cmocka_unit_test(a_program_finds_a_clean_place),
	    cmocka_unit_test(a_binary_keeps_its_name_and_gets_no_descriptor_of_ours),
	    cmocka_unit_test(what_a_program_leaves_behind_ends),
	    cmocka_unit_test(closing_ends_even_who_ignores_term),
	    cmocka_unit_test(programs_end_with_their_vigiad),
	    cmocka_unit_test(no_more_than_a_limit),
	    cmocka_unit_test(opening_says_what_is_wrong),
	    cmocka_unit_test(a_worker_that_dies_leaves_nobody_and_has_a_successor),
	    cmocka_unit_test(what_nobody_heard_is_dropped),
	    cmocka_unit_test(closing_does_not_wait_for_the_next_one),
	    cmocka_unit_test(the_keeper_ends_by_no_signal_but_kill),
	    cmocka_unit_test(nonsense_ends_the_worker),
	};

	return cmocka_run_group_tests_name("helper", tests, make_entries, remove_entries);
}
