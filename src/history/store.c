/* SPDX-License-Identifier: Apache-2.0 */
#include "history/store.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "history/schema.h"

enum statement {
	BEGIN,
	COMMIT,
	ROLLBACK,
	PUT_MONITOR,
	PUT_CONFIG,
	PUT_METRIC,
	PUT_JOURNAL,
	DROP_JOURNAL,
	JOURNAL_HEAD,
	PUT_CHUNK,
	PUT_EVENT,
	MONITORS,
	JOURNAL,
	EVENTS,
	CHUNKS_AFTER,
	CHUNKS_BETWEEN,
	SPANS,
	LAST_CHUNK,
	CHUNKS_TO_THIN,
	CONFIG,
	METRICS,
	MAX_CONFIG,
	UNUSED_CONFIGS,
	DROP_CONFIG,
	DROP_METRICS,
	DROP_CHUNKS_BEFORE,
	DROP_EVENTS_BEFORE,
	DROP_OLDEST_CHUNKS,
	DROP_OLDEST_EVENTS,
	STATEMENTS
};

#define CHUNK_COLUMNS "id, monitor, config, boot, first, last, from_ns, to_ns, rows, step_ns, summary, body"

static const char *const sql[STATEMENTS] = {
    [BEGIN] = "BEGIN",
    [COMMIT] = "COMMIT",
    [ROLLBACK] = "ROLLBACK",
    [PUT_MONITOR] = "INSERT OR REPLACE INTO monitors_ VALUES (?, ?, ?)",
    [PUT_CONFIG] = "INSERT OR REPLACE INTO configs VALUES (?, ?, ?, ?)",
    [PUT_METRIC] = "INSERT OR REPLACE INTO metrics VALUES (?, ?, ?, ?, ?, ?, ?)",
    [PUT_JOURNAL] = "INSERT INTO journal (body) VALUES (?)",
    [DROP_JOURNAL] = "DELETE FROM journal WHERE id < ?",
    [JOURNAL_HEAD] = "SELECT ifnull(max(id), 0) FROM journal",
    [PUT_CHUNK] = "INSERT OR REPLACE INTO chunks_ VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    [PUT_EVENT] = "INSERT INTO events_ (time_ns, kind, node, monitor, text) VALUES (?, ?, ?, ?, ?)",
    [MONITORS] = "SELECT id, node, monitor FROM monitors_ ORDER BY id",
    [JOURNAL] = "SELECT id, body FROM journal ORDER BY id",
    [EVENTS] = "SELECT time_ns, kind, node, monitor, text FROM events_ WHERE time_ns >= ? AND time_ns < ?"
	       " ORDER BY time_ns, id",
    [CHUNKS_AFTER] = "SELECT " CHUNK_COLUMNS " FROM chunks_ WHERE monitor = ? AND (boot, last) > (?, ?)"
		     " ORDER BY boot, last",
    [CHUNKS_BETWEEN] =
	"SELECT " CHUNK_COLUMNS " FROM chunks_ WHERE monitor = ? AND to_ns >= ? AND from_ns < ? ORDER BY to_ns",
    [SPANS] = "SELECT config, from_ns, to_ns, rows FROM chunks_ WHERE monitor = ? AND to_ns >= ? AND from_ns < ?"
	      " ORDER BY to_ns",
    [LAST_CHUNK] =
	"SELECT " CHUNK_COLUMNS " FROM chunks_ WHERE monitor = ? ORDER BY boot DESC, last DESC LIMIT 1",
    [CHUNKS_TO_THIN] =
	"SELECT " CHUNK_COLUMNS " FROM chunks_ WHERE to_ns < ? AND step_ns = 0 ORDER BY to_ns LIMIT ?",
    [CONFIG] = "SELECT digest, period_ns, window_ns, (SELECT count(*) FROM metrics WHERE config = id)"
	       " FROM configs WHERE id = ?",
    [METRICS] = "SELECT metric, type, unit, scale, doc FROM metrics WHERE config = ? ORDER BY n",
    [MAX_CONFIG] = "SELECT ifnull(max(id), 0) FROM configs",
    [UNUSED_CONFIGS] =
	"SELECT id FROM configs c WHERE NOT EXISTS (SELECT 1 FROM chunks_ WHERE config = c.id)",
    [DROP_CONFIG] =
	"DELETE FROM configs WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM chunks_ WHERE config = ?1)",
    [DROP_METRICS] = "DELETE FROM metrics WHERE config = ?",
    [DROP_CHUNKS_BEFORE] = "DELETE FROM chunks_ WHERE id IN (SELECT id FROM chunks_ WHERE to_ns < ? LIMIT ?)"
			   " RETURNING config",
    [DROP_EVENTS_BEFORE] =
	"DELETE FROM events_ WHERE id IN (SELECT id FROM events_ WHERE time_ns < ? LIMIT ?)",
    [DROP_OLDEST_CHUNKS] = "DELETE FROM chunks_ WHERE id IN (SELECT id FROM chunks_ ORDER BY to_ns LIMIT ?)"
			   " RETURNING config",
    [DROP_OLDEST_EVENTS] = "DELETE FROM events_ WHERE time_ns < (SELECT ifnull(min(to_ns), 0) FROM chunks_)",
};

