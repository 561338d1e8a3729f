/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/dice_test.h"
#include "proto/row.h"
#include "services/health/recent.h"

enum { METRICS = 5, CONFIGS = 3, PERIODS = 400, ROWS_MAX = 64, BYTES_MAX = 128 * 1024 };

/* --- what was measured, as a plain list --- */

static struct config *configs[CONFIGS];
static struct measured {
	struct config *config;
	struct history_position at;
	struct value values[METRICS];
} list[PERIODS];
static size_t list_n;
static struct recent *recent;

static int set_up(void **state)
{
	for (size_t i = 0; i < CONFIGS; i++) {
		configs[i] = config_new(METRICS);
		configs[i]->metrics[METRICS - 1].type = METRIC_TEXT;
	}
	list_n = 0;
	recent = recent_new((struct history_position){1, 0});
	return 0;
}

static int tear_down(void **state)
{
	recent_free(recent);
	for (size_t i = 0; i < list_n; i++)
		values_clear(list[i].values, METRICS);
	for (size_t i = 0; i < CONFIGS; i++) {
		assert_int_equal(configs[i]->refs, 1);
		config_unref(configs[i]);
	}
	return 0;
}

static void measure(struct measured *m, const struct measured *before)
{
	for (size_t i = 0; i < METRICS; i++)
		if (before && dice_below(2))
			value_copy(&m->values[i], &before->values[i]);
		else if (dice_below(5) && i < METRICS - 1)
			m->values[i] = (struct value){.kind = VALUE_NUMBER, .number = dice_number()};
		else if (dice_below(5) && i == METRICS - 1)
			m->values[i] = (struct value){.kind = VALUE_TEXT, .text = strdup("a \"text\"")};
}

/* The next period; full: of its own accord or because the config is a new one. */
static void put_next(struct config *config, struct history_position at, bool full)
{
	struct measured *m = &list[list_n], *before = list_n ? m - 1 : NULL;
	struct buf row = BUF_INIT;
	full = full || !before || before->config != config;
	*m = (struct measured){.config = config, .at = at};
	measure(m, before);
	row_encode(&row, full ? NULL : before->values, m->values, METRICS);
	assert_int_equal(recent_put(recent, config, at, (int64_t)list_n, full, buf_str(&row), row.len, m->values), 0);
	list_n++;
	buf_release(&row);
}

static struct history_position next_at(void)
{
	struct history_position at = list_n ? list[list_n - 1].at : (struct history_position){1, 0};
	if (!dice_below(20))
		return (struct history_position){at.boot + 1, 1 + dice_below(5)};
	at.sequence++;
	return at;
}

/* --- who reads it --- */

struct reader {
	struct config *config;
	struct value values[METRICS];
	size_t at, n, stop_after; /* in the list */
	bool first_full;
	struct row row;
};

static int on_row(void *data, const struct recent_row *row)
{
	struct reader *r = data;
	const struct measured *m = &list[r->at];
	const char *why = "";
	size_t offset;
	if (!r->n)
		r->first_full = row->full;
	assert_ptr_equal(row->config, m->config);
	assert_true(row->at.boot == m->at.boot && row->at.sequence == m->at.sequence);
	assert_int_equal(row->time_ns, r->at);
	if (r->config != row->config) {
		assert_true(row->full);
		values_clear(r->values, METRICS);
		r->config = row->config;
	}
	if (row_decode(&r->row, row->text, row->len, row->config, r->values, row->full, &why, &offset))
		fail_msg("%s", why);
	row_apply(&r->row, r->values);
	for (size_t i = 0; i < METRICS; i++)
		assert_true(value_equal(&r->values[i], &m->values[i]));
	r->at++;
	return ++r->n == r->stop_after;
}

static void reader_release(struct reader *r)
{
	values_clear(r->values, METRICS);
	row_release(&r->row);
}

static size_t first_kept(void)
{
	struct history_position before = recent_before(recent);
	size_t i = 0;
	while (i < list_n && !position_after(list[i].at, before))
		i++;
	return i;
}

