/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proto/cbor.h"
#include "proto/frame.h"
#include "proto/frame_dice_test.h"

#define N(a) (sizeof(a) / sizeof *(a))

/* Linked with --wrap=malloc, --wrap=realloc: no memory after so many times. */
static int memory_left = -1; /* below 0: any number */
void *__real_malloc(size_t n);
void *__wrap_malloc(size_t n);
void *__real_realloc(void *p, size_t n);
void *__wrap_realloc(void *p, size_t n);

static bool have_memory(void)
{
	return memory_left < 0 || (memory_left && memory_left--);
}

void *__wrap_malloc(size_t n)
{
	return have_memory() ? __real_malloc(n) : NULL;
}

void *__wrap_realloc(void *p, size_t n)
{
	return have_memory() ? __real_realloc(p, n) : NULL;
}

/* --- the layout, by hand --- */

/* ["channel", {"query": "put", "tag": -3, "now": true, "data": h'00ff'}, "x", [["c"], ["d", {}, "y"]]] */
static const char a_message[] = "\x84\x67"
				"channel\xa4\x65"
				"query\x63"
				"put\x63"
				"tag\x22\x63"
				"now\xf5\x64"
				"data\x42\x00\xff\x61x\x82\x81\x61"
				"c\x83\x61"
				"d\xa0\x61y";

static struct msg *make_message(void)
{
	struct msg *m = msg_new("channel");
	msg_set(m, "query", "put");
	msg_set_int(m, "tag", -3);
	msg_set_flag(m, "now", true);
	msg_set_bytes(m, "data", "\x00\xff", 2);
	msg_text(m, "x", 1);
	msg_child(m, "c");
	msg_text(msg_child(m, "d"), "y", 1);
	return m;
}

static struct frame the_frame_in(const struct buf *b)
{
	struct frame f;
	const char *why;
	assert_int_equal(frame_read(b->data, b->len, &f, &why), 0);
	return f;
}

static int read_payload(const void *payload, size_t n, struct msg **ret, const char **ret_why)
{
	struct frame f = {.kind = FRAME_ANSWER, .number = 1, .payload = payload, .n = n};
	return frame_get_msg(&f, ret, ret_why);
}

static void a_message_is_laid_out_as_the_page_says(void **state)
{
	struct buf out = BUF_INIT;
	struct msg *m = make_message(), *again = NULL;
	const char *why = NULL;
	assert_int_equal(frame_put_msg(&out, FRAME_ANSWER, 5, m), 0);
	assert_int_equal(out.len, FRAME_HEADER + sizeof a_message - 1);
	assert_memory_equal(out.data, "\0\0\0\x32\3\0\0\0\0\0\0\0\0\0\0\5", FRAME_HEADER);
	assert_memory_equal(out.data + FRAME_HEADER, a_message, sizeof a_message - 1);
	struct frame f = the_frame_in(&out);
	assert_int_equal(frame_get_msg(&f, &again, &why), 0);
	assert_true(same_message(m, again));
	msg_free(m);
	msg_free(again);
	buf_release(&out);
}

static void what_is_empty_at_the_end_is_left_out(void **state)
{
	static const struct {
		const char *payload;
		bool field, text, child;
	} cases[] = {{"\x81\x61m", false, false, false},
	    {"\x82\x61m\xa1\x61"
	     "f\x00",
		true, false, false},
	    {"\x83\x61m\xa0\x61t", false, true, false},
	    {"\x84\x61m\xa0\x60\x81\x81\x61"
	     "c",
		false, false, true}};
	static const size_t sizes[] = {3, 7, 6, 9};
	for (size_t i = 0; i < N(cases); i++) {
		struct msg *m = msg_new("m");
		struct buf out = BUF_INIT;
		if (cases[i].field)
			msg_set_int(m, "f", 0);
		if (cases[i].text)
			msg_text(m, "t", 1);
		if (cases[i].child)
			msg_child(m, "c");
		assert_int_equal(frame_put_msg(&out, FRAME_ANSWER, 5, m), 0);
		assert_int_equal(out.len, FRAME_HEADER + sizes[i]);
		assert_memory_equal(out.data + FRAME_HEADER, cases[i].payload, sizes[i]);
		msg_free(m);
		buf_release(&out);
	}
	struct msg *m = NULL;
	const char *why;
	assert_int_equal(read_payload("\x84\x61m\xa0\x60\x80", 6, &m, &why), 0); /* others need not */
	assert_true(!m->fields && !*m->text && !m->children);
	msg_free(m);
}

