/* SPDX-License-Identifier: Apache-2.0 */
/* The role `node`: a node connects, shows who it is, announces its monitors and sends their periods. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "os/clock.h"
#include "os/secret.h"
#include "proto/describe.h"
#include "services/health/health.h"
#include "services/health/recent.h"

enum { MONITOR_IDS = 256 };

struct slot {
	struct monitor *monitor;
	int64_t boot; /* of the stanza before */
	uint32_t id;  /* as announced */
	bool follows; /* the stanza before was taken: the next may be differences */
};

/* A node's connection. */
struct link {
	struct node *node; /* NULL until registered, and when another connection took its place */
	bool left, removed;
	char transport[16];
	struct slot *monitors;
	unsigned n;
};

struct node *master_node_of(const struct peer *p)
{
	const struct link *l = p->owner;
	return l ? l->node : NULL;
}

static void link_free(struct link *l)
{
	if (l)
		free(l->monitors);
	free(l);
}

/* --- registration --- */

static int opened(struct peer *p, const struct msg *hmon)
{
	struct link *l = calloc(1, sizeof *l);
	if (!l)
		return -ENOMEM;
	snprintf(l->transport, sizeof l->transport, "%s", msg_get(hmon, "beat", "none"));
	p->owner = l;
	return 0;
}

static void take_facts(struct node *n, const struct msg *m)
{
	snprintf(n->system, sizeof n->system, "%s", msg_get(m, "system", ""));
	snprintf(n->machine, sizeof n->machine, "%s", msg_get(m, "machine", ""));
	snprintf(n->version, sizeof n->version, "%s", msg_get(m, "version", ""));
	msg_get_int(m, "processors", &n->processors);
	msg_get_int(m, "memory", &n->memory);
	int64_t send_ms = 0;
	msg_get_int(m, "send", &send_ms);
	n->send_ns = send_ms > 0 && send_ms < 86400000 ? send_ms * 1000000 : 0;
	n->on_request = !strcmp(msg_get(m, "mode", ""), "on-request");
}

static void replace(struct node *n)
{
	if (!n->link)
		return;
	struct peer *old = n->link;
	struct link *l = old->owner;
	update_link_closed(&n->asks);
	l->node = NULL;
	n->link = NULL;
	watch_forget(health_of(old->core), n);
	old->owner = NULL;
	peer_leave(old);
	link_free(l);
}

static void put_positions(struct call *c, const struct node *n)
{
	for (size_t i = 0; i < n->monitors.n; i++) {
		const struct monitor *m = n->monitors.things[i];
		if (!m->at.boot)
			continue;
		struct msg *msg = call_answer(c, "monitor");
		if (!msg)
			return;
		msg_set(msg, "monitor", m->name);
		msg_set_int(msg, "boot", m->at.boot);
		msg_set_int(msg, "sequence", (int64_t)m->at.sequence);
		call_send(c, msg);
	}
}

static int refuse_stranger(struct call *c, const char *name)
{
	struct health *h = health_of(c->core);
	h->figures.strangers++;
	event_put_folded(h, "stranger", name, NULL, "a node from %s names itself %s without its secret", c->asker->address,
	    name);
	return -EACCES;
}

static int check_name(struct call *c, const char *name)
{
	struct health *h = health_of(c->core);
	if (!describe_name_ok(name))
		return call_fail(c, "bad-argument", "name: 1 to 63 of A-Z a-z 0-9 . _ -, the first a letter or digit");
	if (!strcmp(name, h->core->name))
		return call_fail(c, "bad-argument", "%s is this master's own name: give the node another", name);
	if (cluster_find(&h->cluster, name) || limits_full(&c->core->limits, LIMIT_NODES, LIMITS_NOBODY, 1) == LIMIT_NONE)
		return 0;
	limits_refuse(&c->core->limits, LIMIT_NODES);
	return call_fail_limit(c, LIMIT_NODES);
}

/* A refusal answers the query, then the connection goes. */
static int refuse(struct call *c, const char *code, const char *text)
{
	struct peer *p = c->peer;
	call_fail(c, code, "%s", text);
	struct link *l = p->owner;
	p->owner = NULL;
	link_free(l);
	peer_leave(p);
	return -1;
}

