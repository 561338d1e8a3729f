/* SPDX-License-Identifier: Apache-2.0 */
/* The database file: its schema, and one function a statement. Knows nothing of threads or chains.
 *
 * Errors are -errno: -EUCLEAN a damaged file, -ENOTSUP one of a newer release or of another program, -ENOSPC,
 * -EROFS, -EIO and so on; store_why() has a line for people.
 */
#ifndef VIGIA_HISTORY_STORE_H
#define VIGIA_HISTORY_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/config.h"
#include "history/bytes.h"
#include "history/history.h"

struct store;

enum store_use { STORE_WRITE, STORE_READ };
int store_open(struct store **ret, const char *path, enum store_use use);
void store_close(struct store *s);
const char *store_why(const struct store *s);
/* What went wrong in a store_open() on this thread: valid until the next. */
const char *store_open_why(void);

int store_begin(struct store *s); /* reading: one view of the file until store_commit() */
int store_commit(struct store *s);
void store_rollback(struct store *s);
/* Writes the log back into the file and syncs both; `all`: also waits for readers and empties the log. */
int store_sync(struct store *s, bool all);
/* What was committed since the last sync, as it is in the log. */
size_t store_unsynced(const struct store *s);

enum { STEP_NEVER = -1 };

struct chunk_row {
	int64_t id, monitor, config, boot;
	uint64_t first, last; /* sequences */
	int64_t from_ns, to_ns;
	size_t rows;
	int64_t step_ns; /* 0: as measured; STEP_NEVER: and never to be thinned */
	const char *summary;
	struct bytes body;
};

int store_put_monitor(struct store *s, int64_t id, const char *node, const char *monitor);
int store_put_config(struct store *s, int64_t id, const struct config *c);
int store_put_journal(struct store *s, struct bytes body, int64_t *ret_id);
int store_journal_head(struct store *s, int64_t *ret); /* the newest id, 0: empty */
int store_drop_journal(struct store *s, int64_t before);
int store_put_chunk(struct store *s, const struct chunk_row *c); /* id 0: a new one, else replaced */
int store_put_event(struct store *s, const struct history_event *e);

/* Each calls fn once a row, what it gets is borrowed; non-zero from fn stops and is returned. */
typedef int store_monitor_fn(void *data, int64_t id, const char *node, const char *monitor);
typedef int store_journal_fn(void *data, int64_t id, struct bytes body);
typedef int store_chunk_fn(void *data, const struct chunk_row *c);
/* What there is of a chunk without looking into it. */
struct store_span {
	int64_t config, from_ns, to_ns;
	uint64_t rows;
};
typedef int store_span_fn(void *data, const struct store_span *s);
int store_monitors(struct store *s, store_monitor_fn *fn, void *data);
int store_journal(struct store *s, store_journal_fn *fn, void *data);
int store_events(struct store *s, int64_t from_ns, int64_t to_ns, history_event_fn *fn, void *data);
/* A monitor's chunks that hold something after the position, in order. */
int store_chunks_after(
    struct store *s, int64_t monitor, struct history_position after, store_chunk_fn *fn, void *data);
/* ... that overlap from <= time < to, by when they end. */
int store_spans(
    struct store *s, int64_t monitor, int64_t from_ns, int64_t to_ns, store_span_fn *fn, void *data);
int store_chunks_between(
    struct store *s, int64_t monitor, int64_t from_ns, int64_t to_ns, store_chunk_fn *fn, void *data);
/* ... its last. */
int store_last_chunk(struct store *s, int64_t monitor, store_chunk_fn *fn, void *data);
/* Measured chunks that ended before, oldest first, at most max. */
int store_chunks_to_thin(struct store *s, int64_t before_ns, int64_t max, store_chunk_fn *fn, void *data);
/* The config so numbered, made anew. -ENOENT. */
int store_config(struct store *s, int64_t id, struct config **ret);
int store_max_config(struct store *s, int64_t *ret);
typedef int store_id_fn(void *data, int64_t id);
/* Configs that no chunk is of. */
int store_unused_configs(struct store *s, store_id_fn *fn, void *data);
/* Deletes it if no chunk is of it. */
int store_drop_config(struct store *s, int64_t id);

/* Deletes chunks and events that ended before, at most max of each; returns how many went. `fn` gets the config of
 * each chunk. */
int64_t store_drop_before(struct store *s, int64_t time_ns, int64_t max, store_id_fn *fn, void *data);
/* Deletes the oldest max chunks, and events older than they; returns how many chunks went. */
int64_t store_drop_oldest(struct store *s, int64_t max, store_id_fn *fn, void *data);
struct store_size {
	int64_t page, pages, free_pages;
};
int store_size(struct store *s, struct store_size *ret);
/* Gives up to n free pages back to the file system. */
int store_shrink(struct store *s, int64_t n);

#endif
