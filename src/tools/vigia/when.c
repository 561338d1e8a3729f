/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vigia/when.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const int64_t SECOND = 1000000000;

const char when_time_forms[] = "a time is now, -1h, today, 14:30, 2025-11-22 or 2025-11-22T14:30:05";
const char when_duration_forms[] = "a duration is a number with ns, us, ms, s, min, h, d or w, as in 500ms";

static const struct unit {
	const char *name;
	int64_t ns;
} units[] = {{"ns", 1}, {"us", 1000}, {"ms", 1000000}, {"s", 1000000000}, {"min", 60000000000},
    {"m", 60000000000}, {"h", 3600000000000}, {"d", 86400000000000}, {"w", 604800000000000}};

static int64_t unit_ns(const char *s, size_t n)
{
	for (size_t i = 0; i < sizeof units / sizeof *units; i++)
		if (strlen(units[i].name) == n && !memcmp(units[i].name, s, n))
			return units[i].ns;
	return 0;
}

static bool numeral(const char *s)
{
	return isdigit((unsigned char)*s) || *s == '.';
}

int when_duration(const char *text, int64_t *ret_ns)
{
	double sum = 0;
	const char *s = text;
	do {
		char *end;
		if (!numeral(s))
			return -EINVAL;
		size_t digits = strspn(s, "0123456789.");
		double n = strtod(s, &end);
		size_t letters = strcspn(s + digits, "0123456789.");
		int64_t unit = end == s + digits ? unit_ns(end, letters) : 0;
		if (!unit)
			return -EINVAL;
		sum += n * (double)unit;
		s = end + letters;
	} while (*s);
	if (sum >= 9.2e18)
		return -ERANGE;
	*ret_ns = (int64_t)(sum + 0.5);
	return 0;
}

/* --- times --- */

static int64_t local_ns(struct tm *tm)
{
	tm->tm_isdst = -1;
	return (int64_t)mktime(tm) * SECOND;
}

static struct tm day_of(int64_t now_ns)
{
	time_t t = (time_t)(now_ns / SECOND);
	struct tm tm;
	localtime_r(&t, &tm);
	tm.tm_hour = tm.tm_min = tm.tm_sec = 0;
	return tm;
}

/* Two digits below `limit`. */
static const char *take2(const char *s, int limit, int *ret)
{
	if (!s || !isdigit((unsigned char)s[0]) || !isdigit((unsigned char)s[1]))
		return NULL;
	int n = (s[0] - '0') * 10 + s[1] - '0';
	if (n >= limit)
		return NULL;
	*ret = n;
	return s + 2;
}

static const char *take_date(const char *s, struct tm *tm)
{
	int year, month = 0, day = 0;
	if (strspn(s, "0123456789") != 4 || s[4] != '-')
		return NULL;
	year = atoi(s);
	s = take2(s + 5, 13, &month);
	if (!s || *s != '-' || !month)
		return NULL;
	s = take2(s + 1, 32, &day);
	*tm = (struct tm){.tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = day};
	return day ? s : NULL;
}

static const char *take_fraction(const char *s, int64_t *ret_ns)
{
	int64_t unit = SECOND;
	int64_t ns = 0;
	for (s++; isdigit((unsigned char)*s); s++) {
		unit /= 10;
		ns += unit * (*s - '0');
	}
	*ret_ns = ns;
	return s;
}

static const char *take_clock(const char *s, struct tm *tm, int64_t *ret_ns)
{
	s = take2(s, 24, &tm->tm_hour);
	if (!s || *s != ':')
		return NULL;
	s = take2(s + 1, 60, &tm->tm_min);
	if (s && *s == ':')
		s = take2(s + 1, 61, &tm->tm_sec);
	if (s && *s == '.')
		s = take_fraction(s, ret_ns);
	return s;
}

