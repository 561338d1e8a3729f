/* SPDX-License-Identifier: Apache-2.0 */
#include "os/utf8.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static size_t length_of(unsigned char first)
{
	if (first < 0x80)
		return 1;
	if (first >= 0xc2 && first < 0xe0)
		return 2;
	if (first >= 0xe0 && first < 0xf0)
		return 3;
	return first >= 0xf0 && first < 0xf5 ? 4 : 0;
}

size_t utf8_char(const char *s, size_t n)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	const unsigned char *u = (const unsigned char *)s;
	size_t length = n ? length_of(u[0]) : 0;

	if (length <= 1)
		return length;
	if (length > n)
		return 0;
	uint32_t c = u[0] & (0x7f >> length);
	for (size_t i = 1; i < length; i++) {
		if ((u[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (u[i] & 0x3f);
	}
	if (c < least[length] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
		return 0;
	return length;
}

size_t utf8_escape(char to[UTF8_ESCAPED], const char **from, const char *end)
{
	const unsigned char *c = (const unsigned char *)*from;
	size_t length = utf8_char(*from, end - *from);
	bool c1_control = length == 2 && c[0] == 0xc2 && c[1] < 0xa0;
	bool no_character = length == 3 && c[0] == 0xef && c[1] == 0xbf && c[2] >= 0xbe;

	if (*c == '\n' || *c == '\t' || *c == '\\') {
		*from += 1;
		return snprintf(to, 8, "\\%c", *c == '\n' ? 'n' : *c == '\t' ? 't' : '\\');
	}
	if (length == 0 || c1_control || no_character || *c < 0x20 || *c == 0x7f) {
		*from += 1;
		return snprintf(to, 8, "\\x%02x", *c);
	}
	memcpy(to, *from, length);
	*from += length;
	return length;
}

void utf8_harmless(char *to, size_t size, const char *bytes, size_t n)
{
	const char *end = bytes + n;
	size_t used = 0, cut = 0; /* where "..." still has room */

	while (bytes < end) {
		char c[UTF8_ESCAPED];
		size_t length = utf8_escape(c, &bytes, end);
		if (used + length >= size) {
			memcpy(to + cut, "...", 3);
			used = cut + 3;
			break;
		}
		memcpy(to + used, c, length);
		used += length;
		if (used + 3 < size)
			cut = used;
	}
	to[used] = '\0';
}
