/* SPDX-License-Identifier: Apache-2.0 */
/* What a channel takes of memory, and what it does when there is none. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>

#include "core/channel_fixture_test.h"

/* Linked with --wrap: which allocation fails, counted down (below 0: none), or all from there on. */
static int failing = -1;
static bool for_good;
static size_t taken;
void *__real_malloc(size_t n);
void *__wrap_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__wrap_realloc(void *p, size_t n);
void __real_free(void *p);
void __wrap_free(void *p);

static bool fails(void)
{
	if (failing) {
		failing -= failing > 0;
		return false;
	}
	failing = for_good ? 0 : -1;
	return true;
}

static void *count(void *p)
{
	taken += malloc_usable_size(p);
	return p;
}

void *__wrap_malloc(size_t n)
{
	return fails() ? NULL : count(__real_malloc(n));
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails() ? NULL : count(__real_calloc(n, size));
}

void *__wrap_realloc(void *p, size_t n)
{
	if (fails())
		return NULL;
	taken -= malloc_usable_size(p);
	return count(__real_realloc(p, n));
}

void __wrap_free(void *p)
{
	taken -= malloc_usable_size(p);
	__real_free(p);
}

static void wake_nobody(struct channel_reader *r, void *data)
{
}

static struct channel_reader *reader(struct channel *c)
{
	return channel_reader_new(c, &(struct channel_place){.mask = EVERYTHING}, wake_nobody, NULL);
}

static int put(struct channel *c, const char *word, uint64_t cause)
{
	struct frame_event e = event_of(1, word);
	e.causes[0] = cause_of(2, cause);
	e.causes_n = cause != 0;
	return channel_put(c, 1, &e, 0, 0);
}

static int chain(struct channel *c, unsigned from)
{
	struct channel_upstream u = {id_of(from), id_of(from), true, 0};
	int r = channel_upstream_add(c, &u);
	assert_int_equal(channel_has_upstream(c, &u.from), !r);
	return r;
}

static int come(struct channel *c, unsigned from, uint64_t sequence, const char *word)
{
	struct channel_id f = id_of(from);
	struct frame_event e = event_of(1, word);
	e.sequence = sequence;
	return channel_put_chained(c, &f, &e, 0, 0);
}

static void an_empty_channel_takes_little(void **state)
{
	size_t before = taken;
	struct channel *c = channel_of(1, CHANNEL_LOG);
	assert_true(taken - before <= 320);
	struct channel_reader *r = reader(c);
	assert_true(taken - before <= 480);
	put(c, "word", 0);
	assert_true(taken - before <= 1024);
	channel_reader_free(r);
	channel_free(c);
	assert_int_equal(taken, before);
}

/* Sizes that leave the rest of a segment empty. */
static void a_full_log_takes_what_it_may_and_a_segment(void **state)
{
	static char word[CHANNEL_DATA_MAX];
	static const size_t sizes[] = {1, 100, 33000, 70000, 200000};
	size_t before = taken;
	struct channel *c = channel_of(1, CHANNEL_LOG);
	struct channel_reader *r = reader(c);
	for (int i = 0; i < 1000; i++) {
		struct frame_event e = {.data = (uint8_t *)word, .n = sizes[i % 5]};
		assert_int_equal(channel_put(c, 1, &e, 0, 0), 1);
		assert_true(taken - before < CHANNEL_LOG + 2 * CHANNEL_DATA_MAX + (64 << 10));
	}
	for (int i = 0; i < 100000; i++)
		put(c, "word", 0);
	assert_true(taken - before < CHANNEL_LOG + (128 << 10));
	channel_reader_free(r);
	channel_free(c);
}

/* --- one allocation fails, each in turn; who is refused tries again --- */

#define AGAIN(call)                                                                                          \
	do {                                                                                                 \
		int again_ = (call);                                                                         \
		if (again_ == -ENOMEM)                                                                       \
			again_ = (call);                                                                     \
		assert_true(again_ >= 0);                                                                    \
	} while (0)

static const char *read_again(struct channel_reader *r)
{
	struct buf b = BUF_INIT;
	read_text[0] = '\0';
	for (bool more = true; more;) {
		more = channel_read(r, &b, NUMBER, 0);
		cut(&b, say_frame, NULL);
		buf_clear(&b);
	}
	buf_release(&b);
	return read_text;
}

enum { LOG = 4096 }; /* of small segments */

static const char *play(struct channel *c, struct channel_reader *r)
{
	for (int i = 0; i < 5; i++)
		AGAIN(put(c, "x", 0));
	AGAIN(chain(c, 2));
	AGAIN(put(c, "effect", 1));
	AGAIN(put(c, "behind", 0));
	AGAIN(chain(c, 3));
	AGAIN(come(c, 3, 1, "other"));
	AGAIN(come(c, 2, 1, "cause"));
	channel_tick(c, 0, 0);
	channel_tick(c, 0, 0);
	return read_again(r);
}

static void after_a_failure_all_is_as_before(void **state)
{
	bool none = false;
	for (int at = 0; !none; at++) {
		failing = at;
		struct channel_id id = id_of(1);
		struct channel *c = channel_new(&id, "key", LOG);
		if (!c)
			c = channel_new(&id, "key", LOG);
		struct channel_reader *r = reader(c);
		if (!r)
			r = reader(c);
		assert_string_equal(play(c, r), "1x 2x 3x 4x 5x 6other 7cause 8effect 9behind");
		none = failing >= 0;
		failing = -1;
		channel_reader_free(r);
		channel_free(c);
	}
}

/* --- no memory for a while --- */

static void what_waited_is_put_when_there_is_memory_again(void **state)
{
	struct channel *c = channel_of(1, CHANNEL_LOG);
	struct channel_reader *r = reader(c);
	chain(c, 2);
	put(c, "effect", 1);
	put(c, "behind", 0);
	failing = 0;
	for_good = true;
	assert_true(channel_tick(c, 0, CAUSAL_WAIT_NS) < 2 * CAUSAL_WAIT_NS);
	assert_int_equal(put(c, "later", 0), -ENOMEM);
	assert_int_equal(come(c, 2, 1, "cause"), -ENOMEM);
	failing = -1;
	for_good = false;
	assert_int_equal(put(c, "later", 0), 1);
	assert_string_equal(read_all(r), "1effect 2behind 3later");
	channel_reader_free(r);
	channel_free(c);
}

static void what_waited_and_was_never_put_is_freed(void **state)
{
	size_t before = taken;
	struct channel *c = channel_of(1, CHANNEL_LOG);
	chain(c, 2);
	put(c, "effect", 1);
	put(c, "behind", 0);
	failing = 0;
	for_good = true;
	channel_tick(c, 0, CAUSAL_WAIT_NS);
	failing = -1;
	for_good = false;
	channel_free(c);
	assert_int_equal(taken, before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(an_empty_channel_takes_little),
	    cmocka_unit_test(a_full_log_takes_what_it_may_and_a_segment),
	    cmocka_unit_test(after_a_failure_all_is_as_before),
	    cmocka_unit_test(what_waited_is_put_when_there_is_memory_again),
	    cmocka_unit_test(what_waited_and_was_never_put_is_freed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
