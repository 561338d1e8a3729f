/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>

#include "heartbeat/private.h"
#include "heartbeat/urgent.h"

#define MS ((int64_t)1000000)
#define NEVER INT64_MAX

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static int64_t within(int64_t x, int64_t low, int64_t high)
{
	return x < low ? low : earlier(x, high);
}

static void feed(struct heartbeat *h, int64_t now, const struct step_input *in)
{
	h->news |= step(&h->step, &h->rules, now, in);
}

static void feed_kind(struct heartbeat *h, int64_t now, enum step_kind kind)
{
	feed(h, now, &(struct step_input){.kind = kind});
}

static void pause_for(struct heartbeat *h, int64_t now, int64_t ns)
{
	feed(h, now, &(struct step_input){.kind = STEP_PAUSED, .pause_ns = ns});
}

static bool ended(const struct heartbeat *h)
{
	return !h->step.connected;
}

static void ask_host(struct heartbeat *h)
{
	if (h->asking)
		return;
	witness_ask(h->fd, &h->before);
	h->asking = true;
}

static void stop_asking_host(struct heartbeat *h)
{
	if (!h->asking)
		return;
	witness_rest(h->fd, &h->before);
	h->asking = false;
}

static void end(struct heartbeat *h, int64_t now, int error)
{
	bool gave_up = error && error != -ECONNRESET && error != -EPIPE && error != -ENOTCONN;

	feed_kind(h, now, gave_up ? STEP_LOST : STEP_GONE);
}

static void heard(struct heartbeat *h, int64_t now, enum step_kind kind)
{
	feed_kind(h, now, kind);
	if (h->transport != HEARTBEAT_ACKS)
		stop_asking_host(h);
	if (!h->watching)
		h->beat_ns = NEVER;
}

static int64_t pulse(const struct heartbeat *h)
{
	return h->interval_ns ? h->interval_ns : 1000 * MS;
}

static int64_t look_again(const struct heartbeat *h, int64_t now)
{
	return now + within(pulse(h) / 4, 10 * MS, 250 * MS);
}

static int64_t kernel_says(const struct heartbeat *h, const struct witness *w, int64_t now)
{
	if (w->owes_nothing)
		return now;
	return w->all_acked && w->at_ns < h->step.asked_ns ? h->step.asked_ns : w->at_ns;
}

/* A beat that found no room while the other side still takes in our data was never a question. */
static void excuse_unasked(struct heartbeat *h, int64_t now, uint32_t acked)
{
	if (h->watching && h->owes && acked != h->acked)
		pause_for(h, now, pulse(h));
	h->acked = acked;
}

static void look_at_host(struct heartbeat *h, int64_t now)
{
	struct witness w;

	if (witness_look(h->fd, now, &w) < 0)
		return;
	if (w.ended) {
		end(h, now, w.gave_up ? -ETIMEDOUT : 0);
		return;
	}
	ask_host(h);
	excuse_unasked(h, now, w.acked);
	feed(h, now, &(struct step_input){.kind = STEP_ACKED, .at_ns = kernel_says(h, &w, now)});
}

static int send_beat(struct heartbeat *h)
{
	if (h->transport == HEARTBEAT_URGENT)
		return urgent_send(h->fd);
	return h->write_beat(h, h->owner) < 0 ? -EAGAIN : 0;
}

static void beat_sent(struct heartbeat *h, int64_t now)
{
	h->owes = false;
	h->counts.sent++;
	if (!h->watching)
		return;
	h->outstanding = true;
	h->sent_ns = now;
	feed_kind(h, now, STEP_BEAT_SENT);
}

static void try_to_send(struct heartbeat *h, int64_t now)
{
	int r = send_beat(h);

	if (r == 0)
		beat_sent(h, now);
	else if (r == -EAGAIN)
		h->look_ns = look_again(h, now);
	else
		end(h, now, r);
}

static void echo_arrived(struct heartbeat *h, int64_t now)
{
	if (!h->outstanding)
		return;
	h->outstanding = false;
	h->counts.received++;
	h->counts.round_trip_ns = now - h->sent_ns;
	heard(h, now, STEP_ANSWERED);
}

static void beat_arrived(struct heartbeat *h, int64_t now)
{
	h->rules.interval_ns = h->interval_ns;
	h->counts.received++;
	h->owes = true;
	h->look_ns = now;
	heard(h, now, STEP_ANSWERED);
}

