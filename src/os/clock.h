/* SPDX-License-Identifier: Apache-2.0 */
/* The two clocks. Intervals and deadlines are on the monotonic one, which stands still while the machine sleeps;
 * what people read is on the wall clock, which may jump. */
#ifndef VIGIA_OS_CLOCK_H
#define VIGIA_OS_CLOCK_H

#include <stdint.h>

int64_t clock_mono_ns(void);
/* Since 1970-01-01 UTC. */
int64_t clock_wall_ns(void);

#endif
