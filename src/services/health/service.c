/* SPDX-License-Identifier: Apache-2.0 */
/* The service's table: every operation, said once. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "os/clock.h"
#include "os/host.h"
#include "os/log.h"
#include "services/health/health.h"

static const int64_t HISTORY_RETRY_NS = 5000000000, SLEPT_NS = 2000000000;

#define NODE {"node", OP_PATTERN, "nodes, by name"}
#define MONITOR {"monitor", OP_PATTERN, "monitors, by name"}
#define ONE_MONITOR {"monitor", OP_NAME, "its name", .required = true}
#define METRIC {"metric", OP_PATTERN, "metrics, by name"}
#define FROM {"from", OP_TIME, "not before this time"}
#define TO {"to", OP_TIME, "before this time", .fallback = INT64_MAX}
#define DEADLINE {"deadline", OP_DURATION, "how long to wait for it", .fallback = 1000000000}

const struct op health_ops[] = {
    {"master", "info", "what this daemon is, and how much it knows", OP_READS, ROLE_CLIENT,
	.run = query_master_info},
    {"master", "status", "what is wrong, and what to do; nothing when all is well", OP_READS, ROLE_CLIENT,
	.run = query_master_status, .more = query_master_status_more, .over = query_walk_over},
    {"node", "list", "nodes with their state", OP_READS, ROLE_CLIENT, .args = {NODE}, .run = query_node_list,
	.more = query_node_list_more, .over = query_walk_over},
    {"node", "events", "what happened", OP_STREAMS, ROLE_CLIENT,
	.args = {FROM, TO, {"follow", OP_FLAG, "go on as they happen"}}, .run = query_events,
	.more = query_events_more, .over = query_events_over},
    {"node", "forget", "forgets a node that is not connected, with its secret", OP_OPERATES | OP_CHANGES, ROLE_CLIENT,
	.args = {{"node", OP_NAME, "its name", .required = true}}, .run = query_node_forget},
    {"monitor", "forget", "forgets a monitor of this node that is not connected, with its secret", OP_OPERATES | OP_CHANGES, ROLE_CLIENT,
	.args = {{"node", OP_NAME, "this node's name", .required = true},
	    {"monitor", OP_NAME, "its name", .required = true}}, .run = query_monitor_forget},
    {"monitor", "start", "starts a monitor of this host that was stopped, or one that waits to be tried again", OP_OPERATES | OP_CHANGES, ROLE_CLIENT,
	.args = {ONE_MONITOR}, .run = query_monitor_start},
    {"monitor", "stop", "ends a monitor of this host until it is started, or the daemon is", OP_OPERATES | OP_CHANGES, ROLE_CLIENT,
	.args = {ONE_MONITOR}, .run = query_monitor_stop},
    {"monitor", "restart", "ends a monitor of this host and starts it anew", OP_OPERATES | OP_CHANGES, ROLE_CLIENT, .args = {ONE_MONITOR},
	.run = query_monitor_restart},
    {"node", "register", "a node says who it is", OP_READS, ROLE_NODE,
	.args = {{"name", OP_NAME, "the node's name", .required = true},
	    {"boot", OP_INTEGER, "this life of its daemon", .required = true},
	    {"secret", OP_TEXT, "the one given at the first registration", .secret = true},
	    {"mode", OP_TEXT, "on-request: data only in answer to updates"},
	    {"send", OP_DURATION, "how often it sends"}, {"system", OP_TEXT, "for people"},
	    {"machine", OP_TEXT, "for people"}, {"processors", OP_INTEGER, "for people"},
	    {"memory", OP_INTEGER, "bytes, for people"}, {"version", OP_TEXT, "of its daemon"}},
	.run = query_node_register},
    {"host", "announce", "a node says which host it is on", OP_READS, ROLE_NODE,
	.args = {{"host", OP_TEXT, "its id", .required = true}, {"port", OP_INTEGER, "where it listens; 0: nowhere"}},
	.run = query_host_announce},
    {"config", "get", "what monitors measure", OP_READS, ROLE_CLIENT, .args = {NODE, MONITOR, METRIC},
	.run = query_config_get, .more = query_monitor_get_more, .over = query_walk_over},
    {"config", "announce", "a node tells which config a monitor of its has", OP_READS, ROLE_NODE,
	.args = {{"monitor", OP_NAME, "the monitor's name", .required = true},
	    {"monitor-id", OP_INTEGER, "its number on this connection", .required = true},
	    {"generation", OP_INTEGER, "of the config", .fallback = 1},
	    {"digest", OP_TEXT, "16 hexadecimal digits", .required = true}},
	.run = query_config_announce},
    {"monitor", "list", "monitors with their state", OP_READS, ROLE_CLIENT,
	.args = {NODE, MONITOR, METRIC}, .run = query_monitor_list, .more = query_monitor_get_more,
	.over = query_walk_over},
    {"monitor", "get", "values, perhaps measured anew", OP_READS, ROLE_CLIENT,
	.args = {NODE, MONITOR, METRIC, {"update", OP_FLAG, "measure now"}, DEADLINE}, .run = query_monitor_get,
	.more = query_monitor_get_more, .over = query_walk_over},
    {"monitor", "subscribe", "values as they come", OP_STREAMS, ROLE_CLIENT, .args = {NODE, MONITOR, METRIC},
	.run = query_subscribe, .more = query_subscribe_more, .over = query_subscribe_over},
    {"monitor", "history", "values as they were", OP_READS, ROLE_CLIENT,
	.args = {NODE, MONITOR, METRIC, FROM, TO, {"step", OP_DURATION, "means over this long"}},
	.run = query_history, .more = query_history_more, .over = query_history_over},
    {"monitor", "update", "a master has this node measure now", OP_READS, ROLE_MASTER,
	.args = {MONITOR, METRIC, DEADLINE}, .run = query_monitor_update, .over = query_update_over},
    {NULL},
};

static const struct role *const roles[] = {&monitor_role, &node_role, NULL};

const struct service health_service = {
    .name = "health", .doc = "cluster health: nodes, monitors, values", .ops = health_ops, .roles = roles};

void query_update_over(struct call *c)
{
	query_walk_over(c);
}

/* --- history's news --- */

