/* SPDX-License-Identifier: Apache-2.0 */
/* Times and durations, as people write and read them. */
#ifndef VIGIA_TOOLS_WHEN_H
#define VIGIA_TOOLS_WHEN_H

#include <stdint.h>

#include "base/buf.h"

/* "500ms", "1.5s", "10min", "2h", "1d", "1w", and "1h30min". 0, -EINVAL or -ERANGE. */
int when_duration(const char *text, int64_t *ret_ns);

/* "now", a duration before now ("-1h", and just "1h"), "today", "yesterday", "14:30" (today), "2025-11-22",
 * "2025-11-22T14:30[:05[.5]][Z|+01:00]" (a blank will do for T; local where no zone is said), "@1763839000".
 */
int when_time(const char *text, int64_t now_ns, int64_t *ret_ns);

/* Those forms in one line, for errors. */
extern const char when_time_forms[], when_duration_forms[];

/* "2025-11-22 14:30:05" in local time; for machines in UTC, to the ns. 0, a time that never was, puts
 * nothing. */
void when_put(struct buf *out, int64_t ns);
void when_put_clock(struct buf *out, int64_t ns);
void when_put_utc(struct buf *out, int64_t ns);
/* "3 s", "12 min", "5 h", "3 d": the two largest units at most; "250 ms" below a second. */
void when_put_duration(struct buf *out, int64_t ns);

#endif
