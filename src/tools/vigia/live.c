/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vigia/live.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "os/clock.h"

static const int64_t SECOND = 1000000000;

/* States and problems come as events; this is for what has none: last signs, new monitors. */
enum { LIST_S = 5 };

/* Of larger clusters, and of monitors that measure more, history is not asked for: all comes in a period. */
enum { PREFILL_NODES = 100, PREFILL_METRICS = 2000, PREFILL_S = 15 };

/* A monitor's periods carry only what changed, so its clock says for all of its metrics that one came. */
struct live_monitor {
	char *name;
	int64_t time_ns, before_ns, period_ns;
	int64_t history_id; /* the query of its past */
	struct live_monitor *next;
};

/* --- what is wrong --- */

static void free_texts(char ***texts, size_t *n)
{
	while (*n)
		free((*texts)[--*n]);
	free(*texts);
	*texts = NULL;
}

static void take_problem(struct live *l, const struct msg *m)
{
	char **more = realloc(l->coming, (l->coming_n + 1) * sizeof *more);
	if (!more)
		return;
	l->coming = more;
	more[l->coming_n] = strdup(m->text);
	if (more[l->coming_n])
		l->coming_n++;
}

static void end_problems(struct live *l)
{
	free_texts(&l->problems, &l->problems_n);
	l->problems = l->coming;
	l->problems_n = l->coming_n;
	l->coming = NULL;
	l->coming_n = 0;
	l->problems_id = 0;
}

/* --- one host --- */

static void host_release(struct live *l)
{
	for (size_t i = 0; i < l->metrics.n; i++) {
		struct live_metric *k = l->metrics.things[i];
		free(k->name);
		free(k->text);
		free(k->unit);
		free(k);
	}
	names_release(&l->metrics);
	l->metrics = (struct names){0};
	while (l->monitors) {
		struct live_monitor *m = l->monitors;
		l->monitors = m->next;
		free(m->name);
		free(m);
	}
}

static struct live_monitor *monitor_named(struct live *l, const char *name)
{
	struct live_monitor *m = l->monitors;
	while (m && strcmp(m->name, name))
		m = m->next;
	if (m)
		return m;
	m = calloc(1, sizeof *m);
	char *copy = strdup(name);
	if (!m || !copy) {
		free(m);
		free(copy);
		return NULL;
	}
	m->name = copy;
	m->next = l->monitors;
	return l->monitors = m;
}

static struct live_metric *metric_new(struct live_monitor *monitor, const char *name)
{
	struct live_metric *k = calloc(1, sizeof *k);
	if (!k)
		return NULL;
	k->name = strdup(name);
	k->unit = strdup("");
	k->value = NAN;
	k->monitor = monitor;
	for (int i = 0; i < LIVE_PAST; i++)
		k->past[i] = NAN;
	return k;
}

static struct live_metric *metric_named(struct live *l, struct live_monitor *monitor, const char *metric)
{
	char name[200];
	snprintf(name, sizeof name, "%s/%s", monitor->name, metric);
	struct live_metric *k = names_find(&l->metrics, name);
	if (k)
		return k;
	k = metric_new(monitor, name);
	if (k && k->name && k->unit && !names_add(&l->metrics, k))
		return k;
	if (k) {
		free(k->name);
		free(k->unit);
	}
	free(k);
	return NULL;
}

static void replace(char **text, const char *with)
{
	char *copy = with ? strdup(with) : NULL;
	if (with && !copy)
		return;
	free(*text);
	*text = copy;
}

static void take_metric(struct live_metric *k, const struct msg *v)
{
	const char *unit = msg_get(v, "u", "");
	bool none = msg_get_flag(v, "none");
	replace(&k->text, none ? NULL : v->text);
	if (strcmp(unit, k->unit))
		replace(&k->unit, unit);
	k->value = none || !*unit ? NAN : strtod(v->text, NULL);
}

static void take_host(struct live *l, const struct msg *m)
{
	struct live_monitor *monitor = monitor_named(l, msg_get(m, "monitor", "?"));
	if (!monitor)
		return;
	msg_get_int(m, "time", &monitor->time_ns);
	l->fresh |= msg_get_flag(m, "full");
	for (const struct msg *v = m->children; v; v = v->next) {
		struct live_metric *k = metric_named(l, monitor, msg_get(v, "n", "?"));
		if (k)
			take_metric(k, v);
	}
}

static int64_t ask(struct live *l, struct msg *query);

/* As many periods as are shown. */
static void ask_past(struct live *l, struct live_monitor *monitor)
{
	struct msg *q = vigia_query(l->v, "monitor", "history");
	int64_t now_ns = clock_wall_ns();
	msg_set(q, "node", l->host);
	msg_set(q, "monitor", monitor->name);
	msg_set_int(q, "from", now_ns - (LIVE_PAST + 1) * monitor->period_ns);
	msg_set_int(q, "to", now_ns);
	monitor->history_id = ask(l, q);
}

