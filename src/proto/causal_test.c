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
#include "proto/causal.h"

/* Linked with --wrap: the allocation that is to fail, counted down; below 0: none. */
static int failing = -1;
void *__real_malloc(size_t n);
void *__wrap_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);

static bool fails(void)
{
	return failing >= 0 && failing-- == 0;
}

void *__wrap_malloc(size_t n)
{
	return fails() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails() ? NULL : __real_calloc(n, size);
}

enum { A, B, C, D };
#define SECOND CAUSAL_WAIT_NS

static struct channel_id id(unsigned number)
{
	return (struct channel_id){.host.bytes = {1, 2, 3}, .number = number};
}

static struct frame_cause cause(unsigned channel, uint64_t sequence)
{
	return (struct frame_cause){id(channel), sequence};
}

static void follow(struct causal *c, unsigned channel, uint64_t sequence)
{
	struct channel_id i = id(channel);
	assert_int_equal(causal_follow(c, &i, sequence), 0);
}

static void leave(struct causal *c, unsigned channel)
{
	struct channel_id i = id(channel);
	causal_leave(c, &i);
}

static void reached(struct causal *c, unsigned channel, uint64_t sequence)
{
	struct channel_id i = id(channel);
	causal_reached(c, &i, sequence);
}

/* Items are texts. One cause; sequence 0: none. */
static int offer(
    struct causal *c, uint64_t source, unsigned channel, uint64_t sequence, const char *item, int64_t now)
{
	struct frame_cause f = cause(channel, sequence);
	return causal_offer(c, source, &f, sequence != 0, (void *)item, now);
}

#define assert_next(c, now, item) assert_string_equal(next(c, now, false), item)
#define assert_next_early(c, now, item) assert_string_equal(next(c, now, true), item)

static const char *next(struct causal *c, int64_t now, bool early)
{
	bool was = !early;
	const char *item = causal_next(c, now, &was);
	assert_true(!item || was == early);
	return item ? item : "nothing";
}

static int dropped;

static void drop(void *item)
{
	dropped++;
}

/* --- what waits --- */

static void what_has_no_cause_is_shown(void **state)
{
	struct causal *c = causal_new();
	follow(c, A, 0);
	assert_int_equal(offer(c, 1, A, 0, "event", 0), 1);
	assert_next(c, 0, "nothing");
	assert_true(causal_wake_ns(c) == INT64_MAX);
	causal_free(c, drop);
}

static void an_effect_waits_for_its_cause(void **state)
{
	struct causal *c = causal_new();
	follow(c, A, 4);
	assert_int_equal(offer(c, 1, A, 4, "of old", 0), 1);
	assert_int_equal(offer(c, 1, A, 6, "effect", 0), 0);
	assert_next(c, 0, "nothing");
	reached(c, A, 5);
	assert_next(c, 0, "nothing");
	reached(c, A, 6);
	assert_true(causal_wake_ns(c) == INT64_MIN);
	assert_next(c, 0, "effect");
	assert_next(c, 0, "nothing");
	assert_int_equal(causal_early(c), 0);
	causal_free(c, drop);
}

static void it_waits_for_each_of_several(void **state)
{
	struct frame_cause causes[] = {cause(A, 1), cause(B, 2), cause(C, 3)};
	struct causal *c = causal_new();
	for (unsigned i = A; i <= C; i++)
		follow(c, i, 0);
	assert_false(causal_ready(c, 1, causes, 3));
	assert_int_equal(causal_offer(c, 1, causes, 3, (void *)"effect", 0), 0);
	reached(c, C, 3);
	assert_next(c, 0, "nothing");
	reached(c, A, 9);
	assert_next(c, 0, "nothing");
	reached(c, B, 2);
	assert_next(c, 0, "effect");
	assert_true(causal_ready(c, 1, causes, 3));
	causal_free(c, drop);
}

static void a_channel_that_is_not_followed_is_not_waited_for(void **state)
{
	struct causal *c = causal_new();
	follow(c, A, 0);
	assert_int_equal(offer(c, 1, B, 100, "event", 0), 1);
	causal_free(c, drop);
}

static void what_one_source_offers_stays_in_its_order(void **state)
{
	struct causal *c = causal_new();
	follow(c, A, 0);
	assert_int_equal(offer(c, 1, A, 1, "first", 0), 0);
	assert_int_equal(offer(c, 1, A, 0, "second", 0), 0);
	assert_int_equal(offer(c, 2, A, 0, "of another", 0), 1);
	reached(c, A, 1);
	assert_int_equal(offer(c, 1, A, 0, "third", 0), 0);
	assert_next(c, 0, "first");
	assert_next(c, 0, "second");
	assert_next(c, 0, "third");
	assert_int_equal(offer(c, 1, A, 0, "fourth", 0), 1);
	causal_free(c, drop);
}

