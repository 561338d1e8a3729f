/* SPDX-License-Identifier: Apache-2.0 */
/* Readers copy the open chains first and look into the file after: what became a chunk in between is then
 * there twice, never missing, and positions tell. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "history/chunk.h"
#include "history/state.h"
#include "history/summary.h"
#include "history/thin.h"

enum { LOADED_MAX = 4, METRICS_AT_ONCE = 4096, SAMES_MAX = 1 << 18 };

/* --- what is open --- */

struct copy {
	struct config *config;
	struct history_position first, last;
	size_t rows;
	struct buf bytes;
};

struct copies {
	struct copy *list;
	size_t n;
};

static void copies_release(struct copies *c)
{
	for (size_t i = 0; i < c->n; i++) {
		config_unref(c->list[i].config);
		buf_release(&c->list[i].bytes);
	}
	free(c->list);
	*c = (struct copies){0};
}

static int copy_chain(struct copies *to, const struct chain *c)
{
	struct copy copy = {
	    .config = c->config->config, .first = c->first.at, .last = c->last.at, .rows = c->rows};
	buf_put(&copy.bytes, c->bytes.data, c->bytes.len);
	struct copy *list = realloc(to->list, (to->n + 1) * sizeof *list);
	if (list)
		to->list = list;
	if (!list || copy.bytes.failed) {
		buf_release(&copy.bytes);
		return -ENOMEM;
	}
	config_ref(copy.config);
	to->list[to->n++] = copy;
	return 0;
}

static int copy_chains(
    struct history *h, const struct history_monitor *m, struct history_position after, struct copies *ret)
{
	struct copies copies = {0};
	int e = 0;
	pthread_mutex_lock(&h->chains_lock);
	for (const struct chain *c = m->chains; !e && c; c = c->next)
		if (position_after(c->last.at, after))
			e = copy_chain(&copies, c);
	pthread_mutex_unlock(&h->chains_lock);
	if (e)
		copies_release(&copies);
	else
		*ret = copies;
	return e;
}

/* The monitors known as committed, as they are now. -ENOMEM. */
static int list_monitors(struct history *h, struct history_monitor ***ret, size_t *ret_n)
{
	pthread_mutex_lock(&h->chains_lock);
	size_t n = h->known_n;
	struct history_monitor **list = malloc((n + 1) * sizeof *list);
	if (list && n)
		memcpy(list, h->known, n * sizeof *list);
	pthread_mutex_unlock(&h->chains_lock);
	if (!list)
		return -ENOMEM;
	*ret = list;
	*ret_n = n;
	return 0;
}

static struct history_monitor *find_monitor(struct history *h, const char *node, const char *name)
{
	struct history_monitor *found = NULL;
	pthread_mutex_lock(&h->chains_lock);
	for (size_t i = 0; !found && i < h->known_n; i++)
		if (!strcmp(h->known[i]->node, node) && !strcmp(h->known[i]->name, name))
			found = h->known[i];
	pthread_mutex_unlock(&h->chains_lock);
	return found;
}

/* A reader's own view of the file, and of its configs the few met last. */
struct view {
	struct history *history;
	struct store *store;
	unsigned generation;
	struct loaded {
		int64_t id;
		struct config *config;
	} loaded[LOADED_MAX];
	size_t next;
};

static int view_open(struct history *h, struct view *ret)
{
	*ret = (struct view){.history = h, .generation = h->generation};
	int e = store_open(&ret->store, h->path, STORE_READ);
	if (e == -EUCLEAN && ret->generation == h->generation)
		h->suspect = true;
	return e;
}

/* Passes e on; tells the writer when the file is damaged. */
static int view_close(struct view *v, int e)
{
	for (size_t i = 0; i < LOADED_MAX; i++)
		config_unref(v->loaded[i].config);
	store_close(v->store);
	if (e == -EUCLEAN && v->generation == v->history->generation)
		v->history->suspect = true;
	return e;
}

