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

#include "base/config.h"

static struct config *one(const char *name, const char *unit, enum metric_type type, uint8_t scale)
{
	struct config *c = config_new(1);
	c->metrics[0] = (struct metric){strdup(name), strdup(unit), strdup(""), type, scale};
	return c;
}

static char *times(char c, size_t n)
{
	static char text[512];
	memset(text, c, n);
	text[n] = '\0';
	return text;
}

static void seal_takes_what_the_page_allows(void **state)
{
	static const struct {
		const char *name, *unit;
		enum metric_type type;
		uint8_t scale;
		int expected;
	} cases[] = {
	    {"load/1min", "1", METRIC_GAUGE, 2, 0},
	    {"a", "", METRIC_TEXT, 0, 0},
	    {"a", "", METRIC_STATE, 0, 0},
	    {"!#$%'()+,-./:;=@[\\]^_`{|}~", "By/s", METRIC_COUNTER, 9, 0},
	    {"", "1", METRIC_GAUGE, 0, -EINVAL},
	    {"a b", "1", METRIC_GAUGE, 0, -EINVAL},
	    {"a\tb", "1", METRIC_GAUGE, 0, -EINVAL},
	    {"a\177", "1", METRIC_GAUGE, 0, -EINVAL},
	    {"a\"b", "1", METRIC_GAUGE, 0, -EINVAL},
	    {"a<b", "1", METRIC_GAUGE, 0, -EINVAL},
	    {"a>b", "1", METRIC_GAUGE, 0, -EINVAL},
	    {"a&b", "1", METRIC_GAUGE, 0, -EINVAL},
	    {"a*", "1", METRIC_GAUGE, 0, -EINVAL},
	    {"a?", "1", METRIC_GAUGE, 0, -EINVAL},
	    {"gr\xc3\xbc\xc3\x9f", "1", METRIC_GAUGE, 0, -EINVAL},
	    {"a", "per second", METRIC_GAUGE, 0, -EINVAL},
	    {"a", "\xc2\xb0\x43", METRIC_GAUGE, 0, -EINVAL},
	    {"a", "1", METRIC_GAUGE, 10, -EINVAL},
	    {"a", "", METRIC_TEXT, 1, -EINVAL},
	    {"a", "", METRIC_STATE, 1, -EINVAL},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const char *why = NULL;
		size_t at = 99;
		struct config *c = one(cases[i].name, cases[i].unit, cases[i].type, cases[i].scale);
		if (config_seal(c, &why, &at) != cases[i].expected)
			fail_msg("\"%s\" \"%s\"", cases[i].name, cases[i].unit);
		assert_int_equal(at, cases[i].expected ? 0 : 99);
		assert_int_equal(!why, !cases[i].expected);
		config_unref(c);
	}
}

static void names_and_units_have_at_most_127_bytes(void **state)
{
	const char *why;
	size_t at;
	for (size_t n = 127; n <= 128; n++) {
		struct config *c = one(times('n', n), "1", METRIC_GAUGE, 0);
		assert_int_equal(config_seal(c, &why, &at), n == 127 ? 0 : -EINVAL);
		config_unref(c);
		c = one("a", times('u', n), METRIC_GAUGE, 0);
		assert_int_equal(config_seal(c, &why, &at), n == 127 ? 0 : -EINVAL);
		config_unref(c);
	}
}

static struct config *numbered(size_t n)
{
	struct config *c = config_new(n);
	char name[32];
	for (size_t i = 0; i < n; i++) {
		snprintf(name, sizeof name, "m/%zu", i);
		c->metrics[i] = (struct metric){strdup(name), strdup("1"), strdup(""), METRIC_GAUGE, 0};
	}
	return c;
}

static void two_of_one_name_are_refused_and_the_later_is_named(void **state)
{
	const char *why = NULL;
	size_t at = 0;
	struct config *c = numbered(5);
	strcpy(c->metrics[4].name, "m/1");
	assert_int_equal(config_seal(c, &why, &at), -EINVAL);
	assert_int_equal(at, 4);
	assert_non_null(strstr(why, "one name"));
	config_unref(c);
}

static void the_most_metrics_there_may_be_are_sealed(void **state)
{
	const char *why;
	size_t at;
	struct config *c = numbered(METRICS_MAX);
	assert_int_equal(config_seal(c, &why, &at), 0);
	assert_int_equal(config_find(c, "m/16383"), 16383);
	assert_int_equal(config_find(c, "m/16384"), -1);
	for (size_t hint = 0; hint < METRICS_MAX + 2; hint += 16383) {
		assert_int_equal(config_find_near(c, "m/7", hint), 7);
		assert_int_equal(config_find_near(c, "m/16383", hint), 16383);
		assert_int_equal(config_find_near(c, "m/x", hint), -1);
	}
	config_unref(c);
}

static void docs_are_not_part_of_the_digest_and_all_else_is(void **state)
{
	struct config *a = numbered(3), *b = numbered(3);
	assert_int_equal(config_digest(a), config_digest(b));
	free(b->metrics[1].doc);
	b->metrics[1].doc = strdup("what it is");
	assert_int_equal(config_digest(a), config_digest(b));
	b->metrics[1].scale = 1;
	assert_int_not_equal(config_digest(a), config_digest(b));
	b->metrics[1].scale = 0;
	b->metrics[1].type = METRIC_COUNTER;
	assert_int_not_equal(config_digest(a), config_digest(b));
	b->metrics[1].type = METRIC_GAUGE;
	strcpy(b->metrics[1].unit, "s");
	assert_int_not_equal(config_digest(a), config_digest(b));
	strcpy(b->metrics[1].unit, "1");
	b->period_ns = 1000000;
	assert_int_not_equal(config_digest(a), config_digest(b));
	b->period_ns = 0;
	b->window_ns = 1000000;
	assert_int_not_equal(config_digest(a), config_digest(b));
	b->window_ns = 0;
	assert_int_equal(config_digest(a), config_digest(b));
	config_unref(a);
	config_unref(b);
}

static void types_have_names_and_no_others(void **state)
{
	for (enum metric_type t = METRIC_GAUGE; t <= METRIC_TEXT; t++)
		assert_int_equal(metric_type_from(metric_type_name(t)), t);
	assert_int_equal(metric_type_from(""), -1);
	assert_int_equal(metric_type_from("Gauge"), -1);
	assert_int_equal(metric_type_from("gauge "), -1);
}

static void a_config_goes_with_its_last_reference(void **state)
{
	struct config *c = numbered(2);
	assert_ptr_equal(config_ref(c), c);
	config_unref(c);
	assert_string_equal(c->metrics[1].name, "m/1");
	config_unref(c);
	config_unref(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(seal_takes_what_the_page_allows),
	    cmocka_unit_test(names_and_units_have_at_most_127_bytes),
	    cmocka_unit_test(two_of_one_name_are_refused_and_the_later_is_named),
	    cmocka_unit_test(the_most_metrics_there_may_be_are_sealed),
	    cmocka_unit_test(docs_are_not_part_of_the_digest_and_all_else_is),
	    cmocka_unit_test(types_have_names_and_no_others),
	    cmocka_unit_test(a_config_goes_with_its_last_reference),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
