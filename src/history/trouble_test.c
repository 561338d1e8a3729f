/* SPDX-License-Identifier: Apache-2.0 */
/* What may befall a history: death, a full disk, damage, an old or a foreign file. */
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "history/fixture_test.h"
#include "history/state.h"

enum { SHORT_KILLS = 20 };

/* --- death --- */

static void tell_parent(void *data, struct history_monitor *m, struct history_position to, uint64_t lost)
{
	struct {
		char node;
		uint64_t sequence;
	} line = {*history_monitor_node(m), to.sequence};
	if (write(*(int *)data, &line, sizeof line) < 0)
		_exit(1);
}

static void child_appends(struct fixture *f, int to_parent)
{
	static const struct history_news news = {.committed = tell_parent};
	if (history_open(&f->h, &f->options))
		_exit(1);
	uint64_t s[2];
	for (int i = 0; i < 2; i++)
		s[i] = history_monitor_last(history_monitor(f->h, i ? "b" : "a", "host")).sequence;
	for (;;) {
		for (int k = 0; k < 60; k++)
			for (int i = 0; i < 2; i++)
				append(f, i ? "b" : "a", ++s[i]);
		history_dispatch(f->h, &news, &to_parent);
		pause_ms(2);
	}
}

/* Lets a child append and kills it; told[] becomes what it told as committed. */
static void kill_one(struct fixture *f, int ms, uint64_t told[2])
{
	int ends[2];
	assert_int_equal(pipe(ends), 0);
	pid_t pid = fork();
	if (!pid) {
		close(ends[0]);
		child_appends(f, ends[1]);
	}
	close(ends[1]);
	pause_ms(ms);
	kill(pid, SIGKILL);
	int status;
	waitpid(pid, &status, 0);
	assert_true(WIFSIGNALED(status));
	struct {
		char node;
		uint64_t sequence;
	} line;
	while (read(ends[0], &line, sizeof line) == sizeof line)
		told[line.node == 'b'] = line.sequence;
	close(ends[0]);
}

/* All of node's after `after` are there: counted, in order, values right; at least what was told. */
static uint64_t check_survivors(struct fixture *f, const char *node, uint64_t after, uint64_t told)
{
	struct checked c = replay_after(f, node, after, SIZE_MAX);
	assert_true(c.last >= told);
	assert_int_equal(c.n, c.last - after);
	assert_int_equal(history_monitor_last(history_monitor(f->h, node, "host")).sequence, c.last);
	return c.last;
}

/* After each kill the newest chunks and what is in none yet, in the end everything. */
static void survives_kill(void **state)
{
	enum { LOOK_BACK = 2000 };
	struct fixture *f = *state;
	uint64_t told[2] = {0, 0}, last[2] = {0, 0};
	const char *kills = getenv("VIGIA_KILLS");
	for (int i = 0; i < (kills ? atoi(kills) : SHORT_KILLS); i++) {
		kill_one(f, 60 + (int)(play_noise((uint64_t)time(NULL) * 64 + (uint64_t)i) % 200), told);
		open_it(f);
		for (int k = 0; k < 2 && told[k]; k++)
			last[k] = check_survivors(
			    f, k ? "b" : "a", last[k] > LOOK_BACK ? last[k] - LOOK_BACK : 0, told[k]);
		close_it(f);
	}
	open_it(f);
	for (int k = 0; k < 2; k++)
		assert_int_equal(check_survivors(f, k ? "b" : "a", 0, told[k]), last[k]);
	assert_true(told[0] > 1000);
}

/* --- a full disk --- */

static void goes_on_when_disk_is_full(void **state)
{
	struct fixture *f = *state;
	struct rlimit old, small;
	open_it(f);
	uint64_t s = 0, refused = 0;
	while (s < 1500)
		assert_int_equal(append(f, "a", ++s), 0);
	wait_told(f, s);
	getrlimit(RLIMIT_FSIZE, &old);
	small = old;
	small.rlim_cur = 64 << 10;
	setrlimit(RLIMIT_FSIZE, &small);
	for (int i = 0; i < 200; i++)
		assert_int_equal(append(f, "a", ++s), 0);
	wait_until_true(f, f->began);
	for (; refused < 500; refused += f->refused > 0)
		if (append(f, "a", ++s) == -ENOBUFS && !f->refused)
			f->refused = s;
	uint64_t kept = s - refused;
	pause_ms(2500);
	dispatch(f);
	assert_int_equal(f->began, 1);
	assert_int_equal(f->ended, 0);
	setrlimit(RLIMIT_FSIZE, &old);
	wait_until_true(f, f->ended);
	assert_int_equal(f->began, 1);
	assert_int_equal(f->dropped, refused);
	assert_int_equal(append(f, "a", ++s), 0);
	wait_told(f, s);
	assert_int_equal(f->lost, refused);
	struct checked c = replay(f, "a");
	assert_int_equal(c.n, kept + 1);
	assert_int_equal(c.last, s);
}

