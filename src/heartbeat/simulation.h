/* SPDX-License-Identifier: Apache-2.0 */
/* An hour of a small cluster in some milliseconds: the shipped step(), an invented network, a virtual clock.
 *
 * Nodes freeze, die, restart, leave, are cut off; beats are delayed, lost and sent again as TCP does; the
 * watcher itself is suspended, its clock jumps, it restarts. Beside step() runs an oracle that keeps its own
 * account of who was heard of when. Every breach of an invariant is noted; the same seed gives the same hour.
 */
#ifndef VIGIA_HEARTBEAT_SIMULATION_H
#define VIGIA_HEARTBEAT_SIMULATION_H

#include <stdbool.h>
#include <stdint.h>

#include "heartbeat/step.h"

enum invariant {
	NOT_LATE_TOO_SOON,	  /* late or busy only after late_ns of silence, our pauses not counted */
	NOT_DOWN_TOO_SOON,	  /* down by silence only after down_ns of it */
	FINE_IS_NOT_DOWN,	  /* who was well for long is not called down, whatever delay and jitter */
	DEAD_IS_LATE_IN_TIME,	  /* who is silent is not up past late_ns */
	DEAD_IS_DOWN_IN_TIME,	  /* who is cut off or without power is down past down_ns */
	FROZEN_IS_BUSY,		  /* program stopped, host answering: busy, not late, not up */
	FROZEN_DAEMON_IS_DOWN,	  /* where busy turns down, it does past down_ns, as stopped */
	FROZEN_OTHER_IS_NOT_DOWN, /* where it does not, it never does */
	CUT_OFF_IS_NOT_BUSY,	  /* no host answers for who is cut off */
	END_IS_DOWN_AT_ONCE,
	CONNECTED_IS_UP_AT_ONCE, /* also after anything else, and replacing */
	LEAVE_IS_LEFT,		 /* and stays so until it connects */
	NOBODY_DOWN_IN_GRACE,
	ABSENT_IS_DOWN_AFTER_GRACE,
	PAUSE_MAKES_NOBODY_WORSE,
	CHANGE_HAS_CAUSE,   /* silence alone makes nobody better; only a connection revives the ended */
	CHANGE_IS_TOLD,	    /* step() returns true exactly when it changed something */
	NEXT_IS_NOT_MISSED, /* nothing changes with time alone before next_ns, and next_ns is ahead */
	INVARIANTS
};

const char *invariant_name(enum invariant i);

typedef bool step_function(
    struct step *s, const struct step_rules *rules, int64_t now_ns, const struct step_input *in);

struct breach {
	int64_t at_ns;
	int node;
	enum step_state state;
};

struct simulation_result {
	uint32_t breached; /* bit per invariant */
	struct breach first[INVARIANTS];
	uint64_t steps, beats, downs, freezes, restarts, pauses;
};

void simulate(
    uint64_t seed, int64_t duration_ns, step_function *decide, struct simulation_result *ret_result);

#endif