static void a_query_begins_with_its_route(void **state)
{
	static const struct {
		struct frame_route route;
		const char *bytes;
		size_t n;
	} cases[] = {
	    {{.to = ""}, "\x80", 1},
	    {{.to = "h2"}, "\x81\x62h2", 4},
	    {{.deadline_ms = 500}, "\x82\x60\x19\x01\xf4", 5},
	    {{.to = "h2", .deadline_ms = INT64_MAX}, "\x82\x62h2\x1b\x7f\xff\xff\xff\xff\xff\xff\xff", 13},
	    {{.caller = {{{1, [15] = 2}}, 1000, UINT32_MAX, true}},
		"\x83\x60\x00\x83\x50\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\2\x19\x03\xe8\x1a\xff\xff\xff\xff", 29},
	};
	struct msg *m = msg_new("m"), *again;
	for (size_t i = 0; i < N(cases); i++) {
		struct buf out = BUF_INIT, passed_on = BUF_INIT;
		struct frame_route r = {.deadline_ms = 1};
		const char *why;
		size_t at = 0;
		assert_int_equal(frame_put_query(&out, FRAME_ONE_WAY, 9, &cases[i].route, m), 0);
		struct frame f = the_frame_in(&out);
		assert_int_equal(f.kind, FRAME_QUERY);
		assert_int_equal(f.flags, FRAME_ONE_WAY);
		assert_int_equal(f.n, cases[i].n + 3);
		assert_memory_equal(f.payload, cases[i].bytes, cases[i].n);
		assert_memory_equal(f.payload + cases[i].n, "\x81\x61m", 3);
		assert_int_equal(frame_get_query(&f, &r, &again, &why), 0);
		assert_string_equal(again->name, "m");
		assert_memory_equal(&r, &cases[i].route, sizeof r);
		assert_int_equal(frame_get_route(&f, &r, &at, &why), 0);
		assert_int_equal(at, cases[i].n);
		assert_memory_equal(&r, &cases[i].route, sizeof r);
		assert_int_equal(
		    frame_put_query_bytes(&passed_on, f.flags, f.number, &r, f.payload + at, f.n - at), 0);
		assert_int_equal(passed_on.len, out.len);
		assert_memory_equal(passed_on.data, out.data, out.len);
		msg_free(again);
		buf_release(&out);
		buf_release(&passed_on);
	}
	msg_free(m);
}

/* --- there and back --- */

static void messages_come_back(void **state)
{
	dice_begin();
	for (int i = 0; i < 3000; i++) {
		struct msg *m = dice_message(), *again = NULL, *copy = msg_dup(m);
		struct frame_route route, found = {0};
		struct buf out = BUF_INIT;
		const char *why = NULL;
		size_t at;
		dice_route(&route);
		assert_int_equal(frame_put_query(&out, 0, dice() | 1, &route, m), 0);
		struct frame f = the_frame_in(&out);
		assert_int_equal(frame_get_query(&f, &found, &again, &why), 0);
		assert_true(same_message(m, again) && same_message(m, copy));
		msg_free(copy);
		assert_memory_equal(&route, &found, sizeof route);
		assert_int_equal(frame_get_route(&f, &found, &at, &why), 0);
		msg_free(m);
		msg_free(again);
		buf_release(&out);
	}
}

