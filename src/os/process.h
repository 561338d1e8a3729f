/* SPDX-License-Identifier: Apache-2.0 */
/* What a process of this host is, as /proc tells it. */
#ifndef VIGIA_OS_PROCESS_H
#define VIGIA_OS_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { PROCESS_USER_MAX = 32, PROCESS_PROGRAM_MAX = 63, PROCESS_COMMAND_MAX = 1023 };

/* One process for ever, though process ids are used again. `start` is the system's own measure, to compare only. */
struct process_key {
	int32_t pid;
	int64_t start;
};

struct process {
	struct process_key key;
	int32_t parent;
	uid_t uid, real_uid, saved_uid; /* uid: the effective one, as in ps(1) */
	bool guarded;		/* not dumpable: it may know what its user may not */
	char state;		/* R S D Z T t I ..., as in ps(1) */
	bool kernel;		/* a thread of the kernel's */
	int32_t threads;
	int64_t started_ns;	/* wall clock */
	int64_t cpu_ns;		/* used since then, by user and system code */
	int64_t memory;		/* resident bytes */
	/* Text for people: what is none is escaped (os/utf8.h), what is too long is cut. */
	char user[PROCESS_USER_MAX + 1];       /* "": not known (yet); show the uid */
	char program[PROCESS_PROGRAM_MAX + 1]; /* the executable's name */
	char command[PROCESS_COMMAND_MAX + 1]; /* its words, a space between; "": has none, or they could not be read */
};

/* What turns the kernel's units into ours. */
struct process_units {
	int64_t booted_ns; /* wall clock */
	int64_t tick_ns, page;
};

void process_units(struct process_units *ret);

/* /proc/PID/stat: all but uids, user and command. 0 or -EPROTO: these bytes are none. */
int process_parse_stat(const char *text, size_t n, const struct process_units *u, struct process *ret);
/* /proc/PID/status: the uids. 0; -ESRCH: a thread that is not its process's first; -EPROTO. */
int process_parse_status(const char *text, size_t n, struct process *ret);
/* /proc/PID/cmdline: the command, and a program's name that is longer than the kernel keeps. */
void process_take_command(const char *bytes, size_t n, struct process *p);

/* Both of the first, of this process as it is now, and whether it is guarded. `proc` is a descriptor of /proc. Nothing here waits for the process,
 * whatever it hangs on. -ESRCH: there is none. */
int process_read(int proc, int32_t pid, const struct process_units *u, struct process *ret);
/* Whether `key` is still the process that it was; a zombie is. */
bool process_is(int proc, const struct process_key *key);

#endif
