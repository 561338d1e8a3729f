/* SPDX-License-Identifier: Apache-2.0 */
/* Limits on what peers may make a daemon hold, and how near they are: one table.
 *
 * What enforces a limit asks its row, which counts what is taken, the highest there was, and refusals. A row of a whole
 * daemon may have one beside it for each uid: to take from the first is to take from both. Of what is no sum (bytes that wait
 * for one connection) whoever enforces it says how much it is; such rows know only the highest.
 *
 * vigia.conf's section limits { } and `vigia limits` come from this table. No thread but the one that owns it.
 */
#ifndef VIGIA_BASE_LIMITS_H
#define VIGIA_BASE_LIMITS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"

/* X(ID, name, of, each, form, default's number, and unit, least, most, doc). `each`: the row of each uid beside it. */
#define LIMITS_SAID(X) \
	X(CONNECTIONS, connections, DAEMON, CONNECTIONS_PER_UID, COUNT, 16384, , 16, 1000000, \
	    "Connections in all.") \
	X(CONNECTIONS_PER_UID, connections_per_uid, UID, NONE, COUNT, 4096, , 1, 1000000, \
	    "Connections of one local user, over the Unix socket. As in all rows of users, root and the daemon's own user are not counted.") \
	X(STRANGERS, strangers, DAEMON, NONE, COUNT, 12288, , 1, 1000000, \
	    "Connections by network that have not said who they are yet. When one more comes, the oldest of them closes.") \
	X(OPENING, opening, CONNECTION, NONE, TIME, 10, s, 1000000000LL, 3600000000000LL, \
	    "How long a connection may take to say who it is.") \
	X(OPERATIONS, operations, DAEMON, OPERATIONS_PER_UID, COUNT, 131072, , 64, 10000000, \
	    "Operations under way.") \
	X(OPERATIONS_PER_UID, operations_per_uid, UID, NONE, COUNT, 16384, , 1, 10000000, \
	    "Operations that one local user has under way.") \
	X(QUERIES, queries, CONNECTION, NONE, COUNT, 64, , 1, 64, \
	    "Queries under way on one connection.") \
	X(QUERIES_PER_HOST, queries_per_host, HOST, NONE, COUNT, 4096, , 1, 1000000, \
	    "Queries under way for all who ask on one other host.") \
	X(SUBSCRIPTIONS, subscriptions, DAEMON, SUBSCRIPTIONS_PER_UID, COUNT, 65536, , 16, 10000000, \
	    "Operations that go on until they are cancelled: of events, values, programs, what is offered.") \
	X(SUBSCRIPTIONS_PER_UID, subscriptions_per_uid, UID, NONE, COUNT, 8192, , 1, 10000000, \
	    "Those of one local user.") \
	X(CHANNELS, channels, DAEMON, CHANNELS_PER_UID, COUNT, 4096, , 16, 1000000, \
	    "Event channels of this host.") \
	X(CHANNELS_PER_UID, channels_per_uid, UID, NONE, COUNT, 1024, , 1, 1000000, \
	    "Channels that one user has made.") \
	X(CHANNEL_LOG, channel_log, CHANNEL, NONE, SIZE, 64, MiB, 64 << 10, 4LL << 30, \
	    "Bytes of events that one channel may be made to keep.") \
	X(CHANNEL_LOGS, channel_logs, DAEMON, CHANNEL_LOGS_PER_UID, SIZE, 1, GiB, 1 << 20, 1LL << 40, \
	    "Bytes of events that all channels keep. Who puts more into his channel loses what is oldest in it, as if that " \
	    "channel's log were full.") \
	X(CHANNEL_LOGS_PER_UID, channel_logs_per_uid, UID, NONE, SIZE, 256, MiB, 64 << 10, 1LL << 40, \
	    "The same of all channels that one user has made.") \
	X(CHAINS, chains, DAEMON, CHAINS_PER_UID, COUNT, 4096, , 16, 1000000, \
	    "Chains into channels of this host.") \
	X(CHAINS_PER_UID, chains_per_uid, UID, NONE, COUNT, 1024, , 1, 1000000, \
	    "Chains that one user has made.") \
	X(SERVICES, services, DAEMON, SERVICES_PER_UID, COUNT, 256, , 1, 65536, \
	    "Services that programs offer on this host.") \
	X(SERVICES_PER_UID, services_per_uid, UID, NONE, COUNT, 64, , 1, 65536, \
	    "Services that programs of one user offer.") \
	X(LEASES, leases, DAEMON, LEASES_PER_UID, COUNT, 4096, , 16, 1000000, \
	    "Leases of processes and services.") \
	X(LEASES_PER_UID, leases_per_uid, UID, NONE, COUNT, 1024, , 1, 1000000, \
	    "Leases that one user holds.") \
	X(PROCESS_LISTS, process_lists, DAEMON, PROCESS_LISTS_PER_UID, COUNT, 64, , 1, 64, \
	    "Lists of processes that are read at the same time.") \
	X(PROCESS_LISTS_PER_UID, process_lists_per_uid, UID, NONE, COUNT, 16, , 1, 64, \
	    "Those of one local user.") \
	X(PROCESS_WATCHES, process_watches, DAEMON, PROCESS_WATCHES_PER_UID, COUNT, 4096, , 1, 4096, \
	    "Processes whose end somebody waits for; each takes a descriptor.") \
	X(PROCESS_WATCHES_PER_UID, process_watches_per_uid, UID, NONE, COUNT, 1024, , 1, 4096, \
	    "Those of one local user.") \
	X(PROGRAMS, programs, DAEMON, PROGRAMS_PER_UID, COUNT, 4096, , 1, 4096, \
	    "Programs that were started and whose end is waited for.") \
	X(PROGRAMS_PER_UID, programs_per_uid, UID, NONE, COUNT, 1024, , 1, 4096, \
	    "Those of one local user.") \
	X(ORDERS, orders, DAEMON, ORDERS_PER_UID, COUNT, 65536, , 16, 10000000, \
	    "Signed queries from other hosts that were taken within the last minute: that each is taken once.") \
	X(ORDERS_PER_UID, orders_per_uid, UID, NONE, COUNT, 8192, , 1, 10000000, \
	    "Those that one user has signed.") \
	X(NODES, nodes, DAEMON, NONE, COUNT, 16384, , 1, 1000000, \
	    "Nodes that a master knows.") \
	X(MONITORS_PER_NODE, monitors_per_node, NODE, NONE, COUNT, 256, , 1, 256, \
	    "Monitors of one node.") \
	X(PENDING, pending, CONNECTION, NONE, SIZE, 1, MiB, 64 << 10, 1LL << 30, \
	    "Bytes that wait for a peer that does not read; past them its connection closes.") \
	X(PENDING_ALL, pending_all, DAEMON, PENDING_PER_UID, SIZE, 1, GiB, 1 << 20, 1LL << 40, \
	    "Bytes that wait for all peers; past them the connection for which most waits closes.") \
	X(PENDING_PER_UID, pending_per_uid, UID, NONE, SIZE, 64, MiB, 64 << 10, 1LL << 40, \
	    "The same for all connections of one local user.") \
	X(CHANGES_BURST, changes_burst, UID, NONE, RATE, 1000, , 1, 1000000, \
	    "Changes that one user may make at once: each is a line of the audit log.") \
	X(CHANGES_RATE, changes_rate, UID, NONE, RATE, 100, , 1, 1000000, \
	    "Changes a second that he may make in the long run.") \
	X(LOG_BURST, log_burst, COMPONENT, NONE, RATE, 50, , 1, 100000, \
	    "Lines that one component of the daemon may log at once, errors and the rest apart. What is left out is told in number.") \
	X(LOG_RATE, log_rate, COMPONENT, NONE, RATE, 5, , 1, 100000, \
	    "Lines a second that it may log in the long run.")

