/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proto/frame.h"
#include "proto/frame_dice_test.h"

#define N(a) (sizeof(a) / sizeof *(a))

/* Linked with --wrap=realloc: a buf gets no memory when a test says so. */
static int reallocs_left = -1; /* below 0: any number */
void *__real_realloc(void *p, size_t n);
void *__wrap_realloc(void *p, size_t n);

void *__wrap_realloc(void *p, size_t n)
{
	if (!reallocs_left)
		return NULL;
	if (reallocs_left > 0)
		reallocs_left--;
	return __real_realloc(p, n);
}

/* --- cutting --- */

/* What was cut, put together again. */
struct cut {
	const struct frame_cutter *cutter;
	struct buf frames;
	int n;
};

static int on_frame(void *data, const struct frame *f)
{
	struct cut *c = data;
	c->n++;
	assert_int_equal(c->cutter->at, c->frames.len);
	assert_int_equal(frame_put(&c->frames, f->kind, f->flags, f->number, f->payload, f->n), 0);
	return 0;
}

/* One of each kind, some with much in it. */
static void put_stream(struct buf *out)
{
	static const uint8_t payload[3000];
	struct frame_event e;
	frame_put(out, FRAME_HELLO, 0, 0, payload, 1);
	frame_put(out, FRAME_QUERY, FRAME_ONE_WAY, 1, payload, 300);
	frame_put(out, FRAME_QUERY, 0, 2, payload, 2);
	frame_put(out, FRAME_CANCEL, 0, 2, NULL, 0);
	frame_put(out, FRAME_END, 0, 2, NULL, 0);
	frame_put(out, FRAME_ANSWER, 0, UINT64_MAX, payload, 3000);
	frame_put(out, FRAME_PARTIAL, 0, 3, payload, 17);
	dice_event(&e);
	frame_put_event(out, 3, &e);
	frame_put_lost(out, 3, 5, 9);
	frame_put(out, FRAME_ERROR, 0, 3, payload, 5);
	frame_put(out, FRAME_ERROR, 0, 0, payload, 5);
}

enum { STREAM_FRAMES = 11 };

static void feed(struct frame_cutter *f, struct cut *c, const void *bytes, size_t n)
{
	/* Memory of just that size: a sanitizer sees every step too far. */
	uint8_t *copy = malloc(n + !n);
	memcpy(copy, bytes, n);
	assert_int_equal(frame_cut(f, copy, n, on_frame, c), 0);
	free(copy);
}

static void a_stream_cut_at_any_offset_is_the_same_frames(void **state)
{
	struct buf stream = BUF_INIT;
	dice_begin();
	put_stream(&stream);
	for (size_t at = 0; at <= stream.len; at++) {
		struct frame_cutter f = {0};
		struct cut c = {.cutter = &f};
		feed(&f, &c, stream.data, at);
		feed(&f, &c, stream.data + at, stream.len - at);
		assert_int_equal(c.n, STREAM_FRAMES);
		assert_int_equal(c.frames.len, stream.len);
		assert_memory_equal(c.frames.data, stream.data, stream.len);
		assert_int_equal(f.at, stream.len);
		assert_int_equal(f.held.len, 0);
		buf_release(&c.frames);
		frame_cutter_release(&f);
	}
	buf_release(&stream);
}

static void pieces_of_any_size_are_the_same_frames(void **state)
{
	struct buf stream = BUF_INIT;
	dice_begin();
	for (int i = 0; i < 20; i++)
		put_stream(&stream);
	for (size_t most = 1; most < 5000; most += 1 + most / 2) {
		struct frame_cutter f = {0};
		struct cut c = {.cutter = &f};
		for (size_t at = 0, n; at < stream.len; at += n) {
			n = 1 + dice_below(most);
			n = n < stream.len - at ? n : stream.len - at;
			feed(&f, &c, stream.data + at, n);
		}
		assert_int_equal(c.frames.len, stream.len);
		assert_memory_equal(c.frames.data, stream.data, stream.len);
		buf_release(&c.frames);
		frame_cutter_release(&f);
	}
	buf_release(&stream);
}

/* Where each frame lay. */
struct places {
	const uint8_t *payloads[STREAM_FRAMES];
	int n;
};

static int on_place(void *data, const struct frame *f)
{
	struct places *p = data;
	p->payloads[p->n++] = f->payload;
	return 0;
}

