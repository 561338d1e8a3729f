/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>

#include "core/channel_fixture_test.h"

/* Channel C, into which A and B are chained. What comes of them says which: "a", "b". */
enum { A = 1, B, C, D };
enum { EMITTER = 1, OTHER = 2 };
#define SECOND CAUSAL_WAIT_NS

static void wake_nobody(struct channel_reader *r, void *data)
{
}

static struct channel_reader *reader(struct channel *c)
{
	struct channel_place place = {.mask = EVERYTHING, .after = FROM_NOW};
	struct channel_reader *r = channel_reader_new(c, &place, wake_nobody, NULL);
	assert_non_null(r);
	return r;
}

static int add(struct channel *c, unsigned from, unsigned via, bool whole, uint64_t sequence)
{
	return channel_upstream_add(c, &(struct channel_upstream){id_of(from), id_of(via), whole, sequence});
}

static void take_away(struct channel *c, unsigned from, unsigned via)
{
	struct channel_id f = id_of(from), v = id_of(via);
	channel_upstream_remove(c, &f, &v, 0, 0);
}

static bool has(const struct channel *c, unsigned from)
{
	struct channel_id f = id_of(from);
	return channel_has_upstream(c, &f);
}

/* sequence 0: no cause. */
static int put(
    struct channel *c, uint64_t source, const char *word, unsigned channel, uint64_t sequence, int64_t now)
{
	struct frame_event e = event_of(1, word);
	e.causes[0] = cause_of(channel, sequence);
	e.causes_n = sequence != 0;
	return channel_put(c, source, &e, 0, now);
}

/* Event number `at` of `from` comes through the chain. */
static int come_with(
    struct channel *c, unsigned from, uint64_t at, const char *word, unsigned channel, uint64_t sequence)
{
	struct channel_id f = id_of(from);
	struct frame_event e = event_of(1, word);
	e.sequence = at;
	e.causes[0] = cause_of(channel, sequence);
	e.causes_n = sequence != 0;
	return channel_put_chained(c, &f, &e, 0, 0);
}

static int come(struct channel *c, unsigned from, uint64_t at, const char *word)
{
	return come_with(c, from, at, word, 0, 0);
}

static void reached(struct channel *c, unsigned from, uint64_t sequence)
{
	struct channel_id f = id_of(from);
	channel_reached(c, &f, sequence, 0, 0);
}

static uint64_t position(const struct channel *c, unsigned from)
{
	struct channel_id f = id_of(from);
	uint64_t at = 12345;
	channel_upstream_position(c, &f, &at);
	return at;
}

struct place {
	struct channel *c;
	struct channel_reader *r;
};

static struct place place_of(unsigned number)
{
	struct channel *c = channel_of(number, CHANNEL_LOG);
	return (struct place){c, reader(c)};
}

static void leave(struct place *p)
{
	channel_reader_free(p->r);
	channel_free(p->c);
}

/* --- what comes through a chain --- */

static int say_causes(void *data, const struct frame *f)
{
	struct frame_event e;
	assert_int_equal(frame_get_event(f, &e), 0);
	for (size_t i = 0; i < e.causes_n; i++)
		say("%llu:%llu", e.causes[i].channel.number, e.causes[i].sequence, "", 0);
	return 0;
}

static const char *read_causes(struct channel_reader *r)
{
	struct buf b = BUF_INIT;
	channel_read(r, &b, NUMBER, SIZE_MAX);
	read_text[0] = '\0';
	cut(&b, say_causes, NULL);
	buf_release(&b);
	return read_text;
}

static void what_comes_through_a_chain_has_that_event_as_its_first_cause(void **state)
{
	struct place c = place_of(C);
	add(c.c, A, A, true, 0);
	assert_int_equal(come(c.c, A, 1, "a"), 1);
	assert_string_equal(read_causes(c.r), "1:1");
	assert_int_equal(come_with(c.c, A, 5, "a", D, 17), 1);
	assert_string_equal(read_causes(c.r), "1:5 4:17");
	assert_int_equal(come_with(c.c, A, 6, "a", A, 5), 1);
	assert_string_equal(read_causes(c.r), "1:6");
	leave(&c);
}

