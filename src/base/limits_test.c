/* SPDX-License-Identifier: Apache-2.0 */
#include "base/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static bool no_memory;

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size)
{
	return no_memory ? NULL : __real_calloc(n, size);
}

static struct limits few(void)
{
	static const struct limit_values values = {
	    {[LIMIT_CHANNELS] = 10, [LIMIT_CHANNELS_PER_UID] = 4, [LIMIT_QUERIES] = 2}};
	struct limits l = {0};
	limits_set(&l, &values);
	return l;
}

static void the_table_is_whole(void **state)
{
	for (int i = 0; i < LIMITS_N; i++) {
		const struct limit_type *t = &limit_types[i];
		assert_non_null(t->name);
		assert_non_null(limit_of_names[t->of]);
		assert_true(t->form != LIMIT_RATE || t->each == LIMIT_NONE);
		assert_true(t->fallback >= t->least && (t->fallback <= t->most || i == LIMIT_DESCRIPTORS));
		if (t->each == LIMIT_NONE)
			continue;
		assert_int_equal(t->of, LIMIT_OF_DAEMON);
		assert_int_equal(limit_types[t->each].of, LIMIT_OF_UID);
		assert_int_equal(limit_types[t->each].form, t->form);
		assert_true(limit_types[t->each].fallback < t->fallback);
	}
}

static void what_is_not_said_is_as_the_table_says(void **state)
{
	struct limits l = few();
	assert_int_equal(l.v[LIMIT_CHANNELS].most, 10);
	assert_int_equal(l.v[LIMIT_LEASES].most, 4096);
	assert_int_equal(l.v[LIMIT_PENDING].most, 1 << 20);
	assert_int_equal(l.v[LIMIT_OPENING].most, 10000000000);
}

static void one_user_fills_his_row_and_others_go_on(void **state)
{
	struct limits l = few();
	for (int i = 0; i < 4; i++)
		assert_int_equal(limits_take(&l, LIMIT_CHANNELS, 7, 1), LIMIT_NONE);
	assert_int_equal(limits_take(&l, LIMIT_CHANNELS, 7, 1), LIMIT_CHANNELS_PER_UID);
	assert_int_equal(limits_take(&l, LIMIT_CHANNELS, 7 + LIMITS_BUCKETS, 3), LIMIT_NONE);
	assert_int_equal(limits_used(&l, LIMIT_CHANNELS), 7);
	assert_int_equal(limits_used(&l, LIMIT_CHANNELS_PER_UID), 4);
	assert_int_equal(l.v[LIMIT_CHANNELS_PER_UID].refused, 1);
	assert_int_equal(l.v[LIMIT_CHANNELS].refused, 0);
	limits_give(&l, LIMIT_CHANNELS, 7, 4);
	assert_int_equal(limits_used(&l, LIMIT_CHANNELS_PER_UID), 3);
	assert_int_equal(limits_take(&l, LIMIT_CHANNELS, 7, 1), LIMIT_NONE);
	limits_release(&l);
}

static void all_together_fill_the_daemons_row(void **state)
{
	struct limits l = few();
	for (uid_t uid = 1; uid <= 3; uid++)
		assert_int_equal(limits_take(&l, LIMIT_CHANNELS, uid, 3), LIMIT_NONE);
	assert_int_equal(limits_take(&l, LIMIT_CHANNELS, 4, 2), LIMIT_CHANNELS);
	assert_int_equal(limits_take(&l, LIMIT_CHANNELS, LIMITS_NOBODY, 2), LIMIT_CHANNELS);
	assert_int_equal(limits_take(&l, LIMIT_CHANNELS, LIMITS_NOBODY, 1), LIMIT_NONE);
	assert_int_equal(l.v[LIMIT_CHANNELS].peak, 10);
	assert_int_equal(l.v[LIMIT_CHANNELS].refused, 2);
	limits_release(&l);
}

static void nobody_has_no_row_of_his_own(void **state)
{
	struct limits l = few();
	assert_int_equal(limits_take(&l, LIMIT_CHANNELS, LIMITS_NOBODY, 9), LIMIT_NONE);
	assert_int_equal(limits_used(&l, LIMIT_CHANNELS_PER_UID), 0);
	limits_give(&l, LIMIT_CHANNELS, LIMITS_NOBODY, 9);
	assert_int_equal(limits_used(&l, LIMIT_CHANNELS), 0);
}

