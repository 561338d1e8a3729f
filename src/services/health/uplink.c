/* SPDX-License-Identifier: Apache-2.0 */
/* This node's masters: dial, register, announce, send; after a break, first what the master missed.
 *
 * For each master and monitor there is one cursor, `sent`. Pumping moves it: from the rows in memory, or, when the
 * master lags behind those, from the history on disk, read by a worker a batch at a time.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "heartbeat/heartbeat.h"
#include "heartbeat/probe.h"
#include "os/clock.h"
#include "os/host.h"
#include "os/log.h"
#include "os/secret.h"
#include "proto/describe.h"
#include "services/health/health.h"
#include "services/health/recent.h"

enum { RETRY_FIRST_MS = 500, RETRY_MOST_MS = 30000, REGISTER_QUERY = 1, REPLAY_ROWS = 256, PENDING_ENOUGH = 262144 };

/* A monitor as one master knows it. */
struct cursor {
	struct uplink *uplink;
	struct monitor *monitor;
	struct history_position sent;
	unsigned generation; /* on this connection */
	struct config *config; /* announced; NULL: none */
	int64_t announce;      /* query under way */
	bool known, follows, replaying;
	int64_t boot; /* said last on this connection */
	struct cursor *next;
};

struct uplink {
	struct health *health;
	char *address;
	struct dial *dial;
	int fd; /* while probing */
	struct probe probe;
	uv_poll_t probe_poll;
	uv_timer_t retry, send, beat;
	int handles;
	struct peer *peer;
	struct heartbeat *beats;
	bool registered, closing, refused;
	int64_t wait_ms;
	int64_t first_boot; /* our life in which this master first took us: it is owed all since */
	char why[160]; /* not connected because */
	char master[64];
	struct cursor *cursors;
	struct uplink *next;
};

static void dial(struct uplink *u);
static void pump(struct uplink *u);

/* --- the secret that each master gave --- */

static char *secret_path(const struct uplink *u)
{
	char name[128], *path;
	snprintf(name, sizeof name, "%s", u->address);
	for (char *c = name; *c; c++)
		if (*c == '/' || *c == ':')
			*c = '_';
	return asprintf(&path, "%s/master.%s.secret", u->health->options.state_directory, name) < 0 ? NULL : path;
}

/* "SECRET BOOT": what this master gave, and the life of ours in which it first did. */
static void read_secret(struct uplink *u, char *ret_secret)
{
	char *path = secret_path(u);
	long long boot = 0;
	FILE *f = path ? fopen(path, "re") : NULL;
	*ret_secret = '\0';
	if (f && fscanf(f, "%32s %lld", ret_secret, &boot) < 1)
		*ret_secret = '\0';
	if (f)
		fclose(f);
	free(path);
	u->first_boot = boot ? boot : u->health->boot;
}

static int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	int r = fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text) || fsync(fd) ? -errno : 0;
	if (fd >= 0)
		close(fd);
	return r;
}

static void write_secret(struct uplink *u, const char *secret)
{
	char text[SECRET_SIZE + 24], *path = secret_path(u);
	u->first_boot = u->health->boot;
	snprintf(text, sizeof text, "%.32s %lld\n", secret, (long long)u->first_boot);
	int r = path ? write_file(path, text) : -ENOMEM;
	if (r)
		log_event(LOG_ERR, "uplink", "the secret that %s gave can't be stored: %s", u->address, strerror(-r));
	free(path);
}

/* --- cursors --- */

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

static void cursors_forget_connection(struct uplink *u)
{
	for (struct cursor *c = u->cursors; c; c = c->next) {
		config_unref(c->config);
		c->config = NULL;
		c->announce = 0;
		c->known = c->follows = false;
		c->boot = 0;
		c->sent = (struct history_position){0}; /* the master says anew what it has */
	}
}

static void say_gone(struct uplink *u, const struct monitor *m)
{
	struct msg *msg = msg_new("node");
	if (!msg)
		return;
	msg_set(msg, "monitor", m->name);
	msg_set_flag(msg, "gone", true);
	peer_send(u->peer, msg);
}

static void announce(struct cursor *c, struct config *config)
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
	if (!c->monitor->connected)
		say_gone(u, c->monitor);
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
}

