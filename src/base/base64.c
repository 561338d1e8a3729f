/* SPDX-License-Identifier: Apache-2.0 */
#include "base/base64.h"

#include <errno.h>

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static void encode_group(const uint8_t *b, size_t n, char to[4])
{
	uint32_t u = (uint32_t)b[0] << 16 | (n > 1 ? (uint32_t)b[1] << 8 : 0) | (n > 2 ? b[2] : 0);
	to[0] = letters[u >> 18];
	to[1] = letters[u >> 12 & 63];
	to[2] = n > 1 ? letters[u >> 6 & 63] : '=';
	to[3] = n > 2 ? letters[u & 63] : '=';
}

void base64_put(struct buf *out, const void *bytes, size_t n)
{
	const uint8_t *b = bytes;
	if (!n || !buf_reserve(out, n / 3 * 4 + 4))
		return;
	for (; n; out->len += 4) {
		size_t part = n < 3 ? n : 3;
		encode_group(b, part, out->data + out->len);
		b += part;
		n -= part;
	}
}

static int value_of(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* `n` of the four are letters; the bits of the last that belong to no byte are zero. */
static int decode_group(const char s[4], size_t n, uint8_t *to)
{
	uint32_t u = 0;
	for (size_t i = 0; i < 4; i++) {
		int v = i < n ? value_of(s[i]) : 0;
		if (v < 0)
			return -EINVAL;
		u = u << 6 | (uint32_t)v;
	}
	if (n < 4 && u & (n == 2 ? 0xffff : 0xff))
		return -EINVAL;
	for (size_t i = 0; i + 1 < n; i++)
		to[i] = (uint8_t)(u >> (16 - 8 * i));
	return 0;
}

int base64_decode(const char *s, size_t n, uint8_t *to, size_t *ret_n)
{
	if (n % 4)
		return -EINVAL;
	uint8_t *begin = to;
	for (; n; s += 4, n -= 4) {
		size_t part = n > 4 || s[3] != '=' ? 4 : s[2] != '=' ? 3 : 2;
		if (decode_group(s, part, to))
			return -EINVAL;
		to += part - 1;
	}
	*ret_n = (size_t)(to - begin);
	return 0;
}
