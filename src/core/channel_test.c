/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>

#include "base/dice_test.h"
#include "core/channel_fixture_test.h"

static void put(struct channel *c, uint32_t tag, const char *word)
{
	struct frame_event e = event_of(tag, word);
	assert_int_equal(channel_put(c, 1, &e, 0, 0), 1);
}

static void put_words(struct channel *c, const char *words)
{
	for (const char *w = words; *w; w++)
		put(c, 1, (char[]){*w, '\0'});
}

static int woken;

static void count_wake(struct channel_reader *r, void *data)
{
	assert_ptr_equal(data, &woken);
	woken++;
}

static struct channel_reader *reader(struct channel *c, uint32_t mask, uint64_t after)
{
	struct channel_reader *r =
	    channel_reader_new(c, &(struct channel_place){.mask = mask, .after = after}, count_wake, &woken);
	assert_non_null(r);
	return r;
}

static struct channel_reader *reader_with_progress(struct channel *c, uint32_t mask, uint64_t after)
{
	struct channel_place place = {.mask = mask, .after = after, .progress = true};
	struct channel_reader *r = channel_reader_new(c, &place, count_wake, &woken);
	assert_non_null(r);
	return r;
}

/* --- one order --- */

static void a_new_channel_is_empty(void **state)
{
	struct channel_id id = id_of(5);
	struct channel *c = channel_new(&id, "my key", CHANNEL_LOG);
	assert_string_equal(channel_key(c), "my key");
	assert_true(channel_id_is(channel_id_of(c), &id));
	assert_int_equal(channel_sequence(c), 0);
	assert_int_equal(channel_oldest(c), 1);
	assert_int_equal(channel_early(c), 0);
	assert_true(channel_tick(c, 0, 0) == INT64_MAX);
	struct channel_reader *r = reader(c, EVERYTHING, 0);
	assert_string_equal(read_all(r), "");
	channel_reader_free(r);
	channel_free(c);
}

static int check_event(void *data, const struct frame *f)
{
	const struct frame_event *put = data;
	struct frame_event got;
	assert_int_equal(frame_get_event(f, &got), 0);
	assert_int_equal(got.sequence, 1);
	assert_int_equal(got.time_ns, 1234);
	assert_int_equal(got.tag, put->tag);
	assert_true(entity_id_is(&got.sender, &put->sender));
	assert_int_equal(got.causes_n, 2);
	assert_memory_equal(got.causes, put->causes, 2 * sizeof *got.causes);
	assert_int_equal(got.n, 4);
	assert_memory_equal(got.data, "data", 4);
	return 0;
}

static void an_event_gets_its_sequence_and_time_and_keeps_the_rest(void **state)
{
	struct channel *c = channel_of(1, CHANNEL_LOG);
	struct channel_reader *r = reader(c, EVERYTHING, FROM_NOW);
	struct frame_event e = event_of(0x80000001, "data");
	struct buf b = BUF_INIT;
	e.sequence = 99;
	e.time_ns = 99;
	e.sender = (struct entity_id){.host.bytes = {1, 2}, .process = 3, .entity = 4};
	e.causes[0] = cause_of(8, 5);
	e.causes[1] = cause_of(9, 6);
	e.causes_n = 2;
	assert_int_equal(channel_put(c, 1, &e, 1234, 0), 1);
	assert_false(channel_read(r, &b, NUMBER, SIZE_MAX));
	cut(&b, check_event, &e);
	buf_release(&b);
	channel_reader_free(r);
	channel_free(c);
}

static void all_readers_see_one_order(void **state)
{
	struct channel *c = channel_of(1, CHANNEL_LOG);
	struct channel_reader *a = reader(c, EVERYTHING, 0), *b = reader(c, EVERYTHING, 0);
	put_words(c, "ab");
	assert_string_equal(read_all(a), "1a 2b");
	put_words(c, "cd");
	assert_string_equal(read_all(a), "3c 4d");
	assert_string_equal(read_all(b), "1a 2b 3c 4d");
	assert_string_equal(read_all(b), "");
	channel_reader_free(a);
	channel_reader_free(b);
	channel_free(c);
}