static void those_behind_wait_for_their_own_causes_too(void **state)
{
	struct causal *c = causal_new();
	follow(c, A, 0);
	assert_int_equal(offer(c, 1, A, 1, "first", 0), 0);
	assert_int_equal(offer(c, 1, A, 2, "second", 0), 0);
	reached(c, A, 1);
	assert_next(c, 0, "first");
	assert_next(c, 0, "nothing");
	reached(c, A, 2);
	assert_next(c, 0, "second");
	causal_free(c, drop);
}

static void those_that_need_less_go_first(void **state)
{
	struct causal *c = causal_new();
	follow(c, A, 0);
	offer(c, 1, A, 9, "late", 0);
	offer(c, 2, A, 1, "soon", 0);
	offer(c, 3, A, 5, "between", 0);
	reached(c, A, 1);
	assert_next(c, 0, "soon");
	assert_next(c, 0, "nothing");
	reached(c, A, 5);
	assert_next(c, 0, "between");
	reached(c, A, 9);
	assert_next(c, 0, "late");
	causal_free(c, drop);
}

/* --- for how long --- */

static void a_cause_is_waited_for_a_second_and_not_longer(void **state)
{
	struct causal *c = causal_new();
	follow(c, A, 0);
	offer(c, 1, A, 1, "effect", 100);
	offer(c, 1, A, 0, "behind", 200);
	assert_true(causal_wake_ns(c) == 100 + SECOND);
	assert_next(c, 99 + SECOND, "nothing");
	assert_next_early(c, 100 + SECOND, "effect");
	assert_next(c, 100 + SECOND, "behind");
	assert_int_equal(causal_early(c), 1);
	assert_true(causal_wake_ns(c) == INT64_MAX);
	causal_free(c, drop);
}

static void time_behind_another_counts(void **state)
{
	struct causal *c = causal_new();
	follow(c, A, 0);
	offer(c, 1, A, 1, "first", 0);
	offer(c, 1, A, 2, "second", 500);
	assert_next_early(c, SECOND, "first");
	assert_true(causal_wake_ns(c) == 500 + SECOND);
	assert_next(c, 499 + SECOND, "nothing");
	assert_next_early(c, 500 + SECOND, "second");
	causal_free(c, drop);
}

static void a_cause_that_never_was_holds_up_only_its_source(void **state)
{
	struct causal *c = causal_new();
	follow(c, A, 0);
	offer(c, 1, A, UINT64_MAX, "invented", 0);
	assert_next_early(c, SECOND, "invented");
	assert_int_equal(offer(c, 2, A, 1, "honest", SECOND), 0);
	assert_next(c, SECOND, "nothing");
	reached(c, A, 1);
	assert_next(c, SECOND, "honest");
	causal_free(c, drop);
}

static void when_too_many_wait_the_oldest_does_not(void **state)
{
	struct causal *c = causal_new();
	follow(c, A, 0);
	for (int i = 0; i < CAUSAL_WAITING_MAX; i++)
		assert_int_equal(offer(c, i % 7, A, 1, i ? "younger" : "oldest", i), 0);
	assert_next(c, CAUSAL_WAITING_MAX, "nothing");
	offer(c, 8, A, 1, "youngest", CAUSAL_WAITING_MAX);
	assert_true(causal_wake_ns(c) == INT64_MIN);
	assert_next_early(c, CAUSAL_WAITING_MAX, "oldest");
	assert_next(c, CAUSAL_WAITING_MAX, "nothing");
	dropped = 0;
	causal_free(c, drop);
	assert_int_equal(dropped, CAUSAL_WAITING_MAX);
}

static void nothing_waits_for_a_channel_that_was_left(void **state)
{
	struct causal *c = causal_new();
	follow(c, A, 0);
	follow(c, B, 0);
	struct frame_cause both[] = {cause(A, 1), cause(B, 1)};
	causal_offer(c, 1, both, 2, (void *)"of both", 0);
	offer(c, 2, A, 1, "effect", 0);
	leave(c, A);
	assert_next(c, 0, "effect");
	assert_next(c, 0, "nothing");
	leave(c, B);
	leave(c, B);
	assert_next(c, 0, "of both");
	causal_free(c, drop);
}

/* --- positions and causes --- */

