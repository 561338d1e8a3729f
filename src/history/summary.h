/* SPDX-License-Identifier: Apache-2.0 */
/* What sqlite3 users see of a chunk: a JSON array, an element a metric (schema.h). */
#ifndef VIGIA_HISTORY_SUMMARY_H
#define VIGIA_HISTORY_SUMMARY_H

#include "base/buf.h"
#include "base/config.h"
#include "history/chunk.h"

void summary_put(struct buf *b, const struct config *c, const struct table *t);
/* An integer of that many decimals as a double. */
double unscaled(double n, unsigned scale);

#endif