/* --- damage --- */

static void scribble(const char *path, off_t from, off_t to)
{
	int fd = open(path, O_WRONLY);
	assert_true(fd >= 0);
	for (off_t at = from; at < to; at += 4) {
		uint32_t noise = (uint32_t)play_noise((uint64_t)at);
		assert_int_equal(pwrite(fd, &noise, sizeof noise, at), sizeof noise);
	}
	close(fd);
}

static void puts_damaged_file_aside(void **state)
{
	struct fixture *f = *state;
	open_it(f);
	assert_int_equal(append(f, "a", 1), 0);
	close_it(f);
	scribble(f->path, 0, 8192);
	open_it(f);
	assert_int_equal(count_damaged(f->folder), 1);
	assert_int_equal(append(f, "a", 1), 0);
	wait_told(f, 1);
	wait_until_true(f, f->ended);
	assert_int_equal(f->began, 1);
	assert_non_null(strstr(f->what, ".damaged-"));
}

static void survives_damage_while_running(void **state)
{
	struct fixture *f = *state;
	uint64_t s = 0;
	open_it(f);
	while (s < 2000)
		assert_int_equal(append(f, "a", ++s), 0);
	wait_told(f, s);
	pause_ms(2500); /* the log goes back into the file */
	struct stat st;
	assert_int_equal(stat(f->path, &st), 0);
	scribble(f->path, 0, st.st_size);
	for (int i = 0; i < 1000 && !f->ended; i++) {
		append(f, "a", ++s);
		history_events(f->h, 0, 1, NULL, NULL); /* somebody looks */
		dispatch(f);
		pause_ms(10);
	}
	assert_int_equal(f->began, 1);
	assert_int_equal(f->ended, 1);
	assert_int_equal(count_damaged(f->folder), 1);
	assert_int_equal(append(f, "a", ++s), 0);
	wait_told(f, s);
	/* The open chain was in memory still: it is in the new file, and nothing after it is missing. */
	struct checked c = replay(f, "a");
	assert_int_equal(c.last, s);
	assert_int_equal(c.last - c.first + 1, c.n);
	assert_true(c.first <= 2601);
	close_it(f);
	open_it(f);
	assert_int_equal(replay(f, "a").n, c.n);
}

/* --- versions --- */

static void refuses_newer_and_foreign_files(void **state)
{
	struct fixture *f = *state;
	open_it(f);
	close_it(f);
	sqlite(f->path, "PRAGMA user_version = 99");
	assert_int_equal(history_open(&f->h, &f->options), -ENOTSUP);
	assert_int_equal(unlink(f->path), 0);
	sqlite(f->path, "CREATE TABLE recipes (name); INSERT INTO recipes VALUES ('soup')");
	assert_int_equal(history_open(&f->h, &f->options), -ENOTSUP);
	assert_int_equal(count_damaged(f->folder), 0);
}

static void copy_file(const char *from, const char *to)
{
	char command[512];
	snprintf(command, sizeof command, "cp '%s' '%s' && chmod u+w '%s'", from, to, to);
	assert_int_equal(system(command), 0);
}

static int check_recorded(void *data, struct config *config, const struct history_period *p)
{
	uint64_t *n = data;
	++*n;
	assert_int_equal(p->at.sequence, *n);
	assert_int_equal(p->time_ns, (1700000000 + (int64_t)*n) * SECOND);
	assert_int_equal(config->n, *n <= 20 ? 3 : 14);
	assert_true(play_matches(*n, p->values, config->n));
	return 0;
}

static void check_recorded_file(struct fixture *f)
{
	uint64_t n = 0, points = 0;
	assert_int_equal(history_monitor_last(history_monitor(f->h, "a", "host")).sequence, 900);
	assert_int_equal(
	    history_replay(f->h, "a", "host", (struct history_position){0}, SIZE_MAX, check_recorded, &n), 900);
	struct history_query q = {"a", "host", "metric/1?", 0, INT64_MAX, 0};
	assert_int_equal(history_read(f->h, &q, count_point, &points), 0);
	assert_int_equal(points, 4 * 880);
	assert_int_equal(sqlite_int(f->path, "SELECT count(*) FROM events WHERE kind = 'node-down'"), 1);
	assert_int_equal(count_damaged(f->folder), 0);
}

