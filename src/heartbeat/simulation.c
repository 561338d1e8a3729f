/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "heartbeat/simulation.h"

#define MS ((int64_t)1000000)
#define SECOND (1000 * MS)
#define NEVER INT64_MAX
#define NODES_MAX 32
#define INBOX_MAX 64

enum condition { WELL, FROZEN, CUT, KILLED, POWERLESS, AWAY };

/* Where our one beat is. */
enum flight { IDLE, TO_NODE, AT_NODE, TO_WATCHER };

struct node {
	struct step s;
	struct step_rules rules;

	/* the truth */
	enum condition condition;
	bool connected; /* seen from the node */
	bool lossy, calm_before;
	int64_t since_ns; /* of the condition */
	int64_t until_ns;
	int64_t trouble_ns; /* last time anything was not as usual */
	enum flight flight;
	int tries;
	int64_t move_ns; /* of the flight */
	int64_t data_ns;
	int64_t ack_ns; /* the host's last acknowledgement, as the watcher's kernel knows it */
	bool acked_beat;
	int64_t probe_ns; /* keepalive */
	int64_t reconnect_ns;

	/* the watcher */
	bool outstanding;
	int64_t beat_ns, due_ns; /* on his clock */
	enum step_kind inbox[INBOX_MAX];
	int waiting;

	/* the oracle */
	bool known_connected, awaited, left;
	int64_t sign_ns, excused_ns, grace_end_ns, total_excused_ns, excused_before_ns;
};

