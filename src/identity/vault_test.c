/* SPDX-License-Identifier: Apache-2.0 */
/* Nobody else's files: each way of planting one. */
#include "identity/fixture_test.h"

static struct vault *v;

static int begin(void **state)
{
	set_up(state);
	v = fresh_vault("cluster");
	return 0;
}

static int end(void **state)
{
	vault_close(v);
	return tear_down(state);
}

static int read_secret(const char *name)
{
	char to[16];
	size_t n;
	return vault_read_secret(v, name, to, sizeof to, &n, &why);
}

static int read_open(const char *name)
{
	struct buf to = BUF_INIT;
	int r = vault_read(v, name, VAULT_OPEN, 16, &to, &why);
	buf_release(&to);
	return r;
}

static void what_is_written_is_read_and_is_ones_own(void **state)
{
	struct stat st;
	umask(0);
	good(vault_write(v, "a.key", "secret", 6, &why));
	good(read_secret("a.key"));
	assert_int_equal(stat(path_of("cluster/a.key"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(stat(path_of("cluster"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	good(vault_write(v, "a.key", "more", 4, &why));
	struct buf b = contents(v, "a.key");
	assert_string_equal(buf_str(&b), "more");
	buf_release(&b);
}

static void appending_is_all_or_nothing(void **state)
{
	good(vault_append(v, "log", "one\n", 4, &why));
	good(vault_append(v, "log", "two\n", 4, &why));
	struct buf b = contents(v, "log");
	assert_string_equal(buf_str(&b), "one\ntwo\n");
	buf_release(&b);
}

static void a_secret_has_just_mode_0600(void **state)
{
	static const mode_t wrong[] = {0644, 0640, 0604, 0601, 0700, 0400, 04600};
	good(vault_write(v, "a.key", "secret", 6, &why));
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		assert_int_equal(chmod(path_of("cluster/a.key"), wrong[i]), 0);
		said(read_secret("a.key"), -EPERM, "cluster/a.key: has mode ");
		if (wrong[i] & 0200)
			said(vault_append(v, "a.key", "x", 1, &why), -EPERM, "and must have 0600");
	}
}

static void what_others_may_write_is_not_read(void **state)
{
	good(vault_write(v, "a.pem", "text", 4, &why));
	assert_int_equal(chmod(path_of("cluster/a.pem"), 0644), 0);
	good(read_open("a.pem"));
	assert_int_equal(chmod(path_of("cluster/a.pem"), 0664), 0);
	said(read_open("a.pem"), -EPERM, "others may write it");
	assert_int_equal(chmod(path_of("cluster/a.pem"), 0602), 0);
	said(read_open("a.pem"), -EPERM, "others may write it");
}

static void links_fifos_and_directories_are_no_files(void **state)
{
	char there[200];
	strcpy(there, path_of("there"));
	assert_int_equal(close(open(there, O_CREAT | O_WRONLY, 0600)), 0);
	assert_int_equal(symlink(there, path_of("cluster/s")), 0);
	said(read_secret("s"), -ELOOP, "cluster/s: is a symbolic link");
	said(vault_append(v, "s", "x", 1, &why), -ELOOP, "symbolic link");
	assert_int_equal(link(there, path_of("cluster/h")), 0);
	said(read_secret("h"), -EPERM, "a hard link");
	assert_int_equal(mkfifo(path_of("cluster/f"), 0600), 0);
	said(read_secret("f"), -EPERM, "is no plain file");
	assert_int_equal(mkdir(path_of("cluster/d"), 0600), 0);
	said(read_secret("d"), -EPERM, "is no plain file");
}

/* Written beside its place and renamed: what is planted in either is replaced, and what it points to untouched. */
static void writing_follows_nothing(void **state)
{
	char there[200];
	struct stat st;
	strcpy(there, path_of("there"));
	assert_int_equal(close(open(there, O_CREAT | O_WRONLY, 0600)), 0);
	assert_int_equal(symlink(there, path_of("cluster/a")), 0);
	assert_int_equal(symlink(there, path_of("cluster/a.new")), 0);
	good(vault_write(v, "a", "text", 4, &why));
	good(read_secret("a"));
	assert_int_equal(stat(there, &st), 0);
	assert_int_equal(st.st_size, 0);
	assert_false(vault_has(v, "a.new"));
	/* Hard links too. */
	assert_int_equal(link(there, path_of("cluster/a.new")), 0);
	good(vault_write(v, "a", "text", 4, &why));
	assert_int_equal(stat(there, &st), 0);
	assert_int_equal(st.st_size, 0);
}

static void a_file_of_another_owner_is_refused(void **state)
{
	if (geteuid())
		skip();
	good(vault_write(v, "a.key", "secret", 6, &why));
	assert_int_equal(chown(path_of("cluster/a.key"), 65534, (gid_t)-1), 0);
	said(read_secret("a.key"), -EPERM, "cluster/a.key: belongs to uid 65534, and must be uid 0's");
}

static void the_directory_has_one_owner_and_mode_0700(void **state)
{
	struct vault *other;
	assert_int_equal(chmod(path_of("cluster"), 0750), 0);
	said(vault_open(&other, path_of("cluster"), &why), -EPERM, "cluster: has mode 0750, and must have 0700");
	said(vault_make(&other, path_of("cluster"), &why), -EPERM, "0750");
	assert_int_equal(chmod(path_of("cluster"), 0700), 0);
	char link[200];
	strcpy(link, path_of("link"));
	assert_int_equal(symlink(path_of("cluster"), link), 0);
	said(vault_open(&other, link, &why), -ELOOP, "link: is a symbolic link");
	said(vault_open(&other, path_of("none"), &why), -ENOENT, "none: No such file");
	if (geteuid()) {
		said(vault_open(&other, "/", &why), -EPERM, "belongs to uid 0");
		return;
	}
	assert_int_equal(chown(path_of("cluster"), 65534, (gid_t)-1), 0);
	said(vault_open(&other, path_of("cluster"), &why), -EPERM, "cluster: belongs to uid 65534");
}

/* A directory that is put in its place does not become the vault. */
static void the_vault_stays_the_directory_that_was_opened(void **state)
{
	char moved[200];
	good(vault_write(v, "a", "mine", 4, &why));
	strcpy(moved, path_of("moved"));
	assert_int_equal(rename(path_of("cluster"), moved), 0);
	assert_int_equal(mkdir(path_of("cluster"), 0700), 0);
	good(read_secret("a"));
	good(vault_write(v, "b", "mine", 4, &why));
	assert_int_not_equal(access(path_of("cluster/b"), F_OK), 0);
}

static void a_file_that_is_too_large_is_left_alone(void **state)
{
	good(vault_write(v, "a", "12345678901234567", 17, &why));
	said(read_secret("a"), -EFBIG, "cluster/a: File too large");
	said(read_open("a"), -EFBIG, "cluster/a: File too large");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_is_written_is_read_and_is_ones_own, begin, end),
		cmocka_unit_test_setup_teardown(appending_is_all_or_nothing, begin, end),
		cmocka_unit_test_setup_teardown(a_secret_has_just_mode_0600, begin, end),
		cmocka_unit_test_setup_teardown(what_others_may_write_is_not_read, begin, end),
		cmocka_unit_test_setup_teardown(links_fifos_and_directories_are_no_files, begin, end),
		cmocka_unit_test_setup_teardown(writing_follows_nothing, begin, end),
		cmocka_unit_test_setup_teardown(a_file_of_another_owner_is_refused, begin, end),
		cmocka_unit_test_setup_teardown(the_directory_has_one_owner_and_mode_0700, begin, end),
		cmocka_unit_test_setup_teardown(the_vault_stays_the_directory_that_was_opened, begin, end),
		cmocka_unit_test_setup_teardown(a_file_that_is_too_large_is_left_alone, begin, end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