/* From memory or the file, with a reference. -ENOENT: what was of it has gone. */
static int view_load(struct view *v, int64_t id, struct config **ret)
{
	struct configs *configs = &v->history->configs;
	struct stored_config *stored = configs_find_id(configs, id);
	if (!stored)
		return store_config(v->store, id, ret);
	*ret = config_ref(stored->config);
	configs_unref(configs, stored);
	return 0;
}

/* Borrowed: until another LOADED_MAX were asked for. */
static int view_config(struct view *v, int64_t id, struct config **ret)
{
	for (size_t i = 0; i < LOADED_MAX; i++)
		if (v->loaded[i].config && v->loaded[i].id == id) {
			*ret = v->loaded[i].config;
			return 0;
		}
	struct loaded *to = &v->loaded[v->next];
	struct config *config;
	int e = view_load(v, id, &config);
	if (e)
		return e;
	config_unref(to->config);
	*to = (struct loaded){id, config};
	v->next = (v->next + 1) % LOADED_MAX;
	*ret = config;
	return 0;
}

/* --- periods --- */

struct replay {
	struct view *view;
	struct history_position after;
	size_t max, n;
	history_replay_fn *fn;
	void *data;
	bool stopped;
};

/* All rows of a table after the position, as periods. 1: stopped. */
static int replay_table(struct replay *r, struct config *config, int64_t boot, const struct table *t)
{
	if (t->columns != config->n)
		return -EBADMSG;
	struct value *values = malloc((config->n + 1) * sizeof *values);
	if (!values)
		return -ENOMEM;
	for (size_t row = 0; row < t->rows && !r->stopped; row++) {
		struct history_period p = {{boot, (uint64_t)t->sequences[row]}, t->times[row], values};
		if (!position_after(p.at, r->after))
			continue;
		for (size_t i = 0; i < config->n; i++)
			values[i] = series_value(&t->series[i], row);
		r->after = p.at;
		r->n++;
		r->stopped = r->fn(r->data, config, &p) || r->n >= r->max;
	}
	free(values);
	return r->stopped;
}

static int replay_chunk(void *data, const struct chunk_row *row)
{
	struct replay *r = data;
	struct config *config;
	struct chunk c;
	struct table t;
	if (row->step_ns > 0)
		return 0;
	int e = view_config(r->view, row->config, &config);
	if (!e)
		e = chunk_open(&c, row->body);
	if (e)
		return e == -EBADMSG || e == -ENOENT ? 0 : e;
	e = chunk_table(&c, &t);
	if (!e) {
		e = replay_table(r, config, row->boot, &t);
		table_release(&t);
	}
	chunk_release(&c);
	return e == -EBADMSG ? 0 : e;
}

static int replay_copies(struct replay *r, const struct copies *copies)
{
	int e = 0;
	for (size_t i = 0; !e && i < copies->n; i++) {
		const struct copy *c = &copies->list[i];
		struct table t;
		if (!position_after(c->last, r->after))
			continue;
		e = table_from_rows(&t, bytes_of(c->bytes.data, c->bytes.len), c->rows);
		if (!e) {
			e = replay_table(r, c->config, c->first.boot, &t);
			table_release(&t);
		}
	}
	return e;
}

static int replay_stored(struct history *h, const struct history_monitor *m, struct replay *r)
{
	struct view v;
	int e = view_open(h, &v);
	if (e)
		return e;
	r->view = &v;
	e = store_begin(v.store);
	if (!e)
		e = store_chunks_after(v.store, m->id, r->after, replay_chunk, r);
	return view_close(&v, e);
}

