/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/dice_test.h"
#include "proto/row.h"

/* --- a config and a period before, for all the cases: n0=100 n1=-7 n2=none t3="old" n4=none t5=none --- */

enum { METRICS = 6 };

static struct config *six(void)
{
	static const enum metric_type types[METRICS] = {
	    METRIC_GAUGE, METRIC_GAUGE, METRIC_COUNTER, METRIC_TEXT, METRIC_GAUGE, METRIC_STATE};
	struct config *c = config_new(METRICS);
	char name[8];
	for (size_t i = 0; i < METRICS; i++) {
		snprintf(name, sizeof name, "m%zu", i);
		c->metrics[i] = (struct metric){strdup(name), strdup(""), strdup(""), types[i], 0};
	}
	return c;
}

static struct value number(int64_t n)
{
	return (struct value){.kind = VALUE_NUMBER, .number = n};
}

static struct value text(const char *s)
{
	return (struct value){.kind = VALUE_TEXT, .text = strdup(s)};
}

static void before_values(struct value v[METRICS])
{
	memset(v, 0, METRICS * sizeof *v);
	v[0] = number(100);
	v[1] = number(-7);
	v[3] = text("old");
}

/* "100 -7 ! "old" ! !": as the page would show them. */
static const char *shown(const struct value *v, size_t n)
{
	static struct buf b;
	buf_clear(&b);
	for (size_t i = 0; i < n; i++) {
		if (i)
			buf_putc(&b, ' ');
		if (v[i].kind == VALUE_NONE)
			buf_putc(&b, '!');
		else if (v[i].kind == VALUE_NUMBER)
			buf_put_int(&b, v[i].number);
		else
			buf_putf(&b, "[%s]", v[i].text);
	}
	return buf_str(&b);
}

#define BEFORE "100 -7 ! [old] ! !"

static const struct {
	const char *row, *after;
} good[] = {
    /* numbers */
    {"12", "12 -7 ! [old] ! !"},
    {"-3", "-3 -7 ! [old] ! !"},
    {"0", "0 -7 ! [old] ! !"},
    {"-0", "0 -7 ! [old] ! !"},
    {"007", "7 -7 ! [old] ! !"},
    {"9223372036854775807", "9223372036854775807 -7 ! [old] ! !"},
    {"-9223372036854775808", "-9223372036854775808 -7 ! [old] ! !"},
    {"1 2 3", "1 2 3 [old] ! !"},
    {"1-2 3", "1 -2 3 [old] ! !"},
    {"1-2-3", "1 -2 -3 [old] ! !"},
    /* differences */
    {"+5", "105 -7 ! [old] ! !"},
    {"~5", "95 -7 ! [old] ! !"},
    {"+0", "100 -7 ! [old] ! !"},
    {"+1~1", "101 -8 ! [old] ! !"},
    {"~107+107", "-7 100 ! [old] ! !"},
    {"+9223372036854775707", "9223372036854775807 -7 ! [old] ! !"},
    {".~9223372036854775801", "100 -9223372036854775808 ! [old] ! !"},
    /* unchanged */
    {"", BEFORE},
    {"   \n ", BEFORE},
    {".", BEFORE},
    {".6", BEFORE},
    {"......", BEFORE},
    {".1.2.3", BEFORE},
    {". 5", "100 5 ! [old] ! !"},
    {".2 5", "100 -7 5 [old] ! !"},
    {".2-5", "100 -7 -5 [old] ! !"},
    {"..5", BEFORE},
    {".03 \"x\"", "100 -7 ! [x] ! !"},
    /* no value */
    {"!", "! -7 ! [old] ! !"},
    {"!!!!!!", "! ! ! ! ! !"},
    {"!5!", "! 5 ! [old] ! !"},
    {"!.!", "! -7 ! [old] ! !"},
    {".3!", "100 -7 ! ! ! !"},
    /* texts */
    {".3\"new\"", "100 -7 ! [new] ! !"},
    {".3\"\"", "100 -7 ! [] ! !"},
    {".3\"a \\\"b\\\" \\\\\"", "100 -7 ! [a \"b\" \\] ! !"},
    {".3\"\\a\\b\"", "100 -7 ! [ab] ! !"},
    {".3\".17 +5 !\"", "100 -7 ! [.17 +5 !] ! !"},
    {".3\"gr\xc3\xbc\xc3\x9f\xf0\x9f\x92\x9a\"", "100 -7 ! [gr\xc3\xbc\xc3\x9f\xf0\x9f\x92\x9a] ! !"},
    {".3\"a\nb\"", "100 -7 ! [a\nb] ! !"},
    {".3\"a\"5\"b\"", "100 -7 ! [a] 5 [b]"},
    /* the page's */
    {"+2 51!\"ok\"7!", "102 51 ! [ok] 7 !"},
    {" +2\n51 ! \"ok\" 7 \"up\" ", "102 51 ! [ok] 7 [up]"},
};

