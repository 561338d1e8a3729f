/* SPDX-License-Identifier: Apache-2.0 */
/* The view: whose row counts, and what a daemon that starts again still knows. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/dice_test.h"
#include "core/links.h"
#include "core/view.h"
#include "core/view_line.h"
#include "os/clock.h"

/* --- a core with a view, its directory, and the file in it --- */

static const struct service *const services[] = {&host_service, NULL};
static uv_loop_t loop;
static struct core core;
static char directory[64], path[80], aside[90];
static bool running;

static void start(void)
{
	static const struct limit_values limits = {{[LIMIT_CONNECTIONS] = 10, [LIMIT_QUERIES] = 4}};
	memset(&core, 0, sizeof core);
	uv_loop_init(&loop);
	assert_int_equal(core_start(&core, &loop, &(struct host_id){{1}}, "h1", services, &limits), 0);
	assert_int_equal(view_start(&core, "", directory), 0);
	running = true;
}

static void stop(void)
{
	view_stop(&core);
	core_stop(&core);
	uv_run(&loop, UV_RUN_DEFAULT);
	view_release(&core);
	assert_int_equal(uv_loop_close(&loop), 0);
	running = false;
}

static void restart(void)
{
	stop();
	start();
}

static int set_up(void **state)
{
	/* In memory, where there is such: a busy disk takes half a minute for an fsync. */
	strcpy(directory, access("/dev/shm", W_OK) ? "/tmp/vigia-view-test.XXXXXX" : "/dev/shm/vigia-view-test.XXXXXX");
	assert_non_null(mkdtemp(directory));
	snprintf(path, sizeof path, "%s/view", directory);
	snprintf(aside, sizeof aside, "%s.bad", path);
	start();
	return 0;
}

static int tear_down(void **state)
{
	if (running)
		stop();
	unlink(path);
	unlink(aside);
	return rmdir(directory);
}

static int64_t now_ms(void)
{
	return (int64_t)(uv_hrtime() / 1000000);
}

static const char *trouble(void);
static size_t file_size(void);