static void send_row(struct cursor *c, const struct recent_row *row)
{
	struct xml_row x = {.id = c->monitor->id, .generation = c->generation,
	    .sequence = (int64_t)row->at.sequence, .time_ns = row->time_ns, .full = row->full, .text = row->text,
	    .len = row->len, .boot = row->at.boot == c->boot ? 0 : row->at.boot};
	peer_send_row(c->uplink->peer, &x);
	c->boot = row->at.boot;
	c->sent = row->at;
	c->follows = true;
}

/* --- catching up from disk --- */

struct replay {
	uv_work_t work;
	struct health *health;
	struct uplink *uplink; /* held until this is done */
	char *node, *monitor;
	struct cursor *cursor;
	struct history_position after;
	struct replay_row {
		struct recent_row row;
		struct buf text;
	} rows[REPLAY_ROWS];
	size_t n, bytes;
	int result;
};

/* The configs here are the replay's own copies' references, made on the worker: only the digest is compared. */
static int on_replayed(void *data, struct config *config, const struct history_period *p)
{
	struct replay *r = data;
	struct replay_row *row = &r->rows[r->n++];
	row_encode(&row->text, NULL, p->values, config->n);
	row->row = (struct recent_row){.config = config_ref(config), .at = p->at, .time_ns = p->time_ns, .full = true,
	    .text = row->text.data, .len = row->text.len};
	r->bytes += row->text.len;
	return row->text.failed ? -ENOMEM : r->bytes > PENDING_ENOUGH;
}

static void on_replay_work(uv_work_t *work)
{
	struct replay *r = work->data;
	r->result = history_replay(r->health->history, r->node, r->monitor, r->after, REPLAY_ROWS, on_replayed, r);
}

static void replay_free(struct replay *r)
{
	for (size_t i = 0; i < r->n; i++) {
		buf_release(&r->rows[i].text);
		config_unref(r->rows[i].row.config);
	}
	free(r->node);
	free(r->monitor);
	free(r);
}

static void skip_to_recent(struct cursor *c)
{
	struct history_position to = recent_before(c->monitor->recent);
	event_put(c->uplink->health, "periods-lost", c->uplink->health->core->name, c->monitor->name,
	    "master %s missed periods that are no longer here, up to %" PRIu64, c->uplink->address, to.sequence);
	c->sent = to;
	c->follows = false;
}

static bool position_equal(struct history_position a, struct history_position b)
{
	return a.boot == b.boot && a.sequence == b.sequence;
}

/* What is missing may only not be committed yet: the next send asks again. */
static bool awaits_disk(const struct cursor *c)
{
	return !*c->uplink->health->history_trouble &&
	       position_after(recent_before(c->monitor->recent), c->monitor->committed);
}

/* Full rows one after the other; a config of an earlier time is announced on its way. */
static bool send_replayed(struct cursor *c, struct replay_row *row)
{
	if (!c->config || c->config->digest != row->row.config->digest) {
		if (row->row.config->refs)
			announce(c, row->row.config);
		return false;
	}
	send_row(c, &row->row);
	return true;
}

static void release(struct uplink *u);

static void on_replay_done(uv_work_t *work, int status)
{
	struct replay *r = work->data;
	struct cursor *c = r->cursor;
	c->replaying = false;
	struct uplink *u = r->uplink;
	bool wanted = u->registered && c->known && position_equal(c->sent, r->after); /* not of an earlier connection */
	if (wanted && r->n) {
		size_t i = 0;
		while (i < r->n && stream_pending(u->peer->stream) < PENDING_ENOUGH && send_replayed(c, &r->rows[i]))
			i++;
	} else if (wanted && !r->result && !awaits_disk(c)) {
		skip_to_recent(c);
	}
	if (r->n || !wanted)
		pump(u);
	release(r->uplink);
	replay_free(r);
}

static void replay(struct cursor *c)
{
	struct health *h = c->uplink->health;
	struct replay *r = h->history ? calloc(1, sizeof *r) : NULL;
	if (!r) {
		skip_to_recent(c);
		return;
	}
	r->work.data = r;
	r->health = h;
	r->uplink = c->uplink;
	r->cursor = c;
	r->after = c->sent;
	r->node = strdup(h->core->name);
	r->monitor = strdup(c->monitor->name);
	c->replaying = !uv_queue_work(h->core->net.loop, &r->work, on_replay_work, on_replay_done);
	if (c->replaying)
		c->uplink->handles++;
	else
		replay_free(r);
}

