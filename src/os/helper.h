/* SPDX-License-Identifier: Apache-2.0 */
/* vigiad's side of vigia-helper, the process that starts every program.
 *
 * vigiad itself starts nothing else, and this one before it serves: one that dies is replaced by its keeper, the
 * process that helper_open() starts. The descriptor is watched in whatever loop there is; nothing here waits but
 * helper_open() and helper_close(). All programs end when the helper is closed, or dies, or its caller dies.
 */
#ifndef VIGIA_OS_HELPER_H
#define VIGIA_OS_HELPER_H

#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"

enum { HELPER_PROGRAMS_MAX = 256, HELPER_ENTRY_MAX = 31, HELPER_TAIL_MAX = 200 };

enum helper_notice_kind {
	HELPER_STARTED = 1, /* result: its process id, or negative errno */
	HELPER_ENDED,	    /* result: its wait status */
	HELPER_LOST,	    /* it died, and all programs with it: no word of them any more; result: wait status */
	HELPER_READY,	    /* there is one again */
	HELPER_SIGNALLED,   /* vigia-root's; result: 0 or negative errno */
};

struct helper_notice {
	enum helper_notice_kind kind;
	uint32_t id;
	int32_t result;
	char tail[HELPER_TAIL_MAX + 1]; /* ENDED: the last that it wrote to stderr; bytes of a stranger: escape them */
};

struct helper;

/* Starts the program `helper` (a path), which finds entries in `dirs`, in that order. A directory that does not exist
 * is passed over; one that does not belong to root or the caller, or in which others may write, is an error. */
int helper_open(const char *helper, const char *const dirs[], size_t n, struct helper **ret_helper, struct buf *why);
/* Is connected to vigia-root at this path instead, which nobody here has started: its messages are os/root_wire.h's. -EPERM: who
 * listens there is not root. helper_close() and helper_lost() end nothing then. */
int helper_connect(const char *path, struct helper **ret_helper);
/* Has every program end (TERM, after 2 s KILL) and waits for that, 4 s at most. */
void helper_close(struct helper *h);
/* Frees one of which helper_read() said that it is gone; the wait status of its keeper, if it has one. */
int helper_lost(struct helper *h);

/* Readable: call helper_read() until it says 0. */
int helper_fd(const struct helper *h);
pid_t helper_pid(const struct helper *h);

/* Starts the entry with `fd` as its stdin and stdout; `fd` stays the caller's (close it). `id` is the caller's, and
 * no other running program's. The answer comes as a notice. -EINVAL: no name for an entry; -EAGAIN: the helper is
 * behind, try later; -EPIPE: it is gone. Between LOST and READY it is dropped without an answer. */
int helper_start(struct helper *h, uint32_t id, const char *entry, int fd);
/* SIGTERM or SIGKILL to the program's process group; one that has ended already is no error. */
int helper_signal(struct helper *h, uint32_t id, int signal);
/* 1: *ret_notice; 0: nothing now; -EPIPE: the keeper is gone, and with it helper and programs, for good. */
int helper_read(struct helper *h, struct helper_notice *ret_notice);

#endif
