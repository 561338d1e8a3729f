/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/chars.h"

#include <stdint.h>
#include <string.h>

static size_t length_of(unsigned char first)
{
	if (first < 0x80)
		return 1;
	if (first < 0xe0)
		return first < 0xc2 ? 0 : 2;
	return first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
}

static bool has(uint32_t c)
{
	if (c < 0x20)
		return c == '\t' || c == '\n' || c == '\r';
	return c <= 0x10ffff && (c < 0xd800 || c > 0xdfff) && c != 0xfffe && c != 0xffff;
}

size_t chars_one(const char *s, size_t n)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	const unsigned char *u = (const unsigned char *)s;
	size_t length = length_of(*u);
	if (!length || length > n)
		return 0;
	uint32_t c = length == 1 ? *u : *u & (0x7fu >> length);
	for (size_t i = 1; i < length; i++) {
		if ((u[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (u[i] & 0x3f);
	}
	return c >= least[length] && has(c) ? length : 0;
}

/* Eight at once: none below 0x20 (it would borrow), none above 0x7f. */
static bool eight_plain(const char *s)
{
	const uint64_t each = 0x0101010101010101;
	uint64_t w;
	memcpy(&w, s, sizeof w);
	return !((w | (w - 0x20 * each)) & 0x80 * each);
}

static size_t good_at(const char *s, size_t n)
{
	unsigned char u = (unsigned char)*s;
	if (n >= 8 && eight_plain(s))
		return 8;
	return u >= 0x20 && u < 0x80 ? 1 : chars_one(s, n);
}

size_t chars_good(const char *s, size_t n)
{
	size_t i = 0, length;
	while (i < n && (length = good_at(s + i, n - i)))
		i += length;
	return i;
}

static bool begins_name(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

bool chars_are_name(const char *s, size_t n)
{
	if (!n || !begins_name(*s))
		return false;
	for (size_t i = 1; i < n; i++)
		if (!begins_name(s[i]) && (s[i] < '0' || s[i] > '9') && s[i] != '-' && s[i] != '.')
			return false;
	return true;
}
