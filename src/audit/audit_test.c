/* SPDX-License-Identifier: Apache-2.0 */
/* The log on a loop: what waits, what is refused, what is left out and counted. */
#include <errno.h>
#include <poll.h>
#include <stdatomic.h>

#include "audit/audit.h"
#include "audit/fixture_test.h"
#include "os/clock.h"

static atomic_bool disk_full; /* workers write */
static atomic_int failed;     /* writes */

ssize_t __real_write(int fd, const void *bytes, size_t n);
ssize_t __wrap_write(int fd, const void *bytes, size_t n);
ssize_t __wrap_write(int fd, const void *bytes, size_t n)
{
	if (!disk_full || n < 100) /* a loop's own writes are small */
		return __real_write(fd, bytes, n);
	failed++;
	errno = ENOSPC;
	return -1;
}

static uv_loop_t loop;
static struct audit *a;

static void start(enum audit_unwritable unwritable)
{
	struct audit_options o = {.changes = {1000, 100},
	    .files = {.directory = directory, .host = HOST, .file_size = 16 << 20}, .unwritable = unwritable};
	disk_full = false;
	failed = 0;
	assert_int_equal(uv_loop_init(&loop), 0);
	assert_int_equal(audit_open(&a, &loop, &o), 0);
}

static void stop(void)
{
	audit_stop(a);
	uv_run(&loop, UV_RUN_DEFAULT);
	audit_free(a);
	assert_int_equal(uv_loop_close(&loop), 0);
}

static bool in_trouble(void)
{
	struct buf why = BUF_INIT;
	int r = audit_trouble(a, &why);
	buf_release(&why);
	return r;
}

static void run_until_trouble(bool wanted)
{
	int64_t end_ns = clock_mono_ns() + 20000000000;
	while (in_trouble() != wanted && clock_mono_ns() < end_ns) {
		uv_run(&loop, UV_RUN_NOWAIT);
		poll(NULL, 0, 1);
	}
	assert_int_equal(in_trouble(), wanted);
}

static void run_until_failed(int n)
{
	int64_t end_ns = clock_mono_ns() + 20000000000;
	while (failed < n && clock_mono_ns() < end_ns) {
		uv_run(&loop, UV_RUN_NOWAIT);
		poll(NULL, 0, 1);
	}
	assert_true(failed >= n);
}

static void put(const char *what, enum audit_kind kind)
{
	struct audit_record r = record_of(what, "");
	if (audit_takes(a, &r, kind))
		audit_put(a, &r, kind);
}

static int may_change(bool trusted)
{
	struct audit_record r = record_of("a.b", "");
	struct buf why = BUF_INIT;
	int e = audit_may_change(a, &r, trusted, &why);
	assert_true(!e == !why.len);
	buf_release(&why);
	return e;
}

/* How many lines have this in them. */
static int lines_with(const char *what)
{
	struct audit_reader *r;
	const char *line;
	size_t n;
	int piece, found = 0;
	assert_int_equal(audit_reader_open(&r, directory, NULL), 0);
	while ((piece = audit_reader_next(r, &line, &n)))
		found += piece == AUDIT_LINE && memmem(line, n, what, strlen(what));
	audit_reader_close(r);
	return found;
}

static void what_is_put_is_there_in_order(void **state)
{
	start(AUDIT_HOLD);
	for (int i = 0; i < 1000; i++)
		put("a.b", AUDIT_CHANGE);
	stop();
	assert_whole(1002);
	assert_int_equal(lines_with(" a.b done"), 1000);
	assert_int_equal(lines_with(" itself - daemon.start done"), 1);
	assert_int_equal(lines_with("1002 "), 1);
}

static void what_a_full_disk_holds_up_is_written_later(void **state)
{
	start(AUDIT_HOLD);
	disk_full = true;
	for (int i = 0; i < 100; i++)
		put("a.b", AUDIT_CHANGE);
	run_until_trouble(true);
	assert_int_equal(may_change(false), 0);
	for (int i = 0; i < 100; i++)
		put("a.b", AUDIT_CHANGE);
	run_until_failed(2);
	for (int i = 0; i < 100; i++)
		put("a.b", AUDIT_CHANGE);
	disk_full = false;
	run_until_trouble(false);
	stop();
	assert_int_equal(lines_with(" a.b done"), 300);
	assert_int_equal(lines_with(" audit.recover done trouble="), 1);
	assert_int_equal(lines_with("No space left on device\" count=\"0\""), 1);
	assert_whole(303);
}