static void of_too_many_causes_the_last_goes(void **state)
{
	struct place c = place_of(C);
	struct channel_id a = id_of(A);
	struct frame_event e = {.sequence = 1, .causes_n = FRAME_CAUSES_MAX};
	for (unsigned i = 0; i < FRAME_CAUSES_MAX; i++)
		e.causes[i] = cause_of(10 + i, i + 1);
	add(c.c, A, A, true, 0);
	assert_int_equal(channel_put_chained(c.c, &a, &e, 0, 0), 1);
	assert_string_equal(read_causes(c.r),
	    "1:1 10:1 11:2 12:3 13:4 14:5 15:6 16:7 17:8 18:9 19:10 20:11 21:12 22:13 23:14");
	leave(&c);
}

static void only_a_chained_channel_may_bring_events_and_only_onwards(void **state)
{
	struct place c = place_of(C);
	assert_int_equal(come(c.c, A, 1, "a"), -ENOENT);
	add(c.c, A, A, true, 4);
	add(c.c, D, A, true, 4);
	assert_int_equal(come(c.c, A, 4, "a"), -EPROTO);
	assert_int_equal(come(c.c, A, 5, "a"), 1);
	assert_int_equal(come(c.c, A, 5, "a"), -EPROTO);
	assert_int_equal(come(c.c, D, 5, "d"), -ENOENT);
	assert_string_equal(read_all(c.r), "1a");
	leave(&c);
}

static void it_is_known_where_to_go_on(void **state)
{
	struct place c = place_of(C);
	assert_int_equal(position(c.c, A), 12345);
	add(c.c, A, A, true, 4);
	add(c.c, B, B, true, 0);
	assert_int_equal(position(c.c, A), 4);
	come(c.c, A, 6, "a");
	assert_int_equal(position(c.c, A), 6);
	assert_int_equal(come_with(c.c, A, 7, "a", B, 1), 0);
	assert_int_equal(position(c.c, A), 7);
	reached(c.c, A, 9);
	assert_int_equal(position(c.c, A), 9);
	take_away(c.c, A, A);
	assert_int_equal(position(c.c, A), 12345);
	leave(&c);
}

/* --- what waits --- */

static void an_effect_waits_for_its_cause_to_come_through_the_chain(void **state)
{
	struct place c = place_of(C);
	add(c.c, A, A, true, 0);
	assert_int_equal(put(c.c, EMITTER, "effect", A, 1, 0), 0);
	assert_int_equal(put(c.c, EMITTER, "behind", 0, 0, 0), 0);
	assert_int_equal(put(c.c, OTHER, "other", 0, 0, 0), 1);
	assert_string_equal(read_all(c.r), "1other");
	assert_int_equal(come(c.c, A, 1, "a"), 1);
	assert_string_equal(read_all(c.r), "2a 3effect 4behind");
	assert_int_equal(put(c.c, EMITTER, "later", A, 1, 0), 1);
	assert_int_equal(channel_early(c.c), 0);
	leave(&c);
}

static void what_was_before_the_chain_is_not_waited_for(void **state)
{
	struct place c = place_of(C);
	add(c.c, A, A, true, 7);
	assert_int_equal(put(c.c, EMITTER, "effect", A, 7, 0), 1);
	assert_int_equal(put(c.c, EMITTER, "effect", B, 99, 0), 1);
	leave(&c);
}

static void chains_wait_for_each_other(void **state)
{
	struct place c = place_of(C);
	add(c.c, A, A, true, 0);
	add(c.c, B, B, true, 0);
	assert_int_equal(come_with(c.c, B, 1, "b1", A, 2), 0);
	assert_int_equal(come(c.c, B, 2, "b2"), 0);
	assert_int_equal(come(c.c, A, 1, "a1"), 1);
	assert_string_equal(read_all(c.r), "1a1");
	assert_int_equal(come(c.c, A, 2, "a2"), 1);
	assert_string_equal(read_all(c.r), "2a2 3b1 4b2");
	leave(&c);
}

static void a_loss_or_a_note_of_progress_ends_the_waiting(void **state)
{
	struct place c = place_of(C);
	add(c.c, A, A, false, 0);
	put(c.c, EMITTER, "effect", A, 5, 0);
	reached(c.c, A, 4);
	assert_string_equal(read_all(c.r), "");
	reached(c.c, A, 5);
	assert_string_equal(read_all(c.r), "1effect");
	leave(&c);
}