static void whole_frames_are_borrowed(void **state)
{
	struct buf stream = BUF_INIT;
	struct frame_cutter f = {0};
	struct places p = {0};
	dice_begin();
	put_stream(&stream);
	reallocs_left = 0;
	assert_int_equal(frame_cut(&f, stream.data, stream.len, on_place, &p), 0);
	reallocs_left = -1;
	assert_int_equal(p.n, STREAM_FRAMES);
	for (int i = 0; i < STREAM_FRAMES; i++)
		assert_in_range(
		    (uintptr_t)p.payloads[i], (uintptr_t)stream.data, (uintptr_t)stream.data + stream.len);
	/* Only one that is cut is held. */
	p.n = 0;
	assert_int_equal(frame_cut(&f, stream.data, stream.len - 1, on_place, &p), 0);
	assert_int_equal(p.n, STREAM_FRAMES - 1);
	assert_int_equal(f.held.len, FRAME_HEADER + 4);
	buf_release(&stream);
	frame_cutter_release(&f);
}

/* A peer that announces much and sends little gets little. */
static void memory_is_taken_as_bytes_come(void **state)
{
	static uint8_t frame[FRAME_HEADER + FRAME_PAYLOAD_MAX] = {
	    0x00, 0x10, 0x00, 0x00, FRAME_ANSWER, [15] = 1};
	struct frame_cutter f = {0};
	struct cut c = {.cutter = &f};
	for (size_t at = 0; at < sizeof frame; at += 1000) {
		size_t n = sizeof frame - at < 1000 ? sizeof frame - at : 1000;
		assert_int_equal(frame_cut(&f, frame + at, n, on_frame, &c), 0);
		assert_true(f.held.size <= 2 * (at + n) + 64);
	}
	assert_int_equal(c.n, 1);
	assert_memory_equal(c.frames.data, frame, sizeof frame);
	assert_int_equal(f.held.size, 0); /* and gives it back */
	buf_release(&c.frames);
	frame_cutter_release(&f);
}

static void no_more_than_one_frame_is_held(void **state)
{
	struct buf stream = BUF_INIT;
	struct frame_cutter f = {0};
	struct cut c = {.cutter = &f};
	dice_begin();
	put_stream(&stream);
	for (int i = 0; i < 1000; i++) {
		/* From the middle of a frame to the middle of the one of the next stream. */
		feed(&f, &c, stream.data + (i ? 8 : 0), stream.len - (i ? 8 : 0));
		feed(&f, &c, stream.data, 8);
		assert_int_equal(f.held.len, 8);
		assert_true(f.held.size <= 4096);
	}
	buf_release(&c.frames);
	buf_release(&stream);
	frame_cutter_release(&f);
}

static int stop_at_third(void *data, const struct frame *f)
{
	return ++*(int *)data == 3 ? -ECANCELED : 0;
}

static void who_is_given_a_frame_may_stop(void **state)
{
	struct buf stream = BUF_INIT;
	dice_begin();
	put_stream(&stream);
	for (size_t first = 0; first < 60; first += 20) {
		struct frame_cutter f = {0};
		int n = 0;
		assert_int_equal(frame_cut(&f, stream.data, first, stop_at_third, &n), 0);
		assert_int_equal(
		    frame_cut(&f, stream.data + first, stream.len - first, stop_at_third, &n), -ECANCELED);
		assert_int_equal(n, 3);
		assert_int_equal(f.at, FRAME_HEADER * 2 + 301); /* where that frame begins */
		frame_cutter_release(&f);
	}
	buf_release(&stream);
}

static int free_cutter(void *data, const struct frame *f)
{
	struct frame_cutter *c = data;
	frame_cutter_release(c);
	free(c);
	return 7;
}

static void who_stops_may_have_freed_the_cutter(void **state)
{
	for (size_t first = 0; first < 2; first++) {
		struct buf stream = BUF_INIT;
		struct frame_cutter *f = calloc(1, sizeof *f);
		dice_begin();
		put_stream(&stream);
		assert_int_equal(frame_cut(f, stream.data, first, free_cutter, f), 0);
		assert_int_equal(frame_cut(f, stream.data + first, stream.len - first, free_cutter, f), 7);
		buf_release(&stream);
	}
}

static int ignore(void *data, const struct frame *f)
{
	return 0;
}