static const struct {
	const char *row, *why;
	size_t at;
} bad[] = {
    {"x", "not a value", 0},
    {"1 x", "not a value", 2},
    {"\t1", "not a value", 0},
    {"1,2", "not a value", 1},
    {"'a'", "not a value", 0},
    {"\xc3\xbc", "not a value", 0},
    {"*", "not a value", 0},
    {"-", "digits expected", 1},
    {"+", "digits expected", 1},
    {"~", "digits expected", 1},
    {"--1", "digits expected", 1},
    {"+-1", "digits expected", 1},
    {"- 1", "digits expected", 1},
    {"+ 1", "digits expected", 1},
    {"9223372036854775808", "number too large", 19},
    {"-9223372036854775809", "number too large", 20},
    {"18446744073709551616", "number too large", 19},
    {"99999999999999999999999999", "number too large", 19},
    {"+9223372036854775708", "number too large", 20},
    {"~9223372036854775909", "number too large", 20},
    {"+9223372036854775808", "number too large", 20},
    {"..+1", "a difference to no number", 4},
    {"..~1", "a difference to no number", 4},
    {"...+1", "a difference to no number", 5},
    {".0", "unchanged zero times", 2},
    {".7", "more values than the config has", 2},
    {"..6", "more values than the config has", 3},
    {".18446744073709551615", "number too large", 20},
    {".1000000000000000000", "more values than the config has", 20},
    {".6 1", "more values than the config has", 3},
    {".6!", "more values than the config has", 2},
    {".......", "more values than the config has", 6},
    {"!!!!!!!", "more values than the config has", 6},
    {".6\"", "more values than the config has", 2},
    {".3 5", "a text was announced here, not a number", 4},
    {".3-5", "a text was announced here, not a number", 4},
    {"\"5\"", "a number was announced here, not a text", 0},
    {".3\"", "text without its closing quote", 3},
    {".3\"abc", "text without its closing quote", 6},
    {".3\"abc\\", "text without its closing quote", 7},
    {".3\"abc\\\"", "text without its closing quote", 8},
};

static void apply_good(const char *row, const char *after)
{
	const char *why = "";
	size_t at = 0;
	struct row r = {0};
	struct value v[METRICS];
	struct config *c = six();
	before_values(v);
	if (row_decode(&r, row, strlen(row), c, v, false, &why, &at))
		fail_msg("\"%s\": %s at %zu", row, why, at);
	assert_string_equal(shown(v, METRICS), BEFORE);
	assert_int_equal(row_apply(&r, v), 0);
	assert_string_equal(shown(v, METRICS), after);
	values_clear(v, METRICS);
	row_release(&r);
	config_unref(c);
}

static void every_mark_means_what_the_page_says(void **state)
{
	for (size_t i = 0; i < sizeof good / sizeof *good; i++)
		apply_good(good[i].row, good[i].after);
}

static void a_bad_row_is_refused_and_changes_nothing(void **state)
{
	struct row r = {0};
	struct value v[METRICS];
	struct config *c = six();
	before_values(v);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		const char *why = "";
		size_t at = 0;
		if (row_decode(&r, bad[i].row, strlen(bad[i].row), c, v, false, &why, &at) != -EINVAL)
			fail_msg("\"%s\" was taken", bad[i].row);
		if (strcmp(why, bad[i].why) || at != bad[i].at)
			fail_msg("\"%s\": \"%s\" at %zu", bad[i].row, why, at);
		assert_string_equal(shown(v, METRICS), BEFORE);
	}
	values_clear(v, METRICS);
	row_release(&r);
	config_unref(c);
}

static void a_zero_byte_in_a_text_is_refused(void **state)
{
	const char *why = "";
	size_t at;
	struct row r = {0};
	struct value v[METRICS] = {0};
	struct config *c = six();
	assert_int_equal(row_decode(&r, ".3\"a\0b\"", 7, c, v, false, &why, &at), -EINVAL);
	assert_int_equal(row_decode(&r, "\0", 1, c, v, false, &why, &at), -EINVAL);
	row_release(&r);
	config_unref(c);
}

