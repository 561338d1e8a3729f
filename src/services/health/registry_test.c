/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/secret.h"
#include "services/health/health.h"

static char directory[32], path[64];
static struct registry *r;

static void again(void)
{
	registry_close(r);
	r = NULL;
	assert_int_equal(registry_open(&r, path), 0);
}

static int set_up(void **state)
{
	strcpy(directory, "/tmp/registry-XXXXXX");
	assert_non_null(mkdtemp(directory));
	snprintf(path, sizeof path, "%s/secrets", directory);
	r = NULL;
	return registry_open(&r, path);
}

static int tear_down(void **state)
{
	registry_close(r);
	unlink(path);
	return rmdir(directory);
}

static void append(const char *bytes)
{
	FILE *f = fopen(path, "a");
	fputs(bytes, f);
	fclose(f);
}

static int synced;

/* In libc's place, for all of this program. */
int fdatasync(int fd)
{
	return fsync(fd) ? -1 : (synced++, 0);
}

static void what_was_issued_waits_for_the_disk_once(void **state)
{
	char secret[SECRET_SIZE];
	synced = 0;
	assert_int_equal(registry_issue(r, "node", "n1", secret), 0);
	assert_int_equal(registry_issue(r, "node", "n2", secret), 0);
	assert_int_equal(registry_sync(r), 0);
	assert_int_equal(synced, 1);
	assert_int_equal(registry_sync(r), 0);
	assert_int_equal(synced, 1);
	assert_int_equal(registry_forget(r, "node", "n1"), 0);
	assert_int_equal(registry_sync(r), 0);
	assert_int_equal(synced, 2);
}

static void who_shows_the_secret_is_known_and_no_other(void **state)
{
	char secret[SECRET_SIZE], other[SECRET_SIZE];
	assert_int_equal(registry_issue(r, "node", "n1", secret), 0);
	assert_int_equal(registry_issue(r, "node", "n10", other), 0);
	assert_int_equal(strlen(secret), 32);
	assert_true(registry_check(r, "node", "n1", secret));
	assert_false(registry_check(r, "node", "n1", other));
	assert_false(registry_check(r, "node", "n1", ""));
	assert_false(registry_check(r, "monitor", "n1", secret));
	assert_false(registry_check(r, "node", "n2", secret));
	assert_null(registry_find(r, "node", "n2"));
	assert_null(registry_find(r, "monitor", "n1"));
}

static void secrets_outlive_the_daemon_and_are_not_in_the_file(void **state)
{
	char secret[SECRET_SIZE], line[256];
	struct stat st;
	registry_issue(r, "node", "n1", secret);
	again();
	assert_true(registry_check(r, "node", "n1", secret));
	again();
	assert_true(registry_check(r, "node", "n1", secret));
	FILE *f = fopen(path, "r");
	while (fgets(line, sizeof line, f))
		assert_null(strstr(line, secret));
	fclose(f);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
}

static void a_newer_secret_replaces_the_one_before(void **state)
{
	char first[SECRET_SIZE], second[SECRET_SIZE];
	registry_issue(r, "monitor", "load", first);
	registry_issue(r, "monitor", "load", second);
	for (int i = 0; i < 2; i++, again()) {
		assert_false(registry_check(r, "monitor", "load", first));
		assert_true(registry_check(r, "monitor", "load", second));
	}
}

static void who_is_forgotten_stays_so(void **state)
{
	char secret[SECRET_SIZE];
	registry_issue(r, "node", "n1", secret);
	assert_int_equal(registry_forget(r, "node", "n1"), 0);
	assert_int_equal(registry_forget(r, "node", "never-known"), 0);
	for (int i = 0; i < 2; i++, again()) {
		assert_null(registry_find(r, "node", "n1"));
		assert_false(registry_check(r, "node", "n1", secret));
	}
	registry_issue(r, "node", "n1", secret);
	again();
	assert_true(registry_check(r, "node", "n1", secret));
}

/* Each of the lines as a crash may leave them: what came before stays. */
static void a_torn_last_line_costs_nobody_else(void **state)
{
	static const char *const torn[] = {"n", "node", "node ", "node n2", "node n2 ", "node n2 0123abc", "node n2 -",
	    "\n", "node n2 0123456789012345678901234567890123456789012345678901234567890123"};
	char secret[SECRET_SIZE];
	registry_issue(r, "node", "n1", secret);
	for (size_t i = 0; i < sizeof torn / sizeof *torn; i++) {
		append(torn[i]);
		again();
		assert_true(registry_check(r, "node", "n1", secret));
		char next[SECRET_SIZE];
		assert_int_equal(registry_issue(r, "node", "n3", next), 0);
		again();
		assert_true(registry_check(r, "node", "n3", next));
	}
}

/* A full disk in the middle of a line: the next one is not written onto it. */
static void half_a_line_that_could_not_be_written_is_taken_back(void **state)
{
	char first[SECRET_SIZE], second[SECRET_SIZE] = "";
	struct stat st;
	struct rlimit old, small;
	registry_issue(r, "node", "n1", first);
	stat(path, &st);
	getrlimit(RLIMIT_FSIZE, &old);
	small = (struct rlimit){(rlim_t)st.st_size + 20, old.rlim_max};
	signal(SIGXFSZ, SIG_IGN);
	setrlimit(RLIMIT_FSIZE, &small);
	int e = registry_issue(r, "node", "n2", second);
	setrlimit(RLIMIT_FSIZE, &old);
	assert_true(e < 0);
	assert_string_equal(second, "");
	assert_null(registry_find(r, "node", "n2"));
	assert_int_equal(registry_issue(r, "node", "n3", second), 0);
	again();
	assert_true(registry_check(r, "node", "n1", first));
	assert_true(registry_check(r, "node", "n3", second));
	assert_null(registry_find(r, "node", "n2"));
}

static void where_nothing_can_be_written_nobody_new_is_taken(void **state)
{
	struct registry *nowhere = NULL;
	char secret[33];

	assert_int_equal(registry_open(&nowhere, "/nonexistent/secrets"), 0);
	assert_int_equal(registry_issue(nowhere, "node", "n1", secret), -ENOENT);
	assert_null(registry_find(nowhere, "node", "n1"));
	registry_close(nowhere);
}

static void ten_thousand_are_as_good_as_one(void **state)
{
	char name[16], secret[SECRET_SIZE];
	for (int i = 0; i < 10000; i++) {
		snprintf(name, sizeof name, "n%d", i);
		assert_int_equal(registry_issue(r, "node", name, secret), 0);
	}
	again();
	assert_true(registry_check(r, "node", "n9999", secret));
	assert_non_null(registry_find(r, "node", "n0"));
}

#define T(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    T(what_was_issued_waits_for_the_disk_once),
	    T(who_shows_the_secret_is_known_and_no_other),
	    T(secrets_outlive_the_daemon_and_are_not_in_the_file),
	    T(a_newer_secret_replaces_the_one_before),
	    T(who_is_forgotten_stays_so),
	    T(a_torn_last_line_costs_nobody_else),
	    T(half_a_line_that_could_not_be_written_is_taken_back),
	    T(where_nothing_can_be_written_nobody_new_is_taken),
	    T(ten_thousand_are_as_good_as_one),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