/* In memory of just that size: a sanitizer sees every step too far. */
static void a_message_cut_anywhere_is_refused(void **state)
{
	dice_begin();
	for (int i = 0; i < 200; i++) {
		struct msg *m = dice_message(), *again = NULL;
		struct buf out = BUF_INIT;
		const char *why;
		assert_int_equal(frame_put_msg(&out, FRAME_ANSWER, 1, m), 0);
		size_t n = out.len - FRAME_HEADER, step = 1 + n / 500;
		for (size_t cut = 0; cut < n; cut += step) {
			uint8_t *part = malloc(cut + !cut);
			memcpy(part, out.data + FRAME_HEADER, cut);
			why = NULL;
			assert_int_equal(read_payload(part, cut, &again, &why), -EPROTO);
			assert_string_equal(why, "ends too early");
			free(part);
		}
		assert_null(again);
		msg_free(m);
		buf_release(&out);
	}
}

/* Each byte of a message made each other byte: what is still a message comes back the same, all else says
 * why. */
static void any_wrong_byte_does_no_harm(void **state)
{
	char payload[sizeof a_message - 1];
	int good = 0, refused = 0;
	for (size_t at = 0; at < sizeof payload; at++)
		for (int wrong = 0; wrong < 256; wrong++) {
			struct msg *m = NULL, *again = NULL;
			const char *why = NULL;
			struct buf out = BUF_INIT;
			memcpy(payload, a_message, sizeof payload);
			payload[at] = (char)wrong;
			if (read_payload(payload, sizeof payload, &m, &why)) {
				assert_non_null(why);
				assert_null(m);
				refused++;
				continue;
			}
			good++;
			assert_int_equal(frame_put_msg(&out, FRAME_ANSWER, 1, m), 0);
			struct frame f = the_frame_in(&out);
			assert_int_equal(frame_get_msg(&f, &again, &why), 0);
			assert_true(same_message(m, again));
			msg_free(m);
			msg_free(again);
			buf_release(&out);
		}
	assert_true(good > 1000 && refused > 5000);
}

/* --- what is refused --- */

static void what_is_no_message_says_why(void **state)
{
	static const struct {
		const char *bytes;
		size_t n;
		const char *why;
	} cases[] = {
	    {"\x80", 1, "a message without a name"},
	    {"\x85\x61m\xa0\x60\x80\x00", 7, "more items than allowed"},
	    {"\x81\x60", 2, "a name that is not letters, digits, _, - and ."},
	    {"\x81\x61 ", 3, "a name that is not letters, digits, _, - and ."},
	    {"\x81\x61-", 3, "a name that is not letters, digits, _, - and ."},
	    {"\x81\x62"
	     "a/",
		4, "a name that is not letters, digits, _, - and ."},
	    {"\x81\x62\xc3\xa9", 4, "a name that is not letters, digits, _, - and ."},
	    {"\x81\x01", 2, "not text"},
	    {"\x61m", 2, "not an array"},
	    {"\x82\x61m\x80", 4, "not a map"},
	    {"\x82\x61m\xa1\x01\x01", 6, "not text"},
	    {"\x82\x61m\xa1\x61x\x80", 7, "a field that is an array or a map"},
	    {"\x82\x61m\xa1\x61x\xa0", 7, "a field that is an array or a map"},
	    {"\x82\x61m\xa1\x61x\xf6", 7, "a float, null or simple value"},
	    {"\x82\x61m\xa1\x61x\xf9\x3c\x00", 9, "a float, null or simple value"},
	    {"\x82\x61m\xa1\x61x\xc1\x00", 8, "a tag"},
	    {"\x82\x61m\xbf\x61x\x01\xff", 8, "an indefinite length"},
	    {"\x82\x61m\xa1\x61x\x7f\x61z\xff", 10, "an indefinite length"},
	    {"\x82\x61m\xa1\x61x\x1b\x80\0\0\0\0\0\0\0", 15, "an integer outside -2^63 to 2^63-1"},
	    {"\x82\x61m\xa2\x61x\x01\x61x\x02", 10, "a field that is there twice"},
	    {"\x82\x61m\xa2\x61x\x01\x78\x01x\x01", 11, "a field that is there twice"},
	    {"\x83\x61m\xa0\x01", 5, "not text"},
	    {"\x83\x61m\xa0\x61\x01", 6, "text with bytes that are no character of XML"},
	    {"\x84\x61m\xa0\x60\xa0", 6, "not an array"},
	    {"\x84\x61m\xa0\x60\x81\x01", 7, "not an array"},
	    {"\x81\x61m\x00", 4, "bytes after the message"},
	    {"\x81\x61m\x81\x61m", 6, "bytes after the message"},
	};
	for (size_t i = 0; i < N(cases); i++) {
		struct msg *m = NULL;
		const char *why = NULL;
		assert_int_equal(read_payload(cases[i].bytes, cases[i].n, &m, &why), -EPROTO);
		assert_string_equal(why, cases[i].why);
		assert_null(m);
	}
}

