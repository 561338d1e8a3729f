/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/units.h"

#include <errno.h>
#include <string.h>

struct unit {
	const char *name;
	int64_t factor;
};

/* Smallest first. */
static const struct unit durations[] = {
    {"ns", 1},
    {"us", 1000},
    {"ms", 1000000},
    {"s", 1000000000},
    {"min", 60000000000},
    {"h", 3600000000000},
    {"d", 86400000000000},
    {NULL, 0},
};

static const struct unit sizes[] = {
    {"B", 1},
    {"KiB", 1LL << 10},
    {"MiB", 1LL << 20},
    {"GiB", 1LL << 30},
    {"TiB", 1LL << 40},
    {NULL, 0},
};

static int number(const char **text, int64_t *ret_number)
{
	const char *p = *text;
	int64_t n = 0;

	if (*p < '0' || *p > '9')
		return -EINVAL;
	for (; *p >= '0' && *p <= '9'; p++)
		if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, *p - '0', &n))
			return -ERANGE;
	*text = p;
	*ret_number = n;
	return 0;
}

static int with_unit(const struct unit *units, const char *text, int64_t *ret)
{
	int64_t n;
	int r = number(&text, &n);

	if (r < 0)
		return r;
	if (*text == ' ')
		text++;
	for (const struct unit *u = units; u->name; u++)
		if (strcmp(text, u->name) == 0)
			return __builtin_mul_overflow(n, u->factor, ret) ? -ERANGE : 0;
	if (n == 0 && !*text) {
		*ret = 0;
		return 0;
	}
	return -EINVAL;
}

int units_duration(const char *text, int64_t *ret_ns)
{
	int64_t ns;
	int r = with_unit(durations, text, &ns);

	if (r == 0)
		*ret_ns = ns;
	return r;
}

int units_size(const char *text, int64_t *ret_bytes)
{
	int64_t bytes;
	int r = with_unit(sizes, text, &bytes);

	if (r == 0)
		*ret_bytes = bytes;
	return r;
}

int units_count(const char *text, int64_t *ret_count)
{
	int64_t n;
	int r = number(&text, &n);

	if (r < 0 || *text)
		return r < 0 ? r : -EINVAL;
	*ret_count = n;
	return 0;
}

static void put(const struct unit *units, struct buf *to, int64_t n)
{
	const struct unit *best = units;

	for (const struct unit *u = units; u->name; u++)
		if (n && n % u->factor == 0)
			best = u;
	buf_putf(to, "%lld%s", (long long)(n / best->factor), best->name);
}

void units_put_duration(struct buf *to, int64_t ns)
{
	if (ns == 0)
		buf_puts(to, "0s");
	else
		put(durations, to, ns);
}

void units_put_size(struct buf *to, int64_t bytes)
{
	put(sizes, to, bytes);
}