static int feed_by_100(struct frame_cutter *f, const struct buf *stream)
{
	int r = 0;
	for (size_t at = 0; at < stream->len && !r; at += 100)
		r = frame_cut(
		    f, stream->data + at, at + 100 < stream->len ? 100 : stream->len - at, ignore, NULL);
	return r;
}

static void without_memory_the_stream_ends(void **state)
{
	struct buf stream = BUF_INIT;
	int r, left = 0;
	dice_begin();
	put_stream(&stream);
	do {
		struct frame_cutter f = {0};
		reallocs_left = left;
		r = feed_by_100(&f, &stream);
		reallocs_left = -1;
		assert_true(!r || r == -ENOMEM);
		frame_cutter_release(&f);
	} while (r && ++left < 100);
	assert_true(left > 1 && left < 100);
	buf_release(&stream);
}

/* --- headers --- */

static const struct {
	uint8_t header[FRAME_HEADER];
	const char *why;
	uint64_t at;
} bad_headers[] = {
    {{0, 16, 0, 1, 3, [15] = 1}, "a frame of more than 1048576 bytes", 0},
    {{255, 255, 255, 255, 3, [15] = 1}, "a frame of more than 1048576 bytes", 0},
    {{0, 0, 0, 1, 0, [15] = 1}, "a frame of no known kind", 4},
    {{0, 0, 0, 1, 10, [15] = 1}, "a frame of no known kind", 4},
    {{0, 0, 0, 1, 255, [15] = 1}, "a frame of no known kind", 4},
    {{0, 0, 0, 2, 2, 2, [15] = 1}, "a flag that this kind of frame does not have", 5},
    {{0, 0, 0, 2, 2, 0x81, [15] = 1}, "a flag that this kind of frame does not have", 5},
    {{0, 0, 0, 1, 3, 1, [15] = 1}, "a flag that this kind of frame does not have", 5},
    {{0, 0, 0, 1, 3, 0, 1, [15] = 1}, "not zero where a frame has zero", 6},
    {{0, 0, 0, 1, 3, 0, 0, 1, [15] = 1}, "not zero where a frame has zero", 6},
    {{0, 0, 0, 1, 1, [15] = 1}, "a hello with a number", 8},
    {{0, 0, 0, 2, 2}, "a frame that belongs to no query", 8},
    {{0, 0, 0, 1, 3}, "a frame that belongs to no query", 8},
    {{0, 0, 0, 0, 4}, "a frame that belongs to no query", 8},
    {{0, 0, 0, 52, 6}, "a frame that belongs to no query", 8},
    {{0, 0, 0, 16, 7}, "a frame that belongs to no query", 8},
    {{0, 0, 0, 0, 8}, "a frame that belongs to no query", 8},
    {{0, 0, 0, 1, 9}, "a frame that belongs to no query", 8},
    {{0, 0, 0, 0, 1}, "a length that this kind of frame does not have", 0},
    {{0, 0, 0, 1, 2, [15] = 1}, "a length that this kind of frame does not have", 0},
    {{0, 0, 0, 0, 3, [15] = 1}, "a length that this kind of frame does not have", 0},
    {{0, 0, 0, 1, 4, [15] = 1}, "a length that this kind of frame does not have", 0},
    {{0, 0, 0, 0, 5, [15] = 1}, "a length that this kind of frame does not have", 0},
    {{0, 0, 0, 51, 6, [15] = 1}, "a length that this kind of frame does not have", 0},
    {{0, 0, 0, 15, 7, [15] = 1}, "a length that this kind of frame does not have", 0},
    {{0, 0, 0, 17, 7, [15] = 1}, "a length that this kind of frame does not have", 0},
    {{0, 0, 0, 1, 8, [15] = 1}, "a length that this kind of frame does not have", 0},
    {{0, 0, 0, 0, 9, [15] = 1}, "a length that this kind of frame does not have", 0},
};

