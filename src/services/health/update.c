/* SPDX-License-Identifier: Apache-2.0 */
/* An update query on its way: who was asked, who has answered. One query a node, one a monitor, each once. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "os/clock.h"
#include "services/health/health.h"

static const int64_t HOP_NS = 20000000; /* what a hop keeps for the way back */

/* A query to one peer, on the list of that peer's monitor or node. */
struct ask {
	struct update *update;
	int64_t id;
	char *node, *monitor; /* monitor "": the node was asked for several */
	struct ask *next, **list; /* list: NULL once answered */
	struct ask *sibling;
};

struct missing {
	char *node, *monitor, *code, *text;
	struct missing *next;
};

struct update {
	struct health *health;
	const void *asker;
	const char *metric;
	int64_t deadline_ns;
	unsigned waiting;
	bool starting, dead;
	struct ask *asks;
	struct missing *missing;
	update_fn *fn;
	void *data;
	uv_timer_t timer, later;
	int handles;
	struct update *next, **link;
};

static void add_missing(struct update *u, const char *node, const char *monitor, const char *code, const char *text)
{
	struct missing *m = calloc(1, sizeof *m);
	if (!m)
		return;
	*m = (struct missing){strdup(node), strdup(monitor), strdup(code), strdup(text), u->missing};
	u->missing = m;
}

void update_missing(const struct update *u, update_missing_fn *fn, void *data)
{
	for (const struct missing *m = u->missing; m; m = m->next)
		fn(data, m->node ? m->node : "", m->monitor ? m->monitor : "", m->code ? m->code : "",
		    m->text ? m->text : "");
}

static void unlink_ask(struct ask *a)
{
	if (!a->list)
		return;
	for (struct ask **p = a->list; *p; p = &(*p)->next)
		if (*p == a) {
			*p = a->next;
			break;
		}
	a->list = NULL;
}

static void on_closed(uv_handle_t *handle)
{
	struct update *u = handle->data;
	if (--u->handles)
		return;
	for (struct ask *a = u->asks, *next; a; a = next) {
		next = a->sibling;
		free(a->node);
		free(a->monitor);
		free(a);
	}
	for (struct missing *m = u->missing, *next; m; m = next) {
		next = m->next;
		free(m->node);
		free(m->monitor);
		free(m->code);
		free(m->text);
		free(m);
	}
	free(u);
}

void update_cancel(struct update *u)
{
	if (u->dead)
		return;
	u->dead = true;
	for (struct ask *a = u->asks; a; a = a->sibling)
		unlink_ask(a);
	*u->link = u->next;
	if (u->next)
		u->next->link = u->link;
	uv_close((uv_handle_t *)&u->timer, on_closed);
	uv_close((uv_handle_t *)&u->later, on_closed);
}

static void finish(struct update *u)
{
	u->fn(u->data, u);
	update_cancel(u);
}

static void on_deadline(uv_timer_t *timer)
{
	struct update *u = timer->data;
	for (struct ask *a = u->asks; a; a = a->sibling)
		if (a->list)
			add_missing(u, a->node, a->monitor, "deadline", "did not answer in time");
	finish(u);
}

static void on_later(uv_timer_t *timer)
{
	finish(timer->data);
}

/* Never in the asker's own call: its answer comes in a later turn. */
static void settle(struct update *u)
{
	if (!u->waiting && !u->starting && !uv_is_active((uv_handle_t *)&u->later))
		uv_timer_start(&u->later, on_later, 0, 0);
}

static void answered(struct ask *a)
{
	unlink_ask(a);
	a->update->waiting--;
	settle(a->update);
}

bool update_answered(struct ask **list, int64_t id, bool end, const char *monitor, const char *code, const char *text)
{
	for (struct ask *a = *list; a; a = a->next) {
		if (a->id != id)
			continue;
		if (code)
			add_missing(a->update, a->node, monitor ? monitor : a->monitor, code, text ? text : "");
		if (end)
			answered(a);
		return true;
	}
	return false;
}

void update_link_closed(struct ask **list)
{
	while (*list) {
		struct ask *a = *list;
		add_missing(a->update, a->node, a->monitor, "unavailable", "the connection ended");
		answered(a);
	}
}