static void who_has_nothing_takes_no_memory(void **state)
{
	struct limits l = few();
	for (uid_t uid = 0; uid < 1000; uid++) {
		limits_take(&l, LIMIT_CHANNELS, uid, 1);
		limits_take(&l, LIMIT_LEASES, uid, 1);
		limits_give(&l, LIMIT_CHANNELS, uid, 1);
		limits_give(&l, LIMIT_LEASES, uid, 1);
	}
	for (int i = 0; i < LIMITS_BUCKETS; i++)
		assert_null(l.users[i]);
	assert_int_equal(l.v[LIMIT_LEASES].peak, 1);
}

static void a_lower_limit_takes_nothing_away(void **state)
{
	static const struct limit_values lower = {{[LIMIT_CHANNELS] = 2, [LIMIT_CHANNELS_PER_UID] = 1}};
	struct limits l = few();
	limits_take(&l, LIMIT_CHANNELS, 7, 4);
	limits_set(&l, &lower);
	assert_int_equal(limits_used(&l, LIMIT_CHANNELS), 4);
	assert_int_equal(limits_take(&l, LIMIT_CHANNELS, 7, 1), LIMIT_CHANNELS_PER_UID);
	assert_int_equal(limits_take(&l, LIMIT_CHANNELS, 8, 1), LIMIT_CHANNELS);
	limits_give(&l, LIMIT_CHANNELS, 7, 4);
	assert_int_equal(limits_take(&l, LIMIT_CHANNELS, 8, 1), LIMIT_NONE);
	limits_release(&l);
}

static void what_is_no_sum_has_a_peak(void **state)
{
	struct limits l = few();
	assert_true(limits_allow(&l, LIMIT_QUERIES, 1));
	assert_true(limits_allow(&l, LIMIT_QUERIES, 2));
	assert_true(limits_allow(&l, LIMIT_QUERIES, 1));
	assert_false(limits_allow(&l, LIMIT_QUERIES, 3));
	assert_int_equal(l.v[LIMIT_QUERIES].peak, 2);
	assert_int_equal(l.v[LIMIT_QUERIES].refused, 1);
}

static void without_memory_a_user_gets_nothing(void **state)
{
	struct limits l = few();
	no_memory = true;
	assert_int_equal(limits_take(&l, LIMIT_CHANNELS, 7, 1), LIMIT_CHANNELS_PER_UID);
	assert_int_equal(limits_used(&l, LIMIT_CHANNELS), 0);
	limits_force(&l, LIMIT_CHANNELS, 7, 2);
	no_memory = false;
	assert_int_equal(limits_used(&l, LIMIT_CHANNELS), 2);
	limits_take(&l, LIMIT_CHANNELS, 7, 1);
	limits_give(&l, LIMIT_CHANNELS, 7, 2);
	assert_int_equal(limits_used(&l, LIMIT_CHANNELS_PER_UID), 0);
	assert_int_equal(limits_used(&l, LIMIT_CHANNELS), 1);
}

static void a_refusal_names_its_limit(void **state)
{
	struct limits l = few();
	struct buf text = BUF_INIT;
	limits_put_reached(&l, LIMIT_CHANNELS_PER_UID, &text);
	assert_string_equal(buf_str(&text),
	    "limit channels_per_uid (4) is reached; limits { channels_per_uid = ... } in vigia.conf raises it");
	buf_release(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_table_is_whole),
	    cmocka_unit_test(what_is_not_said_is_as_the_table_says),
	    cmocka_unit_test(one_user_fills_his_row_and_others_go_on),
	    cmocka_unit_test(all_together_fill_the_daemons_row),
	    cmocka_unit_test(nobody_has_no_row_of_his_own),
	    cmocka_unit_test(who_has_nothing_takes_no_memory),
	    cmocka_unit_test(a_lower_limit_takes_nothing_away),
	    cmocka_unit_test(what_is_no_sum_has_a_peak),
	    cmocka_unit_test(without_memory_a_user_gets_nothing),
	    cmocka_unit_test(a_refusal_names_its_limit),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
