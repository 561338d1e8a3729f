/* SPDX-License-Identifier: Apache-2.0 */
/* A history of one test, in a folder of its own, fed with played periods (play.h). */
#ifndef VIGIA_HISTORY_FIXTURE_TEST_H
#define VIGIA_HISTORY_FIXTURE_TEST_H

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

enum { N = 24, BOOT = 7 };

struct fixture {
	char folder[64], path[96];
	struct history_options options;
	struct history *h;
	struct config *config;
	struct play play;
	int64_t base_ns; /* when period 0 was */
	uint64_t told;	 /* last sequence of "a" that was committed */
	uint64_t refused; /* the first that was not taken; 0: none */
	uint64_t lost;	 /* ... periods of it that were told as lost */
	int began, ended;
	uint64_t dropped;
	char what[400];
};

static inline int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);
	strcpy(f->folder, "/tmp/vigia-history-XXXXXX");
	assert_non_null(mkdtemp(f->folder));
	snprintf(f->path, sizeof f->path, "%s/history.db", f->folder);
	f->options = (struct history_options){.path = f->path, .sync_ns = SECOND, .queue_bytes = 1 << 20};
	f->config = play_config(N);
	f->base_ns = 1700000000 * SECOND;
	*state = f;
	return 0;
}

static inline int tear_down(void **state)
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

static inline void open_it(struct fixture *f)
{
	assert_int_equal(history_open(&f->h, &f->options), 0);
}

static inline void close_it(struct fixture *f)
{
	history_close(f->h);
	f->h = NULL;
}

static inline void reopen_it(struct fixture *f)
{
	close_it(f);
	open_it(f);
}

static inline int64_t time_of(const struct fixture *f, uint64_t sequence)
{
	return f->base_ns + (int64_t)sequence * SECOND + (int64_t)(play_noise(sequence) % 100000);
}

static inline int append_of(struct fixture *f, const char *node, struct config *config, uint64_t sequence)
{
	struct history_period p = {
	    {BOOT, sequence}, time_of(f, sequence), play_period(&f->play, sequence, config->n)};
	return history_append(f->h, history_monitor(f->h, node, "host"), config, &p);
}

static inline int append(struct fixture *f, const char *node, uint64_t sequence)
{
	return append_of(f, node, f->config, sequence);
}

static inline void append_range(struct fixture *f, const char *node, uint64_t from, uint64_t to)
{
	for (uint64_t s = from; s <= to; s++)
		assert_int_equal(append(f, node, s), 0);
}

static inline void on_committed(
    void *data, struct history_monitor *m, struct history_position to, uint64_t lost)
{
	struct fixture *f = data;
	assert_int_equal(to.boot, BOOT);
	if (strcmp(history_monitor_node(m), "a"))
		return;
	f->told = to.sequence;
	f->lost += lost;
	if (f->refused && to.sequence > f->refused)
		assert_true(f->lost > 0);
}

static inline void on_trouble(void *data, const char *what, uint64_t dropped)
{
	struct fixture *f = data;
	f->began += what != NULL;
	f->ended += what == NULL;
	if (what)
		snprintf(f->what, sizeof f->what, "%s", what);
	else
		f->dropped = dropped;
}

static inline void dispatch(struct fixture *f)
{
	static const struct history_news news = {on_committed, on_trouble};
	history_dispatch(f->h, &news, f);
}

static inline void pause_ms(int ms)
{
	poll(NULL, 0, ms);
}

/* Until `condition`, 15 s at most; with a look at the news each time. */
#define wait_until_true(f, condition)                                                                        \
	do {                                                                                                 \
		for (int waited = 0; waited < 1500 && !(condition); waited++) {                              \
			dispatch(f);                                                                         \
			pause_ms(10);                                                                        \
		}                                                                                            \
		assert_true(condition);                                                                      \
	} while (0)

static inline void wait_told(struct fixture *f, uint64_t sequence)
{
	wait_until_true(f, f->told >= sequence);
	assert_int_equal(f->told, sequence);
}

static inline struct history_figures figures(struct fixture *f)
{
	struct history_figures now;
	history_figures(f->h, &now);
	return now;
}

struct checked {
	uint64_t first, last, n;
	int64_t base_ns;
};

static inline int check_period(void *data, struct config *config, const struct history_period *p)
{
	struct checked *c = data;
	struct fixture f = {.base_ns = c->base_ns};
	assert_true(p->at.sequence > c->last);
	assert_int_equal(p->time_ns, time_of(&f, p->at.sequence));
	assert_true(play_matches(p->at.sequence, p->values, config->n));
	c->first = c->n ? c->first : p->at.sequence;
	c->last = p->at.sequence;
	c->n++;
	return 0;
}

static inline struct checked replay_after(struct fixture *f, const char *node, uint64_t after, size_t max)
{
	struct checked c = {.last = after, .base_ns = f->base_ns};
	struct history_position from = {after ? BOOT : 0, after};
	int n = history_replay(f->h, node, "host", from, max, check_period, &c);
	assert_int_equal(n, c.n);
	return c;
}

static inline struct checked replay(struct fixture *f, const char *node)
{
	return replay_after(f, node, 0, SIZE_MAX);
}

/* Just those after `after` and up to `to` are there. */
static inline void check_replay(struct fixture *f, const char *node, uint64_t after, uint64_t to)
{
	struct checked c = replay_after(f, node, after, SIZE_MAX);
	assert_int_equal(c.n, to - after);
	assert_int_equal(c.first, after + 1);
	assert_int_equal(c.last, to);
}

static inline int count_point(void *data, const struct history_point *p)
{
	++*(uint64_t *)data;
	return 0;
}

/* --- what is in the file --- */

static inline void sqlite(const char *path, const char *text)
{
	sqlite3 *db;
	assert_int_equal(sqlite3_open(path, &db), 0);
	assert_int_equal(sqlite3_exec(db, text, NULL, NULL, NULL), 0);
	sqlite3_close(db);
}

static inline int64_t sqlite_int(const char *path, const char *text)
{
	sqlite3 *db;
	sqlite3_stmt *q;
	assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), 0);
	sqlite3_busy_timeout(db, 5000);
	assert_int_equal(sqlite3_prepare_v2(db, text, -1, &q, NULL), 0);
	assert_int_equal(sqlite3_step(q), SQLITE_ROW);
	int64_t n = sqlite3_column_int64(q, 0);
	sqlite3_finalize(q);
	sqlite3_close(db);
	return n;
}

static inline int count_damaged(const char *folder)
{
	int n = 0;
	DIR *d = opendir(folder);
	for (struct dirent *e; (e = readdir(d));)
		n += strstr(e->d_name, ".damaged-") && !strstr(e->d_name, "-wal");
	closedir(d);
	return n;
}

#define test_of_it(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif
