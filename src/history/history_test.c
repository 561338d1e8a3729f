/* SPDX-License-Identifier: Apache-2.0 */
#include "history/fixture_test.h"

/* --- what it does --- */

static void keeps_periods(void **state)
{
	struct fixture *f = *state;
	open_it(f);
	append_range(f, "a", 1, 100);
	wait_told(f, 100);
	check_replay(f, "a", 0, 100);
	check_replay(f, "a", 60, 100);
}

static void keeps_periods_over_chunks_and_restarts(void **state)
{
	struct fixture *f = *state;
	open_it(f);
	append_range(f, "a", 1, 2000);
	append_range(f, "b", 1, 1500);
	wait_told(f, 2000);
	check_replay(f, "a", 0, 2000);
	wait_until_true(f, figures(f).chunks >= 3);
	reopen_it(f);
	assert_int_equal(history_monitor_last(history_monitor(f->h, "a", "host")).sequence, 2000);
	append_range(f, "a", 1, 2500); /* those that are known are ignored */
	wait_told(f, 2500);
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
	wait_told(f, 700);
	assert_int_equal(
	    history_replay(f->h, "a", "host", (struct history_position){0}, SIZE_MAX, stop_at_ten, &n), 10);
	assert_int_equal(replay_after(f, "a", 4, 3).last, 7);
	assert_int_equal(replay(f, "nobody").n, 0);
}

struct knowing {
	struct fixture *f;
	int n;
};

static int check_known(
    void *data, struct history_monitor *m, struct config *config, const struct history_period *last)
{
	struct knowing *k = data;
	uint64_t want = !strcmp(history_monitor_node(m), "a") ? 650 : 3;
	assert_int_equal(last->at.sequence, want);
	assert_int_equal(last->time_ns, time_of(k->f, want));
	assert_true(play_matches(want, last->values, config->n));
	k->n++;
	return 0;
}

static void tells_what_is_known(void **state)
{
	struct fixture *f = *state;
	struct knowing k = {.f = f};
	open_it(f);
	append_range(f, "a", 1, 650);
	append_range(f, "b", 1, 3);
	wait_told(f, 650);
	reopen_it(f);
	assert_int_equal(history_known(f->h, check_known, &k), 0);
	assert_int_equal(k.n, 2);
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
	struct history_query q = {"a", "h*", metric, time_of(f, 101), time_of(f, 2001) - 200000, step_ns};
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
	wait_told(f, 2100);
	struct points p = read_points(f, "metric/3", 0);
	assert_int_equal(p.n, 1900);
	check_points(f, p);
	p = read_points(f, "metric/3", 60 * SECOND);
	assert_in_range(p.n, 31, 33);
	check_points(f, p);
}

/* --- reading in pieces --- */

struct list {
	struct seen {
		char metric[32];
		int64_t time_ns;
		uint64_t count;
		double mean;
	} *points;
	size_t n, size;
	unsigned every; /* ends a piece after so many; 0: never */
};

static int list_point(void *data, const struct history_point *p)
{
	struct list *l = data;
	if (l->n == l->size) {
		l->size = l->size ? l->size * 2 : 1024;
		l->points = realloc(l->points, l->size * sizeof *l->points);
	}
	struct seen *s = &l->points[l->n++];
	*s = (struct seen){.time_ns = p->time_ns, .count = p->count, .mean = p->mean};
	snprintf(s->metric, sizeof s->metric, "%s", p->metric->name);
	return l->every && l->n % l->every == 0;
}

static size_t read_list(struct fixture *f, struct list *l, const char *metric, int64_t step_ns)
{
	struct history_query q = {"a", "host", metric, 0, INT64_MAX, step_ns};
	struct history_cursor c = {0};
	size_t pieces = 1;
	int e;
	l->n = 0;
	while ((e = history_read_on(f->h, &q, &c, list_point, l)) > 0)
		pieces++;
	assert_int_equal(e, 0);
	return pieces;
}

