/* SPDX-License-Identifier: Apache-2.0 */
/* What is kept and what goes: too much data, too old data, ever-new names, readers without end. */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "history/fixture_test.h"

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
		int64_t now = figures(f).file_bytes;
		most = now > most ? now : most;
		pause_ms(20);
	}
	wait_told(f, s);
	wait_until_true(f, figures(f).file_bytes <= f->options.keep_bytes);
	print_message("# most %lld, at last %lld bytes\n", (long long)most, (long long)figures(f).file_bytes);
	struct checked c = replay(f, "a");
	assert_int_equal(c.last, s);
	assert_in_range(c.n, s / 4, s - 1);
}

struct readers {
	const char *path;
	atomic_bool stop;
};

static void look(sqlite3 *db, const char *text)
{
	assert_int_equal(sqlite3_exec(db, text, NULL, NULL, NULL), 0);
}

/* At each moment one of two looks into the file. */
static void *read_without_end(void *data)
{
	struct readers *r = data;
	sqlite3 *db[2];
	for (int i = 0; i < 2; i++)
		assert_int_equal(sqlite3_open(r->path, &db[i]), 0);
	look(db[0], "BEGIN; SELECT count(*) FROM journal");
	for (int i = 1; !r->stop; i = !i) {
		sqlite3_busy_timeout(db[i], 5000);
		look(db[i], "BEGIN; SELECT count(*) FROM journal");
		pause_ms(5);
		look(db[!i], "COMMIT");
	}
	for (int i = 0; i < 2; i++)
		sqlite3_close(db[i]);
	return NULL;
}

static void readers_without_end_do_not_make_the_log_grow(void **state)
{
	struct fixture *f = *state;
	struct readers r = {.path = f->path};
	char log[128];
	off_t most = 0;
	uint64_t s = 0;
	pthread_t thread;
	snprintf(log, sizeof log, "%s-wal", f->path);
	f->options.keep_bytes = 4 << 20;
	open_it(f);
	append_range(f, "a", 1, 1);
	wait_told(f, 1);
	assert_int_equal(pthread_create(&thread, NULL, read_without_end, &r), 0);
	for (s = 2; s <= 40000; s += 400) {
		struct stat st;
		append_range(f, "a", s, s + 399);
		wait_told(f, s + 399);
		assert_int_equal(stat(log, &st), 0);
		most = st.st_size > most ? st.st_size : most;
	}
	r.stop = true;
	pthread_join(thread, NULL);
	print_message("# the log had at most %lld bytes\n", (long long)most);
	assert_true(most < 2 << 20);
	assert_int_equal(f->began, 0);
}

static void forgets_what_is_old(void **state)
{
	struct fixture *f = *state;
	f->options.keep_ns = 1000 * SECOND;
	f->base_ns = time(NULL) * SECOND - 3000 * SECOND;
	open_it(f);
	for (uint64_t s = 1; s <= 3000; s++)
		assert_int_equal(append(f, "a", s), 0);
	wait_told(f, 3000);
	wait_until_true(f, replay(f, "a").n <= 1700);
	struct checked c = replay(f, "a");
	assert_int_equal(c.last, 3000);
	assert_true(c.n >= 999);
}

/* --- ever-new names --- */

static const char *const orphans = "SELECT count(*) FROM metrics WHERE config NOT IN (SELECT id FROM configs)";

/* One period of each. */
static void append_rounds(struct fixture *f, int from, int to)
{
	for (int i = from; i <= to; i++) {
		struct config *c = play_config_of(N, i);
		assert_int_equal(append_of(f, "a", c, (uint64_t)i), 0);
		config_unref(c);
		if (i % 100 == 0)
			wait_told(f, (uint64_t)i);
	}
	wait_told(f, (uint64_t)to);
}

