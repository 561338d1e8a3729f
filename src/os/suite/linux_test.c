/* SPDX-License-Identifier: Apache-2.0 */
/* The real system: what only real processes do. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/dice_test.h"
#include "os/clock.h"
#include "os/commands.h"
#include "os/suite/system_test.h"
#include "os/users.h"

static const struct system_type *const type = &system_linux;
static const struct system_options options = {.launcher = LAUNCHER, .topology = TOPOLOGY};

static int open_system(void **state)
{
	struct buf why = BUF_INIT;

	name_sleeper();
	/* What is forgotten is ours to reap, and zombies are where a test looks for them. */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	if (type->open((struct system **)state, &options, &why) < 0)
		fail_msg("%s", buf_str(&why));
	return 0;
}

static int close_system(void **state)
{
	end_sleepers(*state);
	type->close(*state);
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
	return 0;
}

/* --- processes of all kinds ----------------------------------------------------------------------------------------- */

/* A child that has done `prepare` and sleeps until it is killed. */
static pid_t child(void (*prepare)(void))
{
	int ready[2];
	char byte;

	assert_int_equal(pipe(ready), 0);
	pid_t self = getpid(), pid = fork();
	if (pid == 0) {
		/* A test that fails leaves nobody. */
		if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != self)
			_exit(1);
		if (prepare)
			prepare();
		close(ready[0]);
		if (write(ready[1], "", 1) == 1)
			for (;;)
				pause();
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	return pid;
}

