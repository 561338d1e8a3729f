/* SPDX-License-Identifier: Apache-2.0 */
/* The configs that the history's memory has use for: the newest of each monitor, and those of queued rows and of open
 * chains. The file has more: a reader loads what its chunks need.
 *
 * Counted by reference, from any thread. What nobody refers to is kept a while, for a monitor that goes back to what
 * it was, and then let go for good: its number goes to those gone, and the writer drops it from the file once no chunk
 * is of it. The lock here is a leaf: it may be taken while another is held.
 */
#ifndef VIGIA_HISTORY_CONFIGS_H
#define VIGIA_HISTORY_CONFIGS_H

#include <pthread.h>
#include <stdbool.h>

#include "base/buf.h"
#include "base/config.h"

enum { CONFIG_BUCKETS = 1024, IDLE_CONFIGS_MAX = 64, IDLE_METRICS_MAX = 4096 };

/* A config with the number it has in the file. */
struct stored_config {
	int64_t id;
	struct config *config;
	unsigned refs;
	struct stored_config *same_digest, *same_id; /* of one bucket */
	struct stored_config *next_idle, **idle_link;
};

struct configs {
	pthread_mutex_t lock;
	struct stored_config *by_digest[CONFIG_BUCKETS], *by_id[CONFIG_BUCKETS];
	struct stored_config *idle, **idle_end; /* longest idle first */
	size_t idle_n, idle_metrics;
	int64_t next_id;
	struct buf gone; /* numbers, int64_t each */
};

/* Digests are cut hashes: two configs that are used for one another have as many values at least. */
static inline bool configs_alike(const struct config *a, const struct config *b)
{
	return a == b || (a->digest == b->digest && a->n == b->n);
}

void configs_init(struct configs *c);
void configs_release(struct configs *c);

/* The config so numbered, or one of this content, with a reference for the caller; NULL: there is none. */
struct stored_config *configs_find_id(struct configs *c, int64_t id);
struct stored_config *configs_find(struct configs *c, const struct config *config);
/* A new one, with a reference for the caller; `id` 0: the next. Takes `config`. NULL: no memory. */
struct stored_config *configs_add(struct configs *c, int64_t id, struct config *take);
struct stored_config *configs_ref(struct configs *c, struct stored_config *s);
void configs_unref(struct configs *c, struct stored_config *s);
/* Numbers are not given twice: the next is after this one. */
void configs_seen(struct configs *c, int64_t id);

/* Is it in memory still? Then it may be used without being stored anew. */
bool configs_has(struct configs *c, int64_t id);
void configs_put_gone(struct configs *c, int64_t id);
/* Moves those gone since the last call to the end of `to`. */
void configs_take_gone(struct configs *c, struct buf *to);
/* Puts all (struct stored_config *) to the end of `to`, with a reference each. */
void configs_ref_all(struct configs *c, struct buf *to);

#endif
