/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/msg.h"

static void fields_stand_in_order_and_are_found_by_name(void **state)
{
	struct msg *m = msg_new("monitor");
	msg_set(m, "name", "n1");
	msg_set_int(m, "id", -5);
	msg_set_flag(m, "full", true);
	msg_setf(m, "where", "%s:%d", "host", 80);
	assert_string_equal(m->name, "monitor");
	assert_string_equal(m->text, "");
	assert_string_equal(m->fields->name, "name");
	assert_string_equal(m->last_field->name, "where");
	assert_string_equal(msg_get(m, "name", "-"), "n1");
	assert_string_equal(msg_get(m, "where", "-"), "host:80");
	assert_string_equal(msg_get(m, "absent", "-"), "-");
	assert_string_equal(msg_get(m, "id", "-"), "-");
	assert_null(msg_field(m, "nam"));
	assert_false(msg_failed(m));
	msg_free(m);
}

static void a_field_goes_and_may_come_again(void **state)
{
	struct msg *m = msg_new("node");
	for (int i = 0; i < 3; i++) {
		msg_set(m, "first", "a");
		msg_set(m, "last", "b");
		msg_unset(m, "last");
		msg_unset(m, "first");
		msg_unset(m, "never");
		assert_null(m->fields);
	}
	msg_set(m, "again", "c");
	assert_string_equal(m->fields->name, "again");
	assert_null(m->fields->next);
	msg_free(m);
}

static void a_text_may_be_a_part_of_another(void **state)
{
	struct msg *m = msg_new("m");
	msg_set_n(m, "a", "host:80", 4);
	assert_string_equal(msg_get(m, "a", "-"), "host");
	assert_int_equal(msg_field(m, "a")->n, 4);
	msg_free(m);
}

static void strings_are_copied(void **state)
{
	char name[] = "name", text[] = "text";
	struct msg *m = msg_new(name);
	msg_set(m, name, text);
	msg_text(msg_child(m, name), text, 2);
	memset(name, 'x', 4);
	memset(text, 'x', 4);
	assert_string_equal(m->name, "name");
	assert_string_equal(msg_get(m, "name", ""), "text");
	assert_string_equal(m->children->name, "name");
	assert_string_equal(m->children->text, "te");
	msg_free(m);
}

static void whole_numbers_come_from_numbers_and_texts_alike(void **state)
{
	int64_t n = 0;
	struct msg *m = msg_new("m");
	msg_set_int(m, "a", INT64_MIN);
	msg_set(m, "b", "9223372036854775807");
	msg_set(m, "c", "12 ");
	assert_int_equal(msg_get_int(m, "a", &n), 0);
	assert_true(n == INT64_MIN);
	assert_int_equal(msg_get_int(m, "b", &n), 0);
	assert_true(n == INT64_MAX);
	assert_int_equal(msg_get_int(m, "c", &n), -EINVAL);
	assert_int_equal(msg_get_int(m, "d", &n), -ENOENT);
	assert_true(n == INT64_MAX);
	msg_free(m);
}

static void bytes_come_from_bytes_and_base64_alike(void **state)
{
	struct msg *m = msg_new("m");
	const uint8_t *bytes = NULL;
	size_t n = 99;
	msg_set_bytes(m, "a", "x\0y", 3);
	msg_set(m, "b", "eAB5");
	msg_set_bytes(m, "c", NULL, 0);
	msg_set(m, "d", "eAB");
	msg_set_int(m, "e", 1);
	assert_int_equal(msg_get_bytes(m, "d", &bytes, &n), -EINVAL);
	assert_int_equal(msg_get_bytes(m, "e", &bytes, &n), -EINVAL);
	assert_int_equal(msg_get_bytes(m, "f", &bytes, &n), -ENOENT);
	assert_true(!bytes && n == 99);
	assert_int_equal(msg_get_bytes(m, "a", &bytes, &n), 0);
	assert_int_equal(n, 3);
	assert_memory_equal(bytes, "x\0y", 3);
	bytes = NULL;
	assert_int_equal(msg_get_bytes(m, "b", &bytes, &n), 0);
	assert_int_equal(n, 3);
	assert_memory_equal(bytes, "x\0y", 3);
	assert_int_equal(msg_get_bytes(m, "c", &bytes, &n), 0);
	assert_int_equal(n, 0);
	msg_free(m);
}