static void arrived(struct heartbeat *h, int64_t now)
{
	if (h->watching)
		echo_arrived(h, now);
	else
		beat_arrived(h, now);
}

/* The other side spoke as soon as its byte is here; we may speak again once our reader is past it. */
static void take_mark(struct heartbeat *h, int64_t now, bool is_new)
{
	int mark = urgent_pass(h->fd);

	if (mark < 0) {
		end(h, now, mark);
		return;
	}
	if (is_new)
		arrived(h, now);
	h->marked = mark == URGENT_STANDING;
	if (h->marked)
		h->look_ns = look_again(h, now);
}

static void begin(struct heartbeat *h, enum heartbeat_transport transport, int64_t now);

static void settle_probe(struct heartbeat *h, short revents, int64_t now)
{
	switch (probe_handle(&h->probe, revents, now)) {
	case PROBE_PENDING:
		return;
	case PROBE_BROKEN:
		end(h, now, 0);
		return;
	case PROBE_URGENT:
		begin(h, HEARTBEAT_URGENT, now);
		break;
	default:
		begin(h, h->write_beat ? HEARTBEAT_IN_BAND : HEARTBEAT_ACKS, now);
	}
	h->news = true;
}

/* Not all connections beat together, but neighbours do, whenever they began: of thousands, a loop wakes for
 * many at a time, and those made together lie together in memory, the kernel's too, which is a sixth of what
 * a beat costs. */
static int64_t first_beat(const struct heartbeat *h, int64_t now)
{
	uint32_t slot = ((uint32_t)h->fd / 16) * 2654435761U >> 24;
	int64_t at = now - now % h->interval_ns + h->interval_ns / 256 * slot;

	return at < now ? at + h->interval_ns : at;
}

static void begin(struct heartbeat *h, enum heartbeat_transport transport, int64_t now)
{
	bool judges = transport == HEARTBEAT_ACKS || (h->watching && transport != HEARTBEAT_PROBE);

	h->transport = (uint8_t)transport;
	h->rules = step_rules_make(h->interval_ns, h->late_beats, h->down_beats);
	h->rules.busy_turns_down = h->busy_turns_down;
	h->rules.acks_suffice = transport == HEARTBEAT_ACKS;
	if (transport == HEARTBEAT_ACKS) {
		h->rules.late_ns = within(h->rules.late_ns, 3000 * MS, NEVER);
		h->rules.down_ns = within(h->rules.down_ns, 10000 * MS, NEVER);
	}
	if (!judges || transport == HEARTBEAT_OFF)
		h->rules.interval_ns = 0;
	feed_kind(h, now, STEP_CONNECTED);
	h->beat_ns = h->rules.interval_ns ? first_beat(h, now) : NEVER;
	h->look_ns = NEVER;
}

static void look_at_mark(struct heartbeat *h, int64_t now)
{
	if (h->marked)
		take_mark(h, now, false);
	if (h->owes && !h->marked && !ended(h))
		try_to_send(h, now);
}

static void beat(struct heartbeat *h, int64_t now)
{
	h->beat_ns += pulse(h) * ((now - h->beat_ns) / pulse(h) + 1);
	if (h->transport == HEARTBEAT_ACKS || !h->watching || h->outstanding || h->owes) {
		look_at_host(h, now);
		return;
	}
	if (h->marked) {
		/* The answer to our last beat is unread: it is our own reader who keeps us from asking. */
		pause_for(h, now, pulse(h));
		return;
	}
	h->owes = true;
	try_to_send(h, now);
}

static void judge(struct heartbeat *h, int64_t now)
{
	look_at_host(h, now);
	feed_kind(h, now, STEP_TICK);
	if (h->beat_ns == NEVER && !ended(h))
		h->beat_ns = now + pulse(h);
}

static void notice_own_pause(struct heartbeat *h, int64_t now)
{
	const int64_t least = 20 * MS;

	if (now - least <= h->due_ns)
		return;
	if (now - h->due_ns > within(pulse(h) / 4, least, 1000 * MS))
		pause_for(h, now, now - h->due_ns);
}

