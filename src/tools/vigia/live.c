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

/* A monitor's periods carry only what changed, so its clock says for all of its metrics that one came. */
struct live_monitor {
	char *name;
	int64_t time_ns, before_ns;
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
	l->ready = true;
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
	k->value = k->before = NAN;
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
	for (const struct msg *v = m->children; v; v = v->next) {
		struct live_metric *k = metric_named(l, monitor, msg_get(v, "n", "?"));
		if (k)
			take_metric(k, v);
	}
}

static void take_config(struct live *l, const struct msg *m)
{
	struct live_monitor *monitor = monitor_named(l, msg_get(m, "monitor", "?"));
	for (const struct msg *c = m->children; monitor && c; c = c->next) {
		struct live_metric *k = metric_named(l, monitor, msg_get(c, "name", "?"));
		if (k)
			k->counter = !strcmp(msg_get(c, "type", ""), "counter");
	}
}

static void push(struct live_metric *k, double y)
{
	memmove(k->past, k->past + 1, (LIVE_PAST - 1) * sizeof *k->past);
	k->past[LIVE_PAST - 1] = y;
}

static void step(struct live_metric *k)
{
	const struct live_monitor *m = k->monitor;
	double seconds = (double)(m->time_ns - m->before_ns) / 1e9;
	if (m->time_ns == m->before_ns)
		return;
	if (!k->counter)
		push(k, k->value);
	else if (m->before_ns && k->value >= k->before)
		push(k, (k->value - k->before) / seconds);
	k->before = k->value;
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

static void ask_nodes(struct live *l)
{
	if (l->nodes_id)
		return;
	fleet_list_begin(&l->fleet);
	l->nodes_id = ask(l, vigia_query(l->v, "node", "list"));
	l->stale = false;
	l->list_ns = clock_mono_ns() + LIST_S * SECOND;
}

static void ask_problems(struct live *l)
{
	if (!l->problems_id)
		l->problems_id = ask(l, vigia_query(l->v, "master", "status"));
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
	ask_nodes(l);
	subscribe_figures(l);
	follow_events(l);
	ask_problems(l);
	if (*l->host)
		subscribe_host(l);
}

/* --- the connection --- */

static void lose(struct live *l, const char *why)
{
	client_close(l->v->client);
	l->v->client = NULL;
	l->nodes_id = l->problems_id = l->events_id = l->host_id = l->config_id = 0;
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
	int r = client_open(&l->v->client, l->v->at, &why);
	if (!r) {
		l->lost_ns = 0;
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

static void take_end(struct live *l, int64_t id)
{
	if (id == l->nodes_id) {
		fleet_list_end(&l->fleet);
		l->nodes_id = 0;
	} else if (id == l->problems_id) {
		end_problems(l);
	}
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
		l->stale = true;
	else if (id == l->host_id)
		take_host(l, m);
	else if (id == l->config_id)
		take_config(l, m);
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
	if (!l->stale && clock_mono_ns() < l->list_ns)
		return;
	ask_nodes(l);
	ask_problems(l);
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