/* Reads what comes after list[from-1]; a plain list says what that is. */
static void check_from(size_t from, size_t stop_after)
{
	struct reader r = {.stop_after = stop_after};
	struct history_position after = from ? list[from - 1].at : (struct history_position){0};
	size_t first = first_kept();
	r.at = from > first ? from : first;
	size_t expected = list_n - r.at;
	int stopped = recent_read(recent, after, true, on_row, &r);
	if (stop_after && stop_after <= expected)
		assert_int_equal(stopped, 1);
	assert_int_equal(r.n, stop_after && stop_after < expected ? stop_after : expected);
	if (r.n)
		assert_true(r.first_full);
	/* Goes on where it stopped, with what it knows. */
	if (r.n && r.n < expected) {
		r.stop_after = 0;
		assert_int_equal(recent_read(recent, list[r.at - 1].at, false, on_row, &r), 0);
		assert_int_equal(r.at, list_n);
	}
	reader_release(&r);
}

static void nothing_is_read_from_an_empty_one(void **state)
{
	struct reader r = {0};
	assert_int_equal(recent_read(recent, (struct history_position){0}, true, on_row, &r), 0);
	assert_int_equal(r.n, 0);
	assert_int_equal(recent_last(recent).boot, 0);
	assert_int_equal(recent_before(recent).boot, 1);
}

static void it_is_bounded_in_rows_and_the_first_is_made_full(void **state)
{
	for (int i = 0; i < 200; i++)
		put_next(configs[0], (struct history_position){1, (uint64_t)i + 1}, false);
	assert_int_equal(recent_before(recent).sequence, 200 - ROWS_MAX);
	assert_int_equal(recent_last(recent).sequence, 200);
	check_from(0, 0);
	check_from(150, 0);
	check_from(199, 0);
	check_from(200, 0);
}

static int count_bytes(void *data, const struct recent_row *row)
{
	*(size_t *)data += row->len;
	return 0;
}

static void it_is_bounded_in_bytes(void **state)
{
	size_t bytes = 0;
	struct value v[METRICS] = {0};
	char row[1100];
	for (uint64_t i = 1; i <= 1000; i++) {
		int n = snprintf(row, sizeof row, "%*s!", 4, "");
		struct buf long_row = BUF_INIT;
		for (int k = 0; k < 5000; k++)
			buf_put(&long_row, row, (size_t)(k ? 1 : n)); /* blanks say nothing, and are kept */
		assert_int_equal(recent_put(recent, configs[0], (struct history_position){1, i}, 0, true,
		    buf_str(&long_row), long_row.len, v), 0);
		buf_release(&long_row);
	}
	assert_int_equal(recent_read(recent, (struct history_position){0}, false, count_bytes, &bytes), 0);
	assert_true(bytes > 5000 && bytes <= BYTES_MAX);
}

/* A master that comes while monitors run: what was before is not here. */
static void it_may_begin_with_a_row_of_differences(void **state)
{
	struct measured *m = list;
	*m = (struct measured){.config = configs[0], .at = {1, 5}};
	m->values[0] = (struct value){.kind = VALUE_NUMBER, .number = 105};
	m->values[4] = (struct value){.kind = VALUE_TEXT, .text = strdup("unchanged")};
	assert_int_equal(recent_put(recent, configs[0], m->at, 0, false, "+5", 2, m->values), 0);
	list_n = 1;
	check_from(0, 0);
	for (int i = 0; i < 100; i++)
		put_next(configs[0], (struct history_position){1, (uint64_t)i + 6}, false);
	check_from(0, 0);
	check_from(60, 3);
}

static void it_is_what_a_plain_list_is(void **state)
{
	dice_begin();
	size_t config = 0;
	while (list_n < PERIODS) {
		if (!dice_below(25))
			config = dice_below(CONFIGS);
		put_next(configs[config], next_at(), !dice_below(10));
		assert_true(list_n - first_kept() <= ROWS_MAX);
		assert_true(list_n - first_kept() == (list_n < ROWS_MAX ? list_n : ROWS_MAX));
		check_from(dice_below(list_n + 1), dice_below(10));
	}
}

#define T(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    T(nothing_is_read_from_an_empty_one),
	    T(it_is_bounded_in_rows_and_the_first_is_made_full),
	    T(it_is_bounded_in_bytes),
	    T(it_may_begin_with_a_row_of_differences),
	    T(it_is_what_a_plain_list_is),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