int history_replay(struct history *h, const char *node, const char *monitor, struct history_position after,
    size_t max, history_replay_fn *fn, void *data)
{
	struct replay r = {.after = after, .max = max, .fn = fn, .data = data};
	struct history_monitor *m = find_monitor(h, node, monitor);
	struct copies copies;
	if (!m || !max)
		return 0;
	int e = copy_chains(h, m, after, &copies);
	if (e)
		return e;
	/* What the open chains hold from its beginning on needs no look into the file. */
	bool covered = copies.n && after.boot == copies.list[0].first.boot &&
		       after.sequence + 1 >= copies.list[0].first.sequence;
	if (!covered)
		e = replay_stored(h, m, &r);
	if (e >= 0 && !r.stopped)
		e = replay_copies(&r, &copies);
	copies_release(&copies);
	return e < 0 ? e : (int)r.n;
}

/* --- what is known at start --- */

struct known {
	struct view view;
	struct history_monitor *monitor;
	history_known_fn *fn;
	void *data;
};

static int known_state(struct known *k, const struct history_monitor *m)
{
	const struct row_state *s = &m->state;
	struct value *values = malloc((s->place.n + 1) * sizeof *values);
	if (!values)
		return -ENOMEM;
	row_values(s, values);
	struct history_period p = {m->last, s->place.time_ns, values};
	int e = k->fn(k->data, k->monitor, m->config->config, &p);
	free(values);
	return e;
}

static int known_values(
    const struct chunk *c, size_t parts, size_t n, struct series *series, struct value *values)
{
	for (size_t i = 0; i < n; i++) {
		int e = chunk_series(c, i * parts + parts - 1, &series[i]);
		if (e)
			return e;
		values[i] = series_value(&series[i], c->rows - 1);
	}
	return 0;
}

static int known_opened(
    struct known *k, struct config *config, const struct chunk_row *row, const struct chunk *c)
{
	size_t parts = row->step_ns > 0 ? THIN_PARTS : 1;
	if (c->columns != config->n * parts)
		return 0;
	struct series *series = calloc(config->n + 1, sizeof *series);
	struct value *values = malloc((config->n + 1) * sizeof *values);
	int e = series && values ? known_values(c, parts, config->n, series, values) : -ENOMEM;
	struct history_period p = {{row->boot, row->last}, row->to_ns, values};
	e = e ? (e == -EBADMSG ? 0 : e) : k->fn(k->data, k->monitor, config, &p);
	for (size_t i = 0; series && i < config->n; i++)
		series_release(&series[i]);
	free(series);
	free(values);
	return e;
}

static int known_chunk(void *data, const struct chunk_row *row)
{
	struct known *k = data;
	struct config *config;
	struct chunk c;
	if (view_config(&k->view, row->config, &config) || chunk_open(&c, row->body))
		return 0;
	int e = known_opened(k, config, row, &c);
	chunk_release(&c);
	return e;
}

int history_known(struct history *h, history_known_fn *fn, void *data)
{
	struct known k = {.fn = fn, .data = data};
	int e = view_open(h, &k.view);
	if (e)
		return e;
	for (size_t i = 0; !e && i < h->monitors_n; i++) {
		k.monitor = h->monitors[i];
		if (k.monitor->rows && k.monitor->config && k.monitor->state.numbers)
			e = known_state(&k, k.monitor);
		else
			e = store_last_chunk(k.view.store, k.monitor->id, known_chunk, &k);
	}
	e = view_close(&k.view, e);
	return e < 0 ? e : 0;
}

/* --- points --- */

static bool matches(const char *pattern, const char *s)
{
	const char *star = NULL, *from = NULL;
	while (*s) {
		if (*pattern == '*') {
			star = pattern++;
			from = s;
		} else if (*pattern == '?' || *pattern == *s) {
			pattern++;
			s++;
		} else if (star) {
			pattern = star + 1;
			s = ++from;
		} else {
			return false;
		}
	}
	while (*pattern == '*')
		pattern++;
	return !*pattern;
}

/* One metric's points as they are found. */
struct gathered {
	struct metric metric; /* its own; without a doc */
	uint64_t rows;	      /* that may have it */
	int64_t index;	      /* in the config at hand, -1: not there */
	struct history_point *points;
	size_t n, size;
	bool unordered;
};

