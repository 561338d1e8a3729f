/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the history share. Three threads meet here, each with fields of its own:
 *
 *	loop	appends (history.c); packs into `pending` under `lock`
 *	writer	commits, builds chunks, keeps the file small (writer.c); alone uses `store`
 *	readers	any thread (reader.c): their own view of the file, and the chains under `chains_lock`
 *
 * Order of locks: none is taken while another is held, but that of the configs, which is a leaf.
 */
#ifndef VIGIA_HISTORY_STATE_H
#define VIGIA_HISTORY_STATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/buf.h"
#include "history/configs.h"
#include "history/history.h"
#include "history/row.h"
#include "history/store.h"

/* Rows that are committed in the journal and in no chunk: a whole one and those that build on it. */
struct chain {
	struct chain *next; /* newer, of the same monitor */
	struct stored_config *config; /* referenced, as all that are named in these structures */
	struct row_place first, last;
	size_t rows;
	struct buf bytes;	     /* length, row each */
	int64_t journal;	     /* the record of its first row, or before */
	int64_t held_ns, touched_ns; /* monotonic: it began or was carried forward; the last row came */
	bool complete;		     /* nothing will be added */
};

struct history_monitor {
	int64_t id;
	char *node, *name;
	struct history *history;

	/* loop */
	struct row_state state; /* as of `last`, if a chain is being made */
	struct stored_config *config;
	struct history_position last;
	size_t rows, rows_max; /* in the chain being made */

	/* under lock */
	uint64_t queued; /* rows ever */
	bool renew;	 /* the next row must be whole */

	/* writer; chains are changed under chains_lock */
	uint64_t filed;
	struct chain *chains;	/* oldest first */
	struct row_place place; /* of the row seen last */
	bool placed;
	struct history_position kept; /* the last row in a chunk or chain */
	uint64_t unfiled;	      /* rows lost, not told yet */

	/* under news_lock */
	struct history_monitor *news_next;
	struct history_position committed;
	uint64_t lost; /* since it was told */
	bool in_news;
};

/* What the loop hands to the writer in one go. */
struct batch {
	struct buf rows;     /* records; each with a config has a reference to it */
	struct buf events;   /* time, then four strings each */
	struct buf monitors; /* struct history_monitor *, new ones */
	struct buf configs;  /* struct stored_config *, new ones, referenced */
	uint64_t rows_n;
};

struct trouble {
	char what[320];
	uint64_t dropped;
	bool began, ended; /* to be told */
	bool now;	   /* it began, or began again, after it ended */
};

/* Hash to position: open addressing, sizes powers of two. */
struct lookup {
	struct lookup_slot {
		uint64_t hash;
		uint32_t at; /* + 1; 0: free */
	} * slots;
	size_t n, size;
};

struct history {
	struct history_options options;
	char *path;
	pthread_t thread;

	/* loop */
	struct history_monitor **monitors; /* by id - 1 */
	size_t monitors_n, monitors_size;
	struct lookup monitors_by_name;
	struct buf scratch;

	struct configs configs; /* any thread */

	pthread_mutex_t lock;
	pthread_cond_t work; /* rows for an idle writer, or the end */
	struct batch pending;
	bool idle, stop;

	bool loading; /* at start, before there is a thread: configs are looked for in the file */

	/* writer */
	struct store *store;
	struct batch batch;
	struct history_monitor *
	    *known; /* those told to it, by id - 1; changed under chains_lock */
	size_t known_n, known_size;
	struct buf gone; /* numbers of configs that the file may not need any more */
	unsigned failing; /* a bit a kind of work, see writer.c */
	uint64_t dropped_before;
	int64_t retry_ns, sync_ns, pass_ns, prune_ns;
	size_t complete_n; /* chains waiting to become chunks */

	pthread_mutex_t chains_lock;

	pthread_mutex_t news_lock;
	struct history_monitor *news, **news_end;
	struct trouble trouble;

	_Atomic size_t rows_target; /* of a chain: fewer when memory is short */
	_Atomic size_t open_bytes;
	_Atomic uint64_t queued_bytes, appended, committed, dropped, chunks;
	_Atomic int64_t file_bytes;
	_Atomic bool troubled;
	_Atomic bool suspect; /* a reader met a damaged file of this generation */
	_Atomic unsigned generation;
};

enum {
	ROWS_TARGET = 300,
	ROWS_LEAST = 16,
	CELLS_TARGET = 1 << 20,
};

/* history.c */
int64_t monotonic_ns(void);
int monitor_add(
    struct history *h, int64_t id, const char *node, const char *name, struct history_monitor **ret);
/* What a config takes in memory, about; in the file it is the same. */
size_t config_bytes(const struct config *c);

/* writer.c */
void *writer_run(void *history);
/* Makes the chains of what the journal holds, and tells the loop's side where each monitor was. */
int writer_load(struct history *h);
/* After either's end. */
void writer_release(struct history *h);
/* Opens the file; a damaged one is put aside first. */
int writer_open(struct history *h);

#endif
