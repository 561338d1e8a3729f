/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes are those of RFC 8949, appendix A, typed from there. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/dice_test.h"
#include "proto/cbor.h"

static const struct {
	int64_t n;
	const char *bytes;
	size_t size;
} integers[] = {
    {0, "\x00", 1},
    {1, "\x01", 1},
    {10, "\x0a", 1},
    {23, "\x17", 1},
    {24, "\x18\x18", 2},
    {25, "\x18\x19", 2},
    {100, "\x18\x64", 2},
    {1000, "\x19\x03\xe8", 3},
    {1000000, "\x1a\x00\x0f\x42\x40", 5},
    {1000000000000, "\x1b\x00\x00\x00\xe8\xd4\xa5\x10\x00", 9},
    {-1, "\x20", 1},
    {-10, "\x29", 1},
    {-100, "\x38\x63", 2},
    {-1000, "\x39\x03\xe7", 3},
    /* Not in the appendix: where the widths change. */
    {255, "\x18\xff", 2},
    {256, "\x19\x01\x00", 3},
    {65535, "\x19\xff\xff", 3},
    {65536, "\x1a\x00\x01\x00\x00", 5},
    {4294967295, "\x1a\xff\xff\xff\xff", 5},
    {4294967296, "\x1b\x00\x00\x00\x01\x00\x00\x00\x00", 9},
    {-24, "\x37", 1},
    {-25, "\x38\x18", 2},
    {-256, "\x38\xff", 2},
    {-257, "\x39\x01\x00", 3},
    {INT64_MAX, "\x1b\x7f\xff\xff\xff\xff\xff\xff\xff", 9},
    {INT64_MIN, "\x3b\x7f\xff\xff\xff\xff\xff\xff\xff", 9},
};

static const struct {
	const char *s;
	const char *bytes;
	size_t size;
} texts[] = {
    {"", "\x60", 1},
    {"a", "\x61\x61", 2},
    {"IETF", "\x64\x49\x45\x54\x46", 5},
    {"\"\\", "\x62\x22\x5c", 3},
    {"\xc3\xbc", "\x62\xc3\xbc", 3},
    {"\xe6\xb0\xb4", "\x63\xe6\xb0\xb4", 4},
    {"\xf0\x90\x85\x91", "\x64\xf0\x90\x85\x91", 5},
};

#define N(a) (sizeof(a) / sizeof *(a))

static struct cbor_reader reader_of(const void *bytes, size_t n)
{
	return (struct cbor_reader){.bytes = bytes, .n = n};
}

static void assert_bytes(struct buf *b, const void *bytes, size_t n)
{
	assert_int_equal(b->len, n);
	assert_memory_equal(b->data, bytes, n);
	buf_release(b);
}

static void integers_are_the_rfc_s(void **state)
{
	for (size_t i = 0; i < N(integers); i++) {
		struct buf out = BUF_INIT;
		struct cbor_reader r = reader_of(integers[i].bytes, integers[i].size);
		cbor_put_int(&out, integers[i].n);
		assert_bytes(&out, integers[i].bytes, integers[i].size);
		assert_int_equal(cbor_peek(&r), CBOR_INT);
		assert_true(cbor_int(&r) == integers[i].n);
		assert_null(r.why);
		assert_int_equal(r.at, r.n);
	}
}

static void texts_are_the_rfc_s(void **state)
{
	for (size_t i = 0; i < N(texts); i++) {
		struct buf out = BUF_INIT;
		struct cbor_reader r = reader_of(texts[i].bytes, texts[i].size);
		size_t n = strlen(texts[i].s), found;
		cbor_put_text(&out, texts[i].s, n);
		assert_bytes(&out, texts[i].bytes, texts[i].size);
		assert_int_equal(cbor_peek(&r), CBOR_TEXT);
		const char *s = cbor_text(&r, n, &found);
		assert_ptr_equal(s, texts[i].bytes + 1); /* borrowed */
		assert_int_equal(found, n);
		assert_null(r.why);
		assert_int_equal(r.at, r.n);
	}
}