static void take_config(struct live *l, const struct msg *m)
{
	struct live_monitor *monitor = monitor_named(l, msg_get(m, "monitor", "?"));
	int64_t period_ms = 0;
	size_t n = 0;
	for (const struct msg *c = m->children; monitor && c; c = c->next, n++) {
		struct live_metric *k = metric_named(l, monitor, msg_get(c, "name", "?"));
		if (k)
			k->counter = !strcmp(msg_get(c, "type", ""), "counter");
	}
	msg_get_int(m, "period", &period_ms);
	if (!monitor || !period_ms || n > PREFILL_METRICS)
		return;
	monitor->period_ns = period_ms * 1000000;
	ask_past(l, monitor);
}

/* Where a time is in the past that is shown; what has come since keeps its place. */
static void put_past(struct live_metric *k, int64_t time_ns, double y)
{
	const struct live_monitor *m = k->monitor;
	int64_t newest_ns = m->before_ns ? m->before_ns : m->time_ns;
	int64_t ago = (newest_ns - time_ns + m->period_ns / 2) / m->period_ns;
	if (time_ns <= newest_ns && ago < LIVE_PAST && isnan(k->past[LIVE_PAST - 1 - ago]))
		k->past[LIVE_PAST - 1 - ago] = y;
}

static void take_past(struct live *l, const struct msg *series)
{
	struct live_monitor *monitor = monitor_named(l, msg_get(series, "monitor", "?"));
	struct live_metric *k = monitor ? metric_named(l, monitor, msg_get(series, "metric", "?")) : NULL;
	struct rate rate = {0};
	int64_t time_ns = 0;
	if (!k || !monitor->period_ns || !msg_field(series, "unit"))
		return;
	for (const struct msg *p = series->children; p; p = p->next) {
		double y = strtod(msg_get(p, "v", "nan"), NULL);
		if (!msg_get_int(p, "t", &time_ns))
			put_past(k, time_ns, k->counter ? rate_take(&rate, time_ns, y) : y);
	}
	l->fresh = true;
}

static void push(struct live_metric *k, double y)
{
	memmove(k->past, k->past + 1, (LIVE_PAST - 1) * sizeof *k->past);
	k->past[LIVE_PAST - 1] = y;
}

static void step(struct live_metric *k)
{
	const struct live_monitor *m = k->monitor;
	if (m->time_ns == m->before_ns)
		return;
	bool first = !k->rate.time_ns;
	double rate = rate_take(&k->rate, m->time_ns, k->value);
	if (!k->counter)
		push(k, k->value);
	else if (!first)
		push(k, rate);
}

static void step_host(struct live *l)
{
	for (size_t i = 0; i < l->metrics.n; i++)
		step(l->metrics.things[i]);
	for (struct live_monitor *m = l->monitors; m; m = m->next)
		m->before_ns = m->time_ns;
}

/* --- asking --- */

static int64_t ask(struct live *l, struct msg *query)
{
	int64_t id = client_ask(l->v->client, query);
	return id > 0 ? id : 0;
}

/* Nodes and problems of one moment. What happens before both have come is asked for after them. */
static void ask_states(struct live *l)
{
	l->stale = l->nodes_id || l->problems_id;
	if (l->stale)
		return;
	struct msg *both[] = {vigia_query(l->v, "node", "list"), vigia_query(l->v, "master", "status")};
	int64_t id = client_ask_all(l->v->client, both, 2);
	l->nodes_id = id > 0 ? id : 0;
	l->problems_id = id > 0 ? id + 1 : 0;
	l->list_ns = clock_mono_ns() + LIST_S * SECOND;
	fleet_list_begin(&l->fleet);
}

/* The newest samples of the counters: rates need two, and would else take a period to come. */
static void ask_past_figures(struct live *l)
{
	int64_t now_ns = clock_wall_ns();
	l->prefilled = true;
	for (const struct figure_query *f = figure_queries; f->monitor; f++) {
		struct msg *q = f->counter ? vigia_query(l->v, "monitor", "history") : NULL;
		if (!q)
			continue;
		msg_set(q, "monitor", f->monitor);
		msg_set(q, "metric", f->metric);
		msg_set_int(q, "from", now_ns - PREFILL_S * SECOND);
		msg_set_int(q, "to", now_ns);
		int64_t id = ask(l, q);
		l->past_first = l->past_n ? l->past_first : id;
		l->past_n++;
	}
	l->past_left = l->past_n;
}

static void subscribe_figures(struct live *l)
{
	for (const struct figure_query *f = figure_queries; f->monitor; f++) {
		struct msg *q = vigia_query(l->v, "monitor", "subscribe");
		msg_set(q, "monitor", f->monitor);
		msg_set(q, "metric", f->metric);
		ask(l, q);
	}
}

static void follow_events(struct live *l)
{
	struct msg *q = vigia_query(l->v, "node", "events");
	msg_set_int(q, "from", clock_wall_ns());
	msg_set_flag(q, "follow", true);
	l->events_id = ask(l, q);
}