struct world {
	uint64_t random;
	step_function *decide;
	struct simulation_result *result;
	struct node node[NODES_MAX];
	int64_t key[NODES_MAX];
	int n;
	int64_t now;	/* true time */
	int64_t offset; /* his clock is ahead by this */
	int64_t absent_until, next_pause_ns, next_restart_ns;
	int64_t interval_ns, delay_ns, jitter_ns;
	unsigned loss_permille;
};

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static int64_t later(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

static uint64_t draw(struct world *w)
{
	w->random ^= w->random << 13;
	w->random ^= w->random >> 7;
	w->random ^= w->random << 17;
	return w->random;
}

static int64_t between(struct world *w, int64_t low, int64_t high)
{
	return low + (int64_t)((draw(w) >> 16) % (uint64_t)(high - low + 1));
}

/* Short times are as likely as long ones. */
static int64_t some_time(struct world *w, int64_t low, int64_t high)
{
	int64_t top = low;

	while (top < high && draw(w) & 0x10000)
		top *= 2;
	return between(w, low, earlier(top * 2, high));
}

static int64_t travel(struct world *w)
{
	return later(w->delay_ns + between(w, -w->jitter_ns, w->jitter_ns), 50000);
}

static int64_t clock_of(const struct world *w)
{
	return w->now + w->offset;
}

static bool lost(struct world *w, const struct node *n)
{
	return (draw(w) >> 20) % 1000 < (n->lossy ? 300 : w->loss_permille);
}

static bool reachable(const struct node *n)
{
	return n->condition == WELL || n->condition == FROZEN || n->condition == KILLED ||
	       n->condition == AWAY;
}

/* ---- the oracle's account and the invariants ---- */

static const char *const names[INVARIANTS] = {
    [NOT_LATE_TOO_SOON] = "not late too soon",
    [NOT_DOWN_TOO_SOON] = "not down too soon",
    [FINE_IS_NOT_DOWN] = "fine is not down",
    [DEAD_IS_LATE_IN_TIME] = "dead is late in time",
    [DEAD_IS_DOWN_IN_TIME] = "dead is down in time",
    [FROZEN_IS_BUSY] = "frozen is busy",
    [FROZEN_DAEMON_IS_DOWN] = "frozen daemon is down",
    [FROZEN_OTHER_IS_NOT_DOWN] = "frozen other is not down",
    [CUT_OFF_IS_NOT_BUSY] = "cut off is not busy",
    [END_IS_DOWN_AT_ONCE] = "end is down at once",
    [CONNECTED_IS_UP_AT_ONCE] = "connected is up at once",
    [LEAVE_IS_LEFT] = "leave is left",
    [NOBODY_DOWN_IN_GRACE] = "nobody down in grace",
    [ABSENT_IS_DOWN_AFTER_GRACE] = "absent is down after grace",
    [PAUSE_MAKES_NOBODY_WORSE] = "pause makes nobody worse",
    [CHANGE_HAS_CAUSE] = "change has cause",
    [CHANGE_IS_TOLD] = "change is told",
    [NEXT_IS_NOT_MISSED] = "next is not missed",
};

const char *invariant_name(enum invariant i)
{
	return names[i];
}

static void demand(struct world *w, const struct node *n, enum invariant i, bool holds)
{
	if (holds || w->result->breached & 1U << i)
		return;
	w->result->breached |= 1U << i;
	w->result->first[i] = (struct breach){w->now, (int)(n - w->node), n->s.state};
}

static int64_t silence(const struct world *w, const struct node *n)
{
	return clock_of(w) - n->sign_ns - n->excused_ns;
}

static void account(struct world *w, struct node *n, const struct step_input *in)
{
	int64_t now = clock_of(w);

	switch (in->kind) {
	case STEP_CONNECTED:
		n->known_connected = true;
		n->left = n->awaited = false;
		n->sign_ns = now;
		n->excused_ns = 0;
		return;
	case STEP_ANSWERED:
	case STEP_DATA:
		if (n->known_connected) {
			n->sign_ns = now;
			n->excused_ns = 0;
		}
		return;
	case STEP_AWAITED:
		n->awaited = true;
		n->grace_end_ns = now + n->rules.grace_ns;
		return;
	case STEP_PAUSED:
		n->excused_ns += in->pause_ns;
		n->total_excused_ns += in->pause_ns;
		n->grace_end_ns += in->pause_ns;
		return;
	case STEP_GONE:
	case STEP_LOST:
		n->known_connected = false;
		return;
	case STEP_LEAVE:
		n->known_connected = n->awaited = false;
		n->left = true;
		return;
	default:
		return;
	}
}

static bool by_silence(const struct step *s)
{
	return s->state == STEP_DOWN && (s->reason == STEP_SILENT || s->reason == STEP_STOPPED);
}

/* After a pause nobody is judged before the next tick. */
static bool is_reprieved(const struct world *w, const struct node *n)
{
	return n->s.next_ns == clock_of(w) + 1;
}

static void check_deadlines(struct world *w, const struct node *n)
{
	int64_t quiet = silence(w, n);
	bool late = n->s.state == STEP_LATE || n->s.state == STEP_BUSY;

	if (!n->known_connected)
		return;
	demand(w, n, NOT_LATE_TOO_SOON, !late || quiet >= n->rules.late_ns);
	demand(w, n, NOT_DOWN_TOO_SOON, !by_silence(&n->s) || quiet >= n->rules.down_ns);
	if (!is_reprieved(w, n))
		demand(w, n, DEAD_IS_LATE_IN_TIME, n->s.state != STEP_UP || quiet < n->rules.late_ns);
}

static void check_awaited(struct world *w, const struct node *n)
{
	if (n->left || n->known_connected)
		return;
	if (n->awaited && clock_of(w) < n->grace_end_ns)
		demand(w, n, NOBODY_DOWN_IN_GRACE, n->s.state != STEP_DOWN);
	else if (n->awaited && !is_reprieved(w, n))
		demand(w, n, ABSENT_IS_DOWN_AFTER_GRACE, n->s.state == STEP_DOWN);
}

static int64_t lasted(const struct world *w, const struct node *n)
{
	return w->now - n->since_ns - (n->total_excused_ns - n->excused_before_ns);
}

/* What is still under way when a condition begins may arrive that much later. */
static int64_t afterglow(const struct world *w)
{
	return 2 * (w->delay_ns + w->jitter_ns) + w->interval_ns + 1500 * MS;
}

/* Frozen out of good health, long enough for the beat to be there, its acknowledgement back, and a look; and
 * no keepalive probe gets lost. */
static bool is_calmly_frozen(const struct world *w, const struct node *n)
{
	return n->condition == FROZEN && n->trouble_ns == n->since_ns && n->calm_before &&
	       !w->loss_permille &&
	       lasted(w, n) > n->rules.late_ns + w->interval_ns + 2 * (w->delay_ns + w->jitter_ns) + 50 * MS;
}

static void check_truth(struct world *w, const struct node *n)
{
	int64_t quiet = silence(w, n), age = lasted(w, n) - afterglow(w);
	bool stopped = is_calmly_frozen(w, n);

	if (!n->known_connected || !n->connected)
		return;
	if (n->condition == WELL && !n->lossy && n->tries == 0 &&
	    w->now - n->trouble_ns > n->rules.down_ns + 2 * afterglow(w))
		demand(w, n, FINE_IS_NOT_DOWN, n->s.state != STEP_DOWN);
	if ((n->condition == CUT || n->condition == POWERLESS) && age > n->rules.down_ns + n->rules.ack_ns)
		demand(w, n, DEAD_IS_DOWN_IN_TIME, n->s.state == STEP_DOWN);
	if ((n->condition == CUT || n->condition == POWERLESS) && age > n->rules.ack_ns)
		demand(w, n, CUT_OFF_IS_NOT_BUSY, n->s.state != STEP_BUSY);
	if (stopped && quiet < n->rules.down_ns)
		demand(w, n, FROZEN_IS_BUSY, n->s.state == STEP_BUSY);
	if (stopped && n->rules.busy_turns_down && quiet >= n->rules.down_ns)
		demand(w, n, FROZEN_DAEMON_IS_DOWN, n->s.state == STEP_DOWN && n->s.reason == STEP_STOPPED);
	if (stopped && !n->rules.busy_turns_down)
		demand(w, n, FROZEN_OTHER_IS_NOT_DOWN, n->s.state == STEP_BUSY);
}

static void check_state(struct world *w, const struct node *n)
{
	check_deadlines(w, n);
	check_awaited(w, n);
	check_truth(w, n);
}

static int badness(enum step_state s)
{
	static const int rank[] = {
	    [STEP_UP] = 0, [STEP_BUSY] = 1, [STEP_LATE] = 2, [STEP_DOWN] = 3, [STEP_LEFT] = 4};

	return rank[s];
}

static void check_change(
    struct world *w, const struct node *n, const struct step *before, enum step_kind kind)
{
	bool revives = kind == STEP_CONNECTED || kind == STEP_AWAITED;
	bool sign = revives || kind == STEP_ANSWERED || kind == STEP_DATA || kind == STEP_ACKED;

	if (kind == STEP_GONE && before->connected)
		demand(w, n, END_IS_DOWN_AT_ONCE, n->s.state == STEP_DOWN && n->s.reason == STEP_CLOSED);
	if (kind == STEP_CONNECTED)
		demand(w, n, CONNECTED_IS_UP_AT_ONCE, n->s.state == STEP_UP);
	if (n->left)
		demand(w, n, LEAVE_IS_LEFT, n->s.state == STEP_LEFT);
	if (kind == STEP_PAUSED)
		demand(w, n, PAUSE_MAKES_NOBODY_WORSE, badness(n->s.state) <= badness(before->state));
	if (!sign && kind != STEP_LEAVE)
		demand(w, n, CHANGE_HAS_CAUSE,
		    before->state == STEP_LATE || badness(n->s.state) >= badness(before->state));
	if (!n->known_connected && !revives)
		demand(w, n, CHANGE_HAS_CAUSE, n->s.state != STEP_UP && n->s.state != STEP_BUSY);
}

static void check_next(struct world *w, const struct node *n)
{
	struct step copy = n->s;
	int64_t now = clock_of(w), last = n->s.next_ns == NEVER ? now + 86400 * SECOND : n->s.next_ns - 1;

	demand(w, n, NEXT_IS_NOT_MISSED, n->s.next_ns > now);
	if (last > now)
		demand(w, n, NEXT_IS_NOT_MISSED,
		    !step(&copy, &n->rules, last, &(struct step_input){.kind = STEP_TICK}));
}

static void feed_input(struct world *w, struct node *n, const struct step_input *in)
{
	struct step before = n->s;
	bool told, changed;

	account(w, n, in);
	told = w->decide(&n->s, &n->rules, clock_of(w), in);
	changed = before.state != n->s.state || before.reason != n->s.reason;
	w->result->steps++;
	w->result->downs += changed && n->s.state == STEP_DOWN;
	demand(w, n, CHANGE_IS_TOLD, told == changed);
	check_change(w, n, &before, in->kind);
	check_next(w, n);
}

static void feed(struct world *w, struct node *n, enum step_kind kind)
{
	feed_input(w, n, &(struct step_input){.kind = kind});
}

/* ---- the watcher, as heartbeat.c does it ---- */

static void notice_pause(struct world *w, struct node *n)
{
	int64_t slack = later(w->interval_ns / 4, 20 * MS), over = clock_of(w) - n->due_ns;

	if (n->due_ns != NEVER && over > slack)
		feed_input(w, n, &(struct step_input){.kind = STEP_PAUSED, .pause_ns = over});
}

static void look_at_host(struct world *w, struct node *n)
{
	int64_t at = n->ack_ns + w->offset;

	if (!n->known_connected)
		return;
	if (n->probe_ns == NEVER)
		n->probe_ns = later(w->now, n->ack_ns + SECOND);
	if (n->acked_beat && n->outstanding)
		at = later(at, n->s.asked_ns);
	feed_input(w, n, &(struct step_input){.kind = STEP_ACKED, .at_ns = at});
}

static void send_beat(struct world *w, struct node *n)
{
	n->outstanding = true;
	n->acked_beat = false;
	n->flight = TO_NODE;
	n->tries = 0;
	n->move_ns = w->now;
	w->result->beats++;
	feed(w, n, STEP_BEAT_SENT);
}

static void take_mail(struct world *w, struct node *n)
{
	for (int i = 0; i < n->waiting; i++) {
		if (n->inbox[i] == STEP_ANSWERED)
			n->outstanding = false;
		if (n->inbox[i] == STEP_ANSWERED || n->inbox[i] == STEP_CONNECTED)
			n->probe_ns = NEVER;
		if (n->inbox[i] == STEP_CONNECTED) {
			n->outstanding = false;
			n->beat_ns = clock_of(w) + between(w, 0, w->interval_ns);
		}
		feed(w, n, n->inbox[i]);
	}
	n->waiting = 0;
}

static void beat(struct world *w, struct node *n)
{
	int64_t now = clock_of(w);

	n->beat_ns += w->interval_ns * ((now - n->beat_ns) / w->interval_ns + 1);
	if (!n->known_connected)
		n->beat_ns = NEVER;
	else if (n->outstanding)
		look_at_host(w, n);
	else
		send_beat(w, n);
}

static void watch(struct world *w, struct node *n)
{
	notice_pause(w, n);
	take_mail(w, n);
	if (clock_of(w) >= n->beat_ns)
		beat(w, n);
	if (clock_of(w) >= n->s.next_ns) {
		look_at_host(w, n);
		feed(w, n, STEP_TICK);
	}
	n->due_ns = earlier(n->beat_ns, n->s.next_ns);
	check_state(w, n);
}

static void mail(struct node *n, enum step_kind kind)
{
	if (n->waiting < INBOX_MAX)
		n->inbox[n->waiting++] = kind;
}

/* ---- the network ---- */

static void host_acknowledges(struct world *w, struct node *n)
{
	n->ack_ns = w->now;
}

static void try_again(struct world *w, struct node *n)
{
	int64_t timeout = later(200 * MS, 3 * (w->delay_ns + w->jitter_ns));

	n->move_ns = w->now + earlier(timeout << (n->tries < 10 ? n->tries : 10), 8 * SECOND);
	n->tries++;
	n->trouble_ns = w->now;
}

static void delivered(struct world *w, struct node *n)
{
	if (n->tries)
		n->trouble_ns = w->now;
	n->tries = 0;
}

/* move_ns while TO_NODE or TO_WATCHER is a try to send; AT_NODE, the node's turn to echo. */
static void move_beat(struct world *w, struct node *n)
{
	bool gone = !reachable(n) || lost(w, n);

	n->move_ns = NEVER;
	if (n->flight == AT_NODE) {
		if (n->condition == WELL && n->connected) {
			n->flight = TO_WATCHER;
			n->tries = 0;
			n->move_ns = w->now + travel(w);
		} else if (n->condition == FROZEN) {
			n->move_ns = n->until_ns;
		} else if (n->condition == CUT) {
			n->move_ns = n->until_ns + 1;
		}
		return;
	}
	if (gone) {
		try_again(w, n);
		return;
	}
	if (n->flight == TO_NODE) {
		host_acknowledges(w, n);
		n->acked_beat = true;
		n->flight = AT_NODE;
		delivered(w, n);
		n->move_ns = w->now + travel(w);
	} else {
		n->flight = IDLE;
		delivered(w, n);
		if (n->connected)
			mail(n, STEP_ANSWERED);
		host_acknowledges(w, n);
	}
}

static void probe_host(struct world *w, struct node *n)
{
	n->probe_ns = w->now + SECOND;
	if (n->flight == TO_NODE && !n->acked_beat)
		return;
	if (n->connected && reachable(n) && !lost(w, n))
		host_acknowledges(w, n);
}

static void send_data(struct world *w, struct node *n)
{
	n->data_ns = w->now + some_time(w, 200 * MS, 200 * SECOND);
	if (n->condition != WELL || !n->connected || n->lossy)
		return;
	mail(n, STEP_DATA);
	host_acknowledges(w, n);
}

/* ---- fate ---- */

static void set_condition(struct world *w, struct node *n, enum condition c, int64_t for_ns)
{
	n->condition = c;
	n->calm_before = !n->lossy && w->now - n->trouble_ns > n->rules.down_ns + 2 * afterglow(w);
	n->since_ns = w->now;
	n->until_ns = w->now + for_ns;
	n->trouble_ns = w->now;
	n->excused_before_ns = n->total_excused_ns;
}

static void break_connection(struct node *n, enum step_kind how)
{
	n->connected = false;
	n->flight = IDLE;
	n->move_ns = NEVER;
	mail(n, how);
}

static void suffer(struct world *w, struct node *n)
{
	switch (draw(w) >> 24 & 7) {
	case 0:
	case 1:
		w->result->freezes++;
		set_condition(w, n, FROZEN, some_time(w, 100 * MS, 30 * SECOND));
		return;
	case 2:
	case 3:
		set_condition(w, n, CUT, some_time(w, 100 * MS, 60 * SECOND));
		return;
	case 4:
		set_condition(w, n, KILLED, some_time(w, 50 * MS, 30 * SECOND));
		break_connection(n, STEP_GONE);
		if (draw(w) & 0x10000)
			mail(n, STEP_ANSWERED);
		return;
	case 5:
		set_condition(w, n, POWERLESS, some_time(w, 5 * SECOND, 120 * SECOND));
		return;
	case 6:
		set_condition(w, n, AWAY, some_time(w, SECOND, 60 * SECOND));
		mail(n, STEP_LEAVE);
		break_connection(n, STEP_GONE);
		return;
	default:
		set_condition(w, n, WELL, 60 * SECOND);
		n->lossy = true;
	}
}

static void recover(struct world *w, struct node *n)
{
	bool anew = n->condition == KILLED || n->condition == POWERLESS || n->condition == AWAY;

	if (anew || n->connected == false)
		n->reconnect_ns = w->now + between(w, 1 * MS, 3 * SECOND);
	if (anew)
		n->connected = false;
	n->lossy = false;
	set_condition(w, n, WELL, some_time(w, 10 * SECOND, 600 * SECOND));
}

static void turn_of_fate(struct world *w, struct node *n)
{
	if (n->condition == WELL && !n->lossy)
		suffer(w, n);
	else
		recover(w, n);
}

static void reconnect(struct world *w, struct node *n)
{
	n->reconnect_ns = NEVER;
	if (n->condition != WELL || w->now < w->absent_until) {
		n->reconnect_ns = w->now + 500 * MS;
		return;
	}
	n->connected = true;
	n->flight = IDLE;
	n->tries = 0;
	n->move_ns = NEVER;
	n->trouble_ns = w->now;
	host_acknowledges(w, n);
	mail(n, STEP_CONNECTED);
}

/* ---- what happens to the watcher himself ---- */

static void suspend_watcher(struct world *w)
{
	int64_t length = some_time(w, 20 * MS, 60 * SECOND);

	w->next_pause_ns = w->now + some_time(w, 20 * SECOND, 600 * SECOND);
	w->result->pauses++;
	if (draw(w) & 0x10000)
		w->offset += length;
	else
		w->absent_until = w->now + length;
}

static void forget(struct world *w, struct node *n)
{
	bool expected = n->known_connected || n->awaited || (!n->left && n->s.state == STEP_DOWN);

	step_init(&n->s, &n->rules);
	n->known_connected = n->awaited = n->left = false;
	n->connected = false;
	n->outstanding = false;
	n->waiting = 0;
	n->flight = IDLE;
	n->move_ns = n->probe_ns = NEVER;
	n->beat_ns = n->due_ns = NEVER;
	n->trouble_ns = w->now;
	if (expected)
		feed(w, n, STEP_AWAITED);
	n->due_ns = n->s.next_ns;
	if (n->condition == WELL || n->condition == FROZEN || n->condition == CUT)
		n->reconnect_ns = w->now + between(w, 1 * MS, 8 * SECOND);
}

static void restart_watcher(struct world *w)
{
	w->result->restarts++;
	w->next_restart_ns = w->now + some_time(w, 200 * SECOND, 2000 * SECOND);
	w->absent_until = 0;
	for (int i = 0; i < w->n; i++)
		forget(w, &w->node[i]);
}

/* ---- the run of time ---- */

static int64_t watcher_due(const struct world *w, const struct node *n)
{
	int64_t due = earlier(n->beat_ns, n->s.next_ns);

	if (n->waiting)
		return later(w->now, w->absent_until);
	return due == NEVER ? NEVER : later(due - w->offset, w->absent_until);
}

static int64_t next_of(const struct world *w, const struct node *n)
{
	int64_t a = earlier(earlier(n->until_ns, n->move_ns), earlier(n->data_ns, n->probe_ns));

	return earlier(earlier(a, n->reconnect_ns), watcher_due(w, n));
}

static void live(struct world *w, struct node *n)
{
	if (w->now >= n->until_ns)
		turn_of_fate(w, n);
	if (w->now >= n->move_ns)
		move_beat(w, n);
	if (w->now >= n->data_ns)
		send_data(w, n);
	if (w->now >= n->probe_ns)
		probe_host(w, n);
	if (w->now >= n->reconnect_ns)
		reconnect(w, n);
	if (w->now >= watcher_due(w, n))
		watch(w, n);
	else if (w->now >= w->absent_until)
		check_state(w, n);
}

static int first_of(const struct world *w)
{
	int first = 0;

	for (int i = 1; i < w->n; i++)
		if (w->key[i] < w->key[first])
			first = i;
	return first;
}

static void refresh_keys(struct world *w)
{
	for (int i = 0; i < w->n; i++)
		w->key[i] = next_of(w, &w->node[i]);
}

static bool disturb_watcher(struct world *w, int64_t at)
{
	int64_t event = earlier(w->next_pause_ns, w->next_restart_ns);

	if (event > at)
		return false;
	w->now = later(w->now, event);
	if (event == w->next_restart_ns)
		restart_watcher(w);
	else
		suspend_watcher(w);
	refresh_keys(w);
	return true;
}

static void make_node(struct world *w, struct node *n)
{
	static const unsigned downs[] = {6, 6, 5, 4};

	n->rules = step_rules_make(w->interval_ns, 2, downs[draw(w) >> 30 & 3]);
	n->rules.grace_ns = 10 * SECOND;
	n->rules.busy_turns_down = draw(w) & 0x10000;
	step_init(&n->s, &n->rules);
	n->beat_ns = n->due_ns = n->move_ns = n->probe_ns = NEVER;
	n->data_ns = between(w, SECOND, 200 * SECOND);
	n->reconnect_ns = between(w, 0, SECOND);
	set_condition(w, n, WELL, some_time(w, 10 * SECOND, 600 * SECOND));
}

static void make_world(struct world *w, uint64_t seed)
{
	static const int64_t intervals[] = {500 * MS, 1000 * MS, 2000 * MS, 1000 * MS};

	w->random = (seed + 1) * UINT64_C(0x9e3779b97f4a7c15);
	for (int i = 0; i < 8; i++)
		draw(w);
	w->n = (int)between(w, 20, 24);
	w->interval_ns = intervals[draw(w) >> 30 & 3];
	w->delay_ns = some_time(w, 100000, 200 * MS);
	w->jitter_ns = between(w, 0, w->delay_ns * 3 / 4);
	w->loss_permille = draw(w) & 0x10000 ? 0 : (unsigned)between(w, 1, 50);
	w->next_pause_ns = some_time(w, 20 * SECOND, 600 * SECOND);
	w->next_restart_ns = some_time(w, 200 * SECOND, 2000 * SECOND);
	for (int i = 0; i < w->n; i++)
		make_node(w, &w->node[i]);
}

void simulate(uint64_t seed, int64_t duration_ns, step_function *decide, struct simulation_result *ret_result)
{
	static struct world w;
	int i;

	memset(&w, 0, sizeof w);
	memset(ret_result, 0, sizeof *ret_result);
	w.decide = decide;
	w.result = ret_result;
	make_world(&w, seed);
	refresh_keys(&w);
	while (w.now < duration_ns) {
		i = first_of(&w);
		if (disturb_watcher(&w, w.key[i]))
			continue;
		w.now = later(w.now, w.key[i]);
		live(&w, &w.node[i]);
		w.key[i] = next_of(&w, &w.node[i]);
	}
}
