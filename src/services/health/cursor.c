/* SPDX-License-Identifier: Apache-2.0 */
/* What each master has of each of our monitors, and what goes to it: from the rows in memory, or, when the master lags
 * behind those, from disk.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "proto/describe.h"
#include "proto/xml.h"
#include "services/health/uplink.h"

static struct cursor *cursor_of(struct uplink *u, struct monitor *m)
{
	for (struct cursor *c = u->cursors; c; c = c->next)
		if (c->monitor == m)
			return c;
	struct cursor *c = calloc(1, sizeof *c);
	if (!c)
		return NULL;
	*c = (struct cursor){.uplink = u, .monitor = m, .next = u->cursors};
	u->cursors = c;
	return c;
}

void cursors_free(struct uplink *u)
{
	for (struct cursor *c = u->cursors, *next; c; c = next) {
		next = c->next;
		config_unref(c->config);
		free(c);
	}
	u->cursors = NULL;
}

void cursors_forget_connection(struct uplink *u)
{
	for (struct cursor *c = u->cursors; c; c = c->next) {
		config_unref(c->config);
		c->config = NULL;
		c->announce = c->boot = 0;
		c->known = c->follows = c->owed = c->gone = false;
		c->sent = (struct history_position){0}; /* the master says anew what it has */
	}
}

/* --- what the master is told of a monitor --- */

static void say_gone(struct uplink *u, const char *monitor, bool removed)
{
	struct msg *msg = msg_new("node");
	if (!msg)
		return;
	msg_set(msg, "monitor", monitor);
	msg_set_flag(msg, "gone", true);
	if (removed)
		msg_set_flag(msg, "removed", true);
	peer_send(u->peer, msg);
}

void cursor_announce(struct cursor *c, struct config *config)
{
	struct uplink *u = c->uplink;
	char digest[17];
	struct msg *m = msg_new("config");
	if (!m)
		return;
	config_ref(config);
	config_unref(c->config);
	c->config = config;
	c->generation++;
	c->known = c->follows = false;
	c->announce = ++u->peer->next_query;
	describe_digest(digest, config->digest);
	msg_set(m, "query", "announce");
	msg_set_int(m, "id", c->announce);
	msg_set(m, "monitor", c->monitor->name);
	msg_set_int(m, "monitor-id", c->monitor->id);
	msg_set_int(m, "generation", c->generation);
	msg_set(m, "digest", digest);
	peer_send(u->peer, m);
	c->gone = !c->monitor->connected;
	if (c->gone)
		say_gone(u, c->monitor->name, c->monitor->removed);
}

static void send_config(struct cursor *c)
{
	struct msg *m = msg_new("config");
	if (!m)
		return;
	msg_set(m, "monitor", c->monitor->name);
	msg_set_int(m, "monitor-id", c->monitor->id);
	msg_set_int(m, "generation", c->generation);
	describe_write(m, c->config, NULL, NULL);
	peer_send(c->uplink->peer, m);
	if (c->gone)
		say_gone(c->uplink, c->monitor->name, c->monitor->removed);
}

/* --- one row --- */

enum { ROOM = XML_STANZA_MAX - XML_TAG_MAX, ESCAPED_MOST = 6 /* &quot; */ };

/* In XML; an upper bound. */
static size_t escaped(const char *text, size_t len)
{
	size_t n = len;
	for (size_t i = 0; len * ESCAPED_MOST > ROOM && i < len; i++)
		n += strchr("<>&\"\n\t\r", text[i]) ? ESCAPED_MOST - 1 : 0;
	return n;
}

/* Why the master would refuse it, and with it all that come after. */
static const char *unfit(const struct recent_row *row)
{
	if (!period_time_ok(row->time_ns))
		return "measured with a clock more than a day ahead";
	if (row->len > XML_TEXT_MAX || escaped(row->text, row->len) > ROOM)
		return "its texts are larger than a stanza may be";
	return NULL;
}

static bool skip_unfit(struct cursor *c, const struct recent_row *row)
{
	struct health *h = c->uplink->health;
	const char *why = unfit(row);
	if (why) {
		h->figures.lost_periods++;
		c->sent = row->at;
		c->follows = false;
	}
	if (why && !c->skipping)
		event_put(h, "periods-lost", h->core->name, c->monitor->name,
		    "from sequence %" PRIu64 " on, for master %s: %s", row->at.sequence, c->uplink->address, why);
	c->skipping = why != NULL;
	return why != NULL;
}

bool cursor_send(struct cursor *c, const struct recent_row *row)
{
	if (skip_unfit(c, row))
		return false;
	struct xml_row x = {.id = c->monitor->id, .generation = c->generation,
	    .sequence = (int64_t)row->at.sequence, .time_ns = row->time_ns, .full = row->full, .text = row->text,
	    .len = row->len, .boot = row->at.boot == c->boot ? 0 : row->at.boot};
	peer_send_row(c->uplink->peer, &x);
	c->boot = row->at.boot;
	c->sent = row->at;
	c->follows = true;
	return true;
}

