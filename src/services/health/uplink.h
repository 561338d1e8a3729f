/* SPDX-License-Identifier: Apache-2.0 */
/* This node's side of a link to a master. uplink.c: the connection; cursor.c: what the master has of each monitor, and
 * what it is sent; replay.c: what is sent from disk. All on the loop.
 */
#ifndef VIGIA_HEALTH_UPLINK_H
#define VIGIA_HEALTH_UPLINK_H

#include "heartbeat/step.h"
#include "os/secret.h"
#include "services/health/health.h"
#include "services/health/recent.h"

struct heartbeat;
struct reach;

enum { PENDING_ENOUGH = 262144 }; /* bytes that wait for the master: no more is put before they have left */

/* A monitor as one master knows it. */
struct cursor {
	struct uplink *uplink;
	struct monitor *monitor;
	struct history_position sent;
	unsigned generation;   /* on this connection */
	struct config *config; /* announced; NULL: none */
	int64_t announce;      /* query under way */
	bool known, follows, replaying;
	bool gone;	       /* said so: announced anew when it is back */
	bool owed;	       /* its newest row was asked for and waits for `known` */
	bool skipping;	       /* rows that the master would refuse */
	int64_t boot;	       /* said last on this connection */
	struct cursor *next;
};

struct uplink {
	struct health *health;
	char *address;
	struct reach *reach;	/* an attempt under way */
	struct peer *candidate; /* we spoke first, it has not answered yet */
	struct peer *peer;	/* it answers; registered or about to be */
	struct peer *old[4];	/* replaced: they go when the master has taken us on the new one */
	bool candidate_urgent, registered, closing, refused;
	bool keeps_hosts; /* the master wants to know which host this is, and tells of all */
	bool expected; /* it was registered when masters were set, or is new */
	bool told; /* the master has answered the registration, on this connection */
	struct heartbeat *beats;
	struct step silence; /* the master's, as its beats and data are heard */
	struct step_rules rules;
	uv_timer_t retry, send, beat, silent;
	int handles; /* and replays, which hold it */
	int64_t wait_ms;
	int64_t reach_ns; /* the last attempt's begin */
	int64_t first_boot; /* our life in which this master first took us: it is owed all since */
	char secret[SECRET_SIZE]; /* that no disk would take; "": it is there */
	char why[240];	    /* not connected because */
	char master[64];
	struct host_id host; /* the master's, once it has told of itself */
	struct cursor *cursors;
	struct uplink *next;
};

/* --- uplink.c --- */
void uplink_hold(struct uplink *u);
void uplink_release(struct uplink *u);

/* --- cursor.c --- */
void cursors_register(struct uplink *u); /* announces every monitor */
/* The answer to the announcement `id`: the master has this config or wants it. */
void cursors_known(struct uplink *u, int64_t id, bool known);
/* The last period that the master has. */
void cursors_position(struct uplink *u, const struct msg *m);
void cursors_pump(struct uplink *u);
void cursors_forget_connection(struct uplink *u);
void cursors_free(struct uplink *u);
void cursor_pump(struct cursor *c);
/* Announces a config; data goes on when the master knows it. */
void cursor_announce(struct cursor *c, struct config *config);
/* False: not sent, the master would refuse it; told as lost. */
bool cursor_send(struct cursor *c, const struct recent_row *row);
/* What is no longer here is told as lost. */
void cursor_skip_to_recent(struct cursor *c);

/* --- replay.c --- */
/* Reads what follows c->sent from disk, on a worker, sends it and pumps again. */
void replay_start(struct cursor *c);

#endif
