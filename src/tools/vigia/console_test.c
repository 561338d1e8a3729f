/* SPDX-License-Identifier: Apache-2.0 */
/* The console's parts: a line's words, what Tab types, the lines of before. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/vigia/candidates.h"
#include "tools/vigia/split.h"
#include "tools/vigia/text.h"
#include "tools/vigia/typed.h"

/* --- words --- */

/* Each word behind "|". */
static const char *words_of(const struct split *s)
{
	static char text[1024];
	size_t n = 0;
	*text = '\0';
	for (int i = 0; i < s->n; i++)
		n += (size_t)snprintf(text + n, sizeof text - n, "|%s", s->words[i]);
	return text;
}

static void words_are_those_of_a_shell(void **state)
{
	static const struct {
		const char *line, *words;
	} lines[] = {{"", ""}, {"  \t ", ""}, {"status", "|status"}, {"  get  n1 \r", "|get|n1"},
	    {"a 'b c'", "|a|b c"}, {"a'b c'd", "|ab cd"}, {"''", "|"}, {"\"\" ''", "||"}, {"\"a'b\"", "|a'b"},
	    {"'a\"\\b'", "|a\"\\b"}, {"a\\ b", "|a b"}, {"\"a\\\"b\\\\c\\d\"", "|a\"b\\c\\d"},
	    {"a # b", "|a"}, {"# a", ""}, {"a#b", "|a#b"}, {"\\#a", "|#a"}, {"'#' b", "|#|b"},
	    {"$HOME * `a` ~", "|$HOME|*|`a`|~"}, {"a # '", "|a"}};
	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
		char why[100] = "";
		struct split s;
		assert_int_equal(split_line(&s, lines[i].line, strlen(lines[i].line), why, sizeof why), 0);
		assert_string_equal(words_of(&s), lines[i].words);
		assert_null(s.words[s.n]);
		split_release(&s);
	}
}

static void what_is_wrong_is_said_with_its_place(void **state)
{
	static const struct {
		const char *line;
		size_t n;
		const char *why;
	} lines[] = {{"get 'n1", 7, "the ' at column 5 is not closed"},
	    {"a \"b\\\"", 6, "the \" at column 3 is not closed"},
	    {"'a' 'b", 6, "the ' at column 5 is not closed"}, {"a\\", 2, "nothing follows the \\ at the end"},
	    {"ab\0c", 4, "a NUL byte at column 3"}};
	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
		char why[100] = "";
		struct split s;
		assert_true(split_line(&s, lines[i].line, lines[i].n, why, sizeof why) < 0);
		assert_string_equal(why, lines[i].why);
		assert_null(s.text);
	}
}

static void words_are_counted(void **state)
{
	char line[2 * SPLIT_WORDS + 2], why[100];
	struct split s;
	memset(line, ' ', sizeof line);
	for (int i = 0; i <= SPLIT_WORDS; i++)
		line[2 * i] = 'a';
	assert_int_equal(split_line(&s, line, 2 * SPLIT_WORDS, why, sizeof why), 0);
	assert_int_equal(s.n, SPLIT_WORDS);
	split_release(&s);
	assert_true(split_line(&s, line, sizeof line, why, sizeof why) < 0);
	assert_string_equal(why, "more than 300 words");
	assert_true(split_start(&s, line, sizeof line) < 0);
}

static void a_line_is_split_while_it_is_typed(void **state)
{
	static const struct {
		const char *line, *words;
		char quote;
		bool goes_on;
	} lines[] = {{"get 'n1/a b", "|get|n1/a b", '\'', true}, {"get ", "|get", 0, false},
	    {"get", "|get", 0, true}, {"a \"b\\", "|a|b", '"', true}, {"a\\", "|a", 0, true},
	    {"'a'", "|a", 0, true}};
	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
		struct split s;
		assert_int_equal(split_start(&s, lines[i].line, strlen(lines[i].line)), 0);
		assert_string_equal(words_of(&s), lines[i].words);
		assert_int_equal(s.quote, lines[i].quote);
		assert_int_equal(s.goes_on, lines[i].goes_on);
		split_release(&s);
	}
}

/* --- Tab --- */

static void types(char quote, const char *name, size_t from, const char *expected)
{
	struct candidates c = {.quote = quote};
	struct buf out = BUF_INIT;
	assert_true(candidates_put(&c, &out, name, from, strlen(name) - from, true));
	assert_string_equal(buf_str(&out), expected);
	buf_release(&out);
}