static const char *take_zone(const char *s, int64_t *ret_seconds)
{
	int hours = 0, minutes = 0;
	int sign = *s == '-' ? -1 : 1;
	if (*s == 'Z' || *s == 'z') {
		*ret_seconds = 0;
		return s + 1;
	}
	s = take2(s + 1, 24, &hours);
	if (s && *s == ':')
		s++;
	if (s && *s)
		s = take2(s, 60, &minutes);
	*ret_seconds = sign * (hours * 3600 + minutes * 60);
	return s;
}

static int absolute(const char *s, int64_t now_ns, int64_t *ret_ns)
{
	struct tm tm = day_of(now_ns);
	int64_t fraction = 0, zone = 0;
	const char *after = take_date(s, &tm);
	if (after && (*after == 'T' || *after == ' '))
		after = take_clock(after + 1, &tm, &fraction);
	else if (!after)
		after = take_clock(s, &tm, &fraction);
	if (!after)
		return -EINVAL;
	bool zoned = *after && strchr("Zz+-", *after);
	if (zoned)
		after = take_zone(after, &zone);
	if (!after || *after)
		return -EINVAL;
	*ret_ns = (zoned ? ((int64_t)timegm(&tm) - zone) * SECOND : local_ns(&tm)) + fraction;
	return *ret_ns < 0 ? -ERANGE : 0;
}

static int epoch(const char *s, int64_t *ret_ns)
{
	char *end;
	double n = strtod(s, &end);
	if (!numeral(s) || *end || n > 9e9)
		return -EINVAL;
	*ret_ns = (int64_t)(n * 1e9);
	return 0;
}

static int64_t days_ago(int64_t now_ns, int days)
{
	struct tm tm = day_of(now_ns);
	tm.tm_mday -= days;
	return local_ns(&tm);
}

int when_time(const char *text, int64_t now_ns, int64_t *ret_ns)
{
	int64_t ago, ns = now_ns;
	int r = 0;
	if (!strcmp(text, "today"))
		ns = days_ago(now_ns, 0);
	else if (!strcmp(text, "yesterday"))
		ns = days_ago(now_ns, 1);
	else if (*text == '@')
		r = epoch(text + 1, &ns);
	else if (!when_duration(text + (*text == '-'), &ago))
		ns = ago < now_ns ? now_ns - ago : 0;
	else if (strcmp(text, "now"))
		r = absolute(text, now_ns, &ns);
	if (!r)
		*ret_ns = ns;
	return r;
}

/* --- showing --- */

static void put_local(struct buf *out, int64_t ns, const char *format)
{
	char s[64];
	struct tm tm;
	time_t t = (time_t)(ns / SECOND);
	if (ns <= 0)
		return;
	localtime_r(&t, &tm);
	strftime(s, sizeof s, format, &tm);
	buf_puts(out, s);
}

void when_put(struct buf *out, int64_t ns)
{
	put_local(out, ns, "%Y-%m-%d %H:%M:%S");
}

void when_put_clock(struct buf *out, int64_t ns)
{
	put_local(out, ns, "%H:%M:%S");
}

void when_put_utc(struct buf *out, int64_t ns)
{
	char s[64];
	struct tm tm;
	time_t t = (time_t)(ns / SECOND);
	if (ns <= 0)
		return;
	gmtime_r(&t, &tm);
	strftime(s, sizeof s, "%Y-%m-%dT%H:%M:%S", &tm);
	buf_putf(out, "%s.%09dZ", s, (int)(ns % SECOND));
}

void when_put_duration(struct buf *out, int64_t ns)
{
	static const struct unit steps[] = {{"d", 86400}, {"h", 3600}, {"min", 60}, {"s", 1}};
	int64_t left = ns / SECOND;
	size_t i = 0;
	if (left < 1) {
		buf_putf(out, "%d ms", (int)(ns / 1000000));
		return;
	}
	while (left < steps[i].ns)
		i++;
	buf_putf(out, "%lld %s", (long long)(left / steps[i].ns), steps[i].name);
	left %= steps[i].ns;
	if (i < 3 && left / steps[i + 1].ns)
		buf_putf(out, " %lld %s", (long long)(left / steps[i + 1].ns), steps[i + 1].name);
}