static void end_child(pid_t pid)
{
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static struct process described_child(struct system *s, void (*prepare)(void))
{
	pid_t pid = child(prepare);
	struct process p = described(s, pid);

	end_child(pid);
	return p;
}

static void set_true(void *owner, const struct process_key *process)
{
	*(bool *)owner = true;
}

static void ourselves(void **state)
{
	struct process p = described(*state, getpid());

	assert_int_equal(p.parent, getppid());
	assert_int_equal(p.state, 'R');
	assert_true(p.memory > 100000 && p.cpu_ns >= 0);
	int64_t age_ns = clock_wall_ns() - p.started_ns;
	assert_true(age_ns > -20000000 && age_ns < 3600000000000);
	assert_non_null(strstr(p.command, "os_linux_test"));
}

static void a_zombie_is_one(void **state)
{
	struct system_watch *w;
	siginfo_t info;
	pid_t pid = fork();
	bool gone = false;

	if (pid == 0)
		_exit(0);
	assert_int_equal(waitid(P_PID, pid, &info, WEXITED | WNOWAIT), 0);
	struct process p = described(*state, pid);
	assert_int_equal(p.state, 'Z');
	assert_string_equal(p.command, "");
	assert_int_equal(p.memory, 0);
	assert_int_equal(type->signal(*state, &p.key, SIGKILL), 0);
	assert_int_equal(type->watch(*state, &p.key, set_true, &gone, &w), 0);
	await(*state, &gone);
	waitpid(pid, NULL, 0);
	assert_int_equal(type->signal(*state, &p.key, 0), -ESRCH);
}

static void a_thread_of_the_kernels_is_one(void **state)
{
	struct process p;

	if (type->process(*state, 2, &p) < 0 || strcmp(p.program, "kthreadd") != 0) {
		print_message("# no kernel's threads to be seen here\n");
		skip();
	}
	assert_true(p.kernel);
	assert_int_equal(p.uid, 0);
	assert_int_equal(p.memory, 0);
	assert_string_equal(p.command, "");
	assert_false(described(*state, getpid()).kernel);
}

static void take_an_odd_name(void)
{
	prctl(PR_SET_NAME, ") R 1 (\n\xff\\ \x1b)");
}

static void an_odd_name_is_made_harmless(void **state)
{
	struct process p = described_child(*state, take_an_odd_name);

	assert_string_equal(p.program, ") R 1 (\\n\\xff\\\\ \\x1b)");
	assert_int_equal(p.parent, getpid());
	assert_true(p.state == 'S' || p.state == 'R');
}

static void lie_about_uids(void)
{
	prctl(PR_SET_NAME, "x\nUid:\t7\t7\t7\t7");
	if (getuid() == 0 && setresuid(1, 65534, 2) < 0)
		_exit(1);
}

static void the_owner_is_whom_it_acts_as(void **state)
{
	struct process p = described_child(*state, lie_about_uids);

	if (getuid() != 0) {
		assert_int_equal(p.uid, getuid());
		return;
	}
	assert_int_equal(p.real_uid, 1);
	assert_int_equal(p.uid, 65534);
	assert_int_equal(p.saved_uid, 2);
	assert_string_equal(p.user, "nobody");
	p = described(*state, getpid());
	assert_string_equal(p.user, "root");
}

static void *wait_forever(void *data)
{
	for (;;)
		pause();
	return NULL;
}

static void start_threads(void)
{
	pthread_t t;

	for (int i = 0; i < 3; i++)
		pthread_create(&t, NULL, wait_forever, NULL);
}

static int32_t thread_of(pid_t pid)
{
	char path[64];
	int32_t found = 0;

	snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
	DIR *d = opendir(path);
	for (struct dirent *e; d && (e = readdir(d));)
		if (atoi(e->d_name) > pid)
			found = atoi(e->d_name);
	if (d)
		closedir(d);
	return found;
}

static void a_thread_is_no_process(void **state)
{
#ifdef __SANITIZE_THREAD__
	skip(); /* it does not let a forked child have threads */
#endif
	struct system_watch *w;
	struct process p;
	pid_t pid = child(start_threads);
	int32_t thread = thread_of(pid);

	assert_int_equal(described(*state, pid).threads, 4);
	assert_true(thread > pid);
	assert_int_equal(type->process(*state, thread, &p), -ESRCH);
	const struct process_key key = {thread, described(*state, pid).key.start};
	assert_int_equal(type->signal(*state, &key, SIGKILL), -ESRCH);
	assert_int_equal(type->watch(*state, &key, NULL, NULL, &w), -ESRCH);
	end_child(pid);
}

static void a_long_command_is_cut(void **state)
{
	static char word[10000];
	struct heard h;

	memset(word, 'x', sizeof word - 1);
	struct launch l = {.arguments = WORDS("sh", "-c", "sleep 1000; :", word)};
	struct process p = described(*state, started(*state, &l, &h).pid);
	assert_int_equal(strlen(p.command), PROCESS_COMMAND_MAX);
	assert_memory_equal(p.command, "sh -c sleep 1000; : xxx", 23);
	assert_string_equal(p.command + PROCESS_COMMAND_MAX - 4, "x...");
	assert_int_equal(kill(-p.key.pid, SIGKILL), 0);
	ended(*state, &h);
}

static void forget_the_parent(void)
{
	prctl(PR_SET_PDEATHSIG, 0);
}

static void a_stranger_is_watched_like_a_child(void **state)
{
	int words[2];
	pid_t pid;
	struct system_watch *w;
	bool gone = false;

	assert_int_equal(pipe(words), 0);
	prctl(PR_SET_CHILD_SUBREAPER, 0);
	pid_t parent = fork();
	if (parent == 0) {
		pid = child(forget_the_parent);
		_exit(write(words[1], &pid, sizeof pid) != sizeof pid);
	}
	assert_int_equal(waitpid(parent, NULL, 0), parent);
	assert_int_equal(read(words[0], &pid, sizeof pid), sizeof pid);
	const struct process_key key = described(*state, pid).key;
	assert_int_equal(type->watch(*state, &key, set_true, &gone, &w), 0);
	turn_all(*state);
	assert_false(gone);
	assert_int_equal(type->signal(*state, &key, SIGKILL), 0);
	await(*state, &gone);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	close(words[0]);
	close(words[1]);
}

/* --- a host where much happens -------------------------------------------------------------------------------------- */

enum { STAYING = 20, CHURN = 2000, AT_ONCE = 200 };

/* In a process of its own: 2,000 that come and go, 200 at a time. */
_Noreturn static void churn(uint64_t seed)
{
	pid_t pids[AT_ONCE] = {0};

	dice_state = seed;
	for (int i = 0; i < CHURN; i++) {
		size_t k = dice_below(AT_ONCE);
		if (pids[k]) {
			kill(pids[k], SIGKILL);
			waitpid(pids[k], NULL, 0);
		}
		pids[k] = fork();
		if (pids[k] == 0)
			for (;;)
				pause();
	}
	for (size_t k = 0; k < AT_ONCE; k++)
		if (pids[k] > 0)
			kill(pids[k], SIGKILL);
	_exit(0);
}

struct tally {
	const pid_t *staying;
	int seen[STAYING], all;
	int32_t last;
};

static bool count_one(void *data, const struct process *p)
{
	struct tally *t = data;

	assert_true(p->key.pid > t->last && p->key.start > 0 && p->program[0]);
	t->last = p->key.pid;
	t->all++;
	for (int i = 0; i < STAYING; i++)
		t->seen[i] += t->staying[i] == p->key.pid;
	return true;
}

static void processes_appear_and_vanish_during_a_list(void **state)
{
	pid_t staying[STAYING];
	int walks = 0;

	for (int i = 0; i < STAYING; i++)
		staying[i] = child(NULL);
	dice_begin();
	pid_t churner = fork();
	if (churner == 0)
		churn(dice());
	while (waitpid(churner, NULL, WNOHANG) == 0) {
		struct tally t = {.staying = staying};
		assert_int_equal(system_each(*state, count_one, &t), 0);
		for (int i = 0; i < STAYING; i++)
			assert_int_equal(t.seen[i], 1);
		walks++;
	}
	assert_true(walks > 2);
	print_message("# %d walks\n", walks);
	for (int i = 0; i < STAYING; i++)
		end_child(staying[i]);
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
}

/* A walk that stands still while everything it was about to read vanishes. */
static void a_walk_may_take_its_time(void **state)
{
	pid_t pids[100];
	struct system_walk *w;
	struct process p;
	int after = 0;

	for (int i = 0; i < 100; i++)
		pids[i] = child(NULL);
	assert_int_equal(type->walk_new(*state, &w), 0);
	assert_int_equal(type->walk_next(w, &p), 1);
	for (int i = 0; i < 100; i++)
		end_child(pids[i]);
	pid_t late = child(NULL);
	while (type->walk_next(w, &p) == 1)
		for (int i = 0; i < 100; i++)
			after += p.key.pid == pids[i];
	type->walk_free(w);
	/* Those of the piece that was read already, at most. */
	assert_true(after <= COMMANDS_PIECE);
	end_child(late);
}

/* --- one that hangs ------------------------------------------------------------------------------------------------- */

static int32_t hanging; /* 0: nobody */
static int hung;	/* how many have */
static int hanging_pipe[2];
static ssize_t (*really_read_one)(int32_t pid, char *to, size_t size);

static ssize_t read_or_hang(int32_t pid, char *to, size_t size)
{
	char byte;

	if (pid == __atomic_load_n(&hanging, __ATOMIC_ACQUIRE)) {
		__atomic_add_fetch(&hung, 1, __ATOMIC_RELAXED);
		if (read(hanging_pipe[0], &byte, 1) < 0)
			return -1;
	}
	return really_read_one(pid, to, size);
}

static void hang_on(pid_t pid)
{
	__atomic_store_n(&hanging, pid, __ATOMIC_RELEASE);
}

/* Once: threads that were left behind may still be there. */
static void prepare_hanging(void)
{
	assert_int_equal(pipe(hanging_pipe), 0);
	__atomic_store_n(&hung, 0, __ATOMIC_RELAXED);
	if (really_read_one)
		return;
	really_read_one = commands_read_one;
	commands_read_one = read_or_hang;
}

static void hang_no_more(void)
{
	hang_on(0);
	close(hanging_pipe[1]);
}

static int count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static const char *command_of(struct system *s, pid_t pid)
{
	static struct process p;

	assert_int_equal(type->process(s, pid, &p), 0);
	return p.command;
}

struct three {
	pid_t pids[3];
	bool with_command[3];
};

static bool see_commands(void *data, const struct process *p)
{
	struct three *t = data;

	for (int i = 0; i < 3; i++)
		t->with_command[i] |= p->key.pid == t->pids[i] && p->command[0];
	return true;
}

static void who_hangs_holds_up_nobody(void **state)
{
	struct three t = {.pids = {child(NULL), child(NULL), child(NULL)}};

	prepare_hanging();
	hang_on(t.pids[1]);
	while (!__atomic_load_n(&hung, __ATOMIC_RELAXED))
		assert_string_equal(command_of(*state, t.pids[1]), "");
	while (!t.with_command[0] || !t.with_command[2])
		assert_int_equal(system_each(*state, see_commands, &t), 0);
	assert_false(t.with_command[1]);
	/* While it hangs nobody tries again. */
	assert_string_equal(command_of(*state, t.pids[1]), "");
	assert_int_equal(__atomic_load_n(&hung, __ATOMIC_RELAXED), 1);
	hang_no_more();
	described(*state, t.pids[1]);
	close(hanging_pipe[0]);
	for (int i = 0; i < 3; i++)
		end_child(t.pids[i]);
}

static void only_so_many_threads_are_left_behind(void **state)
{
	enum { MORE = COMMANDS_STUCK_MAX + 2 };
	pid_t pids[MORE];

	for (int i = 0; i < MORE; i++)
		pids[i] = child(NULL);
	prepare_hanging();
	for (int i = 0; i < COMMANDS_STUCK_MAX; i++) {
		hang_on(pids[i]);
		while (__atomic_load_n(&hung, __ATOMIC_RELAXED) == i)
			assert_string_equal(command_of(*state, pids[i]), "");
	}
	/* Without a place for another one nobody's command is read. */
	for (int i = COMMANDS_STUCK_MAX; i < MORE; i++) {
		hang_on(pids[i]);
		assert_string_equal(command_of(*state, pids[i]), "");
	}
	assert_string_equal(command_of(*state, getpid()), "");
	assert_int_equal(__atomic_load_n(&hung, __ATOMIC_RELAXED), COMMANDS_STUCK_MAX);
	hang_no_more();
	for (int i = 0; i < MORE; i++) {
		described(*state, pids[i]);
		end_child(pids[i]);
	}
	close(hanging_pipe[0]);
}

/* --- when the launcher dies ------------------------------------------------------------------------------------------ */

static int32_t with_parent, with_parent_found, not_this_one;

static bool find_child(void *data, const struct process *p)
{
	if (p->parent == with_parent && p->key.pid != not_this_one && strcmp(p->program, data) == 0)
		with_parent_found = p->key.pid;
	return true;
}

static pid_t child_of(struct system *s, pid_t parent, char *name)
{
	with_parent = parent;
	with_parent_found = 0;
	assert_int_equal(system_each(s, find_child, name), 0);
	assert_true(with_parent_found > 0);
	return with_parent_found;
}

static pid_t keeper_of(struct system *s)
{
	return child_of(s, getpid(), (char *)"vigia-keeper");
}

static pid_t launcher_of(struct system *s)
{
	return child_of(s, keeper_of(s), (char *)"vigia-launcher");
}

static bool is_in_trouble(struct system *s, const char *expected)
{
	struct buf what = BUF_INIT;
	int r = type->trouble(s, &what);

	if (r)
		assert_string_equal(buf_str(&what), expected);
	buf_release(&what);
	return r;
}

static void await_trouble(struct system *s, bool trouble, const char *expected)
{
	struct pollfd p = {.fd = type->fd(s), .events = POLLIN};

	while (is_in_trouble(s, expected) != trouble) {
		assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
		type->turn(s);
	}
}

static const char launcher_killed[] =
    "vigia-launcher was ended by signal 9, so no program can be started; it is started again";

static void programs_go_on_and_their_ends_are_seen(void **state)
{
	struct heard first, second, again;
	struct system_run *run;
	const struct process_key key = started(*state, &sleeper, &first);
	const struct launch good = {.arguments = WORDS("true")};

	started(*state, &sleeper, &second);
	kill(launcher_of(*state), SIGKILL);
	await_trouble(*state, true, launcher_killed);
	assert_int_equal(type->start(*state, &good, &hearing, NULL, &run), -EAGAIN);
	assert_int_equal(type->signal(*state, &key, SIGTERM), 0);
	assert_int_equal(ended(*state, &first), SYSTEM_END_UNKNOWN);
	assert_false(second.ended);
	await_trouble(*state, false, launcher_killed);
	started(*state, &good, &again);
	assert_int_equal(ended(*state, &again), 0);
	assert_int_equal(type->signal(*state, &second.key, SIGKILL), 0);
	assert_int_equal(ended(*state, &second), SYSTEM_END_UNKNOWN);
}

static void whether_it_was_started_nobody_knows(void **state)
{
	struct heard h;
	pid_t launcher = launcher_of(*state);

	kill(launcher, SIGSTOP);
	start(*state, &sleeper, &h);
	kill(launcher, SIGKILL);
	await(*state, &h.started);
	assert_int_equal(h.error, -EPIPE);
	assert_string_equal(h.what, "can't be followed: vigia-launcher ended meanwhile");
	await_trouble(*state, false, launcher_killed);
}

static void without_a_keeper_nothing_is_started_any_more(void **state)
{
	struct system *s;
	struct system_run *run;
	struct heard h;
	const struct launch good = {.arguments = WORDS("true")};

	/* Beside the one that all tests have. */
	not_this_one = keeper_of(*state);
	assert_int_equal(type->open(&s, &options, NULL), 0);
	started(s, &sleeper, &h);
	kill(keeper_of(s), SIGKILL);
	not_this_one = 0;
	await_trouble(s, true,
	    "vigia-keeper was ended by signal 9, so no program can be started until vigiad is restarted");
	assert_int_equal(type->start(s, &good, &hearing, NULL, &run), -EPIPE);
	assert_int_equal(type->signal(s, &h.key, SIGKILL), 0);
	assert_int_equal(ended(s, &h), SYSTEM_END_UNKNOWN);
	type->close(s);
}

static void programs_outlive_their_system(void **state)
{
	struct system *s;
	struct heard h;

	assert_int_equal(type->open(&s, &options, NULL), 0);
	const struct process_key key = started(s, &sleeper, &h);
	type->close(s);
	assert_int_equal(type->signal(*state, &key, 0), 0);
	assert_string_equal(described(*state, key.pid).command, sleepers_name);
	assert_int_equal(type->signal(*state, &key, SIGKILL), 0);
	assert_false(h.ended);
}

/* --- names of users -------------------------------------------------------------------------------------------------- */

static void a_name_that_is_in_no_file_is_asked_for(void **state)
{
	const int sources = sources_open(), proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct pollfd p = {.fd = sources, .events = POLLIN};
	struct runs *runs;

	assert_int_equal(runs_open(&runs, LAUNCHER, sources, proc, NULL), 0);
	struct users *u = users_new(runs, sources, "/nonexistent/vigia");
	assert_string_equal(users_name(u, 0), "");
	assert_string_equal(users_name(u, 65534), "");
	assert_string_equal(users_name(u, 4000000000), "");
	while (!*users_name(u, 0) || !*users_name(u, 65534)) {
		assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
		sources_turn(sources, 10);
	}
	assert_string_equal(users_name(u, 0), "root");
	assert_string_equal(users_name(u, 65534), "nobody");
	/* The one whom nobody knows was asked for beside them, and is not again: that would take a pipe. */
	int fds = count_fds();
	assert_string_equal(users_name(u, 4000000000), "");
	assert_int_equal(count_fds(), fds);
	assert_string_equal(users_name(u, 4000000001), "");
	assert_true(count_fds() > fds);
	users_free(u);
	runs_close(runs);
	close(proc);
	close(sources);
}

static void a_file_that_changes_is_read_again(void **state)
{
	char file[] = "/tmp/vigia-users-XXXXXX";
	int fd = mkstemp(file);

	dprintf(fd, "one:x:70001:\nother:x:70001:\n");
	struct users *u = users_new(NULL, -1, file);
	assert_string_equal(users_name(u, 70001), "one");
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	dprintf(fd, "two:x:70001:\n");
	const struct timespec later[2] = {{.tv_sec = 2000000000}, {.tv_sec = 2000000000}};
	assert_int_equal(futimens(fd, later), 0);
	assert_string_equal(users_name(u, 70001), "one");
	users_refresh(u);
	assert_string_equal(users_name(u, 70001), "two");
	users_free(u);
	close(fd);
	unlink(file);
}

/* --- opening ---------------------------------------------------------------------------------------------------------- */

static void opening_says_what_is_wrong(void **state)
{
	static const struct {
		struct system_options options;
		int error;
		const char *why;
	} cases[] = {
	    {{.launcher = "/nonexistent/launcher"}, -ENOENT, "/nonexistent/launcher: No such file or directory"},
	    {{.launcher = LAUNCHER, .remote = "ssh %h"}, -EINVAL, "the way to start on another host has no %c, the command"},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct buf why = BUF_INIT;
		struct system *s = NULL;
		assert_int_equal(type->open(&s, &cases[i].options, &why), cases[i].error);
		assert_string_equal(buf_str(&why), cases[i].why);
		assert_int_equal(type->open(&s, &cases[i].options, NULL), cases[i].error);
		assert_null(s);
		buf_release(&why);
	}
}

static int topology_of(struct system *s, const struct host_topology **ret)
{
	struct pollfd p = {.fd = type->fd(s), .events = POLLIN};
	int r;

	while ((r = type->topology(s, ret)) == -EAGAIN) {
		assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
		type->turn(s);
	}
	return r;
}

static void the_topology_is_this_hosts(void **state)
{
	const struct host_topology *t;
	struct host_facts f;

	assert_int_equal(topology_of(*state, &t), 0);
	type->facts(*state, &f);
	assert_int_equal(t->threads, f.processors);
	assert_non_null(strstr(t->tree, "core"));
}

static void a_topology_that_nobody_can_tell_is_an_error(void **state)
{
	static const struct {
		const char *program;
		int error;
	} cases[] = {{NULL, -ENOENT}, {"/nonexistent/topology", -ENOENT}, {"true", -EPROTO}, {"yes", -EMSGSIZE}};
	const struct host_topology *t = NULL;

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const struct system_options o = {.launcher = LAUNCHER, .topology = cases[i].program};
		struct system *s;
		assert_int_equal(type->open(&s, &o, NULL), 0);
		assert_int_equal(topology_of(s, &t), cases[i].error);
		type->close(s);
	}
	assert_null(t);
}

