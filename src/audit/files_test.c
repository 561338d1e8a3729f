/* SPDX-License-Identifier: Apache-2.0 */
/* A log on disk: written, gone on with, rotated, dropped, torn, and with every system call that may fail failing once. */
#include <errno.h>
#include <fcntl.h>

#include "audit/files.h"
#include "audit/fixture_test.h"

enum { SMALL = 4096 };

/* --- calls that fail: --wrap --- */

static int calls, fail_at = -1, fail_with = ENOSPC;
static size_t most = SIZE_MAX; /* what a write that fails takes first */

static bool fails(void)
{
	return calls++ == fail_at;
}

ssize_t __real_write(int fd, const void *bytes, size_t n);
ssize_t __wrap_write(int fd, const void *bytes, size_t n);
ssize_t __wrap_write(int fd, const void *bytes, size_t n)
{
	if (!fails())
		return __real_write(fd, bytes, n);
	if (most && most < n)
		return fail_at++, __real_write(fd, bytes, most); /* a part, and then nothing */
	errno = fail_with;
	return -1;
}

int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);
int __wrap_fdatasync(int fd)
{
	return fails() ? errno = EIO, -1 : __real_fdatasync(fd);
}

int __real_openat(int at, const char *path, int flags, ...);
int __wrap_openat(int at, const char *path, int flags, ...);
int __wrap_openat(int at, const char *path, int flags, ...)
{
	return fails() ? errno = ENOSPC, -1 : __real_openat(at, path, flags, 0600);
}

int __real_unlinkat(int at, const char *path, int flags);
int __wrap_unlinkat(int at, const char *path, int flags);
int __wrap_unlinkat(int at, const char *path, int flags)
{
	return fails() ? errno = EROFS, -1 : __real_unlinkat(at, path, flags);
}

/* --- a log --- */

static struct audit_files *open_log(int64_t size, unsigned files, const char *found)
{
	struct audit_files *f;
	struct buf said = BUF_INIT; /* either way */
	struct audit_files_options o = {.directory = directory, .host = HOST, .file_size = size, .files = files};
	assert_int_equal(audit_files_open(&f, &o, &said, &said), 0);
	if (!*found)
		assert_string_equal(buf_str(&said), "");
	else if (!strstr(buf_str(&said), found))
		fail_msg("said: %s", buf_str(&said));
	buf_release(&said);
	return f;
}

static void put_line(struct buf *lines, int i)
{
	char args[40];
	snprintf(args, sizeof args, "i=\"%d\"", i);
	struct audit_record r = record_of("a.b", args);
	audit_put_record(lines, &r);
	buf_putc(lines, '\n');
}

static int write_n(struct audit_files *f, int n)
{
	struct buf lines = BUF_INIT, why = BUF_INIT;
	for (int i = 0; i < n; i++)
		put_line(&lines, i);
	int r = audit_files_write(f, &lines, &why);
	assert_int_equal(lines.len, 0);
	buf_release(&lines);
	buf_release(&why);
	return r;
}

static void write_log(int n, int64_t size, unsigned files)
{
	struct audit_files *f = open_log(size, files, "");
	assert_int_equal(write_n(f, n), 0);
	audit_files_close(f);
}

static void a_log_is_one_chain_over_its_lives_and_files(void **state)
{
	for (int i = 0; i < 10; i++)
		write_log(10, SMALL, 0);
	assert_int_equal(access(path_of(4), F_OK), 0);
	assert_whole(100);
}

