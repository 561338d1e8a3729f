/* SPDX-License-Identifier: Apache-2.0 */
#include "hmon/clock.h"

#include <time.h>

enum { SAMPLES_MAX = 10 };
static const int64_t step_least_ns = 100000000;

static int64_t samples(int64_t window_ns)
{
	int64_t n = window_ns / step_least_ns;
	return n < 1 ? 1 : n > SAMPLES_MAX ? SAMPLES_MAX : n;
}

struct tick clock_next(int64_t now_ns, int64_t period_ns, int64_t window_ns)
{
	if (!period_ns)
		return (struct tick){.at_ns = INT64_MAX};
	int64_t end = (now_ns / period_ns + 1) * period_ns;
	int64_t n = samples(window_ns);
	int64_t step = window_ns / n;
	int64_t before_end = step ? (end - now_ns - 1) / step : 0;
	if (before_end > n - 1)
		before_end = n - 1;
	return (struct tick){
	    .at_ns = end - before_end * step, .first = before_end == n - 1, .last = !before_end};
}

static int64_t clock_ns(clockid_t clock)
{
	struct timespec t;
	clock_gettime(clock, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

int64_t clock_monotonic_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

int64_t clock_wall_ns(void)
{
	return clock_ns(CLOCK_REALTIME);
}