static int lose(struct channel *c, unsigned from, uint64_t lost, uint64_t sequence)
{
	struct channel_id f = id_of(from);
	return channel_lost_chained(c, &f, lost, sequence, 0, 0);
}

static void a_loss_takes_as_many_places_and_is_told_to_all(void **state)
{
	struct place c = place_of(C);
	struct channel_place masked = {.mask = 4};
	struct channel_reader *other = channel_reader_new(c.c, &masked, wake_nobody, NULL);
	add(c.c, A, A, true, 0);
	come(c.c, A, 1, "a");
	assert_int_equal(lose(c.c, A, 3, 4), 1);
	come(c.c, A, 5, "a");
	assert_string_equal(read_all(c.r), "1a 3 lost before 5 5a");
	assert_string_equal(read_all(other), "3 lost before 5");
	assert_int_equal(position(c.c, A), 5);
	channel_reader_free(other);
	leave(&c);
}

static void who_begins_within_a_loss_is_told_the_rest(void **state)
{
	static const char *const seen[] = {"3 lost before 4 4a", "2 lost before 4 4a", "1 lost before 4 4a", "4a", ""};
	struct place c = place_of(C);
	add(c.c, A, A, true, 0);
	lose(c.c, A, 3, 3);
	come(c.c, A, 4, "a");
	for (uint64_t after = 0; after < 5; after++) {
		struct channel_place place = {.mask = EVERYTHING, .after = after};
		struct channel_reader *r = channel_reader_new(c.c, &place, wake_nobody, NULL);
		assert_string_equal(read_all(r), seen[after]);
		channel_reader_free(r);
	}
	leave(&c);
}

static void a_loss_keeps_its_place_behind_what_waits(void **state)
{
	struct place c = place_of(C);
	add(c.c, A, A, true, 0);
	add(c.c, B, B, true, 0);
	assert_int_equal(come_with(c.c, A, 1, "a", B, 1), 0);
	assert_int_equal(lose(c.c, A, 2, 3), 0);
	assert_int_equal(come(c.c, A, 4, "a"), 0);
	come(c.c, B, 1, "b");
	assert_string_equal(read_all(c.r), "1b 2a 2 lost before 5 5a");
	leave(&c);
}

static void more_than_there_was_can_not_be_lost(void **state)
{
	struct place c = place_of(C);
	add(c.c, A, A, true, 4);
	assert_int_equal(lose(c.c, B, 1, 9), -ENOENT);
	assert_int_equal(lose(c.c, A, 1, 4), -EPROTO);
	assert_int_equal(lose(c.c, A, 3, 6), -EPROTO);
	assert_int_equal(lose(c.c, A, 2, 6), 1);
	assert_int_equal(lose(c.c, A, UINT64_MAX - 6, UINT64_MAX), 1);
	assert_int_equal(put(c.c, EMITTER, "after", 0, 0, 0), 1);
	assert_true(channel_sequence(c.c) == UINT64_C(1) << 63);
	leave(&c);
}

static void progress_does_not_overtake_what_waits(void **state)
{
	struct place c = place_of(C);
	add(c.c, A, A, true, 0);
	add(c.c, B, B, true, 0);
	assert_int_equal(come_with(c.c, A, 3, "a", B, 1), 0);
	reached(c.c, A, 4);
	assert_int_equal(put(c.c, EMITTER, "effect", A, 3, 0), 0);
	assert_int_equal(put(c.c, OTHER, "of none", A, 4, 0), 0);
	assert_int_equal(come(c.c, B, 1, "b"), 1);
	assert_string_equal(read_all(c.r), "1b 2a 3effect 4of none");
	leave(&c);
}

static void a_cause_that_does_not_come_is_waited_for_a_second(void **state)
{
	struct place c = place_of(C);
	add(c.c, A, A, true, 0);
	assert_int_equal(put(c.c, EMITTER, "effect", A, 1, 1000), 0);
	assert_int_equal(put(c.c, EMITTER, "behind", 0, 0, 2000), 0);
	assert_true(channel_tick(c.c, 0, 3000) == 1000 + SECOND);
	assert_true(channel_tick(c.c, 0, 999 + SECOND) == 1000 + SECOND);
	assert_string_equal(read_all(c.r), "");
	assert_true(channel_tick(c.c, 0, 1000 + SECOND) == INT64_MAX);
	assert_string_equal(read_all(c.r), "1effect 2behind");
	assert_int_equal(channel_early(c.c), 1);
	leave(&c);
}