static void a_full_row_stands_on_its_own(void **state)
{
	static const struct {
		const char *row, *after; /* NULL: refused */
	} cases[] = {
	    {"1 2 3\"a\"4\"b\"", "1 2 3 [a] 4 [b]"},
	    {"1 2", "1 2 ! ! ! !"},
	    {"", "! ! ! ! ! !"},
	    {"!", "! ! ! ! ! !"},
	    {".", NULL},
	    {"1 .5", NULL},
	    {"+1", NULL},
	    {"~1", NULL},
	    {"1 2 3\"a\"4\"b\"!", NULL},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const char *why = NULL;
		size_t at;
		struct row r = {0};
		struct value v[METRICS];
		struct config *c = six();
		before_values(v);
		int e = row_decode(&r, cases[i].row, strlen(cases[i].row), c, v, true, &why, &at);
		assert_int_equal(e, cases[i].after ? 0 : -EINVAL);
		if (!e)
			row_apply(&r, v);
		assert_string_equal(shown(v, METRICS), e ? BEFORE : cases[i].after);
		values_clear(v, METRICS);
		row_release(&r);
		config_unref(c);
	}
}

static void a_text_has_at_most_1023_bytes(void **state)
{
	char row[1100];
	for (size_t n = 1023; n <= 1024; n++) {
		const char *why;
		size_t at;
		struct row r = {0};
		struct value v[METRICS] = {0};
		struct config *c = six();
		int len = snprintf(row, sizeof row, ".3\"%0*d\"", (int)n, 0);
		int e = row_decode(&r, row, (size_t)len, c, v, false, &why, &at);
		assert_int_equal(e, n == 1023 ? 0 : -EINVAL);
		row_release(&r);
		config_unref(c);
	}
}

/* --- there and back --- */

static void put_random_char(struct buf *b)
{
	static const char *const chars[] = {"\"", "\\", "a", " ", ".", "!", "+", "0", "<", "\xc3\xa4", "\xe2\x82\xac",
	    "\xf0\x9f\x92\x9a", "\n", "\\\"", "]]>"};
	buf_puts(b, chars[dice_below(sizeof chars / sizeof *chars)]);
}

static struct value random_text(void)
{
	struct buf b = BUF_INIT;
	for (size_t n = dice_below(4) ? dice_below(12) : 250; n; n--)
		put_random_char(&b);
	return (struct value){.kind = VALUE_TEXT, .text = buf_take(&b)};
}

static struct value random_value(const struct metric *m)
{
	if (!dice_below(6))
		return (struct value){.kind = VALUE_NONE};
	return m->type == METRIC_TEXT ? random_text() : number(dice_number());
}

static struct config *random_config(size_t n)
{
	struct config *c = config_new(n);
	for (size_t i = 0; i < n; i++)
		c->metrics[i] = (struct metric){.type = dice_below(4) ? METRIC_GAUGE : METRIC_TEXT};
	return c;
}

static void random_period(const struct config *c, const struct value *before, struct value *now)
{
	for (size_t i = 0; i < c->n; i++) {
		now[i] = (struct value){0};
		if (before && dice_below(2))
			value_copy(&now[i], &before[i]);
		else
			now[i] = random_value(&c->metrics[i]);
		int64_t near;
		if (before && before[i].kind == VALUE_NUMBER && !dice_below(3) &&
		    !__builtin_add_overflow(before[i].number, (int64_t)dice_below(200) - 100, &near)) {
			value_clear(&now[i]);
			now[i] = number(near);
		}
	}
}

static void check_equal(const struct value *a, const struct value *b, size_t n, const char *row)
{
	for (size_t i = 0; i < n; i++)
		if (!value_equal(&a[i], &b[i]))
			fail_msg("value %zu of \"%s\"", i, row);
}

