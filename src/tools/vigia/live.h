/* SPDX-License-Identifier: Apache-2.0 */
/* A daemon watched: its nodes, what is wrong, and all about one host if wanted, kept new by subscriptions
 * over one connection, which is made anew when it breaks. Nothing here waits but the making of a connection.
 */
#ifndef VIGIA_TOOLS_LIVE_H
#define VIGIA_TOOLS_LIVE_H

#include "tools/vigia/fleet.h"
#include "tools/vigia/rate.h"

enum { LIVE_PAST = 60 };

/* One metric of the host that is watched. */
struct live_metric {
	char *name; /* MONITOR/METRIC */
	char *text; /* NULL: no value */
	char *unit; /* "" for texts */
	bool counter;
	double value;
	struct rate rate;	/* of a counter */
	double past[LIVE_PAST]; /* newest last; of a counter what it grew a second; NAN: none */
	struct live_monitor *monitor;
};

struct live {
	struct vigia *v;
	struct fleet fleet;
	bool ready;	 /* all has come once */
	int64_t lost_ns; /* wall clock: no daemon since; 0: there is one */
	char why[200];	 /* why there is none */
	char **problems;
	size_t problems_n;
	char host[64];	      /* watched; "": none */
	struct names metrics; /* of that host, struct live_metric */
	struct live_monitor *monitors;
	/* queries under way */
	int64_t nodes_id, problems_id, events_id, host_id, config_id;
	char **coming; /* problems of an answer that has not ended */
	size_t coming_n;
	bool fresh;	    /* something came that is to be shown at once: for who draws to take back */
	bool stale;	    /* nodes and problems: something happened since they were asked for */
	bool prefilled;	    /* rates, from history */
	int64_t past_first; /* the queries of history for that: their ids, and how many are under way */
	int past_n, past_left;
	int64_t try_ns, list_ns; /* monotonic: when next */
};

/* v is connected. DONE or an exit code. */
int live_open(struct live *l, struct vigia *v);
void live_close(struct live *l);
/* To be polled for reading; -1 while there is no connection. */
int live_fd(const struct live *l);
/* Takes what has come. */
void live_take(struct live *l);
/* Once a second: computes rates, asks what no subscription tells, connects again. */
void live_tick(struct live *l);
/* NULL: none any more. */
void live_watch(struct live *l, const char *host);

#endif
