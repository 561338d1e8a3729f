/* SPDX-License-Identifier: Apache-2.0 */
/* The last periods of one of this node's monitors, as rows, for masters that lag a little.
 *
 * Bounded in rows and bytes, oldest dropped first. It can begin anywhere: the first row it gives is made full. */
#ifndef VIGIA_HEALTH_RECENT_H
#define VIGIA_HEALTH_RECENT_H

#include "base/config.h"
#include "history/history.h"

struct recent;

/* `before`: where the monitor stood. */
struct recent *recent_new(struct history_position before);
void recent_free(struct recent *r);
/* The row is as it came (differences or full); it follows the one put before and leads to the values `now`: the first
 * one, which follows nothing, is kept as those. Negative: the ring is emptied. */
int recent_put(struct recent *r, struct config *config, struct history_position at, int64_t time_ns, bool full,
    const char *text, size_t len, const struct value *now);
/* The position just before the oldest row: what it takes to go on from here. boot 0: nothing here. */
struct history_position recent_before(const struct recent *r);
struct history_position recent_last(const struct recent *r);

struct recent_row {
	struct config *config;
	struct history_position at;
	int64_t time_ns;
	bool full;
	const char *text;
	size_t len;
};
/* Gives the rows after `after`, oldest first; the first one full if `begin_full`. fn returns non-zero to stop. */
typedef int recent_fn(void *data, const struct recent_row *row);
int recent_read(struct recent *r, struct history_position after, bool begin_full, recent_fn *fn, void *data);

/* Is a after b? */
static inline bool position_after(struct history_position a, struct history_position b)
{
	return a.boot != b.boot ? a.boot > b.boot : a.sequence > b.sequence;
}

#endif
