/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/cbor.h"

#include <string.h>

#include "proto/chars.h"
#include "proto/wire.h"

/* RFC 8949, 3: the first byte is three bits of major type and five that are a number below 24, or in how many
 * bytes the number follows. */
enum major { UNSIGNED, NEGATIVE, BYTES, TEXT, ARRAY, MAP, TAG, SIMPLE };
enum { FOLLOWS = 24, RESERVED = 28, HEAD_MAX = 9, FALSE = 0xf4, TRUE = 0xf5 };

/* --- writing --- */

static size_t write_head(uint8_t *to, enum major major, uint64_t u)
{
	if (u < FOLLOWS) {
		to[0] = (uint8_t)(major << 5 | u);
		return 1;
	}
	unsigned width = u <= UINT8_MAX ? 0 : u <= UINT16_MAX ? 1 : u <= UINT32_MAX ? 2 : 3;
	to[0] = (uint8_t)(major << 5 | (FOLLOWS + width));
	if (width == 0)
		to[1] = (uint8_t)u;
	else if (width == 1)
		wire_put16(to + 1, (uint16_t)u);
	else if (width == 2)
		wire_put32(to + 1, (uint32_t)u);
	else
		wire_put64(to + 1, u);
	return 1 + ((size_t)1 << width);
}

static void put_head(struct buf *out, enum major major, uint64_t u)
{
	if (buf_reserve(out, HEAD_MAX))
		out->len += write_head((uint8_t *)out->data + out->len, major, u);
}

void cbor_put_int(struct buf *out, int64_t n)
{
	put_head(out, n < 0 ? NEGATIVE : UNSIGNED, n < 0 ? ~(uint64_t)n : (uint64_t)n);
}

void cbor_put_flag(struct buf *out, bool flag)
{
	buf_putc(out, (char)(flag ? TRUE : FALSE));
}

/* The bytes of a string where they now are; NULL: no memory. */
static char *put_string(struct buf *out, enum major major, const void *bytes, size_t n)
{
	if (!buf_reserve(out, HEAD_MAX + n))
		return NULL;
	out->len += write_head((uint8_t *)out->data + out->len, major, n);
	char *to = out->data + out->len;
	if (n)
		memcpy(to, bytes, n);
	out->len += n;
	return to;
}

static void replace_bad(char *s, size_t n)
{
	for (size_t i; (i = chars_good(s, n)) < n; s += i + 1, n -= i + 1)
		s[i] = '?';
}

void cbor_put_text(struct buf *out, const char *s, size_t n)
{
	char *to = put_string(out, TEXT, s, n);
	if (to)
		replace_bad(to, n);
}

void cbor_put_bytes(struct buf *out, const void *bytes, size_t n)
{
	put_string(out, BYTES, bytes, n);
}

void cbor_put_array(struct buf *out, size_t n)
{
	put_head(out, ARRAY, n);
}

void cbor_put_map(struct buf *out, size_t n)
{
	put_head(out, MAP, n);
}

/* --- reading --- */

void cbor_fail(struct cbor_reader *r, const char *why)
{
	if (!r->why)
		r->why = why;
}

enum cbor_kind cbor_peek(const struct cbor_reader *r)
{
	static const enum cbor_kind kinds[] = {[UNSIGNED] = CBOR_INT,
	    [NEGATIVE] = CBOR_INT,
	    [BYTES] = CBOR_BYTES,
	    [TEXT] = CBOR_TEXT,
	    [ARRAY] = CBOR_ARRAY,
	    [MAP] = CBOR_MAP,
	    [TAG] = CBOR_BAD,
	    [SIMPLE] = CBOR_BAD};
	if (r->why || r->at >= r->n)
		return CBOR_BAD;
	uint8_t first = r->bytes[r->at];
	if (first == FALSE || first == TRUE)
		return CBOR_FLAG;
	return (first & 31) < RESERVED ? kinds[first >> 5] : CBOR_BAD;
}

/* Why the next item is not of the kind that was asked for. */
static const char *why_not(const struct cbor_reader *r, const char *wanted)
{
	static const char *const refused[] = {[TAG] = "a tag", [SIMPLE] = "a float, null or simple value"};
	if (r->at >= r->n)
		return "ends too early";
	uint8_t first = r->bytes[r->at];
	if ((first & 31) >= RESERVED)
		return first >> 5 >= BYTES && first >> 5 <= MAP && (first & 31) == 31 ? "an indefinite length"
										      : "not CBOR";
	if (cbor_peek(r) == CBOR_BAD && refused[first >> 5])
		return refused[first >> 5];
	return wanted;
}