static void a_bad_header_is_refused_where_it_is_bad(void **state)
{
	struct buf good = BUF_INIT;
	frame_put(&good, FRAME_END, 0, 1, NULL, 0);
	for (size_t i = 0; i < N(bad_headers); i++)
		for (size_t piece = 1; piece <= 2 * FRAME_HEADER; piece++) {
			struct frame_cutter f = {0};
			struct cut c = {.cutter = &f};
			uint8_t stream[2 * FRAME_HEADER];
			int r = 0;
			memcpy(stream, good.data, FRAME_HEADER);
			memcpy(stream + FRAME_HEADER, bad_headers[i].header, FRAME_HEADER);
			for (size_t at = 0; at < sizeof stream && !r; at += piece)
				r = frame_cut(&f, stream + at,
				    at + piece < sizeof stream ? piece : sizeof stream - at, on_frame, &c);
			assert_int_equal(r, -EPROTO);
			assert_int_equal(c.n, 1);
			assert_string_equal(f.why, bad_headers[i].why);
			assert_int_equal(f.at, FRAME_HEADER + bad_headers[i].at);
			assert_int_equal(
			    frame_cut(&f, good.data, good.len, on_frame, &c), -EPROTO); /* for good */
			assert_int_equal(c.n, 1);
			frame_cutter_release(&f);
			buf_release(&c.frames);
		}
	buf_release(&good);
}

static void one_frame_is_read_whole_and_alone(void **state)
{
	struct buf b = BUF_INIT;
	struct frame f = {.number = 99};
	const char *why = NULL;
	frame_put(&b, FRAME_ANSWER, 0, 7, "abc", 3);
	for (size_t n = 0; n < b.len; n++) {
		assert_int_equal(frame_read(b.data, n, &f, &why), -EPROTO);
		assert_string_equal(
		    why, n < FRAME_HEADER ? "less than a frame's header" : "not just one frame");
	}
	assert_int_equal(f.number, 99);
	assert_int_equal(frame_read(b.data, b.len, &f, &why), 0);
	assert_int_equal(f.kind, FRAME_ANSWER);
	assert_int_equal(f.number, 7);
	assert_int_equal(f.n, 3);
	assert_ptr_equal(f.payload, b.data + FRAME_HEADER);
	buf_putc(&b, 0);
	assert_int_equal(frame_read(b.data, b.len, &f, &why), -EPROTO);
	assert_string_equal(why, "not just one frame");
	for (size_t i = 0; i < N(bad_headers); i++) {
		assert_int_equal(frame_read(bad_headers[i].header, FRAME_HEADER, &f, &why), -EPROTO);
		assert_string_equal(why, bad_headers[i].why);
	}
	buf_release(&b);
}

static void a_frame_that_is_too_large_is_not_put(void **state)
{
	static const uint8_t payload[FRAME_PAYLOAD_MAX + 1];
	struct buf out = BUF_INIT;
	buf_puts(&out, "before");
	assert_int_equal(frame_put(&out, FRAME_ANSWER, 0, 1, payload, sizeof payload), -EMSGSIZE);
	assert_int_equal(out.len, 6);
	size_t begin = frame_begin(&out, FRAME_ANSWER, 0, 1);
	buf_put(&out, payload, sizeof payload);
	assert_int_equal(frame_end(&out, begin), -EMSGSIZE);
	assert_int_equal(out.len, 6);
	assert_int_equal(frame_put(&out, FRAME_ANSWER, 0, 1, payload, sizeof payload - 1), 0);
	assert_int_equal(out.len, 6 + FRAME_HEADER + FRAME_PAYLOAD_MAX);
	buf_release(&out);
}

static void a_frame_is_given_another_number_in_place(void **state)
{
	struct buf a = BUF_INIT, b = BUF_INIT;
	frame_put(&a, FRAME_ANSWER, 0, 7, "abc", 3);
	frame_put(&b, FRAME_ANSWER, 0, 0xfedcba9876543210, "abc", 3);
	frame_renumber(a.data, 0xfedcba9876543210);
	assert_int_equal(a.len, b.len);
	assert_memory_equal(a.data, b.data, a.len);
	buf_release(&a);
	buf_release(&b);
}

/* --- events --- */

static const struct frame_event an_event = {
    .sequence = 0x0102030405060708,
    .time_ns = 0x1122334455667788,
    .tag = 0x80000001,
    .sender = {{{0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xab, 0xac, 0xad, 0xae,
		   0xaf}},
	0x01020304, 0x1112131415161718},
    .causes = {{{{{0xb0, [15] = 0xbf}}, 0x2122232425262728}, 0x3132333435363738}},
    .causes_n = 1,
    .data = (const uint8_t *)"hello",
    .n = 5,
};

