/* SPDX-License-Identifier: Apache-2.0 */
/* At start: what history and registry know becomes the cluster as it was, its values old. */
#include <errno.h>
#include <string.h>

#include "os/clock.h"
#include "services/health/health.h"
#include "services/health/recent.h"

static const int64_t EVENTS_BACK_NS = 7LL * 86400 * 1000000000;

static int on_known(void *data, struct history_monitor *hm, struct config *config, const struct history_period *last)
{
	struct health *h = data;
	const char *name = history_monitor_node(hm);
	if (strcmp(name, h->core->name) && !registry_find(h->registry, "node", name))
		return 0; /* forgotten: its past can still be asked for */
	struct node *n = cluster_node(&h->cluster, name);
	struct monitor *m = n ? cluster_monitor(&h->cluster, n, history_monitor_name(hm)) : NULL;
	if (!m)
		return -ENOMEM;
	m->history = hm;
	int r = monitor_describe(&h->cluster, m, cluster_intern(&h->cluster, config_ref(config)), 1);
	for (size_t i = 0; i < config->n && !r; i++)
		r = value_copy(&m->values[i], &last->values[i]);
	m->at = m->committed = m->acked = last->at;
	m->time_ns = last->time_ns;
	if (!n->self && n->boot < last->at.boot)
		n->boot = last->at.boot;
	return r;
}

static int on_event(void *data, const struct history_event *e)
{
	struct health *h = data;
	struct event *to = &h->events[h->events_n++ % EVENTS_KEPT];
	to->time_ns = e->time_ns;
	snprintf(to->kind, sizeof to->kind, "%s", e->kind);
	snprintf(to->node, sizeof to->node, "%s", e->node);
	snprintf(to->monitor, sizeof to->monitor, "%s", e->monitor);
	snprintf(to->text, sizeof to->text, "%s", e->text);
	return 0;
}

static void on_registered(void *data, const char *name)
{
	struct health *h = data;
	cluster_node(&h->cluster, name);
}

static int load_history(struct health *h)
{
	int r = history_known(h->history, on_known, h);
	if (r < 0)
		return r;
	return history_events(h->history, clock_wall_ns() - EVENTS_BACK_NS, INT64_MAX, on_event, h);
}

int loading_run(struct health *h)
{
	int r = h->history ? load_history(h) : 0;
	registry_each(h->registry, "node", on_registered, h);
	for (size_t i = 0; i < h->cluster.nodes.n; i++) {
		struct node *n = h->cluster.nodes.things[i];
		if (n->self)
			continue;
		watch_known(h, n);
		spread_known(h, n);
	}
	return r < 0 ? r : 0;
}
