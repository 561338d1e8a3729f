/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/dice_test.h"
#include "platform/host.h"

/* --- what two hosts agree on --- */

static void the_first_hello_is_no_news(void **state)
{
	struct pair p = {0};
	assert_int_equal(pair_hear(&p, 7, 0), PAIR_AGREED);
	pair_use(&p);
	assert_int_equal(pair_hear(&p, 7, 0), PAIR_AGREED);
}

static void another_life_is_a_break(void **state)
{
	struct pair p = {0};
	pair_hear(&p, 7, 0);
	pair_use(&p);
	assert_int_equal(pair_hear(&p, 8, 0), PAIR_BROKEN);
	pair_use(&p);
	assert_int_equal(pair_hear(&p, 8, 0), PAIR_AGREED);
}

static void a_break_that_was_told_is_not_told_again(void **state)
{
	struct pair p = {0};
	pair_hear(&p, 7, 0);
	pair_use(&p);
	pair_break(&p);
	assert_int_equal(p.era, 1);
	pair_break(&p); /* nothing was said since */
	assert_int_equal(p.era, 1);
	assert_int_equal(pair_hear(&p, 8, 0), PAIR_AGREED);
	assert_int_equal(p.era, 1);
}

static void who_noticed_first_tells_the_other_by_the_era(void **state)
{
	struct pair a = {0}, b = {0};
	pair_hear(&a, 2, 0);
	pair_hear(&b, 1, 0);
	pair_use(&a);
	pair_use(&b);
	pair_break(&a);
	assert_int_equal(pair_hear(&a, 2, b.era), PAIR_BEHIND);
	assert_int_equal(pair_hear(&b, 1, a.era), PAIR_BROKEN);
	assert_int_equal(pair_hear(&a, 2, b.era), PAIR_AGREED);
}

static void who_noticed_both_agree_at_once(void **state)
{
	struct pair a = {0}, b = {0};
	pair_hear(&a, 2, 0);
	pair_hear(&b, 1, 0);
	pair_use(&a);
	pair_use(&b);
	pair_break(&a);
	pair_break(&b);
	assert_int_equal(pair_hear(&a, 2, b.era), PAIR_AGREED);
	assert_int_equal(pair_hear(&b, 1, a.era), PAIR_AGREED);
}

static void a_life_that_was_over_means_two_hosts(void **state)
{
	struct pair p = {0};
	pair_hear(&p, 7, 0);
	pair_use(&p);
	pair_hear(&p, 8, 5);
	struct pair before = p;
	assert_int_equal(pair_hear(&p, 7, 9), PAIR_TWO);
	assert_memory_equal(&p, &before, sizeof p);
	pair_use(&p);
	assert_true(pair_replace(&p, 7, 0));
	assert_int_equal(pair_hear(&p, 8, 0), PAIR_TWO);
	assert_int_equal(p.era, 5);
}

/* --- the table --- */

static void hosts_are_found_by_their_ids(void **state)
{
	enum { N = 1000 };
	struct hosts t = {0};
	struct host *all = calloc(N, sizeof *all);
	size_t walked = 0;
	for (uint64_t i = 0; i < N; i++) {
		struct host_id id = {{0}};
		memcpy(id.bytes, &i, sizeof i);
		host_init(&all[i], &id);
		assert_null(hosts_find(&t, &id));
		assert_int_equal(hosts_add(&t, &all[i]), 0);
	}
	for (size_t i = 0; i < N; i += 2)
		hosts_remove(&t, &all[i]);
	for (size_t i = 0; i < N; i++)
		assert_ptr_equal(hosts_find(&t, &all[i].id), i % 2 ? &all[i] : NULL);
	for (struct host *h = hosts_next(&t, NULL); h; h = hosts_next(&t, h))
		walked++;
	assert_int_equal(walked, N / 2);
	hosts_release(&t);
	free(all);
}

/* --- what waits --- */

static void what_waits_comes_out_as_it_went_in(void **state)
{
	struct backlog b = {{0}};
	unsigned in = 0, out = 0;
	for (int i = 0; i < 20000; i++) {
		for (size_t n = dice_below(9); n; n--, in++)
			assert_int_equal(backlog_put(&b, &in, sizeof in), 0);
		for (size_t n = dice_below(9); n && backlog_size(&b); n--, out++) {
			assert_memory_equal(backlog_data(&b), &out, sizeof out);
			backlog_drop(&b, sizeof out);
		}
		assert_int_equal(backlog_size(&b), (in - out) * sizeof in);
	}
	backlog_release(&b);
}

static void who_waits_for_room_is_told_when_half_is_gone(void **state)
{
	struct host h = {0};
	assert_int_equal(host_room(&h, 0, 1000), 1000);
	assert_false(host_roomy(&h, 0)); /* it had all there is */
	assert_int_equal(host_room(&h, 900, 1000), 100);
	assert_false(host_roomy(&h, 451));
	assert_true(host_roomy(&h, 450));
	assert_false(host_roomy(&h, 450));
}

static void a_frame_larger_than_the_room_goes_alone(void **state)
{
	struct host h = {0};
	assert_true(host_takes(&h, 0, 1000, 5000));
	assert_false(host_takes(&h, 1, 1000, 5000));
	assert_true(host_takes(&h, 900, 1000, 100));
	assert_false(host_takes(&h, 900, 1000, 101));
	assert_false(host_takes(&h, 5000, 1000, 1));
	assert_true(host_roomy(&h, 2500));
}

#define T(test) cmocka_unit_test(test)

int main(void)
{
	dice_begin();
	const struct CMUnitTest tests[] = {
	    T(the_first_hello_is_no_news),
	    T(another_life_is_a_break),
	    T(a_break_that_was_told_is_not_told_again),
	    T(who_noticed_first_tells_the_other_by_the_era),
	    T(who_noticed_both_agree_at_once),
	    T(a_life_that_was_over_means_two_hosts),
	    T(hosts_are_found_by_their_ids),
	    T(what_waits_comes_out_as_it_went_in),
	    T(who_waits_for_room_is_told_when_half_is_gone),
	    T(a_frame_larger_than_the_room_goes_alone),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