static void old_configs_are_read_from_the_file(void **state)
{
	struct fixture *f = *state;
	open_it(f);
	append_rounds(f, 1, 400);
	wait_until_true(f, figures(f).chunks >= 399);
	for (int i = 0; i < 2; i++, reopen_it(f)) {
		uint64_t points = 0;
		check_replay(f, "a", 0, 400);
		struct history_query q = {"a", "host", "7/metric/3", 0, INT64_MAX, 0};
		assert_int_equal(history_read(f->h, &q, count_point, &points), 0);
		assert_int_equal(points, 1);
		q.metric = "*/metric/?";
		assert_int_equal(history_read(f->h, &q, count_point, &points), 0);
		assert_int_equal(points, 1 + 400 * 10);
	}
}

static void a_config_goes_with_its_last_chunk(void **state)
{
	struct fixture *f = *state;
	f->options.keep_ns = 1000 * SECOND;
	f->base_ns = time(NULL) * SECOND - 3000 * SECOND;
	open_it(f);
	append_rounds(f, 1, 400);
	wait_until_true(f, sqlite_int(f->path, "SELECT count(*) FROM configs") <= 65);
	assert_int_equal(sqlite_int(f->path, orphans), 0);
	check_replay(f, "a", 399, 400); /* its chain is open */
	uint64_t chunks = figures(f).chunks;
	append_rounds(f, 401, 401);
	append_rounds(f, 402, 402);
	wait_until_true(f, figures(f).chunks == chunks + 2);
	reopen_it(f); /* memory has but the last chunk's and the chain's */
	wait_until_true(f, sqlite_int(f->path, "SELECT count(*) FROM configs") <= 2);
	assert_int_equal(sqlite_int(f->path, orphans), 0);
	check_replay(f, "a", 401, 402);
}

static void configs_count_against_the_ceiling(void **state)
{
	struct fixture *f = *state;
	f->options.keep_bytes = 1 << 20;
	open_it(f);
	append_rounds(f, 1, 1500);
	wait_until_true(f, figures(f).file_bytes && figures(f).file_bytes <= f->options.keep_bytes);
	struct checked c = replay(f, "a");
	assert_int_equal(c.last, 1500);
	assert_in_range(c.n, 100, 1400);
	assert_int_equal(sqlite_int(f->path, orphans), 0);
	reopen_it(f);
	assert_int_equal(replay(f, "a").last, 1500);
}

static void a_stuck_disk_bounds_what_waits_with_its_configs(void **state)
{
	struct fixture *f = *state;
	struct rlimit old, small;
	open_it(f);
	append_rounds(f, 1, 1);
	getrlimit(RLIMIT_FSIZE, &old);
	small = old;
	small.rlim_cur = 4096;
	setrlimit(RLIMIT_FSIZE, &small);
	int taken = 0, e;
	do {
		struct config *c = play_config_of(N, 2 + taken);
		e = append_of(f, "a", c, (uint64_t)(2 + taken));
		config_unref(c);
	} while (!e && ++taken < 10000);
	assert_int_equal(e, -ENOBUFS);
	assert_in_range(taken, 50, 1000); /* of about two kilobytes each, though a row is a hundred bytes */
	wait_until_true(f, f->began);
	setrlimit(RLIMIT_FSIZE, &old);
	wait_until_true(f, f->ended);
	wait_told(f, (uint64_t)(1 + taken));
	check_replay(f, "a", 0, (uint64_t)(1 + taken));
	assert_int_equal(figures(f).queued_bytes, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    test_of_it(keeps_its_ceiling),
	    test_of_it(old_configs_are_read_from_the_file),
	    test_of_it(a_config_goes_with_its_last_chunk),
	    test_of_it(configs_count_against_the_ceiling),
	    test_of_it(a_stuck_disk_bounds_what_waits_with_its_configs),
	    test_of_it(readers_without_end_do_not_make_the_log_grow),
	    test_of_it(forgets_what_is_old),
	};
	return cmocka_run_group_tests_name("what a history keeps", tests, NULL, NULL);
}
