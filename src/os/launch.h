/* SPDX-License-Identifier: Apache-2.0 */
/* vigiad's side of vigia-launcher, the process that starts a user's programs.
 *
 * It is opened, read and closed as vigia-helper is (os/helper.h; it has no entries), and its keeper replaces it as well.
 * But what it started goes on when it, or vigiad, ends: decision 0009. Of a program's end it tells with ENDED, whose id
 * is the process id, as long as it lives itself. */
#ifndef VIGIA_OS_LAUNCH_H
#define VIGIA_OS_LAUNCH_H

#include "os/helper.h"

enum { LAUNCH_BYTES_MAX = 65536, LAUNCH_WORDS_MAX = 4096 };

/* What to start. All borrowed. */
struct launch {
	const char *const *arguments; /* ends with NULL; the first is a path, or a name to look for in PATH */
	const char *const *environment; /* "NAME=VALUE", besides what vigiad has; ends with NULL; NULL: none */
	const char *directory; /* absolute; NULL: home, or / where there is none */
	const int *fds;	       /* stdin, stdout, stderr, -1: /dev/null; NULL: all three */
};

/* Could that be started? -EINVAL: no argument, a directory that is not absolute, or a word in the environment that is no
 * NAME=VALUE; -E2BIG: more words or bytes than the limits above. */
int launch_check(const struct launch *l);
/* Has it started; the answer comes as a notice. *ret_status is the caller's: it becomes readable when the program was
 * executed or can't be, which launch_failed() tells. Errors as above; -EBADF; -EAGAIN: the launcher is behind, try later;
 * -EPIPE: it is gone. Between LOST and READY it is dropped, and *ret_status says that it was executed. */
int launch_start(struct helper *launcher, uint32_t id, const struct launch *l, int *ret_status);
/* 0: it was executed; -EAGAIN: not known yet; or why it can't be, with *ret_what for people: "no such directory". */
int launch_failed(int status, const char **ret_what);

#endif
