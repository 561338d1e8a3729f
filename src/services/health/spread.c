/* SPDX-License-Identifier: Apache-2.0 */
/* The view of all hosts (core/view.h) goes over the standing links: a node tells its master which host it is on, the
 * master tells the newcomer of all in one stanza, and everybody of each change in one.
 *
 * What a node says of itself is its name, which registration has proven, its id, and the port it listens on; its address is
 * where it comes from. It has one id as long as it is connected, and one that comes back with another has none but that.
 * Rows that come down are the master's word.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/view.h"
#include "os/clock.h"
#include "services/health/health.h"
#include "services/health/uplink.h"

/* --- the node's side --- */

void spread_announce(struct uplink *u)
{
	char id[HOST_ID_TEXT];
	struct health *h = u->health;
	struct msg *m = msg_new("host");
	if (!m)
		return;
	host_id_format(&h->core->id, id);
	msg_set(m, "query", "announce");
	msg_set_int(m, "id", SPREAD_QUERY);
	msg_set(m, "host", id);
	if (h->options.listens)
		msg_set_int(m, "port", h->options.listens);
	peer_send(u->peer, m);
}

/* The master's own row says no address: where we reach it is known here. */
static void take_row(struct uplink *u, const struct msg *m)
{
	struct view_row row;
	if (view_get(m, &row))
		return;
	if (!*row.addresses && !strcmp(row.name, u->master))
		snprintf(row.addresses, sizeof row.addresses, "%s", u->address);
	view_take(u->health->core, &row);
	if (strcmp(row.name, u->master))
		return;
	u->host = row.id;
	view_keep(u->health->core, &row.id);
}

void spread_take(struct uplink *u, const struct msg *m)
{
	if (!strcmp(m->name, "host"))
		take_row(u, m);
	for (const struct msg *k = m->children; k; k = k->next)
		take_row(u, k);
}

/* --- the master's side --- */

static void put_row(void *data, const struct view_row *row)
{
	view_put(msg_child(data, "host"), row);
}

static void send_all(struct health *h, struct peer *p)
{
	struct msg *m = msg_new("hosts");
	if (!m)
		return;
	view_each(h->core, true, put_row, m);
	peer_send(p, m);
}

static void forget_host(struct health *h, const struct host_id *id)
{
	for (size_t i = 0; i < h->cluster.nodes.n; i++) {
		struct node *n = h->cluster.nodes.things[i];
		if (!host_id_is(&n->host, id) || n->self || n->link)
			continue;
		node_forget(h, n, "with its host");
		return;
	}
}

static void on_change(void *data, const struct view_row *row)
{
	struct health *h = data;
	if (row->state == VIEW_REMOVED)
		forget_host(h, &row->id);
	for (size_t i = 0; i < h->cluster.nodes.n; i++) {
		struct node *n = h->cluster.nodes.things[i];
		if (!n->link || host_id_is_none(&n->host) || host_id_is(&n->host, &row->id))
			continue;
		struct msg *m = msg_new("host");
		if (m)
			view_put(m, row);
		peer_send(n->link, m);
	}
}

void spread_start(struct health *h)
{
	view_watch(h->core, on_change, h);
}

static void place_of(const struct peer *p, int64_t port, char *ret, size_t n)
{
	const char *colon = strrchr(p->asker.address, ':');
	*ret = '\0';
	if (port > 0 && port < 65536 && colon)
		snprintf(ret, n, "%.*s:%d", (int)(colon - p->asker.address), p->asker.address, (int)port);
}

static int check_host(struct call *c, const struct node *n, struct view_row *row)
{
	if (host_id_parse(c->args[0].text, &row->id) || host_id_is_none(&row->id) || host_id_is(&row->id, &c->core->id))
		return call_fail_arg(c, 0, "32 hexadecimal digits, and not this master's own");
	if (c->peer->secure && !host_id_is(&c->peer->who.host, &row->id))
		return call_fail(c, "not-permitted", "host: the certificate of this connection is another host's");
	if (n->announced == c->asker->entity && !host_id_is(&n->host, &row->id))
		return call_fail(c, "bad-argument", "host: this connection has said another one before");
	return 0;
}

/* The same node with a new id: the old one never comes back. */
static void replace_host(struct health *h, const struct node *n, const struct host_id *by)
{
	const struct view_row *row = n->announced ? view_find(h->core, &n->host) : NULL;
	if (row && !host_id_is(&n->host, by) && !strcmp(row->name, n->name))
		view_state(h->core, &n->host, VIEW_REMOVED);
}

int query_host_announce(struct call *c)
{
	struct health *h = health_of(c->core);
	struct node *n = master_node_of(c->peer);
	struct view_row row = {.state = VIEW_UP};
	if (!n)
		return call_fail(c, "bad-stanza", "register first");
	if (check_host(c, n, &row))
		return -1;
	row.revision = view_next_revision(h->core, &row.id);
	snprintf(row.name, sizeof row.name, "%s", n->name);
	place_of(c->peer, c->args[1].number, row.addresses, sizeof row.addresses);
	replace_host(h, n, &row.id);
	n->host = row.id;
	n->announced = c->asker->entity;
	int r = view_take(h->core, &row);
	if (r < 0)
		return call_fail(c, r == -ENOSPC ? "too-many" : "failed", "%s",
		    r == -ENOSPC ? "no more hosts fit into the view" : strerror(-r));
	send_all(h, c->peer);
	return CALL_DONE;
}

struct namesake {
	const char *name;
	const struct view_row *row;
	unsigned n;
};

static void count_namesake(void *data, const struct view_row *row)
{
	struct namesake *s = data;
	if (strcmp(row->name, s->name))
		return;
	s->row = row;
	s->n++;
}

/* A node of before our restart is on the host that has its name; of several nobody knows which. */
void spread_known(struct health *h, struct node *n)
{
	struct namesake s = {.name = n->name};
	view_each(h->core, false, count_namesake, &s);
	if (s.n == 1)
		n->host = s.row->id;
}

/* A host that is late or busy is up: who is down is known for sure. Who is awaited has not said anything yet. */
void spread_state(struct health *h, const struct node *n)
{
	if (host_id_is_none(&n->host))
		return;
	if (n->step.state == STEP_DOWN)
		view_state(h->core, &n->host, VIEW_DOWN);
	else if (n->step.state == STEP_LEFT)
		view_state(h->core, &n->host, VIEW_LEFT);
	else if (n->link)
		view_state(h->core, &n->host, VIEW_UP);
}

void spread_forget(struct health *h, struct node *n)
{
	struct host_id id = n->host;
	n->host = (struct host_id){0}; /* or it would be forgotten for its host's sake as well */
	if (!host_id_is_none(&id))
		view_state(h->core, &id, VIEW_REMOVED);
}