static int secret_for(struct call *c, const char *name, char *ret_secret)
{
	struct health *h = health_of(c->core);
	*ret_secret = '\0';
	if (registry_find(h->registry, "node", name)) {
		if (registry_check(h->registry, "node", name, c->args[2].text))
			return 0;
		refuse_stranger(c, name);
		return refuse(c, "stranger", "this name is registered and this is not its secret; on the master, "
					     "`vigia forget NAME` makes it free");
	}
	char why[128];
	int r = registry_issue(h->registry, "node", name, ret_secret);
	snprintf(why, sizeof why, "its secret can't be stored: %s", strerror(-r));
	return r ? refuse(c, "failed", why) : 0;
}

/* How it is watched is how it may watch us. */
static void put_rules(struct msg *m, const struct health *h, const struct node *n, const char *transport)
{
	struct step_rules rules = h->options.rules_of(h->options.rules_data, n->name);
	if (!rules.interval_ns || !strcmp(transport, "none"))
		return;
	msg_set_int(m, "beat", rules.interval_ns / 1000000);
	msg_set_int(m, "late", rules.late_ns / 1000000);
	msg_set_int(m, "down", rules.down_ns / 1000000);
}

/* The daemon's clock or state directory was set back: told the number, it can go on from there. While another one is
 * connected under the name it is not: the two would throw each other out for ever. */
static int refuse_old_boot(struct call *c, const struct node *n)
{
	if (n->link)
		return refuse(c, "old-boot", "another vigiad is connected under this name and with its secret: were this "
					     "host's files copied from it? Stop one, or give one a name and state of its own");
	struct msg *m = call_answer(c, "node");
	if (m) {
		msg_set(m, "name", n->name);
		msg_set_int(m, "boot", n->boot);
	}
	call_send(c, m);
	return refuse(c, "old-boot", "boot is lower than that of the last registration: come back with a higher one");
}

int query_node_register(struct call *c)
{
	struct health *h = health_of(c->core);
	struct link *l = c->peer->owner;
	const char *name = c->args[0].text;
	int64_t boot = c->args[1].number;
	char secret[SECRET_SIZE];
	if (!l || l->node)
		return call_fail(c, "bad-stanza", "registered already");
	if (check_name(c, name))
		return -1;
	const struct node *known = cluster_find(&h->cluster, name);
	if (boot < 1)
		return refuse(c, "old-boot", "boot is below 1");
	if (secret_for(c, name, secret))
		return -1;
	if (known && boot < known->boot)
		return refuse_old_boot(c, known);
	struct node *n = cluster_node(&h->cluster, name);
	if (!n)
		return refuse(c, "failed", "no memory");
	replace(n);
	n->boot = boot;
	n->link = c->peer;
	l->node = n;
	take_facts(n, c->msg);
	xml_trust(c->peer->xml);
	peer_registered(c->peer);
	struct msg *m = call_answer(c, "node");
	if (m) {
		msg_set(m, "name", n->name);
		msg_set_int(m, "id", n->id);
		if (*secret)
			msg_set(m, "secret", secret);
		put_rules(m, h, n, l->transport);
		msg_set_flag(m, "hosts", true);
	}
	call_send(c, m);
	put_positions(c, n);
	watch_connected(h, n, l->transport);
	return CALL_DONE;
}

/* --- monitors and their configs --- */

static int slot_of(const struct link *l, int64_t id)
{
	for (unsigned i = 0; i < l->n; i++)
		if (l->monitors[i].id == id)
			return (int)i;
	return -1;
}

static int slot_for(struct link *l, int64_t id)
{
	int i = slot_of(l, id);
	if (i >= 0 || id < 1 || id > UINT16_MAX || l->n == MONITOR_IDS)
		return i;
	struct slot *more = realloc(l->monitors, (l->n + 1) * sizeof *more);
	if (!more)
		return -1;
	l->monitors = more;
	l->monitors[l->n] = (struct slot){.id = (uint32_t)id};
	return (int)l->n++;
}

static struct monitor *announced(struct link *l, struct health *h, const char *name, int64_t id)
{
	struct node *n = l->node;
	int slot = slot_for(l, id);
	struct monitor *m = slot < 0 ? NULL : cluster_monitor(&h->cluster, n, name);
	if (!m)
		return NULL;
	l->monitors[slot].monitor = m;
	l->monitors[slot].follows = false;
	m->connected = true;
	m->connected_ns = clock_mono_ns();
	m->told_late = m->removed = false;
	return m;
}

static int check_monitor(struct call *c, const struct node *n)
{
	const char *name = c->args[0].text;
	if (!describe_name_ok(name))
		return call_fail_arg(c, 0, "1 to 63 of A-Z a-z 0-9 . _ -, the first a letter or digit");
	if (names_find(&n->monitors, name) ||
	    limits_allow(&c->core->limits, LIMIT_MONITORS_PER_NODE, (int64_t)n->monitors.n + 1))
		return 0;
	return call_fail_limit(c, LIMIT_MONITORS_PER_NODE);
}