static void what_is_no_route_says_why(void **state)
{
	static const struct {
		const char *bytes;
		size_t n;
		const char *why;
	} cases[] = {
	    {"\x60\x81\x61m", 4, "not an array"},
	    {"\x84\x60\x00\x80\x00\x81\x61m", 8, "more items than allowed"},
	    {"\x81\x01\x81\x61m", 5, "not text"},
	    {"\x82\x60\x20\x81\x61m", 6, "a deadline below 0"},
	    {"\x82\x60\x60\x81\x61m", 6, "not an integer"},
	    {"\x83\x60\x00\x80\x81\x61m", 7, "not bytes"},
	    {"\x83\x60\x00\x83\x4f\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x81\x61m", 25,
		"a caller that is not a host's 16 bytes, a uid and a pid"},
	    {"\x83\x60\x00\x83\x50\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x20\0\x81\x61m", 26,
		"a caller that is not a host's 16 bytes, a uid and a pid"},
	    {"\x83\x60\x00\x83\x50\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x1b\0\0\0\1\0\0\0\0\x81\x61m", 34,
		"a caller that is not a host's 16 bytes, a uid and a pid"},
	    {"\x83\x60\x00\x82\x50\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x81\x61m", 26,
		"a caller that is not a host's 16 bytes, a uid and a pid"},
	    {"\x80", 1, "ends too early"},
	    {"\x80\x81\x61m\x00", 5, "bytes after the message"},
	};
	for (size_t i = 0; i < N(cases); i++) {
		struct frame f = {.kind = FRAME_QUERY,
		    .number = 1,
		    .payload = (const uint8_t *)cases[i].bytes,
		    .n = cases[i].n};
		struct frame_route route = {.deadline_ms = 77};
		struct msg *m = NULL;
		const char *why = NULL;
		size_t at = 99;
		assert_int_equal(frame_get_query(&f, &route, &m, &why), -EPROTO);
		assert_string_equal(why, cases[i].why);
		assert_int_equal(frame_get_route(&f, &route, &at, &why), -EPROTO);
		assert_string_equal(why, cases[i].why);
		assert_true(route.deadline_ms == 77 && !m && at == 99);
	}
}

/* What a daemon would pass on is looked at, so that the next need not blame it. */
static void a_query_is_passed_on_only_if_it_reads(void **state)
{
	dice_begin();
	for (int i = 0; i < 20000; i++) {
		struct msg *m = make_message(), *again = NULL;
		struct frame_route route, found;
		struct buf out = BUF_INIT;
		const char *why = NULL, *same_why = NULL;
		size_t at;
		dice_route(&route);
		assert_int_equal(frame_put_query(&out, 0, 1, &route, m), 0);
		for (size_t k = dice_below(4); k; k--)
			out.data[FRAME_HEADER + dice_below(out.len - FRAME_HEADER)] = (char)dice();
		struct frame f = the_frame_in(&out);
		int r = frame_get_query(&f, &found, &again, &why);
		assert_int_equal(frame_get_route(&f, &found, &at, &same_why), r);
		assert_ptr_equal(why, same_why);
		msg_free(m);
		msg_free(again);
		buf_release(&out);
	}
}