static void a_position_moves_forward_only(void **state)
{
	struct channel_id a = id(A), b = id(B);
	uint64_t at = 77;
	struct causal *c = causal_new();
	assert_false(causal_position(c, &a, &at));
	reached(c, A, 5);
	follow(c, A, 3);
	follow(c, A, 2);
	assert_true(causal_position(c, &a, &at));
	assert_int_equal(at, 3);
	reached(c, A, 9);
	reached(c, A, 8);
	assert_true(causal_position(c, &a, &at));
	assert_int_equal(at, 9);
	offer(c, 1, A, 12, "effect", 0);
	follow(c, A, 12);
	assert_next(c, 0, "effect");
	leave(c, A);
	assert_false(causal_position(c, &a, &at));
	assert_false(causal_position(c, &b, &at));
	assert_int_equal(at, 9);
	causal_free(c, drop);
}

/* The causes as text: "A3 B1". */
static const char *causes(const struct causal *c, size_t max)
{
	static char text[400];
	struct frame_cause f[40];
	size_t n = causal_causes(c, f, max), at = 0;
	text[0] = '\0';
	for (size_t i = 0; i < n; i++)
		at += (size_t)snprintf(text + at, sizeof text - at, "%s%c%u", i ? " " : "",
		    (char)('A' + f[i].channel.number), (unsigned)f[i].sequence);
	return text;
}

static void what_moved_last_is_the_first_cause(void **state)
{
	struct causal *c = causal_new();
	follow(c, A, 0);
	assert_string_equal(causes(c, 9), "");
	follow(c, B, 7);
	reached(c, A, 2);
	assert_string_equal(causes(c, 9), "A2 B7");
	reached(c, B, 8);
	assert_string_equal(causes(c, 9), "B8 A2");
	assert_string_equal(causes(c, 1), "B8");
	assert_string_equal(causes(c, 0), "");
	causal_free(c, drop);
}

static void what_causes_had_as_causes_came_before_too(void **state)
{
	struct frame_cause of_b[] = {cause(A, 5), cause(C, 3)};
	struct causal *c = causal_new();
	follow(c, B, 0);
	causal_heard(c, of_b, 2);
	reached(c, B, 1);
	assert_string_equal(causes(c, 9), "B1 A5 C3");
	follow(c, A, 2);
	assert_int_equal(offer(c, 1, A, 4, "effect", 0), 0);
	assert_string_equal(causes(c, 9), "B1 A5 C3");
	reached(c, A, 6);
	assert_string_equal(causes(c, 9), "A6 B1 C3");
	causal_free(c, drop);
}

static void what_was_left_stays_a_cause(void **state)
{
	struct causal *c = causal_new();
	follow(c, A, 3);
	leave(c, A);
	assert_string_equal(causes(c, 9), "A3");
	follow(c, A, 1);
	assert_int_equal(offer(c, 1, A, 2, "effect", 0), 0);
	assert_string_equal(causes(c, 9), "A3");
	causal_free(c, drop);
}

static void of_what_is_not_followed_the_oldest_is_forgotten(void **state)
{
	struct causal *c = causal_new();
	follow(c, A, 1);
	for (unsigned i = 1; i <= 20; i++) {
		struct frame_cause f = cause(i, 100 + i);
		causal_heard(c, &f, 1);
	}
	assert_string_equal(
	    causes(c, 40), "U120 T119 S118 R117 Q116 P115 O114 N113 M112 L111 K110 J109 I108 H107 G106 A1");
	leave(c, A);
	assert_string_equal(causes(c, 2), "U120 T119");
	assert_null(strstr(causes(c, 40), "A1"));
	causal_free(c, drop);
}

/* --- against a list that does the same the long way --- */

enum { CHANNELS = 5, SOURCES = 12, ITEMS = 20000 };

struct item {
	bool waits;
	uint64_t source;
	size_t n;
	struct frame_cause causes[4];
	int64_t until_ns;
};

static struct item items[ITEMS];
static size_t items_n;
static struct {
	bool followed;
	uint64_t at;
} now_at[CHANNELS];

static bool cause_stands_out(const struct frame_cause *f)
{
	return now_at[f->channel.number].followed && now_at[f->channel.number].at < f->sequence;
}

static bool stands_out(const struct item *i)
{
	for (size_t k = 0; k < i->n; k++)
		if (cause_stands_out(&i->causes[k]))
			return true;
	return false;
}

static bool is_first(const struct item *i)
{
	for (const struct item *before = items; before < i; before++)
		if (before->waits && before->source == i->source)
			return false;
	return true;
}

