/* SPDX-License-Identifier: Apache-2.0 */
/* What this daemon knows: nodes, their monitors, and the newest whole period of each.
 *
 * Owns all of it. Changed only between two turns of a stanza, so whoever reads sees whole periods. Times named
 * `_ns` are the node's wall clock where they come from a period, else this daemon's monotonic clock.
 */
#ifndef VIGIA_HEALTH_CLUSTER_H
#define VIGIA_HEALTH_CLUSTER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/config.h"
#include "base/limits.h"
#include "base/names.h"
#include "base/value.h"
#include "proto/id.h"
#include "heartbeat/step.h"
#include "history/history.h"

struct peer;
struct recent;
struct ask;
struct watch;

enum monitor_state { MONITOR_CURRENT, MONITOR_LATE, MONITOR_GONE, MONITOR_OLD };

struct monitor {
	char *name;
	struct node *node;
	unsigned id;
	bool connected;	      /* to its node */
	int64_t connected_ns; /* monotonic: since when */
	bool told_late;	      /* the event has been given */
	bool told_gone;	      /* likewise; by its node */
	bool removed;	      /* its node wants it no more: in no live view; its history stays */
	struct peer *link;    /* here, when it is ours */
	struct config *config; /* NULL until it described itself */
	struct value *values;
	unsigned generation;  /* of the config, as its sender counts */
	int64_t link_sequence; /* on its own connection: the last one; 0: a full row must come */
	struct history_position at; /* of the values; boot 0: none yet */
	int64_t time_ns;	    /* when they were measured */
	int64_t arrived_ns;	    /* monotonic; 0: loaded from history */
	struct history_monitor *history; /* NULL: no history kept */
	struct history_position committed, acked;
	uint64_t lost; /* periods that the disk did not take, to be said with the next ack */
	struct monitor *next_unacked;
	struct recent *recent; /* ours: what masters may have missed */
	struct ask *asks;      /* ours: update queries under way */
	char secret_hash[65];  /* ours: of a monitor that came by itself; "": none */
	bool started;	       /* by this daemon */
};

struct node {
	char *name;
	unsigned id;
	bool self;
	struct names monitors;
	struct peer *link; /* when it is connected here */
	struct step step;
	int64_t since_ns, heard_ns; /* wall: state's change; last sign */
	struct watch *watch;
	const char *transport; /* of beats: "urgent", "in-band", "none", "local" */
	bool wants_beats;
	int64_t awake_ns; /* monotonic: when it, or this daemon, last stood still: no monitor is blamed for that */
	struct host_id host; /* as it said, or as its name says after our restart; of none until then */
	uint64_t announced;  /* the asker that said so; 0: nobody in this life */
	int64_t boot;
	int64_t send_ns; /* how often it sends; on top of a monitor's period until late */
	bool on_request;
	char secret_hash[65];
	struct ask *asks;
	/* as told at registration, for people */
	char system[160], machine[65], version[16];
	int64_t processors, memory;
};

struct cluster {
	struct names nodes;
	struct limits *limits; /* that count them */
	struct node *self;
	unsigned next_node_id;
	struct config **configs; /* known, by digest: hosts that measure alike share one */
	size_t configs_n, configs_size;
	uint64_t monitors_n, metrics_n;
};

/* The node `self` is made at once. 0 or -ENOMEM. limits are borrowed. */
int cluster_init(struct cluster *c, const char *self, struct limits *limits);
void cluster_release(struct cluster *c);

/* The node so named, made when new (down, not watched). NULL: no memory. */
struct node *cluster_node(struct cluster *c, const char *name);
void cluster_forget(struct cluster *c, struct node *n);
struct node *cluster_find(const struct cluster *c, const char *name);
/* The node's monitor so named, made when new. NULL: no memory. */
struct monitor *cluster_monitor(struct cluster *c, struct node *n, const char *name);

/* The known config equal to this one (which is unreferenced), or this one, now known. Never NULL. */
struct config *cluster_intern(struct cluster *c, struct config *config);
/* The known config of that digest, or NULL; not referenced. */
struct config *cluster_config(const struct cluster *c, uint64_t digest);
/* From now on m's values follow config (which is referenced); values of metrics that stay are kept. */
int monitor_describe(struct cluster *c, struct monitor *m, struct config *config, unsigned generation);

enum monitor_state monitor_state(const struct monitor *m, int64_t now_ns);
/* Silent for longer than it may be, counted from `since_ns` at the earliest. */
bool monitor_is_overdue(const struct monitor *m, int64_t since_ns, int64_t now_ns);
const char *monitor_state_name(enum monitor_state s);
bool node_present(const struct node *n);

#endif
