/* SPDX-License-Identifier: Apache-2.0 */
/* The service `health`: HMON's node and master in one daemon. This header is the map of the room; each file owns
 * what it declares here and nothing else.
 */
#ifndef VIGIA_HEALTH_HEALTH_H
#define VIGIA_HEALTH_HEALTH_H

#include "core/core.h"
#include "history/history.h"
#include "os/sandbox.h"
#include "proto/row.h"
#include "services/health/cluster.h"

struct subscription;
struct follower;
struct uplink;
struct supervised;
struct registry;
struct helper;
struct starter;
struct helper_notice;
struct update;

struct health_options {
	const char *name;
	const char *state_directory;
	const char *const *masters; /* "HOST:PORT", ends with NULL */
	int64_t send_ns;	    /* to masters; 0: at once */
	bool on_request;	    /* to masters only what they ask for */
	bool history;
	struct history_options history_options;
	int listens; /* the port where other hosts find this one; 0: none */
	bool exposed; /* plain TCP to other hosts is allowed */
	struct sandbox sandbox;
	/* How a node is watched; interval_ns 0: not. */
	struct step_rules (*rules_of)(void *data, const char *node);
	void *rules_data;
};

struct event {
	int64_t time_ns;
	char kind[24], node[64], monitor[64], text[160];
	unsigned folded; /* how often it came again and was not said */
};

enum { EVENTS_KEPT = 1024 };

struct health {
	struct core *core;
	struct health_options options;
	struct cluster cluster;
	int64_t boot;
	struct history *history; /* NULL: none kept */
	int64_t history_tried_ns;
	uv_async_t history_wake;
	uv_timer_t second;
	int64_t second_ns; /* when it came last */
	struct monitor *unacked;
	struct row row; /* of the period being taken */
	bool row_full;
	struct starter *starter; /* of programs; set before health_start() */
	struct registry *registry;
	struct subscription *subscriptions;
	struct follower *followers;
	struct event events[EVENTS_KEPT];
	uint64_t events_n;
	struct uplink *uplinks;
	struct supervised *supervised;
	struct update *updates;
	char history_trouble[160]; /* "": all is well */
	size_t history_held;       /* read for queries, and not with the callers yet */
	struct health_figures {
		uint64_t periods, values, duplicates, bad_rows, strangers, lost_periods, subscription_skips;
		int64_t loop_lag_ns;
	} figures;
};

/* --- service.c --- */
extern const struct service health_service;
int health_start(struct health *h, struct core *core, const struct health_options *o);
/* Tells masters and clients good-bye; the history is closed by health_release, after the loop. */
void health_stop(struct health *h);
void health_release(struct health *h);
static inline struct health *health_of(const struct core *core)
{
	return core->context;
}

/* --- spread.c: the view of all hosts, over the links --- */
enum { SPREAD_QUERY = INT32_MAX - 1 };
void spread_start(struct health *h);
void spread_announce(struct uplink *u);
void spread_take(struct uplink *u, const struct msg *m);
void spread_state(struct health *h, const struct node *n);
void spread_known(struct health *h, struct node *n);
void spread_forget(struct health *h, struct node *n);
int query_host_announce(struct call *c);
/* master.c: the node that is registered on this connection, or NULL. */
struct node *master_node_of(const struct peer *p);

/* --- period.c: one period comes in, everyone who waits is told --- */
struct period {
	struct history_position at;
	int64_t time_ns;
	bool full;
	const char *text;
	size_t len;
};
/* 0; -EINVAL with *ret_why: the row does not fit m's config, nothing has changed; -ENOMEM. */
int period_take(struct health *h, struct monitor *m, const struct period *p, const char **ret_why);
/* A time more than a day ahead of our clock is a mistake. */
bool period_time_ok(int64_t time_ns);

/* --- intake.c: monitors connect --- */
extern const struct role monitor_role;

/* --- supervise.c: programs that this daemon starts as monitors --- */
struct supervised_options {
	const char *name, *program, *section;
	const char *file; /* where the section is written ... */
	int line;	  /* ... and its text begins; 0: nowhere */
};
/* Starts, keeps or ends programs so that just these run. */
int supervise(struct health *h, const struct supervised_options *want, size_t n);
/* Do those run that ran when it was called, or were new? 0; -EAGAIN: not yet; -EINVAL: one finds mistakes in its section. */
int supervise_is_up(const struct health *h, struct buf *why);