/* --- pumping --- */

static int on_recent(void *data, const struct recent_row *row)
{
	struct cursor *c = data;
	if (c->config != row->config) {
		announce(c, row->config);
		return 1;
	}
	send_row(c, row);
	return stream_pending(c->uplink->peer->stream) > PENDING_ENOUGH;
}

static bool behind_recent(const struct cursor *c)
{
	struct history_position before = recent_before(c->monitor->recent);
	return position_after(before, c->sent);
}

static void pump_cursor(struct cursor *c)
{
	struct monitor *m = c->monitor;
	if (!c->known || c->replaying || !m->at.boot || stream_pending(c->uplink->peer->stream) > PENDING_ENOUGH)
		return;
	if (!m->recent)
		m->recent = recent_new(m->at); /* what an earlier life measured is on disk only */
	if (!m->recent)
		return;
	if (!c->sent.boot)
		c->sent = (struct history_position){c->uplink->first_boot, 0};
	if (behind_recent(c))
		replay(c);
	else if (position_after(recent_last(m->recent), c->sent))
		recent_read(m->recent, c->sent, !c->follows, on_recent, c);
}

static void pump(struct uplink *u)
{
	if (!u->registered || u->health->options.on_request)
		return;
	for (struct cursor *c = u->cursors; c && u->registered; c = c->next)
		pump_cursor(c);
}

static void on_send(uv_timer_t *timer)
{
	pump(timer->data);
}

/* Only what was asked for: the newest row, whole. */
static void send_newest(struct cursor *c)
{
	struct monitor *m = c->monitor;
	if (!c->known || !m->recent)
		return;
	c->sent = (struct history_position){m->at.boot, m->at.sequence - 1};
	c->follows = false;
	recent_read(m->recent, c->sent, true, on_recent, c);
}

/* Fresh values asked for by a master go at once. */
void uplinks_period(struct health *h, struct monitor *m)
{
	for (struct uplink *u = h->uplinks; u; u = u->next) {
		struct cursor *c = u->registered ? cursor_of(u, m) : NULL;
		if (!c || (h->options.send_ns && !m->asks))
			continue;
		if (!h->options.on_request)
			pump_cursor(c);
		else if (update_asked_by(m->asks, u->peer))
			send_newest(c);
	}
}

void uplinks_config(struct health *h, struct monitor *m)
{
	for (struct uplink *u = h->uplinks; u; u = u->next) {
		struct cursor *c = u->registered ? cursor_of(u, m) : NULL;
		if (c && c->config != m->config)
			announce(c, m->config);
	}
}

void uplinks_gone(struct health *h, struct monitor *m)
{
	for (struct uplink *u = h->uplinks; u; u = u->next) {
		if (!u->registered)
			continue;
		say_gone(u, m);
		struct cursor *c = cursor_of(u, m);
		if (!c)
			continue;
		config_unref(c->config); /* announced anew when it is back */
		c->config = NULL;
		c->known = false;
	}
}

/* --- the connection --- */

static void on_retry(uv_timer_t *timer)
{
	dial(timer->data);
}

static void wait_and_retry(struct uplink *u, const char *why)
{
	snprintf(u->why, sizeof u->why, "%s", why);
	if (u->closing)
		return;
	uint64_t spread = uv_hrtime() / 1000 % (uint64_t)(u->wait_ms / 4 + 1);
	uv_timer_start(&u->retry, on_retry, (uint64_t)u->wait_ms + spread, 0);
	u->wait_ms = u->wait_ms * 2 > RETRY_MOST_MS ? RETRY_MOST_MS : u->wait_ms * 2;
}

static void end_beats(struct uplink *u)
{
	heartbeat_free(u->beats);
	u->beats = NULL;
	uv_timer_stop(&u->beat);
}

static void on_closed(struct peer *p, int error, const char *why)
{
	struct uplink *u = p->owner;
	bool was = u->registered;
	end_beats(u);
	cursors_forget_connection(u);
	uv_timer_stop(&u->send);
	u->peer = NULL;
	u->registered = false;
	if (was)
		event_put(u->health, "master-lost", u->health->core->name, NULL, "%s: %s", u->address, why);
	wait_and_retry(u, *u->why && u->refused ? u->why : why);
}