static void bytes_and_flags_are_the_rfc_s(void **state)
{
	struct buf out = BUF_INIT;
	cbor_put_bytes(&out, "", 0);
	cbor_put_bytes(&out, "\1\2\3\4", 4);
	cbor_put_flag(&out, false);
	cbor_put_flag(&out, true);
	static const char expected[] = "\x40\x44\1\2\3\4\xf4\xf5";
	struct cbor_reader r = reader_of(expected, 8);
	size_t n;
	cbor_bytes(&r, 0, &n);
	assert_int_equal(n, 0);
	assert_int_equal(cbor_peek(&r), CBOR_BYTES);
	assert_ptr_equal(cbor_bytes(&r, 4, &n), expected + 2);
	assert_int_equal(n, 4);
	assert_int_equal(cbor_peek(&r), CBOR_FLAG);
	assert_false(cbor_flag(&r));
	assert_true(cbor_flag(&r));
	assert_null(r.why);
	assert_int_equal(cbor_peek(&r), CBOR_BAD);
	assert_bytes(&out, expected, 8);
}

static void arrays_and_maps_are_the_rfc_s(void **state)
{
	/* [1, [2, 3], [4, 5]], [], {"a": 1, "b": [2, 3]}, and an array of 25 */
	static const char expected[] =
	    "\x83\x01\x82\x02\x03\x82\x04\x05\x80\xa2\x61\x61\x01\x61\x62\x82\x02\x03\x98\x19";
	struct buf out = BUF_INIT;
	cbor_put_array(&out, 3);
	cbor_put_int(&out, 1);
	for (int i = 2; i < 6; i += 2) {
		cbor_put_array(&out, 2);
		cbor_put_int(&out, i);
		cbor_put_int(&out, i + 1);
	}
	cbor_put_array(&out, 0);
	cbor_put_map(&out, 2);
	cbor_put_text(&out, "a", 1);
	cbor_put_int(&out, 1);
	cbor_put_text(&out, "b", 1);
	cbor_put_array(&out, 2);
	cbor_put_int(&out, 2);
	cbor_put_int(&out, 3);
	cbor_put_array(&out, 25);
	struct cbor_reader r = reader_of(expected, 18);
	assert_int_equal(cbor_peek(&r), CBOR_ARRAY);
	assert_int_equal(cbor_array(&r, 3), 3);
	assert_int_equal(cbor_int(&r), 1);
	assert_int_equal(cbor_array(&r, 2), 2);
	r.at = 8;
	assert_int_equal(cbor_array(&r, 2), 0);
	assert_int_equal(cbor_peek(&r), CBOR_MAP);
	assert_int_equal(cbor_map(&r, 2), 2);
	assert_null(r.why);
	assert_bytes(&out, expected, 20);
}

/* 24 and 1000 as nobody has to write them, but may. */
static void numbers_may_be_wider_than_need_be(void **state)
{
	static const struct {
		const char *bytes;
		size_t size;
		int64_t n;
	} cases[] = {{"\x18\x00", 2, 0}, {"\x18\x17", 2, 23}, {"\x19\x00\x18", 3, 24},
	    {"\x1a\x00\x00\x03\xe8", 5, 1000}, {"\x1b\x00\x00\x00\x00\x00\x00\x00\x00", 9, 0},
	    {"\x38\x00", 2, -1}, {"\x3b\x00\x00\x00\x00\x00\x00\x00\x09", 9, -10}};
	for (size_t i = 0; i < N(cases); i++) {
		struct cbor_reader r = reader_of(cases[i].bytes, cases[i].size);
		assert_true(cbor_int(&r) == cases[i].n);
		assert_null(r.why);
		assert_int_equal(r.at, r.n);
	}
	struct cbor_reader r = reader_of("\x79\x00\x01\x61\x9b\0\0\0\0\0\0\0\1\x00", 14);
	size_t n;
	assert_string_equal(cbor_text(&r, 1, &n), "a\x9b");
	assert_int_equal(n, 1);
	assert_int_equal(cbor_array(&r, 1), 1);
	assert_null(r.why);
}

