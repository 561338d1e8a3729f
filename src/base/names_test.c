/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/dice_test.h"
#include "base/names.h"

struct thing {
	const char *name;
	int number;
};

static void an_empty_set_has_nothing(void **state)
{
	struct names s = {0};
	assert_null(names_find(&s, "a"));
	assert_null(names_after(&s, NULL));
	assert_null(names_after(&s, "a"));
	names_remove(&s, "a");
	names_release(&s);
}

static void things_stand_in_order_of_their_names(void **state)
{
	struct thing b = {"b"}, a = {"a"}, ab = {"ab"}, upper = {"B"};
	struct names s = {0};
	names_add(&s, &b);
	names_add(&s, &a);
	names_add(&s, &upper);
	names_add(&s, &ab);
	assert_int_equal(s.n, 4);
	assert_ptr_equal(s.things[0], &upper);
	assert_ptr_equal(s.things[1], &a);
	assert_ptr_equal(s.things[2], &ab);
	assert_ptr_equal(s.things[3], &b);
	names_release(&s);
}

static void a_name_stands_once(void **state)
{
	struct thing first = {"a", 1}, second = {"a", 2};
	struct names s = {0};
	assert_int_equal(names_add(&s, &first), 0);
	assert_int_equal(names_add(&s, &second), -EEXIST);
	assert_int_equal(s.n, 1);
	assert_ptr_equal(names_find(&s, "a"), &first);
	names_release(&s);
}

static void the_next_after_a_name_holds_when_that_one_has_gone(void **state)
{
	struct thing a = {"a"}, b = {"b"}, c = {"c"};
	struct names s = {0};
	names_add(&s, &a);
	names_add(&s, &b);
	names_add(&s, &c);
	assert_ptr_equal(names_after(&s, NULL), &a);
	names_remove(&s, "b");
	assert_ptr_equal(names_after(&s, "a"), &c);
	assert_ptr_equal(names_after(&s, "b"), &c);
	assert_null(names_after(&s, "c"));
	assert_ptr_equal(names_after(&s, ""), &a);
	names_release(&s);
}

enum { THINGS = 300 };

static void check(const struct names *s, struct thing *things, const bool *in)
{
	size_t n = 0;
	for (size_t i = 0; i < THINGS; i++) {
		assert_ptr_equal(names_find(s, things[i].name), in[i] ? &things[i] : NULL);
		if (in[i])
			assert_ptr_equal(s->things[n++], &things[i]);
	}
	assert_int_equal(s->n, n);
}

/* The names "000" to "299" are in order as they are in the list. */
static void it_is_what_a_plain_list_is(void **state)
{
	static char names[THINGS][4];
	static struct thing things[THINGS];
	bool in[THINGS] = {false};
	struct names s = {0};
	dice_begin();
	for (int i = 0; i < THINGS; i++) {
		snprintf(names[i], sizeof names[i], "%03u", (unsigned)i % 1000);
		things[i].name = names[i];
	}
	for (int step = 0; step < 3000; step++) {
		size_t i = dice_below(THINGS);
		if (dice_below(2)) {
			assert_int_equal(names_add(&s, &things[i]), in[i] ? -EEXIST : 0);
			in[i] = true;
		} else {
			names_remove(&s, names[i]);
			in[i] = false;
		}
		size_t next = i + 1;
		while (next < THINGS && !in[next])
			next++;
		assert_ptr_equal(names_after(&s, names[i]), next < THINGS ? &things[next] : NULL);
		if (step % 100 == 0)
			check(&s, things, in);
	}
	names_release(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(an_empty_set_has_nothing),
	    cmocka_unit_test(things_stand_in_order_of_their_names),
	    cmocka_unit_test(a_name_stands_once),
	    cmocka_unit_test(the_next_after_a_name_holds_when_that_one_has_gone),
	    cmocka_unit_test(it_is_what_a_plain_list_is),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