static void on_socket(struct heartbeat *h, short revents, int64_t now)
{
	struct witness w;

	if (h->transport == HEARTBEAT_URGENT && revents & POLLPRI)
		take_mark(h, now, !h->marked);
	if (revents & (POLLHUP | POLLERR | POLLRDHUP) && !ended(h) && witness_look(h->fd, now, &w) == 0 &&
	    w.ended)
		end(h, now, w.gave_up ? -ETIMEDOUT : 0);
}

/* Without our echo no beat comes: a silence of our own making. */
static void excuse_unanswered(struct heartbeat *h, int64_t now)
{
	if (!h->watching && (h->marked || h->owes))
		pause_for(h, now, look_again(h, now) - now);
}

static void look(struct heartbeat *h, int64_t now)
{
	look_at_mark(h, now);
	if (!ended(h))
		excuse_unanswered(h, now);
}

static void on_time(struct heartbeat *h, int64_t now)
{
	if ((h->marked || h->owes) && now >= h->look_ns)
		look(h, now);
	if (!ended(h) && now >= h->beat_ns)
		beat(h, now);
	if (!ended(h) && now >= h->step.next_ns)
		judge(h, now);
}

static int64_t due(const struct heartbeat *h)
{
	if (ended(h))
		return NEVER;
	if (h->transport == HEARTBEAT_PROBE)
		return h->probe.deadline_ns;
	return earlier(earlier(h->beat_ns, h->step.next_ns), h->marked || h->owes ? h->look_ns : NEVER);
}

static void enter(struct heartbeat *h)
{
	heartbeat_thread_lock(h->thread);
}

/* Last in every call: changed() may free h. */
static void leave(struct heartbeat *h)
{
	struct heartbeat_thread *t = h->thread;

	h->due_ns = due(h);
	heartbeat_thread_rearm(t, h);
	if (h->news) {
		h->news = false;
		if (h->changed)
			h->changed(h, h->owner);
	}
	heartbeat_thread_unlock(t);
}

static int sane(const struct heartbeat_config *c)
{
	unsigned late = c->late_beats ? c->late_beats : 2, down = c->down_beats ? c->down_beats : 6;
	bool off = c->transport == HEARTBEAT_OFF;

	if (c->transport > HEARTBEAT_PROBE || c->interval_ns < 0 || c->interval_ns > 86400000 * MS)
		return -EINVAL;
	if (late >= down || down > 1000000 || (c->transport == HEARTBEAT_IN_BAND && !c->write_beat))
		return -EINVAL;
	return off || c->interval_ns == 0 || c->interval_ns >= 10 * MS ? 0 : -EINVAL;
}

static int start_probe(struct heartbeat *h, int64_t now)
{
	struct witness w;
	int r = witness_look(h->fd, now, &w);

	if (r < 0)
		return r;
	if (!w.virgin)
		return -EOPNOTSUPP;
	if (h->watching)
		return probe_dial(&h->probe, h->fd, now);
	r = probe_accept(&h->probe, h->fd, now);
	h->probe.agreed = true;
	return r;
}

static int start(struct heartbeat *h, enum heartbeat_transport transport, int64_t now)
{
	struct witness w;
	int r = 0;

	if (transport == HEARTBEAT_URGENT)
		r = urgent_usable(h->fd);
	else if (transport == HEARTBEAT_ACKS)
		r = witness_look(h->fd, now, &w);
	else if (transport == HEARTBEAT_PROBE)
		r = start_probe(h, now);
	if (r < 0)
		return r;
	begin(h, transport, now);
	h->due_ns = due(h);
	h->news = false;
	return 0;
}

static int create(int fd, const struct heartbeat_config *c, void *owner, int64_t now, bool watching,
    struct heartbeat **ret_h)
{
	struct heartbeat *h;
	int r = sane(c);

	if (r < 0)
		return r;
	if (posix_memalign((void **)&h, 64, sizeof *h))
		return -ENOMEM;
	*h = (struct heartbeat){0};
	h->fd = fd;
	h->watching = watching;
	h->interval_ns = c->transport == HEARTBEAT_OFF ? 0 : c->interval_ns;
	h->late_beats = c->late_beats ? c->late_beats : 2;
	h->down_beats = c->down_beats ? c->down_beats : 6;
	h->busy_turns_down = c->busy_turns_down;
	h->changed = c->changed;
	h->write_beat = c->write_beat;
	h->owner = owner;
	h->counts.round_trip_ns = -1;
	step_init(&h->step, &h->rules);
	r = start(h, c->interval_ns || !watching ? c->transport : HEARTBEAT_OFF, now);
	if (r < 0) {
		free(h);
		return r;
	}
	*ret_h = h;
	return 0;
}