/* A piece of a query's answer being made: some of the metrics of one monitor, in some of the time. */
struct reading {
	struct view *view;
	const struct history_query *query;
	const struct history_monitor *monitor;
	struct history_cursor *cursor;
	struct copies copies;
	struct gathered *metrics; /* those that come next, by name */
	size_t metrics_n, sorted_n;
	bool cut; /* there are more, or may be */
	size_t group_n; /* the first of them: this piece's */
	int64_t from_ns, to_ns;
	struct store_span run; /* chunks in a row that are counted */
	struct config *config; /* that the indices are for: referenced, so that no other is at its place */
	struct history_position after, last; /* chains may repeat what the file has: up to here; as far as seen */
	size_t cells_left;
};

static void point_release(struct history_point *p)
{
	if (p->value.kind == VALUE_TEXT)
		free(p->value.text);
}

static void gathered_release(struct gathered *g)
{
	for (size_t i = 0; i < g->n; i++)
		point_release(&g->points[i]);
	free(g->points);
	free(g->metric.name);
	free(g->metric.unit);
}

static int own_value(struct value *to, const struct value *v)
{
	*to = (struct value){.kind = VALUE_NONE};
	return value_copy(to, v);
}

static int add_point(struct gathered *g, const struct history_point *p)
{
	if (g->n >= SAMES_MAX)
		return -EFBIG; /* so many of one time: nothing that measures does that */
	if (g->n == g->size) {
		size_t size = g->size ? g->size * 2 : 64;
		struct history_point *points = realloc(g->points, size * sizeof *points);
		if (!points)
			return -ENOMEM;
		g->points = points;
		g->size = size;
	}
	if (g->n && p->time_ns < g->points[g->n - 1].time_ns)
		g->unordered = true;
	g->points[g->n] = *p;
	int e = own_value(&g->points[g->n].value, &p->value);
	g->n += !e;
	return e;
}

/* `to` and then `p` become one. */
static int merge_point(struct history_point *to, const struct history_point *p)
{
	double sum = to->mean * (double)to->count + p->mean * (double)p->count;
	if (p->count && (!to->count || p->min < to->min))
		to->min = p->min;
	if (p->count && (!to->count || p->max > to->max))
		to->max = p->max;
	to->count += p->count;
	to->mean = to->count ? sum / (double)to->count : 0;
	return value_copy(&to->value, &p->value);
}

static int64_t floor_to(int64_t n, int64_t step)
{
	int64_t rest = n % step;
	return n - (rest < 0 ? rest + step : rest);
}

/* Thinned steps end with their chunk, so one step may come in two halves. */
static int gather_point(struct gathered *g, struct history_point *p, bool thinned, int64_t step_ns)
{
	if (step_ns > 0)
		p->time_ns = floor_to(p->time_ns, step_ns);
	if ((step_ns > 0 || thinned) && g->n && g->points[g->n - 1].time_ns == p->time_ns)
		return merge_point(&g->points[g->n - 1], p);
	return add_point(g, p);
}

static int by_metric(const void *a, const void *b)
{
	const struct metric *x = a, *y = b;
	int order = strcmp(x->name, y->name);
	if (!order)
		order = strcmp(x->unit, y->unit); /* what changed its scale or unit is another metric */
	return order ? order : x->scale - y->scale;
}

/* The places of the group's metrics in a config, looked up once for chunks in a row that share it. */
static void find_indices(struct reading *r, struct config *config)
{
	if (r->config == config)
		return;
	config_unref(r->config);
	r->config = config_ref(config);
	for (size_t i = 0; i < r->group_n; i++)
		r->metrics[i].index = -1;
	for (size_t i = 0; i < config->n; i++) {
		struct gathered *g = bsearch(
		    &config->metrics[i], r->metrics, r->group_n, sizeof *r->metrics, by_metric);
		if (g)
			g->index = (int64_t)i;
	}
}

static struct history_point measured_point(const struct series *s, size_t row, unsigned scale)
{
	struct history_point p = {.value = series_value(s, row)};
	if (p.value.kind == VALUE_NUMBER) {
		p.count = 1;
		p.mean = p.min = p.max = unscaled((double)p.value.number, scale);
	}
	return p;
}