struct store {
	sqlite3 *db;
	sqlite3_stmt *statements[STATEMENTS];
	int log, synced; /* pages of the log: all, and of those at the last sync */
	char why[256];
};

enum { PAGE = 4096 };

static __thread char open_why[256];

/* --- errors --- */

static int errno_of(sqlite3 *db, int rc)
{
	switch (rc & 0xff) {
	case SQLITE_OK:
	case SQLITE_DONE:
	case SQLITE_ROW:
		return 0;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_READONLY:
		return -EROFS;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return -EUCLEAN;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	case SQLITE_CANTOPEN:
		return sqlite3_system_errno(db) ? -sqlite3_system_errno(db) : -EACCES;
	default:
		return -EIO;
	}
}

static int failed(struct store *s, int rc)
{
	int e = errno_of(s->db, rc);
	if (e)
		snprintf(s->why, sizeof s->why, "%s", sqlite3_errmsg(s->db));
	return e;
}

const char *store_why(const struct store *s)
{
	return s->why;
}

const char *store_open_why(void)
{
	return open_why;
}

/* --- statements --- */

static int prepare(struct store *s, enum statement which, sqlite3_stmt **ret)
{
	sqlite3_stmt **q = &s->statements[which];
	if (!*q) {
		int rc = sqlite3_prepare_v3(s->db, sql[which], -1, SQLITE_PREPARE_PERSISTENT, q, NULL);
		int e = failed(s, rc);
		if (e)
			return e;
	}
	*ret = *q;
	return 0;
}

static int finish(struct store *s, sqlite3_stmt *q, int rc)
{
	int e = rc == SQLITE_ROW || rc == SQLITE_DONE ? 0 : failed(s, rc);
	sqlite3_reset(q);
	return e;
}

static int run(struct store *s, enum statement which)
{
	sqlite3_stmt *q;
	int e = prepare(s, which, &q);
	return e ? e : finish(s, q, sqlite3_step(q));
}

static int prepare_ints(
    struct store *s, enum statement which, const int64_t *args, int n, sqlite3_stmt **ret)
{
	int e = prepare(s, which, ret);
	for (int i = 0; !e && i < n; i++)
		sqlite3_bind_int64(*ret, i + 1, args[i]);
	return e;
}

static int run_ints(struct store *s, enum statement which, const int64_t *args, int n)
{
	sqlite3_stmt *q;
	int e = prepare_ints(s, which, args, n, &q);
	return e ? e : finish(s, q, sqlite3_step(q));
}

static void bind_text(sqlite3_stmt *q, int at, const char *text)
{
	sqlite3_bind_text(q, at, text ? text : "", -1, SQLITE_STATIC);
}

static void bind_bytes(sqlite3_stmt *q, int at, struct bytes b)
{
	sqlite3_bind_blob64(q, at, b.at ? (const void *)b.at : "", bytes_left(&b), SQLITE_STATIC);
}

static const char *column_str(sqlite3_stmt *q, int at)
{
	const char *text = (const char *)sqlite3_column_text(q, at);
	return text ? text : "";
}

static struct bytes column_bytes(sqlite3_stmt *q, int at)
{
	const void *data = sqlite3_column_blob(q, at);
	return bytes_of(data ? data : "", (size_t)sqlite3_column_bytes(q, at));
}

/* --- opening --- */

static int pragma_int(struct store *s, const char *pragma, int64_t *ret)
{
	sqlite3_stmt *q;
	int rc = sqlite3_prepare_v2(s->db, pragma, -1, &q, NULL);
	if (rc)
		return failed(s, rc);
	rc = sqlite3_step(q);
	if (rc == SQLITE_ROW)
		*ret = sqlite3_column_int64(q, 0);
	int e = rc == SQLITE_ROW || rc == SQLITE_DONE ? 0 : failed(s, rc);
	sqlite3_finalize(q);
	return e;
}

