/* SPDX-License-Identifier: Apache-2.0 */
#include "history/history.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "history/play.h"

#define SECOND INT64_C(1000000000)

enum { N = 24 };

/* --- a history of one test --- */

struct fixture {
	char folder[64], path[96];
	struct history_options options;
	struct history *h;
	struct config *config;
	struct play play;
	uint64_t told; /* last sequence committed */
	int began, ended;
	uint64_t dropped;
	char what[400];
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);
	strcpy(f->folder, "/tmp/vigia-history-XXXXXX");
	assert_non_null(mkdtemp(f->folder));
	snprintf(f->path, sizeof f->path, "%s/history.db", f->folder);
	f->options = (struct history_options){.path = f->path, .sync_ns = 5 * SECOND, .queue_bytes = 1 << 22};
	f->config = play_config(N);
	*state = f;
	return 0;
}

static void remove_folder(const char *folder)
{
	char command[128];
	snprintf(command, sizeof command, "rm -rf '%s'", folder);
	assert_int_equal(system(command), 0);
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	history_close(f->h);
	config_unref(f->config);
	free(f->play.values);
	free(f->play.texts);
	remove_folder(f->folder);
	free(f);
	return 0;
}

static void open_it(struct fixture *f)
{
	assert_int_equal(history_open(&f->h, &f->options), 0);
}

static void reopen_it(struct fixture *f)
{
	history_close(f->h);
	f->h = NULL;
	open_it(f);
}

static int64_t time_of(uint64_t sequence)
{
	return 1700000000 * SECOND + (int64_t)sequence * SECOND + (int64_t)(play_noise(sequence) % 100000);
}

static int append(struct fixture *f, const char *node, uint64_t sequence)
{
	struct history_period p = {{7, sequence}, time_of(sequence), play_period(&f->play, sequence, N)};
	return history_append(f->h, history_monitor(f->h, node, "host"), f->config, &p);
}

static void append_range(struct fixture *f, const char *node, uint64_t from, uint64_t to)
{
	for (uint64_t s = from; s <= to; s++)
		assert_int_equal(append(f, node, s), 0);
}

static void on_committed(void *data, struct history_monitor *m, struct history_position to)
{
	struct fixture *f = data;
	assert_int_equal(to.boot, 7);
	if (!strcmp(history_monitor_node(m), "a"))
		f->told = to.sequence;
}

static void on_trouble(void *data, const char *what, uint64_t dropped)
{
	struct fixture *f = data;
	if (what) {
		f->began++;
		snprintf(f->what, sizeof f->what, "%s", what);
	} else {
		f->ended++;
		f->dropped = dropped;
	}
}

static void dispatch(struct fixture *f)
{
	static const struct history_news news = {on_committed, on_trouble};
	history_dispatch(f->h, &news, f);
}

static void pause_ms(int ms)
{
	poll(NULL, 0, ms);
}

static void wait_committed(struct fixture *f, uint64_t sequence)
{
	for (int i = 0; i < 1000 && f->told < sequence; i++) {
		dispatch(f);
		pause_ms(10);
	}
	assert_int_equal(f->told, sequence);
}

struct checked {
	uint64_t next, n;
};

static int check_period(void *data, struct config *config, const struct history_period *p)
{
	struct checked *c = data;
	assert_int_equal(config->n, N);
	assert_int_equal(p->at.sequence, c->next);
	assert_int_equal(p->time_ns, time_of(c->next));
	assert_true(play_matches(c->next, p->values, N));
	c->next++;
	c->n++;
	return 0;
}

static void check_replay(struct fixture *f, const char *node, uint64_t after, uint64_t to)
{
	struct checked c = {.next = after + 1};
	struct history_position from = {after ? 7 : 0, after};
	assert_int_equal(history_replay(f->h, node, "host", from, SIZE_MAX, check_period, &c), to - after);
	assert_int_equal(c.next, to + 1);
}

/* --- what it does --- */

static void keeps_periods(void **state)
{
	struct fixture *f = *state;
	open_it(f);
	append_range(f, "a", 1, 100);
	wait_committed(f, 100);
	check_replay(f, "a", 0, 100);
	check_replay(f, "a", 60, 100);
}

static void keeps_periods_over_chunks_and_restarts(void **state)
{
	struct fixture *f = *state;
	open_it(f);
	append_range(f, "a", 1, 2000);
	append_range(f, "b", 1, 1500);
	wait_committed(f, 2000);
	check_replay(f, "a", 0, 2000);
	pause_ms(300);
	struct history_figures figures;
	history_figures(f->h, &figures);
	assert_true(figures.chunks >= 3);
	reopen_it(f);
	assert_int_equal(history_monitor_last(history_monitor(f->h, "a", "host")).sequence, 2000);
	append_range(f, "a", 1, 2500); /* those that are known are ignored */
	wait_committed(f, 2500);
	check_replay(f, "a", 0, 2500);
	check_replay(f, "a", 1234, 2500);
	check_replay(f, "b", 0, 1500);
	reopen_it(f);
	check_replay(f, "a", 0, 2500);
}

