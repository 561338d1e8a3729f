/* SPDX-License-Identifier: Apache-2.0 */
/* What the database looks like. `user_version` counts the steps taken; a release only ever adds steps. */
#ifndef VIGIA_HISTORY_SCHEMA_H
#define VIGIA_HISTORY_SCHEMA_H

enum { SCHEMA_APPLICATION = 0x56696769 }; /* "Vigi" */

/* Step i leads from user_version i to i + 1. */
static const char *const schema_steps[] = {
    "CREATE TABLE monitors_ (id INTEGER PRIMARY KEY, node TEXT NOT NULL, monitor TEXT NOT NULL);"
    "CREATE TABLE configs (id INTEGER PRIMARY KEY, digest INTEGER NOT NULL, period_ns INTEGER NOT NULL,"
    " window_ns INTEGER NOT NULL);"
    "CREATE TABLE metrics (config INTEGER NOT NULL, n INTEGER NOT NULL, metric TEXT NOT NULL, type TEXT NOT "
    "NULL,"
    " unit TEXT NOT NULL, scale INTEGER NOT NULL, doc TEXT NOT NULL, PRIMARY KEY (config, n)) WITHOUT ROWID;"
    /* What is committed and in no chunk yet: see journal.h. step_ns of a chunk: 0 as measured, > 0 means over
     * so long, -1 as measured for good. */
    "CREATE TABLE journal (id INTEGER PRIMARY KEY, body BLOB NOT NULL);"
    /* first, last: sequences; body: see chunk.h; summary: a JSON array, an element a metric: its number when
     * it stood still, else [mean, min, max, count]; a text; or null. */
    "CREATE TABLE chunks_ (id INTEGER PRIMARY KEY, monitor INTEGER NOT NULL, config INTEGER NOT NULL,"
    " boot INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, from_ns INTEGER NOT NULL,"
    " to_ns INTEGER NOT NULL, rows INTEGER NOT NULL, step_ns INTEGER NOT NULL, summary TEXT NOT NULL,"
    " body BLOB NOT NULL);"
    "CREATE INDEX chunks_in_order ON chunks_ (monitor, boot, last);"
    "CREATE INDEX chunks_in_time ON chunks_ (to_ns);"
    "CREATE TABLE events_ (id INTEGER PRIMARY KEY, time_ns INTEGER NOT NULL, kind TEXT NOT NULL,"
    " node TEXT NOT NULL, monitor TEXT NOT NULL, text TEXT NOT NULL);"
    "CREATE INDEX events_in_time ON events_ (time_ns);"
    /* For people with sqlite3 and nothing else. */
    "CREATE VIEW monitors AS SELECT node, monitor, (SELECT count(*) FROM chunks_ c WHERE c.monitor = m.id) "
    "AS chunks"
    " FROM monitors_ m;"
    "CREATE VIEW chunks AS SELECT node, m.monitor AS monitor,"
    " datetime(from_ns / 1000000000, 'unixepoch') AS \"from\", datetime(to_ns / 1000000000, 'unixepoch') AS "
    "\"to\","
    " rows AS periods, rows * (SELECT count(*) FROM metrics x WHERE x.config = c.config) AS samples,"
    " max(step_ns, 0) / 1e9 AS step, length(body) AS bytes FROM chunks_ c JOIN monitors_ m ON m.id = "
    "c.monitor;"
    "CREATE VIEW means AS SELECT node, m.monitor AS monitor, x.metric AS metric, x.unit AS unit,"
    " datetime(from_ns / 1000000000, 'unixepoch') AS \"from\", datetime(to_ns / 1000000000, 'unixepoch') AS "
    "\"to\","
    " CASE v.type WHEN 'array' THEN json_extract(v.value, '$[0]') ELSE v.value END AS mean,"
    " CASE v.type WHEN 'array' THEN json_extract(v.value, '$[1]') ELSE v.value END AS min,"
    " CASE v.type WHEN 'array' THEN json_extract(v.value, '$[2]') ELSE v.value END AS max,"
    " CASE v.type WHEN 'array' THEN json_extract(v.value, '$[3]') WHEN 'null' THEN 0 ELSE c.rows END AS count"
    " FROM chunks_ c JOIN monitors_ m ON m.id = c.monitor JOIN json_each(c.summary) v"
    " JOIN metrics x ON x.config = c.config AND x.n = v.key;"
    "CREATE VIEW events AS SELECT datetime(time_ns / 1000000000, 'unixepoch') AS time, kind, node, monitor, "
    "text"
    " FROM events_;",
    /* Is this config needed still? And what is there of a monitor in some time, without looking at the chunks. */
    "CREATE INDEX chunks_of_config ON chunks_ (config);"
    "CREATE INDEX chunks_of_monitor ON chunks_ (monitor, to_ns, from_ns, config, rows);",
};

enum { SCHEMA_VERSION = sizeof schema_steps / sizeof *schema_steps };

#endif
