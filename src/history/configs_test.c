/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "history/configs.h"
#include "history/play.h"

static struct configs configs;

static int set_up(void **state)
{
	configs = (struct configs){0};
	configs_init(&configs);
	return 0;
}

static int tear_down(void **state)
{
	configs_release(&configs);
	return 0;
}

/* Configs of one metric each, all different. */
static struct stored_config *add(int round)
{
	return configs_add(&configs, 0, play_config_of(1, round));
}

static size_t gone_n(void)
{
	struct buf gone = BUF_INIT;
	configs_take_gone(&configs, &gone);
	size_t n = gone.len / sizeof(int64_t);
	buf_release(&gone);
	return n;
}

static void configs_of_one_content_are_one(void **state)
{
	struct stored_config *a = add(1);
	struct config *same = play_config_of(1, 1), *other = play_config_of(1, 2);
	assert_ptr_equal(configs_find(&configs, same), a);
	assert_ptr_equal(configs_find_id(&configs, a->id), a);
	assert_null(configs_find(&configs, other));
	assert_int_equal(a->refs, 3);
	config_unref(same);
	config_unref(other);
}

static void equal_digests_of_other_sizes_are_not_mixed_up(void **state)
{
	struct stored_config *a = add(1);
	struct config *forged = play_config_of(2, 1);
	forged->digest = a->config->digest;
	assert_null(configs_find(&configs, forged));
	config_unref(forged);
}

static void what_is_referred_to_stays(void **state)
{
	struct stored_config *held = add(0);
	for (int i = 1; i < 1000; i++)
		configs_unref(&configs, add(i));
	assert_ptr_equal(configs_find_id(&configs, held->id), held);
	assert_int_equal(gone_n(), 999 - IDLE_CONFIGS_MAX);
}

static void who_goes_back_soon_finds_it_again(void **state)
{
	struct stored_config *a = add(0), *b = add(1);
	int64_t id = a->id;
	for (int i = 0; i < 1000; i++) {
		configs_unref(&configs, i % 2 ? b : a);
		struct config *again = play_config_of(1, i % 2);
		assert_ptr_equal(configs_find(&configs, again), i % 2 ? b : a);
		config_unref(again);
	}
	assert_int_equal(a->id, id);
	assert_int_equal(gone_n(), 0);
}

static void the_longest_idle_goes_first_and_its_number_is_told_once(void **state)
{
	struct stored_config *first = add(0);
	int64_t id = first->id;
	configs_unref(&configs, first);
	for (int i = 1; i <= IDLE_CONFIGS_MAX; i++)
		configs_unref(&configs, add(i));
	struct buf gone = BUF_INIT;
	configs_take_gone(&configs, &gone);
	assert_int_equal(gone.len, sizeof id);
	assert_memory_equal(gone.data, &id, sizeof id);
	buf_release(&gone);
	assert_false(configs_has(&configs, id));
	assert_int_equal(gone_n(), 0);
	assert_int_not_equal(add(0)->id, id);
}

static void large_ones_are_not_kept_idle(void **state)
{
	configs_unref(&configs, configs_add(&configs, 0, play_config_of(IDLE_METRICS_MAX + 1, 0)));
	assert_int_equal(gone_n(), 1);
	assert_int_equal(configs.idle_metrics, 0);
}

static void numbers_are_not_given_twice(void **state)
{
	configs_add(&configs, 5, play_config_of(1, 1));
	configs_seen(&configs, 5);
	configs_seen(&configs, 3);
	assert_int_equal(add(2)->id, 6);
	assert_int_equal(add(3)->id, 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(configs_of_one_content_are_one, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(equal_digests_of_other_sizes_are_not_mixed_up, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(what_is_referred_to_stays, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(who_goes_back_soon_finds_it_again, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(
		the_longest_idle_goes_first_and_its_number_is_told_once, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(large_ones_are_not_kept_idle, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(numbers_are_not_given_twice, set_up, tear_down),
	};
	return cmocka_run_group_tests_name("configs", tests, NULL, NULL);
}