static void on_wake(void *data)
{
	uv_async_send(data);
}

static struct monitor *monitor_of(struct health *h, const struct history_monitor *hm)
{
	struct node *n = cluster_find(&h->cluster, history_monitor_node(hm));
	return n ? names_find(&n->monitors, history_monitor_name(hm)) : NULL;
}

static void on_committed(void *data, struct history_monitor *hm, struct history_position to, uint64_t lost)
{
	struct monitor *m = monitor_of(data, hm);
	if (m)
		master_committed(data, m, to, lost);
}

static void on_trouble(void *data, const char *what, uint64_t dropped)
{
	struct health *h = data;
	snprintf(h->history_trouble, sizeof h->history_trouble, "%s", what ? what : "");
	if (what)
		event_put(h, "history-trouble", h->core->name, NULL, "%s", what);
	else
		event_put(h, "history-recovered", h->core->name, NULL, "%llu period%s dropped meanwhile",
		    (unsigned long long)dropped, dropped == 1 ? " was" : "s were");
}

static void on_news(uv_async_t *async)
{
	static const struct history_news news = {on_committed, on_trouble};
	struct health *h = async->data;
	history_dispatch(h->history, &news, h);
}

/* A disk that is full, or a file of a newer version, keeps no daemon from serving live values. */
static void open_history(struct health *h)
{
	bool was = *h->history_trouble;
	int r = history_open(&h->history, &h->options.history_options);
	if (!r) {
		if (was)
			on_trouble(h, NULL, 0);
		return;
	}
	h->history = NULL;
	if (!was)
		on_trouble(h, r == -ENOTSUP ? "the file was written by a newer Vigia, or is none of ours" : strerror(-r), 0);
}

/* --- each second --- */

/* Not at its announcement, which is of its config: that it is gone still is said behind it. */
static void tell_back(struct health *h, struct monitor *m)
{
	if (!m->told_gone || !m->connected)
		return;
	m->told_gone = false;
	event_put(h, "monitor-connected", m->node->name, m->name, "its node says so");
}