static void a_name_has_255_bytes_at_most(void **state)
{
	char name[257];
	memset(name, 'n', 256);
	name[256] = '\0';
	for (size_t n = 255; n <= 256; n++) {
		struct msg *a = msg_new(name + 256 - n), *b = msg_new("m"), *again = NULL;
		struct buf out = BUF_INIT;
		uint8_t payload[300];
		const char *why;
		msg_set_int(b, name + 256 - n, 1);
		assert_int_equal(frame_put_msg(&out, FRAME_ANSWER, 1, a), n == 255 ? 0 : -EINVAL);
		assert_int_equal(frame_put_msg(&out, FRAME_ANSWER, 1, b), n == 255 ? 0 : -EINVAL);
		memcpy(payload, "\x81\x79", 2);
		payload[2] = (uint8_t)(n >> 8);
		payload[3] = (uint8_t)n;
		memcpy(payload + 4, name, n);
		assert_int_equal(read_payload(payload, 4 + n, &again, &why), n == 255 ? 0 : -EPROTO);
		if (n > 255)
			assert_string_equal(why, "longer than allowed");
		else
			msg_free(again);
		msg_free(a);
		msg_free(b);
		buf_release(&out);
	}
}

static void put_numbered_fields(struct buf *payload, size_t n)
{
	char name[24];
	for (size_t i = 0; i < n; i++) {
		snprintf(name, sizeof name, "f%zu", i);
		cbor_put_text(payload, name, strlen(name));
		cbor_put_int(payload, 0);
	}
}

static void a_message_has_64_fields_at_most(void **state)
{
	for (size_t n = 64; n <= 65; n++) {
		struct msg *m = msg_new("m"), *again = NULL;
		struct buf out = BUF_INIT, payload = BUF_INIT;
		const char *why;
		char name[24];
		for (size_t i = 0; i < n; i++) {
			snprintf(name, sizeof name, "f%zu", i);
			msg_set_int(m, name, 0);
		}
		assert_int_equal(frame_put_msg(&out, FRAME_ANSWER, 1, m), n == 64 ? 0 : -EMSGSIZE);
		cbor_put_array(&payload, 2);
		cbor_put_text(&payload, "m", 1);
		cbor_put_map(&payload, n);
		put_numbered_fields(&payload, n);
		assert_int_equal(
		    read_payload(payload.data, payload.len, &again, &why), n == 64 ? 0 : -EPROTO);
		if (n > 64)
			assert_string_equal(why, "more items than allowed");
		else
			assert_memory_equal(out.data + FRAME_HEADER, payload.data, payload.len);
		msg_free(m);
		msg_free(again);
		buf_release(&out);
		buf_release(&payload);
	}
}

static void children_are_4_levels_deep_at_most(void **state)
{
	for (int depth = 4; depth <= 5; depth++) {
		struct msg *m = msg_new("m"), *c = m, *again = NULL;
		struct buf out = BUF_INIT, payload = BUF_INIT;
		const char *why;
		for (int i = 0; i < depth; i++) {
			c = msg_child(c, "m");
			buf_put(&payload, "\x84\x61m\xa0\x60\x81", 6);
		}
		buf_put(&payload, "\x81\x61m", 3);
		assert_int_equal(frame_put_msg(&out, FRAME_ANSWER, 1, m), depth == 4 ? 0 : -EMSGSIZE);
		assert_int_equal(
		    read_payload(payload.data, payload.len, &again, &why), depth == 4 ? 0 : -EPROTO);
		if (depth > 4)
			assert_string_equal(why, "a message more than 4 levels deep");
		else
			assert_memory_equal(out.data + FRAME_HEADER, payload.data, payload.len);
		msg_free(m);
		msg_free(again);
		buf_release(&out);
		buf_release(&payload);
	}
}