static struct history_point thinned_point(const struct series *s, size_t row, unsigned scale)
{
	struct history_point p = {.value = series_value(&s[THIN_LAST], row)};
	int64_t count = s[THIN_COUNT].numbers[row];
	if (count > 0) {
		p.count = (uint64_t)count;
		p.mean = unscaled(
		    (double)s[THIN_MEAN].numbers[row] + (double)s[THIN_REST].numbers[row] / (double)count,
		    scale);
		p.min = unscaled((double)s[THIN_MIN].numbers[row], scale);
		p.max = unscaled((double)s[THIN_MAX].numbers[row], scale);
	}
	return p;
}

/* The rows that this reading wants: in time, and not seen yet. */
struct rows {
	const int64_t *times, *sequences;
	size_t n;
	int64_t boot;
	bool thinned;
};

static int gather_series(
    struct reading *r, struct gathered *g, const struct rows *rows, const struct series *s)
{
	int e = 0;
	for (size_t row = 0; !e && row < rows->n; row++) {
		struct history_position at = {rows->boot, (uint64_t)rows->sequences[row]};
		int64_t time = rows->times[row];
		if (time < r->from_ns || time >= r->to_ns || !position_after(at, r->after))
			continue;
		struct history_point p = rows->thinned ? thinned_point(s, row, g->metric.scale)
						       : measured_point(s, row, g->metric.scale);
		p.node = r->monitor->node;
		p.monitor = r->monitor->name;
		p.metric = &g->metric;
		p.time_ns = time;
		e = gather_point(g, &p, rows->thinned, r->query->step_ns);
	}
	return e;
}

static int gather_metric(
    struct reading *r, struct gathered *g, const struct rows *rows, const struct chunk *c)
{
	struct series s[THIN_PARTS] = {0};
	size_t parts = rows->thinned ? THIN_PARTS : 1;
	int e = 0;
	for (size_t k = 0; !e && k < parts; k++)
		e = chunk_series(c, (size_t)g->index * parts + k, &s[k]);
	if (!e)
		e = gather_series(r, g, rows, s);
	for (size_t k = 0; k < parts; k++)
		series_release(&s[k]);
	return e;
}

static int gather_opened(struct reading *r, const struct chunk_row *row, const struct chunk *c)
{
	int64_t *times = NULL, *sequences = NULL;
	int e = chunk_times(c, &times);
	if (!e)
		e = chunk_sequences(c, &sequences);
	struct rows rows = {times, sequences, c->rows, row->boot, row->step_ns > 0};
	for (size_t i = 0; !e && i < r->group_n; i++)
		if (r->metrics[i].index >= 0)
			e = gather_metric(r, &r->metrics[i], &rows, c);
	free(times);
	free(sequences);
	return e;
}

static int gather_chunk(void *data, const struct chunk_row *row)
{
	struct reading *r = data;
	struct config *config;
	struct chunk c;
	int e = view_config(r->view, row->config, &config);
	if (!e)
		e = chunk_open(&c, row->body);
	if (!e) {
		find_indices(r, config);
		e = gather_opened(r, row, &c);
		chunk_release(&c);
	}
	struct history_position last = {row->boot, row->last};
	r->last = position_after(last, r->last) ? last : r->last;
	return e == -EBADMSG || e == -ENOENT ? 0 : e;
}

static int gather_copy(struct reading *r, const struct copy *c)
{
	struct table t;
	int e = table_from_rows(&t, bytes_of(c->bytes.data, c->bytes.len), c->rows);
	if (e)
		return e;
	find_indices(r, c->config);
	struct rows rows = {t.times, t.sequences, t.rows, c->first.boot, false};
	for (size_t i = 0; !e && i < r->group_n; i++)
		if (r->metrics[i].index >= 0)
			e = gather_series(r, &r->metrics[i], &rows, &t.series[r->metrics[i].index]);
	table_release(&t);
	return e;
}

