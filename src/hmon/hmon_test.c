/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "hmon/clock.h"
#include "hmon/dial.h"
#include "hmon/monitor.h"
#include "hmon/text.h"

/* --- clock --- */

static const int64_t ms = 1000000;

static void periods_are_whole_multiples(void **state)
{
	struct tick t = clock_next(1234 * ms, 1000 * ms, 0);
	assert_int_equal(t.at_ns, 2000 * ms);
	assert_true(t.first && t.last);
	assert_int_equal(clock_next(2000 * ms, 1000 * ms, 0).at_ns, 3000 * ms);
	assert_int_equal(clock_next(1999 * ms + 999999, 1000 * ms, 0).at_ns, 2000 * ms);
}

static void no_period_no_ticks(void **state)
{
	assert_int_equal(clock_next(1234 * ms, 0, 0).at_ns, INT64_MAX);
}

static void a_window_is_the_end_of_its_period(void **state)
{
	int64_t expected = 9100, at = 0;
	for (int i = 0; i < 10; i++, expected += 100) {
		struct tick t = clock_next(at, 10000 * ms, 1000 * ms);
		assert_int_equal(t.at_ns, expected * ms);
		assert_int_equal(t.first, i == 0);
		assert_int_equal(t.last, i == 9);
		at = t.at_ns;
	}
	assert_int_equal(clock_next(at, 10000 * ms, 1000 * ms).at_ns, 19100 * ms);
}

static void a_late_wake_up_goes_on_with_the_next_sample(void **state)
{
	struct tick t = clock_next(9350 * ms, 10000 * ms, 1000 * ms);
	assert_int_equal(t.at_ns, 9400 * ms);
	assert_false(t.first);
}

static void a_short_window_has_one_sample(void **state)
{
	struct tick t = clock_next(0, 1000 * ms, 50 * ms);
	assert_int_equal(t.at_ns, 1000 * ms);
	assert_true(t.first && t.last);
}

/* --- text --- */

static void clean(const char *from, const char *expected)
{
	char to[12];
	text_clean(to, sizeof to, from);
	assert_string_equal(to, expected);
}

static void bad_bytes_become_question_marks(void **state)
{
	clean("plain", "plain");
	clean("\xc3\xa4\xe2\x82\xac", "\xc3\xa4\xe2\x82\xac");
	clean("a\x01\nb\x7f", "a??b?");
	clean("\xff\xc3", "??");
	clean("\xc0\x80\xed\xa0\x80", "?????");	   /* overlong, surrogate */
	clean("\xef\xbf\xbe", "???");		   /* U+FFFE */
	clean("0123456789\xc3\xa4", "0123456789"); /* never half a character */
}

/* --- options --- */

static const struct hmon_option some_options[] = {{"command", HMON_OPTION_LIST},
    {"limit", HMON_OPTION_INT, "7"}, {"wait", HMON_OPTION_DURATION, "3s"}, {"on", HMON_OPTION_FLAG, "true"},
    {0}};
static const struct hmon_monitor with_options = {.name = "test", .period = "2s", .options = some_options};

static int parse(const char *text, struct options *o, const char *expected)
{
	struct buf why = BUF_INIT;
	int r = options_parse(o, &with_options, text, &why);
	assert_string_equal(buf_str(&why), expected);
	buf_release(&why);
	return r;
}

static void options_have_fallbacks(void **state)
{
	struct options o;
	assert_int_equal(parse("", &o, ""), 0);
	assert_int_equal(o.period_ms, 2000);
	assert_int_equal(o.window_ms, 0);
	assert_int_equal(cfg_getint(o.values, "limit"), 7);
	assert_true(cfg_getbool(o.values, "on"));
	options_release(&o);
}

static void options_are_read(void **state)
{
	struct options o;
	assert_int_equal(parse("\n program = exec\n enabled = true\n command = {\"/bin/x\", \"a b\"} # why\n"
			       " period = 500ms window = 0.2s\n limit = 9 on = false",
			     &o, ""),
	    0);
	assert_int_equal(o.period_ms, 500);
	assert_int_equal(o.window_ms, 200);
	assert_string_equal(cfg_getnstr(o.values, "command", 1), "a b");
	options_release(&o);
}