static void what_is_encoded_decodes_to_the_same_values(void **state)
{
	enum { MOST = 40 };
	struct row r = {0};
	struct buf out = BUF_INIT;
	dice_begin();
	for (int round = 0; round < 5000; round++) {
		const char *why = "";
		size_t at = 0, n = 1 + dice_below(MOST);
		struct value before[MOST], now[MOST];
		struct config *c = random_config(n);
		bool full = !dice_below(4);
		random_period(c, NULL, before);
		random_period(c, before, now);
		buf_clear(&out);
		row_encode(&out, full ? NULL : before, now, n);
		if (row_decode(&r, out.data ? out.data : "", out.len, c, before, full, &why, &at))
			fail_msg("\"%s\": %s at %zu", buf_str(&out), why, at);
		assert_int_equal(row_apply(&r, before), 0);
		check_equal(before, now, n, buf_str(&out));
		values_clear(before, n);
		values_clear(now, n);
		config_unref(c);
	}
	row_release(&r);
	buf_release(&out);
}

static void unchanged_values_and_small_steps_take_few_bytes(void **state)
{
	struct value before[4] = {number(1000000), number(1000000), number(7), number(7)};
	struct value now[4] = {number(1000001), number(999990), number(8), number(7)};
	struct buf out = BUF_INIT;
	row_encode(&out, before, now, 4);
	assert_string_equal(buf_str(&out), "+1~10+1");
	buf_clear(&out);
	row_encode(&out, before, before, 4);
	assert_int_equal(out.len, 0);
	buf_release(&out);
}

/* --- in decimals --- */

static const struct {
	const char *text;
	uint8_t scale;
	int expected;
	int64_t number;
	const char *shown; /* NULL: as text */
} decimals[] = {
    {"12.34", 2, 0, 1234, NULL},
    {"-12.34", 2, 0, -1234, NULL},
    {"12", 2, 0, 1200, "12.00"},
    {"12.", 2, 0, 1200, "12.00"},
    {".5", 2, 0, 50, "0.50"},
    {"-.5", 2, 0, -50, "-0.50"},
    {"0.01", 2, 0, 1, NULL},
    {"-0.01", 2, 0, -1, NULL},
    {"-0", 0, 0, 0, "0"},
    {"0000000000000000000000000000001", 0, 0, 1, "1"},
    /* halves go away from zero */
    {"0.5", 0, 0, 1, "1"},
    {"-0.5", 0, 0, -1, "-1"},
    {"0.49999999999999999999999", 0, 0, 0, "0"},
    {"2.5", 0, 0, 3, "3"},
    {"-2.5", 0, 0, -3, "-3"},
    {"1.005", 2, 0, 101, "1.01"},
    {"1.00499999", 2, 0, 100, "1.00"},
    {"0.999", 2, 0, 100, "1.00"},
    {"0.0000000005", 9, 0, 1, "0.000000001"},
    {"0.00000000049", 9, 0, 0, "0.000000000"},
    /* the limits of 64 bits */
    {"9223372036854775807", 0, 0, INT64_MAX, NULL},
    {"-9223372036854775807", 0, 0, -INT64_MAX, NULL},
    {"-9223372036854775808", 0, 0, INT64_MIN, NULL},
    {"9223372036854775808", 0, -ERANGE, 0, NULL},
    {"-9223372036854775809", 0, -ERANGE, 0, NULL},
    {"9223372036854775807.4", 0, 0, INT64_MAX, "9223372036854775807"},
    {"9223372036854775807.5", 0, -ERANGE, 0, NULL},
    {"-9223372036854775808.5", 0, -ERANGE, 0, NULL},
    {"18446744073709551615.5", 0, -ERANGE, 0, NULL},
    {"18446744073709551616", 0, -ERANGE, 0, NULL},
    {"9223372036.854775807", 9, 0, INT64_MAX, NULL},
    {"-9223372036.854775808", 9, 0, INT64_MIN, NULL},
    {"9223372037", 9, -ERANGE, 0, NULL},
    {"100000000000000000000", 0, -ERANGE, 0, NULL},
    /* no decimal numbers */
    {"", 0, -EINVAL, 0, NULL},
    {"-", 0, -EINVAL, 0, NULL},
    {".", 0, -EINVAL, 0, NULL},
    {"-.", 0, -EINVAL, 0, NULL},
    {"+1", 0, -EINVAL, 0, NULL},
    {"--1", 0, -EINVAL, 0, NULL},
    {" 1", 0, -EINVAL, 0, NULL},
    {"1 ", 0, -EINVAL, 0, NULL},
    {"1\n", 0, -EINVAL, 0, NULL},
    {"1.2.3", 0, -EINVAL, 0, NULL},
    {"1,5", 0, -EINVAL, 0, NULL},
    {"1e5", 0, -EINVAL, 0, NULL},
    {"1e309", 0, -EINVAL, 0, NULL},
    {"0x10", 0, -EINVAL, 0, NULL},
    {"NaN", 0, -EINVAL, 0, NULL},
    {"nan", 0, -EINVAL, 0, NULL},
    {"Inf", 0, -EINVAL, 0, NULL},
    {"-inf", 0, -EINVAL, 0, NULL},
    {"infinity", 0, -EINVAL, 0, NULL},
    {"\xd9\xa1", 0, -EINVAL, 0, NULL},
};

