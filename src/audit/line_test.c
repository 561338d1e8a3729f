/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "audit/fixture_test.h"

static const char LINE[] = "17 2025-11-23T09:15:24.123456789Z 1000 4711 00112233445566778899aabbccddeeff kernel - process.signal done "
			   "pid=\"1\" signal=\"TERM\" 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

static int get(const char *text, struct audit_record *ret)
{
	static char line[AUDIT_LINE_MAX + 1];
	const char *why = NULL;
	snprintf(line, sizeof line, "%s", text);
	int r = audit_get_record(line, ret, &why);
	assert_true(!r || *why);
	return r;
}

static void a_record_comes_back_as_it_was(void **state)
{
	struct buf line = BUF_INIT;
	struct audit_record r;
	assert_int_equal(get(LINE, &r), 0);
	assert_int_equal(r.sequence, 17);
	assert_int_equal(r.time_ns, 1763889324123456789);
	assert_int_equal(r.uid, 1000);
	assert_int_equal(r.pid, 4711);
	assert_string_equal(r.address, "");
	assert_string_equal(r.what, "process.signal");
	assert_string_equal(r.args, "pid=\"1\" signal=\"TERM\"");
	buf_putf(&line, "%d ", 17);
	audit_put_record(&line, &r);
	buf_putf(&line, " %s", r.hash);
	assert_string_equal(buf_str(&line), LINE);
	buf_release(&line);
}

static void what_is_not_known_is_a_dash(void **state)
{
	struct buf line = BUF_INIT;
	struct audit_record r = record_of("connection.open", "");
	r.uid = AUDIT_NOBODY;
	r.pid = 0;
	r.host = "";
	r.how = AUDIT_BY_NOTHING;
	r.address = "10.0.0.1:4711";
	r.result = "refused";
	r.code = "bad-role";
	audit_put_record(&line, &r);
	assert_string_equal(buf_str(&line), "2025-11-23T09:15:24.123456789Z - - - nothing 10.0.0.1:4711 connection.open refused:bad-role");
	buf_release(&line);
}

static void what_a_caller_says_stays_within_its_word_and_line(void **state)
{
	struct buf args = BUF_INIT, line = BUF_INIT;
	struct audit_record r = record_of("a b\nc.d", NULL);
	audit_put_arg(&args, "key", "x\" done\n1 2 \x1b[2J \xff\\", 19);
	r.args = buf_str(&args);
	r.code = "c:d e";
	audit_put_record(&line, &r);
	assert_non_null(strstr(buf_str(&line), " a?b?c.d done:c:d?e key=\"x\\\" done\\n1 2 \\x1b[2J \\xff\\\\\""));
	assert_null(strchr(buf_str(&line), '\n'));
	buf_release(&args);
	buf_release(&line);
}

static void long_values_are_cut(void **state)
{
	struct buf args = BUF_INIT;
	char value[5000];
	memset(value, '\\', sizeof value);
	audit_put_arg(&args, "a", value, sizeof value);
	assert_int_equal(args.len, strlen("a=\"\"") + AUDIT_VALUE_MAX + strlen("..."));
	for (int i = 0; i < 100; i++)
		audit_put_arg(&args, "a", value, sizeof value);
	assert_true(args.len <= AUDIT_ARGS_MAX);
	assert_string_equal(buf_str(&args) + args.len - 5, "\" ...");
	buf_release(&args);
}

static void the_longest_record_is_a_line(void **state)
{
	struct buf args = BUF_INIT, line = BUF_INIT;
	char text[5000];
	memset(text, 'x', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	for (int i = 0; i < 100; i++)
		audit_put_arg(&args, text, text, strlen(text));
	struct audit_record r = {.time_ns = INT64_MAX, .uid = AUDIT_NOBODY - 1, .pid = UINT32_MAX, .host = text, .how = text,
	    .address = text, .what = text, .result = text, .code = text, .args = buf_str(&args)};
	buf_puts(&line, "9223372036854775807 ");
	audit_put_record(&line, &r);
	assert_true(line.len + AUDIT_HASH <= AUDIT_LINE_MAX);
	buf_release(&args);
	buf_release(&line);
}

static void what_was_never_put_is_no_record(void **state)
{
	static const char hash[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
	static const char *const bad[] = {"", "17", "017 2025-11-23T09:15:24.123456789Z 1 1 - kernel - a.b done",
	    "17 2025-11-23T09:15:24.12345678Z 1 1 - kernel - a.b done", "17 2025-13-23T09:15:24.123456789Z 1 1 - kernel - a.b done",
	    "17 2025-02-30T09:15:24.123456789Z 1 1 - kernel - a.b done", "17 2025-11-23T09:15:24.123456789Z x 1 - kernel - a.b done",
	    "17 2025-11-23T09:15:24.123456789Z 4294967295 1 - kernel - a.b done",
	    "17 2025-11-23T09:15:24.123456789Z 1 0 - kernel - a.b done", "17 2025-11-23T09:15:24.123456789Z 1 1 -  - a.b done",
	    "17 2025-11-23T09:15:24.123456789Z 1 1 - kernel - a.b", "17 2025-11-23T09:15:24.123456789Z 1 1 - kernel - a.b failed:",
	    "17 2025-11-23T09:15:24.123456789Z 1 1 - kernel - a.b done ", "9223372036854775808 2025-11-23T09:15:24.123456789Z 1 1 - k - a.b done"};
	struct audit_record r;
	char line[400];
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		snprintf(line, sizeof line, "%s %s", bad[i], hash);
		if (!get(line, &r))
			fail_msg("taken: %s", line);
	}
	snprintf(line, sizeof line, "17 2025-11-23T09:15:24.123456789Z 1 1 - kernel - a.b done %s", hash);
	assert_int_equal(get(line, &r), 0);
	line[strlen(line) - 1] = 'F';
	assert_int_equal(get(line, &r), -EINVAL);
}

static void a_hash_is_the_sha256_that_everyone_has(void **state)
{
	char hash[AUDIT_HASH]; /* printf 'vigia-audit-1 %s' HOST | sha256sum */
	assert_int_equal(audit_first_hash(HOST, hash), 0);
	assert_string_equal(hash, "ae3fe0b396f450c2e5c1d9288eea5eedc556290322a48e424e4698c36b5dff05");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_record_comes_back_as_it_was),
	    cmocka_unit_test(what_is_not_known_is_a_dash),
	    cmocka_unit_test(what_a_caller_says_stays_within_its_word_and_line),
	    cmocka_unit_test(long_values_are_cut),
	    cmocka_unit_test(the_longest_record_is_a_line),
	    cmocka_unit_test(what_was_never_put_is_no_record),
	    cmocka_unit_test(a_hash_is_the_sha256_that_everyone_has),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