int query_config_announce(struct call *c)
{
	struct health *h = health_of(c->core);
	struct link *l = c->peer->owner;
	uint64_t digest;
	if (!l || !l->node)
		return call_fail(c, "bad-stanza", "register first");
	if (describe_digest_parse(c->args[3].text, &digest))
		return call_fail_arg(c, 3, "16 hexadecimal digits");
	if (check_monitor(c, l->node))
		return -1;
	struct monitor *m = announced(l, h, c->args[0].text, c->args[1].number);
	if (!m)
		return call_fail(c, "too-many", "monitor %s: its id is none, or there are too many of them", c->args[0].text);
	struct config *known = cluster_config(&h->cluster, digest);
	if (known && monitor_describe(&h->cluster, m, known, (unsigned)c->args[2].number))
		return call_fail(c, "failed", "no memory");
	struct msg *msg = call_answer(c, "config");
	if (msg)
		msg_set_flag(msg, "known", known != NULL);
	call_send(c, msg);
	return CALL_DONE;
}

static int on_config(struct health *h, struct peer *p, struct link *l, const struct msg *stanza)
{
	char why[200];
	int64_t id = 0, generation = 1;
	struct config *config;
	msg_get_int(stanza, "monitor-id", &id);
	msg_get_int(stanza, "generation", &generation);
	struct monitor *m = announced(l, h, msg_get(stanza, "monitor", ""), id);
	if (!m || generation < 1 || generation > UINT32_MAX)
		return peer_refuse(p, "bad-config", "monitor, monitor-id or generation is missing or out of range");
	int r = describe_read(&config, stanza, why, sizeof why);
	if (r == -EINVAL)
		return peer_refuse(p, "bad-config", "%s", why);
	if (r)
		return r;
	return monitor_describe(&h->cluster, m, cluster_intern(&h->cluster, config), (unsigned)generation);
}

/* --- periods --- */

static int row_fault(struct peer *p, const struct xml_row *row, const struct monitor *m, bool follows)
{
	if (!m->config || row->generation != m->generation)
		return peer_refuse(p, "bad-row", "%s: generation %" PRId64 " was not announced", m->name,
		    row->generation);
	if (row->sequence < 1 || row->sequence == INT64_MAX || !row->time_ns || !period_time_ok(row->time_ns))
		return peer_refuse(p, "bad-row", "%s: a sequence from 1 and a time at most a day ahead are needed",
		    m->name);
	if (!row->full && (!follows || row->sequence != (int64_t)m->at.sequence + 1))
		return peer_refuse(p, "bad-row", "%s: sequence %" PRId64 " is not full and does not follow", m->name,
		    row->sequence);
	return 0;
}

static int on_row(struct peer *p, const struct xml_row *row)
{
	struct health *h = health_of(p->core);
	struct link *l = p->owner;
	int slot = l && l->node ? slot_of(l, row->id) : -1;
	if (slot < 0)
		return peer_refuse(p, "bad-row", "monitor id %" PRId64 " was not announced", row->id);
	struct monitor *m = l->monitors[slot].monitor;
	int64_t boot = row->boot ? row->boot : l->monitors[slot].boot;
	struct history_position at = {boot, (uint64_t)row->sequence};
	if (!boot || boot > l->node->boot)
		return peer_refuse(p, "bad-row", "%s: boot is missing or later than this life of the node", m->name);
	if (boot != l->monitors[slot].boot)
		l->monitors[slot].follows = false;
	l->monitors[slot].boot = boot;
	if (!position_after(at, m->at)) {
		h->figures.duplicates++;
		return 0;
	}
	int r = row_fault(p, row, m, l->monitors[slot].follows && m->at.boot == boot);
	if (r)
		return r;
	const char *why = "";
	struct period period = {at, row->time_ns, row->full, row->text, row->len};
	r = period_take(h, m, &period, &why);
	if (r == -EINVAL) {
		h->figures.bad_rows++;
		return peer_refuse(p, "bad-row", "%s: %s", m->name, why);
	}
	l->monitors[slot].follows = true;
	return r;
}

/* --- acks --- */

void master_committed(struct health *h, struct monitor *m, struct history_position to, uint64_t lost)
{
	m->lost += lost;
	bool listed = position_after(m->committed, m->acked);
	m->committed = to;
	if (listed || m->node->self || !position_after(to, m->acked))
		return;
	m->next_unacked = h->unacked;
	h->unacked = m;
}