static void decimals_are_read_rounded_and_shown(void **state)
{
	struct buf out = BUF_INIT;
	for (size_t i = 0; i < sizeof decimals / sizeof *decimals; i++) {
		struct metric m = {.type = METRIC_GAUGE, .scale = decimals[i].scale};
		struct value v = number(4711);
		const char *why = NULL;
		const char *s = decimals[i].text;
		if (row_parse(&v, s, strlen(s), &m, &why) != decimals[i].expected)
			fail_msg("\"%s\" at scale %d", s, m.scale);
		if (decimals[i].expected) {
			assert_non_null(why);
			assert_true(v.kind == VALUE_NUMBER && v.number == 4711);
			continue;
		}
		if (v.number != decimals[i].number)
			fail_msg("\"%s\" is %lld", s, (long long)v.number);
		buf_clear(&out);
		row_format(&out, &v, &m);
		assert_string_equal(buf_str(&out), decimals[i].shown ? decimals[i].shown : s);
	}
	buf_release(&out);
}

static void what_is_shown_reads_as_the_same_number(void **state)
{
	struct buf out = BUF_INIT;
	dice_begin();
	for (int i = 0; i < 50000; i++) {
		struct metric m = {.type = METRIC_COUNTER, .scale = (uint8_t)dice_below(10)};
		struct value v = number(dice_number()), again = {0};
		const char *why;
		buf_clear(&out);
		row_format(&out, &v, &m);
		if (row_parse(&again, out.data, out.len, &m, &why) || again.number != v.number)
			fail_msg("%lld at scale %d is \"%s\"", (long long)v.number, m.scale, buf_str(&out));
	}
	buf_release(&out);
}

static void a_very_long_number_is_read_in_good_time(void **state)
{
	enum { LONG = 1 << 20 };
	struct metric m = {.type = METRIC_GAUGE, .scale = 2};
	struct value v = {0};
	const char *why;
	char *s = malloc(LONG);
	memset(s, '0', LONG);
	s[1] = '.';
	s[LONG - 1] = '1';
	assert_int_equal(row_parse(&v, s, LONG, &m, &why), 0);
	assert_int_equal(v.number, 0);
	free(s);
}

static void states_and_texts_are_taken_as_they_are(void **state)
{
	char longest[1024];
	memset(longest, 'x', sizeof longest);
	for (enum metric_type t = METRIC_STATE; t <= METRIC_TEXT; t++) {
		struct metric m = {.type = t};
		struct value v = {0};
		const char *why = NULL;
		struct buf out = BUF_INIT;
		assert_int_equal(row_parse(&v, "12 \"x\" +5", 9, &m, &why), 0);
		row_format(&out, &v, &m);
		assert_string_equal(buf_str(&out), "12 \"x\" +5");
		value_clear(&v);
		assert_int_equal(row_parse(&v, longest, 1023, &m, &why), 0);
		value_clear(&v);
		assert_int_equal(row_parse(&v, longest, 1024, &m, &why), -EINVAL);
		assert_non_null(why);
		buf_release(&out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_mark_means_what_the_page_says),
	    cmocka_unit_test(a_bad_row_is_refused_and_changes_nothing),
	    cmocka_unit_test(a_zero_byte_in_a_text_is_refused),
	    cmocka_unit_test(a_full_row_stands_on_its_own),
	    cmocka_unit_test(a_text_has_at_most_1023_bytes),
	    cmocka_unit_test(what_is_encoded_decodes_to_the_same_values),
	    cmocka_unit_test(unchanged_values_and_small_steps_take_few_bytes),
	    cmocka_unit_test(decimals_are_read_rounded_and_shown),
	    cmocka_unit_test(what_is_shown_reads_as_the_same_number),
	    cmocka_unit_test(a_very_long_number_is_read_in_good_time),
	    cmocka_unit_test(states_and_texts_are_taken_as_they_are),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