bool update_asked_by(const struct ask *list, const void *asker)
{
	for (; list; list = list->next)
		if (list->update->asker == asker)
			return true;
	return false;
}

static bool has_metric(const struct monitor *m, const char *pattern)
{
	for (size_t i = 0; i < m->config->n; i++)
		if (pattern_match(pattern, m->config->metrics[i].name))
			return true;
	return false;
}

static struct ask *ask_new(struct update *u, struct peer *p, struct ask **list, const char *node, const char *monitor)
{
	struct ask *a = calloc(1, sizeof *a);
	if (!a)
		return NULL;
	*a = (struct ask){.update = u, .id = ++p->next_query, .node = strdup(node), .monitor = strdup(monitor),
	    .next = *list, .list = list, .sibling = u->asks};
	*list = a;
	u->asks = a;
	u->waiting++;
	return a;
}

static int send_query(struct peer *p, const struct ask *a, const char *monitor, const char *metric, int64_t deadline_ms)
{
	struct msg *m = msg_new("monitor");
	if (!m)
		return -ENOMEM;
	msg_set(m, "query", "update");
	msg_set_int(m, "id", a->id);
	if (monitor)
		msg_set(m, "monitor", monitor);
	if (strcmp(metric, "*"))
		msg_set(m, "metric", metric);
	if (deadline_ms)
		msg_set_int(m, "deadline", deadline_ms);
	peer_send(p, m);
	return 0;
}

static int ask_monitor(struct update *u, struct monitor *m)
{
	if (!strcmp(m->name, "vigia")) {
		self_measure(u->health);
		return 0;
	}
	if (!m->connected || !m->link) {
		add_missing(u, m->node->name, m->name, "unavailable", "is not connected");
		return 0;
	}
	struct ask *a = ask_new(u, m->link, &m->asks, m->node->name, m->name);
	return a ? send_query(m->link, a, NULL, u->metric, 0) : -ENOMEM;
}

static int ask_node(struct update *u, struct node *n, const char *monitor)
{
	if (!n->link) {
		add_missing(u, n->name, "", "unavailable", "the node is not connected");
		return 0;
	}
	int64_t left_ms = (u->deadline_ns - clock_mono_ns() - HOP_NS) / 1000000;
	struct ask *a = ask_new(u, n->link, &n->asks, n->name, "");
	return a ? send_query(n->link, a, monitor, u->metric, left_ms > 1 ? left_ms : 1) : -ENOMEM;
}

static int ask_all(struct update *u, const char *node, const char *monitor)
{
	int r = 0;
	for (size_t i = 0; i < u->health->cluster.nodes.n && !r; i++) {
		struct node *n = u->health->cluster.nodes.things[i];
		bool any = false;
		if (!pattern_match(node, n->name))
			continue;
		for (size_t k = 0; k < n->monitors.n && !r; k++) {
			struct monitor *m = n->monitors.things[k];
			if (!m->config || m->removed || !pattern_match(monitor, m->name) || !has_metric(m, u->metric))
				continue;
			any = true;
			if (n->self)
				r = ask_monitor(u, m);
		}
		if (any && !n->self && !r)
			r = ask_node(u, n, monitor);
	}
	return r;
}

int update_start(struct health *h, const void *asker, const char *node, const char *monitor, const char *metric,
    int64_t deadline_ns, update_fn *fn, void *data, struct update **ret)
{
	struct update *u = calloc(1, sizeof *u);
	if (!u)
		return -ENOMEM;
	*u = (struct update){.health = h, .asker = asker, .metric = metric, .deadline_ns = clock_mono_ns() + deadline_ns,
	    .fn = fn, .data = data, .starting = true, .next = h->updates, .link = &h->updates, .handles = 2};
	if (u->next)
		u->next->link = &u->next;
	h->updates = u;
	uv_timer_init(h->core->net.loop, &u->timer);
	uv_timer_init(h->core->net.loop, &u->later);
	u->timer.data = u->later.data = u;
	uv_timer_start(&u->timer, on_deadline, (uint64_t)(deadline_ns / 1000000), 0);
	int r = ask_all(u, node, monitor);
	u->starting = false;
	if (r) {
		update_cancel(u);
		return r;
	}
	settle(u);
	*ret = u;
	return 0;
}