static void time_is_looked_at_whenever_something_is_put(void **state)
{
	struct place c = place_of(C);
	add(c.c, A, A, true, 0);
	put(c.c, EMITTER, "effect", A, 1, 0);
	assert_int_equal(put(c.c, OTHER, "other", 0, 0, SECOND), 1);
	assert_string_equal(read_all(c.r), "1effect 2other");
	leave(&c);
}

static void what_waits_has_the_time_of_its_place(void **state)
{
	struct place c = place_of(C);
	struct frame_event e = event_of(1, "effect"), got;
	struct channel_id a = id_of(A);
	struct buf b = BUF_INIT;
	struct frame f;
	const char *why;
	e.causes[0] = cause_of(A, 1);
	e.causes_n = 1;
	add(c.c, A, A, true, 0);
	assert_int_equal(channel_put(c.c, EMITTER, &e, 100, 0), 0);
	channel_reached(c.c, &a, 1, 200, 0);
	channel_read(c.r, &b, NUMBER, SIZE_MAX);
	assert_int_equal(frame_read(b.data, b.len, &f, &why), 0);
	assert_int_equal(frame_get_event(&f, &got), 0);
	assert_int_equal(got.time_ns, 200);
	buf_release(&b);
	leave(&c);
}

static void no_more_bytes_wait_than_the_log_has(void **state)
{
	char word[1001];
	struct channel *c = channel_of(C, 10000);
	memset(word, 'x', 1000);
	word[1000] = '\0';
	add(c, A, A, true, 0);
	uint64_t waiting = 0;
	for (int i = 0; i < 100; i++)
		waiting += put(c, EMITTER, word, A, 1, i) == 0;
	assert_int_equal(waiting, 100);
	assert_in_range(channel_sequence(c), 90, 99);
	assert_int_equal(channel_early(c), channel_sequence(c));
	channel_free(c);
}

/* --- through others: A into B, B into C --- */

static void a_cause_may_come_through_another_channel(void **state)
{
	struct place c = place_of(C);
	add(c.c, B, B, true, 0);
	add(c.c, A, B, true, 0);
	assert_int_equal(put(c.c, EMITTER, "effect", A, 1, 0), 0);
	assert_int_equal(come_with(c.c, B, 1, "a as b", A, 1), 1);
	assert_string_equal(read_all(c.r), "1a as b 2effect");
	leave(&c);
}

static void what_comes_through_a_chain_waits_only_for_what_is_chained_itself(void **state)
{
	struct place c = place_of(C);
	add(c.c, B, B, true, 0);
	add(c.c, D, D, true, 0);
	add(c.c, A, B, true, 0);
	assert_int_equal(come_with(c.c, B, 1, "b", A, 1), 1);
	assert_int_equal(come_with(c.c, D, 1, "d", A, 2), 1);
	assert_int_equal(put(c.c, EMITTER, "effect", A, 2, 0), 0);
	assert_int_equal(come_with(c.c, B, 2, "b", A, 2), 1);
	assert_string_equal(read_all(c.r), "1b 2d 3b 4effect");
	leave(&c);
}

static void either_way_will_do_when_it_comes_by_two(void **state)
{
	struct place c = place_of(C);
	add(c.c, B, B, true, 0);
	add(c.c, D, D, true, 0);
	add(c.c, A, B, true, 0);
	add(c.c, A, D, true, 0);
	assert_int_equal(put(c.c, EMITTER, "effect", A, 1, 0), 0);
	assert_int_equal(come_with(c.c, D, 1, "a as d", A, 1), 1);
	assert_int_equal(come_with(c.c, B, 1, "a as b", A, 1), 1);
	assert_string_equal(read_all(c.r), "1a as d 2effect 3a as b");
	leave(&c);
}

static void itself_before_what_others_bring(void **state)
{
	struct place c = place_of(C);
	add(c.c, A, A, true, 0);
	add(c.c, B, B, true, 0);
	add(c.c, A, B, true, 0);
	assert_int_equal(come_with(c.c, B, 1, "a as b", A, 1), 0);
	assert_int_equal(come(c.c, A, 1, "a"), 1);
	assert_string_equal(read_all(c.r), "1a 2a as b");
	leave(&c);
}