static void check_monitors(struct health *h, struct node *n, int64_t now_ns)
{
	for (size_t i = 0; i < n->monitors.n; i++) {
		struct monitor *m = n->monitors.things[i];
		tell_back(h, m);
		if (m->told_late || !m->arrived_ns || monitor_state(m, now_ns) != MONITOR_LATE ||
		    !monitor_is_overdue(m, n->awake_ns, now_ns))
			continue;
		m->told_late = true;
		event_put(h, "monitor-late", n->name, m->name, "silent for more than twice its period");
	}
}

static bool stands_still(const struct node *n)
{
	return !n->self && n->step.state != STEP_UP && n->step.state != STEP_NOT_WATCHED;
}

static void on_second(uv_timer_t *timer)
{
	struct health *h = timer->data;
	int64_t now_ns = clock_mono_ns();
	bool slept = now_ns - h->second_ns > SLEPT_NS;
	h->second_ns = now_ns;
	for (size_t i = 0; i < h->cluster.nodes.n; i++) {
		struct node *n = h->cluster.nodes.things[i];
		watch_tick(h, n, now_ns);
		if (slept || stands_still(n))
			n->awake_ns = now_ns;
		check_monitors(h, n, now_ns);
	}
	master_tick(h);
	if (h->options.history && !h->history && now_ns - h->history_tried_ns > HISTORY_RETRY_NS) {
		h->history_tried_ns = now_ns;
		open_history(h);
	}
}

/* --- start and end --- */

static void sync_registry(void *data)
{
	struct health *h = data;
	int r = registry_sync(h->registry);
	if (r)
		log_event(LOG_ERR, "registry", "a power cut may cost secrets that were just given: %s", strerror(-r));
}

static int open_registry(struct health *h)
{
	char *path;
	if (asprintf(&path, "%s/registry", h->options.state_directory) < 0)
		return -ENOMEM;
	int r = registry_open(&h->registry, path);
	free(path);
	return r;
}

static void self_facts(struct node *n)
{
	struct host_facts f;
	host_facts(&f);
	snprintf(n->system, sizeof n->system, "%s", f.system);
	snprintf(n->machine, sizeof n->machine, "%s", f.machine);
	snprintf(n->version, sizeof n->version, "%s", VIGIA_VERSION);
	n->processors = f.processors;
	n->memory = f.memory;
	n->since_ns = clock_wall_ns();
}

int health_start(struct health *h, struct core *core, const struct health_options *o)
{
	h->core = core;
	h->options = *o;
	h->options.name = core->name;
	h->boot = boot_next(o->state_directory, 0);
	core->context = h;
	int r = cluster_init(&h->cluster, o->name, &core->limits);
	if (!r)
		r = open_registry(h);
	if (r)
		return r;
	core->net.before_output = sync_registry;
	core->net.before_data = h;
	self_facts(h->cluster.self);
	spread_start(h);
	uv_async_init(core->net.loop, &h->history_wake, on_news);
	uv_timer_init(core->net.loop, &h->second);
	h->history_wake.data = h->second.data = h;
	h->options.history_options.wake = on_wake;
	h->options.history_options.data = &h->history_wake;
	if (o->history)
		open_history(h);
	r = loading_run(h);
	if (!r)
		r = self_start(h);
	if (!r)
		r = uplinks_set(h, o->masters);
	if (!r)
		r = starter_watch(h->starter, h);
	h->second_ns = clock_mono_ns();
	uv_timer_start(&h->second, on_second, 1000, 1000);
	return r;
}

void health_stop(struct health *h)
{
	self_stop(h);
	supervise_stop(h);
	starter_stop(h->starter);
	uplinks_stop(h);
	while (h->updates)
		update_cancel(h->updates);
	uv_close((uv_handle_t *)&h->second, NULL);
	uv_close((uv_handle_t *)&h->history_wake, NULL);
}

void health_release(struct health *h)
{
	if (h->history)
		history_close(h->history);
	starter_close(h->starter);
	cluster_release(&h->cluster);
	registry_close(h->registry);
	row_release(&h->row);
}
