/* SPDX-License-Identifier: Apache-2.0 */
/* What clients ask (docs/hmon.md, "Client"), answered node by node and monitor by monitor as they read. */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/audited.h"
#include "core/limited.h"
#include "core/links.h"
#include "core/processes.h"
#include "core/view.h"
#include "os/clock.h"
#include "os/host.h"
#include "proto/describe.h"
#include "services/health/health.h"

enum { PENDING_ENOUGH = 65536 };

/* --- walking: over all monitors that match, remembering by name where we are --- */

struct walk {
	const char *node, *monitor, *metric;
	char at_node[64], at_monitor[64];
	struct update *update;
	struct call *call;
	uint64_t given;
};

static int walk_new(struct call *c, struct walk **ret)
{
	struct walk *w = calloc(1, sizeof *w);
	if (!w)
		return call_fail(c, "failed", "no memory");
	*w = (struct walk){.node = c->args[0].text, .monitor = c->args[1].text, .metric = c->args[2].text, .call = c};
	c->state = w;
	*ret = w;
	return 0;
}

void query_walk_over(struct call *c)
{
	struct walk *w = c->state;
	if (w && w->update)
		update_cancel(w->update);
	free(w);
}

static struct monitor *next_in(const struct node *n, struct walk *w)
{
	const char *after = *w->at_monitor ? w->at_monitor : NULL;
	struct monitor *m;
	while ((m = names_after(&n->monitors, after))) {
		after = m->name;
		if (m->config && !m->removed && pattern_match(w->monitor, m->name)) {
			snprintf(w->at_monitor, sizeof w->at_monitor, "%s", m->name);
			return m;
		}
	}
	return NULL;
}

static struct monitor *walk_next(const struct cluster *cluster, struct walk *w)
{
	struct node *n = *w->at_node ? cluster_find(cluster, w->at_node) : NULL;
	if (!n)
		n = names_after(&cluster->nodes, *w->at_node ? w->at_node : NULL);
	for (; n; n = names_after(&cluster->nodes, n->name)) {
		if (strcmp(w->at_node, n->name))
			*w->at_monitor = '\0';
		snprintf(w->at_node, sizeof w->at_node, "%s", n->name);
		struct monitor *m = pattern_match(w->node, n->name) ? next_in(n, w) : NULL;
		if (m)
			return m;
	}
	return NULL;
}

/* A plain name that does not exist is an error; a pattern that matches nothing is not. */
int query_check_names(struct call *c, const char *node, const char *monitor)
{
	const struct cluster *cluster = &health_of(c->core)->cluster;
	if (!pattern_plain(node))
		return 0;
	const struct node *n = cluster_find(cluster, node);
	if (!n)
		return call_fail(c, "not-found", "no node is named %s", node);
	if (pattern_plain(monitor) && !names_find(&n->monitors, monitor))
		return call_fail(c, "not-found", "node %s has no monitor named %s", node, monitor);
	return 0;
}

/* --- master --- */

int query_master_info(struct call *c)
{
	const struct health *h = health_of(c->core);
	struct msg *m = call_answer(c, "master");
	if (m) {
		msg_set(m, "name", h->core->name);
		msg_set(m, "version", VIGIA_VERSION);
		msg_set_int(m, "boot", h->boot);
		msg_set_int(m, "time", clock_wall_ns());
		msg_set_int(m, "nodes", (int64_t)h->cluster.nodes.n);
		msg_set_int(m, "monitors", (int64_t)h->cluster.monitors_n);
		msg_set_int(m, "metrics", (int64_t)h->cluster.metrics_n);
		msg_set(m, "sandbox", h->options.sandbox.in_force);
	}
	call_send(c, m);
	return CALL_DONE;
}

void query_problem(struct call *c, const char *problem, const char *node, const char *monitor, const char *format, ...)
{
	char text[400];
	va_list ap;
	va_start(ap, format);
	vsnprintf(text, sizeof text, format, ap);
	va_end(ap);
	struct msg *m = call_answer(c, "master");
	if (!m)
		return;
	msg_set(m, "problem", problem);
	if (node)
		msg_set(m, "node", node);
	if (monitor)
		msg_set(m, "monitor", monitor);
	msg_text(m, text, strlen(text));
	call_send(c, m);
}

