/* SPDX-License-Identifier: Apache-2.0 */
#include "hmon/text.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static size_t expected_length(unsigned char lead)
{
	if (lead < 0x80)
		return 1;
	if (lead >= 0xc2 && lead < 0xe0)
		return 2;
	if (lead >= 0xe0 && lead < 0xf0)
		return 3;
	return lead >= 0xf0 && lead < 0xf5 ? 4 : 0;
}

static bool allowed(uint32_t c, size_t length)
{
	static const uint32_t least[] = {0, 0x20, 0x80, 0x800, 0x10000};
	return c >= least[length] && c != 0x7f && (c < 0xd800 || c > 0xdfff) && c != 0xfffe && c != 0xffff &&
	       c <= 0x10ffff;
}

/* Bytes of the character at s; 0: not a good one. Stops at the NUL by itself, which is no continuation byte.
 */
static size_t character(const unsigned char *s)
{
	size_t n = expected_length(*s);
	if (!n)
		return 0;
	uint32_t c = n == 1 ? *s : *s & (0x7fu >> n);
	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3f);
	}
	return allowed(c, n) ? n : 0;
}

void text_clean(char *to, size_t size, const char *src)
{
	const unsigned char *s = (const unsigned char *)src;
	size_t used = 0;
	while (*s) {
		size_t n = character(s);
		if (used + (n ? n : 1) >= size)
			break;
		if (n)
			memcpy(to + used, s, n);
		else
			to[used] = '?';
		used += n ? n : 1;
		s += n ? n : 1;
	}
	to[used] = '\0';
}

void text_clean_name(char *s, const char *keep, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (s[i] <= ' ' || s[i] > '~' || (strchr("\"<>&*?/", s[i]) && !strchr(keep, s[i])))
			s[i] = '_';
}
