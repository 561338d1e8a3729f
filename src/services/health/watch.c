/* SPDX-License-Identifier: Apache-2.0 */
/* The state of each node: the heartbeat library where beats run, the same step without it where they don't. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "heartbeat/heartbeat.h"
#include "os/clock.h"
#include "services/health/health.h"

struct watch {
	struct health *health;
	struct node *node;
	struct heartbeat *beats;
	uv_timer_t timer;
	int64_t armed_ns;
};

static const char *const event_kinds[] = {
    [STEP_NOT_WATCHED] = "node-connected",
    [STEP_UP] = "node-up",
    [STEP_BUSY] = "node-busy",
    [STEP_LATE] = "node-late",
    [STEP_DOWN] = "node-down",
    [STEP_LEFT] = "node-left",
};

static struct step_rules rules_of(const struct health *h, const struct node *n)
{
	return h->options.rules_of(h->options.rules_data, n->name);
}

static void tell(struct health *h, struct node *n)
{
	n->since_ns = clock_wall_ns();
	spread_state(h, n);
	event_put(h, event_kinds[n->step.state], n->name, NULL, "%s", step_reason_text(n->step.reason));
}

/* --- with beats --- */

static void handle(struct watch *w, short events);

static void on_timer(uv_timer_t *timer)
{
	struct watch *w = timer->data;
	w->armed_ns = 0;
	handle(w, 0);
}

static void arm(struct watch *w)
{
	if (w->node->link)
		stream_want_urgent(w->node->link->stream, heartbeat_events(w->beats) & POLLPRI);
	int64_t next = heartbeat_next(w->beats);
	if (next == w->armed_ns)
		return;
	w->armed_ns = next;
	if (next == INT64_MAX) {
		uv_timer_stop(&w->timer);
		return;
	}
	uv_update_time(w->health->core->net.loop);
	int64_t wait = next - clock_mono_ns();
	uv_timer_start(&w->timer, on_timer, wait > 0 ? (uint64_t)((wait + 999999) / 1000000) : 0, 0);
}

static void handle(struct watch *w, short events)
{
	heartbeat_handle(w->beats, events, clock_mono_ns());
	arm(w);
}

static void on_changed(struct heartbeat *beats, void *owner)
{
	struct watch *w = owner;
	struct node *n = w->node;
	n->transport = heartbeat_transport_name(heartbeat_transport(beats));
	enum step_state state = heartbeat_state(beats);
	enum step_reason reason = heartbeat_reason(beats);
	if (n->step.state == state && n->step.reason == reason)
		return;
	n->step.state = state;
	n->step.reason = reason;
	tell(w->health, n);
}

static int write_beat(struct heartbeat *beats, void *owner)
{
	struct watch *w = owner;
	struct heartbeat_counts counts;
	heartbeat_counts(beats, &counts);
	struct msg *m = msg_new("beat");
	if (!m || !w->node->link) {
		msg_free(m);
		return -EPIPE;
	}
	msg_set_int(m, "n", (int64_t)counts.sent + 1);
	peer_send(w->node->link, m);
	return 0;
}

static void on_timer_closed(uv_handle_t *timer)
{
	free(timer->data);
}

static void stop_beats(struct node *n)
{
	struct watch *w = n->watch;
	if (!w)
		return;
	n->watch = NULL;
	heartbeat_free(w->beats);
	uv_close((uv_handle_t *)&w->timer, on_timer_closed);
}

static enum heartbeat_transport transport_named(const char *name)
{
	if (!strcmp(name, "urgent"))
		return HEARTBEAT_URGENT;
	return !strcmp(name, "in-band") ? HEARTBEAT_IN_BAND : HEARTBEAT_OFF;
}

static unsigned beats_in(int64_t ns, const struct step_rules *rules)
{
	return (unsigned)((ns + rules->interval_ns - 1) / rules->interval_ns);
}