static void a_copy_that_came_early_does_not_stand_for_the_event_itself(void **state)
{
	struct place c = place_of(C);
	add(c.c, A, A, true, 0);
	add(c.c, B, B, true, 0);
	add(c.c, A, B, true, 0);
	assert_int_equal(come_with(c.c, B, 1, "a as b", A, 1), 0);
	channel_tick(c.c, 0, SECOND);
	assert_string_equal(read_all(c.r), "1a as b");
	assert_int_equal(put(c.c, EMITTER, "effect", A, 1, SECOND), 0);
	leave(&c);
}

static void what_a_mask_on_the_way_may_leave_out_is_not_waited_for(void **state)
{
	struct place c = place_of(C);
	add(c.c, B, B, true, 0);
	add(c.c, A, B, false, 0);
	assert_true(has(c.c, A));
	assert_int_equal(put(c.c, EMITTER, "effect", A, 1, 0), 1);
	add(c.c, A, B, true, 0);
	assert_int_equal(put(c.c, EMITTER, "effect", A, 1, 0), 0);
	add(c.c, A, B, false, 0);
	assert_true(channel_tick(c.c, 0, 0) == INT64_MAX);
	assert_string_equal(read_all(c.r), "1effect 2effect");
	assert_int_equal(channel_early(c.c), 0);
	leave(&c);
}

/* --- ways come and go --- */

static void nothing_waits_for_a_chain_that_was_taken_away(void **state)
{
	struct place c = place_of(C);
	add(c.c, A, A, true, 0);
	put(c.c, EMITTER, "effect", A, 1, 0);
	take_away(c.c, A, A);
	assert_string_equal(read_all(c.r), "1effect");
	assert_int_equal(channel_early(c.c), 0);
	assert_false(has(c.c, A));
	leave(&c);
}

static void with_a_chain_goes_all_that_came_through_it(void **state)
{
	struct place c = place_of(C);
	add(c.c, B, B, true, 0);
	add(c.c, A, B, true, 0);
	add(c.c, D, B, true, 0);
	add(c.c, D, D, true, 0);
	put(c.c, EMITTER, "effect", A, 1, 0);
	take_away(c.c, B, B);
	assert_string_equal(read_all(c.r), "1effect");
	assert_false(has(c.c, A) || has(c.c, B));
	assert_true(has(c.c, D));
	assert_int_equal(put(c.c, EMITTER, "effect", D, 1, 0), 0);
	leave(&c);
}

static void one_way_may_go_and_another_stay(void **state)
{
	struct place c = place_of(C);
	add(c.c, B, B, true, 0);
	add(c.c, A, A, true, 0);
	add(c.c, A, B, true, 0);
	put(c.c, EMITTER, "effect", A, 1, 0);
	take_away(c.c, A, A);
	assert_true(has(c.c, A));
	assert_string_equal(read_all(c.r), "");
	assert_int_equal(come(c.c, A, 1, "a"), -ENOENT);
	assert_int_equal(come_with(c.c, B, 1, "a as b", A, 1), 1);
	assert_string_equal(read_all(c.r), "1a as b 2effect");
	take_away(c.c, A, B);
	assert_false(has(c.c, A));
	assert_true(has(c.c, B));
	leave(&c);
}

static void what_still_waits_of_a_chain_that_has_gone_comes_in_order(void **state)
{
	struct place c = place_of(C);
	add(c.c, A, A, true, 0);
	add(c.c, B, B, true, 0);
	assert_int_equal(come_with(c.c, A, 1, "a1", B, 1), 0);
	take_away(c.c, A, A);
	add(c.c, A, A, true, 1);
	assert_int_equal(come(c.c, A, 2, "a2"), 0);
	assert_int_equal(come(c.c, B, 1, "b"), 1);
	assert_string_equal(read_all(c.r), "1b 2a1 3a2");
	leave(&c);
}

static const struct channel_upstream *told(const struct channel_upstream *all, size_t n, unsigned from)
{
	struct channel_id f = id_of(from), via = id_of(C);
	for (size_t i = 0; i < n; i++)
		if (channel_id_is(&all[i].from, &f)) {
			assert_true(channel_id_is(&all[i].via, &via));
			return &all[i];
		}
	return NULL;
}