/* As deep as a frame has room for: neither the stack nor time is at its disposal. */
static void depth_without_end_is_refused(void **state)
{
	struct buf payload = BUF_INIT;
	struct msg *m = NULL;
	const char *why;
	while (payload.len + 6 <= FRAME_PAYLOAD_MAX)
		buf_put(&payload, "\x84\x61m\xa0\x60\x81", 6);
	assert_int_equal(read_payload(payload.data, payload.len, &m, &why), -EPROTO);
	assert_string_equal(why, "a message more than 4 levels deep");
	payload.len = 0;
	while (payload.len < FRAME_PAYLOAD_MAX)
		buf_putc(&payload, '\x81');
	assert_int_equal(read_payload(payload.data, payload.len, &m, &why), -EPROTO);
	buf_release(&payload);
}

/* The root, and 65535 children or fields. */
static void a_frame_has_65536_fields_and_messages_at_most(void **state)
{
	for (size_t n = FRAME_ITEMS_MAX; n <= FRAME_ITEMS_MAX + 1; n++) {
		struct msg *m = msg_new("m"), *again = NULL;
		struct buf out = BUF_INIT;
		const char *why;
		for (size_t i = 1; i < n; i += 2)
			msg_set_int(msg_child(m, "c"), "f", 0);
		if (n % 2 == 0) /* the last child has no field */
			m->last_child->fields = NULL;
		int r = frame_put_msg(&out, FRAME_ANSWER, 1, m);
		assert_int_equal(r, n == FRAME_ITEMS_MAX ? 0 : -EMSGSIZE);
		assert_true(!r || !out.len);
		if (!r) {
			struct frame f = the_frame_in(&out);
			assert_int_equal(frame_get_msg(&f, &again, &why), 0);
			msg_free(again);
			/* One more in the root, or in the last: reading counts as well. */
			uint8_t *more = malloc(f.n + 4);
			memcpy(more, "\x84\x61m\xa1\x61x\x00\x60", 8);
			memcpy(more + 8, f.payload + 5, f.n - 5);
			assert_int_equal(read_payload(more, f.n + 3, &again, &why), -EPROTO);
			assert_string_equal(why, "more than 65536 fields and messages");
			memcpy(more, f.payload, f.n - 3);
			memcpy(more + f.n - 3,
			    "\x82\x61"
			    "c\xa1\x61"
			    "f\x00",
			    7);
			assert_int_equal(read_payload(more, f.n + 4, &again, &why), -EPROTO);
			assert_string_equal(why, "more than 65536 fields and messages");
			free(more);
		}
		msg_free(m);
		buf_release(&out);
	}
}

static void also_messages_without_fields_are_counted(void **state)
{
	struct msg *m = msg_new("m");
	struct buf out = BUF_INIT;
	for (int i = 1; i < FRAME_ITEMS_MAX; i++)
		msg_child(m, "c");
	assert_int_equal(frame_put_msg(&out, FRAME_ANSWER, 1, m), 0);
	buf_clear(&out);
	msg_child(m, "c");
	assert_int_equal(frame_put_msg(&out, FRAME_ANSWER, 1, m), -EMSGSIZE);
	assert_int_equal(out.len, 0);
	msg_free(m);
	buf_release(&out);
}

static void a_message_fills_a_frame_at_most(void **state)
{
	static char text[FRAME_PAYLOAD_MAX + 1];
	memset(text, 't', sizeof text - 1);
	for (size_t n = FRAME_PAYLOAD_MAX - 9; n <= FRAME_PAYLOAD_MAX - 8; n++) {
		struct msg *m = msg_new("m"), *again = NULL;
		struct frame_route route = {.to = ""};
		struct buf out = BUF_INIT;
		const char *why;
		msg_text(m, text, n);
		buf_puts(&out, "before");
		assert_int_equal(frame_put_query(&out, 0, 1, &route, m), -EMSGSIZE); /* by the route */
		assert_int_equal(out.len, 6);
		assert_int_equal(
		    frame_put_msg(&out, FRAME_ANSWER, 1, m), n == FRAME_PAYLOAD_MAX - 9 ? 0 : -EMSGSIZE);
		if (n == FRAME_PAYLOAD_MAX - 9) {
			assert_int_equal(out.len, 6 + FRAME_HEADER + FRAME_PAYLOAD_MAX);
			assert_int_equal(
			    read_payload(out.data + 6 + FRAME_HEADER, FRAME_PAYLOAD_MAX, &again, &why), 0);
			assert_string_equal(again->text, m->text);
			assert_int_equal(
			    frame_put_query_bytes(&out, 0, 1, &route, text, FRAME_PAYLOAD_MAX), -EMSGSIZE);
		} else
			assert_int_equal(out.len, 6);
		msg_free(m);
		msg_free(again);
		buf_release(&out);
	}
}

