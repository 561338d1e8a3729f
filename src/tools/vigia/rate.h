/* SPDX-License-Identifier: Apache-2.0 */
/* Counters as rates: what they grew a second, from sample to sample. One that is less than before began anew,
 * from 0: what it has is what it grew. */
#ifndef VIGIA_TOOLS_RATE_H
#define VIGIA_TOOLS_RATE_H

#include "base/names.h"
#include "tools/vigia/vigia.h"

struct rate {
	int64_t time_ns; /* of the newest sample; 0: none yet */
	double value;
	double grown, seconds; /* between the two newest; 0: there is but one */
};

/* Takes a sample and returns the rate since the one before; NAN: there was none, or it is not newer. */
double rate_take(struct rate *r, int64_t time_ns, double value);
/* The newest, NAN: none. */
double rate_now(const struct rate *r);
/* As a decimal number without exponent: five digits that count, at least. */
void rate_put(struct buf *out, double per_s);
/* Two cells: the value, and the unit with "/s" behind it. */
void rate_cells(struct table *t, double per_s, const char *unit);

/* Which metrics are counters, by MONITOR/METRIC. Asked once for all that a path means; another may follow. */
struct counters {
	struct names known;
};
int counters_ask(struct counters *c, struct vigia *v, const struct path *p);
bool counters_have(const struct counters *c, const char *monitor, const char *metric);
void counters_release(struct counters *c);

/* A counter's newest sample, by its whole name. */
struct rated {
	char *name;
	struct rate rate;
};
/* The one of that name, made when new; NULL: no memory. */
struct rated *rated_named(struct names *all, const char *node, const char *monitor, const char *metric);
void rated_release(struct names *all);

#endif
