/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

/* Linked with --wrap=realloc: no memory when a test says so. */
static bool no_memory;
void *__real_realloc(void *p, size_t n);
void *__wrap_realloc(void *p, size_t n);

void *__wrap_realloc(void *p, size_t n)
{
	return no_memory ? NULL : __real_realloc(p, n);
}

static void what_is_put_stands_in_order(void **state)
{
	struct buf b = BUF_INIT;
	buf_put(&b, "a\0b", 3);
	buf_puts(&b, "cd");
	buf_putc(&b, 'e');
	buf_putf(&b, "%s-%d", "f", 7);
	assert_int_equal(b.len, 9);
	assert_memory_equal(b.data, "a\0bcdef-7", 9);
	buf_release(&b);
	assert_null(b.data);
}

static void an_empty_one_is_the_empty_string(void **state)
{
	struct buf b = BUF_INIT;
	buf_put(&b, NULL, 0);
	buf_consume(&b, 0);
	assert_string_equal(buf_str(&b), "");
	assert_int_equal(b.len, 0);
	char *s = buf_take(&b);
	assert_string_equal(s, "");
	free(s);
}

static void numbers_are_written_to_their_limits(void **state)
{
	static const struct {
		int64_t n;
		const char *text;
	} cases[] = {{0, "0"}, {7, "7"}, {-7, "-7"}, {INT64_MAX, "9223372036854775807"},
	    {INT64_MIN, "-9223372036854775808"}, {-10, "-10"}, {1000000000000, "1000000000000"}};
	struct buf b = BUF_INIT;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		buf_clear(&b);
		buf_put_int(&b, cases[i].n);
		assert_string_equal(buf_str(&b), cases[i].text);
	}
	buf_release(&b);
}

static void take_moves_the_string_out(void **state)
{
	struct buf b = BUF_INIT;
	buf_puts(&b, "moved");
	char *s = buf_take(&b);
	assert_string_equal(s, "moved");
	assert_null(b.data);
	assert_int_equal(b.len, 0);
	free(s);
}

static void consume_drops_from_the_front(void **state)
{
	struct buf b = BUF_INIT;
	buf_puts(&b, "abcdef");
	buf_consume(&b, 2);
	assert_string_equal(buf_str(&b), "cdef");
	buf_consume(&b, 4);
	assert_string_equal(buf_str(&b), "");
	buf_release(&b);
}

static void growth_keeps_what_was_there(void **state)
{
	struct buf b = BUF_INIT;
	for (int i = 0; i < 100000; i++)
		buf_putc(&b, (char)('a' + i % 26));
	assert_int_equal(b.len, 100000);
	for (int i = 0; i < 100000; i++)
		assert_int_equal(b.data[i], 'a' + i % 26);
	buf_release(&b);
}

static void a_failure_sticks_and_later_puts_do_nothing(void **state)
{
	struct buf b = BUF_INIT;
	buf_puts(&b, "kept");
	no_memory = true;
	for (int i = 0; i < 100; i++)
		buf_puts(&b, "more");
	assert_true(b.failed);
	size_t len = b.len;
	no_memory = false;
	buf_puts(&b, "later");
	buf_putc(&b, 'c');
	buf_put_int(&b, 5);
	buf_putf(&b, "%d", 5);
	assert_int_equal(b.len, len);
	assert_memory_equal(b.data, "keptmore", 8);
	assert_string_equal(buf_str(&b), "");
	assert_null(buf_take(&b));
}

static void clearing_forgives_a_failure(void **state)
{
	struct buf b = BUF_INIT;
	no_memory = true;
	buf_puts(&b, "x");
	no_memory = false;
	assert_true(b.failed);
	buf_clear(&b);
	buf_puts(&b, "y");
	assert_string_equal(buf_str(&b), "y");
	buf_release(&b);
}

static void more_than_there_can_be_is_a_failure_and_no_loop(void **state)
{
	struct buf b = BUF_INIT;
	buf_puts(&b, "x");
	assert_false(buf_reserve(&b, SIZE_MAX));
	assert_true(b.failed);
	buf_release(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_is_put_stands_in_order),
	    cmocka_unit_test(an_empty_one_is_the_empty_string),
	    cmocka_unit_test(numbers_are_written_to_their_limits),
	    cmocka_unit_test(take_moves_the_string_out),
	    cmocka_unit_test(consume_drops_from_the_front),
	    cmocka_unit_test(growth_keeps_what_was_there),
	    cmocka_unit_test(a_failure_sticks_and_later_puts_do_nothing),
	    cmocka_unit_test(clearing_forgives_a_failure),
	    cmocka_unit_test(more_than_there_can_be_is_a_failure_and_no_loop),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