static void put_facts(struct msg *m)
{
	struct host_facts f;
	host_facts(&f);
	msg_set(m, "system", f.system);
	msg_set(m, "machine", f.machine);
	msg_set_int(m, "processors", f.processors);
	msg_set_int(m, "memory", f.memory);
	msg_set(m, "version", VIGIA_VERSION);
}

static int opened(struct peer *p, const struct msg *hmon)
{
	struct uplink *u = p->owner;
	const struct health_options *o = &u->health->options;
	char secret[SECRET_SIZE] = "";
	snprintf(u->master, sizeof u->master, "%s", msg_get(hmon, "name", ""));
	read_secret(u, secret);
	struct msg *m = msg_new("node");
	if (!m)
		return -ENOMEM;
	msg_set(m, "query", "register");
	msg_set_int(m, "id", REGISTER_QUERY);
	p->next_query = REGISTER_QUERY;
	msg_set(m, "name", u->health->core->name);
	msg_set_int(m, "boot", u->health->boot);
	if (*secret)
		msg_set(m, "secret", secret);
	if (o->on_request)
		msg_set(m, "mode", "on-request");
	else if (o->send_ns)
		msg_set_int(m, "send", o->send_ns / 1000000);
	put_facts(m);
	peer_send(p, m);
	return 0;
}

static void on_position(struct uplink *u, const struct msg *m)
{
	int64_t boot = 0, sequence = 0;
	struct monitor *monitor = names_find(&u->health->cluster.self->monitors, msg_get(m, "monitor", ""));
	struct cursor *c = monitor ? cursor_of(u, monitor) : NULL;
	if (!c || msg_get_int(m, "boot", &boot) || msg_get_int(m, "sequence", &sequence) || sequence < 0)
		return;
	c->sent = (struct history_position){boot, (uint64_t)sequence};
}

static void on_registered(struct uplink *u)
{
	struct health *h = u->health;
	u->registered = true;
	u->refused = false;
	u->wait_ms = RETRY_FIRST_MS;
	*u->why = '\0';
	peer_registered(u->peer);
	xml_trust(u->peer->xml);
	event_put(h, "master-found", h->core->name, NULL, "registered with %s at %s", u->master, u->address);
	for (size_t i = 0; i < h->cluster.self->monitors.n; i++) {
		struct monitor *m = h->cluster.self->monitors.things[i];
		struct cursor *c = m->config ? cursor_of(u, m) : NULL;
		if (c)
			announce(c, m->config);
	}
	if (h->options.send_ns && !h->options.on_request)
		uv_timer_start(&u->send, on_send, (uint64_t)(h->options.send_ns / 1000000),
		    (uint64_t)(h->options.send_ns / 1000000));
}

static void on_known(struct uplink *u, int64_t id, bool known)
{
	if (id < 1)
		return;
	for (struct cursor *c = u->cursors; c; c = c->next) {
		if (c->announce != id)
			continue;
		if (!known)
			send_config(c);
		c->announce = 0;
		c->known = true;
		if (!u->health->options.on_request && !u->health->options.send_ns)
			pump_cursor(c);
		return;
	}
}

static void on_error(struct uplink *u, const struct msg *m)
{
	snprintf(u->why, sizeof u->why, "%s: %s", msg_get(m, "code", "error"), m->text);
	u->refused = true;
	log_event(LOG_ERR, "uplink", "master %s: %s", u->address, u->why);
}

static int on_answer(struct peer *p, const struct msg *m)
{
	struct uplink *u = p->owner;
	int64_t id = 0;
	msg_get_int(m, "answer", &id);
	if (!strcmp(m->name, "error"))
		on_error(u, m);
	else if (!strcmp(m->name, "node") && *msg_get(m, "secret", ""))
		write_secret(u, msg_get(m, "secret", ""));
	else if (!strcmp(m->name, "monitor"))
		on_position(u, m);
	else if (!strcmp(m->name, "config"))
		on_known(u, id, msg_get_flag(m, "known"));
	else if (!strcmp(m->name, "end") && id == REGISTER_QUERY)
		on_registered(u);
	return 0;
}

static int on_stanza(struct peer *p, const struct msg *m)
{
	if (!strcmp(m->name, "error"))
		on_error(p->owner, m);
	return 0; /* acks: what is on this node's disk stays there by its own limits */
}

/* --- beats --- */

static void on_beat_timer(uv_timer_t *timer);

