/* SPDX-License-Identifier: Apache-2.0 */
/* What may befall a history: death, a full disk, damage, an old or a foreign file, too much data. */
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "history/history.h"
#include "history/play.h"

#define SECOND INT64_C(1000000000)

enum { N = 24, SHORT_KILLS = 20 };

struct fixture {
	char folder[64], path[96];
	struct history_options options;
	struct history *h;
	struct config *config;
	struct play play;
	uint64_t told;
	int began, ended;
	uint64_t dropped;
	char what[400];
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);
	strcpy(f->folder, "/tmp/vigia-trouble-XXXXXX");
	assert_non_null(mkdtemp(f->folder));
	snprintf(f->path, sizeof f->path, "%s/history.db", f->folder);
	f->options = (struct history_options){.path = f->path, .sync_ns = SECOND, .queue_bytes = 1 << 20};
	f->config = play_config(N);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	char command[128];
	history_close(f->h);
	config_unref(f->config);
	free(f->play.values);
	free(f->play.texts);
	snprintf(command, sizeof command, "rm -rf '%s'", f->folder);
	assert_int_equal(system(command), 0);
	free(f);
	return 0;
}

static void open_it(struct fixture *f)
{
	assert_int_equal(history_open(&f->h, &f->options), 0);
}

static void close_it(struct fixture *f)
{
	history_close(f->h);
	f->h = NULL;
}

static void pause_ms(int ms)
{
	poll(NULL, 0, ms);
}

static int64_t base_ns;

static int append(struct fixture *f, const char *node, uint64_t sequence)
{
	struct history_period p = {
	    {7, sequence}, base_ns + (int64_t)sequence * SECOND, play_period(&f->play, sequence, N)};
	return history_append(f->h, history_monitor(f->h, node, "host"), f->config, &p);
}

static void on_committed(void *data, struct history_monitor *m, struct history_position to)
{
	((struct fixture *)data)->told = to.sequence;
}

static void on_trouble(void *data, const char *what, uint64_t dropped)
{
	struct fixture *f = data;
	f->began += what != NULL;
	f->ended += what == NULL;
	if (what)
		snprintf(f->what, sizeof f->what, "%s", what);
	else
		f->dropped = dropped;
}

static void dispatch(struct fixture *f)
{
	static const struct history_news news = {on_committed, on_trouble};
	history_dispatch(f->h, &news, f);
}

static void wait_for(struct fixture *f, const int *what, int count)
{
	for (int i = 0; i < 1500 && *what < count; i++) {
		dispatch(f);
		pause_ms(10);
	}
	assert_int_equal(*what, count);
}

static void wait_told(struct fixture *f, uint64_t sequence)
{
	for (int i = 0; i < 1500 && f->told < sequence; i++) {
		dispatch(f);
		pause_ms(10);
	}
	assert_int_equal(f->told, sequence);
}

struct checked {
	uint64_t first, last, n;
};

static int check_period(void *data, struct config *config, const struct history_period *p)
{
	struct checked *c = data;
	assert_true(p->at.sequence > c->last);
	assert_true(play_matches(p->at.sequence, p->values, N));
	c->first = c->n ? c->first : p->at.sequence;
	c->last = p->at.sequence;
	c->n++;
	return 0;
}

static struct checked replay(struct fixture *f, const char *node)
{
	struct checked c = {0};
	assert_true(history_replay(
			f->h, node, "host", (struct history_position){0}, SIZE_MAX, check_period, &c) >= 0);
	return c;
}

/* --- death --- */

static void tell_parent(void *data, struct history_monitor *m, struct history_position to)
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