static void bytes_are_neither_text_nor_number_nor_flag(void **state)
{
	struct msg *m = msg_new("m");
	int64_t n = 42;
	msg_set_bytes(m, "a", "yes", 3);
	assert_string_equal(msg_get(m, "a", "-"), "-");
	assert_int_equal(msg_get_int(m, "a", &n), -EINVAL);
	assert_int_equal(n, 42);
	assert_false(msg_get_flag(m, "a"));
	msg_free(m);
}

static void only_a_whole_decimal_number_parses(void **state)
{
	static const struct {
		const char *s;
		int expected;
		int64_t n;
	} cases[] = {
	    {"0", 0, 0}, {"-0", 0, 0}, {"17", 0, 17}, {"-17", 0, -17}, {"0017", 0, 17},
	    {"9223372036854775807", 0, INT64_MAX}, {"-9223372036854775808", 0, INT64_MIN},
	    {"9223372036854775808", -EINVAL, 0}, {"-9223372036854775809", -EINVAL, 0}, {"", -EINVAL, 0},
	    {"-", -EINVAL, 0}, {"+1", -EINVAL, 0}, {" 1", -EINVAL, 0}, {"\t1", -EINVAL, 0}, {"\n1", -EINVAL, 0},
	    {"\v1", -EINVAL, 0}, {"1 ", -EINVAL, 0}, {"1.0", -EINVAL, 0}, {"1e3", -EINVAL, 0}, {"0x10", -EINVAL, 0},
	    {"--1", -EINVAL, 0}, {"- 1", -EINVAL, 0}, {"-+1", -EINVAL, 0}, {"abc", -EINVAL, 0},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		int64_t n = 42;
		if (msg_parse_int(cases[i].s, &n) != cases[i].expected)
			fail_msg("\"%s\"", cases[i].s);
		assert_true(n == (cases[i].expected ? 42 : cases[i].n));
	}
}

static void a_flag_is_yes_or_it_is_not_set(void **state)
{
	struct msg *m = msg_new("m");
	msg_set(m, "a", "yes");
	msg_set(m, "b", "no");
	msg_set(m, "c", "YES");
	msg_set_flag(m, "d", true);
	msg_set_flag(m, "e", false);
	assert_true(msg_get_flag(m, "a"));
	assert_false(msg_get_flag(m, "b"));
	assert_false(msg_get_flag(m, "c"));
	assert_true(msg_get_flag(m, "d"));
	assert_false(msg_get_flag(m, "e"));
	assert_false(msg_get_flag(m, "f"));
	msg_free(m);
}

static void children_stand_in_order_however_many(void **state)
{
	char name[16];
	struct msg *m = msg_new("m");
	for (int i = 0; i < 20000; i++) {
		snprintf(name, sizeof name, "c%d", i);
		msg_set_int(msg_child(m, name), "i", i);
	}
	int i = 0;
	for (const struct msg *c = m->children; c; c = c->next, i++)
		assert_int_equal(c->fields->number, i);
	assert_int_equal(i, 20000);
	assert_string_equal(m->last_child->name, "c19999");
	msg_free(m);
}

static void names_and_texts_may_be_longer_than_any_block(void **state)
{
	enum { LONG = 100000 };
	char *s = malloc(LONG + 1);
	memset(s, 'a', LONG);
	s[LONG] = '\0';
	struct msg *m = msg_new(s);
	msg_set(m, s, s);
	msg_text(m, s, LONG);
	assert_string_equal(m->name, s);
	assert_string_equal(msg_get(m, s, ""), s);
	assert_string_equal(m->text, s);
	msg_free(m);
	free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(fields_stand_in_order_and_are_found_by_name),
	    cmocka_unit_test(a_field_goes_and_may_come_again),
	    cmocka_unit_test(a_text_may_be_a_part_of_another),
	    cmocka_unit_test(strings_are_copied),
	    cmocka_unit_test(whole_numbers_come_from_numbers_and_texts_alike),
	    cmocka_unit_test(bytes_come_from_bytes_and_base64_alike),
	    cmocka_unit_test(bytes_are_neither_text_nor_number_nor_flag),
	    cmocka_unit_test(only_a_whole_decimal_number_parses),
	    cmocka_unit_test(a_flag_is_yes_or_it_is_not_set),
	    cmocka_unit_test(children_stand_in_order_however_many),
	    cmocka_unit_test(names_and_texts_may_be_longer_than_any_block),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