static void arm_beats(struct uplink *u)
{
	stream_want_urgent(u->peer->stream, heartbeat_events(u->beats) & POLLPRI);
	int64_t next = heartbeat_next(u->beats);
	if (next == INT64_MAX) {
		uv_timer_stop(&u->beat);
		return;
	}
	int64_t wait = next - clock_mono_ns();
	uv_timer_start(&u->beat, on_beat_timer, wait > 0 ? (uint64_t)((wait + 999999) / 1000000) : 0, 0);
}

static void beats_handle(struct uplink *u, short events)
{
	if (!u->beats)
		return;
	heartbeat_handle(u->beats, events, clock_mono_ns());
	arm_beats(u);
}

static void on_beat_timer(uv_timer_t *timer)
{
	beats_handle(timer->data, 0);
}

static void on_heard(struct peer *p)
{
	struct uplink *u = p->owner;
	if (!u->beats)
		return;
	heartbeat_data(u->beats, clock_mono_ns());
	beats_handle(u, 0);
}

static void on_urgent(struct peer *p)
{
	struct uplink *u = p->owner;
	if (u->beats)
		beats_handle(u, POLLPRI);
	else
		stream_want_urgent(p->stream, false);
}

static void on_drained(struct peer *p)
{
	pump(p->owner);
}

/* What a master is to this node: it answers, and asks for updates (which the dispatch sees to). */
static const struct role uplink_role = {.name = "master",
    .bit = ROLE_MASTER,
    .opened = opened,
    .stanza = on_stanza,
    .answer = on_answer,
    .drained = on_drained,
    .heard = on_heard,
    .urgent = on_urgent,
    .closed = on_closed};

static void answer_beats(struct uplink *u)
{
	struct heartbeat_config config = {.transport = HEARTBEAT_URGENT};
	if (!heartbeat_answer(stream_fd(u->peer->stream), &config, u, clock_mono_ns(), &u->beats))
		arm_beats(u);
}

static void speak(struct uplink *u, int fd, bool urgent)
{
	struct msg *m = msg_new("hmon");
	int r = -ENOMEM;
	if (m) {
		msg_set_int(m, "version", 1);
		msg_set(m, "role", "node");
		msg_set(m, "beat", urgent ? "urgent" : "in-band");
		r = peer_dialled(u->health->core, fd, &uplink_role, m, u, &u->peer);
		msg_free(m);
	}
	if (r) {
		close(fd);
		wait_and_retry(u, strerror(-r));
		return;
	}
	if (urgent)
		answer_beats(u);
}

/* --- the probe, before the first data --- */

static void on_probe(uv_poll_t *poll, int status, int events);
static void on_handle_closed(uv_handle_t *handle);

static void end_probe(struct uplink *u, enum probe_result result)
{
	int fd = u->fd;
	u->fd = -1;
	uv_poll_stop(&u->probe_poll);
	uv_timer_stop(&u->beat);
	u->handles++;
	uv_close((uv_handle_t *)&u->probe_poll, on_handle_closed);
	if (result == PROBE_BROKEN) {
		close(fd);
		wait_and_retry(u, "the connection broke at once");
		return;
	}
	speak(u, fd, result == PROBE_URGENT);
}

static void on_probe_late(uv_timer_t *timer);

/* Counted from now: the loop's own time may be older, and a timer that fires early would be the last. */
static void arm_probe(struct uplink *u)
{
	int64_t wait = u->probe.deadline_ns - clock_mono_ns();
	uv_update_time(u->health->core->net.loop);
	uv_timer_start(&u->beat, on_probe_late, wait > 0 ? (uint64_t)(wait / 1000000) + 1 : 0, 0);
}

static void probe_step(struct uplink *u, short events)
{
	enum probe_result result = probe_handle(&u->probe, events, clock_mono_ns());
	if (result != PROBE_PENDING) {
		end_probe(u, result);
		return;
	}
	arm_probe(u);
	short want = probe_events(&u->probe);
	uv_poll_start(&u->probe_poll, (want & POLLIN ? UV_READABLE : 0) | (want & POLLOUT ? UV_WRITABLE : 0) |
	    (want & POLLPRI ? UV_PRIORITIZED : 0), on_probe);
}

static void on_probe(uv_poll_t *poll, int status, int events)
{
	probe_step(poll->data, (short)((events & UV_READABLE ? POLLIN : 0) | (events & UV_WRITABLE ? POLLOUT : 0) |
				       (events & UV_PRIORITIZED ? POLLPRI : 0) | (status < 0 ? POLLERR : 0)));
}