static int stop_at_ten(void *data, struct config *config, const struct history_period *p)
{
	return ++*(int *)data == 10;
}

static void replay_stops(void **state)
{
	struct fixture *f = *state;
	int n = 0;
	open_it(f);
	append_range(f, "a", 1, 700);
	wait_committed(f, 700);
	assert_int_equal(
	    history_replay(f->h, "a", "host", (struct history_position){0}, SIZE_MAX, stop_at_ten, &n), 10);
	struct checked c = {.next = 5};
	assert_int_equal(
	    history_replay(f->h, "a", "host", (struct history_position){7, 4}, 3, check_period, &c), 3);
	assert_int_equal(
	    history_replay(f->h, "nobody", "host", (struct history_position){0}, 3, check_period, &c), 0);
}

static int check_known(
    void *data, struct history_monitor *m, struct config *config, const struct history_period *last)
{
	uint64_t want = !strcmp(history_monitor_node(m), "a") ? 650 : 3;
	assert_int_equal(last->at.sequence, want);
	assert_int_equal(last->time_ns, time_of(want));
	assert_true(play_matches(want, last->values, config->n));
	++*(int *)data;
	return 0;
}

static void tells_what_is_known(void **state)
{
	struct fixture *f = *state;
	int n = 0;
	open_it(f);
	append_range(f, "a", 1, 650);
	append_range(f, "b", 1, 3);
	wait_committed(f, 650);
	reopen_it(f);
	assert_int_equal(history_known(f->h, check_known, &n), 0);
	assert_int_equal(n, 2);
}

struct points {
	uint64_t n, count;
	int64_t last_ns;
	double sum, min, max;
};

static int add_point(void *data, const struct history_point *p)
{
	struct points *sum = data;
	assert_true(p->time_ns > sum->last_ns);
	sum->last_ns = p->time_ns;
	sum->n++;
	sum->count += p->count;
	sum->sum += p->mean * (double)p->count;
	if (!p->count)
		return 0;
	sum->min = sum->n == 1 || p->min < sum->min ? p->min : sum->min;
	sum->max = sum->n == 1 || p->max > sum->max ? p->max : sum->max;
	return 0;
}

static struct points read_points(struct fixture *f, const char *metric, int64_t step_ns)
{
	struct points p = {0};
	struct history_query q = {"a", "h*", metric, time_of(101), time_of(2001) - 200000, step_ns};
	assert_int_equal(history_read(f->h, &q, add_point, &p), 0);
	return p;
}

static void check_points(struct fixture *f, struct points p)
{
	double sum = 0, max = 0;
	char text[32];
	for (uint64_t s = 101; s <= 2000; s++) {
		double n = (double)play_value(s, 3, text).number / 100;
		sum += n;
		max = n > max ? n : max;
	}
	assert_int_equal(p.count, 1900);
	assert_true(p.sum > sum - 1e-6 && p.sum < sum + 1e-6);
	assert_true(p.max == max);
}

static void reads_points_and_steps(void **state)
{
	struct fixture *f = *state;
	open_it(f);
	append_range(f, "a", 1, 2100);
	append_range(f, "b", 1, 100);
	wait_committed(f, 2100);
	struct points p = read_points(f, "metric/3", 0);
	assert_int_equal(p.n, 1900);
	check_points(f, p);
	p = read_points(f, "metric/3", 60 * SECOND);
	assert_in_range(p.n, 31, 33);
	check_points(f, p);
}

static void thins_and_keeps_means(void **state)
{
	struct fixture *f = *state;
	f->options.thin_after_ns = SECOND;
	f->options.thin_step_ns = 10 * SECOND;
	open_it(f);
	append_range(f, "a", 1, 2100);
	wait_committed(f, 2100);
	pause_ms(500);
	reopen_it(f); /* the first pass comes at once */
	pause_ms(1500);
	struct points p = read_points(f, "metric/3", 60 * SECOND);
	assert_in_range(p.n, 31, 33);
	p = read_points(f, "metric/3", 0);
	assert_in_range(p.n, 190, 1200);
}

static int check_event(void *data, const struct history_event *e)
{
	int *n = data;
	assert_string_equal(e->kind, "node-down");
	assert_string_equal(e->node, "a");
	assert_string_equal(e->monitor, "");
	assert_int_equal(e->time_ns, 100 + *n);
	++*n;
	return 0;
}

static void keeps_events(void **state)
{
	struct fixture *f = *state;
	int n = 0;
	open_it(f);
	for (int i = 0; i < 10; i++)
		assert_int_equal(
		    history_event(f->h, &(struct history_event){100 + i, "node-down", "a", "", "why"}), 0);
	reopen_it(f);
	assert_int_equal(history_events(f->h, 100, 105, check_event, &n), 0);
	assert_int_equal(n, 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(keeps_periods, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(keeps_periods_over_chunks_and_restarts, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(replay_stops, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(tells_what_is_known, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(reads_points_and_steps, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(thins_and_keeps_means, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(keeps_events, set_up, tear_down),
	};
	return cmocka_run_group_tests_name("history", tests, NULL, NULL);
}