static void it_tells_what_comes_in_as_the_next_channel_has_it(void **state)
{
	struct place c = place_of(C);
	struct channel_upstream all[9];
	assert_int_equal(channel_upstreams(c.c, all, 9), 0);
	add(c.c, A, A, false, 3);
	add(c.c, B, B, true, 0);
	add(c.c, D, B, true, 5);
	come(c.c, A, 4, "a");
	assert_int_equal(channel_upstreams(c.c, all, 9), 3);
	assert_int_equal(told(all, 3, A)->sequence, 4);
	assert_int_equal(told(all, 3, D)->sequence, 5);
	assert_int_equal(channel_upstreams(c.c, all, 1), 3);
	leave(&c);
}

/* Else something that comes by another chain may name it before it has come. */
static void it_passes_on_whole_what_is_chained_itself_or_all_chains_bring(void **state)
{
	struct place c = place_of(C);
	struct channel_upstream all[9];
	add(c.c, A, A, true, 0);
	add(c.c, D, A, true, 0);
	assert_int_equal(channel_upstreams(c.c, all, 9), 2);
	assert_true(told(all, 2, A)->whole && told(all, 2, D)->whole);
	add(c.c, B, B, true, 0);
	assert_int_equal(channel_upstreams(c.c, all, 9), 3);
	assert_true(told(all, 3, A)->whole && told(all, 3, B)->whole);
	assert_false(told(all, 3, D)->whole);
	add(c.c, D, B, true, 0);
	channel_upstreams(c.c, all, 9);
	assert_true(told(all, 3, D)->whole);
	add(c.c, D, B, false, 0);
	add(c.c, A, B, true, 0);
	add(c.c, A, A, false, 0);
	channel_upstreams(c.c, all, 9);
	assert_false(told(all, 3, D)->whole || told(all, 3, A)->whole);
	leave(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_comes_through_a_chain_has_that_event_as_its_first_cause),
	    cmocka_unit_test(of_too_many_causes_the_last_goes),
	    cmocka_unit_test(only_a_chained_channel_may_bring_events_and_only_onwards),
	    cmocka_unit_test(it_is_known_where_to_go_on),
	    cmocka_unit_test(an_effect_waits_for_its_cause_to_come_through_the_chain),
	    cmocka_unit_test(what_was_before_the_chain_is_not_waited_for),
	    cmocka_unit_test(chains_wait_for_each_other),
	    cmocka_unit_test(a_loss_or_a_note_of_progress_ends_the_waiting),
	    cmocka_unit_test(a_loss_takes_as_many_places_and_is_told_to_all),
	    cmocka_unit_test(who_begins_within_a_loss_is_told_the_rest),
	    cmocka_unit_test(a_loss_keeps_its_place_behind_what_waits),
	    cmocka_unit_test(more_than_there_was_can_not_be_lost),
	    cmocka_unit_test(progress_does_not_overtake_what_waits),
	    cmocka_unit_test(a_cause_that_does_not_come_is_waited_for_a_second),
	    cmocka_unit_test(time_is_looked_at_whenever_something_is_put),
	    cmocka_unit_test(what_waits_has_the_time_of_its_place),
	    cmocka_unit_test(no_more_bytes_wait_than_the_log_has),
	    cmocka_unit_test(a_cause_may_come_through_another_channel),
	    cmocka_unit_test(what_comes_through_a_chain_waits_only_for_what_is_chained_itself),
	    cmocka_unit_test(either_way_will_do_when_it_comes_by_two),
	    cmocka_unit_test(itself_before_what_others_bring),
	    cmocka_unit_test(a_copy_that_came_early_does_not_stand_for_the_event_itself),
	    cmocka_unit_test(what_a_mask_on_the_way_may_leave_out_is_not_waited_for),
	    cmocka_unit_test(nothing_waits_for_a_chain_that_was_taken_away),
	    cmocka_unit_test(with_a_chain_goes_all_that_came_through_it),
	    cmocka_unit_test(one_way_may_go_and_another_stay),
	    cmocka_unit_test(what_still_waits_of_a_chain_that_has_gone_comes_in_order),
	    cmocka_unit_test(it_tells_what_comes_in_as_the_next_channel_has_it),
	    cmocka_unit_test(it_passes_on_whole_what_is_chained_itself_or_all_chains_bring),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
