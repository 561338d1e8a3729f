/* SPDX-License-Identifier: Apache-2.0 */
/* Old chunks become means over steps of time.
 *
 * A thinned chunk has a row a step that has samples, at the step's begin, and THIN_PARTS columns a metric.
 * The sum is kept exactly (mean and rest), so that coarser means come out the same.
 */
#ifndef VIGIA_HISTORY_THIN_H
#define VIGIA_HISTORY_THIN_H

#include "history/chunk.h"
#include "history/store.h"

enum thin_part { THIN_COUNT, THIN_MEAN, THIN_REST, THIN_MIN, THIN_MAX, THIN_LAST, THIN_PARTS };

/* Thins a few of the measured chunks that ended before. 0, also when there is nothing to do, or -errno. */
int thin_some(struct store *s, int64_t before_ns, int64_t step_ns);
/* -E2BIG: it would not get smaller. -ENOMEM. */
int thin_table(struct table *ret, const struct table *t, int64_t step_ns);

#endif