static void node_problems(struct call *c, const struct node *n)
{
	int64_t now_ns = clock_mono_ns();
	if (!n->self && !node_present(n) && n->step.state != STEP_LEFT)
		query_problem(c, "node-down", n->name, NULL,
		    "node %s is %s (%s): look at the host, then at vigiad on it; `vigia forget %s` if it is gone for good",
		    n->name, step_state_name(n->step.state), step_reason_text(n->step.reason), n->name);
	else if (n->step.state == STEP_LATE || n->step.state == STEP_BUSY)
		query_problem(c, "node-late", n->name, NULL, "node %s is %s (%s)", n->name,
		    step_state_name(n->step.state), step_reason_text(n->step.reason));
	for (size_t i = 0; node_present(n) && i < n->monitors.n; i++) {
		const struct monitor *m = n->monitors.things[i];
		enum monitor_state s = monitor_state(m, now_ns);
		if (m->config && !m->removed && (s == MONITOR_LATE || s == MONITOR_GONE))
			query_problem(c, s == MONITOR_LATE ? "monitor-late" : "monitor-gone", n->name, m->name,
			    "monitor %s of node %s is %s: see `vigia events` and the log of that host", m->name, n->name,
			    monitor_state_name(s));
	}
}

typedef void node_fn(struct call *c, const struct node *n);

/* Every node that matches, as fast as the client reads. */
static int each_node(struct call *c, node_fn *fn)
{
	struct walk *w = c->state;
	const struct cluster *cluster = &health_of(c->core)->cluster;
	const struct node *n;
	while ((n = names_after(&cluster->nodes, *w->at_node ? w->at_node : NULL))) {
		snprintf(w->at_node, sizeof w->at_node, "%s", n->name);
		if (pattern_match(w->node, n->name))
			fn(c, n);
		if (call_pending(c) > PENDING_ENOUGH)
			return CALL_MORE;
	}
	return CALL_DONE;
}

static int begin_nodes(struct call *c, const char *pattern)
{
	struct walk *w = calloc(1, sizeof *w);
	if (!w)
		return call_fail(c, "failed", "no memory");
	w->node = pattern;
	c->state = w;
	return 0;
}

int query_master_status_more(struct call *c)
{
	return each_node(c, node_problems);
}

static void launcher_problems(struct call *c)
{
	struct buf why = BUF_INIT;
	if (processes_trouble(c->core, &why))
		query_problem(c, "launcher", c->core->name, NULL, "programs can't be started: %s", buf_str(&why));
	buf_release(&why);
}

static void view_problems(struct call *c)
{
	struct buf why = BUF_INIT;
	if (view_trouble(c->core, &why))
		query_problem(c, "view", c->core->name, NULL, "the file of the hosts: %s", buf_str(&why));
	buf_release(&why);
}

static void audit_problems(struct call *c)
{
	struct buf why = BUF_INIT;
	if (audited_trouble(c->core, &why))
		query_problem(c, "audit", c->core->name, NULL, "the audit log: %s", buf_str(&why));
	buf_release(&why);
}

static void limit_problems(struct call *c)
{
	struct buf why = BUF_INIT;
	if (limited_trouble(c->core, &why))
		query_problem(c, "descriptors", c->core->name, NULL, "%s. RLIMIT_NOFILE (LimitNOFILE= in its unit) is too low for what limits { } "
		    "in vigia.conf allows: `vigia limits` tells what is in use", buf_str(&why));
	buf_release(&why);
}

static void platform_problems(struct call *c)
{
	struct buf why = BUF_INIT;
	if (links_trouble(c->core, &why))
		query_problem(c, "platform", c->core->name, NULL,
		    "what carries calls between hosts: %s", buf_str(&why));
	buf_release(&why);
}

int query_master_status(struct call *c)
{
	struct health *h = health_of(c->core);
	if (begin_nodes(c, "*"))
		return -1;
	if (*h->history_trouble)
		query_problem(c, "history", h->core->name, NULL,
		    "history is not being written: %s. Live values go on; it recovers by itself once this is mended, or if another file "
		    "system is mounted there then, when vigiad is restarted",
		    h->history_trouble);
	if (h->options.exposed)
		query_problem(c, "insecure-network", h->core->name, NULL,
		    "insecure_network is on: what goes to other hosts is neither encrypted nor authenticated");
	if (h->core->insecure_control)
		query_problem(c, "insecure-control", h->core->name, NULL,
		    "--insecure-control is on: every daemon in this network may change anything on this host");
	if (*h->options.sandbox.lack)
		query_problem(c, "sandbox", h->core->name, NULL,
		    "of the sandbox in which vigiad leaves little to one who breaks in, not in force: %s. See vigiad(8)",
		    h->options.sandbox.lack);
	uplinks_problems(h, c);
	starter_problems(h->starter, c);
	launcher_problems(c);
	view_problems(c);
	audit_problems(c);
	limit_problems(c);
	platform_problems(c);
	supervise_problems(h, c);
	return query_master_status_more(c);
}

/* --- node --- */

