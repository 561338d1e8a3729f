/* SPDX-License-Identifier: Apache-2.0 */
#include "heartbeat/step.h"

#define NEVER INT64_MAX

struct verdict {
	enum step_state state;
	enum step_reason reason;
	int64_t next_ns;
};

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static int64_t later(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

/* An acknowledgement speaks for the host alone only if it is newer than the program's last sign and than our
 * oldest open question; else the silence began after it. */
static bool host_answers(const struct step *s, const struct step_rules *r, int64_t now)
{
	return !r->acks_suffice && s->acked_ns > s->heard_ns && s->acked_ns >= s->asked_ns &&
	       now - s->acked_ns < r->ack_ns;
}

static struct verdict judge_busy(const struct step *s, const struct step_rules *r, int64_t now)
{
	int64_t stale = s->acked_ns + r->ack_ns, limit = s->heard_ns + r->down_ns;

	if (!r->busy_turns_down)
		return (struct verdict){STEP_BUSY, STEP_HOST_ANSWERS, stale};
	if (now < limit)
		return (struct verdict){STEP_BUSY, STEP_HOST_ANSWERS, earlier(stale, limit)};
	return (struct verdict){STEP_DOWN, STEP_STOPPED, stale};
}

static struct verdict judge_silent(const struct step *s, const struct step_rules *r, int64_t now)
{
	int64_t limit = (r->busy_turns_down ? s->heard_ns : s->acked_ns) + r->down_ns;

	if (now < limit)
		return (struct verdict){STEP_LATE, STEP_SILENT, limit};
	return (struct verdict){STEP_DOWN, STEP_SILENT, NEVER};
}

static struct verdict judge_connected(const struct step *s, const struct step_rules *r, int64_t now)
{
	int64_t sign = r->acks_suffice ? later(s->heard_ns, s->acked_ns) : s->heard_ns;

	if (r->interval_ns == 0)
		return (struct verdict){STEP_NOT_WATCHED, STEP_NO_REASON, NEVER};
	if (now - sign < r->late_ns)
		return (struct verdict){
		    STEP_UP, sign == s->heard_ns ? STEP_ANSWERS : STEP_HOST_ANSWERS, sign + r->late_ns};
	return host_answers(s, r, now) ? judge_busy(s, r, now) : judge_silent(s, r, now);
}

static struct verdict judge_awaited(const struct step *s, const struct step_rules *r, int64_t now)
{
	if (now >= s->grace_end_ns)
		return (struct verdict){STEP_DOWN, STEP_NEVER_RETURNED, NEVER};
	return (struct verdict){
	    r->interval_ns ? STEP_LATE : STEP_NOT_WATCHED, STEP_STILL_AWAITED, s->grace_end_ns};
}

static struct verdict judge(const struct step *s, const struct step_rules *r, int64_t now)
{
	if (s->connected)
		return judge_connected(s, r, now);
	if (s->grace_end_ns >= 0)
		return judge_awaited(s, r, now);
	return (struct verdict){s->state, s->reason, NEVER};
}

static void hear(struct step *s, int64_t now)
{
	s->heard_ns = now;
	s->acked_ns = now;
}

static void connect_anew(struct step *s, int64_t now)
{
	s->connected = true;
	s->asked_ns = -1;
	s->grace_end_ns = -1;
	hear(s, now);
}

static void end(struct step *s, enum step_state state, enum step_reason reason)
{
	s->connected = false;
	s->asked_ns = -1;
	s->grace_end_ns = -1;
	s->state = state;
	s->reason = reason;
}

/* Nothing is moved past now: a sign from the future would hide a silence. */
static void extend(struct step *s, int64_t now, int64_t pause)
{
	s->heard_ns = earlier(s->heard_ns + pause, now);
	s->acked_ns = later(s->heard_ns, earlier(s->acked_ns + pause, now));
	if (s->asked_ns >= 0)
		s->asked_ns = earlier(s->asked_ns + pause, now);
	if (s->grace_end_ns >= 0)
		s->grace_end_ns += pause;
}

static void take_connected(struct step *s, int64_t now, const struct step_input *in)
{
	switch (in->kind) {
	case STEP_BEAT_SENT:
		if (s->asked_ns < 0)
			s->asked_ns = now;
		return;
	case STEP_ANSWERED:
		s->asked_ns = -1;
		hear(s, now);
		return;
	case STEP_DATA:
		hear(s, now);
		return;
	case STEP_ACKED:
		s->acked_ns = later(s->acked_ns, earlier(in->at_ns, now));
		return;
	case STEP_GONE:
		end(s, STEP_DOWN, STEP_CLOSED);
		return;
	case STEP_LOST:
		end(s, STEP_DOWN, STEP_UNREACHABLE);
		return;
	default:
		return;
	}
}

static void take(struct step *s, const struct step_rules *r, int64_t now, const struct step_input *in)
{
	switch (in->kind) {
	case STEP_CONNECTED:
		connect_anew(s, now);
		return;
	case STEP_LEAVE:
		end(s, STEP_LEFT, STEP_SAID_LEAVE);
		return;
	case STEP_PAUSED:
		extend(s, now, in->pause_ns);
		return;
	case STEP_AWAITED:
		if (!s->connected)
			s->grace_end_ns = now + r->grace_ns;
		return;
	default:
		if (s->connected)
			take_connected(s, now, in);
	}
}

void step_init(struct step *s, const struct step_rules *rules)
{
	*s = (struct step){.state = STEP_NOT_WATCHED, .next_ns = NEVER, .asked_ns = -1, .grace_end_ns = -1};
}

bool step(struct step *s, const struct step_rules *rules, int64_t now_ns, const struct step_input *in)
{
	enum step_state state = s->state;
	enum step_reason reason = s->reason;
	struct verdict v;

	take(s, rules, now_ns, in);
	v = judge(s, rules, now_ns);
	/* What came in meanwhile is still unread: nobody is judged before the next tick. */
	if (in->kind == STEP_PAUSED && (v.state != state || v.reason != reason))
		v = (struct verdict){state, reason, now_ns + 1};
	s->state = v.state;
	s->reason = v.reason;
	s->next_ns = v.next_ns;
	if (v.reason == STEP_NEVER_RETURNED)
		s->grace_end_ns = -1;
	return state != s->state || reason != s->reason;
}

struct step_rules step_rules_make(int64_t interval_ns, unsigned late_beats, unsigned down_beats)
{
	/* Keepalive, which keeps acknowledgements coming, cannot ask more often than once a second. */
	const int64_t second = 1000000000, slack = second / 2;
	struct step_rules r = {.interval_ns = interval_ns,
	    .late_ns = interval_ns * late_beats,
	    .down_ns = interval_ns * down_beats};

	r.ack_ns = later(r.late_ns, second) + later(interval_ns, slack);
	return r;
}

const char *step_state_name(enum step_state s)
{
	static const char *const name[] = {[STEP_NOT_WATCHED] = "not watched",
	    [STEP_UP] = "up",
	    [STEP_BUSY] = "busy",
	    [STEP_LATE] = "late",
	    [STEP_DOWN] = "down",
	    [STEP_LEFT] = "left"};

	return name[s];
}

const char *step_reason_text(enum step_reason r)
{
	static const char *const text[] = {[STEP_NO_REASON] = "",
	    [STEP_ANSWERS] = "answers",
	    [STEP_HOST_ANSWERS] = "program silent, host answers",
	    [STEP_SILENT] = "silent",
	    [STEP_STOPPED] = "stopped, host answers",
	    [STEP_CLOSED] = "connection closed",
	    [STEP_UNREACHABLE] = "unreachable",
	    [STEP_SAID_LEAVE] = "took its leave",
	    [STEP_NEVER_RETURNED] = "did not return after our restart",
	    [STEP_STILL_AWAITED] = "awaited after our restart"};

	return text[r];
}