static int exec(struct store *s, const char *text)
{
	return failed(s, sqlite3_exec(s->db, text, NULL, NULL, NULL));
}

static int refuse(struct store *s, const char *why)
{
	snprintf(s->why, sizeof s->why, "%s", why);
	return -ENOTSUP;
}

static int migrate_from(struct store *s, int64_t version)
{
	int e = exec(s, "BEGIN IMMEDIATE");
	for (; !e && version < SCHEMA_VERSION; version++)
		e = exec(s, schema_steps[version]);
	char numbers[96];
	snprintf(numbers, sizeof numbers, "PRAGMA application_id = %d; PRAGMA user_version = %d;",
	    SCHEMA_APPLICATION, SCHEMA_VERSION);
	if (!e)
		e = exec(s, numbers);
	if (!e)
		e = exec(s, "COMMIT");
	if (e)
		sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
	return e;
}

static int check_version(struct store *s, int64_t *ret_version)
{
	int64_t version = 0, application = 0, tables = 0;
	int e = pragma_int(s, "PRAGMA user_version", &version);
	if (!e)
		e = pragma_int(s, "PRAGMA application_id", &application);
	if (!e)
		e = pragma_int(s, "SELECT count(*) FROM sqlite_schema", &tables);
	if (e)
		return e;
	if (tables && application != SCHEMA_APPLICATION)
		return refuse(s, "it is a database of another program");
	if (version < 0 || version > SCHEMA_VERSION)
		return refuse(s, "it was written by a newer release of Vigia");
	*ret_version = version;
	return 0;
}

static int set_up_reading(struct store *s)
{
	int64_t version;
	int e = check_version(s, &version);
	if (!e && version < SCHEMA_VERSION)
		e = refuse(s, "it was written by an older release");
	return e;
}

/* A log that was written back into the file begins again. */
static int on_log(void *store, sqlite3 *db, const char *name, int pages)
{
	struct store *s = store;
	s->log = pages;
	s->synced = pages < s->synced ? 0 : s->synced;
	return SQLITE_OK;
}

/* The check comes first: some of the pragmas write, and what is not ours stays as it is. */
static int set_up_writing(struct store *s)
{
	int64_t version;
	int e = check_version(s, &version);
	if (e)
		return e;
	e = exec(s,
	    "PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
	    "PRAGMA wal_autocheckpoint = 0; PRAGMA secure_delete = OFF; PRAGMA journal_size_limit = 131072;"
	    "PRAGMA cache_size = -4000; PRAGMA temp_store = MEMORY; PRAGMA trusted_schema = OFF");
	sqlite3_wal_hook(s->db, on_log, s);
	return !e && version < SCHEMA_VERSION ? migrate_from(s, version) : e;
}

int store_open(struct store **ret, const char *path, enum store_use use)
{
	struct store *s = calloc(1, sizeof *s);
	if (!s)
		return -ENOMEM;
	int flags = use == STORE_WRITE ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE : SQLITE_OPEN_READONLY;
	int rc = sqlite3_open_v2(path, &s->db, flags | SQLITE_OPEN_NOMUTEX, NULL);
	int e = s->db ? failed(s, rc) : -ENOMEM;
	if (!e) {
		sqlite3_busy_timeout(s->db, 5000);
		e = use == STORE_WRITE ? set_up_writing(s) : set_up_reading(s);
	}
	if (e) {
		snprintf(open_why, sizeof open_why, "%s", s->why);
		store_close(s);
		return e;
	}
	*ret = s;
	return 0;
}

void store_close(struct store *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < STATEMENTS; i++)
		sqlite3_finalize(s->statements[i]);
	sqlite3_close(s->db);
	free(s);
}

int store_begin(struct store *s)
{
	return run(s, BEGIN);
}

int store_commit(struct store *s)
{
	return run(s, COMMIT);
}

void store_rollback(struct store *s)
{
	if (!sqlite3_get_autocommit(s->db))
		run(s, ROLLBACK);
}