static void its_files_are_its_owners_alone(void **state)
{
	struct stat st;
	write_log(1, SMALL, 0);
	assert_int_equal(stat(path_of(1), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(stat(directory, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
}

static void a_directory_of_others_is_not_taken(void **state)
{
	struct buf lines = BUF_INIT, why = BUF_INIT;
	chmod(directory, 0750);
	struct audit_files *f = open_log(SMALL, 0, "");
	put_line(&lines, 1);
	assert_true(audit_files_write(f, &lines, &why) < 0);
	assert_non_null(strstr(buf_str(&why), "0700"));
	chmod(directory, 0700);
	buf_clear(&why);
	assert_int_equal(audit_files_write(f, &lines, &why), 0);
	audit_files_close(f);
	buf_release(&lines);
	buf_release(&why);
	assert_whole(1);
}

static void no_more_files_than_configured_and_the_log_tells(void **state)
{
	struct told t;
	write_log(200, SMALL, 3);
	assert_int_equal(access(path_of(1), F_OK), -1);
	verify(&t, NULL);
	assert_string_equal(buf_str(&t.faults), "");
	assert_int_equal(t.walk.files, 3);
	assert_true(t.walk.first > 1);
	assert_non_null(strstr(buf_str(&t.notes), "were dropped, as the configuration says"));
	told_release(&t);
}

/* --- tampering --- */

static char text[65536];

/* Line n of a file, from 1, as it stands there. */
static char *line_of(int n, size_t *ret_n)
{
	char *at = text;
	while (--n)
		at = strchr(at, '\n') + 1;
	*ret_n = (size_t)(strchr(at, '\n') + 1 - at);
	return at;
}

static size_t load(unsigned number)
{
	return read_file(number, text, sizeof text);
}

static void a_changed_line_is_found(void **state)
{
	size_t n, size;
	write_log(10, 65536, 0);
	size = load(1);
	char *at = strstr(line_of(5, &n), "1000");
	memcpy(at, "1001", 4);
	write_file(1, text, size);
	assert_breaks("00000001.log:5: record 4 does not follow from the line before: one of the two was changed or put in\n");
}

static void a_line_changed_with_its_hash_is_found(void **state)
{
	size_t n, size;
	char hash[AUDIT_HASH], previous[AUDIT_HASH];
	write_log(10, 65536, 0);
	size = load(1);
	char *before = line_of(4, &n);
	memcpy(previous, before + n - AUDIT_HASH, AUDIT_HASH - 1);
	previous[AUDIT_HASH - 1] = '\0';
	char *at = line_of(5, &n);
	memcpy(strstr(at, "1000"), "1001", 4);
	audit_hash(previous, at, n - 1 - AUDIT_HASH, hash);
	memcpy(at + n - AUDIT_HASH, hash, AUDIT_HASH - 1);
	write_file(1, text, size);
	assert_breaks("00000001.log:6: record 5 does not follow from the line before: one of the two was changed or put in\n");
}

static void a_removed_line_is_found(void **state)
{
	size_t n, size;
	write_log(10, 65536, 0);
	size = load(1);
	char *at = line_of(5, &n);
	memmove(at, at + n, (size_t)(text + size - at) - n);
	write_file(1, text, size - n);
	assert_breaks("00000001.log:5: record 4 is missing before this line\n");
}

static void an_inserted_line_is_found(void **state)
{
	size_t n, size;
	struct told t;
	write_log(10, 65536, 0);
	size = load(1);
	char *at = line_of(5, &n);
	memmove(at + n, at, (size_t)(text + size - at));
	write_file(1, text, size + n);
	verify(&t, NULL);
	assert_string_equal(buf_str(&t.faults), "00000001.log:6: record 4 stands where 5 should: it was put in, or moved\n");
	told_release(&t);
}

static void swapped_lines_are_found(void **state)
{
	size_t n, m, size;
	char copy[AUDIT_LINE_MAX];
	struct told t;
	write_log(10, 65536, 0);
	size = load(1);
	char *at = line_of(5, &n), *next = line_of(6, &m);
	memcpy(copy, at, n);
	memmove(at, next, m);
	memcpy(at + m, copy, n);
	write_file(1, text, size);
	verify(&t, NULL);
	assert_int_equal(t.walk.faults, 3);
	assert_non_null(strstr(buf_str(&t.faults), "00000001.log:5: record 4 is missing before this line\n"));
	told_release(&t);
}

static void a_file_cut_short_is_found(void **state)
{
	size_t n, size;
	write_log(60, SMALL, 0);
	size = load(1);
	line_of(5, &n);
	int last = 0;
	for (const char *s = text; (s = strchr(s, '\n')); s++)
		last++;
	line_of(last, &n);
	write_file(1, text, size - n);
	char told[200];
	snprintf(told, sizeof told, "00000002.log:1: record %d is missing before this file\n", last - 1);
	assert_breaks(told);
	write_file(1, text, size - n / 2);
	struct told t;
	verify(&t, NULL);
	assert_non_null(strstr(buf_str(&t.faults), "of which this anchor knows nothing: it was cut short"));
	told_release(&t);
}

static void the_end_cut_off_is_found_by_who_knows_it(void **state)
{
	size_t n, size;
	struct told t;
	struct audit_end end;
	struct audit_files *f = open_log(65536, 0, "");
	assert_int_equal(write_n(f, 10), 0);
	audit_files_end(f, &end);
	audit_files_close(f);
	verify(&t, &end);
	assert_string_equal(buf_str(&t.faults), "");
	told_release(&t);
	size = load(1);
	line_of(11, &n);
	write_file(1, text, size - n);
	assert_whole(9);
	verify(&t, &end);
	assert_non_null(strstr(buf_str(&t.faults), "record 10 is expected, and missing: the end was cut off"));
	told_release(&t);
}

static void a_log_made_anew_is_found_by_who_knows_a_hash(void **state)
{
	struct told t = {0};
	char hash[AUDIT_HASH];
	memset(hash, 'a', sizeof hash - 1);
	hash[sizeof hash - 1] = '\0';
	write_log(10, 65536, 0);
	t.walk = (struct audit_walk){.fault = tell_fault, .data = &t, .expected = {{.sequence = 7, .hash = hash}}};
	assert_int_equal(audit_verify(directory, NULL, &t.walk), 0);
	assert_string_equal(buf_str(&t.faults), "00000001.log:8: record 7 has another hash than expected: the log was made anew\n");
	told_release(&t);
}

static void missing_files_are_found(void **state)
{
	struct told t;
	write_log(100, SMALL, 0);
	unlink(path_of(2));
	verify(&t, NULL);
	assert_non_null(strstr(buf_str(&t.faults), "00000003.log:1: records "));
	told_release(&t);
	unlink(path_of(1));
	verify(&t, NULL);
	assert_non_null(strstr(buf_str(&t.faults), "are missing, and no record tells that they were dropped"));
	told_release(&t);
}

static void a_cut_off_beginning_is_found(void **state)
{
	size_t n, size;
	write_log(10, 65536, 0);
	size = load(1);
	line_of(1, &n);
	write_file(1, text + n, size - n);
	assert_breaks("00000001.log:1: an anchor is missing: the file's beginning was cut off\n");
}

static void another_hosts_log_is_found(void **state)
{
	struct told t;
	write_log(10, 65536, 0);
	size_t size = load(1);
	memcpy(strstr(text, HOST), "ff", 2);
	write_file(1, text, size);
	verify(&t, NULL);
	assert_non_null(strstr(buf_str(&t.faults), "the first anchor is not that of host ff"));
	told_release(&t);
}

static void any_one_byte_changed_is_found(void **state)
{
	struct told t;
	write_log(30, SMALL, 0);
	size_t size = load(1);
	for (size_t i = 0; i < size; i++) {
		text[i] ^= 1;
		write_file(1, text, size);
		verify(&t, NULL);
		if (!t.walk.faults)
			fail_msg("byte %zu of %zu", i, size);
		told_release(&t);
		text[i] ^= 1;
	}
}

static void a_line_of_any_length_does_no_harm(void **state)
{
	struct told t;
	write_log(3, 65536 * 16, 0);
	FILE *f = fopen(path_of(1), "a");
	for (int i = 0; i < 300000; i++)
		fputc('x', f);
	fputs("\nmore\n", f);
	fclose(f);
	verify(&t, NULL);
	assert_non_null(strstr(buf_str(&t.faults), "00000001.log:5: a line of more than"));
	assert_non_null(strstr(buf_str(&t.faults), "00000001.log:6: expected"));
	assert_int_equal(t.walk.faults, 2);
	told_release(&t);
}

/* --- power cuts --- */

static void a_torn_last_line_is_left_and_told(void **state)
{
	write_log(10, 65536, 0);
	size_t size = load(1);
	for (size_t cut = 1; cut < size; cut += 97) {
		struct told t;
		write_file(1, text, size - cut);
		unlink(path_of(2));
		bool torn = text[size - cut - 1] != '\n';
		struct audit_files *f = open_log(65536, 0, torn ? "ends within a line of" : "");
		assert_int_equal(write_n(f, 5), 0);
		audit_files_close(f);
		verify(&t, NULL);
		assert_string_equal(buf_str(&t.faults), "");
		assert_true(!torn || strstr(buf_str(&t.notes), "as a power cut leaves it"));
		told_release(&t);
	}
}

static void a_torn_end_is_told_before_the_next_start_too(void **state)
{
	struct told t;
	write_log(10, 65536, 0);
	write_file(1, text, load(1) - 5);
	verify(&t, NULL);
	assert_string_equal(buf_str(&t.faults), "");
	assert_int_equal(t.walk.records, 9);
	assert_non_null(strstr(buf_str(&t.notes), "ends within a line of"));
	told_release(&t);
}

static void zeroes_that_a_power_cut_left_are_told(void **state)
{
	struct told t;
	write_log(10, 65536, 0);
	size_t n, size = load(1);
	char *at = line_of(8, &n);
	memset(at, 0, n - 1);
	write_file(1, text, size);
	verify(&t, NULL);
	assert_non_null(strstr(buf_str(&t.faults), "found bytes of zero, as a power cut leaves them"));
	told_release(&t);
}

static void an_empty_file_is_passed_by(void **state)
{
	write_log(10, 65536, 0);
	write_file(2, "", 0);
	write_log(10, 65536, 0);
	assert_whole(20);
}

static void it_goes_on_behind_a_broken_file_in_another(void **state)
{
	struct told t;
	size_t n, size;
	write_log(10, 65536, 0);
	size = load(1);
	memcpy(strstr(line_of(5, &n), "1000"), "1001", 4);
	write_file(1, text, size);
	struct audit_files *f = open_log(65536, 0, "00000001.log:5: record 4 does not follow");
	assert_int_equal(write_n(f, 10), 0);
	audit_files_close(f);
	verify(&t, NULL);
	assert_int_equal(t.walk.faults, 1);
	assert_int_equal(t.walk.records, 20);
	told_release(&t);
}

static void what_somebody_does_to_it_meanwhile_is_seen(void **state)
{
	struct buf lines = BUF_INIT, why = BUF_INIT;
	struct audit_files *f = open_log(65536, 0, "");
	assert_int_equal(write_n(f, 3), 0);
	assert_int_equal(truncate(path_of(1), 300), 0);
	put_line(&lines, 1);
	assert_int_equal(audit_files_write(f, &lines, &why), 0);
	assert_non_null(strstr(buf_str(&why), "00000001.log was changed by somebody else"));
	unlink(path_of(2));
	put_line(&lines, 1);
	buf_clear(&why);
	assert_int_equal(audit_files_write(f, &lines, &why), 0);
	assert_non_null(strstr(buf_str(&why), "00000002.log was removed by somebody else"));
	audit_files_close(f);
	struct told t;
	verify(&t, NULL);
	assert_true(t.walk.faults > 0);
	told_release(&t);
	buf_release(&lines);
	buf_release(&why);
}

static void nothing_is_written_through_a_link(void **state)
{
	char aim[100];
	struct audit_files *f = open_log(SMALL, 0, "");
	snprintf(aim, sizeof aim, "%s/aim", directory);
	assert_int_equal(symlink(aim, path_of(1)), 0);
	struct buf lines = BUF_INIT, why = BUF_INIT;
	put_line(&lines, 1);
	assert_int_equal(audit_files_write(f, &lines, &why), -EEXIST);
	assert_int_equal(audit_files_write(f, &lines, &why), 0);
	assert_int_equal(access(aim, F_OK), -1);
	assert_int_equal(access(path_of(2), F_OK), 0);
	audit_files_close(f);
	buf_release(&lines);
	buf_release(&why);
}

/* --- failures --- */

/* Call number `at` fails, writes after having taken `part` bytes; it is tried again until all is there. False: there were
 * not so many calls. */
static bool play(int at, size_t part)
{
	struct buf lines = BUF_INIT, why = BUF_INIT;
	struct audit_files *f;
	int r = 0;
	calls = 0;
	fail_at = at;
	most = part;
	struct audit_files_options o = {.directory = directory, .host = HOST, .file_size = SMALL, .files = 3};
	assert_int_equal(audit_files_open(&f, &o, &why, &why), 0);
	for (int i = 0; i < 100; i++) {
		put_line(&lines, i);
		if (i % 7 == 6)
			r |= audit_files_write(f, &lines, &why);
	}
	for (int tries = 0; audit_files_write(f, &lines, &why) && tries < 3; tries++)
		r = -1;
	bool failed = calls > fail_at;
	fail_at = -1;
	assert_int_equal(lines.len, 0);
	audit_files_close(f);
	buf_release(&lines);
	buf_release(&why);
	return failed;
}

static void whatever_fails_once_costs_no_record(void **state)
{
	static const size_t parts[] = {0, 1, 150, 700};
	for (size_t p = 0; p < sizeof parts / sizeof *parts; p++) {
		int at = 0;
		bool more = true;
		for (; more; at++) {
			struct told t;
			remove_directory(NULL);
			assert_int_equal(mkdir(directory, 0700), 0);
			more = play(at, parts[p]);
			verify(&t, NULL);
			if (t.walk.faults || t.walk.next < 101 || t.walk.first == 1)
				fail_msg("call %d, part %zu: %s", at, parts[p], buf_str(&t.faults));
			told_release(&t);
		}
		assert_true(at > 20);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_directory, remove_directory)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(a_log_is_one_chain_over_its_lives_and_files),
	    TEST(its_files_are_its_owners_alone),
	    TEST(a_directory_of_others_is_not_taken),
	    TEST(no_more_files_than_configured_and_the_log_tells),
	    TEST(a_changed_line_is_found),
	    TEST(a_line_changed_with_its_hash_is_found),
	    TEST(a_removed_line_is_found),
	    TEST(an_inserted_line_is_found),
	    TEST(swapped_lines_are_found),
	    TEST(a_file_cut_short_is_found),
	    TEST(the_end_cut_off_is_found_by_who_knows_it),
	    TEST(a_log_made_anew_is_found_by_who_knows_a_hash),
	    TEST(missing_files_are_found),
	    TEST(a_cut_off_beginning_is_found),
	    TEST(another_hosts_log_is_found),
	    TEST(any_one_byte_changed_is_found),
	    TEST(a_line_of_any_length_does_no_harm),
	    TEST(a_torn_last_line_is_left_and_told),
	    TEST(a_torn_end_is_told_before_the_next_start_too),
	    TEST(zeroes_that_a_power_cut_left_are_told),
	    TEST(an_empty_file_is_passed_by),
	    TEST(it_goes_on_behind_a_broken_file_in_another),
	    TEST(what_somebody_does_to_it_meanwhile_is_seen),
	    TEST(nothing_is_written_through_a_link),
	    TEST(whatever_fails_once_costs_no_record),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