/* Series by series, in order of time, nothing twice. */
static void check_order(const struct list *l)
{
	for (size_t i = 1; i < l->n; i++) {
		int order = strcmp(l->points[i - 1].metric, l->points[i].metric);
		assert_true(order < 0 || (!order && l->points[i - 1].time_ns < l->points[i].time_ns));
	}
}

static void pieces_are_the_whole(void **state)
{
	struct fixture *f = *state;
	static const int64_t steps[] = {0, SECOND, 7 * SECOND, 3600 * SECOND};
	open_it(f);
	for (uint64_t s = 1; s <= 6000; s += 1000) {
		append_range(f, "a", s, s + 999);
		wait_told(f, s + 999);
	}
	for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
		struct list whole = {0}, cut = {.every = 997};
		size_t few = read_list(f, &whole, "*", steps[i]), many = read_list(f, &cut, "*", steps[i]);
		check_order(&whole);
		assert_true(few > 1 && (many > few || whole.n < 997));
		assert_true(steps[i] || whole.n == 6000 * N);
		assert_int_equal(whole.n, cut.n);
		assert_memory_equal(whole.points, cut.points, whole.n * sizeof *whole.points);
		free(whole.points);
		free(cut.points);
	}
}

/* Longer than what is read at once: in slices of time, each step in one of them. */
static void a_long_series_comes_in_slices(void **state)
{
	struct fixture *f = *state;
	struct config *one = play_config(1);
	struct list l = {0};
	enum { ROWS = 150000 };
	open_it(f);
	for (uint64_t s = 1; s <= ROWS; s++) {
		assert_int_equal(append_of(f, "a", one, s), 0);
		if (s % 10000 == 0)
			wait_told(f, s);
	}
	assert_true(read_list(f, &l, "*", 0) >= 3);
	check_order(&l);
	assert_int_equal(l.n, ROWS);
	assert_true(read_list(f, &l, "*", 1000 * SECOND) >= 3);
	check_order(&l);
	assert_int_equal(l.n, ROWS / 1000 + 1);
	for (size_t i = 1; i + 1 < l.n; i++)
		assert_int_equal(l.points[i].count, 1000);
	free(l.points);
	config_unref(one);
}

/* More series than are listed at once. */
static void many_series_come_in_pieces(void **state)
{
	struct fixture *f = *state;
	struct config *wide = play_config(10000);
	struct list l = {0};
	open_it(f);
	for (uint64_t s = 1; s <= 3; s++)
		assert_int_equal(append_of(f, "a", wide, s), 0);
	wait_told(f, 3);
	assert_true(read_list(f, &l, "*", 0) >= 1);
	check_order(&l);
	assert_int_equal(l.n, 30000);
	free(l.points);
	config_unref(wide);
}

static void thins_and_keeps_means(void **state)
{
	struct fixture *f = *state;
	f->options.thin_after_ns = SECOND;
	f->options.thin_step_ns = 10 * SECOND;
	open_it(f);
	append_range(f, "a", 1, 2100);
	wait_told(f, 2100);
	wait_until_true(f, figures(f).chunks >= 3);
	reopen_it(f); /* the first pass comes at once */
	wait_until_true(f, sqlite_int(f->path, "SELECT count(*) FROM chunks_ WHERE step_ns = 0") == 0);
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
	    test_of_it(keeps_periods),
	    test_of_it(keeps_periods_over_chunks_and_restarts),
	    test_of_it(replay_stops),
	    test_of_it(tells_what_is_known),
	    test_of_it(reads_points_and_steps),
	    test_of_it(pieces_are_the_whole),
	    test_of_it(a_long_series_comes_in_slices),
	    test_of_it(many_series_come_in_pieces),
	    test_of_it(thins_and_keeps_means),
	    test_of_it(keeps_events),
	};
	return cmocka_run_group_tests_name("history", tests, NULL, NULL);
}