/* Each is asked for as all there is, and why it is refused is known. */
static void what_frames_do_not_have_is_refused(void **state)
{
	static const struct {
		const char *bytes;
		size_t size;
		const char *why;
	} cases[] = {
	    {"\x1b\xff\xff\xff\xff\xff\xff\xff\xff", 9, "an integer outside -2^63 to 2^63-1"}, /* 2^64-1 */
	    {"\x3b\xff\xff\xff\xff\xff\xff\xff\xff", 9, "an integer outside -2^63 to 2^63-1"}, /* -2^64 */
	    {"\x1b\x80\0\0\0\0\0\0\0", 9, "an integer outside -2^63 to 2^63-1"},
	    {"\x3b\x80\0\0\0\0\0\0\0", 9, "an integer outside -2^63 to 2^63-1"},
	    {"\xc2\x49\x01\0\0\0\0\0\0\0\0", 11, "a tag"}, /* a bignum */
	    {"\xc1\x1a\x51\x4b\x67\xb0", 6, "a tag"},	   /* a date */
	    {"\xd8\x18\x45\x64IETF", 8, "a tag"},
	    {"\xf9\x00\x00", 3, "a float, null or simple value"}, /* 0.0 */
	    {"\xfa\x47\xc3\x50\x00", 5, "a float, null or simple value"},
	    {"\xfb\x3f\xf1\x99\x99\x99\x99\x99\x9a", 9, "a float, null or simple value"},
	    {"\xf6", 1, "a float, null or simple value"},
	    {"\xf7", 1, "a float, null or simple value"},
	    {"\xf0", 1, "a float, null or simple value"},
	    {"\xf8\x14", 2, "a float, null or simple value"},
	    {"\x5f\x42\1\2\xff", 5, "an indefinite length"},
	    {"\x7f\x61s\xff", 4, "an indefinite length"},
	    {"\x9f\xff", 2, "an indefinite length"},
	    {"\xbf\xff", 2, "an indefinite length"},
	    {"\xff", 1, "not CBOR"},
	    {"\x1c", 1, "not CBOR"},
	    {"\x3f", 1, "not CBOR"},
	    {"\x5d", 1, "not CBOR"},
	    {"\x7e", 1, "not CBOR"},
	    {"\xdf", 1, "not CBOR"},
	    {"", 0, "ends too early"},
	};
	for (size_t i = 0; i < N(cases); i++)
		for (int kind = CBOR_INT; kind < CBOR_BAD; kind++) {
			struct cbor_reader r = reader_of(cases[i].bytes, cases[i].size);
			size_t n = 1;
			if (kind != CBOR_INT && strstr(cases[i].why, "2^63"))
				continue;
			if (kind == CBOR_INT)
				assert_int_equal(cbor_int(&r), 0);
			else if (kind == CBOR_FLAG)
				assert_false(cbor_flag(&r));
			else if (kind == CBOR_TEXT)
				cbor_text(&r, 100, &n);
			else if (kind == CBOR_BYTES)
				cbor_bytes(&r, 100, &n);
			else
				n = kind == CBOR_ARRAY ? cbor_array(&r, 100) : cbor_map(&r, 100);
			assert_string_equal(r.why, cases[i].why);
			assert_int_equal(r.at, 0);
			assert_true(n == 0 || kind < CBOR_TEXT);
			assert_int_equal(cbor_peek(&r), CBOR_BAD);
		}
}

static void another_kind_than_asked_for_is_refused(void **state)
{
	static const char *const items[] = {
	    "\x01", "\xf5", "\x61\x61", "\x41\x61", "\x81\x01", "\xa1\x01\x01"};
	static const char *const why[] = {
	    "not an integer", "not true or false", "not text", "not bytes", "not an array", "not a map"};
	for (int item = 0; item < CBOR_BAD; item++)
		for (int kind = 0; kind < CBOR_BAD; kind++) {
			struct cbor_reader r = reader_of(items[item], strlen(items[item]));
			size_t n;
			assert_int_equal(cbor_peek(&r), item);
			if (kind == CBOR_INT)
				cbor_int(&r);
			else if (kind == CBOR_FLAG)
				cbor_flag(&r);
			else if (kind == CBOR_TEXT)
				cbor_text(&r, 100, &n);
			else if (kind == CBOR_BYTES)
				cbor_bytes(&r, 100, &n);
			else if (kind == CBOR_ARRAY)
				cbor_array(&r, 100);
			else
				cbor_map(&r, 100);
			if (item == kind)
				assert_null(r.why);
			else
				assert_string_equal(r.why, why[kind]);
		}
}

