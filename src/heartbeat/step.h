/* SPDX-License-Identifier: Apache-2.0 */
/* Is the other side alive? The deciding part: no clock, no socket, no memory of its own but struct step.
 *
 * Three witnesses are heard: the end of the connection (at once), beats that come back, and the kernel's word
 * on whether the other host still acknowledges (TCP_INFO). Feed what happened with the monotonic time it
 * happened; the answer is the state now and when to ask again. The same code runs in vigiad, in the library,
 * and in the simulation (step_test.c).
 *
 *   up           answers
 *   busy         the host acknowledges, the program does not answer (stopped, or occupied: the kernel cannot
 * tell) late         nothing within `late_ns`, also from the host; or awaited after our own restart down the
 * connection broke, or nothing within `down_ns` left         took its leave not watched  no beats here: only
 * the end of the connection and data count
 */
#ifndef VIGIA_HEARTBEAT_STEP_H
#define VIGIA_HEARTBEAT_STEP_H

#include <stdbool.h>
#include <stdint.h>

enum step_state { STEP_NOT_WATCHED, STEP_UP, STEP_BUSY, STEP_LATE, STEP_DOWN, STEP_LEFT };

/* Why the state is what it is, for people. */
enum step_reason {
	STEP_NO_REASON,
	STEP_ANSWERS,	   /* up */
	STEP_HOST_ANSWERS, /* busy: program silent, host acknowledges; up where `acks_suffice` */
	STEP_SILENT,	   /* late, down: neither program nor host heard of */
	STEP_STOPPED,	   /* down: program silent past the limit, host answers */
	STEP_CLOSED, /* down: FIN or RST without leave: the daemon is gone, its host was there to say so */
	STEP_UNREACHABLE,    /* down: the kernel gave the connection up (ETIMEDOUT, EHOSTUNREACH ...) */
	STEP_SAID_LEAVE,     /* left */
	STEP_NEVER_RETURNED, /* down: known from before our restart and not back within the grace */
	STEP_STILL_AWAITED,  /* late (or not watched): known from before our restart, the grace still runs */
};

/* Silence counts from the last sign: of the program, or (once busy_turns_down is false) of its host. */
struct step_rules {
	int64_t interval_ns;  /* between beats; 0: not watched */
	int64_t late_ns;      /* silence until late */
	int64_t down_ns;      /* silence until down; more than late_ns */
	int64_t ack_ns;	      /* an acknowledgement older than this no longer speaks for the host */
	int64_t grace_ns;     /* after our own start: how long an absent one is awaited */
	bool busy_turns_down; /* a daemon of ours never blocks: busy past down_ns is down */
	bool acks_suffice;    /* no beats are possible: an acknowledging host counts as up */
};

/* Late after `late_beats` intervals, down after `down_beats`; the rest is zero. At 0.5 s, 2, 6: 1 s and 3 s.
 */
struct step_rules step_rules_make(int64_t interval_ns, unsigned late_beats, unsigned down_beats);

enum step_kind {
	STEP_TICK,	/* time passed */
	STEP_CONNECTED, /* a connection of it was established (and replaces any earlier one) */
	STEP_AWAITED,	/* we just started; it was known before: the grace begins */
	STEP_BEAT_SENT, /* a beat went out */
	STEP_ANSWERED,	/* a beat came back */
	STEP_DATA,	/* data of its own making arrived */
	STEP_ACKED,	/* the kernel: the other host acknowledged at `at_ns` (TCP_INFO) */
	STEP_GONE,	/* the connection ended: FIN or RST */
	STEP_LOST,	/* the connection ended: the kernel gave up */
	STEP_LEAVE,	/* it said that it leaves */
	STEP_PAUSED, /* we ourselves were late or suspended for `pause_ns`, ending now: every deadline moves
			by it, and nobody is judged before the next tick, since what he sent is still unread
		      */
};

struct step_input {
	enum step_kind kind;
	int64_t at_ns;	  /* STEP_ACKED: when; else unused */
	int64_t pause_ns; /* STEP_PAUSED */
};

struct step {
	enum step_state state;
	enum step_reason reason;
	int64_t next_ns; /* ask again (STEP_TICK) at this time at the latest; INT64_MAX: no need */
	/* private */
	int64_t heard_ns;     /* last sign of the program */
	int64_t acked_ns;     /* last sign of the host */
	int64_t asked_ns;     /* oldest beat still unanswered; -1: none */
	int64_t grace_end_ns; /* -1: no grace */
	bool connected;
};

/* These two are for the simulation and for loops of one's own; the shared library keeps them to itself. */
void step_init(struct step *s, const struct step_rules *rules);
/* True when state or reason changed. `now_ns` never goes back. */
bool step(struct step *s, const struct step_rules *rules, int64_t now_ns, const struct step_input *in);

const char *step_state_name(enum step_state s);	  /* "not watched", "up", ... */
const char *step_reason_text(enum step_reason r); /* "stopped, host answers", ... */

#endif
