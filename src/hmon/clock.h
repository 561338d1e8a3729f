/* SPDX-License-Identifier: Apache-2.0 */
/* When to sample: periods are whole multiples on the monotonic clock, so they neither drift nor need a start;
 * a window is the last part of its period and holds up to ten samples, the last one at the period's end. */
#ifndef VIGIA_HMON_CLOCK_H
#define VIGIA_HMON_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

struct tick {
	int64_t at_ns;	  /* INT64_MAX: never */
	bool first, last; /* of its window; last: the period is over */
};

/* The first tick after now. */
struct tick clock_next(int64_t now_ns, int64_t period_ns, int64_t window_ns);

int64_t clock_monotonic_ns(void);
int64_t clock_wall_ns(void);

#endif
