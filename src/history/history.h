/* SPDX-License-Identifier: Apache-2.0 */
/* What was measured, kept: compressed chunks in one SQLite file that anyone can open.
 *
 * The loop's thread appends whole periods and never waits: a period is packed against the one before it and
 * queued; a thread of this module's own writes. It commits one journal row a period, then, when a chunk's
 * worth of periods has come together, the chunk, and drops the rows it covers in the same transaction.
 * Committed means: survives the death of this process. A power cut may cost what came after the last sync (at
 * most `sync_ns`).
 *
 * A period is named by (node, monitor, boot, sequence): boot orders the lives of a node's daemon, sequence
 * the periods within one. That order decides what is new and what is a duplicate; time is only stored and
 * queried.
 *
 * When the disk is full or read-only, periods wait in the queue and beyond `queue_bytes` are dropped and
 * counted. A damaged file is kept aside as NAME.damaged-TIME and a new one begun, which gets the periods that
 * are in no chunk yet: memory still has them. Recovery is by itself.
 *
 * Who has sqlite3 and nothing else finds views there (times are UTC): `monitors`, `events`, `chunks` (what is
 * kept: node, monitor, from, to, periods, samples, step, bytes) and `means`: node, monitor, metric, unit,
 * from, to, mean, min, max, count, one row a metric and chunk, so every five minutes at one period a second;
 * count is of numbers, a text is its last. The newest minutes, in the journal still, and single samples only
 * this module reads.
 */
#ifndef VIGIA_HISTORY_HISTORY_H
#define VIGIA_HISTORY_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/config.h"
#include "base/value.h"

struct history;
struct history_monitor; /* one monitor of one node, as the writer knows it; lives as long as the history */

struct history_options {
	const char *path;      /* the database file; its directory exists */
	int64_t keep_ns;       /* older data goes; 0: no limit */
	int64_t keep_bytes;    /* the file's ceiling, oldest data goes first; 0: no limit */
	int64_t thin_after_ns; /* older chunks become means with min and max; 0: never */
	int64_t thin_step_ns;  /* ... over this long */
	int64_t sync_ns;       /* how much a power cut may cost */
	size_t queue_bytes;    /* periods waiting for a stuck disk; beyond, they are dropped and counted */
	/* Called on the writer's thread when history_dispatch() has something to tell (e.g. uv_async_send).
	 */
	void (*wake)(void *data);
	void *data;
};

struct history_position {
	int64_t boot;
	uint64_t sequence;
};

struct history_period {
	struct history_position at;
	int64_t time_ns;	    /* the node's wall clock, since 1970 */
	const struct value *values; /* config->n of them */
};

/* 0 or -errno; a damaged file is put aside, not an error. -ENOTSUP: written by a newer release, or not ours;
 * such a file is never touched. One process has a file open for writing: the caller sees to that. */
int history_open(struct history **ret, const struct history_options *o);
/* Commits what is queued, stops the thread, frees all. */
void history_close(struct history *h);

/* --- appending: the loop's thread --- */

/* The monitor's handle, made when new. NULL: no memory. */
struct history_monitor *history_monitor(struct history *h, const char *node, const char *monitor);
/* Queues a period. `config` is referenced as long as needed, and configs of one digest are one. Periods not
 * after the last appended one are ignored (0 is returned). -ENOBUFS: dropped and counted. */
int history_append(
    struct history *h, struct history_monitor *m, struct config *config, const struct history_period *p);
/* Tells, through the two functions, what happened on the writer's side since the last call. */
struct history_news {
	/* All up to `to` is committed, but for those that were lost (dropped while the disk was in trouble, or not to
	 * be filed): `lost` is how many more of this monitor's since it was last told, and never comes later than
	 * what follows them. */
	void (*committed)(
	    void *data, struct history_monitor *m, struct history_position to, uint64_t lost);
	/* Trouble began (what != NULL: one line for people) or ended (NULL), with the periods dropped
	 * meanwhile. */
	void (*trouble)(void *data, const char *what, uint64_t dropped);
};
void history_dispatch(struct history *h, const struct history_news *news, void *data);

const char *history_monitor_node(const struct history_monitor *m);
const char *history_monitor_name(const struct history_monitor *m);
/* Where the next period goes on from: the last one appended (at start: stored). boot 0: none yet. */
struct history_position history_monitor_last(const struct history_monitor *m);

/* Everything known at start: each monitor with its last config, position, time and values (borrowed). On the
 * loop's thread; blocks on the disk. */
typedef int history_known_fn(
    void *data, struct history_monitor *m, struct config *config, const struct history_period *last);
int history_known(struct history *h, history_known_fn *fn, void *data);

/* --- reading: any thread, blocks on the disk; each call opens its own view of the file. What is committed is
 * seen; what a callback gets is valid during the call --- */

/* Periods after `after`, oldest first, whole, at most max of them; fn returning non-zero stops. Returns how
 * many or -errno. What is lost to thinning or retention is simply not there. */
typedef int history_replay_fn(void *data, struct config *config, const struct history_period *p);
int history_replay(struct history *h, const char *node, const char *monitor, struct history_position after,
    size_t max, history_replay_fn *fn, void *data);

/* Points of every metric that matches, series by series, in order of time. `step_ns` 0: samples as measured
 * (thinned ones as their means). Else one point a step that has samples. */
struct history_query {
	const char *node, *monitor, *metric; /* names, or patterns with * and ? */
	int64_t from_ns, to_ns;		     /* from <= time < to */
	int64_t step_ns;
};
struct history_point {
	const char *node, *monitor;
	const struct metric *metric;
	int64_t time_ns;       /* of the sample, or the begin of the step */
	uint64_t count;	       /* samples in it */
	double mean, min, max; /* unscaled */
	struct value value;    /* the last in it: borrowed; a text, a number at metric->scale, or none */
};
typedef int history_point_fn(void *data, const struct history_point *p); /* negative: stops, and is returned */
int history_read(struct history *h, const struct history_query *q, history_point_fn *fn, void *data);

/* The same a piece at a time, in bounded memory and time: each call goes on from the cursor, which begins zeroed, in a
 * view of its own. 1: there may be more; 0: that was all. fn returning 1 ends the piece early, after the points of the
 * same time. */
struct history_cursor {
	size_t monitor;
	char metric[METRIC_NAME_MAX + 1], unit[METRIC_NAME_MAX + 1]; /* read to its end, or being read */
	enum metric_type type;
	uint8_t scale;
	bool within;
	int64_t from_ns; /* ... from here on */
};
int history_read_on(struct history *h, const struct history_query *q, struct history_cursor *c,
    history_point_fn *fn, void *data);

/* --- events: appended like periods, read like points --- */
struct history_event {
	int64_t time_ns;
	const char *kind;	    /* "node-down", ... */
	const char *node, *monitor; /* "" when it is about none */
	const char *text;
};
int history_event(struct history *h, const struct history_event *e);
typedef int history_event_fn(void *data, const struct history_event *e);
int history_events(struct history *h, int64_t from_ns, int64_t to_ns, history_event_fn *fn, void *data);

/* --- numbers of its own, for the monitor `vigia` --- */
struct history_figures {
	uint64_t appended, committed, dropped; /* since the start; dropped: events too */
	uint64_t chunks;		       /* made since the start */
	uint64_t queued_bytes, open_bytes;     /* waiting for a commit; committed and in no chunk yet */
	int64_t file_bytes;		       /* with its log */
	bool trouble;
};
void history_figures(struct history *h, struct history_figures *ret);

#endif