static void a_mask_selects_tags_and_tag_0_is_in_every_mask(void **state)
{
	static const struct {
		uint32_t mask;
		const char *seen;
	} cases[] = {{1, "1a 3c 4d"}, {2, "2b 3c 4d"}, {3, "1a 2b 3c 4d"}, {0, "4d"}, {0x80000000, "4d 5e"},
	    {EVERYTHING, "1a 2b 3c 4d 5e"}};
	struct channel *c = channel_of(1, CHANNEL_LOG);
	put(c, 1, "a");
	put(c, 2, "b");
	put(c, 3, "c");
	put(c, 0, "d");
	put(c, 0x80000000, "e");
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct channel_reader *r = reader(c, cases[i].mask, 0);
		assert_string_equal(read_all(r), cases[i].seen);
		assert_int_equal(channel_reader_position(r), 5);
		channel_reader_free(r);
	}
	channel_free(c);
}

static void reading_stops_when_more_than_enough_is_put(void **state)
{
	struct channel *c = channel_of(1, CHANNEL_LOG);
	struct channel_reader *r = reader(c, EVERYTHING, 0);
	put_words(c, "abcd");
	assert_string_equal(read_some(r, 0), "1a ...");
	assert_string_equal(read_some(r, FRAME_OF(1) - 1), "2b ...");
	assert_int_equal(channel_reader_position(r), 2);
	assert_string_equal(read_some(r, FRAME_OF(1)), "3c 4d");
	channel_reader_free(r);
	channel_free(c);
}

static void an_event_that_is_too_much_is_refused(void **state)
{
	static uint8_t data[CHANNEL_DATA_MAX + 1];
	struct channel *c = channel_of(1, CHANNEL_LOG);
	struct frame_event e = {.data = data, .n = sizeof data};
	assert_int_equal(channel_put(c, 1, &e, 0, 0), -EMSGSIZE);
	e.n--;
	e.causes_n = FRAME_CAUSES_MAX + 1;
	assert_int_equal(channel_put(c, 1, &e, 0, 0), -EINVAL);
	assert_int_equal(channel_sequence(c), 0);
	e.causes_n--;
	assert_int_equal(channel_put(c, 1, &e, 0, 0), 1);
	channel_free(c);
}

/* --- the log is bounded --- */

static void the_oldest_go_when_the_log_is_full(void **state)
{
	struct channel *c = channel_of(1, 3 * FRAME_OF(1));
	put_words(c, "abc");
	assert_int_equal(channel_oldest(c), 1);
	put_words(c, "d");
	assert_int_equal(channel_oldest(c), 2);
	put(c, 1, "12");
	assert_int_equal(channel_oldest(c), 4);
	assert_int_equal(channel_sequence(c), 5);
	channel_free(c);
}

static void the_newest_stays_however_large(void **state)
{
	static uint8_t data[CHANNEL_DATA_MAX];
	struct frame_event e = {.data = data, .n = sizeof data};
	struct channel *c = channel_of(1, 0);
	struct channel_reader *r = reader(c, EVERYTHING, 0);
	put_words(c, "ab");
	assert_int_equal(channel_oldest(c), 2);
	assert_string_equal(read_all(r), "1 lost before 2 2b");
	assert_int_equal(channel_put(c, 1, &e, 0, 0), 1);
	assert_int_equal(channel_oldest(c), 3);
	put_words(c, "c");
	assert_string_equal(read_all(r), "1 lost before 4 4c");
	channel_reader_free(r);
	channel_free(c);
}

