/* SPDX-License-Identifier: Apache-2.0 */
/* Readers copy the open chains first and look into the file after: what became a chunk in between is then
 * there twice, never missing, and positions tell. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "history/chunk.h"
#include "history/state.h"
#include "history/summary.h"
#include "history/thin.h"

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
	for (size_t i = 0; i < c->n; i++)
		buf_release(&c->list[i].bytes);
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

static struct config *config_by_id(struct history *h, int64_t id)
{
	pthread_mutex_lock(&h->chains_lock);
	struct config *c =
	    id > 0 && (size_t)id <= h->known_configs_n ? h->known_configs[id - 1]->config : NULL;
	pthread_mutex_unlock(&h->chains_lock);
	return c;
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

/* A reader's own view of the file. */
static int view_open(struct history *h, struct store **ret, unsigned *ret_generation)
{
	*ret_generation = h->generation;
	int e = store_open(ret, h->path, STORE_READ);
	if (e == -EUCLEAN && *ret_generation == h->generation)
		h->suspect = true;
	return e;
}

/* Passes e on; tells the writer when the file is damaged. */
static int view_close(struct history *h, struct store *s, unsigned generation, int e)
{
	store_close(s);
	if (e == -EUCLEAN && generation == h->generation)
		h->suspect = true;
	return e;
}

/* --- periods --- */

struct replay {
	struct history *history;
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
	struct config *config = config_by_id(r->history, row->config);
	if (!config || row->step_ns > 0)
		return 0;
	struct chunk c;
	struct table t;
	int e = chunk_open(&c, row->body);
	if (e)
		return e == -EBADMSG ? 0 : e;
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
	struct store *s;
	unsigned generation;
	int e = view_open(h, &s, &generation);
	if (e)
		return e;
	e = store_chunks_after(s, m->id, r->after, replay_chunk, r);
	return view_close(h, s, generation, e);
}

int history_replay(struct history *h, const char *node, const char *monitor, struct history_position after,
    size_t max, history_replay_fn *fn, void *data)
{
	struct replay r = {.history = h, .after = after, .max = max, .fn = fn, .data = data};
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
	struct history *history;
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
	struct config *config = config_by_id(k->history, row->config);
	struct chunk c;
	if (!config || chunk_open(&c, row->body))
		return 0;
	int e = known_opened(k, config, row, &c);
	chunk_release(&c);
	return e;
}

int history_known(struct history *h, history_known_fn *fn, void *data)
{
	struct known k = {.history = h, .fn = fn, .data = data};
	struct store *s;
	unsigned generation;
	int e = view_open(h, &s, &generation);
	if (e)
		return e;
	for (size_t i = 0; !e && i < h->monitors_n; i++) {
		k.monitor = h->monitors[i];
		if (k.monitor->rows && k.monitor->config && k.monitor->state.numbers)
			e = known_state(&k, k.monitor);
		else
			e = store_last_chunk(s, k.monitor->id, known_chunk, &k);
	}
	e = view_close(h, s, generation, e);
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
	const struct metric *metric;
	int64_t index; /* in the config at hand, -1: not there */
	struct history_point *points;
	size_t n, size;
	bool unordered;
};

struct reading {
	struct history *history;
	const struct history_query *query;
	const struct history_monitor *monitor;
	struct config **configs; /* met in the time asked for */
	size_t configs_n;
	uint64_t rows;
	struct gathered *metrics;
	size_t metrics_n;
	struct gathered *group;
	size_t group_n;
	const struct config *config; /* that the indices are for */
	struct history_position after;
};

enum { POINTS_AT_ONCE = 1 << 19 };

static void point_release(struct history_point *p)
{
	if (p->value.kind == VALUE_TEXT)
		free(p->value.text);
}

static void gathered_clear(struct gathered *g)
{
	for (size_t i = 0; i < g->n; i++)
		point_release(&g->points[i]);
	free(g->points);
	*g = (struct gathered){.metric = g->metric};
}