static void on_probe_late(uv_timer_t *timer)
{
	probe_step(timer->data, 0);
}

static void begin_probe(struct uplink *u, int fd)
{
	if (probe_dial(&u->probe, fd, clock_mono_ns()) || uv_poll_init(u->health->core->net.loop, &u->probe_poll, fd)) {
		speak(u, fd, false);
		return;
	}
	u->fd = fd;
	u->probe_poll.data = u;
	probe_step(u, 0);
}

static void on_dialled(void *data, int fd)
{
	struct uplink *u = data;
	u->dial = NULL;
	if (fd < 0)
		wait_and_retry(u, uv_strerror(fd));
	else
		begin_probe(u, fd);
}

static void dial(struct uplink *u)
{
	int r = dial_tcp(&u->dial, &u->health->core->net, u->address, on_dialled, u);
	if (r)
		wait_and_retry(u, uv_strerror(r));
}

/* --- the set of masters --- */

static int uplink_start(struct health *h, const char *address)
{
	struct uplink *u = calloc(1, sizeof *u);
	if (!u || !(u->address = strdup(address))) {
		free(u);
		return -ENOMEM;
	}
	u->health = h;
	u->fd = -1;
	u->wait_ms = RETRY_FIRST_MS;
	u->handles = 3;
	u->next = h->uplinks;
	h->uplinks = u;
	snprintf(u->why, sizeof u->why, "not yet dialled");
	uv_timer_init(h->core->net.loop, &u->retry);
	uv_timer_init(h->core->net.loop, &u->send);
	uv_timer_init(h->core->net.loop, &u->beat);
	u->retry.data = u->send.data = u->beat.data = u;
	dial(u);
	return 0;
}

static void release(struct uplink *u)
{
	if (--u->handles)
		return;
	for (struct cursor *c = u->cursors, *next; c; c = next) {
		next = c->next;
		config_unref(c->config);
		free(c);
	}
	free(u->address);
	free(u);
}

static void on_handle_closed(uv_handle_t *handle)
{
	release(handle->data);
}

static void say_leave(struct uplink *u)
{
	struct msg *m = msg_new("node");
	if (m)
		msg_set(m, "state", "left");
	peer_send(u->peer, m);
	peer_leave(u->peer);
}

static void uplink_stop(struct uplink *u)
{
	u->closing = true;
	if (u->dial)
		dial_cancel(u->dial);
	if (u->fd >= 0) {
		u->handles++;
		uv_close((uv_handle_t *)&u->probe_poll, on_handle_closed);
		close(u->fd);
	}
	end_beats(u);
	pump(u); /* what was measured since the last send goes before the leave */
	if (u->peer)
		say_leave(u);
	u->peer = NULL;
	u->registered = false;
	uv_close((uv_handle_t *)&u->retry, on_handle_closed);
	uv_close((uv_handle_t *)&u->send, on_handle_closed);
	uv_close((uv_handle_t *)&u->beat, on_handle_closed);
}

static bool listed(const char *const *masters, const char *address)
{
	for (; *masters; masters++)
		if (!strcmp(*masters, address))
			return true;
	return false;
}

static bool running(const struct health *h, const char *address)
{
	for (const struct uplink *u = h->uplinks; u; u = u->next)
		if (!strcmp(u->address, address))
			return true;
	return false;
}

int uplinks_set(struct health *h, const char *const *masters)
{
	for (struct uplink **p = &h->uplinks; *p;) {
		struct uplink *u = *p;
		if (listed(masters, u->address)) {
			p = &u->next;
			continue;
		}
		*p = u->next;
		uplink_stop(u);
	}
	int r = 0;
	for (; *masters && !r; masters++)
		if (!running(h, *masters))
			r = uplink_start(h, *masters);
	return r;
}

void uplinks_stop(struct health *h)
{
	static const char *const none[] = {NULL};
	uplinks_set(h, none);
}

void uplinks_problems(struct health *h, struct call *c)
{
	for (const struct uplink *u = h->uplinks; u; u = u->next)
		if (!u->registered)
			query_problem(c, "master-lost", h->core->name, NULL,
			    "master %s is not reached: %s. What is measured is kept here and sent when it is back",
			    u->address, u->why);
}