static void who_lags_is_told_what_it_lost_and_where(void **state)
{
	struct channel *c = channel_of(1, 3 * FRAME_OF(1));
	struct channel_reader *r = reader(c, EVERYTHING, 0);
	put_words(c, "abcdef");
	assert_int_equal(channel_reader_lost(r), 3);
	assert_string_equal(read_some(r, FRAME_OF(0)), "3 lost before 4 4d ...");
	put_words(c, "ghi");
	assert_string_equal(read_all(r), "2 lost before 7 7g 8h 9i");
	assert_int_equal(channel_reader_lost(r), 5);
	put_words(c, "j");
	assert_string_equal(read_all(r), "10j");
	channel_reader_free(r);
	channel_free(c);
}

static void only_what_the_mask_selects_is_lost(void **state)
{
	struct channel *c = channel_of(1, 2 * FRAME_OF(1));
	struct channel_reader *odd = reader(c, 1, 0), *even = reader(c, 2, 0), *none = reader(c, 4, 0);
	for (uint32_t i = 1; i <= 7; i++)
		put(c, i % 2 ? 1 : 2, "x");
	assert_string_equal(read_all(odd), "3 lost before 6 7x");
	assert_string_equal(read_all(even), "2 lost before 6 6x");
	assert_string_equal(read_all(none), "");
	channel_reader_free(odd);
	channel_reader_free(even);
	channel_reader_free(none);
	channel_free(c);
}

static void a_loss_comes_before_all_that_follows_it(void **state)
{
	struct channel *c = channel_of(1, 4 * FRAME_OF(1));
	struct channel_reader *r = reader(c, 1, 0);
	put_words(c, "ab");
	assert_string_equal(read_some(r, 0), "1a ...");
	for (int i = 0; i < 3; i++)
		put(c, 2, "-");
	put_words(c, "cdefg");
	assert_string_equal(read_all(r), "2 lost before 7 7d 8e 9f 10g");
	channel_reader_free(r);
	channel_free(c);
}

/* --- waking --- */

static void a_reader_is_woken_once_until_it_has_read_everything(void **state)
{
	struct channel *c = channel_of(1, CHANNEL_LOG);
	struct channel_reader *r = reader(c, EVERYTHING, FROM_NOW);
	woken = 0;
	put_words(c, "ab");
	assert_int_equal(woken, 1);
	assert_string_equal(read_some(r, 0), "1a ...");
	put_words(c, "c");
	assert_int_equal(woken, 1);
	assert_string_equal(read_all(r), "2b 3c");
	put_words(c, "d");
	assert_int_equal(woken, 2);
	channel_reader_free(r);
	put_words(c, "e");
	assert_int_equal(woken, 2);
	channel_free(c);
}

static void a_reader_is_not_woken_for_what_its_mask_leaves_out(void **state)
{
	struct channel *c = channel_of(1, CHANNEL_LOG);
	struct channel_reader *r = reader(c, 1, FROM_NOW);
	woken = 0;
	put(c, 2, "a");
	assert_int_equal(woken, 0);
	assert_int_equal(channel_reader_position(r), 1);
	put(c, 1, "b");
	assert_int_equal(woken, 1);
	assert_string_equal(read_all(r), "2b");
	channel_reader_free(r);
	channel_free(c);
}

static void a_new_reader_with_something_to_read_is_not_woken_for_it(void **state)
{
	struct channel *c = channel_of(1, CHANNEL_LOG);
	put_words(c, "a");
	struct channel_reader *r = reader(c, EVERYTHING, 0);
	woken = 0;
	put_words(c, "b");
	assert_int_equal(woken, 0);
	assert_string_equal(read_all(r), "1a 2b");
	channel_reader_free(r);
	channel_free(c);
}

/* --- places --- */