static void no_change_without_a_place_for_its_record(void **state)
{
	int n = 0;
	start(AUDIT_HOLD);
	disk_full = true;
	while (!may_change(true) && n < 100000) {
		put("a.b", AUDIT_CHANGE);
		n++;
	}
	assert_true(n > 10000 && n < 100000);
	assert_int_equal(may_change(true), -EIO);
	run_until_trouble(true);
	disk_full = false;
	run_until_trouble(false);
	assert_int_equal(may_change(true), 0);
	stop();
	assert_int_equal(lines_with(" a.b done"), n);
}

static void refuse_is_at_once(void **state)
{
	start(AUDIT_REFUSE);
	assert_int_equal(may_change(true), 0);
	disk_full = true;
	put("a.b", AUDIT_CHANGE);
	run_until_trouble(true);
	assert_int_equal(may_change(true), -EIO);
	disk_full = false;
	run_until_trouble(false);
	assert_int_equal(may_change(true), 0);
	stop();
}

static void go_on_counts_what_it_loses(void **state)
{
	char count[40];
	start(AUDIT_GO_ON);
	disk_full = true;
	for (int i = 0; i < 100000; i++) {
		assert_int_equal(may_change(true), 0);
		put("a.b", AUDIT_CHANGE);
	}
	run_until_trouble(true);
	disk_full = false;
	run_until_trouble(false);
	stop();
	int there = lines_with(" a.b done");
	assert_true(there > 10000 && there < 100000);
	snprintf(count, sizeof count, "count=\"%d\"", 100000 - there);
	assert_int_equal(lines_with(count), 1);
}

static void a_disk_full_to_the_end_is_no_harm(void **state)
{
	start(AUDIT_HOLD);
	put("a.b", AUDIT_CHANGE);
	disk_full = true;
	put("a.b", AUDIT_CHANGE);
	stop();
	disk_full = false;
	start(AUDIT_HOLD);
	stop();
	struct told t;
	verify(&t, NULL);
	assert_int_equal(t.walk.faults, 0);
	told_release(&t);
}

static void a_flood_of_refusals_is_counted(void **state)
{
	char count[40];
	start(AUDIT_HOLD);
	for (int i = 0; i < 100000; i++)
		put("a.b", AUDIT_REFUSAL);
	stop();
	int there = lines_with(" a.b done");
	assert_true(there >= 50 && there < 200);
	snprintf(count, sizeof count, "count=\"%d\"", 100000 - there);
	assert_int_equal(lines_with(count), 1);
	assert_int_equal(lines_with("1000 - " "00112233445566778899aabbccddeeff kernel - audit.left-out done of=\"refusals\""), 1);
}

static void many_who_flood_share_what_there_is(void **state)
{
	static struct audit_rates rates;
	uint64_t told = 0, counted = 0;
	struct audit_rate *left;
	memset(&rates, 0, sizeof rates);
	for (int i = 0; i < 300000; i++) {
		struct audit_record r = record_of("a.b", "");
		r.uid = (uint32_t)i % 1000;
		told += audit_rates_take(&rates, &r, AUDIT_REFUSAL, 1);
	}
	while ((left = audit_rates_left_out(&rates))) {
		counted += left->left_out;
		left->left_out = 0;
	}
	assert_int_equal(told, (AUDIT_RATES + 1) * 50);
	assert_int_equal(told + counted, 300000);
}

static void who_changes_too_much_waits(void **state)
{
	int n = 0;
	start(AUDIT_HOLD);
	while (!may_change(false) && n < 100000)
		n++;
	assert_true(n >= 1000 && n < 5000);
	assert_int_equal(may_change(false), -EAGAIN);
	assert_int_equal(may_change(true), 0);
	stop();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_directory, remove_directory)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(what_is_put_is_there_in_order),
	    TEST(what_a_full_disk_holds_up_is_written_later),
	    TEST(no_change_without_a_place_for_its_record),
	    TEST(refuse_is_at_once),
	    TEST(go_on_counts_what_it_loses),
	    TEST(a_disk_full_to_the_end_is_no_harm),
	    TEST(a_flood_of_refusals_is_counted),
	    TEST(many_who_flood_share_what_there_is),
	    TEST(who_changes_too_much_waits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