/* As docs/frames.md has the layout, typed from there. */
static const uint8_t an_event_s_bytes[] = {0, 0, 0, 89, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1,
    2,									    /* header, query 258 */
    1, 2, 3, 4, 5, 6, 7, 8, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, /* sequence, time */
    0x80, 0, 0, 1, 1, 0, 0, 0,						    /* tag, causes, zero */
    0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xab, 0xac, 0xad, 0xae,
    0xaf,							/* its host */
    1, 2, 3, 4, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18, /* process, entity */
    0xb0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xbf,	/* the cause's channel */
    0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0x27, 0x28, 0x31, 0x32, 0x33, 0x34, 0x35, 0x36, 0x37,
    0x38, /* number, sequence */
    'h', 'e', 'l', 'l', 'o'};

static bool same_event(const struct frame_event *a, const struct frame_event *b)
{
	bool same = a->sequence == b->sequence && a->time_ns == b->time_ns && a->tag == b->tag &&
		    entity_id_is(&a->sender, &b->sender) && a->causes_n == b->causes_n && a->n == b->n &&
		    !memcmp(a->data, b->data, a->n);
	for (size_t i = 0; same && i < a->causes_n; i++)
		same = channel_id_is(&a->causes[i].channel, &b->causes[i].channel) &&
		       a->causes[i].sequence == b->causes[i].sequence;
	return same;
}

static struct frame the_frame_in(const struct buf *b)
{
	struct frame f;
	const char *why;
	assert_int_equal(frame_read(b->data, b->len, &f, &why), 0);
	return f;
}

static void an_event_is_laid_out_as_the_page_says(void **state)
{
	struct buf out = BUF_INIT;
	struct frame_event e;
	assert_int_equal(frame_put_event(&out, 258, &an_event), 0);
	assert_int_equal(out.len, sizeof an_event_s_bytes);
	assert_memory_equal(out.data, an_event_s_bytes, out.len);
	struct frame f = the_frame_in(&out);
	assert_int_equal(f.kind, FRAME_EVENT_KIND);
	assert_int_equal(f.number, 258);
	assert_int_equal(frame_get_event(&f, &e), 0);
	assert_true(same_event(&e, &an_event));
	assert_ptr_equal(e.data, out.data + out.len - 5);
	buf_release(&out);
}

static void events_come_back(void **state)
{
	dice_begin();
	for (int i = 0; i < 2000; i++) {
		struct frame_event e, again;
		struct buf out = BUF_INIT;
		dice_event(&e);
		assert_int_equal(frame_put_event(&out, dice() | 1, &e), 0);
		struct frame f = the_frame_in(&out);
		assert_int_equal(frame_get_event(&f, &again), 0);
		assert_true(same_event(&e, &again));
		buf_release(&out);
	}
}

static void an_event_that_is_cut_or_has_no_zeros_is_refused(void **state)
{
	uint8_t bytes[sizeof an_event_s_bytes - FRAME_HEADER];
	struct frame_event e = {.sequence = 77};
	memcpy(bytes, an_event_s_bytes + FRAME_HEADER, sizeof bytes);
	struct frame f = {.kind = FRAME_EVENT_KIND, .number = 1, .payload = bytes};
	for (f.n = 0; f.n < FRAME_EVENT + FRAME_CAUSE; f.n++)
		assert_int_equal(frame_get_event(&f, &e), -EPROTO);
	assert_int_equal(frame_get_event(&f, &e), 0);
	e.sequence = 77;
	for (size_t zero = 21; zero < 24; zero++) {
		bytes[zero] = 1;
		assert_int_equal(frame_get_event(&f, &e), -EPROTO);
		bytes[zero] = 0;
	}
	for (int causes = 2; causes < 256; causes++) {
		bytes[20] = (uint8_t)causes;
		assert_int_equal(frame_get_event(&f, &e), -EPROTO);
	}
	assert_int_equal(e.sequence, 77);
}

static void an_event_has_15_causes_at_most(void **state)
{
	static uint8_t bytes[FRAME_EVENT + 16 * FRAME_CAUSE] = {[20] = 15};
	struct frame f = {.kind = FRAME_EVENT_KIND, .number = 1, .payload = bytes, .n = sizeof bytes};
	struct frame_event e;
	struct buf out = BUF_INIT;
	assert_int_equal(frame_get_event(&f, &e), 0);
	assert_int_equal(e.causes_n, 15);
	assert_int_equal(e.n, FRAME_CAUSE);
	assert_int_equal(frame_put_event(&out, 1, &e), 0);
	bytes[20] = 16;
	assert_int_equal(frame_get_event(&f, &e), -EPROTO);
	e.causes_n = 16;
	assert_int_equal(frame_put_event(&out, 1, &e), -EINVAL);
	assert_int_equal(out.len, FRAME_HEADER + sizeof bytes);
	buf_release(&out);
}