/* Of each kind and width, up to 2^64-1: no length is trusted. */
static void lengths_are_held_against_the_bytes_there_are(void **state)
{
	static const uint64_t lengths[] = {2, 24, 255, 65535, UINT32_MAX, (uint64_t)UINT32_MAX + 1, INT64_MAX,
	    (uint64_t)INT64_MAX + 1, UINT64_MAX - 9, UINT64_MAX - 8, UINT64_MAX - 1, UINT64_MAX};
	static const uint8_t majors[] = {0x40, 0x60, 0x80, 0xa0};
	for (size_t i = 0; i < N(lengths); i++)
		for (size_t k = 0; k < N(majors); k++)
			for (int allowed = 0; allowed < 2; allowed++) {
				uint8_t item[10] = {majors[k] | 27};
				for (int b = 0; b < 8; b++)
					item[1 + b] = (uint8_t)(lengths[i] >> (56 - 8 * b));
				struct cbor_reader r = reader_of(item, sizeof item);
				size_t n = 7, max = allowed ? SIZE_MAX : 1;
				if (k == 0)
					cbor_bytes(&r, max, &n);
				else if (k == 1)
					cbor_text(&r, max, &n);
				else
					n = k == 2 ? cbor_array(&r, max) : cbor_map(&r, max);
				assert_int_equal(n, 0);
				assert_int_equal(r.at, 0);
				if (!allowed)
					assert_string_equal(
					    r.why, k < 2 ? "longer than allowed" : "more items than allowed");
				else if (lengths[i] <= SIZE_MAX)
					assert_string_equal(r.why, "ends too early");
			}
}

/* A map of one pair needs two bytes more, an array of one item one. */
static void counts_need_their_bytes(void **state)
{
	struct cbor_reader one = reader_of("\xa1\x00", 2), two = reader_of("\xa1\x00\x00", 3);
	struct cbor_reader none = reader_of("\x81", 1);
	assert_int_equal(cbor_map(&one, 1), 0);
	assert_string_equal(one.why, "ends too early");
	assert_int_equal(cbor_map(&two, 1), 1);
	assert_int_equal(cbor_array(&none, 1), 0);
	assert_string_equal(none.why, "ends too early");
}