static void start_beats(struct health *h, struct node *n, enum heartbeat_transport transport)
{
	struct step_rules chosen = rules_of(h, n), *rules = &chosen;
	struct watch *w = calloc(1, sizeof *w);
	if (!w)
		return;
	struct heartbeat_config config = {.transport = transport, .interval_ns = rules->interval_ns,
	    .late_beats = beats_in(rules->late_ns, rules), .down_beats = beats_in(rules->down_ns, rules), .busy_turns_down = true,
	    .changed = on_changed, .write_beat = write_beat};
	if (config.down_beats <= config.late_beats)
		config.down_beats = config.late_beats + 1;
	*w = (struct watch){.health = h, .node = n};
	int fd = stream_fd(n->link->stream);
	if (heartbeat_watch(fd, &config, w, clock_mono_ns(), &w->beats)) {
		free(w);
		return;
	}
	uv_timer_init(h->core->net.loop, &w->timer);
	w->timer.data = w;
	n->watch = w;
	n->transport = heartbeat_transport_name(heartbeat_transport(w->beats));
	arm(w);
}

void watch_heard(struct health *h, struct node *n)
{
	n->heard_ns = clock_wall_ns();
	if (!n->watch)
		return;
	heartbeat_data(n->watch->beats, clock_mono_ns());
	heartbeat_handle(n->watch->beats, 0, clock_mono_ns());
	arm(n->watch);
}

void watch_urgent(struct health *h, struct node *n)
{
	n->heard_ns = clock_wall_ns();
	if (n->watch)
		handle(n->watch, POLLPRI);
	else
		stream_want_urgent(n->link->stream, false);
}

void watch_beat_answered(struct health *h, struct node *n)
{
	if (!n->watch)
		return;
	heartbeat_beat_seen(n->watch->beats, clock_mono_ns());
	arm(n->watch);
}

/* --- with and without --- */

static void input(struct health *h, struct node *n, const struct step_rules *rules, enum step_kind kind)
{
	struct step_input in = {.kind = kind};
	if (step(&n->step, rules, clock_mono_ns(), &in))
		tell(h, n);
}

void watch_connected(struct health *h, struct node *n, const char *transport)
{
	struct step_rules rules = rules_of(h, n);
	enum heartbeat_transport t = rules.interval_ns ? transport_named(transport) : HEARTBEAT_OFF;
	stop_beats(n);
	if (t == HEARTBEAT_OFF)
		rules.interval_ns = 0;
	n->transport = "none";
	n->heard_ns = clock_wall_ns();
	step_init(&n->step, &rules);
	n->step.reason = STEP_NO_REASON;
	input(h, n, &rules, STEP_CONNECTED);
	if (t != HEARTBEAT_OFF)
		start_beats(h, n, t);
	if (t != HEARTBEAT_OFF && !n->watch) { /* it can't be: then only the connection counts */
		rules.interval_ns = 0;
		step_init(&n->step, &rules);
		input(h, n, &rules, STEP_CONNECTED);
	}
}

void watch_disconnected(struct health *h, struct node *n, enum step_kind how)
{
	stop_beats(n);
	n->transport = "none";
	enum step_state before = n->step.state;
	struct step_rules rules = rules_of(h, n);
	input(h, n, &rules, how);
	if (how != STEP_LEAVE && n->step.state != STEP_LEFT && n->step.state != STEP_DOWN && before != STEP_DOWN) {
		n->step.state = STEP_DOWN;
		n->step.reason = how == STEP_LOST ? STEP_UNREACHABLE : STEP_CLOSED;
		tell(h, n);
	}
}

/* Known from before this start: awaited for the grace. */
void watch_known(struct health *h, struct node *n)
{
	struct step_rules rules = rules_of(h, n);
	step_init(&n->step, &rules);
	input(h, n, &rules, STEP_AWAITED);
}

void watch_forget(struct health *h, struct node *n)
{
	stop_beats(n);
}

void watch_tick(struct health *h, struct node *n, int64_t now_ns)
{
	if (n->watch || n->self || n->step.next_ns > now_ns)
		return;
	struct step_rules rules = rules_of(h, n);
	input(h, n, &rules, STEP_TICK);
}
