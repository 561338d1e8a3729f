/* SPDX-License-Identifier: Apache-2.0 */
#include "services/health/cluster.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "services/health/recent.h"

static const int64_t LATE_LEAST_NS = 3000000000;

/* --- nodes --- */

int cluster_init(struct cluster *c, const char *self, struct limits *limits)
{
	*c = (struct cluster){.next_node_id = 1, .limits = limits};
	c->self = cluster_node(c, self);
	if (!c->self)
		return -ENOMEM;
	c->self->self = true;
	c->self->transport = "local";
	return 0;
}

struct node *cluster_find(const struct cluster *c, const char *name)
{
	return names_find(&c->nodes, name);
}

struct node *cluster_node(struct cluster *c, const char *name)
{
	struct node *n = cluster_find(c, name);
	if (n)
		return n;
	n = calloc(1, sizeof *n);
	if (!n || !(n->name = strdup(name)) || names_add(&c->nodes, n)) {
		if (n)
			free(n->name);
		free(n);
		return NULL;
	}
	limits_force(c->limits, LIMIT_NODES, LIMITS_NOBODY, 1);
	n->id = c->next_node_id++;
	n->transport = "none";
	return n;
}

static void monitor_free(struct cluster *c, struct monitor *m)
{
	if (m->config) {
		values_clear(m->values, m->config->n);
		c->metrics_n -= m->config->n;
	}
	c->monitors_n--;
	config_unref(m->config);
	recent_free(m->recent);
	free(m->values);
	free(m->name);
	free(m);
}

void cluster_forget(struct cluster *c, struct node *n)
{
	names_remove(&c->nodes, n->name);
	limits_give(c->limits, LIMIT_NODES, LIMITS_NOBODY, 1);
	for (size_t i = 0; i < n->monitors.n; i++)
		monitor_free(c, n->monitors.things[i]);
	names_release(&n->monitors);
	free(n->name);
	free(n);
}

void cluster_release(struct cluster *c)
{
	while (c->nodes.n)
		cluster_forget(c, c->nodes.things[c->nodes.n - 1]);
	names_release(&c->nodes);
	for (size_t i = 0; i < c->configs_n; i++)
		config_unref(c->configs[i]);
	free(c->configs);
}

bool node_present(const struct node *n)
{
	return n->self || (n->link && n->step.state != STEP_DOWN && n->step.state != STEP_LEFT);
}

/* --- monitors --- */

struct monitor *cluster_monitor(struct cluster *c, struct node *n, const char *name)
{
	struct monitor *m = names_find(&n->monitors, name);
	if (m)
		return m;
	m = calloc(1, sizeof *m);
	if (!m || !(m->name = strdup(name)) || names_add(&n->monitors, m)) {
		if (m)
			free(m->name);
		free(m);
		return NULL;
	}
	m->node = n;
	m->id = (unsigned)n->monitors.n;
	c->monitors_n++;
	return m;
}

/* --- configs --- */

static size_t config_place(const struct cluster *c, uint64_t digest)
{
	size_t low = 0, high = c->configs_n;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (c->configs[middle]->digest < digest)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct config *cluster_config(const struct cluster *c, uint64_t digest)
{
	size_t i = config_place(c, digest);
	return i < c->configs_n && c->configs[i]->digest == digest ? c->configs[i] : NULL;
}

/* Monitors whose instances come and go leave configs behind that nobody follows any more. */
static void drop_unused(struct cluster *c)
{
	size_t kept = 0;
	for (size_t i = 0; i < c->configs_n; i++)
		if (c->configs[i]->refs > 1)
			c->configs[kept++] = c->configs[i];
		else
			config_unref(c->configs[i]);
	c->configs_n = kept;
}

static bool make_room(struct cluster *c)
{
	if (c->configs_n < c->configs_size)
		return true;
	drop_unused(c);
	if (c->configs_n < c->configs_size / 2)
		return true;
	size_t size = c->configs_size ? c->configs_size * 2 : 16;
	struct config **more = realloc(c->configs, size * sizeof *more);
	if (!more)
		return c->configs_n < c->configs_size;
	c->configs = more;
	c->configs_size = size;
	return true;
}

struct config *cluster_intern(struct cluster *c, struct config *config)
{
	struct config *known = cluster_config(c, config->digest);
	if (known) {
		config_unref(config);
		return known;
	}
	if (!make_room(c))
		return config;
	size_t i = config_place(c, config->digest);
	memmove(c->configs + i + 1, c->configs + i, (c->configs_n - i) * sizeof *c->configs);
	c->configs[i] = config;
	c->configs_n++;
	return config;
}

static void move_values(struct monitor *m, const struct config *to, struct value *values)
{
	size_t next = 0;
	for (size_t i = 0; m->config && i < m->config->n; i++) {
		int at = config_find_near(to, m->config->metrics[i].name, next);
		next = at < 0 ? next : (size_t)at + 1;
		if (at < 0 || to->metrics[at].type != m->config->metrics[i].type ||
		    to->metrics[at].scale != m->config->metrics[i].scale)
			continue;
		values[at] = m->values[i];
		m->values[i] = (struct value){.kind = VALUE_NONE};
	}
}

int monitor_describe(struct cluster *c, struct monitor *m, struct config *config, unsigned generation)
{
	m->generation = generation;
	m->link_sequence = 0;
	if (m->config == config)
		return 0;
	struct value *values = calloc(config->n, sizeof *values);
	if (!values)
		return -ENOMEM;
	move_values(m, config, values);
	if (m->config) {
		values_clear(m->values, m->config->n);
		c->metrics_n -= m->config->n;
	}
	config_ref(config);
	config_unref(m->config);
	free(m->values);
	m->config = config;
	m->values = values;
	c->metrics_n += config->n;
	return 0;
}

/* --- states --- */

static const char *const state_names[] = {
    [MONITOR_CURRENT] = "current",
    [MONITOR_LATE] = "late",
    [MONITOR_GONE] = "gone",
    [MONITOR_OLD] = "old",
};

const char *monitor_state_name(enum monitor_state s)
{
	return state_names[s];
}

static int64_t late_after(const struct monitor *m)
{
	int64_t twice = 2 * m->config->period_ns;
	return (twice > LATE_LEAST_NS ? twice : LATE_LEAST_NS) + m->node->send_ns;
}

bool monitor_is_overdue(const struct monitor *m, int64_t since_ns, int64_t now_ns)
{
	if (!m->config->period_ns || m->node->on_request)
		return false;
	if (since_ns < m->arrived_ns)
		since_ns = m->arrived_ns;
	if (since_ns < m->connected_ns)
		since_ns = m->connected_ns;
	return now_ns - since_ns > late_after(m);
}

enum monitor_state monitor_state(const struct monitor *m, int64_t now_ns)
{
	if (!node_present(m->node) || !m->config)
		return MONITOR_OLD;
	if (!m->connected)
		return MONITOR_GONE;
	if (monitor_is_overdue(m, 0, now_ns))
		return MONITOR_LATE;
	return m->arrived_ns ? MONITOR_CURRENT : MONITOR_OLD;
}