static void text_has_only_what_xml_has(void **state)
{
	static const char *const good[] = {"\t\n\r ~", "\x7f", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80",
	    "\xed\x9f\xbf", "\xee\x80\x80", "\xef\xbf\xbd", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf"};
	static const struct {
		const char *s;
		const char *out;
	} bad[] = {{"\1", "?"}, {"a\x1f", "a?"}, {"\x80", "?"}, {"\xbf", "?"}, {"\xc3", "?"}, {"\xc3(", "?("},
	    {"\xc0\x80", "??"}, {"\xc1\xbf", "??"}, {"\xe0\x9f\xbf", "???"}, {"\xed\xa0\x80", "???"},
	    {"\xed\xbf\xbf", "???"}, {"\xef\xbf\xbe", "???"}, {"\xef\xbf\xbf", "???"},
	    {"\xf0\x8f\xbf\xbf", "????"}, {"\xf4\x90\x80\x80", "????"}, {"\xf5\x80\x80\x80", "????"},
	    {"\xff", "?"}, {"\xe2\x82", "??"}, {"\xf0\x9f\x98", "???"}, {"\xc3\xa9\xc3", "\xc3\xa9?"},
	    {"x\xe2\x82y\x02z", "x??y?z"}};
	for (size_t i = 0; i < N(good) + N(bad); i++) {
		const char *s = i < N(good) ? good[i] : bad[i - N(good)].s;
		const char *expected = i < N(good) ? s : bad[i - N(good)].out;
		uint8_t item[16] = {(uint8_t)(0x60 + strlen(s))};
		struct cbor_reader r = reader_of(item, 1 + strlen(s));
		struct buf out = BUF_INIT;
		size_t n;
		memcpy(item + 1, s, strlen(s));
		cbor_text(&r, 10, &n);
		assert_true(
		    i < N(good) ? !r.why : !strcmp(r.why, "text with bytes that are no character of XML"));
		assert_int_equal(n, i < N(good) ? strlen(s) : 0);
		cbor_put_text(&out, s, strlen(s));
		memcpy(item + 1, expected, strlen(expected));
		assert_bytes(&out, item, 1 + strlen(s));
	}
	struct cbor_reader nul = reader_of("\x63"
					   "a\0b",
	    4);
	size_t n;
	cbor_text(&nul, 10, &n);
	assert_string_equal(nul.why, "text with bytes that are no character of XML");
}

static void the_first_failure_sticks(void **state)
{
	struct cbor_reader r = reader_of("\x01\x61\x61", 3);
	size_t n = 5;
	assert_int_equal(cbor_int(&r), 1);
	cbor_int(&r);
	assert_string_equal(r.why, "not an integer");
	assert_int_equal(r.at, 1);
	cbor_fail(&r, "something else");
	assert_string_equal(cbor_text(&r, 10, &n), "");
	assert_int_equal(n, 0);
	assert_non_null(cbor_bytes(&r, 10, &n));
	assert_int_equal(cbor_array(&r, 10) + cbor_map(&r, 10), 0);
	assert_false(cbor_flag(&r));
	assert_int_equal(cbor_peek(&r), CBOR_BAD);
	assert_string_equal(r.why, "not an integer");
	assert_int_equal(r.at, 1);
}

/* Reads what comes, whatever it is, as deep as it goes. */
static void walk(struct cbor_reader *r)
{
	size_t n;
	switch (cbor_peek(r)) {
	case CBOR_FLAG:
		cbor_flag(r);
		break;
	case CBOR_TEXT:
		cbor_text(r, SIZE_MAX, &n);
		break;
	case CBOR_BYTES:
		cbor_bytes(r, SIZE_MAX, &n);
		break;
	case CBOR_ARRAY:
		cbor_array(r, SIZE_MAX);
		break;
	case CBOR_MAP:
		cbor_map(r, SIZE_MAX);
		break;
	default:
		cbor_int(r);
	}
}

static void any_bytes_do_no_harm(void **state)
{
	dice_begin();
	for (int i = 0; i < 200000; i++) {
		size_t n = dice_below(20);
		uint8_t *bytes = malloc(n + !n);
		for (size_t k = 0; k < n; k++)
			bytes[k] = (uint8_t)dice();
		struct cbor_reader r = reader_of(bytes, n);
		while (!r.why) {
			size_t before = r.at;
			walk(&r);
			assert_true(r.at <= n && (r.why ? r.at == before : r.at > before));
		}
		free(bytes);
	}
}

static void integers_come_back(void **state)
{
	dice_begin();
	for (int i = 0; i < 100000; i++) {
		struct buf out = BUF_INIT;
		int64_t n = dice_number();
		cbor_put_int(&out, n);
		struct cbor_reader r = reader_of(out.data, out.len);
		assert_true(cbor_int(&r) == n && !r.why && r.at == r.n);
		for (size_t cut = 0; cut < out.len; cut++) {
			r = reader_of(out.data, cut);
			assert_true(cbor_int(&r) == 0);
			assert_string_equal(r.why, "ends too early");
			assert_int_equal(r.at, 0);
		}
		buf_release(&out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(integers_are_the_rfc_s),
	    cmocka_unit_test(texts_are_the_rfc_s),
	    cmocka_unit_test(bytes_and_flags_are_the_rfc_s),
	    cmocka_unit_test(arrays_and_maps_are_the_rfc_s),
	    cmocka_unit_test(numbers_may_be_wider_than_need_be),
	    cmocka_unit_test(what_frames_do_not_have_is_refused),
	    cmocka_unit_test(another_kind_than_asked_for_is_refused),
	    cmocka_unit_test(lengths_are_held_against_the_bytes_there_are),
	    cmocka_unit_test(counts_need_their_bytes),
	    cmocka_unit_test(text_has_only_what_xml_has),
	    cmocka_unit_test(the_first_failure_sticks),
	    cmocka_unit_test(any_bytes_do_no_harm),
	    cmocka_unit_test(integers_come_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
