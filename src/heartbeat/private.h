/* SPDX-License-Identifier: Apache-2.0 */
/* What heartbeat.c and thread.c share. */
#ifndef VIGIA_HEARTBEAT_PRIVATE_H
#define VIGIA_HEARTBEAT_PRIVATE_H

#include <string.h>

#include "heartbeat/heartbeat.h"
#include "heartbeat/probe.h"
#include "heartbeat/witness.h"

/* What a beat touches comes first and fills three cache lines: with thousands of connections that is the
 * price. */
struct heartbeat {
	struct step step;
	int64_t due_ns; /* what heartbeat_next() said last */

	int64_t beat_ns; /* watching: the next beat; answering: the next look at a silent one */
	int64_t look_ns; /* while marked or owing: look again */
	int64_t sent_ns;
	struct heartbeat_counts counts;
	struct heartbeat_thread *thread;
	int fd;
	uint32_t slot;	   /* thread.c */
	uint8_t transport; /* enum heartbeat_transport */
	bool watching;
	bool busy_turns_down;
	bool outstanding; /* our beat is unanswered */
	bool owes;	  /* a byte of ours should be out and found no room or no passed mark */
	bool marked;	  /* an urgent byte is here that our reader has not passed */
	bool asking;	  /* keepalive is ours; `before` is the owner's */
	bool news;

	int64_t interval_ns;
	struct step_rules rules;
	void (*changed)(struct heartbeat *h, void *owner);

	int (*write_beat)(struct heartbeat *h, void *owner);
	void *owner;
	struct probe probe;
	struct witness_keepalive before;
	uint32_t acked;
	unsigned late_beats, down_beats;
};

/* All take NULL. */
void heartbeat_thread_lock(struct heartbeat_thread *t);
void heartbeat_thread_unlock(struct heartbeat_thread *t);
void heartbeat_thread_rearm(struct heartbeat_thread *t, struct heartbeat *h);

#endif