static int own_value(struct value *to, const struct value *v)
{
	*to = (struct value){.kind = VALUE_NONE};
	return value_copy(to, v);
}

static int add_point(struct gathered *g, const struct history_point *p)
{
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

/* The places of the group's metrics in a config, looked up once for chunks in a row that share it. */
static void find_indices(struct reading *r, const struct config *config)
{
	if (r->config == config)
		return;
	r->config = config;
	for (size_t i = 0; i < r->group_n; i++) {
		const struct metric *m = r->group[i].metric;
		int at = config_find(config, m->name);
		/* A metric that changed its scale or unit is another. */
		if (at >= 0 &&
		    (config->metrics[at].scale != m->scale || strcmp(config->metrics[at].unit, m->unit)))
			at = -1;
		r->group[i].index = at;
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
		if (time < r->query->from_ns || time >= r->query->to_ns || !position_after(at, r->after))
			continue;
		struct history_point p = rows->thinned ? thinned_point(s, row, g->metric->scale)
						       : measured_point(s, row, g->metric->scale);
		p.node = r->monitor->node;
		p.monitor = r->monitor->name;
		p.metric = g->metric;
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
		if (r->group[i].index >= 0)
			e = gather_metric(r, &r->group[i], &rows, c);
	free(times);
	free(sequences);
	return e;
}

static int gather_chunk(void *data, const struct chunk_row *row)
{
	struct reading *r = data;
	struct config *config = config_by_id(r->history, row->config);
	struct chunk c;
	if (!config)
		return 0;
	int e = chunk_open(&c, row->body);
	if (!e) {
		find_indices(r, config);
		e = gather_opened(r, row, &c);
		chunk_release(&c);
	}
	r->after = (struct history_position){row->boot, row->last};
	return e == -EBADMSG ? 0 : e;
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
		if (r->group[i].index >= 0)
			e = gather_series(r, &r->group[i], &rows, &t.series[r->group[i].index]);
	table_release(&t);
	r->after = c->last;
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

static int tell_points(struct reading *r, history_point_fn *fn, void *data)
{
	int e = 0;
	for (size_t i = 0; !e && i < r->group_n; i++) {
		struct gathered *g = &r->group[i];
		e = order_points(g, r->query->step_ns);
		for (size_t k = 0; !e && k < g->n; k++)
			e = fn(data, &g->points[k]);
	}
	return e;
}

static int note_config(struct reading *r, struct config *config)
{
	for (size_t i = 0; i < r->configs_n; i++)
		if (r->configs[i] == config)
			return 0;
	struct config **configs = realloc(r->configs, (r->configs_n + 1) * sizeof *configs);
	if (!configs)
		return -ENOMEM;
	r->configs = configs;
	r->configs[r->configs_n++] = config;
	return 0;
}

static int note_chunk(void *data, const struct chunk_row *row)
{
	struct reading *r = data;
	struct config *config = config_by_id(r->history, row->config);
	r->rows += row->rows;
	return config ? note_config(r, config) : 0;
}

static int by_metric(const void *a, const void *b)
{
	const struct metric *x = ((const struct gathered *)a)->metric,
			    *y = ((const struct gathered *)b)->metric;
	int order = strcmp(x->name, y->name);
	if (!order)
		order = strcmp(x->unit, y->unit);
	return order ? order : x->scale - y->scale;
}

/* The metrics that match, each once, by name. */
static int list_metrics(struct reading *r)
{
	size_t most = 0, n = 0;
	for (size_t i = 0; i < r->configs_n; i++)
		most += r->configs[i]->n;
	r->metrics = calloc(most + 1, sizeof *r->metrics);
	if (!r->metrics)
		return -ENOMEM;
	for (size_t i = 0; i < r->configs_n; i++)
		for (size_t k = 0; k < r->configs[i]->n; k++)
			if (matches(r->query->metric, r->configs[i]->metrics[k].name))
				r->metrics[n++].metric = &r->configs[i]->metrics[k];
	qsort(r->metrics, n, sizeof *r->metrics, by_metric);
	for (size_t i = 0; i < n; i++)
		if (!r->metrics_n || by_metric(&r->metrics[r->metrics_n - 1], &r->metrics[i]))
			r->metrics[r->metrics_n++] = r->metrics[i];
	return 0;
}

/* So many metrics at once that their points fit in memory. */
static size_t group_size(const struct reading *r)
{
	uint64_t points = r->rows + 1;
	if (r->query->step_ns > 0) {
		uint64_t steps =
		    ((uint64_t)r->query->to_ns - (uint64_t)r->query->from_ns) / (uint64_t)r->query->step_ns +
		    1;
		points = steps < points ? steps : points;
	}
	size_t n = (size_t)(POINTS_AT_ONCE / points);
	return n ? n : 1;
}

static int read_group(
    struct reading *r, struct store *s, const struct copies *copies, history_point_fn *fn, void *data)
{
	r->after = (struct history_position){INT64_MIN, 0};
	r->config = NULL;
	int e = store_chunks_between(s, r->monitor->id, r->query->from_ns, r->query->to_ns, gather_chunk, r);
	for (size_t i = 0; !e && i < copies->n; i++)
		if (position_after(copies->list[i].last, r->after))
			e = gather_copy(r, &copies->list[i]);
	if (!e)
		e = tell_points(r, fn, data);
	for (size_t i = 0; i < r->group_n; i++)
		gathered_clear(&r->group[i]);
	return e;
}

static int read_viewed(
    struct reading *r, struct store *s, const struct copies *copies, history_point_fn *fn, void *data)
{
	int e = store_chunks_between(s, r->monitor->id, r->query->from_ns, r->query->to_ns, note_chunk, r);
	for (size_t i = 0; !e && i < copies->n; i++) {
		e = note_config(r, copies->list[i].config);
		r->rows += copies->list[i].rows;
	}
	if (!e)
		e = list_metrics(r);
	size_t at_once = group_size(r);
	for (size_t i = 0; !e && i < r->metrics_n; i += at_once) {
		r->group = &r->metrics[i];
		r->group_n = r->metrics_n - i < at_once ? r->metrics_n - i : at_once;
		e = read_group(r, s, copies, fn, data);
	}
	free(r->configs);
	free(r->metrics);
	return e;
}

static int read_monitor(struct history *h, struct store *s, const struct history_monitor *m,
    const struct history_query *q, history_point_fn *fn, void *data)
{
	struct reading r = {.history = h, .query = q, .monitor = m};
	struct copies copies;
	int e = copy_chains(h, m, (struct history_position){INT64_MIN, 0}, &copies);
	if (e)
		return e;
	e = store_begin(s);
	if (!e) {
		e = read_viewed(&r, s, &copies, fn, data);
		store_rollback(s);
	}
	copies_release(&copies);
	return e;
}

int history_read(struct history *h, const struct history_query *q, history_point_fn *fn, void *data)
{
	struct history_monitor **monitors;
	size_t n;
	struct store *s;
	unsigned generation;
	int e = view_open(h, &s, &generation);
	if (e)
		return e;
	e = list_monitors(h, &monitors, &n);
	if (!e) {
		for (size_t i = 0; !e && i < n; i++)
			if (matches(q->node, monitors[i]->node) && matches(q->monitor, monitors[i]->name))
				e = read_monitor(h, s, monitors[i], q, fn, data);
		free(monitors);
	}
	e = view_close(h, s, generation, e);
	return e < 0 ? e : 0;
}

/* --- events --- */

int history_events(struct history *h, int64_t from_ns, int64_t to_ns, history_event_fn *fn, void *data)
{
	struct store *s;
	unsigned generation;
	int e = view_open(h, &s, &generation);
	if (e)
		return e;
	e = store_events(s, from_ns, to_ns, fn, data);
	e = view_close(h, s, generation, e);
	return e < 0 ? e : 0;
}