static void ack(struct monitor *m)
{
	struct msg *msg = m->node->link ? msg_new("master") : NULL;
	m->acked = m->committed;
	if (!msg)
		return;
	msg_set_int(msg, "ack", (int64_t)m->committed.sequence);
	msg_set_int(msg, "boot", m->committed.boot);
	msg_set(msg, "monitor", m->name);
	if (m->lost)
		msg_set_int(msg, "lost", (int64_t)m->lost);
	m->lost = 0;
	peer_send(m->node->link, msg);
}

void master_tick(struct health *h)
{
	struct monitor *m = h->unacked;
	h->unacked = NULL;
	while (m) {
		struct monitor *next = m->next_unacked;
		m->next_unacked = NULL;
		ack(m);
		m = next;
	}
}

/* --- stanzas --- */

static int on_node(struct health *h, struct peer *p, struct link *l, const struct msg *stanza)
{
	const char *name = msg_get(stanza, "monitor", "");
	if (!strcmp(msg_get(stanza, "state", ""), "left")) {
		l->left = true;
		l->removed = msg_get_flag(stanza, "removed");
		return 0;
	}
	struct monitor *m = names_find(&l->node->monitors, name);
	if (m && msg_get_flag(stanza, "gone")) {
		m->connected = false;
		m->removed = msg_get_flag(stanza, "removed");
		if (m->removed || m->told_gone)
			return 0; /* on purpose; or said again, as behind each announcement */
		event_put(h, "monitor-gone", l->node->name, m->name, "its node says so");
		m->told_gone = true;
	}
	return 0;
}

static int on_stanza(struct peer *p, const struct msg *stanza)
{
	struct health *h = health_of(p->core);
	struct link *l = p->owner;
	if (!l || !l->node)
		return peer_refuse(p, "bad-stanza", "register first");
	if (!strcmp(stanza->name, "beat")) {
		watch_beat_answered(h, l->node);
		return 0;
	}
	if (!strcmp(stanza->name, "config"))
		return on_config(h, p, l, stanza);
	if (!strcmp(stanza->name, "node"))
		return on_node(h, p, l, stanza);
	if (strcmp(stanza->name, "error"))
		peer_error(p, "bad-stanza", "<%.40s>: a node sends config, monitor, node and beat", stanza->name);
	return 0;
}

static int on_answer(struct peer *p, const struct msg *answer)
{
	struct link *l = p->owner;
	int64_t id = 0;
	if (!l || !l->node)
		return 0;
	if (!strcmp(answer->name, "beat")) {
		watch_beat_answered(health_of(p->core), l->node);
		return 0;
	}
	msg_get_int(answer, "answer", &id);
	if (!strcmp(answer->name, "end"))
		update_answered(&l->node->asks, id, true, NULL, NULL, NULL);
	else if (!strcmp(answer->name, "error"))
		update_answered(&l->node->asks, id, !msg_get_flag(answer, "partial"), msg_get(answer, "monitor", ""),
		    msg_get(answer, "code", "failed"), answer->text);
	return 0;
}

static void heard(struct peer *p)
{
	struct link *l = p->owner;
	if (l && l->node)
		watch_heard(health_of(p->core), l->node);
}

static void urgent(struct peer *p)
{
	struct link *l = p->owner;
	if (l && l->node)
		watch_urgent(health_of(p->core), l->node);
	else
		stream_want_urgent(p->stream, false);
}

static bool host_spoke(int error)
{
	return !error || error == -ECONNRESET || error == -EPIPE || error == -EPROTO || error == -ENOBUFS;
}

static void closed(struct peer *p, int error, const char *why)
{
	struct link *l = p->owner;
	p->owner = NULL;
	if (l && l->node) {
		struct node *n = l->node;
		n->link = NULL;
		update_link_closed(&n->asks);
		watch_disconnected(health_of(p->core), n,
		    l->left ? STEP_LEAVE : host_spoke(error) ? STEP_GONE : STEP_LOST);
		if (l->removed)
			node_forget(health_of(p->core), n, "itself: its host is removed");
	}
	link_free(l);
}

const struct role node_role = {.name = "node",
    .bit = ROLE_NODE,
    .opened = opened,
    .stanza = on_stanza,
    .answer = on_answer,
    .row = on_row,
    .heard = heard,
    .urgent = urgent,
    .closed = closed};
