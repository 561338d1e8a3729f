/* SPDX-License-Identifier: Apache-2.0 */
/* A monitor's metrics and their values. Two numberings: an *index* is what the monitor holds, and stays; a
 * *position* is the place in the announced config, and closes up when metrics go. Values stand by position,
 * ready for a row.
 */
#ifndef VIGIA_HMON_SET_H
#define VIGIA_HMON_SET_H

#include "base/buf.h"
#include "base/config.h"
#include "base/value.h"
#include "hmon/hmon.h"

struct slot {
	const struct hmon_metric *metric; /* NULL: free */
	char *prefix;			  /* "net/eth0" or NULL; owned by the group's first */
	int position;
	unsigned group; /* how many this one leads; 0: not a first */
	bool dropped;	/* goes when the read is over */
};

struct mean {
	double sum;
	unsigned n;
};

struct set {
	struct slot *slots;
	size_t slots_n, slots_size;
	int *order; /* position -> index */
	struct value *now, *before;
	struct mean *means;
	size_t n, size;
	bool changed; /* metrics came or went since set_announced() */
};

void set_release(struct set *s);
/* As hmon_add(), hmon_drop(). */
int set_add(
    struct set *s, const char *prefix, const char *instance, const struct hmon_metric *metrics, size_t n);
void set_drop(struct set *s, int first);
/* Drops all but the first `keep` indices. */
void set_drop_from(struct set *s, int keep);

void set_number(struct set *s, int index, int64_t number);
void set_double(struct set *s, int index, double value);
void set_text(struct set *s, int index, const char *text);
void set_none(struct set *s, int index);

/* A read: begin, values, end (dropped metrics leave here, the sample joins the means). */
void set_begin(struct set *s);
void set_end(struct set *s);
/* Forgets the samples so far. */
void set_means_clear(struct set *s);
/* Puts the means of the gauges in place of their values. */
void set_means_take(struct set *s);
/* What is now becomes what was. */
void set_sent(struct set *s);

/* Metric at a position: its full name goes to `out`. */
const struct hmon_metric *set_metric(const struct set *s, size_t position, struct buf *out);

#endif