/* 100 MiB of texts, or of fields, are given up long before they are written. */
static void far_too_much_is_given_up_early(void **state)
{
	static char text[100000];
	memset(text, 't', sizeof text - 1);
	for (int fields = 0; fields < 2; fields++) {
		struct msg *m = msg_new("m");
		struct buf out = BUF_INIT;
		for (int i = 0; i < 1000; i++)
			if (fields)
				msg_set(msg_child(m, "c"), "f", text);
			else
				msg_text(msg_child(m, "c"), text, sizeof text - 1);
		assert_int_equal(frame_put_msg(&out, FRAME_ANSWER, 1, m), -EMSGSIZE);
		assert_true(out.size <= 4 << 20);
		msg_free(m);
		buf_release(&out);
	}
}

static void what_we_cannot_say_is_not_put(void **state)
{
	static const char *const names[] = {"", " ", "1", "a b", "a>", "\xc3\xa9", "a:b", "-a", ".a"};
	struct frame_route bad = {.deadline_ms = -1};
	struct buf out = BUF_INIT;
	for (size_t i = 0; i < N(names); i++) {
		struct msg *a = msg_new(names[i]), *b = msg_new("m"), *c = msg_new("m");
		msg_set_int(b, names[i], 1);
		msg_child(c, names[i]);
		assert_int_equal(frame_put_msg(&out, FRAME_ANSWER, 1, a), -EINVAL);
		assert_int_equal(frame_put_msg(&out, FRAME_ANSWER, 1, b), -EINVAL);
		assert_int_equal(frame_put_msg(&out, FRAME_ANSWER, 1, c), -EINVAL);
		msg_free(a);
		msg_free(b);
		msg_free(c);
	}
	struct msg *twice = msg_new("m");
	msg_set_int(twice, "x", 1);
	assert_int_equal(frame_put_query(&out, 0, 1, &bad, twice), -EINVAL);
	assert_int_equal(frame_put_query_bytes(&out, 0, 1, &bad, "\x81\x61m", 3), -EINVAL);
	msg_set_int(twice, "x", 1);
	assert_int_equal(frame_put_msg(&out, FRAME_ANSWER, 1, twice), -EINVAL);
	assert_int_equal(out.len, 0);
	msg_free(twice);
	buf_release(&out);
}

/* As in XML: a process's name may be anything. */
static void text_that_is_none_goes_out_with_marks(void **state)
{
	struct msg *m = msg_new("m"), *again = NULL;
	struct buf out = BUF_INIT;
	const char *why;
	msg_set(m, "program", "a\x01\xff\xc3\xa9z");
	msg_text(m, "\x1b[0m", 4);
	assert_int_equal(frame_put_msg(&out, FRAME_ANSWER, 1, m), 0);
	struct frame f = the_frame_in(&out);
	assert_int_equal(frame_get_msg(&f, &again, &why), 0);
	assert_string_equal(msg_get(again, "program", ""), "a??\xc3\xa9z");
	assert_string_equal(again->text, "?[0m");
	msg_free(m);
	msg_free(again);
	buf_release(&out);
}

/* --- without memory --- */