void cursor_skip_to_recent(struct cursor *c)
{
	struct health *h = c->uplink->health;
	struct history_position to = recent_before(c->monitor->recent);
	uint64_t from = c->sent.boot == to.boot ? c->sent.sequence : 0;
	h->figures.lost_periods += to.sequence - from;
	event_put(h, "periods-lost", h->core->name, c->monitor->name,
	    "master %s missed periods that are no longer here, up to %" PRIu64, c->uplink->address, to.sequence);
	c->sent = to;
	c->follows = false;
}

/* --- pumping --- */

enum { STOP = 1, AGAIN };

static int on_recent(void *data, const struct recent_row *row)
{
	struct cursor *c = data;
	if (c->config != row->config) {
		cursor_announce(c, row->config);
		return STOP;
	}
	if (!cursor_send(c, row))
		return AGAIN; /* the next one has to be full */
	return stream_pending(c->uplink->peer->stream) > PENDING_ENOUGH ? STOP : 0;
}

static bool is_full(const struct uplink *u)
{
	return stream_pending(u->peer->stream) > PENDING_ENOUGH;
}

/* What an earlier life measured is on disk only. */
static bool has_recent(struct monitor *m)
{
	if (!m->recent && m->at.boot)
		m->recent = recent_new(m->at);
	return m->recent != NULL;
}

void cursor_pump(struct cursor *c)
{
	struct monitor *m = c->monitor;
	if (!c->known || c->replaying || is_full(c->uplink) || !has_recent(m))
		return;
	if (!c->sent.boot)
		c->sent = (struct history_position){c->uplink->first_boot, 0};
	if (position_after(recent_before(m->recent), c->sent)) {
		replay_start(c);
		return;
	}
	int r = AGAIN;
	while (r == AGAIN && position_after(recent_last(m->recent), c->sent))
		r = recent_read(m->recent, c->sent, !c->follows, on_recent, c);
}

void cursors_pump(struct uplink *u)
{
	if (!u->registered || u->health->options.on_request)
		return;
	for (struct cursor *c = u->cursors; c && u->registered; c = c->next)
		cursor_pump(c);
}

/* Only what was asked for: the newest row, whole. */
static void send_newest(struct cursor *c)
{
	struct monitor *m = c->monitor;
	c->owed = !c->known;
	if (!c->known || !m->recent)
		return;
	c->sent = (struct history_position){m->at.boot, m->at.sequence - 1};
	c->follows = false;
	recent_read(m->recent, c->sent, true, on_recent, c);
	c->owed = !c->known; /* another config is on its way before it */
}

/* --- what the master says --- */

void cursors_register(struct uplink *u)
{
	const struct names *monitors = &u->health->cluster.self->monitors;
	for (size_t i = 0; i < monitors->n; i++) {
		struct monitor *m = monitors->things[i];
		struct cursor *c = m->config ? cursor_of(u, m) : NULL;
		if (c)
			cursor_announce(c, m->config);
	}
}

void cursors_position(struct uplink *u, const struct msg *m)
{
	int64_t boot = 0, sequence = 0;
	const char *name = msg_get(m, "monitor", "");
	struct monitor *monitor = names_find(&u->health->cluster.self->monitors, name);
	struct cursor *c = monitor ? cursor_of(u, monitor) : NULL;
	if (!monitor)
		say_gone(u, name, !supervise_expects(u->health, name));
	if (!c || msg_get_int(m, "boot", &boot) || msg_get_int(m, "sequence", &sequence) || sequence < 0)
		return;
	c->sent = (struct history_position){boot, (uint64_t)sequence};
}

void cursors_known(struct uplink *u, int64_t id, bool known)
{
	struct cursor *c = id > 0 ? u->cursors : NULL;
	while (c && c->announce != id)
		c = c->next;
	if (!c)
		return;
	if (!known)
		send_config(c);
	c->announce = 0;
	c->known = true;
	if (c->owed)
		send_newest(c);
	else if (!u->health->options.on_request && !u->health->options.send_ns)
		cursor_pump(c);
}

/* --- what our monitors do --- */

/* Fresh values asked for by a master go at once. */
void uplinks_period(struct health *h, struct monitor *m)
{
	for (struct uplink *u = h->uplinks; u; u = u->next) {
		struct cursor *c = u->registered ? cursor_of(u, m) : NULL;
		if (!c || (h->options.send_ns && !m->asks))
			continue;
		if (!h->options.on_request)
			cursor_pump(c);
		else if (update_asked_by(m->asks, &u->peer->asker))
			send_newest(c);
	}
}

void uplinks_config(struct health *h, struct monitor *m)
{
	for (struct uplink *u = h->uplinks; u; u = u->next) {
		struct cursor *c = u->registered ? cursor_of(u, m) : NULL;
		if (c && (c->gone || c->config != m->config))
			cursor_announce(c, m->config);
	}
}

void uplinks_gone(struct health *h, struct monitor *m)
{
	for (struct uplink *u = h->uplinks; u; u = u->next) {
		struct cursor *c = u->registered ? cursor_of(u, m) : NULL;
		if (!c)
			continue;
		say_gone(u, m->name, m->removed);
		c->gone = true;
	}
}
