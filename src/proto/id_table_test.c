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
#include "proto/id_table.h"

/* Linked with --wrap=calloc: no memory when a test says so. */
static bool no_memory;
void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);

void *__wrap_calloc(size_t n, size_t size)
{
	return no_memory ? NULL : __real_calloc(n, size);
}

struct thing {
	struct channel_id id;
	bool in;
};

static void an_empty_one_has_nothing_and_holds_no_memory(void **state)
{
	struct thing a = {.id.number = 1};
	struct id_table t = {0};
	assert_null(id_table_find(&t, &a.id));
	assert_int_equal(id_table_add(&t, &a), 0);
	id_table_remove(&t, &a);
	assert_null(t.slots);
	assert_null(id_table_find(&t, &a.id));
}

static void a_thing_is_found_by_the_whole_id(void **state)
{
	struct thing a = {.id = {.host.bytes = {1}, .number = 7}},
		     b = {.id = {.host.bytes = {2}, .number = 7}};
	struct channel_id other = {.host.bytes = {1}, .number = 8};
	struct id_table t = {0};
	id_table_add(&t, &a);
	id_table_add(&t, &b);
	assert_ptr_equal(id_table_find(&t, &a.id), &a);
	assert_ptr_equal(id_table_find(&t, &b.id), &b);
	assert_null(id_table_find(&t, &other));
	id_table_release(&t);
}

static void without_memory_nothing_changes(void **state)
{
	struct thing things[5] = {
	    {{.number = 1}}, {{.number = 2}}, {{.number = 3}}, {{.number = 4}}, {{.number = 5}}};
	struct id_table t = {0};
	no_memory = true;
	assert_int_equal(id_table_add(&t, &things[0]), -ENOMEM);
	no_memory = false;
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(id_table_add(&t, &things[i]), 0);
	no_memory = true;
	assert_int_equal(id_table_add(&t, &things[4]), -ENOMEM);
	no_memory = false;
	for (size_t i = 0; i < 5; i++)
		assert_ptr_equal(id_table_find(&t, &things[i].id), i < 4 ? &things[i] : NULL);
	id_table_release(&t);
}

enum { THINGS = 200 };

static size_t count(const struct id_table *t)
{
	size_t n = 0;
	for (size_t i = 0; i < t->size; i++)
		n += t->slots[i] != NULL;
	return n;
}

static void it_is_what_a_plain_list_is(void **state)
{
	static struct thing things[THINGS];
	struct id_table t = {0};
	size_t in = 0;
	dice_begin();
	for (size_t i = 0; i < THINGS; i++)
		things[i] = (struct thing){.id = {.host.bytes = {(uint8_t)dice_below(3)}, .number = i}};
	for (int step = 0; step < 20000; step++) {
		struct thing *one = &things[dice_below(step / 100 % THINGS + 1)];
		if (one->in)
			id_table_remove(&t, one);
		else
			assert_int_equal(id_table_add(&t, one), 0);
		in += one->in ? -1 : 1;
		one->in = !one->in;
		for (size_t i = 0; step % 50 == 0 && i < THINGS; i++)
			assert_ptr_equal(id_table_find(&t, &things[i].id), things[i].in ? &things[i] : NULL);
		assert_int_equal(t.n, in);
		assert_int_equal(count(&t), in);
	}
	id_table_release(&t);
}

static void going_through_all_may_remove(void **state)
{
	static struct thing things[THINGS];
	struct id_table t = {0};
	for (size_t i = 0; i < THINGS; i++) {
		things[i] = (struct thing){.id.number = i, .in = i % 3 != 0};
		id_table_add(&t, &things[i]);
	}
	for (size_t i = 0; i < t.size;) {
		struct thing *one = t.slots[i];
		if (one && one->in)
			id_table_remove(&t, one);
		else
			i++;
	}
	assert_int_equal(t.n, (THINGS + 2) / 3);
	id_table_release(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(an_empty_one_has_nothing_and_holds_no_memory),
	    cmocka_unit_test(a_thing_is_found_by_the_whole_id),
	    cmocka_unit_test(without_memory_nothing_changes),
	    cmocka_unit_test(it_is_what_a_plain_list_is),
	    cmocka_unit_test(going_through_all_may_remove),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