static void errors_name_line_and_expectation(void **state)
{
	struct options o;
	assert_int_equal(
	    parse("\nlimt = 9", &o,
		"line 2: no such option 'limt'; expected one of command limit wait on period window "
		"program enabled"),
	    -EINVAL);
	assert_int_equal(
	    parse("wait = 3", &o, "line 1: '3' is not a duration for 'wait': expected 500ms, 10s, 5min, 1h"),
	    -EINVAL);
	assert_int_equal(parse("limit = x", &o, "line 1: invalid integer value for option 'limit'; expected a whole number"),
	    -EINVAL);
	assert_int_equal(
	    parse("period = 1ms", &o, "period: expected 10ms or more, or 0 to measure only when asked"),
	    -EINVAL);
	assert_int_equal(
	    parse("period = 1s window = 2s", &o, "window: expected no more than the period"), -EINVAL);
}

static void every_mistake_is_told(void **state)
{
	struct options o;
	assert_int_equal(parse("limit = x\nperiod = 5s\n\n wait = soon # when?\n on = maybe", &o,
			     "line 1: invalid integer value for option 'limit'; expected a whole number\n"
			     "line 4: 'soon' is not a duration for 'wait': expected 500ms, 10s, 5min, 1h\n"
			     "line 5: invalid boolean value for option 'on'; expected true or false"),
	    -EINVAL);
	/* What goes on over lines is not taken apart. */
	assert_int_equal(parse("limit = x command = {\n\"a\" }\n wait = soon", &o,
			     "line 1: invalid integer value for option 'limit'; expected a whole number"),
	    -EINVAL);
}

static void durations_need_units(void **state)
{
	assert_int_equal(options_duration("1.5s"), 1500);
	assert_int_equal(options_duration("2min"), 120000);
	assert_int_equal(options_duration("0"), 0);
	static const char *const bad[] = {"", "x", "3", "-1s", "3 parsecs", "1e99d", "nan", "inf", "5ss"};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(options_duration(bad[i]), -EINVAL);
}

/* --- the set --- */

static const struct hmon_metric pair[] = {{"rx", HMON_COUNTER, "By"}, {"tx", HMON_COUNTER, "By"}, {0}};
static const struct hmon_metric kinds[] = {
    {"gauge", HMON_GAUGE, NULL, 2}, {"state", HMON_STATE}, {"text", HMON_TEXT}, {0}};

static void named(const struct set *s, size_t position, const char *expected)
{
	struct buf name = BUF_INIT;
	set_metric(s, position, &name);
	assert_string_equal(buf_str(&name), expected);
	buf_release(&name);
}

static void instances_come_and_go_beside_each_other(void **state)
{
	struct set s = {0};
	int eth0 = set_add(&s, "net", "eth0", pair, 2), eth1 = set_add(&s, "net", "eth1", pair, 2),
	    wg = set_add(&s, "net", "w/g<", pair, 2);
	set_begin(&s);
	set_number(&s, eth1 + 1, 11);
	set_drop(&s, eth0);
	set_number(&s, wg, 20);
	set_end(&s);
	assert_int_equal(s.n, 4);
	named(&s, 0, "net/eth1/rx");
	named(&s, 3, "net/w_g_/tx");
	assert_int_equal(s.now[1].number, 11);
	assert_int_equal(s.now[2].number, 20);
	assert_int_equal(s.now[3].kind, VALUE_NONE);
	assert_int_equal(set_add(&s, "net", "eth2", pair, 2), eth0); /* the free place */
	set_number(&s, eth0 + 1, 5);
	assert_int_equal(s.now[5].number, 5);
	set_release(&s);
}

static void a_name_is_there_once(void **state)
{
	struct set s = {0};
	int eth0 = set_add(&s, "net", "eth0", pair, 2);
	assert_int_equal(set_add(&s, "net", "eth0", pair, 2), -EEXIST);
	set_drop(&s, eth0);
	assert_int_not_equal(set_add(&s, "net", "eth0", pair, 2), -EEXIST);
	set_end(&s);
	assert_int_equal(s.n, 2);
	set_release(&s);
}