static void an_event_fills_a_frame_at_most(void **state)
{
	static const uint8_t data[FRAME_PAYLOAD_MAX];
	struct frame_event e = {.data = data, .n = FRAME_PAYLOAD_MAX - FRAME_EVENT};
	struct buf out = BUF_INIT;
	assert_int_equal(frame_put_event(&out, 1, &e), 0);
	assert_int_equal(out.len, FRAME_HEADER + FRAME_PAYLOAD_MAX);
	e.n++;
	assert_int_equal(frame_put_event(&out, 1, &e), -EMSGSIZE);
	e.n--;
	e.causes_n = 1;
	assert_int_equal(frame_put_event(&out, 1, &e), -EMSGSIZE);
	assert_int_equal(out.len, FRAME_HEADER + FRAME_PAYLOAD_MAX);
	buf_release(&out);
}

static void a_loss_is_a_count_and_a_place(void **state)
{
	static const uint8_t expected[] = {0, 0, 0, 16, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, /* header */
	    0, 0, 0, 0, 0, 0, 1, 0, 0xff, 0xfe, 0xfd, 0xfc, 0xfb, 0xfa, 0xf9, 0xf8};
	struct buf out = BUF_INIT;
	uint64_t lost = 0, before = 0;
	assert_int_equal(frame_put_lost(&out, 3, 256, 0xfffefdfcfbfaf9f8), 0);
	assert_int_equal(out.len, sizeof expected);
	assert_memory_equal(out.data, expected, sizeof expected);
	struct frame f = the_frame_in(&out);
	assert_int_equal(frame_get_lost(&f, &lost, &before), 0);
	assert_true(lost == 256 && before == 0xfffefdfcfbfaf9f8);
	for (f.n = 0; f.n < 20; f.n++)
		assert_int_equal(frame_get_lost(&f, &lost, &before), f.n == FRAME_LOSS ? 0 : -EPROTO);
	buf_release(&out);
}

static void what_finds_no_memory_says_so(void **state)
{
	struct buf out = BUF_INIT;
	reallocs_left = 0;
	assert_int_equal(frame_put(&out, FRAME_END, 0, 1, NULL, 0), -ENOMEM);
	assert_true(out.failed);
	assert_int_equal(frame_put_event(&out, 1, &an_event), -ENOMEM);
	reallocs_left = -1;
	assert_int_equal(frame_put_lost(&out, 1, 1, 1), -ENOMEM); /* it sticks */
	buf_clear(&out);
	assert_int_equal(frame_put_lost(&out, 1, 1, 1), 0);
	buf_release(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_stream_cut_at_any_offset_is_the_same_frames),
	    cmocka_unit_test(pieces_of_any_size_are_the_same_frames),
	    cmocka_unit_test(whole_frames_are_borrowed),
	    cmocka_unit_test(memory_is_taken_as_bytes_come),
	    cmocka_unit_test(no_more_than_one_frame_is_held),
	    cmocka_unit_test(who_is_given_a_frame_may_stop),
	    cmocka_unit_test(who_stops_may_have_freed_the_cutter),
	    cmocka_unit_test(without_memory_the_stream_ends),
	    cmocka_unit_test(a_bad_header_is_refused_where_it_is_bad),
	    cmocka_unit_test(one_frame_is_read_whole_and_alone),
	    cmocka_unit_test(a_frame_that_is_too_large_is_not_put),
	    cmocka_unit_test(a_frame_is_given_another_number_in_place),
	    cmocka_unit_test(an_event_is_laid_out_as_the_page_says),
	    cmocka_unit_test(events_come_back),
	    cmocka_unit_test(an_event_that_is_cut_or_has_no_zeros_is_refused),
	    cmocka_unit_test(an_event_has_15_causes_at_most),
	    cmocka_unit_test(an_event_fills_a_frame_at_most),
	    cmocka_unit_test(a_loss_is_a_count_and_a_place),
	    cmocka_unit_test(what_finds_no_memory_says_so),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
