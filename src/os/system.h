/* SPDX-License-Identifier: Apache-2.0 */
/* The operating system as the core sees it ("dams-low"): facts of this host, its processes, and programs started here
 * and on other hosts. The core uses nothing else of it, so another implementation takes its place unseen.
 *
 * Nothing here waits. What comes later is told by callbacks, all from within turn(), which is to be called when fd() is
 * readable. A callback may call anything here but close(). Errors are negative errno; results are untouched then.
 */
#ifndef VIGIA_OS_SYSTEM_H
#define VIGIA_OS_SYSTEM_H

#include "os/host.h"
#include "os/launch.h"
#include "os/process.h"
#include "os/topology.h"

struct system; /* each type's own; begins with its const struct system_type * */
struct system_walk;
struct system_watch;
struct system_run;

enum { SYSTEM_WALKS_MAX = 64, SYSTEM_WATCHES_MAX = 4096, SYSTEM_RUNS_MAX = 4096, SYSTEM_RUNS_OF_ONE_MAX = 256, SYSTEM_ENTRY_MAX = 31 };

/* As a wait status: it ended, and nobody could see how. */
enum { SYSTEM_END_UNKNOWN = -1 };

struct system_options {
	const char *launcher; /* path of vigia-launcher */
	const char *topology; /* absolute path of vigia-topology; NULL: the topology stays unknown */
	const char *root;     /* absolute path of vigia-root's socket; NULL: there is none */
	const char *remote;   /* how to start on another host, os/remote.h; NULL: REMOTE_SSH */
};

struct system_run_events {
	/* Once. error 0: it runs, as `process`; it may have ended already, which `ended` tells then. Else it does not, `what`
	 * is for people ("can't be executed"), and this was the last of it; -EPIPE: nobody knows whether it does. */
	void (*started)(void *owner, int error, const char *what, const struct process_key *process);
	/* A wait status, or SYSTEM_END_UNKNOWN; the last of it. */
	void (*ended)(void *owner, int status);
};

/* For whom something is done with his rights, and the connection on which he asked: the kernel says there who he is. */
struct system_for {
	uid_t uid;
	int connection;
};

typedef void system_ended_fn(void *owner, const struct process_key *process);

struct system_type {
	const char *name, *doc;

	/* Before the daemon serves: it may fork here, and never after. */
	int (*open)(struct system **ret, const struct system_options *options, struct buf *why);
	/* Walks, watches and runs must be gone or are forgotten; programs go on. */
	void (*close)(struct system *s);
	int (*fd)(const struct system *s);
	void (*turn)(struct system *s);
	/* What is wrong with it, for `vigia status`; 0 when all is well. */
	int (*trouble)(const struct system *s, struct buf *ret_what);

	/* --- this host --- */
	void (*facts)(struct system *s, struct host_facts *ret);
	/* At most n; how many there are. */
	size_t (*addresses)(struct system *s, struct host_address ret[], size_t n);
	/* Borrowed. -EAGAIN: not known yet; else why it never will be. */
	int (*topology)(const struct system *s, const struct host_topology **ret);

	/* --- its processes --- */
	/* -ESRCH: there is none. */
	int (*process)(struct system *s, int32_t pid, struct process *ret);
	/* All of them, one at a time, so that the caller chooses how many a turn (one takes some 20 µs). One that lives all
	 * the while comes once; one that begins or ends meanwhile may. -EAGAIN: too many walks are under way. */
	int (*walk_new)(struct system *s, struct system_walk **ret);
	/* 1: *ret; 0: that was all. */
	int (*walk_next)(struct system_walk *w, struct process *ret);
	void (*walk_free)(struct system_walk *w);
	/* To just this one, never to another that has its number now. 0: does nothing but look. -ESRCH: it is gone. */
	int (*signal)(struct system *s, const struct process_key *process, int signal);
	/* Says once when it has ended (or is a zombie), whoever's child it is; the watch is gone then. -ESRCH: it is gone
	 * already; -EAGAIN: too many watches. */
	int (*watch)(struct system *s, const struct process_key *process, system_ended_fn *ended, void *owner,
	    struct system_watch **ret);
	void (*unwatch)(struct system_watch *w);

	/* --- programs --- */
	/* Starts one, with this daemon's rights; it goes on when the daemon ends (decision 0009). Its descriptors are copied.
	 * Errors at once: as launch_check(); -EAGAIN: not now; -EPIPE: not any more; what goes wrong later comes with
	 * `started`. */
	int (*start)(struct system *s, const struct launch *l, const struct system_run_events *events, void *owner,
	    struct system_run **ret);
	/* The same on another host. What runs here is what connects to it: this is what `started` tells of, its end is the
	 * program's there or the connection's (of ssh: 255), and its descriptors are the program's there. */
	int (*start_remote)(struct system *s, const char *host, const struct launch *l,
	    const struct system_run_events *events, void *owner, struct system_run **ret);
	/* One of root's directory (vigia-root(8)), as this user. `entry`: [a-z0-9-]{1,31}, else -EINVAL; input: its stdin, copied;
	 * the rest of its output goes nowhere. `started` and `ended` as above; -EACCES there: vigia-root does nothing for him.
	 * -ENOENT, -ECONNREFUSED, -EACCES, -EPERM at once: there is no vigia-root for this daemon; -EDQUOT: SYSTEM_RUNS_OF_ONE_MAX run
	 * for him already. */
	int (*start_entry)(struct system *s, const struct system_for *who, const char *entry, int input,
	    const struct system_run_events *events, void *owner, struct system_run **ret);
	/* As signal(), but as this user: `started` tells what came of it, without a process, and is the last of it. */
	int (*signal_as)(struct system *s, const struct system_for *who, const struct process_key *process, int signal,
	    const struct system_run_events *events, void *owner, struct system_run **ret);
	/* The program goes on, and nothing is told of it any more. */
	void (*forget)(struct system_run *r);
};

extern const struct system_type system_linux;

/* --- for all types --- */

/* A walk in one go: for as many processes as may hold up the caller. `visit` false: enough. */
int system_each(struct system *s, bool (*visit)(void *data, const struct process *p), void *data);
const struct system_type *system_type_of(const struct system *s);
/* For a program's output: reading never waits, a program that writes more than 64 KiB ahead of its reader does. When the
 * reader is closed it gets SIGPIPE, as in any pipe. */
int system_pipe(int *ret_read, int *ret_write);

#endif