static void reading_without_memory_leaves_nothing(void **state)
{
	static const char long_text[20000] = {[0 ... 19998] = 'x'};
	struct msg *m = make_message();
	struct buf out = BUF_INIT;
	for (int i = 0; i < 20; i++) {
		struct msg *c = msg_child(m, "child");
		msg_set(c, "a", long_text);
		msg_set_bytes(c, "b", long_text, 10000);
		msg_set_int(c, "c", 7); /* with its parent's after a failure, it would be there twice */
		msg_text(c, long_text, 9000);
	}
	assert_int_equal(frame_put_msg(&out, FRAME_ANSWER, 1, m), 0);
	struct frame f = the_frame_in(&out);
	int r, left = 0;
	do {
		struct msg *again = NULL;
		const char *why = NULL;
		memory_left = left;
		r = frame_get_msg(&f, &again, &why);
		memory_left = -1;
		assert_true(r == (again ? 0 : -ENOMEM));
		assert_null(why);
		if (again)
			assert_true(same_message(m, again));
		msg_free(again);
	} while (r && ++left < 1000);
	assert_true(left > 20 && left < 1000);
	msg_free(m);
	buf_release(&out);
}

static void writing_without_memory_says_so(void **state)
{
	static const char long_text[20000] = {[0 ... 19998] = 'x'};
	struct msg *m = make_message();
	struct frame_route route = {.to = "h2", .deadline_ms = 7};
	for (int i = 0; i < 20; i++)
		msg_set(msg_child(m, "child"), "a", long_text);
	int r, left = 0;
	do {
		struct buf out = BUF_INIT;
		memory_left = left;
		r = frame_put_query(&out, 0, 1, &route, m);
		memory_left = -1;
		assert_true(r == (out.failed ? -ENOMEM : 0));
		assert_true(!r || !out.len);
		buf_release(&out);
	} while (r && ++left < 100);
	assert_true(left > 3 && left < 100);
	msg_free(m);
}

static void a_message_that_lost_a_part_is_not_put(void **state)
{
	static const char long_text[20000] = {[0 ... 19998] = 'x'};
	struct msg *m = msg_new("m");
	struct buf out = BUF_INIT;
	memory_left = 0;
	msg_set(m, "f", long_text);
	memory_left = -1;
	assert_true(msg_failed(m));
	assert_int_equal(frame_put_msg(&out, FRAME_ANSWER, 1, m), -ENOMEM);
	assert_int_equal(out.len, 0);
	msg_free(m);
	buf_release(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_message_is_laid_out_as_the_page_says),
	    cmocka_unit_test(what_is_empty_at_the_end_is_left_out),
	    cmocka_unit_test(a_query_begins_with_its_route),
	    cmocka_unit_test(messages_come_back),
	    cmocka_unit_test(a_message_cut_anywhere_is_refused),
	    cmocka_unit_test(any_wrong_byte_does_no_harm),
	    cmocka_unit_test(what_is_no_message_says_why),
	    cmocka_unit_test(what_is_no_route_says_why),
	    cmocka_unit_test(a_query_is_passed_on_only_if_it_reads),
	    cmocka_unit_test(a_name_has_255_bytes_at_most),
	    cmocka_unit_test(a_message_has_64_fields_at_most),
	    cmocka_unit_test(children_are_4_levels_deep_at_most),
	    cmocka_unit_test(depth_without_end_is_refused),
	    cmocka_unit_test(a_frame_has_65536_fields_and_messages_at_most),
	    cmocka_unit_test(also_messages_without_fields_are_counted),
	    cmocka_unit_test(a_message_fills_a_frame_at_most),
	    cmocka_unit_test(far_too_much_is_given_up_early),
	    cmocka_unit_test(what_we_cannot_say_is_not_put),
	    cmocka_unit_test(text_that_is_none_goes_out_with_marks),
	    cmocka_unit_test(reading_without_memory_leaves_nothing),
	    cmocka_unit_test(writing_without_memory_says_so),
	    cmocka_unit_test(a_message_that_lost_a_part_is_not_put),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