static void offer_some(struct causal *c, int64_t now)
{
	struct item *i = &items[items_n++];
	*i = (struct item){.source = dice_below(SOURCES), .n = dice_below(4), .until_ns = now + SECOND};
	for (size_t k = 0; k < i->n; k++) {
		unsigned channel = (unsigned)dice_below(CHANNELS);
		i->causes[k] = cause(channel, now_at[channel].at + dice_below(4));
	}
	bool at_once = is_first(i) && !stands_out(i);
	assert_int_equal(causal_ready(c, i->source, i->causes, i->n), at_once);
	assert_int_equal(causal_offer(c, i->source, i->causes, i->n, i, now), at_once);
	i->waits = !at_once;
	for (size_t k = 0; k < i->n;) /* what is followed only later is not waited for */
		if (cause_stands_out(&i->causes[k]))
			k++;
		else
			i->causes[k] = i->causes[--i->n];
}

static void take_all(struct causal *c, int64_t now)
{
	bool early;
	for (struct item *i; (i = causal_next(c, now, &early));) {
		assert_true(i->waits && is_first(i));
		assert_int_equal(early, stands_out(i));
		assert_true(!early || now >= i->until_ns);
		i->waits = false;
	}
	for (struct item *i = items; i < items + items_n; i++)
		assert_false(i->waits && (now >= i->until_ns || (is_first(i) && !stands_out(i))));
}

static void move_some(struct causal *c)
{
	unsigned channel = (unsigned)dice_below(CHANNELS);
	now_at[channel].at += dice_below(4);
	if (dice_below(8)) {
		if (now_at[channel].followed)
			reached(c, channel, now_at[channel].at);
	} else if (now_at[channel].followed) {
		leave(c, channel);
		now_at[channel].followed = false;
	} else {
		follow(c, channel, now_at[channel].at);
		now_at[channel].followed = true;
	}
}

static void it_does_what_a_plain_list_does(void **state)
{
	struct causal *c = causal_new();
	int64_t now = 0;
	dice_begin();
	memset(now_at, 0, sizeof now_at);
	items_n = 0;
	for (int step = 0; step < 5000; step++) {
		now += (int64_t)dice_below(SECOND / 10);
		if (dice_below(2))
			offer_some(c, now);
		else
			move_some(c);
		take_all(c, now);
	}
	assert_true(causal_early(c) > 0);
	causal_free(c, drop);
}

/* --- without memory --- */

static void without_memory_an_offer_is_refused_and_what_waited_still_does(void **state)
{
	for (int at = 0;; at++) {
		struct causal *c = causal_new();
		struct channel_id a = id(A), b = id(B);
		struct frame_cause f = cause(B, 3);
		follow(c, A, 0);
		assert_int_equal(offer(c, 1, A, 1, "first", 0), 0);
		failing = at;
		int followed = causal_follow(c, &b, 0);
		causal_heard(c, &f, 1);
		int offered = offer(c, 2, A, 1, "second", 0);
		int behind = offer(c, 1, A, 0, "behind", 0);
		bool all = failing >= 0;
		failing = -1;
		assert_true(followed == 0 || followed == -ENOMEM);
		assert_true(offered == 0 || offered == -ENOMEM);
		assert_true(behind == 0 || behind == -ENOMEM);
		causal_reached(c, &a, 1);
		assert_next(c, 0, "first");
		assert_next(c, 0, offered ? behind ? "nothing" : "behind" : "second");
		causal_free(c, drop);
		if (all)
			break;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_has_no_cause_is_shown),
	    cmocka_unit_test(an_effect_waits_for_its_cause),
	    cmocka_unit_test(it_waits_for_each_of_several),
	    cmocka_unit_test(a_channel_that_is_not_followed_is_not_waited_for),
	    cmocka_unit_test(what_one_source_offers_stays_in_its_order),
	    cmocka_unit_test(those_behind_wait_for_their_own_causes_too),
	    cmocka_unit_test(those_that_need_less_go_first),
	    cmocka_unit_test(a_cause_is_waited_for_a_second_and_not_longer),
	    cmocka_unit_test(time_behind_another_counts),
	    cmocka_unit_test(a_cause_that_never_was_holds_up_only_its_source),
	    cmocka_unit_test(when_too_many_wait_the_oldest_does_not),
	    cmocka_unit_test(nothing_waits_for_a_channel_that_was_left),
	    cmocka_unit_test(a_position_moves_forward_only),
	    cmocka_unit_test(what_moved_last_is_the_first_cause),
	    cmocka_unit_test(what_causes_had_as_causes_came_before_too),
	    cmocka_unit_test(what_was_left_stays_a_cause),
	    cmocka_unit_test(of_what_is_not_followed_the_oldest_is_forgotten),
	    cmocka_unit_test(it_does_what_a_plain_list_does),
	    cmocka_unit_test(without_memory_an_offer_is_refused_and_what_waited_still_does),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
