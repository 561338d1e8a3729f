/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/dice_test.h"

static void the_examples_of_rfc_4648(void **state)
{
	static const char *const cases[][2] = {{"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"},
	    {"foob", "Zm9vYg=="}, {"fooba", "Zm9vYmE="}, {"foobar", "Zm9vYmFy"}, {"\xfb\xff\xbf", "+/+/"}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct buf out = BUF_INIT;
		uint8_t bytes[8];
		size_t n = 99;
		base64_put(&out, cases[i][0], strlen(cases[i][0]));
		assert_string_equal(buf_str(&out), cases[i][1]);
		assert_int_equal(base64_decode(cases[i][1], strlen(cases[i][1]), bytes, &n), 0);
		assert_int_equal(n, strlen(cases[i][0]));
		assert_memory_equal(bytes, cases[i][0], n);
		buf_release(&out);
	}
}

static void anything_else_is_refused(void **state)
{
	static const char *const bad[] = {"A", "AA", "AAA", "AAAAA", "A===", "====", "=AAA", "A=AA", "AA=A",
	    "AAA=AAAA", "AA==AAAA", "Zh==", "Zm9=", "Zm 9", "Zm9v\n", "Zm9-", "Zm9_", "Zm9.", "Zm9\x80",
	    "Z\0m9"};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		uint8_t bytes[8];
		size_t n = 99, length = i + 1 < sizeof bad / sizeof *bad ? strlen(bad[i]) : 4;
		assert_int_equal(base64_decode(bad[i], length, bytes, &n), -EINVAL);
		assert_int_equal(n, 99);
	}
}

static void all_bytes_come_back(void **state)
{
	dice_begin();
	for (size_t n = 0; n < 300; n++) {
		struct buf out = BUF_INIT;
		uint8_t bytes[300];
		for (size_t i = 0; i < n; i++)
			bytes[i] = (uint8_t)dice();
		base64_put(&out, bytes, n);
		assert_int_equal(out.len, (n + 2) / 3 * 4);
		uint8_t *again = malloc(BASE64_BYTES(out.len) + !n);
		size_t found;
		assert_int_equal(base64_decode(out.len ? out.data : "", out.len, again, &found), 0);
		assert_int_equal(found, n);
		assert_memory_equal(again, bytes, n);
		free(again);
		buf_release(&out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_examples_of_rfc_4648),
	    cmocka_unit_test(anything_else_is_refused),
	    cmocka_unit_test(all_bytes_come_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