static void survives_kill(void **state)
{
	struct fixture *f = *state;
	uint64_t told[2] = {0, 0};
	const char *kills = getenv("VIGIA_KILLS");
	for (int i = 0; i < (kills ? atoi(kills) : SHORT_KILLS); i++) {
		kill_one(f, 60 + (int)(play_noise((uint64_t)time(NULL) * 64 + (uint64_t)i) % 200), told);
		open_it(f);
		for (int k = 0; k < 2 && told[k]; k++) {
			/* All there from the first on: counted, in order, values right; at least what was
			 * told. */
			struct checked c = replay(f, k ? "b" : "a");
			assert_true(c.last >= told[k]);
			assert_int_equal(c.n, c.last);
			assert_int_equal(
			    history_monitor_last(history_monitor(f->h, k ? "b" : "a", "host")).sequence,
			    c.last);
		}
		close_it(f);
	}
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
	wait_for(f, &f->began, 1);
	while (refused < 500)
		refused += append(f, "a", ++s) == -ENOBUFS;
	uint64_t kept = s - refused;
	pause_ms(2500);
	dispatch(f);
	assert_int_equal(f->began, 1);
	assert_int_equal(f->ended, 0);
	setrlimit(RLIMIT_FSIZE, &old);
	wait_for(f, &f->ended, 1);
	assert_int_equal(f->began, 1);
	assert_int_equal(f->dropped, refused);
	assert_int_equal(append(f, "a", ++s), 0);
	wait_told(f, s);
	struct checked c = replay(f, "a");
	assert_int_equal(c.n, kept + 1);
	assert_int_equal(c.last, s);
}

/* --- damage --- */

static int count_damaged(const char *folder)
{
	int n = 0;
	DIR *d = opendir(folder);
	for (struct dirent *e; (e = readdir(d));)
		n += strstr(e->d_name, ".damaged-") && !strstr(e->d_name, "-wal");
	closedir(d);
	return n;
}

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
	wait_for(f, &f->ended, 1);
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

static void sqlite(const char *path, const char *text)
{
	sqlite3 *db;
	assert_int_equal(sqlite3_open(path, &db), 0);
	assert_int_equal(sqlite3_exec(db, text, NULL, NULL, NULL), 0);
	sqlite3_close(db);
}

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

/* --- what sqlite3 users see --- */

static int64_t sqlite_int(const char *path, const char *text)
{
	sqlite3 *db;
	sqlite3_stmt *q;
	assert_int_equal(sqlite3_open(path, &db), 0);
	assert_int_equal(sqlite3_prepare_v2(db, text, -1, &q, NULL), 0);
	assert_int_equal(sqlite3_step(q), SQLITE_ROW);
	int64_t n = sqlite3_column_int64(q, 0);
	sqlite3_finalize(q);
	sqlite3_close(db);
	return n;
}

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

/* --- too much, too old --- */

static void keeps_its_ceiling(void **state)
{
	struct fixture *f = *state;
	f->options.keep_bytes = 1 << 20;
	f->options.sync_ns = SECOND / 4;
	open_it(f);
	uint64_t s = 0;
	int64_t most = 0;
	for (int i = 0; i < 300; i++) {
		for (int k = 0; k < 300; k++)
			assert_int_equal(append(f, "a", ++s), 0);
		struct history_figures figures;
		history_figures(f->h, &figures);
		most = figures.file_bytes > most ? figures.file_bytes : most;
		pause_ms(20);
	}
	wait_told(f, s);
	pause_ms(6000);
	struct history_figures figures;
	history_figures(f->h, &figures);
	print_message("# most %lld, at last %lld bytes\n", (long long)most, (long long)figures.file_bytes);
	assert_true(figures.file_bytes <= f->options.keep_bytes);
	struct checked c = replay(f, "a");
	assert_int_equal(c.last, s);
	assert_in_range(c.n, s / 4, s - 1);
}

static void forgets_what_is_old(void **state)
{
	struct fixture *f = *state;
	f->options.keep_ns = 1000 * SECOND;
	base_ns = time(NULL) * SECOND - 3000 * SECOND;
	open_it(f);
	for (uint64_t s = 1; s <= 3000; s++)
		assert_int_equal(append(f, "a", s), 0);
	wait_told(f, 3000);
	pause_ms(6500);
	struct checked c = replay(f, "a");
	assert_int_equal(c.last, 3000);
	assert_in_range(c.n, 999, 1700);
	base_ns = 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(survives_kill, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(goes_on_when_disk_is_full, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(puts_damaged_file_aside, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(survives_damage_while_running, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(refuses_newer_and_foreign_files, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(is_readable_with_sqlite3, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(keeps_its_ceiling, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(forgets_what_is_old, set_up, tear_down),
	};
	return cmocka_run_group_tests_name("history in trouble", tests, NULL, NULL);
}