static int by_time(const void *a, const void *b)
{
	const struct history_point *x = a, *y = b;
	return (x->time_ns > y->time_ns) - (x->time_ns < y->time_ns);
}

/* A clock that was set back: rare, so sorted and merged only then. */
static int order_points(struct gathered *g, int64_t step_ns)
{
	if (!g->unordered)
		return 0;
	qsort(g->points, g->n, sizeof *g->points, by_time);
	size_t n = 0;
	int e = 0;
	for (size_t i = 0; i < g->n; i++) {
		if (step_ns > 0 && n && g->points[n - 1].time_ns == g->points[i].time_ns) {
			e = e ? e : merge_point(&g->points[n - 1], &g->points[i]);
			point_release(&g->points[i]);
		} else {
			g->points[n++] = g->points[i];
		}
	}
	g->n = n;
	return e;
}

/* Tells the points of one metric; 1: that is enough for now, and the cursor stands before the next. */
static int tell_points(struct reading *r, struct gathered *g, history_point_fn *fn, void *data)
{
	bool enough = false;
	int e = order_points(g, r->query->step_ns);
	for (size_t i = 0; !e && i < g->n; i++) {
		int answer = fn(data, &g->points[i]);
		if (answer < 0)
			return answer;
		enough = enough || answer;
		if (!enough || i + 1 == g->n || g->points[i + 1].time_ns == g->points[i].time_ns)
			continue;
		r->cursor->within = true;
		r->cursor->from_ns = g->points[i + 1].time_ns;
		return 1;
	}
	return e ? e : enough;
}

/* --- which metrics come next --- */

/* Before what the cursor stands at, or read already? */
static bool is_past(const struct history_cursor *c, const struct metric *m)
{
	struct metric at = {.name = (char *)c->metric, .unit = (char *)c->unit, .scale = c->scale};
	int order = *c->metric ? by_metric(m, &at) : 1;
	return order < 0 || (!order && !c->within);
}

static void cursor_set(struct history_cursor *c, const struct metric *m)
{
	snprintf(c->metric, sizeof c->metric, "%s", m->name);
	snprintf(c->unit, sizeof c->unit, "%s", m->unit);
	c->scale = m->scale;
	c->type = m->type;
	c->within = false;
}

/* Sorts, makes equal ones one, and keeps the first METRICS_AT_ONCE. What is cut off comes in later pieces. */
static void keep_first(struct reading *r)
{
	struct gathered *g = r->metrics;
	size_t n = 0;
	if (r->metrics_n)
		qsort(g, r->metrics_n, sizeof *g, by_metric);
	for (size_t i = 0; i < r->metrics_n; i++) {
		bool same = n && !by_metric(&g[n - 1], &g[i]);
		r->cut = r->cut || (!same && n == METRICS_AT_ONCE);
		if (same)
			g[n - 1].rows += g[i].rows;
		if (same || n == METRICS_AT_ONCE)
			gathered_release(&g[i]);
		else
			g[n++] = g[i];
	}
	r->metrics_n = r->sorted_n = n;
}

static int note_metric(struct reading *r, const struct metric *m, uint64_t rows)
{
	if (r->cut && by_metric(m, &r->metrics[r->sorted_n - 1]) > 0)
		return 0;
	struct gathered *g = &r->metrics[r->metrics_n++];
	*g = (struct gathered){.rows = rows, .metric = {.name = strdup(m->name), .unit = strdup(m->unit), .doc = (char *)"",
						.type = m->type, .scale = m->scale}};
	if (!g->metric.name || !g->metric.unit)
		return -ENOMEM;
	if (r->metrics_n == 2 * METRICS_AT_ONCE)
		keep_first(r);
	return 0;
}

static int note_config(struct reading *r, const struct config *config, uint64_t rows)
{
	int e = 0;
	for (size_t i = 0; !e && i < config->n; i++) {
		const struct metric *m = &config->metrics[i];
		if (!is_past(r->cursor, m) && matches(r->query->metric, m->name))
			e = note_metric(r, m, rows);
	}
	return e;
}

