/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "tools/vigia/text.h"
#include "tools/vigia/values.h"
#include "tools/vigia/vigia.h"
#include "tools/vigia/when.h"

/* What is asked depends on how many parts the name has: one table each. */
struct listing {
	const char *noun, *verb;
	const struct column *columns;
	void (*row)(struct table *t, const struct msg *m);
	struct table *table;
};

/* --- nodes --- */

static const struct column node_columns[] = {
    {"node"},
    {"state"},
    {"reason"},
    {"since"},
    {"transport", 0, "BEATS"},
    {"monitors", COLUMN_NUMBER},
    {"processors", COLUMN_NUMBER, "CPUS"},
    {"memory", COLUMN_NUMBER},
    {"machine"},
    {"version"},
    {"system"},
    {NULL},
};

static void time_cell(struct table *t, const struct msg *m, const char *field)
{
	int64_t ns = 0;
	msg_get_int(m, field, &ns);
	table_time(t, ns);
}

static void memory_cell(struct table *t, const struct msg *m)
{
	struct buf shown = BUF_INIT;
	int64_t bytes = 0;
	const char *text = msg_get(m, "memory", NULL);
	msg_get_int(m, "memory", &bytes);
	text_put_bytes(&shown, (double)bytes);
	table_cell(t, text, text ? buf_str(&shown) : NULL, TONE_NONE);
	buf_release(&shown);
}

static void node_row(struct table *t, const struct msg *m)
{
	const char *state = msg_get(m, "state", "");
	table_text(t, msg_get(m, "name", ""));
	table_cell(t, state, NULL, state_tone(state));
	table_text(t, msg_get(m, "reason", NULL));
	time_cell(t, m, "since");
	table_text(t, msg_get(m, "transport", NULL));
	table_text(t, msg_get(m, "monitors", NULL));
	table_text(t, msg_get(m, "processors", NULL));
	memory_cell(t, m);
	table_text(t, msg_get(m, "machine", NULL));
	table_text(t, msg_get(m, "version", NULL));
	table_text(t, msg_get(m, "system", NULL));
}

/* --- monitors --- */

static const struct column monitor_columns[] = {
    {"name", COLUMN_PEOPLE, "NODE/MONITOR"},
    {"node", COLUMN_MACHINES},
    {"monitor", COLUMN_MACHINES},
    {"state"},
    {"time", 0, "MEASURED"},
    {"period_ms", COLUMN_NUMBER, "PERIOD"},
    {"metrics", COLUMN_NUMBER},
    {NULL},
};

static void name_cells(struct table *t, const struct msg *m)
{
	char name[160];
	snprintf(name, sizeof name, "%s/%s", msg_get(m, "node", ""), msg_get(m, "monitor", ""));
	table_text(t, name);
	table_text(t, msg_get(m, "node", ""));
	table_text(t, msg_get(m, "monitor", ""));
}

static void age_cell(struct table *t, const struct msg *m)
{
	struct buf utc = BUF_INIT, age = BUF_INIT;
	int64_t ns = 0;
	msg_get_int(m, "time", &ns);
	when_put_utc(&utc, ns);
	put_age(&age, ns);
	buf_puts(&age, " ago");
	table_cell(t, ns > 0 ? buf_str(&utc) : NULL, ns > 0 ? buf_str(&age) : "never", TONE_NONE);
	buf_release(&utc);
	buf_release(&age);
}

static void period_cell(struct table *t, const struct msg *m)
{
	struct buf shown = BUF_INIT;
	int64_t ms = 0;
	msg_get_int(m, "period", &ms);
	if (ms)
		when_put_duration(&shown, ms * 1000000);
	else
		buf_puts(&shown, "at will");
	table_cell(t, msg_get(m, "period", "0"), buf_str(&shown), TONE_NONE);
	buf_release(&shown);
}

static void monitor_row(struct table *t, const struct msg *m)
{
	const char *state = msg_get(m, "state", "");
	name_cells(t, m);
	table_cell(t, state, NULL, state_tone(state));
	age_cell(t, m);
	period_cell(t, m);
	table_text(t, msg_get(m, "metrics", NULL));
}

/* --- metrics --- */

static const struct column metric_columns[] = {
    {"name", COLUMN_PEOPLE, "NODE/MONITOR/METRIC"},
    {"node", COLUMN_MACHINES},
    {"monitor", COLUMN_MACHINES},
    {"metric", COLUMN_MACHINES},
    {"type"},
    {"unit"},
    {"scale", COLUMN_NUMBER | COLUMN_MACHINES},
    {"doc", 0, "MEANING"},
    {NULL},
};

static void metric_row(struct table *t, const struct msg *m, const struct msg *k)
{
	char name[300];
	const char *type = msg_get(k, "type", "gauge");
	bool number = !strcmp(type, "gauge") || !strcmp(type, "counter");
	snprintf(name, sizeof name, "%s/%s/%s", msg_get(m, "node", ""), msg_get(m, "monitor", ""),
	    msg_get(k, "name", ""));
	table_text(t, name);
	table_text(t, msg_get(m, "node", ""));
	table_text(t, msg_get(m, "monitor", ""));
	table_text(t, msg_get(k, "name", ""));
	table_text(t, type);
	table_cell(t, msg_get(k, "unit", number ? "1" : NULL), number ? NULL : "", TONE_NONE);
	table_text(t, number ? msg_get(k, "scale", "0") : NULL);
	table_cell(t, *k->text ? k->text : NULL, k->text, TONE_NONE);
}

static void config_rows(struct table *t, const struct msg *m)
{
	for (const struct msg *k = m->children; k; k = k->next)
		if (!strcmp(k->name, "metric"))
			metric_row(t, m, k);
}

/* --- which of them --- */

static const struct listing listings[] = {
    {"node", "list", node_columns, node_row},
    {"monitor", "list", monitor_columns, monitor_row},
    {"config", "get", metric_columns, config_rows},
};

/* As `ls` does: a name shows what is in it. */
static size_t level(const char *word)
{
	const char *slash = strchr(word, '/');
	return slash && slash[1] ? 2 : 1;
}

static int on_answer(void *data, const struct msg *m)
{
	struct listing *l = data;
	l->row(l->table, m);
	return 0;
}

static int list(struct vigia *v, const struct path *p, void *data)
{
	struct listing *l = data;
	struct msg *q = vigia_query(v, l->noun, l->verb);
	path_set(p, q);
	l->table = table_new(l->columns, v->format, table_flags(v, 0));
	int r = vigia_ask(v, q, on_answer, l);
	bool none = !r && !table_rows(l->table);
	end_document(v, l->table);
	return none && (p->node || p->monitor || p->metric) ? nothing_named(v, p) : r;
}

static int run(struct vigia *v, const struct args *a)
{
	struct listing l = listings[a->n ? level(a->words[0]) : 0];
	return each_path(v, a, list, &l);
}

const struct command list_command = {.name = "list",
    .words = "[NODE[/MONITOR[/METRIC]]]",
    .doc = "nodes; their monitors; what those measure",
    .more =
	"  Alone it lists the nodes. A node's name shows its monitors, NODE/MONITOR what that measures "
	"(type, unit,\n"
	"  meaning), a METRIC only those of that name. `vigia list '*'` shows the monitors of all nodes.\n",
    .words_max = 1,
    .completes = COMPLETE_PATHS,
    .run = run};