/* Of one monitor. A stopped one stays so until it is ordered to start, or the daemon is. -ENOENT: this daemon starts none of
 * this name; -EALREADY: it is as it shall be. */
enum supervise_order { SUPERVISE_START, SUPERVISE_STOP, SUPERVISE_RESTART };
int supervise_order(struct health *h, const char *name, enum supervise_order order);

void supervise_notice(struct health *h, const struct helper_notice *n);
/* The helper is gone, and all programs with it; there is one again. */
void supervise_lost(struct health *h);
void supervise_again(struct health *h);
/* "ended with status 1: LAST_WORDS", "was ended by signal 9". */
void supervise_describe_end(char *to, size_t size, int status, const char *last_words);
const char *supervised_section(const struct supervised *s);
const char *supervised_name(const struct supervised *s);
void supervised_connected(struct supervised *s);
/* Its program can't take its section: `text` has a line for each mistake. */
void supervised_refused(struct supervised *s, const char *text);
/* One such line as people want it: "FILE:LINE: what", where the program said "line N: what". */
void supervised_place(struct buf *to, const struct supervised_options *o, const char *line);
/* Does anything say that a monitor of this name will be here (again): the configuration, or a secret of its own? */
bool supervise_expects(const struct health *h, const char *name);
void supervise_problems(struct health *h, struct call *c);
void supervise_stop(struct health *h);

/* --- starter.c: vigia-helper, which starts them --- */
/* Before it serves: the one process that vigiad makes. */
int starter_open(struct starter **ret, const char *program, const char *const dirs[2], struct buf *why);
/* Ends it and its programs; after the loop. */
void starter_close(struct starter *s);
int starter_watch(struct starter *s, struct health *h);
void starter_stop(struct starter *s);
/* NULL while there is none. */
struct helper *starter_helper(const struct starter *s);
void starter_problems(const struct starter *s, struct call *c);

/* --- registry.c: the secrets of nodes and monitors, hashed, on disk --- */
int registry_open(struct registry **ret, const char *path);
void registry_close(struct registry *r);
/* The secret's hash known for "node NAME" or "monitor NAME", or NULL. */
const char *registry_find(const struct registry *r, const char *kind, const char *name);
/* A new secret for it, 33 bytes, safe from this daemon's death; from a power cut after registry_sync(). */
int registry_issue(struct registry *r, const char *kind, const char *name, char *ret_secret);
/* On disk with all that was issued and forgotten, before anybody is told: called at the end of each turn. */
int registry_sync(struct registry *r);
bool registry_check(const struct registry *r, const char *kind, const char *name, const char *secret);
/* Every name of that kind with a secret. */
void registry_each(const struct registry *r, const char *kind, void (*fn)(void *data, const char *name), void *data);
int registry_forget(struct registry *r, const char *kind, const char *name);

/* --- master.c: nodes connect --- */
extern const struct role node_role;
void master_committed(struct health *h, struct monitor *m, struct history_position to, uint64_t lost);
void master_tick(struct health *h);
int query_node_register(struct call *c), query_config_announce(struct call *c);

/* --- watch.c: the state of nodes --- */
void watch_connected(struct health *h, struct node *n, const char *transport);

void watch_heard(struct health *h, struct node *n);
void watch_urgent(struct health *h, struct node *n);
void watch_beat_answered(struct health *h, struct node *n);
void watch_disconnected(struct health *h, struct node *n, enum step_kind how);
void watch_forget(struct health *h, struct node *n);
void watch_known(struct health *h, struct node *n);
void watch_tick(struct health *h, struct node *n, int64_t now_ns);

/* --- uplink.c, cursor.c (uplink.h has the rest): this node's masters --- */
int uplinks_set(struct health *h, const char *const *masters);
/* Registers anew with each. */
int uplinks_restart(struct health *h);
/* Do those answer that answered when they were set, or were new? 0 or -EAGAIN. */
int uplinks_are_up(const struct health *h, struct buf *why);
/* Both of these and the monitors: what a configuration changed has come up. */
int health_is_up(const struct health *h, struct buf *why);
void uplinks_period(struct health *h, struct monitor *m);
void uplinks_config(struct health *h, struct monitor *m);
void uplinks_gone(struct health *h, struct monitor *m);
void uplinks_problems(struct health *h, struct call *c);
void uplinks_stop(struct health *h);