static int note_run(struct reading *r)
{
	struct config *config;
	int e = r->run.rows ? view_config(r->view, r->run.config, &config) : -ENOENT;
	if (!e)
		e = note_config(r, config, r->run.rows);
	return e == -ENOENT ? 0 : e;
}

static int note_span(void *data, const struct store_span *span)
{
	struct reading *r = data;
	int e = 0;
	if (span->config != r->run.config) {
		e = note_run(r);
		r->run = (struct store_span){.config = span->config};
	}
	r->run.rows += span->rows;
	return e;
}

/* The next metrics that match, by name, each once. */
static int list_metrics(struct reading *r)
{
	const struct history_query *q = r->query;
	r->metrics = calloc(2 * METRICS_AT_ONCE, sizeof *r->metrics);
	int e = r->metrics ? store_spans(r->view->store, r->monitor->id, q->from_ns, q->to_ns, note_span, r)
			   : -ENOMEM;
	if (!e)
		e = note_run(r);
	for (size_t i = 0; !e && i < r->copies.n; i++)
		e = note_config(r, r->copies.list[i].config, r->copies.list[i].rows);
	if (!e)
		keep_first(r);
	return e;
}

/* Just the one that the cursor is within. */
static int list_begun(struct reading *r)
{
	const struct history_cursor *c = r->cursor;
	r->cut = true;
	r->metrics = calloc(1, sizeof *r->metrics);
	if (!r->metrics)
		return -ENOMEM;
	struct metric *m = &r->metrics[r->metrics_n++].metric;
	*m = (struct metric){.name = strdup(c->metric), .unit = strdup(c->unit), .doc = (char *)"", .type = c->type,
	    .scale = c->scale};
	return m->name && m->unit ? 0 : -ENOMEM;
}

/* --- a piece --- */

/* How many samples are looked at for a piece: as many as fit into one as points; of steps there are fewer. */
static size_t cells_at_once(const struct history_query *q)
{
	return q->step_ns > 0 ? 1 << 16 : 1 << 14;
}

static int add_span(void *data, const struct store_span *span)
{
	struct reading *r = data;
	if (r->run.rows && r->run.rows + span->rows > cells_at_once(r->query))
		return 1;
	r->run.rows += span->rows;
	r->run.to_ns = span->to_ns;
	return 0;
}

/* One metric is read in slices of time; steps stay whole. */
static int cut_slice(struct reading *r)
{
	r->run = (struct store_span){0};
	int e = store_spans(r->view->store, r->monitor->id, r->from_ns, r->to_ns, add_span, r);
	if (e <= 0)
		return e;
	int64_t step = r->query->step_ns, last = r->run.to_ns;
	int64_t to = step > 0 ? floor_to(last, step) + step : last + 1;
	r->to_ns = to < r->to_ns ? to : r->to_ns;
	return 0;
}

/* So many metrics at once that their points fit in memory; and, of one that is too long, so much. */
static int choose_group(struct reading *r)
{
	uint64_t cells = 0, most = cells_at_once(r->query);
	r->group_n = 0;
	while (r->group_n < r->metrics_n && (!r->group_n || cells + r->metrics[r->group_n].rows <= most))
		cells += r->metrics[r->group_n++].rows;
	int e = r->group_n == 1 ? cut_slice(r) : 0;
	cells = r->group_n == 1 ? r->run.rows : cells;
	r->cells_left -= cells < r->cells_left ? cells : r->cells_left;
	return e;
}

static int gather_group(struct reading *r)
{
	r->after = r->last = (struct history_position){INT64_MIN, 0};
	int e = store_chunks_between(r->view->store, r->monitor->id, r->from_ns, r->to_ns, gather_chunk, r);
	r->after = r->last;
	for (size_t i = 0; !e && i < r->copies.n; i++)
		if (position_after(r->copies.list[i].last, r->after))
			e = gather_copy(r, &r->copies.list[i]);
	return e;
}

