/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vigia/text.h"

#include <langinfo.h>
#include <locale.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#include "os/utf8.h"

static bool unicode;

/* A user who says nothing of a locale has a terminal of today; one who says C is believed. */
static bool locale_said(void)
{
	static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
	for (size_t i = 0; i < 3; i++) {
		const char *s = getenv(names[i]);
		if (s && *s)
			return true;
	}
	return false;
}

static bool plain_terminal(void)
{
	const char *term = getenv("TERM");
	return term && (!strcmp(term, "dumb") || !strncmp(term, "vt", 2));
}

bool text_unicode(void)
{
	setlocale(LC_CTYPE, locale_said() ? "" : "C.UTF-8");
	unicode = !strcmp(nl_langinfo(CODESET), "UTF-8") && !plain_terminal();
	return unicode;
}

/* --- characters --- */

static uint32_t decode(const char *s, size_t n)
{
	static const uint8_t masks[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
	uint32_t c = (uint8_t)*s & masks[n];
	for (size_t i = 1; i < n; i++)
		c = c << 6 | ((uint8_t)s[i] & 0x3f);
	return c;
}

/* Controls, and what changes the direction or order of the text around it. */
static bool harmful(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0xad || c == 0x61c || c == 0xfeff ||
	       (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) ||
	       (c >= 0xe000 && c <= 0xf8ff) || (c >= 0xfff0 && c <= 0xfffc) || c >= 0xe0000;
}

static size_t shown(const char *s)
{
	size_t n = utf8_char(s, strlen(s));
	if (!n || harmful(decode(s, n)) || (n > 1 && !unicode))
		return 0;
	return n;
}

static void put_escaped(struct buf *out, unsigned char c)
{
	if (c == '\n')
		buf_puts(out, "\\n");
	else if (c == '\t')
		buf_puts(out, "\\t");
	else
		buf_putf(out, "\\x%02x", c);
}

void text_put(struct buf *out, const char *s)
{
	while (*s) {
		size_t n = shown(s);
		if (n)
			buf_put(out, s, n);
		else
			put_escaped(out, (unsigned char)*s);
		s += n ? n : 1;
	}
}

static size_t columns_of(const char *s, size_t n)
{
	int w = n > 1 ? wcwidth((wchar_t)decode(s, n)) : 1;
	return w > 0 ? (size_t)w : 0;
}

size_t text_fit(const char *s, size_t columns)
{
	size_t at = 0;
	while (s[at]) {
		size_t n = utf8_char(s + at, strlen(s + at));
		size_t w = n ? columns_of(s + at, n) : 1;
		if (w > columns)
			break;
		columns -= w;
		at += n ? n : 1;
	}
	return at;
}

size_t text_width(const char *s)
{
	size_t width = 0;
	while (*s) {
		size_t n = utf8_char(s, strlen(s));
		width += n ? columns_of(s, n) : 1;
		s += n ? n : 1;
	}
	return width;
}

/* --- JSON --- */

/* What is harmful on a terminal is escaped here too, and lost to nobody. */
static void put_json_escape(struct buf *out, uint32_t c)
{
	if (c == '\n')
		buf_puts(out, "\\n");
	else if (c < 0x10000)
		buf_putf(out, "\\u%04x", (unsigned)c);
	else
		buf_putf(
		    out, "\\u%04x\\u%04x", (unsigned)(0xd7c0 + (c >> 10)), (unsigned)(0xdc00 + (c & 0x3ff)));
}

static void put_json_char(struct buf *out, const char *s, size_t n)
{
	uint32_t c = decode(s, n);
	if (c == '"' || c == '\\')
		buf_putf(out, "\\%c", (char)c);
	else if (harmful(c))
		put_json_escape(out, c);
	else
		buf_put(out, s, n);
}

void text_put_json(struct buf *out, const char *s)
{
	buf_putc(out, '"');
	while (*s) {
		size_t n = utf8_char(s, strlen(s));
		if (n)
			put_json_char(out, s, n);
		else
			buf_puts(out, "\\ufffd");
		s += n ? n : 1;
	}
	buf_putc(out, '"');
}

bool text_put_number(struct buf *out, const char *s)
{
	const char *p = s + (*s == '-');
	size_t whole = strspn(p, "0123456789");
	const char *point = p + whole;
	size_t parts = *point == '.' ? strspn(point + 1, "0123456789") : 0;
	if (whole + parts == 0 || strlen(p) != whole + (*point == '.') + parts)
		return false;
	while (whole > 1 && *p == '0') {
		p++;
		whole--;
	}
	if (*s == '-')
		buf_putc(out, '-');
	buf_put(out, whole ? p : "0", whole ? whole : 1);
	if (parts)
		buf_put(out, point, parts + 1);
	return true;
}

/* --- CSV --- */

static void put_csv_char(struct buf *out, const char *s, size_t n)
{
	bool line_end = n == 1 && strchr("\r\n\t", *s);
	if (*s == '"')
		buf_puts(out, "\"\"");
	else if (n && (line_end || !harmful(decode(s, n))))
		buf_put(out, s, n);
	else
		for (size_t i = 0; i < (n ? n : 1); i++)
			put_escaped(out, (unsigned char)s[i]);
}

void text_put_csv(struct buf *out, const char *s)
{
	bool quoted = strpbrk(s, ",\"\r\n");
	if (quoted)
		buf_putc(out, '"');
	while (*s) {
		size_t n = utf8_char(s, strlen(s));
		put_csv_char(out, s, n);
		s += n ? n : 1;
	}
	if (quoted)
		buf_putc(out, '"');
}

/* --- sizes --- */

static void put_scaled(struct buf *out, double n, double base, const char *const names[], size_t names_n)
{
	size_t i = 0;
	while (fabs(n) >= (base == 1024 ? 1000 : base) && i + 1 < names_n) {
		n /= base;
		i++;
	}
	buf_putf(out, i && fabs(n) < 9.95 ? "%.1f%s" : "%.0f%s", n, names[i]);
}

void text_put_bytes(struct buf *out, double bytes)
{
	static const char *const names[] = {" B", " KiB", " MiB", " GiB", " TiB", " PiB", " EiB"};
	put_scaled(out, bytes, 1024, names, 7);
}

void text_put_count(struct buf *out, double n)
{
	static const char *const names[] = {"", " k", " M", " G", " T", " P"};
	put_scaled(out, n, 1000, names, 6);
}

void text_put_short(struct buf *out, double bytes)
{
	static const char *const names[] = {"", "K", "M", "G", "T", "P"};
	put_scaled(out, bytes, 1024, names, 6);
}

/* --- charts --- */

static const char *const blocks[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
static const char *const ascii[] = {"_", ".", "-", "~", "=", "*", "%", "#"};

static size_t level(double y, double low, double high)
{
	double share = high > low ? (y - low) / (high - low) : 0;
	return share >= 1 ? 7 : share <= 0 ? 0 : (size_t)(share * 8);
}

void text_put_spark(struct buf *out, const double *y, size_t n, double low, double high)
{
	for (size_t i = 0; i < n; i++)
		buf_puts(out, isnan(y[i]) ? " " : (unicode ? blocks : ascii)[level(y[i], low, high)]);
}

void text_put_bar(struct buf *out, double share, size_t columns)
{
	size_t full = isnan(share) || share < 0 ? 0
		      : share > 1		? columns
						: (size_t)(share * (double)columns + 0.5);
	for (size_t i = 0; i < columns; i++)
		buf_puts(out, i < full ? (unicode ? "█" : "#") : (unicode ? "░" : "."));
}
