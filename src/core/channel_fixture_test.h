/* SPDX-License-Identifier: Apache-2.0 */
/* Channels for tests: put in a word, read as text. Included after cmocka. */
#ifndef VIGIA_CORE_CHANNEL_FIXTURE_TEST_H
#define VIGIA_CORE_CHANNEL_FIXTURE_TEST_H

#include <stdio.h>
#include <string.h>

#include "core/channel.h"

enum { NUMBER = 7, ALL = -1 };
#define EVERYTHING UINT32_MAX
#define FROM_NOW UINT64_MAX

/* What an event of n bytes without causes takes in the log. */
#define FRAME_OF(n) ((size_t)FRAME_HEADER + FRAME_EVENT + (n))

static inline struct channel_id id_of(unsigned number)
{
	return (struct channel_id){.host.bytes = {9, 8, 7}, .number = number};
}

static inline struct frame_cause cause_of(unsigned channel, uint64_t sequence)
{
	return (struct frame_cause){id_of(channel), sequence};
}

static inline struct channel *channel_of(unsigned number, size_t log)
{
	struct channel_id id = id_of(number);
	struct channel *c = channel_new(&id, "key", log);
	assert_non_null(c);
	return c;
}

static inline struct frame_event event_of(uint32_t tag, const char *word)
{
	return (struct frame_event){.tag = tag, .data = (const uint8_t *)word, .n = strlen(word)};
}

/* --- what a reader gets --- */

static char read_text[1 << 16];

static inline void say(const char *format, uint64_t a, uint64_t b, const char *word, size_t n)
{
	size_t at = strlen(read_text);
	assert_true(at + n + 100 < sizeof read_text);
	if (at)
		read_text[at++] = ' ';
	snprintf(read_text + at, sizeof read_text - at, format, (unsigned long long)a, (unsigned long long)b,
	    (int)n, word);
}

static inline int say_frame(void *data, const struct frame *f)
{
	struct frame_event e;
	uint64_t lost, before;
	assert_int_equal(f->number, NUMBER);
	if (f->kind == FRAME_EVENT_KIND) {
		assert_int_equal(frame_get_event(f, &e), 0);
		say("%llu%.0llu%.*s", e.sequence, 0, (const char *)e.data, e.n);
	} else {
		assert_int_equal(frame_get_lost(f, &lost, &before), 0);
		say("%llu lost before %llu", lost, before, "", 0);
	}
	return 0;
}

static inline void cut(const struct buf *b, frame_fn *fn, void *data)
{
	struct frame_cutter c = {0};
	assert_int_equal(frame_cut(&c, b->data, b->len, fn, data), 0);
	assert_int_equal(c.held.len, 0);
	frame_cutter_release(&c);
}

/* One channel_read(): "1a 2b", a loss as "3 lost before 6", and "..." behind it where there is more. */
static inline const char *read_some(struct channel_reader *r, size_t most)
{
	struct buf b = BUF_INIT;
	bool more = channel_read(r, &b, NUMBER, most);
	assert_false(b.failed);
	read_text[0] = '\0';
	cut(&b, say_frame, NULL);
	if (more)
		say("...", 0, 0, "", 0);
	buf_release(&b);
	return read_text;
}

static inline const char *read_all(struct channel_reader *r)
{
	return read_some(r, SIZE_MAX);
}

#endif