/* What nobody says: the system's own word. */
#define LIMITS_FOUND(X) \
	X(DESCRIPTORS, descriptors, DAEMON, NONE, COUNT, 0, , 0, 0, \
	    "Open files of the daemon (RLIMIT_NOFILE; LimitNOFILE= in its unit). When few are left, it accepts no connections for a while.")

#define LIMITS_ALL(X) LIMITS_SAID(X) LIMITS_FOUND(X)

enum limit {
#define LIMIT_ID(id, ...) LIMIT_##id,
	LIMITS_ALL(LIMIT_ID)
#undef LIMIT_ID
	LIMITS_N,
	LIMIT_NONE = LIMITS_N
};

/* Of what one row tells. */
enum limit_of { LIMIT_OF_DAEMON, LIMIT_OF_UID, LIMIT_OF_CONNECTION, LIMIT_OF_HOST, LIMIT_OF_CHANNEL, LIMIT_OF_NODE, LIMIT_OF_COMPONENT };
/* Only of the first two is it known how much there is. */
enum limit_form { LIMIT_COUNT, LIMIT_SIZE /* bytes */, LIMIT_TIME /* ns */, LIMIT_RATE };

struct limit_type {
	const char *name, *doc;
	enum limit_of of;
	enum limit_form form;
	enum limit each; /* LIMIT_NONE: no row of each uid */
	int64_t fallback, least, most;
};

extern const struct limit_type limit_types[LIMITS_N];
extern const char *const limit_of_names[];

/* 0: as limit_types says. */
struct limit_values {
	int64_t v[LIMITS_N];
};

struct limit_row {
	int64_t most; /* now in force */
	int64_t used, peak; /* of rows that are no sum only the peak; of each uid's row `used` is 0: limits_used() knows */
	uint64_t refused;
};

enum { LIMITS_BUCKETS = 64 };

struct limits {
	struct limit_row v[LIMITS_N];
	struct limits_user *users[LIMITS_BUCKETS]; /* those who have something */
};

#define LIMITS_NOBODY ((uid_t)-1)

void limits_set(struct limits *l, const struct limit_values *values);
void limits_release(struct limits *l);

/* n of `what`, a row of the daemon, for uid (LIMITS_NOBODY: no one's row). LIMIT_NONE: they are his; else the row that has no
 * room, which has counted a refusal: nothing was taken. Without memory it is that of each uid. */
enum limit limits_take(struct limits *l, enum limit what, uid_t uid, int64_t n);
/* The same whatever there is room for. Without memory only the daemon's row knows. */
void limits_force(struct limits *l, enum limit what, uid_t uid, int64_t n);
void limits_give(struct limits *l, enum limit what, uid_t uid, int64_t n);
/* The row that has no room for n more, or LIMIT_NONE. Counts nothing. */
enum limit limits_full(const struct limits *l, enum limit what, uid_t uid, int64_t n);
void limits_refuse(struct limits *l, enum limit what);

/* For what is no sum: is it as much as there may be, or less? Counts as limits_take(). */
bool limits_allow(struct limits *l, enum limit what, int64_t much);
/* How much the daemon, or the uid that has most, has now. */
int64_t limits_used(const struct limits *l, enum limit what);

/* For who is refused: which one, and how to raise it. */
void limits_put_reached(const struct limits *l, enum limit what, struct buf *to);

#endif
