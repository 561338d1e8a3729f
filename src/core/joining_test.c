/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/buf.h"
#include "core/joining.h"

/* The words with a | between, or the error. */
static void is(const char *command, const char *expected)
{
	const char *const *words = NULL;
	struct buf all = BUF_INIT;
	int r = joining_words(command, "h2", "m1:7660,m2:1", "/usr/sbin/vigiad", &words);

	for (size_t i = 0; r == 0 && words[i]; i++)
		buf_putf(&all, "%s%s", i ? "|" : "", words[i]);
	if (r)
		buf_puts(&all, r == -EINVAL ? "EINVAL" : "?");
	assert_string_equal(buf_str(&all), expected);
	buf_release(&all);
	free((void *)(uintptr_t)words);
}

static void a_command_is_words(void **state)
{
	is("a", "a");
	is("  a   b ", "a|b");
	is("%v --daemon --masters=%m", "/usr/sbin/vigiad|--daemon|--masters=m1:7660,m2:1");
	is("env X=/run/%h/%% %v", "env|X=/run/h2/%|/usr/sbin/vigiad");
	is("", "EINVAL");
	is("   ", "EINVAL");
	is("a %", "EINVAL");
	is("%x", "EINVAL");
	is("a % b", "EINVAL");
}

static void a_command_has_an_end(void **state)
{
	struct buf long_one = BUF_INIT;
	const char *const *words = NULL;

	for (int i = 0; i < 65; i++)
		buf_puts(&long_one, "a ");
	assert_int_equal(joining_words(buf_str(&long_one), "h", "m", "v", &words), -EINVAL);
	assert_null(words);
	assert_int_equal(joining_words(buf_str(&long_one) + 2, "h", "m", "v", &words), 0);
	free((void *)(uintptr_t)words);
	buf_release(&long_one);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_command_is_words),
	    cmocka_unit_test(a_command_has_an_end),
	};

	return cmocka_run_group_tests_name("joining", tests, NULL, NULL);
}
