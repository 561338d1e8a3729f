/* SPDX-License-Identifier: Apache-2.0 */
/* This node's masters: dial, register, answer beats; and when one falls silent, reach for it a second time beside the
 * connection that may yet come back.
 *
 * TCP waits ever longer before it repeats itself; a new connection speaks as soon as the path is there again, and finds
 * a master that was restarted without a good-bye.
 */
#include <errno.h>
#include <inttypes.h>
#include <linux/sockios.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "core/view.h"
#include "heartbeat/heartbeat.h"
#include "os/clock.h"
#include "os/file.h"
#include "os/host.h"
#include "os/log.h"
#include "os/secret.h"
#include "services/health/reach.h"
#include "services/health/uplink.h"

#define MS ((int64_t)1000000)

enum { RETRY_FIRST_MS = 500, RETRY_MOST_MS = 30000, REGISTER_QUERY = 1 };
enum { SILENT_EVERY_MS = 250, SILENT_CONNECT_MS = 200 }; /* while it is late: down comes in seconds */
enum { STRAY_EVERY_MS = 2000 };

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
	if (*u->secret)
		snprintf(ret_secret, SECRET_SIZE, "%s", u->secret);
	else
		u->first_boot = boot ? boot : u->health->boot;
}

static void write_secret(struct uplink *u, const char *secret)
{
	char text[SECRET_SIZE + 24], *path = secret_path(u);
	u->first_boot = u->health->boot;
	snprintf(text, sizeof text, "%.32s %lld\n", secret, (long long)u->first_boot);
	int r = path ? file_replace(path, text) : -ENOMEM;
	snprintf(u->secret, sizeof u->secret, "%s", r ? secret : "");
	if (r)
		log_event(LOG_ERR, "uplink", "the secret that %s gave can't be stored: %s", u->address, strerror(-r));
	free(path);
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

static void handle_beats(struct uplink *u, short events)
{
	if (!u->beats)
		return;
	heartbeat_handle(u->beats, events, clock_mono_ns());
	arm_beats(u);
}

static void on_beat_timer(uv_timer_t *timer)
{
	handle_beats(timer->data, 0);
}

static void answer_beats(struct uplink *u)
{
	struct heartbeat_config config = {.transport = HEARTBEAT_URGENT};
	if (!heartbeat_answer(stream_fd(u->peer->stream), &config, u, clock_mono_ns(), &u->beats))
		arm_beats(u);
}

static void end_beats(struct uplink *u)
{
	heartbeat_free(u->beats);
	u->beats = NULL;
	uv_timer_stop(&u->beat);
}

/* --- reaching for it --- */

static void on_reached(void *data, int fd, bool urgent);
static void reach_failed(struct uplink *u, const char *why);

static void reach_with(struct uplink *u, struct reach_patience patience)
{
	if (u->reach || u->candidate || u->closing)
		return;
	u->refused = false;
	u->reach_ns = clock_mono_ns();
	patience.secure = u->health->core->place;
	int r = reach_start(&u->reach, &u->health->core->net, u->address, &patience, on_reached, u);
	if (r)
		reach_failed(u, uv_strerror(r));
}

/* Beside a silent connection the probe waits: a master that is stopped answers it when it goes on. */
static void reach(struct uplink *u)
{
	struct reach_patience patience = {0};
	if (u->peer)
		patience = (struct reach_patience){SILENT_CONNECT_MS, u->beats ? u->rules.down_ns : 0};
	reach_with(u, patience);
}

static void on_retry(uv_timer_t *timer)
{
	reach(timer->data);
}

static void reach_in(struct uplink *u, int64_t wait_ms)
{
	if (u->closing)
		return;
	uint64_t spread = uv_hrtime() / 1000 % (uint64_t)(wait_ms / 4 + 1);
	uv_timer_start(&u->retry, on_retry, (uint64_t)wait_ms + spread, 0);
}

static void back_off(struct uplink *u)
{
	reach_in(u, u->wait_ms);
	u->wait_ms = u->wait_ms * 2 > RETRY_MOST_MS ? RETRY_MOST_MS : u->wait_ms * 2;
}

/* What we sent is not acknowledged: that the master was heard does not mean that we are. */
static bool output_stuck(const struct uplink *u)
{
	int bytes = 0;
	return !ioctl(stream_fd(u->peer->stream), SIOCOUTQ, &bytes) && bytes;
}

static void reach_failed(struct uplink *u, const char *why)
{
	int64_t wait_ms = SILENT_EVERY_MS - (clock_mono_ns() - u->reach_ns) / MS;
	if (!u->refused)
		snprintf(u->why, sizeof u->why, "%s", why);
	if (!u->peer || u->silence.state == STEP_DOWN)
		back_off(u);
	else if (u->silence.state == STEP_LATE || output_stuck(u))
		reach_in(u, wait_ms > 0 ? wait_ms : 0);
}

static void stop_reaching(struct uplink *u)
{
	if (u->reach)
		reach_cancel(u->reach);
	if (u->candidate)
		peer_close(u->candidate);
	u->reach = NULL;
	u->candidate = NULL;
	uv_timer_stop(&u->retry);
}

/* --- its silence --- */

static void arm_silence(struct uplink *u);

static void master_down(struct uplink *u)
{
	view_heard(u->health->core, &u->host, false);
	event_put(u->health, "master-lost", u->health->core->name, NULL, "%s: silent for %lld ms", u->address,
	    (long long)(u->rules.down_ns / MS));
}

static void master_heard(struct uplink *u, enum step_state before)
{
	if (!output_stuck(u))
		stop_reaching(u);
	u->wait_ms = RETRY_FIRST_MS;
	view_heard(u->health->core, &u->host, true);
	if (before == STEP_DOWN)
		event_put(u->health, "master-found", u->health->core->name, NULL, "%s at %s is heard again", u->master,
		    u->address);
}

static void judge(struct uplink *u, const struct step_input *in)
{
	enum step_state before = u->silence.state;
	if (!step(&u->silence, &u->rules, clock_mono_ns(), in) || u->silence.state == before)
		return;
	if (u->silence.state == STEP_LATE)
		reach(u);
	else if (u->silence.state == STEP_DOWN)
		master_down(u);
	else if (u->silence.state == STEP_UP && (before == STEP_LATE || before == STEP_DOWN))
		master_heard(u, before);
}

/* What came while our loop was late is still unread. */
static void on_silent(uv_timer_t *timer)
{
	struct uplink *u = timer->data;
	int64_t late = clock_mono_ns() - u->silence.next_ns;
	judge(u, late > u->rules.interval_ns / 4 ? &(struct step_input){.kind = STEP_PAUSED, .pause_ns = late}
						 : &(struct step_input){.kind = STEP_TICK});
	arm_silence(u);
}

static void arm_silence(struct uplink *u)
{
	if (u->silence.next_ns == INT64_MAX) {
		uv_timer_stop(&u->silent);
		return;
	}
	int64_t wait = u->silence.next_ns - clock_mono_ns();
	uv_update_time(u->health->core->net.loop);
	uv_timer_start(&u->silent, on_silent, wait > 0 ? (uint64_t)(wait / MS) + 1 : 0, 0);
}

/* The timer stays where it is: it finds the later end by itself. */
static void hear(struct uplink *u)
{
	if (!u->rules.interval_ns)
		return;
	bool asleep = u->silence.next_ns == INT64_MAX;
	judge(u, &(struct step_input){.kind = STEP_DATA});
	if (asleep)
		arm_silence(u);
}

static void mind_silence(struct uplink *u)
{
	if (!u->rules.interval_ns)
		return;
	step_init(&u->silence, &u->rules);
	judge(u, &(struct step_input){.kind = STEP_CONNECTED});
	arm_silence(u);
}

/* The rules stay: they hold for the next connection, until the master says others. */
static void end_silence(struct uplink *u)
{
	step_init(&u->silence, &u->rules);
	uv_timer_stop(&u->silent);
}

/* --- the connection --- */

/* Nothing is sent any more on the connection that was. */
static void forget_connection(struct uplink *u)
{
	end_beats(u);
	end_silence(u);
	cursors_forget_connection(u);
	uv_timer_stop(&u->send);
	u->peer = NULL;
	u->registered = u->told = false;
}

enum { OLD = sizeof((struct uplink *)0)->old / sizeof(struct peer *) };

static bool is_old(const struct uplink *u, const struct peer *p)
{
	return p != u->peer && p != u->candidate;
}

static void close_old(struct uplink *u)
{
	for (unsigned i = 0; i < OLD; i++) {
		if (u->old[i])
			peer_leave(u->old[i]);
		u->old[i] = NULL;
	}
}

static void forget_old(struct uplink *u, const struct peer *p)
{
	for (unsigned i = 0; i < OLD; i++)
		if (u->old[i] == p)
			u->old[i] = NULL;
}

/* Which of them the master counts on is not known before it answers: an end of that one would look like ours. */
static void keep_old(struct uplink *u, struct peer *p)
{
	if (u->old[OLD - 1])
		peer_leave(u->old[OLD - 1]);
	memmove(u->old + 1, u->old, sizeof u->old - sizeof *u->old);
	u->old[0] = p;
}

static void lost(struct uplink *u, const char *why)
{
	bool was = u->registered && u->silence.state != STEP_DOWN;
	if (was && !u->refused)
		u->wait_ms = RETRY_FIRST_MS;
	forget_connection(u);
	close_old(u);
	view_heard(u->health->core, &u->host, false);
	if (was)
		event_put(u->health, "master-lost", u->health->core->name, NULL, "%s: %s", u->address,
		    u->refused ? u->why : why);
	if (!u->reach && !u->candidate)
		reach_failed(u, why);
}

static void on_closed(struct peer *p, int error, const char *why)
{
	struct uplink *u = p->owner;
	if (is_old(u, p)) {
		forget_old(u, p);
	} else if (p == u->candidate) {
		u->candidate = NULL;
		reach_failed(u, why);
	} else {
		lost(u, why);
	}
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

static struct msg *registration(struct uplink *u)
{
	const struct health_options *o = &u->health->options;
	char secret[SECRET_SIZE] = "";
	struct msg *m = msg_new("node");
	if (!m)
		return NULL;
	read_secret(u, secret);
	msg_set(m, "query", "register");
	msg_set_int(m, "id", REGISTER_QUERY);
	msg_set(m, "name", u->health->core->name);
	msg_set_int(m, "boot", u->health->boot);
	if (*secret)
		msg_set(m, "secret", secret);
	if (o->on_request)
		msg_set(m, "mode", "on-request");
	else if (o->send_ns)
		msg_set_int(m, "send", o->send_ns / MS);
	put_facts(m);
	return m;
}

/* It answers: the one before stays open until this one is registered, so that the master misses nobody. */
static void take_connection(struct uplink *u, struct peer *p)
{
	struct peer *before = u->peer;
	if (before) {
		forget_connection(u);
		keep_old(u, before);
	}
	u->candidate = NULL;
	u->peer = p;
	if (u->candidate_urgent)
		answer_beats(u);
	mind_silence(u);
}

static int opened(struct peer *p, const struct msg *hmon)
{
	struct uplink *u = p->owner;
	struct msg *m = registration(u);
	if (!m)
		return -ENOMEM;
	take_connection(u, p);
	snprintf(u->master, sizeof u->master, "%s", msg_get(hmon, "name", ""));
	p->next_query = REGISTER_QUERY;
	peer_send(p, m);
	return 0;
}

static int64_t told_ms(const struct msg *m, const char *name)
{
	int64_t ms = 0;
	return !msg_get_int(m, name, &ms) && ms > 0 && ms < 86400000 ? ms * MS : 0;
}

/* How the master watches us is how we watch it. */
static void take_rules(struct uplink *u, const struct msg *m)
{
	u->rules = (struct step_rules){.interval_ns = told_ms(m, "beat"), .late_ns = told_ms(m, "late"),
	    .down_ns = told_ms(m, "down"), .busy_turns_down = true};
	if (u->rules.late_ns < u->rules.interval_ns || u->rules.down_ns <= u->rules.late_ns)
		u->rules.interval_ns = 0;
}

/* This master has seen a later life than ours: the clock or the state directory was set back. */
static void take_later_boot(struct uplink *u, int64_t seen)
{
	struct health *h = u->health;
	if (seen < h->boot || seen > BOOT_BELIEVED)
		return;
	h->boot = boot_next(h->options.state_directory, seen);
	u->wait_ms = RETRY_FIRST_MS;
	log_event(LOG_WARNING, "uplink", "master %s knows a later life of this node: from now on this one is %lld",
	    u->address, (long long)h->boot);
}

static void on_node(struct uplink *u, const struct msg *m)
{
	int64_t boot;
	if (!msg_get_int(m, "boot", &boot))
		take_later_boot(u, boot);
	if (*msg_get(m, "secret", ""))
		write_secret(u, msg_get(m, "secret", ""));
	take_rules(u, m);
	u->keeps_hosts = msg_get_flag(m, "hosts");
}

static void on_send(uv_timer_t *timer)
{
	cursors_pump(timer->data);
}

static void on_registered(struct uplink *u)
{
	struct health *h = u->health;
	bool replaced = u->old[0] != NULL;
	u->registered = true;
	u->refused = false;
	*u->why = '\0';
	close_old(u);
	peer_registered(u->peer);
	xml_trust(u->peer->xml);
	event_put(h, "master-found", h->core->name, NULL, "registered with %s at %s%s", u->master, u->address,
	    replaced ? ", on a new connection: the one before was silent" : "");
	mind_silence(u);
	cursors_register(u);
	if (u->keeps_hosts)
		spread_announce(u);
	if (h->options.send_ns && !h->options.on_request)
		uv_timer_start(&u->send, on_send, (uint64_t)(h->options.send_ns / MS), (uint64_t)(h->options.send_ns / MS));
}

static void on_error(struct uplink *u, const struct msg *m)
{
	snprintf(u->why, sizeof u->why, "%s: %s", msg_get(m, "code", "error"), m->text);
	u->refused = true;
	log_event(LOG_ERR, "uplink", "master %s: %s", u->address, u->why);
}

/* Once a connection: said again and again it would keep us busy with our disk and our events. */
static void on_registration(struct uplink *u, const struct msg *m)
{
	if (u->registered)
		return;
	if (!strcmp(m->name, "monitor"))
		cursors_position(u, m);
	else if (!strcmp(m->name, "end"))
		on_registered(u);
	else if (!strcmp(m->name, "node") && !u->told) {
		u->told = true;
		on_node(u, m);
	}
}

static int on_answer(struct peer *p, const struct msg *m)
{
	struct uplink *u = p->owner;
	int64_t id = 0;
	if (is_old(u, p))
		return 0;
	msg_get_int(m, "answer", &id);
	if (id == SPREAD_QUERY && strcmp(m->name, "error"))
		return 0;
	if (!strcmp(m->name, "error"))
		on_error(u, m);
	else if (!strcmp(m->name, "config"))
		cursors_known(u, id, msg_get_flag(m, "known"));
	else if (id == REGISTER_QUERY)
		on_registration(u, m);
	return 0;
}

/* What is on this node's disk stays there by its own limits, acknowledged or not. */
static void on_ack(struct uplink *u, const struct msg *m)
{
	int64_t lost = 0;
	msg_get_int(m, "lost", &lost);
	if (lost > 0)
		event_put(u->health, "periods-lost", u->health->core->name, msg_get(m, "monitor", ""),
		    "master %s could not store %" PRId64 " periods", u->address, lost);
}

static int on_stanza(struct peer *p, const struct msg *m)
{
	struct uplink *u = p->owner;
	if (!is_old(u, p) && !strcmp(m->name, "error"))
		on_error(u, m);
	else if (!strcmp(m->name, "master"))
		on_ack(u, m);
	else if (!is_old(u, p) && (!strcmp(m->name, "host") || !strcmp(m->name, "hosts")))
		spread_take(u, m);
	return 0;
}

static void on_heard(struct peer *p)
{
	struct uplink *u = p->owner;
	if (p != u->peer)
		return;
	if (u->beats)
		heartbeat_data(u->beats, clock_mono_ns());
	handle_beats(u, 0);
	hear(u);
}

static void on_urgent(struct peer *p)
{
	struct uplink *u = p->owner;
	if (p != u->peer || !u->beats) {
		stream_want_urgent(p->stream, false);
		return;
	}
	handle_beats(u, POLLPRI);
	hear(u);
}

/* The path has begun to clear URG, which no probe before could find: a new connection's will. One beat that was
 * overtaken by the next looks the same, so not for every one. */
static void on_stray(struct peer *p)
{
	struct uplink *u = p->owner;
	if (p == u->peer && u->beats && u->registered && clock_mono_ns() - u->reach_ns > STRAY_EVERY_MS * MS)
		reach_with(u, (struct reach_patience){0});
}

static void on_drained(struct peer *p)
{
	struct uplink *u = p->owner;
	if (p == u->peer)
		cursors_pump(u);
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
    .stray = on_stray,
    .closed = on_closed};

static int speak(struct uplink *u, int fd, bool urgent)
{
	struct msg *m = msg_new("hmon");
	if (!m)
		return -ENOMEM;
	msg_set_int(m, "version", 1);
	msg_set(m, "role", "node");
	msg_set(m, "beat", urgent ? "urgent" : "in-band");
	int r = peer_dialled(u->health->core, fd, &uplink_role, m, u, &u->candidate);
	msg_free(m);
	return r;
}

static void on_reached(void *data, int fd, bool urgent)
{
	struct uplink *u = data;
	u->reach = NULL;
	u->candidate_urgent = urgent;
	int r = fd < 0 ? fd : speak(u, fd, urgent);
	if (r && fd >= 0)
		close(fd);
	if (r)
		reach_failed(u, uv_strerror(r));
}

/* --- the set of masters --- */

static int uplink_start(struct health *h, const char *address)
{
	struct uplink *u = calloc(1, sizeof *u);
	if (!u || !(u->address = strdup(address))) {
		free(u);
		return -ENOMEM;
	}
	uv_timer_t *timers[] = {&u->retry, &u->send, &u->beat, &u->silent};
	u->health = h;
	u->expected = true;
	u->wait_ms = RETRY_FIRST_MS;
	u->next = h->uplinks;
	h->uplinks = u;
	snprintf(u->why, sizeof u->why, "not yet dialled");
	for (size_t i = 0; i < sizeof timers / sizeof *timers; i++) {
		uv_timer_init(h->core->net.loop, timers[i]);
		timers[i]->data = u;
		uplink_hold(u);
	}
	end_silence(u);
	reach(u);
	return 0;
}

void uplink_hold(struct uplink *u)
{
	u->handles++;
}

void uplink_release(struct uplink *u)
{
	if (--u->handles)
		return;
	cursors_free(u);
	free(u->address);
	free(u);
}

static void on_handle_closed(uv_handle_t *handle)
{
	uplink_release(handle->data);
}

static void say_leave(struct uplink *u)
{
	struct msg *m = msg_new("node");
	if (m)
		msg_set(m, "state", "left");
	if (m && u->health->core->leaving)
		msg_set_flag(m, "removed", true);
	peer_send(u->peer, m);
	peer_leave(u->peer);
}

static void uplink_stop(struct uplink *u)
{
	u->closing = true;
	stop_reaching(u);
	cursors_pump(u); /* what was measured since the last send goes before the leave */
	if (u->peer)
		say_leave(u);
	forget_connection(u);
	close_old(u);
	uv_close((uv_handle_t *)&u->retry, on_handle_closed);
	uv_close((uv_handle_t *)&u->send, on_handle_closed);
	uv_close((uv_handle_t *)&u->beat, on_handle_closed);
	uv_close((uv_handle_t *)&u->silent, on_handle_closed);
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
			u->expected = u->registered;
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

static int restart(struct health *h, struct uplink *u)
{
	char *address = strdup(u->address);
	bool expected = u->expected;
	uplink_stop(u);
	int r = address ? uplink_start(h, address) : -ENOMEM;
	for (u = h->uplinks; u && address; u = u->next)
		if (!strcmp(u->address, address))
			u->expected = expected;
	free(address);
	return r;
}

int uplinks_restart(struct health *h)
{
	struct uplink *old = h->uplinks;
	int r = 0;
	h->uplinks = NULL;
	while (old) {
		struct uplink *u = old;
		old = u->next;
		int e = restart(h, u);
		r = r ? r : e;
	}
	return r;
}

int uplinks_are_up(const struct health *h, struct buf *why)
{
	for (const struct uplink *u = h->uplinks; u; u = u->next)
		if (u->expected && !u->registered) {
			buf_putf(why, "master %s is not reached: %s", u->address, u->why);
			return -EAGAIN;
		}
	return 0;
}

int health_is_up(const struct health *h, struct buf *why)
{
	int r = supervise_is_up(h, why);
	return r ? r : uplinks_are_up(h, why);
}

void uplinks_stop(struct health *h)
{
	static const char *const none[] = {NULL};
	uplinks_set(h, none);
}

void uplinks_problems(struct health *h, struct call *c)
{
	for (const struct uplink *u = h->uplinks; u; u = u->next)
		if (!u->registered || u->silence.state == STEP_DOWN)
			query_problem(c, "master-lost", h->core->name, NULL,
			    "master %s is not reached: %s%s. What is measured is kept here and sent when it is back",
			    u->address, u->registered ? "silent; a new connection: " : "", u->why);
}