/* --- when memory is short ---------------------------------------------------------------------------------------------- */

static int until_failure; /* 0: none fails */
static bool has_failed;

static bool fails(void)
{
	if (until_failure == 0 || --until_failure)
		return false;
	return has_failed = true;
}

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
char *__real_strdup(const char *s);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
char *__wrap_strdup(const char *s);

void *__wrap_malloc(size_t n)
{
	return fails() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
	return fails() ? NULL : __real_realloc(p, n);
}

char *__wrap_strdup(const char *s)
{
	return fails() ? NULL : __real_strdup(s);
}

static bool pass_by(void *data, const struct process *p)
{
	return true;
}

/* Whatever can't be done is an error, what was told is true, and nothing is left. */
static void live(void)
{
	const struct launch good = {.arguments = WORDS("true")};
	struct system_watch *w;
	const struct host_topology *t;
	struct system *s;
	struct heard h = {0};
	struct process p;

	if (type->open(&s, &options, NULL) < 0)
		return;
	topology_of(s, &t);
	if (type->start_remote(s, "h2", &good, &hearing, &h, &h.run) == 0) {
		await(s, &h.started);
		if (!h.error)
			ended(s, &h);
	}
	int r = system_each(s, pass_by, NULL);
	assert_true(r == 0 || r == -ENOMEM);
	r = type->process(s, getpid(), &p);
	assert_true(r == -ENOMEM || (r == 0 && p.key.pid == getpid()));
	if (r == 0 && type->watch(s, &p.key, NULL, NULL, &w) == 0)
		type->unwatch(w);
	type->close(s);
}