int store_sync(struct store *s, bool all)
{
	int rc = sqlite3_wal_checkpoint_v2(
	    s->db, NULL, all ? SQLITE_CHECKPOINT_TRUNCATE : SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
	s->synced = s->log;
	return (rc & 0xff) == SQLITE_BUSY ? 0 : failed(s, rc);
}

size_t store_unsynced(const struct store *s)
{
	return (size_t)(s->log - s->synced) * PAGE;
}

/* --- writing --- */

int store_put_monitor(struct store *s, int64_t id, const char *node, const char *monitor)
{
	sqlite3_stmt *q;
	int e = prepare(s, PUT_MONITOR, &q);
	if (e)
		return e;
	sqlite3_bind_int64(q, 1, id);
	bind_text(q, 2, node);
	bind_text(q, 3, monitor);
	return finish(s, q, sqlite3_step(q));
}

static int put_metric(struct store *s, int64_t config, int64_t n, const struct metric *m)
{
	sqlite3_stmt *q;
	int e = prepare(s, PUT_METRIC, &q);
	if (e)
		return e;
	sqlite3_bind_int64(q, 1, config);
	sqlite3_bind_int64(q, 2, n);
	bind_text(q, 3, m->name);
	bind_text(q, 4, metric_type_name(m->type));
	bind_text(q, 5, m->unit);
	sqlite3_bind_int64(q, 6, m->scale);
	bind_text(q, 7, m->doc);
	return finish(s, q, sqlite3_step(q));
}

int store_put_config(struct store *s, int64_t id, const struct config *c)
{
	int e = run_ints(s, PUT_CONFIG, (int64_t[]){id, (int64_t)c->digest, c->period_ns, c->window_ns}, 4);
	for (size_t i = 0; !e && i < c->n; i++)
		e = put_metric(s, id, (int64_t)i, &c->metrics[i]);
	return e;
}

int store_put_journal(struct store *s, struct bytes body, int64_t *ret_id)
{
	sqlite3_stmt *q;
	int e = prepare(s, PUT_JOURNAL, &q);
	if (e)
		return e;
	bind_bytes(q, 1, body);
	e = finish(s, q, sqlite3_step(q));
	if (!e)
		*ret_id = sqlite3_last_insert_rowid(s->db);
	return e;
}

int store_drop_journal(struct store *s, int64_t before)
{
	return run_ints(s, DROP_JOURNAL, &before, 1);
}

int store_put_chunk(struct store *s, const struct chunk_row *c)
{
	sqlite3_stmt *q;
	int e = prepare(s, PUT_CHUNK, &q);
	if (e)
		return e;
	int64_t numbers[] = {c->monitor, c->config, c->boot, (int64_t)c->first, (int64_t)c->last, c->from_ns,
	    c->to_ns, (int64_t)c->rows, c->step_ns};
	if (c->id)
		sqlite3_bind_int64(q, 1, c->id);
	else
		sqlite3_bind_null(q, 1);
	for (int i = 0; i < 9; i++)
		sqlite3_bind_int64(q, i + 2, numbers[i]);
	bind_text(q, 11, c->summary);
	bind_bytes(q, 12, c->body);
	return finish(s, q, sqlite3_step(q));
}

int store_put_event(struct store *s, const struct history_event *event)
{
	sqlite3_stmt *q;
	int e = prepare(s, PUT_EVENT, &q);
	if (e)
		return e;
	sqlite3_bind_int64(q, 1, event->time_ns);
	bind_text(q, 2, event->kind);
	bind_text(q, 3, event->node);
	bind_text(q, 4, event->monitor);
	bind_text(q, 5, event->text);
	return finish(s, q, sqlite3_step(q));
}

/* --- reading --- */

typedef int row_fn(void *data, sqlite3_stmt *q);

/* One row after the other; what fn returns stops it. */
static int each(struct store *s, enum statement which, const int64_t *args, int n, row_fn *fn, void *data)
{
	sqlite3_stmt *q;
	int e = prepare_ints(s, which, args, n, &q);
	if (e)
		return e;
	int rc;
	while (!e && (rc = sqlite3_step(q)) == SQLITE_ROW)
		e = fn(data, q);
	if (!e)
		return finish(s, q, rc);
	sqlite3_reset(q);
	return e;
}

struct call {
	union {
		store_monitor_fn *monitor;
		store_journal_fn *journal;
		store_chunk_fn *chunk;
		history_event_fn *event;
		store_id_fn *id;
		store_span_fn *span;
	};
	void *data;
};

static int call_monitor(void *data, sqlite3_stmt *q)
{
	struct call *c = data;
	return c->monitor(c->data, sqlite3_column_int64(q, 0), column_str(q, 1), column_str(q, 2));
}

int store_monitors(struct store *s, store_monitor_fn *fn, void *data)
{
	return each(s, MONITORS, NULL, 0, call_monitor, &(struct call){.monitor = fn, .data = data});
}

static int call_journal(void *data, sqlite3_stmt *q)
{
	struct call *c = data;
	return c->journal(c->data, sqlite3_column_int64(q, 0), column_bytes(q, 1));
}

int store_journal(struct store *s, store_journal_fn *fn, void *data)
{
	return each(s, JOURNAL, NULL, 0, call_journal, &(struct call){.journal = fn, .data = data});
}

static int call_event(void *data, sqlite3_stmt *q)
{
	struct call *c = data;
	struct history_event e = {sqlite3_column_int64(q, 0), column_str(q, 1), column_str(q, 2),
	    column_str(q, 3), column_str(q, 4)};
	return c->event(c->data, &e);
}

int store_events(struct store *s, int64_t from_ns, int64_t to_ns, history_event_fn *fn, void *data)
{
	return each(
	    s, EVENTS, (int64_t[]){from_ns, to_ns}, 2, call_event, &(struct call){.event = fn, .data = data});
}

static int call_chunk(void *data, sqlite3_stmt *q)
{
	struct call *c = data;
	struct chunk_row row = {
	    .id = sqlite3_column_int64(q, 0),
	    .monitor = sqlite3_column_int64(q, 1),
	    .config = sqlite3_column_int64(q, 2),
	    .boot = sqlite3_column_int64(q, 3),
	    .first = (uint64_t)sqlite3_column_int64(q, 4),
	    .last = (uint64_t)sqlite3_column_int64(q, 5),
	    .from_ns = sqlite3_column_int64(q, 6),
	    .to_ns = sqlite3_column_int64(q, 7),
	    .rows = (size_t)sqlite3_column_int64(q, 8),
	    .step_ns = sqlite3_column_int64(q, 9),
	    .summary = column_str(q, 10),
	    .body = column_bytes(q, 11),
	};
	return c->chunk(c->data, &row);
}

static int each_chunk(
    struct store *s, enum statement which, const int64_t *args, int n, store_chunk_fn *fn, void *data)
{
	return each(s, which, args, n, call_chunk, &(struct call){.chunk = fn, .data = data});
}

int store_chunks_after(
    struct store *s, int64_t monitor, struct history_position after, store_chunk_fn *fn, void *data)
{
	return each_chunk(
	    s, CHUNKS_AFTER, (int64_t[]){monitor, after.boot, (int64_t)after.sequence}, 3, fn, data);
}

int store_chunks_between(
    struct store *s, int64_t monitor, int64_t from_ns, int64_t to_ns, store_chunk_fn *fn, void *data)
{
	return each_chunk(s, CHUNKS_BETWEEN, (int64_t[]){monitor, from_ns, to_ns}, 3, fn, data);
}

static int call_span(void *data, sqlite3_stmt *q)
{
	struct call *c = data;
	struct store_span span = {sqlite3_column_int64(q, 0), sqlite3_column_int64(q, 1), sqlite3_column_int64(q, 2),
	    (uint64_t)sqlite3_column_int64(q, 3)};
	return c->span(c->data, &span);
}

int store_spans(
    struct store *s, int64_t monitor, int64_t from_ns, int64_t to_ns, store_span_fn *fn, void *data)
{
	return each(s, SPANS, (int64_t[]){monitor, from_ns, to_ns}, 3, call_span,
	    &(struct call){.span = fn, .data = data});
}

int store_last_chunk(struct store *s, int64_t monitor, store_chunk_fn *fn, void *data)
{
	return each_chunk(s, LAST_CHUNK, &monitor, 1, fn, data);
}

int store_chunks_to_thin(struct store *s, int64_t before_ns, int64_t max, store_chunk_fn *fn, void *data)
{
	return each_chunk(s, CHUNKS_TO_THIN, (int64_t[]){before_ns, max}, 2, fn, data);
}

static int take_config(void *data, sqlite3_stmt *q)
{
	struct config **ret = data;
	int64_t n = sqlite3_column_int64(q, 3);
	if (n < 0 || n > METRICS_MAX)
		return -EUCLEAN;
	struct config *c = config_new((size_t)n);
	if (!c)
		return -ENOMEM;
	c->digest = (uint64_t)sqlite3_column_int64(q, 0);
	c->period_ns = sqlite3_column_int64(q, 1);
	c->window_ns = sqlite3_column_int64(q, 2);
	c->n = 0; /* counts up as the metrics come */
	*ret = c;
	return 0;
}

static int take_metric(void *data, sqlite3_stmt *q)
{
	struct config *c = data;
	struct metric *m = &c->metrics[c->n++];
	int type = metric_type_from(column_str(q, 1));
	int64_t scale = sqlite3_column_int64(q, 3);
	*m = (struct metric){
	    .name = strdup(column_str(q, 0)),
	    .unit = strdup(column_str(q, 2)),
	    .doc = strdup(column_str(q, 4)),
	    .type = type < 0 ? METRIC_GAUGE : (enum metric_type)type,
	    .scale = scale < 0 || scale > METRIC_SCALE_MAX ? 0 : (uint8_t)scale,
	};
	return m->name && m->unit && m->doc ? 0 : -ENOMEM;
}

int store_config(struct store *s, int64_t id, struct config **ret)
{
	struct config *c = NULL;
	int e = each(s, CONFIG, &id, 1, take_config, &c);
	if (!e && !c)
		e = -ENOENT;
	if (!e)
		e = each(s, METRICS, &id, 1, take_metric, c);
	if (e)
		config_unref(c);
	else
		*ret = c;
	return e;
}

static int take_int(void *data, sqlite3_stmt *q)
{
	*(int64_t *)data = sqlite3_column_int64(q, 0);
	return 0;
}

int store_journal_head(struct store *s, int64_t *ret)
{
	return each(s, JOURNAL_HEAD, NULL, 0, take_int, ret);
}

int store_max_config(struct store *s, int64_t *ret)
{
	return each(s, MAX_CONFIG, NULL, 0, take_int, ret);
}

static int call_id(void *data, sqlite3_stmt *q)
{
	struct call *c = data;
	return c->id(c->data, sqlite3_column_int64(q, 0));
}

int store_unused_configs(struct store *s, store_id_fn *fn, void *data)
{
	return each(s, UNUSED_CONFIGS, NULL, 0, call_id, &(struct call){.id = fn, .data = data});
}

/* --- keeping it small --- */

static int64_t drop(struct store *s, enum statement which, const int64_t *args, int n)
{
	int e = run_ints(s, which, args, n);
	return e ? e : sqlite3_changes64(s->db);
}

int store_drop_config(struct store *s, int64_t id)
{
	int64_t n = drop(s, DROP_CONFIG, &id, 1);
	return n > 0 ? run_ints(s, DROP_METRICS, &id, 1) : (int)n;
}

/* Chunks, whose configs fn gets. */
static int64_t drop_chunks(
    struct store *s, enum statement which, const int64_t *args, int n, store_id_fn *fn, void *data)
{
	int e = each(s, which, args, n, call_id, &(struct call){.id = fn, .data = data});
	return e ? e : sqlite3_changes64(s->db);
}

int64_t store_drop_before(struct store *s, int64_t time_ns, int64_t max, store_id_fn *fn, void *data)
{
	int64_t args[] = {time_ns, max};
	int64_t events = drop(s, DROP_EVENTS_BEFORE, args, 2);
	int64_t chunks = events < 0 ? events : drop_chunks(s, DROP_CHUNKS_BEFORE, args, 2, fn, data);
	return chunks < 0 ? chunks : chunks + events;
}

int64_t store_drop_oldest(struct store *s, int64_t max, store_id_fn *fn, void *data)
{
	int64_t chunks = drop_chunks(s, DROP_OLDEST_CHUNKS, &max, 1, fn, data);
	int64_t events = chunks < 0 ? chunks : drop(s, DROP_OLDEST_EVENTS, NULL, 0);
	return events < 0 ? events : chunks;
}

int store_size(struct store *s, struct store_size *ret)
{
	struct store_size size = {0};
	int e = pragma_int(s, "PRAGMA page_size", &size.page);
	if (!e)
		e = pragma_int(s, "PRAGMA page_count", &size.pages);
	if (!e)
		e = pragma_int(s, "PRAGMA freelist_count", &size.free_pages);
	if (!e)
		*ret = size;
	return e;
}

int store_shrink(struct store *s, int64_t n)
{
	char text[64];
	snprintf(text, sizeof text, "PRAGMA incremental_vacuum(%lld)", (long long)n);
	return exec(s, text);
}
