/* SPDX-License-Identifier: Apache-2.0 */
#include "output.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* --- units --- */

static const struct {
	const char *uom, *unit;
} units[] = {
    {"", "1"},
    {"c", "1"},
    {"s", "s"},
    {"ms", "ms"},
    {"us", "us"},
    {"ns", "ns"},
    {"%", "%"},
    {"B", "By"},
    {"b", "bit"},
    {"KB", "kBy"},
    {"kB", "kBy"},
    {"MB", "MBy"},
    {"GB", "GBy"},
    {"TB", "TBy"},
    {"PB", "PBy"},
    {"KiB", "KiBy"},
    {"MiB", "MiBy"},
    {"GiB", "GiBy"},
    {"TiB", "TiBy"},
    {"PiB", "PiBy"},
    {"C", "Cel"},
    {"F", "[degF]"},
    {"V", "V"},
    {"A", "A"},
    {"W", "W"},
    {"Hz", "Hz"},
    {"dBm", "dB[mW]"},
    {"rpm", "/min"},
    {"RPM", "/min"},
};

static bool unit_character(char c)
{
	return c > ' ' && c <= '~' && !strchr("\"<>&*?{}", c);
}

/* A unit that UCUM does not have becomes an annotation: "{users}". */
static void annotate(char unit[PERF_UNIT_SIZE], const char *uom, size_t len)
{
	size_t n = 0;
	unit[n++] = '{';
	for (size_t i = 0; i < len && n < PERF_UNIT_SIZE - 2; i++)
		unit[n++] = unit_character(uom[i]) ? uom[i] : '_';
	unit[n++] = '}';
	unit[n] = '\0';
}

static void to_unit(char unit[PERF_UNIT_SIZE], const char *uom, size_t len)
{
	for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
		if (strlen(units[i].uom) != len || memcmp(units[i].uom, uom, len))
			continue;
		strcpy(unit, units[i].unit);
		return;
	}
	annotate(unit, uom, len);
}

/* --- numbers --- */

/* Decimals past the ninth are cut off. */
static const char *take_decimal(struct perf *p, const char *s)
{
	bool negative = *s == '-', point = false, fits = true, any = false;
	for (s += negative || *s == '+'; is_digit(*s) || (*s == '.' && !point); s++) {
		if (*s == '.') {
			point = true;
			continue;
		}
		any = true;
		if (p->decimals == PERF_DECIMALS_MAX)
			continue;
		p->decimals += point;
		fits = fits && !__builtin_mul_overflow(p->number, 10, &p->number) &&
		       !__builtin_add_overflow(p->number, *s - '0', &p->number);
	}
	p->known = any && fits;
	if (negative)
		p->number = -p->number;
	return s;
}

/* "1.5e-05": by way of a double, with the decimals that its size leaves. */
static const char *take_exponent(struct perf *p, const char *from)
{
	char *end;
	double value = strtod(from, &end), size = value < 0 ? -value : value;
	p->decimals = size < 1 ? 9 : size < 1e6 ? 6 : 0;
	for (int i = 0; i < p->decimals; i++)
		value *= 10;
	p->known = size < 9e18;
	p->number = p->known ? (int64_t)(value + (value < 0 ? -0.5 : 0.5)) : 0;
	return end;
}

static bool is_exponent(const char *s)
{
	return (*s == 'e' || *s == 'E') &&
	       (is_digit(s[1]) || ((s[1] == '-' || s[1] == '+') && is_digit(s[2])));
}

static const char *take_number(struct perf *p, const char *s)
{
	const char *end = take_decimal(p, s);
	return p->known && is_exponent(end) ? take_exponent(p, s) : end;
}

/* --- one item: label=value[UOM];warning;critical;min;max --- */

static char clean(char c)
{
	return c > ' ' && c <= '~' && !strchr("\"<>&*?/", c) ? c : '_';
}

static void put_label(struct perf *p, size_t *n, char c)
{
	if (*n < PERF_LABEL_SIZE - 1)
		p->label[(*n)++] = clean(c);
}

/* In quotes, '' is a quote. Returns what follows, or NULL when the closing one is missing. */
static const char *take_quoted(struct perf *p, const char *s)
{
	size_t n = 0;
	for (s++; *s; s++) {
		if (*s == '\'' && *++s != '\'')
			return s;
		put_label(p, &n, *s);
	}
	return NULL;
}

static const char *take_bare(struct perf *p, const char *s)
{
	size_t n = 0;
	for (; *s && *s != '=' && !is_blank(*s); s++)
		put_label(p, &n, *s);
	return s;
}

static const char *item_end(const char *s)
{
	while (*s && !is_blank(*s))
		s++;
	return s;
}

/* The range after a ';', for people. */
static const char *take_limit(struct perf *p, const char *what, const char *s)
{
	if (*s != ';')
		return s;
	size_t len = strcspn(++s, "; \t\r\n"), used = strlen(p->limits);
	if (len && strspn(s, "0123456789.:@~-+eE") >= len)
		snprintf(p->limits + used, PERF_LIMITS_SIZE - used, "%s%s %.*s", used ? ", " : "", what,
		    len < 30 ? (int)len : 30, s);
	return s + len;
}

static void take_value(struct perf *p, const char *s)
{
	const char *uom = *s == 'U' ? s + 1 : take_number(p, s);
	size_t len = strcspn(uom, "; \t\r\n");
	p->counter = len == 1 && *uom == 'c';
	to_unit(p->unit, uom, len);
	s = take_limit(p, "warning", uom + len);
	take_limit(p, "critical", s);
}

/* Fills *p and returns what follows the item; without a label or '=' the label stays empty. */
static const char *take_item(struct perf *p, const char *s)
{
	*p = (struct perf){0};
	const char *after = *s == '\'' ? take_quoted(p, s) : take_bare(p, s);
	if (!after || *after != '=') {
		p->label[0] = '\0';
		return item_end(after ? after : s);
	}
	take_value(p, after + 1);
	return item_end(after + 1);
}

static bool is_new(const struct output *o, const char *label)
{
	for (size_t i = 0; i < o->n; i++)
		if (!strcmp(o->perf[i].label, label))
			return false;
	return true;
}

static void take_items(struct output *o, const char *s)
{
	struct perf p;
	for (;;) {
		while (is_blank(*s))
			s++;
		if (!*s || o->n == PERF_MAX)
			return;
		s = take_item(&p, s);
		if (p.label[0] && is_new(o, p.label))
			o->perf[o->n++] = p;
	}
}

/* --- the whole --- */

static void trim_end(char *s)
{
	size_t n = strlen(s);
	while (n && is_blank(s[n - 1]))
		s[--n] = '\0';
}

void output_parse(struct output *ret, char *bytes)
{
	while (is_blank(*bytes))
		bytes++;
	char *rest = strchr(bytes, '\n');
	if (rest)
		*rest++ = '\0';
	char *first = strchr(bytes, '|'), *more = rest ? strchr(rest, '|') : NULL;
	if (first)
		*first++ = '\0';
	trim_end(bytes);
	ret->text = bytes;
	ret->n = 0;
	if (first)
		take_items(ret, first);
	if (more)
		take_items(ret, more + 1);
}
