/* SPDX-License-Identifier: Apache-2.0 */
/* A file of /proc as lines of numbers: what stood where the last time is learned once, then each reading only
 * compares the words that name a line and takes the numbers after them.
 *
 *   cpu0 313 166 266 139868             key "cpu0", four numbers
 *   MemTotal:   6089392 kB              key "MemTotal:", one
 *    254  0 vda 36462 9896              lead of 2 words, key "vda", two
 *   some avg10=0.12 total=700           key "some"; digits up to '=' are names
 *
 * A decimal point is left out: "0.12" is 12, the metric's scale says so.
 */
#ifndef VIGIA_MONITORS_HOST_LAYOUT_H
#define VIGIA_MONITORS_HOST_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hmon/hmon.h"

/* What a line measures, decided when it is learned. */
struct line {
	char *key; /* as it stands; NULL: the line has none */
	size_t key_len;
	char *instance; /* of the group below; NULL: none */
	const char *prefix;
	struct hmon_metric *own; /* a metric made for this line alone, or NULL */
	const struct hmon_metric *metrics;
	const uint16_t *factors; /* each number times this; NULL: 1 */
	size_t n;		 /* numbers taken; 0: none */
	int first;		 /* index of their metrics */
	bool whole; /* key is the rest of the line: nothing is measured while it stays the same */
};

/* How a file's lines look. */
struct shape {
	unsigned lead;	 /* words before the key */
	unsigned header; /* lines to skip at the top */
	bool keyless;	 /* no key: numbers at once */
	bool assigned;	 /* name=number */
};

struct layout {
	struct line *lines;
	size_t n;
};

/* A line's parts, for who decides what it measures. */
struct words {
	const char *key;
	size_t key_len;
	const char *numbers; /* after the key */
	size_t count;	     /* numbers there */
	const char *end;     /* of the line */
};

/* Decides: fills what it wants of *line (prefix, instance, metrics, n ...); a key is already there. 0 or
 * -ENOMEM. */
typedef int layout_decide_fn(const struct words *w, struct line *line, const struct hmon *h);

/* Learns text (NUL-terminated) and moves h's metrics from `old` to it: those in both keep their indices.
 * prefix: of lines that have none. */
int layout_learn(struct layout *ret, struct layout *old, const struct shape *shape, layout_decide_fn *decide,
    const char *prefix, const char *text, struct hmon *h);
/* Sets the values; false when the text does not fit. */
bool layout_read(const struct layout *l, const struct shape *shape, const char *text, struct hmon *h);
void layout_release(struct layout *l);

#endif