int heartbeat_watch(
    int fd, const struct heartbeat_config *config, void *owner, int64_t now_ns, struct heartbeat **ret_h)
{
	return create(fd, config, owner, now_ns, true, ret_h);
}

int heartbeat_answer(
    int fd, const struct heartbeat_config *config, void *owner, int64_t now_ns, struct heartbeat **ret_h)
{
	return create(fd, config, owner, now_ns, false, ret_h);
}

void heartbeat_free(struct heartbeat *h)
{
	if (!h)
		return;
	if (h->thread)
		heartbeat_thread_drop(h->thread, h);
	stop_asking_host(h);
	free(h);
}

short heartbeat_events(const struct heartbeat *h)
{
	if (ended(h))
		return 0;
	if (h->transport == HEARTBEAT_PROBE)
		return probe_events(&h->probe);
	return h->transport == HEARTBEAT_URGENT && !h->marked ? POLLPRI : 0;
}

int64_t heartbeat_next(const struct heartbeat *h)
{
	return h->due_ns;
}

void heartbeat_handle(struct heartbeat *h, short revents, int64_t now_ns)
{
	enter(h);
	notice_own_pause(h, now_ns);
	if (h->transport == HEARTBEAT_PROBE && !ended(h))
		settle_probe(h, revents, now_ns);
	else if (!ended(h))
		on_socket(h, revents, now_ns);
	if (!ended(h))
		on_time(h, now_ns);
	leave(h);
}

void heartbeat_data(struct heartbeat *h, int64_t now_ns)
{
	enter(h);
	notice_own_pause(h, now_ns);
	heard(h, now_ns, STEP_DATA);
	if (!ended(h) && (h->marked || h->owes))
		look_at_mark(h, now_ns);
	leave(h);
}

void heartbeat_beat_seen(struct heartbeat *h, int64_t now_ns)
{
	enter(h);
	notice_own_pause(h, now_ns);
	/* The watcher's probe failed where ours succeeded: his word counts. */
	if (h->transport == HEARTBEAT_URGENT && !h->watching && h->write_beat)
		begin(h, HEARTBEAT_IN_BAND, now_ns);
	if (h->transport == HEARTBEAT_IN_BAND && !ended(h)) {
		arrived(h, now_ns);
		on_time(h, now_ns);
	}
	leave(h);
}

void heartbeat_left(struct heartbeat *h, int64_t now_ns)
{
	enter(h);
	feed_kind(h, now_ns, STEP_LEAVE);
	leave(h);
}

void heartbeat_closed(struct heartbeat *h, int error, int64_t now_ns)
{
	enter(h);
	if (!ended(h))
		end(h, now_ns, error);
	leave(h);
}

enum step_state heartbeat_state(const struct heartbeat *h)
{
	return h->step.state;
}

enum step_reason heartbeat_reason(const struct heartbeat *h)
{
	return h->step.reason;
}

enum heartbeat_transport heartbeat_transport(const struct heartbeat *h)
{
	return (enum heartbeat_transport)h->transport;
}

const char *heartbeat_transport_name(enum heartbeat_transport t)
{
	static const char *const name[] = {[HEARTBEAT_OFF] = "off",
	    [HEARTBEAT_URGENT] = "urgent",
	    [HEARTBEAT_IN_BAND] = "in-band",
	    [HEARTBEAT_ACKS] = "acks",
	    [HEARTBEAT_PROBE] = "probing"};

	return name[t];
}

void heartbeat_counts(const struct heartbeat *h, struct heartbeat_counts *ret_counts)
{
	*ret_counts = h->counts;
}

size_t heartbeat_strip(void *buf, size_t len)
{
	unsigned char *to = memchr(buf, HEARTBEAT_BYTE, len), *end_of = (unsigned char *)buf + len;

	if (!to)
		return len;
	for (unsigned char *from = to; from < end_of; from++)
		if (*from != HEARTBEAT_BYTE)
			*to++ = *from;
	return (size_t)(to - (unsigned char *)buf);
}