static void a_reader_begins_where_it_says(void **state)
{
	static const struct {
		uint64_t after;
		const char *seen;
	} cases[] = {{0, "2 lost before 3 3c 4d 5e 6f"}, {1, "1 lost before 3 3c 4d 5e 6f"},
	    {2, "3c 4d 5e 6f"}, {3, "4d 5e 6f"}, {5, "6f"}, {6, ""}, {7, ""}, {FROM_NOW, ""}};
	struct channel *c = channel_of(1, 4 * FRAME_OF(1));
	put_words(c, "abcdef");
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct channel_reader *r = reader(c, EVERYTHING, cases[i].after);
		assert_string_equal(read_all(r), cases[i].seen);
		assert_int_equal(channel_reader_position(r), 6);
		channel_reader_free(r);
	}
	channel_free(c);
}

static void who_comes_back_goes_on_from_its_position(void **state)
{
	struct channel *c = channel_of(1, 4 * FRAME_OF(1));
	struct channel_reader *r = reader(c, EVERYTHING, 0);
	put_words(c, "abc");
	assert_string_equal(read_some(r, 0), "1a ...");
	uint64_t position = channel_reader_position(r);
	channel_reader_free(r);
	put_words(c, "def");
	r = reader(c, EVERYTHING, position);
	assert_string_equal(read_all(r), "1 lost before 3 3c 4d 5e 6f");
	channel_reader_free(r);
	channel_free(c);
}

static void of_what_has_gone_since_all_tags_count_as_lost(void **state)
{
	struct channel *c = channel_of(1, FRAME_OF(1));
	for (uint32_t i = 1; i <= 4; i++)
		put(c, i, "x");
	struct channel_reader *r = reader(c, 4, 1);
	assert_int_equal(channel_reader_lost(r), 2);
	assert_string_equal(read_all(r), "2 lost before 4 4x");
	channel_reader_free(r);
	channel_free(c);
}

static void a_position_is_not_past_a_loss_that_was_not_told(void **state)
{
	struct channel *c = channel_of(1, FRAME_OF(1));
	struct channel_reader *r = reader(c, 1, 0);
	put(c, 2, "a");
	put(c, 1, "b");
	put(c, 1, "c");
	put(c, 2, "d");
	assert_int_equal(channel_reader_position(r), 1);
	assert_string_equal(read_all(r), "2 lost before 4");
	assert_int_equal(channel_reader_position(r), 4);
	channel_reader_free(r);
	channel_free(c);
}

static void progress_is_told_where_the_mask_leaves_out_events(void **state)
{
	struct channel *c = channel_of(1, CHANNEL_LOG);
	struct channel_reader *r = reader_with_progress(c, 1, 0);
	woken = 0;
	put(c, 2, "a");
	assert_int_equal(woken, 1);
	put(c, 2, "b");
	assert_int_equal(woken, 1);
	assert_string_equal(read_all(r), "0 lost before 3");
	assert_string_equal(read_all(r), "");
	put(c, 2, "c");
	put(c, 1, "d");
	assert_string_equal(read_all(r), "4d");
	put(c, 1, "e");
	put(c, 2, "f");
	assert_string_equal(read_some(r, 0), "5e ...");
	assert_string_equal(read_some(r, 0), "0 lost before 7");
	channel_reader_free(r);
	channel_free(c);
}

static void a_loss_is_progress_too(void **state)
{
	struct channel *c = channel_of(1, 2 * FRAME_OF(1));
	struct channel_reader *r = reader_with_progress(c, 1, 0);
	put_words(c, "ab");
	for (int i = 0; i < 3; i++)
		put(c, 2, "-");
	assert_string_equal(read_all(r), "2 lost before 4 0 lost before 6");
	for (int i = 0; i < 3; i++)
		put(c, 2, "-");
	assert_string_equal(read_all(r), "0 lost before 9");
	channel_reader_free(r);
	channel_free(c);
}

/* --- against one who remembers everything --- */

enum { READERS = 7, EVENTS = 4000 };

struct watcher {
	struct channel_reader *r;
	uint32_t mask;
	bool progress, woken, reading;
	uint64_t at;	  /* everything up to here was delivered, told as lost, or is not for it */
	uint64_t unknown; /* had gone when it began: counts whatever the tag */
	uint64_t delivered, lost;
};