/* --- update.c: "measure now", to just those meant --- */
typedef void update_fn(void *data, struct update *u); /* all answered, or the deadline is over */
/* Asks every monitor that matches, here and on nodes. 0 (fn will be called, perhaps at once) or -ENOMEM. */
int update_start(struct health *h, const void *asker, const char *node, const char *monitor, const char *metric,
    int64_t deadline_ns, update_fn *fn, void *data, struct update **ret);
void update_cancel(struct update *u);
/* For each that did not answer: node, monitor ("" for the whole node), code, text. */
typedef void update_missing_fn(void *data, const char *node, const char *monitor, const char *code, const char *text);
void update_missing(const struct update *u, update_missing_fn *fn, void *data);
/* Answers, from the roles. False: nobody asked. */
bool update_answered(struct ask **list, int64_t id, bool end, const char *monitor, const char *code, const char *text);
void update_link_closed(struct ask **list);
/* Is one of these for `asker`? */
bool update_asked_by(const struct ask *list, const void *asker);

/* --- query.c, history_query.c: what clients ask; values.c: how values are shown --- */
extern const struct op health_ops[];
/* A node that is not connected, with its secret and its host. 0 or negative errno. */
int node_forget(struct health *h, struct node *n, const char *by);
int query_master_info(struct call *c), query_master_status(struct call *c);
int query_master_status_more(struct call *c), query_node_list_more(struct call *c);
int query_node_list(struct call *c), query_node_forget(struct call *c), query_monitor_forget(struct call *c);
int query_monitor_start(struct call *c), query_monitor_stop(struct call *c), query_monitor_restart(struct call *c);
int query_config_get(struct call *c);
int query_monitor_list(struct call *c), query_monitor_get(struct call *c), query_monitor_get_more(struct call *c);
void query_walk_over(struct call *c);
/* 0, or the call has failed because a plain name does not exist. */
int query_check_names(struct call *c, const char *node, const char *monitor);
int query_history(struct call *c), query_history_more(struct call *c);
void query_history_over(struct call *c);
int query_monitor_update(struct call *c);
void query_update_over(struct call *c);
/* One problem of `status`: what is wrong and what to do. */
void query_problem(struct call *c, const char *problem, const char *node, const char *monitor, const char *format,
    ...) __attribute__((format(printf, 5, 6)));
/* <monitor> with node, monitor, state and time, and a <v> for each metric that matches (changed: only those of
 * the row just taken). NULL: no memory. */
struct msg *values_message(struct call *c, const struct monitor *m, const char *metric, const struct row *changed);

/* --- subscribe.c --- */
int query_subscribe(struct call *c), query_subscribe_more(struct call *c);
void query_subscribe_over(struct call *c);
void subscribe_period(struct health *h, struct monitor *m);
/* The node is about to be forgotten. */
void subscribe_forget(struct health *h, const struct node *n);

/* --- events.c --- */
void event_put(struct health *h, const char *kind, const char *node, const char *monitor, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
/* The same where strangers can repeat themselves: for ten minutes only counted, then said with how often. */
void event_put_folded(struct health *h, const char *kind, const char *node, const char *monitor, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
int query_events(struct call *c), query_events_more(struct call *c);
void query_events_over(struct call *c);

/* --- self.c: the daemon is its own monitor `vigia` --- */
int self_start(struct health *h);
/* Its values of now, for whom a period ago is too old. */
void self_measure(struct health *h);
void self_stop(struct health *h);

/* --- boot.c --- */
/* Half of all there are, as a clock the year 2116: who says a later one is mistaken or means ill, and were it believed
 * none would be left for the lives to come. */
#define BOOT_BELIEVED (INT64_MAX / 2)
/* A number for this life: later than all before in this state directory, than `after`, and on disk. */
int64_t boot_next(const char *directory, int64_t after);

/* --- loading.c: what was known before this start --- */
int loading_run(struct health *h);

#endif