static void put_facts(struct msg *m, const struct node *n)
{
	if (*n->system)
		msg_set(m, "system", n->system);
	if (*n->machine)
		msg_set(m, "machine", n->machine);
	if (n->processors)
		msg_set_int(m, "processors", n->processors);
	if (n->memory)
		msg_set_int(m, "memory", n->memory);
	if (*n->version)
		msg_set(m, "version", n->version);
}

static int64_t monitors_of(const struct node *n)
{
	int64_t count = 0;
	for (size_t i = 0; i < n->monitors.n; i++)
		count += !((const struct monitor *)n->monitors.things[i])->removed;
	return count;
}

static void put_node(struct call *c, const struct node *n)
{
	struct msg *m = call_answer(c, "node");
	if (!m)
		return;
	bool self = n->self;
	msg_set(m, "name", n->name);
	msg_set_int(m, "id", n->id);
	msg_set(m, "state", self ? "up" : step_state_name(n->step.state));
	msg_set(m, "reason", self ? "this daemon" : step_reason_text(n->step.reason));
	msg_set_int(m, "since", n->since_ns);
	msg_set_int(m, "heard", self ? clock_wall_ns() : n->heard_ns);
	msg_set(m, "transport", n->transport);
	msg_set_int(m, "monitors", monitors_of(n));
	put_facts(m, n);
	call_send(c, m);
}

int query_node_list_more(struct call *c)
{
	return each_node(c, put_node);
}

int query_node_list(struct call *c)
{
	if (query_check_names(c, c->args[0].text, "*") || begin_nodes(c, c->args[0].text))
		return -1;
	return query_node_list_more(c);
}

int node_forget(struct health *h, struct node *n, const char *by)
{
	int r = registry_forget(h->registry, "node", n->name);
	if (r)
		return r;
	event_put(h, "node-forgotten", n->name, NULL, "by %s", by);
	spread_forget(h, n);
	watch_forget(h, n);
	subscribe_forget(h, n);
	master_tick(h); /* no ack is due to it any more */
	cluster_forget(&h->cluster, n);
	return 0;
}

int query_node_forget(struct call *c)
{
	struct health *h = health_of(c->core);
	struct node *n = cluster_find(&h->cluster, c->args[0].text);
	if (!n)
		return call_fail(c, "not-found", "no node is named %s", c->args[0].text);
	if (n->self || n->link)
		return call_fail(c, "not-permitted", "node %s is connected; stop its vigiad first", n->name);
	int r = node_forget(h, n, c->asker->address);
	return r ? call_fail_errno(c, r) : CALL_DONE;
}

int query_monitor_forget(struct call *c)
{
	struct health *h = health_of(c->core);
	const char *node = c->args[0].text, *name = c->args[1].text;
	struct monitor *m = names_find(&h->cluster.self->monitors, name);
	if (strcmp(node, h->core->name))
		return call_fail(c, "not-permitted", "a monitor is its node's to forget: `vigia forget %s/%s` on node %s, or "
						     "`vigia forget %s` for all of that node", node, name, node, node);
	bool secret = registry_find(h->registry, "monitor", name);
	if ((!m || m->removed) && !secret)
		return call_fail(c, "not-found", "node %s has no monitor named %s", node, name);
	if (m && m->link)
		return call_fail(c, "not-permitted", "monitor %s is connected: stop it first", name);
	if (!secret && supervise_expects(h, name))
		return call_fail(c, "not-permitted", "monitor %s is of the configuration: take its section out there", name);
	int r = registry_forget(h->registry, "monitor", name);
	if (r)
		return call_fail_errno(c, r);
	event_put(h, "monitor-forgotten", node, name, "by %s", c->asker->address);
	if (m && !supervise_expects(h, name)) {
		m->removed = true;
		uplinks_gone(h, m);
	}
	return CALL_DONE;
}

/* --- config --- */

static bool metric_wanted(void *data, const char *name)
{
	return pattern_match(data, name);
}

static void put_config(struct call *c, const struct walk *w, const struct monitor *m)
{
	char digest[17];
	struct msg *msg = call_answer(c, "config");
	if (!msg)
		return;
	describe_digest(digest, m->config->digest);
	msg_set(msg, "node", m->node->name);
	msg_set(msg, "monitor", m->name);
	msg_set_int(msg, "generation", m->generation);
	msg_set(msg, "digest", digest);
	describe_write(msg, m->config, metric_wanted, (void *)(uintptr_t)w->metric);
	call_send(c, msg);
}