enum { GAP_MOST = 30 };
static uint32_t tags[EVENTS + GAP_MOST + 1];
static bool gaps[EVENTS + GAP_MOST + 1]; /* the channel itself lost it: for all masks */
static struct channel *watched;

static bool is_for(const struct watcher *w, uint64_t sequence)
{
	return sequence <= w->unknown || gaps[sequence] || !tags[sequence] || tags[sequence] & w->mask;
}

static uint64_t count_for(const struct watcher *w, uint64_t after, uint64_t before)
{
	uint64_t n = 0;
	for (uint64_t i = after + 1; i < before; i++)
		n += is_for(w, i);
	return n;
}

static void note_event(struct watcher *w, const struct frame *f)
{
	struct frame_event e;
	uint64_t number;
	assert_int_equal(frame_get_event(f, &e), 0);
	assert_int_equal(count_for(w, w->at, e.sequence), 0);
	assert_true(is_for(w, e.sequence) && e.sequence > w->at);
	memcpy(&number, e.data, sizeof number);
	assert_int_equal(number, e.sequence);
	assert_int_equal(e.tag, tags[e.sequence]);
	w->at = e.sequence;
	w->delivered++;
}

static void note_loss(struct watcher *w, const struct frame *f)
{
	uint64_t lost, before;
	assert_int_equal(frame_get_lost(f, &lost, &before), 0);
	assert_int_equal(lost, count_for(w, w->at, before));
	assert_true(before > w->at + 1);
	assert_true(lost ? before <= channel_oldest(watched) || gaps[before - 1] : w->progress);
	w->at = before - 1;
	w->lost += lost;
}

static int note(void *data, const struct frame *f)
{
	(f->kind == FRAME_EVENT_KIND ? note_event : note_loss)(data, f);
	return 0;
}

static void mark_woken(struct channel_reader *r, void *data)
{
	struct watcher *w = data;
	assert_false(w->woken);
	w->woken = true;
}

static void begin(struct watcher *w, uint64_t after)
{
	uint64_t gone = channel_oldest(watched) - 1;
	struct channel_place place = {.mask = w->mask, .after = after, .progress = w->progress};
	w->r = channel_reader_new(watched, &place, mark_woken, w);
	w->woken = after < channel_sequence(watched);
	w->at = after;
	w->unknown = gone > after ? gone : 0;
	w->delivered = w->lost = 0;
}

static void read_on(struct watcher *w, size_t most)
{
	struct buf b = BUF_INIT;
	w->woken = channel_read(w->r, &b, NUMBER, most);
	assert_true(b.len <= most + 2 * (FRAME_HEADER + FRAME_LOSS) + FRAME_OF(200));
	cut(&b, note, w);
	buf_release(&b);
	if (w->woken)
		return;
	assert_int_equal(count_for(w, w->at, channel_sequence(watched) + 1), 0);
	assert_true(!w->progress || w->at == channel_sequence(watched));
	assert_int_equal(channel_reader_position(w->r), channel_sequence(watched));
	assert_true(channel_reader_lost(w->r) <= w->lost);
}

static void come_back(struct watcher *w)
{
	uint64_t position = channel_reader_position(w->r);
	assert_true(position >= w->at && count_for(w, w->at, position + 1) == 0);
	channel_reader_free(w->r);
	begin(w, position);
}

/* Who puts never waits: that is what the log is for. */
static void put_one(struct watcher *all)
{
	static uint8_t data[200];
	uint64_t number = channel_sequence(watched) + 1;
	memcpy(data, &number, sizeof number);
	struct frame_event e = {.data = data, .n = 8 + dice_below(sizeof data - 8)};
	tags[number] = e.tag = dice_below(3) ? UINT32_C(1) << dice_below(4) : (uint32_t)dice_below(16);
	assert_int_equal(channel_put(watched, dice_below(3), &e, 0, 0), 1);
	for (struct watcher *w = all; w < all + READERS; w++)
		assert_true(w->woken || (!w->progress && !is_for(w, number)));
}