static void values_fit_their_metric(void **state)
{
	struct set s = {0};
	set_add(&s, NULL, NULL, kinds, 3);
	set_begin(&s);
	set_double(&s, 0, -12.345);
	assert_int_equal(s.now[0].number, -1235);
	set_double(&s, 0, NAN);
	assert_int_equal(s.now[0].kind, VALUE_NONE);
	set_double(&s, 0, 1e17);
	assert_int_equal(s.now[0].kind, VALUE_NONE);
	set_text(&s, 0, "no number");
	set_number(&s, 1, 5);
	assert_int_equal(s.now[0].kind, VALUE_NONE);
	assert_int_equal(s.now[1].kind, VALUE_NONE);
	set_text(&s, 1, "one");
	set_text(&s, 1, "two\n");
	assert_string_equal(s.now[1].text, "two?");
	set_number(&s, -5, 1);
	set_number(&s, 99, 1);
	set_double(&s, INT_MAX, 1);
	set_begin(&s);
	assert_int_equal(s.now[1].kind, VALUE_NONE);
	set_release(&s);
}

static void gauges_become_means(void **state)
{
	static const struct hmon_metric two[] = {{"gauge", HMON_GAUGE}, {"counter", HMON_COUNTER}, {0}};
	struct set s = {0};
	set_add(&s, NULL, NULL, two, 2);
	for (int i = 1; i <= 4; i++) {
		set_begin(&s);
		if (i != 3)
			set_number(&s, 0, -i * 10);
		set_number(&s, 1, i);
		set_end(&s);
	}
	set_means_take(&s);
	assert_int_equal(s.now[0].number, -23);
	assert_int_equal(s.now[1].number, 4);
	set_release(&s);
}

static void too_many_are_refused(void **state)
{
	struct set s = {0};
	char name[20];
	for (int i = 0; i < METRICS_MAX / 2; i++) {
		sprintf(name, "%d", i);
		if (i % 16 == 0) /* looking for doubles takes its time */
			assert_true(set_add(&s, name, NULL, pair, 2) >= 0);
	}
	assert_int_equal(set_add(&s, "x", NULL, pair, METRICS_MAX), -E2BIG);
	set_release(&s);
}

/* --- the secret --- */

static void secrets_are_kept_for_their_owner(void **state)
{
	char dir[] = "/tmp/vigia-secret-XXXXXX", secret[SECRET_SIZE], command[80];
	assert_non_null(mkdtemp(dir));
	setenv("XDG_STATE_HOME", dir, 1);
	assert_int_equal(dial_load_secret("load", secret), -ENOENT);
	assert_int_equal(dial_keep_secret("load", "s3cret"), 0);
	assert_int_equal(dial_keep_secret("load", "other"), 0);
	assert_int_equal(dial_load_secret("load", secret), 0);
	assert_string_equal(secret, "other");
	snprintf(command, sizeof command, "test $(stat -c %%a %s/vigia/monitors/load.secret) = 600", dir);
	assert_int_equal(system(command), 0);
	snprintf(command, sizeof command, "rm -r %s", dir);
	assert_int_equal(system(command), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(periods_are_whole_multiples),
	    cmocka_unit_test(no_period_no_ticks),
	    cmocka_unit_test(a_window_is_the_end_of_its_period),
	    cmocka_unit_test(a_late_wake_up_goes_on_with_the_next_sample),
	    cmocka_unit_test(a_short_window_has_one_sample),
	    cmocka_unit_test(bad_bytes_become_question_marks),
	    cmocka_unit_test(options_have_fallbacks),
	    cmocka_unit_test(options_are_read),
	    cmocka_unit_test(errors_name_line_and_expectation),
	    cmocka_unit_test(every_mistake_is_told),
	    cmocka_unit_test(durations_need_units),
	    cmocka_unit_test(instances_come_and_go_beside_each_other),
	    cmocka_unit_test(a_name_is_there_once),
	    cmocka_unit_test(values_fit_their_metric),
	    cmocka_unit_test(gauges_become_means),
	    cmocka_unit_test(too_many_are_refused),
	    cmocka_unit_test(secrets_are_kept_for_their_owner),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