static void put_listed(struct call *c, const struct walk *w, const struct monitor *m)
{
	struct msg *msg = call_answer(c, "monitor");
	if (!msg)
		return;
	msg_set(msg, "node", m->node->name);
	msg_set(msg, "monitor", m->name);
	msg_set(msg, "state", monitor_state_name(monitor_state(m, clock_mono_ns())));
	msg_set_int(msg, "time", m->time_ns);
	msg_set_int(msg, "period", m->config->period_ns / 1000000);
	msg_set_int(msg, "metrics", (int64_t)m->config->n);
	call_send(c, msg);
}

static void put_values(struct call *c, const struct walk *w, const struct monitor *m)
{
	struct msg *msg = m->at.boot ? values_message(c, m, w->metric, NULL) : NULL;
	if (msg && msg->children)
		call_send(c, msg);
	else
		msg_free(msg);
}

typedef void put_fn(struct call *c, const struct walk *w, const struct monitor *m);

static int go_on(struct call *c, put_fn *put)
{
	struct walk *w = c->state;
	struct monitor *m;
	while ((m = walk_next(&health_of(c->core)->cluster, w))) {
		put(c, w, m);
		if (call_pending(c) > PENDING_ENOUGH)
			return CALL_MORE;
	}
	return CALL_DONE;
}

static put_fn *put_of(const struct op *op)
{
	if (op->run == query_config_get)
		return put_config;
	return op->run == query_monitor_list ? put_listed : put_values;
}

int query_monitor_get_more(struct call *c)
{
	return go_on(c, put_of(c->op));
}

static int begin(struct call *c)
{
	struct walk *w = NULL;
	if (query_check_names(c, c->args[0].text, c->args[1].text) || walk_new(c, &w))
		return -1;
	return query_monitor_get_more(c);
}

int query_config_get(struct call *c)
{
	return begin(c);
}

int query_monitor_list(struct call *c)
{
	return begin(c);
}

/* --- start and stop --- */

static int order(struct call *c, enum supervise_order order, const char *event)
{
	struct health *h = health_of(c->core);
	const char *name = c->args[0].text;
	int r = supervise_order(h, name, order);
	if (r == -ENOENT)
		return call_fail(c, "not-found", "this daemon starts no monitor named %s", name);
	if (r == -EALREADY)
		return call_fail(c, "exists", "monitor %s %s already", name, order == SUPERVISE_STOP ? "is stopped" : "runs");
	event_put(h, event, h->core->name, name, "by %s", c->asker->address);
	return CALL_DONE;
}

int query_monitor_start(struct call *c)
{
	return order(c, SUPERVISE_START, "monitor-started");
}

int query_monitor_stop(struct call *c)
{
	return order(c, SUPERVISE_STOP, "monitor-stopped");
}

int query_monitor_restart(struct call *c)
{
	return order(c, SUPERVISE_RESTART, "monitor-started");
}

/* --- get, perhaps after an update --- */

static void put_missing(void *data, const char *node, const char *monitor, const char *code, const char *text)
{
	struct call *c = data;
	struct msg *m = call_answer(c, "error");
	if (!m)
		return;
	msg_set_flag(m, "partial", true);
	msg_set(m, "node", node);
	if (*monitor)
		msg_set(m, "monitor", monitor);
	msg_set(m, "code", code);
	msg_text(m, text, strlen(text));
	call_send(c, m);
}

static void on_updated(void *data, struct update *u)
{
	struct call *c = data;
	struct walk *w = c->state;
	w->update = NULL;
	update_missing(u, put_missing, c);
	int r = query_monitor_get_more(c);
	if (r == CALL_DONE)
		call_end(c);
	else
		c->more = true;
}

int query_monitor_get(struct call *c)
{
	struct walk *w = NULL;
	if (!c->args[3].number)
		return begin(c);
	if (query_check_names(c, c->args[0].text, c->args[1].text) || walk_new(c, &w))
		return -1;
	int r = update_start(health_of(c->core), c->asker, w->node, w->monitor, w->metric, c->args[4].number, on_updated, c,
	    &w->update);
	return r ? call_fail_errno(c, r) : CALL_LATER;
}

/* --- update, from a master: the values go as data, this only says that all were asked --- */

static void on_node_updated(void *data, struct update *u)
{
	struct call *c = data;
	struct walk *w = c->state;
	w->update = NULL;
	update_missing(u, put_missing, c);
	call_end(c);
}

int query_monitor_update(struct call *c)
{
	struct health *h = health_of(c->core);
	struct walk *w = calloc(1, sizeof *w);
	if (!w)
		return call_fail(c, "failed", "no memory");
	c->state = w;
	int r = update_start(h, c->asker, h->core->name, c->args[0].text, c->args[1].text, c->args[2].number, on_node_updated,
	    c, &w->update);
	return r ? call_fail_errno(c, r) : CALL_LATER;
}