/* What a chain brings is lost on its way. */
static void lose_some(struct watcher *all)
{
	struct channel_id from = id_of(2);
	uint64_t at = 0, first = channel_sequence(watched) + 1, n = 1 + dice_below(GAP_MOST);
	channel_upstream_position(watched, &from, &at);
	assert_int_equal(channel_lost_chained(watched, &from, n, at + n + dice_below(2), 0, 0), 1);
	assert_int_equal(channel_sequence(watched), first + n - 1);
	for (uint64_t i = first; i < first + n; i++)
		gaps[i] = true;
	for (struct watcher *w = all; w < all + READERS; w++)
		assert_true(w->woken);
}

static void play(struct watcher *all)
{
	while (channel_sequence(watched) < EVENTS) {
		struct watcher *w = &all[dice_below(READERS)];
		size_t what = dice_below(100);
		if (what < 78)
			put_one(all);
		else if (what < 80)
			lose_some(all);
		else if (what < 98)
			read_on(w, dice_below(2) ? dice_below(3000) : 1 << 30);
		else if (what < 99)
			come_back(w);
		else
			for (size_t burst = dice_below(200); burst && channel_sequence(watched) < EVENTS;
			     burst--)
				put_one(all);
	}
}

static void whatever_is_not_delivered_is_told_as_lost(void **state)
{
	dice_begin();
	for (int run = 0; run < 20; run++) {
		struct watcher all[READERS] = {{0}};
		watched = channel_of(1, 1 << (8 + dice_below(9)));
		memset(gaps, 0, sizeof gaps);
		assert_int_equal(channel_upstream_add(watched, &(struct channel_upstream){id_of(2), id_of(2), true, 0}), 0);
		for (size_t i = 0; i < READERS; i++) {
			all[i].mask = i ? (uint32_t)dice_below(16) : EVERYTHING;
			all[i].progress = dice_below(2);
			begin(&all[i], 0);
		}
		play(all);
		for (size_t i = 0; i < READERS; i++) {
			read_on(&all[i], 1 << 30);
			channel_reader_free(all[i].r);
		}
		channel_free(watched);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_new_channel_is_empty),
	    cmocka_unit_test(an_event_gets_its_sequence_and_time_and_keeps_the_rest),
	    cmocka_unit_test(all_readers_see_one_order),
	    cmocka_unit_test(a_mask_selects_tags_and_tag_0_is_in_every_mask),
	    cmocka_unit_test(reading_stops_when_more_than_enough_is_put),
	    cmocka_unit_test(an_event_that_is_too_much_is_refused),
	    cmocka_unit_test(the_oldest_go_when_the_log_is_full),
	    cmocka_unit_test(the_newest_stays_however_large),
	    cmocka_unit_test(who_lags_is_told_what_it_lost_and_where),
	    cmocka_unit_test(only_what_the_mask_selects_is_lost),
	    cmocka_unit_test(a_loss_comes_before_all_that_follows_it),
	    cmocka_unit_test(a_reader_is_woken_once_until_it_has_read_everything),
	    cmocka_unit_test(a_reader_is_not_woken_for_what_its_mask_leaves_out),
	    cmocka_unit_test(a_new_reader_with_something_to_read_is_not_woken_for_it),
	    cmocka_unit_test(a_reader_begins_where_it_says),
	    cmocka_unit_test(who_comes_back_goes_on_from_its_position),
	    cmocka_unit_test(of_what_has_gone_since_all_tags_count_as_lost),
	    cmocka_unit_test(a_position_is_not_past_a_loss_that_was_not_told),
	    cmocka_unit_test(progress_is_told_where_the_mask_leaves_out_events),
	    cmocka_unit_test(a_loss_is_progress_too),
	    cmocka_unit_test(whatever_is_not_delivered_is_told_as_lost),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