static void subscribe_host(struct live *l)
{
	struct msg *config = vigia_query(l->v, "config", "get");
	struct msg *values = vigia_query(l->v, "monitor", "subscribe");
	msg_set(config, "node", l->host);
	msg_set(values, "node", l->host);
	l->config_id = ask(l, config);
	l->host_id = ask(l, values);
}

static void begin(struct live *l)
{
	ask_states(l);
	subscribe_figures(l);
	follow_events(l);
	if (*l->host)
		subscribe_host(l);
}

/* --- the connection --- */

static void lose(struct live *l, const char *why)
{
	client_close(l->v->client);
	l->v->client = NULL;
	l->nodes_id = l->problems_id = l->events_id = l->host_id = l->config_id = 0;
	l->past_n = l->past_left = 0;
	l->fresh = true;
	free_texts(&l->coming, &l->coming_n);
	l->lost_ns = l->lost_ns ? l->lost_ns : clock_wall_ns();
	l->try_ns = clock_mono_ns() + SECOND / 2;
	snprintf(l->why, sizeof l->why, "%s", why);
}

static void connect_again(struct live *l)
{
	struct buf why = BUF_INIT;
	int64_t now_ns = clock_mono_ns();
	if (now_ns < l->try_ns)
		return;
	l->try_ns = now_ns + SECOND;
	int r = client_open(&l->v->client, l->v->at, l->v->papers, &why);
	if (!r) {
		l->lost_ns = 0;
		l->stale = false;
		begin(l);
	} else if (*buf_str(&why)) {
		snprintf(l->why, sizeof l->why, "%s", buf_str(&why));
	}
	buf_release(&why);
}

int live_open(struct live *l, struct vigia *v)
{
	*l = (struct live){.v = v};
	begin(l);
	return DONE;
}

void live_close(struct live *l)
{
	fleet_release(&l->fleet);
	host_release(l);
	free_texts(&l->problems, &l->problems_n);
	free_texts(&l->coming, &l->coming_n);
}

int live_fd(const struct live *l)
{
	return l->v->client ? client_fd(l->v->client) : -1;
}

/* --- what comes --- */

static bool of_past(const struct live *l, int64_t id)
{
	return id >= l->past_first && id < l->past_first + l->past_n;
}

static void end_states(struct live *l)
{
	if (l->nodes_id || l->problems_id)
		return;
	l->ready = l->fresh = true;
	if (l->stale)
		ask_states(l);
	if (!l->prefilled && l->fleet.nodes.n <= PREFILL_NODES)
		ask_past_figures(l);
}

static void take_end(struct live *l, int64_t id)
{
	if (id == l->nodes_id) {
		fleet_list_end(&l->fleet);
		l->nodes_id = 0;
		end_states(l);
	} else if (id == l->problems_id) {
		end_problems(l);
		end_states(l);
	} else if (of_past(l, id) && !--l->past_left) {
		fleet_past_rates(&l->fleet);
		l->fresh = true;
	}
}

static bool of_host_past(const struct live *l, int64_t id)
{
	for (const struct live_monitor *m = l->monitors; m; m = m->next)
		if (m->history_id && m->history_id == id)
			return true;
	return false;
}

static void take(struct live *l, const struct msg *m)
{
	int64_t id = 0;
	msg_get_int(m, "answer", &id);
	if (!strcmp(m->name, "end") || !strcmp(m->name, "error"))
		take_end(l, id);
	else if (id == l->nodes_id)
		fleet_take_node(&l->fleet, m);
	else if (id == l->problems_id)
		take_problem(l, m);
	else if (id == l->events_id)
		ask_states(l);
	else if (id == l->host_id)
		take_host(l, m);
	else if (id == l->config_id)
		take_config(l, m);
	else if (of_past(l, id))
		fleet_take_past(&l->fleet, m);
	else if (of_host_past(l, id))
		take_past(l, m);
	else if (!strcmp(m->name, "monitor") && !msg_field(m, "query"))
		fleet_take_values(&l->fleet, m);
}

void live_take(struct live *l)
{
	struct msg *m;
	int r = 1;
	while (l->v->client && (r = client_next(l->v->client, 0, &m)) > 0) {
		take(l, m);
		msg_free(m);
	}
	if (r < 0)
		lose(l, r == -EPROTO ? "it does not speak HMON" : "the daemon closed the connection");
}

void live_tick(struct live *l)
{
	if (!l->v->client) {
		connect_again(l);
		return;
	}
	fleet_rates(&l->fleet);
	step_host(l);
	if (clock_mono_ns() < l->list_ns)
		return;
	ask_states(l);
}

void live_watch(struct live *l, const char *host)
{
	if (l->v->client && l->host_id) {
		struct msg *q = vigia_query(l->v, "master", "cancel");
		msg_set_int(q, "of", l->host_id);
		ask(l, q);
	}
	l->host_id = l->config_id = 0;
	host_release(l);
	snprintf(l->host, sizeof l->host, "%s", host ? host : "");
	if (l->v->client && *l->host)
		subscribe_host(l);
}
