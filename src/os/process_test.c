/* SPDX-License-Identifier: Apache-2.0 */
/* What /proc says of a process, as text; and other texts of this room. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "os/process.h"
#include "os/remote.h"
#include "os/topology.h"
#include "os/users.h"
#include "os/utf8.h"

static const struct process_units units = {.booted_ns = 1000, .tick_ns = 10000000, .page = 4096};

#define STAT_REST \
	" S 1 77 77 0 -1 4194560 1 2 3 4 15 25 6 7 20 0 3 0 123456 1048576 250 18446744073709551615 1 1 0 0 0 0 0 0 0 1 0 0 17 1\n"

static struct process parsed(const char *text)
{
	struct process p;

	assert_int_equal(process_parse_stat(text, strlen(text), &units, &p), 0);
	return p;
}

static void stat_has_all_but_the_owner(void **state)
{
	struct process p = parsed("77 (vigiad)" STAT_REST);

	assert_int_equal(p.key.pid, 77);
	assert_int_equal(p.key.start, 123456);
	assert_int_equal(p.parent, 1);
	assert_int_equal(p.state, 'S');
	assert_int_equal(p.threads, 3);
	assert_int_equal(p.cpu_ns, 400000000);
	assert_int_equal(p.started_ns, 1000 + 1234560000000);
	assert_int_equal(p.memory, 250 * 4096);
	assert_string_equal(p.program, "vigiad");
	assert_false(p.kernel);
}

static void a_name_may_hold_anything(void **state)
{
	static const char *const cases[][2] = {
	    {"77 (a b)" STAT_REST, "a b"},
	    {"77 ())" STAT_REST, ")"},
	    {"77 ()" STAT_REST, ""},
	    {"77 (x) S 2 (y)" STAT_REST, "x) S 2 (y"},
	    {"77 (new\nline)" STAT_REST, "new\\nline"},
	    {"77 (\xff\x1b[31m)" STAT_REST, "\\xff\\x1b[31m"},
	    {"77 (caf\xc3\xa9)" STAT_REST, "caf\xc3\xa9"},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct process p = parsed(cases[i][0]);
		assert_string_equal(p.program, cases[i][1]);
		assert_int_equal(p.parent, 1);
	}
}

static void what_is_no_stat_is_nothing(void **state)
{
	static const char *const cases[] = {"", "77", "77 ", "77 (", "77 (a", "77 (a)", "77 (a) S", "77 (a) S 1 2 3", "x (a)" STAT_REST,
	    "-1 (a)" STAT_REST, "99999999999 (a)" STAT_REST, "77 a" STAT_REST, "77 (a)  S 1 1",
	    "77 (a) S 1 77 77 0 -1 4194560 1 2 3 4 15 25 6 7 20 0 3 0 99999999999999999999 1048576 250",
	    "77 (a) S -1 77 77 0 -1 4194560 1 2 3 4 15 25 6 7 20 0 3 0 1 1048576 250"};
	struct process p = {.parent = -77};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		assert_int_equal(process_parse_stat(cases[i], strlen(cases[i]), &units, &p), -EPROTO);
	assert_int_equal(p.parent, -77);
}

static void numbers_without_measure_are_the_greatest(void **state)
{
	struct process p = parsed("77 (a) S 1 77 77 0 -1 0 1 2 3 4 9223372036854775807 9223372036854775807 6 7 20 0 3 0 "
				  "9223372036854775807 1 9223372036854775807 0\n");

	assert_true(p.cpu_ns == INT64_MAX && p.memory == INT64_MAX && p.started_ns == INT64_MAX);
}

static void status_has_the_owner(void **state)
{
	const char *text = "Name:\tUid:\t9\t9\t9\nState:\tS\nTgid:\t77\nNgid:\t0\nPid:\t77\nUid:\t1000\t0\t4294967294\t0\n";
	struct process p = {0};

	assert_int_equal(process_parse_status(text, strlen(text), &p), 0);
	assert_int_equal(p.real_uid, 1000);
	assert_int_equal(p.uid, 0);
	assert_true(p.saved_uid == 4294967294);
	text = "Name:\tx\nTgid:\t77\nPid:\t78\nUid:\t1\t1\t1\t1\n";
	assert_int_equal(process_parse_status(text, strlen(text), &p), -ESRCH);
	text = "Name:\tx\nTgid:\t77\nPid:\t77\nUid:\t1\t1\n";
	assert_int_equal(process_parse_status(text, strlen(text), &p), -EPROTO);
	text = "Name:\tx\nTgid:\t77\nPid:\t77\nUid:\t1\t1\t4294967296\n";
	assert_int_equal(process_parse_status(text, strlen(text), &p), -EPROTO);
	assert_int_equal(p.real_uid, 1000);
}

static void a_command_is_its_words(void **state)
{
	struct process p = {.program = "sh"};
	char long_one[8192];

	process_take_command("sh\0-c\0echo 'a b'\0\0\0", 18, &p);
	assert_string_equal(p.command, "sh -c echo 'a b'");
	process_take_command("sshd: me [priv]\0\0\0\0", 19, &p);
	assert_string_equal(p.command, "sshd: me [priv]");
	process_take_command("a\n\0\xff\0caf\xc3\xa9\0c:\\", 15, &p);
	assert_string_equal(p.command, "a\\n \\xff caf\xc3\xa9 c:\\\\");
	process_take_command("", 0, &p);
	assert_string_equal(p.command, "");
	memset(long_one, 'x', sizeof long_one);
	process_take_command(long_one, sizeof long_one, &p);
	assert_int_equal(strlen(p.command), PROCESS_COMMAND_MAX);
	assert_string_equal(p.command + PROCESS_COMMAND_MAX - 4, "x...");
	assert_string_equal(p.program, "sh");
}

static void a_name_that_the_kernel_cut_is_completed(void **state)
{
	static const struct {
		const char *comm, *word, *program;
	} cases[] = {
	    {"a-name-that-is-", "/opt/a-name-that-is-long", "a-name-that-is-long"},
	    {"a-name-that-is-", "a-name-that-is-long", "a-name-that-is-long"},
	    {"a-name-that-is-", "/opt/another-name-that-is-long", "a-name-that-is-"},
	    {"short", "/opt/short-but-more", "short"},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct process p = {0};
		strcpy(p.program, cases[i].comm);
		process_take_command(cases[i].word, strlen(cases[i].word) + 1, &p);
		assert_string_equal(p.program, cases[i].program);
	}
}

static void a_strangers_bytes_are_made_harmless(void **state)
{
	static const struct {
		size_t size;
		const char *bytes, *text;
	} cases[] = {
	    {16, "plain", "plain"},
	    {15, "\t\n\\\x01\x7f", "\\t\\n\\\\\\x01\\x7f"},
	    {14, "\t\n\\\x01\x7f", "\\t\\n\\\\\\x01..."},
	    {64, "\xc2\x80\xef\xbf\xbe\xed\xa0\x80", "\\xc2\\x80\\xef\\xbf\\xbe\\xed\\xa0\\x80"},
	    {6, "12345", "12345"},
	    {6, "123456", "12..."},
	    {6, "1\xe2\x82\xac""456", "1..."},
	    {4, "\xff", "..."},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char text[65];
		memset(text, '#', sizeof text);
		utf8_harmless(text, cases[i].size, cases[i].bytes, strlen(cases[i].bytes));
		assert_string_equal(text, cases[i].text);
		assert_int_equal(text[cases[i].size], '#');
	}
}

static void a_line_of_passwd_names_a_user(void **state)
{
	char name[PROCESS_USER_MAX + 1] = "untouched";
	static const char *const bad[] = {"", "root", "root:x", "root:x:", "root:x:0", "root:x:a:", ":x:0:", "root:x:4294967296:",
	    "root:x:-1:", "root:x::"};
	uid_t uid;

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_false(users_parse(bad[i], strlen(bad[i]), &uid, name));
	assert_string_equal(name, "untouched");
	assert_true(users_parse("me:x:4294967295:0", 17, &uid, name));
	assert_string_equal(name, "me");
	assert_true(uid == 4294967295);
	assert_true(users_parse("a\x1bname-that-is-far-too-long-to-be-kept:x:1:", 44, &uid, name));
	assert_string_equal(name, "a\\x1bname-that-is-far-too-lon...");
}

/* --- topology ------------------------------------------------------------------------------------------------------- */