/* recorded/version-1.db: 900 periods of 3 and of 14 metrics, in two chunks and the journal; one event. */
static void takes_over_a_file_of_version_1(void **state)
{
	struct fixture *f = *state;
	copy_file(RECORDED "/version-1.db", f->path);
	assert_int_equal(sqlite_int(f->path, "SELECT user_version FROM pragma_user_version"), 1);
	open_it(f);
	check_recorded_file(f);
	assert_int_equal(append(f, "a", 901), 0);
	wait_told(f, 901);
	close_it(f);
	assert_int_equal(sqlite_int(f->path, "SELECT user_version FROM pragma_user_version"), 2);
	assert_int_equal(sqlite_int(f->path, "SELECT count(*) FROM sqlite_schema WHERE name = 'chunks_of_config'"), 1);
}

static void a_migration_that_fails_leaves_the_file_as_it_was(void **state)
{
	struct fixture *f = *state;
	struct rlimit old, small;
	copy_file(RECORDED "/version-1.db", f->path);
	getrlimit(RLIMIT_FSIZE, &old);
	small = old;
	small.rlim_cur = 4096;
	signal(SIGXFSZ, SIG_IGN);
	setrlimit(RLIMIT_FSIZE, &small);
	assert_true(history_open(&f->h, &f->options) < 0);
	setrlimit(RLIMIT_FSIZE, &old);
	f->h = NULL;
	assert_int_equal(sqlite_int(f->path, "SELECT user_version FROM pragma_user_version"), 1);
	open_it(f);
	check_recorded_file(f);
}

/* --- how it is told --- */

static void note_last(void *data, const char *what, uint64_t dropped)
{
	*(bool *)data = what;
}

static void begun_again_before_its_end_was_told_it_is_told_last(void **state)
{
	static const struct history_news news = {.trouble = note_last};
	struct fixture *f = *state;
	bool troubled = true;
	open_it(f);
	pthread_mutex_lock(&f->h->news_lock);
	f->h->trouble = (struct trouble){.began = true, .ended = true, .now = true, .what = "once more"};
	pthread_mutex_unlock(&f->h->news_lock);
	history_dispatch(f->h, &news, &troubled);
	assert_true(troubled);
	pthread_mutex_lock(&f->h->news_lock);
	f->h->trouble = (struct trouble){.began = true, .ended = true};
	pthread_mutex_unlock(&f->h->news_lock);
	history_dispatch(f->h, &news, &troubled);
	assert_false(troubled);
	close_it(f);
}

/* --- what sqlite3 users see --- */

static void is_readable_with_sqlite3(void **state)
{
	struct fixture *f = *state;
	open_it(f);
	for (uint64_t s = 1; s <= 1500; s++)
		assert_int_equal(append(f, "a", s), 0);
	assert_int_equal(history_event(f->h, &(struct history_event){5, "k", "a", "", "t"}), 0);
	wait_told(f, 1500);
	pause_ms(300);
	close_it(f);
	assert_true(sqlite_int(f->path, "SELECT samples FROM chunks WHERE node = 'a'") > N * 16);
	assert_int_equal(sqlite_int(f->path, "SELECT mean FROM means WHERE metric = 'metric/1'"), 42);
	assert_int_equal(
	    sqlite_int(f->path, "SELECT sum(mean < min OR mean > max) FROM means WHERE unit = 'By'"), 0);
	assert_int_equal(sqlite_int(f->path, "SELECT count(*) FROM events WHERE kind = 'k'"), 1);
	assert_int_equal(sqlite_int(f->path, "SELECT count(*) FROM monitors"), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    test_of_it(survives_kill),
	    test_of_it(goes_on_when_disk_is_full),
	    test_of_it(puts_damaged_file_aside),
	    test_of_it(survives_damage_while_running),
	    test_of_it(refuses_newer_and_foreign_files),
	    test_of_it(takes_over_a_file_of_version_1),
	    test_of_it(a_migration_that_fails_leaves_the_file_as_it_was),
	    test_of_it(begun_again_before_its_end_was_told_it_is_told_last),
	    test_of_it(is_readable_with_sqlite3),
	};
	return cmocka_run_group_tests_name("history in trouble", tests, NULL, NULL);
}