/* The cursor goes past each metric that was told to its end. */
static int tell_group(struct reading *r, history_point_fn *fn, void *data)
{
	int e = 0;
	for (size_t i = 0; !e && i < r->group_n; i++) {
		cursor_set(r->cursor, &r->metrics[i].metric);
		e = tell_points(r, &r->metrics[i], fn, data);
		if (!e || (e > 0 && !r->cursor->within)) {
			r->cursor->within = r->to_ns < r->query->to_ns;
			r->cursor->from_ns = r->to_ns;
		}
	}
	return e;
}

static int read_chosen(struct reading *r, history_point_fn *fn, void *data)
{
	r->from_ns = r->cursor->within ? r->cursor->from_ns : r->query->from_ns;
	r->to_ns = r->query->to_ns;
	int e = r->cursor->within ? list_begun(r) : list_metrics(r);
	if (!e)
		e = choose_group(r);
	if (!e && r->group_n)
		e = gather_group(r);
	return e ? e : tell_group(r, fn, data);
}

/* The next piece of a monitor, of one view of the file. 1: enough for now; *ret_done: no more of this monitor. */
static int read_piece(struct reading *r, history_point_fn *fn, void *data, bool *ret_done)
{
	struct history *h = r->view->history;
	int e = copy_chains(h, r->monitor, (struct history_position){INT64_MIN, 0}, &r->copies);
	if (e)
		return e;
	e = store_begin(r->view->store);
	if (!e) {
		e = read_chosen(r, fn, data);
		store_rollback(r->view->store);
	}
	*ret_done = !e && !r->cursor->within && !r->cut && r->group_n == r->metrics_n;
	copies_release(&r->copies);
	config_unref(r->config);
	for (size_t i = 0; i < r->metrics_n; i++)
		gathered_release(&r->metrics[i]);
	free(r->metrics);
	return e;
}

static bool wanted(const struct history_query *q, const struct history_monitor *m)
{
	return matches(q->node, m->node) && matches(q->monitor, m->name);
}

static int read_pieces(struct view *v, const struct history_query *q, struct history_cursor *c,
    struct history_monitor **monitors, size_t n, history_point_fn *fn, void *data)
{
	int e = 0;
	size_t most = cells_at_once(q), cells = most;
	while (!e && cells > most / 2 && c->monitor < n) {
		struct reading r = {
		    .view = v, .query = q, .cursor = c, .monitor = monitors[c->monitor], .cells_left = cells};
		bool done = true;
		if (wanted(q, r.monitor))
			e = read_piece(&r, fn, data, &done);
		cells = r.cells_left;
		if (e >= 0 && done)
			*c = (struct history_cursor){.monitor = c->monitor + 1};
	}
	return e < 0 ? e : c->monitor < n;
}

int history_read_on(struct history *h, const struct history_query *q, struct history_cursor *c,
    history_point_fn *fn, void *data)
{
	struct history_monitor **monitors;
	struct view v;
	size_t n;
	int e = view_open(h, &v);
	if (e)
		return e;
	e = list_monitors(h, &monitors, &n);
	if (!e) {
		e = read_pieces(&v, q, c, monitors, n, fn, data);
		free(monitors);
	}
	return view_close(&v, e);
}

int history_read(struct history *h, const struct history_query *q, history_point_fn *fn, void *data)
{
	struct history_cursor c = {0};
	int e;
	do
		e = history_read_on(h, q, &c, fn, data);
	while (e > 0);
	return e;
}

/* --- events --- */

int history_events(struct history *h, int64_t from_ns, int64_t to_ns, history_event_fn *fn, void *data)
{
	struct view v;
	int e = view_open(h, &v);
	if (e)
		return e;
	e = store_events(v.store, from_ns, to_ns, fn, data);
	e = view_close(&v, e);
	return e < 0 ? e : 0;
}