static void whatever_memory_is_missing_nothing_is_lost(void **state)
{
	live();
	int fds = count_fds(), n = 0;

	do {
		has_failed = false;
		until_failure = ++n;
		live();
		until_failure = 0;
	} while (has_failed);
	assert_true(n > 10);
	print_message("# %d allocations\n", n - 1);
	assert_int_equal(count_fds(), fds);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(ourselves),
	    cmocka_unit_test(a_zombie_is_one),
	    cmocka_unit_test(a_thread_of_the_kernels_is_one),
	    cmocka_unit_test(an_odd_name_is_made_harmless),
	    cmocka_unit_test(the_owner_is_whom_it_acts_as),
	    cmocka_unit_test(a_thread_is_no_process),
	    cmocka_unit_test(a_long_command_is_cut),
	    cmocka_unit_test(a_stranger_is_watched_like_a_child),
	    cmocka_unit_test(processes_appear_and_vanish_during_a_list),
	    cmocka_unit_test(a_walk_may_take_its_time),
	    cmocka_unit_test(who_hangs_holds_up_nobody),
	    cmocka_unit_test(only_so_many_threads_are_left_behind),
	    cmocka_unit_test(programs_go_on_and_their_ends_are_seen),
	    cmocka_unit_test(whether_it_was_started_nobody_knows),
	    cmocka_unit_test(without_a_keeper_nothing_is_started_any_more),
	    cmocka_unit_test(programs_outlive_their_system),
	    cmocka_unit_test(a_name_that_is_in_no_file_is_asked_for),
	    cmocka_unit_test(a_file_that_changes_is_read_again),
	    cmocka_unit_test(opening_says_what_is_wrong),
	    cmocka_unit_test(the_topology_is_this_hosts),
	    cmocka_unit_test(a_topology_that_nobody_can_tell_is_an_error),
	    cmocka_unit_test(whatever_memory_is_missing_nothing_is_lost),
	};

	return cmocka_run_group_tests_name("os-linux", tests, open_system, close_system);
}