static void a_topology_is_read_line_by_line(void **state)
{
	static const char text[] = "packages 2\nnodes 8\ncores 64\nthreads 128\ncache L3 8 33554432\ncache L1d 64 32768\n"
				   "tree 2 x package(core)\n";
	static const char *const bad[] = {"", "packages 1\n", "threads 0\n", "threads 2", "threads -2\n", "threads 9999999\n",
	    "threads 2\nboards 1\n", "threads 2\ncache L2 1\n", "threads 2\ncache L2 -1 5\n", "threads 2\ncache L2 1 -5\n",
	    "threads x\n", "\n"};
	struct host_topology t;

	assert_int_equal(topology_parse(text, strlen(text), &t), 0);
	assert_int_equal(t.packages, 2);
	assert_int_equal(t.nodes, 8);
	assert_int_equal(t.cores, 64);
	assert_int_equal(t.threads, 128);
	assert_int_equal(t.caches_n, 2);
	assert_string_equal(t.caches[0].name, "L3");
	assert_int_equal(t.caches[0].count, 8);
	assert_int_equal(t.caches[1].size, 32768);
	assert_string_equal(t.tree, "2 x package(core)");
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(topology_parse(bad[i], strlen(bad[i]), &t), -EPROTO);
	assert_int_equal(t.packages, 2);
}