static void what_is_typed_is_quoted_as_the_word_is(void **state)
{
	types(0, "status", 4, "us ");
	types(0, "a b'c\"d\\", 1, "\\ b\\'c\\\"d\\\\ ");
	types(0, "#a#", 0, "\\#a# ");
	types('"', "a b'c\"d\\", 1, " b'c\\\"d\\\\\" ");
	types('\'', "a b\"c", 1, " b\"c' ");
	types(0, "n1/", 1, "1/");
	types(0, "node=", 2, "de=");
	types('\'', "n1/", 1, "1/");
	struct candidates c = {.quote = '\''};
	struct buf out = BUF_INIT;
	assert_false(candidates_put(&c, &out, "it's", 0, 4, true));
	buf_release(&out);
}

static void what_all_begin_with(void **state)
{
	char a[] = "grün", b[] = "grütze", other[] = "gr\xc3\xb6l";
	char *names[] = {a, b, other};
	struct candidates c = {.names = names, .n = 2};
	assert_int_equal(candidates_common(&c), strlen("grü"));
	c.n = 3;
	assert_int_equal(candidates_common(&c), strlen("gr")); /* no half of a character */
	c.n = 0;
	assert_int_equal(candidates_common(&c), 0);
}

static void options_and_commands_need_no_daemon(void **state)
{
	static const struct {
		const char *line, *first;
		size_t n;
	} lines[] = {{"--js", "--json", 1}, {"get --upd", "--update", 1}, {"watch --up", NULL, 0},
	    {"get -- --up", NULL, 0}, {"--at /x get n", NULL, 0}, {"--at ", NULL, 0},
	    {"history n1 --from -", NULL, 0}, {"completion z", "zsh", 1}, {"get x # --", NULL, 0}};
	struct vigia v = {.at = "/nowhere/vigiad.sock"};
	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
		struct candidates c = {0};
		int r = candidates_find(&c, &v, lines[i].line, strlen(lines[i].line));
		assert_int_equal(c.n, lines[i].n);
		if (c.n)
			assert_string_equal(c.names[0], lines[i].first);
		if (!r)
			candidates_release(&c);
	}
}

/* --- the lines of before --- */

struct seen {
	size_t n;
	char first[100], last[100];
};

static void see(void *data, const char *line)
{
	struct seen *s = data;
	if (!s->n++)
		snprintf(s->first, sizeof s->first, "%s", line);
	snprintf(s->last, sizeof s->last, "%s", line);
}

static void typed_lines_are_kept_up_to_a_thousand(void **state)
{
	char line[32];
	struct seen seen = {0};
	char *file = typed_file();
	assert_non_null(file);
	for (int i = 0; i < TYPED_LINES + 10; i++) {
		snprintf(line, sizeof line, "line %d", i);
		typed_add(file, line);
	}
	typed_read(file, see, &seen);
	assert_int_equal(seen.n, TYPED_LINES);
	assert_string_equal(seen.first, "line 10");
	typed_add(file, "two\nlines");
	typed_add(file, "");
	typed_add(file, "\033[2J");
	typed_add(file, "after");
	seen = (struct seen){0};
	typed_read(file, see, &seen);
	assert_string_equal(seen.first, "line 11");
	assert_string_equal(seen.last, "after");
	struct stat s;
	assert_int_equal(stat(file, &s), 0);
	assert_int_equal(s.st_mode & 0777, 0600);
	unlink(file);
	free(file);
}

static void without_a_place_nothing_is_kept(void **state)
{
	struct seen seen = {0};
	setenv("XDG_STATE_HOME", "not/absolute", 1);
	setenv("HOME", "", 1);
	assert_null(typed_file());
	typed_read(NULL, see, &seen);
	typed_add(NULL, "line");
	assert_int_equal(seen.n, 0);
}

static char place[] = "/tmp/vigia-console.XXXXXX";

static int setup(void **state)
{
	setenv("LC_ALL", "C.UTF-8", 1);
	if (!text_unicode() || !mkdtemp(place))
		return -1;
	return setenv("XDG_STATE_HOME", place, 1);
}

static int teardown(void **state)
{
	char dir[64];
	snprintf(dir, sizeof dir, "%s/vigia", place);
	return rmdir(dir) || rmdir(place);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(words_are_those_of_a_shell),
	    cmocka_unit_test(what_is_wrong_is_said_with_its_place),
	    cmocka_unit_test(words_are_counted),
	    cmocka_unit_test(a_line_is_split_while_it_is_typed),
	    cmocka_unit_test(what_is_typed_is_quoted_as_the_word_is),
	    cmocka_unit_test(what_all_begin_with),
	    cmocka_unit_test(options_and_commands_need_no_daemon),
	    cmocka_unit_test(typed_lines_are_kept_up_to_a_thousand),
	    cmocka_unit_test(without_a_place_nothing_is_kept),
	};
	return cmocka_run_group_tests_name("console", tests, setup, teardown);
}
