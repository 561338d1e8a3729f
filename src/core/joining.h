/* SPDX-License-Identifier: Apache-2.0 */
/* Adding hosts: a vigiad is started on each over the system's way there (ssh; os/remote.h), and the host is added when the
 * view has it as up.
 *
 * What is started there says `host NAME ID` once it serves, with ` already` behind it where one runs there already, and
 * ends with 0 while the daemon goes on. Where it says nothing of that, the host of the name that was asked for is awaited.
 * In a cluster with keys its last word is --join, and a token is on its standard input (decision 0017).
 */
#ifndef VIGIA_CORE_JOINING_H
#define VIGIA_CORE_JOINING_H

#include "core/core.h"

struct joining_options {
	const char *command; /* words; in each %h is the host without its user, %m the masters, %v vigiad's path, %% a % */
	const char *masters; /* what they shall name: HOST:PORT, a comma between; an address of all interfaces: a real one */
	const char *program; /* %v */
};

/* Copied; anew when the configuration is. */
int joining_configure(struct core *core, const struct joining_options *o);
/* What is under way there ends. Before the system closes. */
void joining_stop(struct core *core);
void joining_release(struct core *core);
/* What added hosts are told to dial: HOST:PORT, a comma between; nothing where nobody can. */
void joining_put_masters(const struct core *core, struct buf *to);

/* host.add: its words are the hosts, then command and deadline. */
int joining_run(struct call *c);

/* `command` for one host, as words in one piece to be freed. -EINVAL: no word, or a % of another kind. */
int joining_words(const char *command, const char *host, const char *masters, const char *program, const char *const **ret);

#endif