static void more_caches_or_text_than_there_is_room_for_are_refused(void **state)
{
	struct host_topology t;
	struct buf text = BUF_INIT;

	buf_puts(&text, "threads 2\n");
	for (int i = 0; i <= TOPOLOGY_CACHES_MAX; i++)
		buf_puts(&text, "cache L2 1 1\n");
	assert_int_equal(topology_parse(text.data, text.len, &t), -EPROTO);
	while (text.len <= TOPOLOGY_TEXT_MAX)
		buf_puts(&text, "threads 2\n");
	assert_int_equal(topology_parse(text.data, text.len, &t), -EPROTO);
	buf_release(&text);
}

/* --- another host --------------------------------------------------------------------------------------------------- */

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void check_words(const char *template, const struct launch *l, const char *const *expected)
{
	const char *const *words;

	assert_int_equal(remote_words(template, "h2", l, &words), 0);
	for (size_t i = 0; expected[i] || words[i]; i++) {
		assert_non_null(words[i]);
		assert_non_null(expected[i]);
		assert_string_equal(words[i], expected[i]);
	}
	free((void *)words);
}

static void a_template_says_how(void **state)
{
	const struct launch l = {.arguments = WORDS("vigiad", "--name", "it's", "")};

	check_words(REMOTE_SSH, &l,
	    WORDS("ssh", "-x", "-oBatchMode=yes", "-oConnectTimeout=10", "--", "h2", "exec vigiad --name 'it'\\''s' ''"));
	check_words("  rsh   me@%h %c 100%%  ", &l, WORDS("rsh", "me@h2", "exec vigiad --name 'it'\\''s' ''", "100%"));
	const struct launch more = {.arguments = WORDS("./run", "$HOME", "a\nb"), .directory = "/my place",
	    .environment = WORDS("A=1", "B=two words")};
	check_words("sh -c %c %h", &more,
	    WORDS("sh", "-c", "cd '/my place' && exec env 'A=1' 'B=two words' ./run '$HOME' 'a\nb'", "h2"));
}

static void what_is_no_template_or_no_host_is_refused(void **state)
{
	static const struct {
		const char *template, *why;
	} cases[] = {{"", "is empty"}, {"  ", "is empty"}, {"ssh %h", "has no %c, the command"}, {"ssh %c", "has no %h, the host"},
	    {"ssh %h %x", "has a % that is not %h, %c or %%"}, {"ssh %h %c %", "has a % that is not %h, %c or %%"},
	    {"ssh %%h %c", "has no %h, the host"}};
	const struct launch l = {.arguments = WORDS("true")}, none = {.arguments = WORDS("")};
	const char *const *words = NULL;

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct buf why = BUF_INIT;
		assert_int_equal(remote_check(cases[i].template, &why), -EINVAL);
		assert_string_equal(buf_str(&why), cases[i].why);
		buf_release(&why);
		assert_int_equal(remote_words(cases[i].template, "h2", &l, &words), -EINVAL);
	}
	assert_int_equal(remote_words(REMOTE_SSH, "-h2", &l, &words), -EINVAL);
	assert_int_equal(remote_words(REMOTE_SSH, "h2", &none, &words), -EINVAL);
	assert_null(words);
	assert_true(remote_is_host("me@fe80::1") && remote_is_host("h2.example"));
	assert_false(remote_is_host("") || remote_is_host("-h") || remote_is_host("a b") || remote_is_host("a'b"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(stat_has_all_but_the_owner),
	    cmocka_unit_test(a_name_may_hold_anything),
	    cmocka_unit_test(what_is_no_stat_is_nothing),
	    cmocka_unit_test(numbers_without_measure_are_the_greatest),
	    cmocka_unit_test(status_has_the_owner),
	    cmocka_unit_test(a_command_is_its_words),
	    cmocka_unit_test(a_name_that_the_kernel_cut_is_completed),
	    cmocka_unit_test(a_strangers_bytes_are_made_harmless),
	    cmocka_unit_test(a_line_of_passwd_names_a_user),
	    cmocka_unit_test(a_topology_is_read_line_by_line),
	    cmocka_unit_test(more_caches_or_text_than_there_is_room_for_are_refused),
	    cmocka_unit_test(a_template_says_how),
	    cmocka_unit_test(what_is_no_template_or_no_host_is_refused),
	};

	return cmocka_run_group_tests_name("os-process", tests, NULL, NULL);
}