static uint64_t number_at(const uint8_t *at, size_t width)
{
	switch (width) {
	case 1:
		return at[0];
	case 2:
		return wire_get16(at);
	case 4:
		return wire_get32(at);
	default:
		return wire_get64(at);
	}
}

/* Takes the head of an item of this kind; 0 and unmoved when it is another. */
static uint64_t take_head(struct cbor_reader *r, enum cbor_kind kind, const char *wanted)
{
	if (r->why)
		return 0;
	if (cbor_peek(r) != kind) {
		cbor_fail(r, why_not(r, wanted));
		return 0;
	}
	unsigned low = r->bytes[r->at] & 31;
	if (low < FOLLOWS) {
		r->at++;
		return low;
	}
	size_t width = (size_t)1 << (low - FOLLOWS);
	if (r->n - r->at <= width) {
		cbor_fail(r, "ends too early");
		return 0;
	}
	uint64_t u = number_at(r->bytes + r->at + 1, width);
	r->at += 1 + width;
	return u;
}

int64_t cbor_int(struct cbor_reader *r)
{
	size_t begin = r->at;
	uint64_t u = take_head(r, CBOR_INT, "not an integer");
	if (r->why)
		return 0;
	if (u > INT64_MAX) {
		r->at = begin;
		cbor_fail(r, "an integer outside -2^63 to 2^63-1");
		return 0;
	}
	return r->bytes[begin] >> 5 == NEGATIVE ? -1 - (int64_t)u : (int64_t)u;
}

bool cbor_flag(struct cbor_reader *r)
{
	if (r->why)
		return false;
	if (cbor_peek(r) != CBOR_FLAG) {
		cbor_fail(r, why_not(r, "not true or false"));
		return false;
	}
	return r->bytes[r->at++] == TRUE;
}

/* A string's bytes; NULL and unmoved when it is none, too long, or cut off. */
static const uint8_t *take_string(
    struct cbor_reader *r, enum cbor_kind kind, const char *wanted, size_t max, size_t *ret_n)
{
	size_t begin = r->at;
	uint64_t n = take_head(r, kind, wanted);
	if (!r->why && n > max)
		cbor_fail(r, "longer than allowed");
	if (!r->why && n > r->n - r->at)
		cbor_fail(r, "ends too early");
	if (r->why) {
		r->at = begin;
		return NULL;
	}
	const uint8_t *bytes = r->bytes + r->at;
	r->at += (size_t)n;
	*ret_n = (size_t)n;
	return bytes;
}

const char *cbor_text(struct cbor_reader *r, size_t max, size_t *ret_n)
{
	size_t begin = r->at, n = 0;
	const char *s = (const char *)take_string(r, CBOR_TEXT, "not text", max, &n);
	if (s && chars_good(s, n) < n) {
		r->at = begin;
		cbor_fail(r, "text with bytes that are no character of XML");
		s = NULL;
	}
	*ret_n = s ? n : 0;
	return s ? s : "";
}

const uint8_t *cbor_bytes(struct cbor_reader *r, size_t max, size_t *ret_n)
{
	size_t n = 0;
	const uint8_t *bytes = take_string(r, CBOR_BYTES, "not bytes", max, &n);
	*ret_n = n;
	return bytes ? bytes : (const uint8_t *)"";
}

/* Each item is at least a byte: a count that the bytes cannot hold is refused before anything is made for it.
 */
static size_t take_count(
    struct cbor_reader *r, enum cbor_kind kind, const char *wanted, size_t max, unsigned least)
{
	size_t begin = r->at;
	uint64_t n = take_head(r, kind, wanted);
	if (!r->why && n > max)
		cbor_fail(r, "more items than allowed");
	if (!r->why && n > (r->n - r->at) / least)
		cbor_fail(r, "ends too early");
	if (!r->why)
		return (size_t)n;
	r->at = begin;
	return 0;
}

size_t cbor_array(struct cbor_reader *r, size_t max)
{
	return take_count(r, CBOR_ARRAY, "not an array", max, 1);
}

size_t cbor_map(struct cbor_reader *r, size_t max)
{
	return take_count(r, CBOR_MAP, "not a map", max, 2);
}