#define UNTIL(condition) \
	do { \
		int64_t begun_ = now_ms(); \
		while (!(condition)) { \
			uv_run(&loop, UV_RUN_NOWAIT); \
			if (now_ms() - begun_ > 20000) \
				fail_msg("never: %s; trouble: %s; %zu bytes", #condition, trouble(), file_size()); \
		} \
	} while (0)

static size_t file_size(void)
{
	struct stat st;
	return stat(path, &st) ? 0 : (size_t)st.st_size;
}

static void write_file(const char *text, const char *mode)
{
	FILE *f = fopen(path, mode);
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static const char *trouble(void)
{
	static struct buf why;
	buf_clear(&why);
	return view_trouble(&core, &why) ? buf_str(&why) : "";
}

/* --- rows --- */

static struct host_id host(unsigned n)
{
	return (struct host_id){{2, (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n}};
}

static struct view_row row(unsigned n, enum view_state state, int64_t revision)
{
	struct view_row r = {.id = host(n), .state = state, .revision = revision};
	snprintf(r.name, sizeof r.name, "n%u", n);
	snprintf(r.addresses, sizeof r.addresses, "10.0.0.1:%u [::1]:%u", n, n);
	return r;
}

static int take(unsigned n, enum view_state state, int64_t revision)
{
	struct view_row r = row(n, state, revision);
	return view_take(&core, &r);
}

static const struct view_row *found(unsigned n)
{
	struct host_id id = host(n);
	return view_find(&core, &id);
}

static const char *shown(unsigned n)
{
	const struct view_row *r = found(n);
	return r ? view_state_name(view_shown(r)) : "none";
}

static void see(unsigned n, enum view_state state)
{
	struct host_id id = host(n);
	view_state(&core, &id, state);
}

static void count(void *data, const struct view_row *r)
{
	++*(unsigned *)data;
}

static unsigned listed(bool all)
{
	unsigned n = 0;
	view_each(&core, all, count, &n);
	return n;
}

static int64_t now_ns(void)
{
	return clock_wall_ns();
}

static void the_later_of_two_rows_is_believed(void **state)
{
	assert_int_equal(take(1, VIEW_UP, 10), 1);
	assert_int_equal(take(1, VIEW_DOWN, 10), 0);
	assert_int_equal(take(1, VIEW_DOWN, 9), 0);
	assert_string_equal(shown(1), "up");
	assert_int_equal(take(1, VIEW_DOWN, 11), 1);
	assert_string_equal(shown(1), "down");
	struct view_row own = *view_own(&core);
	own.state = VIEW_REMOVED;
	own.revision++;
	assert_int_equal(view_take(&core, &own), 0);
	assert_int_equal(view_own(&core)->state, VIEW_UP);
}

static void what_can_t_be_a_row_is_refused(void **state)
{
	static const char *const names[] = {"", "a b", "a\n", "a*", "a/b", "\xff", "a\x7f"};
	struct view_row r = row(1, VIEW_UP, 10);
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		strcpy(r.name, names[i]);
		assert_int_equal(view_take(&core, &r), -EINVAL);
	}
	r = row(1, VIEW_UP, 10);
	strcpy(r.addresses, "h:1\nh:2");
	assert_int_equal(view_take(&core, &r), -EINVAL);
	assert_int_equal(take(1, VIEW_UP, 0), -EINVAL);
	assert_int_equal(take(1, VIEW_UP, INT64_MAX), -EINVAL); /* nothing would ever be later */
	assert_int_equal(listed(true), 1);
}

/* --- a restart --- */

static void a_restart_still_knows_every_host(void **state)
{
	take(1, VIEW_UP, now_ns());
	take(2, VIEW_DOWN, now_ns());
	take(3, VIEW_LEFT, now_ns());
	take(4, VIEW_REMOVED, now_ns());
	struct view_row before = *found(1);
	restart();
	assert_string_equal(shown(1), "unknown");
	assert_string_equal(shown(2), "down");
	assert_string_equal(shown(3), "left");
	assert_string_equal(shown(4), "removed");
	assert_int_equal(listed(false), 4);
	assert_string_equal(found(1)->addresses, before.addresses);
	assert_int_equal(found(1)->revision, before.revision);
	assert_int_equal(found(1)->state, VIEW_UP); /* what others are told is what was known */
	assert_string_equal(trouble(), "");
}

static void who_is_heard_of_again_is_known_again(void **state)
{
	int64_t revision = now_ns();
	take(1, VIEW_UP, revision);
	take(2, VIEW_UP, revision);
	take(3, VIEW_DOWN, revision);
	restart();
	assert_int_equal(take(1, VIEW_UP, revision - 1), 0);
	assert_string_equal(shown(1), "unknown");
	assert_int_equal(take(1, VIEW_UP, revision), 1);
	assert_string_equal(shown(1), "up");
	see(2, VIEW_UP);
	assert_string_equal(shown(2), "up");
	assert_true(found(2)->revision > revision);
	see(3, VIEW_DOWN);
	assert_int_equal(found(3)->revision, revision); /* no news */
}

static void a_host_that_was_removed_is_not_brought_back(void **state)
{
	int64_t revision = now_ns();
	take(1, VIEW_UP, revision);
	see(1, VIEW_REMOVED);
	restart();
	assert_int_equal(take(1, VIEW_UP, revision), 0); /* by a daemon that was away meanwhile */
	assert_string_equal(shown(1), "removed");
	assert_int_equal(take(1, VIEW_UP, now_ns()), 1); /* it was added again */
	restart();
	assert_string_equal(shown(1), "unknown");
}

static void a_removal_is_forgotten_in_the_end(void **state)
{
	int64_t old = now_ns() - VIEW_REMOVED_NS - 1000;
	assert_int_equal(take(1, VIEW_REMOVED, old), 0);
	assert_int_equal(take(2, VIEW_UP, old - 1), 1);
	assert_int_equal(take(2, VIEW_REMOVED, old), 1);
	restart();
	assert_null(found(2));
	assert_int_equal(listed(true), 1);
}

static void the_own_row_is_later_than_in_the_life_before(void **state)
{
	struct view_row own = *view_own(&core);
	struct buf line = BUF_INIT;
	stop();
	own.revision += 3600000000000; /* the clock was set back since */
	view_line_put(&line, &own);
	write_file(buf_str(&line), "w");
	buf_release(&line);
	start();
	assert_int_equal(view_own(&core)->revision, own.revision + 1);
	assert_int_equal(listed(true), 1);
}

/* --- as many as there may be --- */

static void the_view_has_an_end(void **state)
{
	unsigned n = 0;
	while (n < VIEW_HOSTS_MAX - 1)
		assert_int_equal(take(++n, VIEW_UP, now_ns()), 1);
	assert_int_equal(take(n + 1, VIEW_UP, now_ns()), -ENOSPC);
	assert_int_equal(take(n, VIEW_DOWN, now_ns()), 1);
	see(5, VIEW_REMOVED);
	see(4, VIEW_REMOVED);
	assert_int_equal(take(n + 1, VIEW_UP, now_ns()), 1); /* in place of who was removed first */
	assert_string_equal(shown(5), "none");
	assert_string_equal(shown(4), "removed");
	restart();
	assert_int_equal(listed(true), VIEW_HOSTS_MAX);
}

/* A platform that only counts whom it could reach. */
static unsigned placed;

static int open_platform(struct platform **ret, const struct platform_options *o, struct buf *why)
{
	*ret = (struct platform *)&placed;
	return 0;
}

static void close_platform(struct platform *p)
{
}

static void place_host(struct platform *p, const struct host_id *host, const char *name, const char *addresses)
{
	placed += *addresses ? 1 : -1u;
}

static const struct platform_type counting = {.name = "counting", .open = open_platform, .close = close_platform, .place = place_host};

static void who_is_forgotten_is_so_by_the_platform_too(void **state)
{
	int64_t revision = now_ns();
	placed = 0;
	assert_int_equal(links_start(&core, &counting, NULL, NULL, NULL), 0);
	for (unsigned n = 1; n <= VIEW_REMOVED_MAX + 10; n++) {
		take(n, VIEW_UP, revision + n);
		see(n, VIEW_REMOVED);
	}
	assert_int_equal(placed, VIEW_REMOVED_MAX);
	links_stop(&core);
	uv_run(&loop, UV_RUN_NOWAIT);
	links_release(&core);
}

static void as_many_removals_are_remembered_and_no_more(void **state)
{
	int64_t revision = now_ns();
	for (unsigned n = 1; n <= VIEW_REMOVED_MAX + 10; n++) {
		take(n, VIEW_UP, revision + n);
		see(n, VIEW_REMOVED);
	}
	assert_int_equal(listed(true), VIEW_REMOVED_MAX + 1);
	assert_string_equal(shown(10), "none");
	assert_string_equal(shown(11), "removed");
	restart();
	assert_int_equal(listed(true), VIEW_REMOVED_MAX + 1);
}

static void what_changes_for_ever_is_put_in_order(void **state)
{
	take(1, VIEW_UP, now_ns());
	size_t most = 0;
	for (int i = 0; i < 60000; i++) {
		see(1, i % 2 ? VIEW_UP : VIEW_DOWN);
		if (i % 64 == 0) {
			uv_run(&loop, UV_RUN_NOWAIT);
			most = file_size() > most ? file_size() : most;
		}
	}
	assert_true(most < 4 << 20);
	restart();
	assert_string_equal(shown(1), "unknown");
	UNTIL(file_size() < 400);
}

/* --- a file that is not as it should be --- */

static void lines_that_are_damaged_are_told_and_the_others_read(void **state)
{
	char text[4096];
	take(1, VIEW_DOWN, now_ns());
	take(2, VIEW_DOWN, now_ns());
	take(3, VIEW_DOWN, now_ns());
	restart(); /* in order: h1, n1, n2, n3 */
	UNTIL(file_size());
	stop();
	FILE *f = fopen(path, "r");
	size_t n = fread(text, 1, sizeof text - 1, f);
	fclose(f);
	text[n] = '\0';
	char *second = strstr(text, " n2 ");
	second[2] = '7'; /* a name that could be */
	write_file(text, "w");
	write_file("0203", "a"); /* torn off: nobody was told of it */
	start();
	assert_string_equal(shown(1), "down");
	assert_string_equal(shown(2), "none");
	assert_string_equal(shown(3), "down");
	char expected[400];
	snprintf(expected, sizeof expected, "%s:3: expected a host's line with its sum; the file is kept as %s. Hosts that are "
	    "missing come back when they are heard of", path, aside);
	assert_string_equal(trouble(), expected);
	assert_int_equal(access(aside, F_OK), 0);
	restart();
	assert_string_equal(trouble(), ""); /* it was put in order */
	assert_string_equal(shown(3), "down");
}

static void a_line_that_was_torn_off_is_no_damage(void **state)
{
	take(1, VIEW_DOWN, now_ns());
	stop();
	write_file("02000002000000000000000000000000 up 17", "a");
	start();
	assert_string_equal(trouble(), "");
	assert_string_equal(shown(1), "down");
	take(2, VIEW_DOWN, now_ns());
	restart();
	assert_string_equal(shown(2), "down"); /* not glued to it */
}

static void what_is_no_file_is_told(void **state)
{
	stop();
	unlink(path);
	assert_int_equal(mkdir(path, 0700), 0);
	start();
	assert_non_null(strstr(trouble(), "/view: not a plain file"));
	UNTIL(strstr(trouble(), "Is a directory"));
	assert_int_equal(take(1, VIEW_DOWN, now_ns()), 1);
	assert_int_equal(rmdir(path), 0);
	UNTIL(!strstr(trouble(), "Is a directory"));
	restart();
	assert_string_equal(shown(1), "down");
}

static void a_full_disk_is_told_and_nothing_is_lost_when_there_is_room_again(void **state)
{
	struct rlimit all, none;
	take(1, VIEW_DOWN, now_ns());
	UNTIL(file_size());
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &all);
	none = (struct rlimit){.rlim_cur = file_size() + 200, .rlim_max = all.rlim_max};
	setrlimit(RLIMIT_FSIZE, &none);
	for (unsigned n = 2; n < 50; n++)
		take(n, VIEW_DOWN, now_ns());
	UNTIL(strstr(trouble(), "File too large"));
	for (unsigned n = 50; n < 100; n++)
		take(n, VIEW_DOWN, now_ns());
	setrlimit(RLIMIT_FSIZE, &all);
	UNTIL(!*trouble());
	restart();
	assert_int_equal(listed(true), 100);
	assert_string_equal(trouble(), "");
}

/* --- a sudden death --- */

static void change_until_killed(unsigned to_parent)
{
	bool told = false;
	start();
	for (unsigned n = 1;; n++) {
		take(n % 500 + 1, VIEW_DOWN, now_ns());
		if (n % 97 == 0)
			see(n % 500 + 1, VIEW_REMOVED);
		if (n % 10 == 0)
			uv_run(&loop, UV_RUN_NOWAIT);
		if (n % 100 || told || file_size() < 1000)
			continue;
		told = true;
		if (write((int)to_parent, "x", 1) != 1)
			_exit(1);
	}
}

static void whenever_it_is_killed_the_file_is_whole(void **state)
{
	dice_begin();
	stop();
	for (int i = 0; i < 20; i++) {
		int pipe_fds[2];
		char byte;
		assert_int_equal(pipe(pipe_fds), 0);
		pid_t child = fork();
		if (!child)
			change_until_killed((unsigned)pipe_fds[1]);
		assert_int_equal(read(pipe_fds[0], &byte, 1), 1);
		usleep((useconds_t)dice_below(20000));
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
		close(pipe_fds[0]);
		close(pipe_fds[1]);
		start();
		assert_string_equal(trouble(), "");
		assert_int_equal(view_own(&core)->state, VIEW_UP);
		stop();
	}
	start();
	assert_true(listed(true) > 1);
}

#define T(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    T(the_later_of_two_rows_is_believed),
	    T(what_can_t_be_a_row_is_refused),
	    T(a_restart_still_knows_every_host),
	    T(who_is_heard_of_again_is_known_again),
	    T(a_host_that_was_removed_is_not_brought_back),
	    T(a_removal_is_forgotten_in_the_end),
	    T(the_own_row_is_later_than_in_the_life_before),
	    T(the_view_has_an_end),
	    T(who_is_forgotten_is_so_by_the_platform_too),
	    T(as_many_removals_are_remembered_and_no_more),
	    T(what_changes_for_ever_is_put_in_order),
	    T(lines_that_are_damaged_are_told_and_the_others_read),
	    T(a_line_that_was_torn_off_is_no_damage),
	    T(what_is_no_file_is_told),
	    T(a_full_disk_is_told_and_nothing_is_lost_when_there_is_room_again),
	    T(whenever_it_is_killed_the_file_is_whole),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
