/* SPDX-License-Identifier: Apache-2.0 */
/* The core's way to other hosts' cores, over a platform: queries there and answers back, both ways.
 *
 * What another host asks is asked by a stranger until there are certificates: it may read, and nothing else, unless
 * core->insecure_control says otherwise.
 */
#ifndef VIGIA_CORE_LINKS_H
#define VIGIA_CORE_LINKS_H

#include "core/core.h"
#include "platform/platform.h"

/* The type's table must outlive the core. server and cluster: as struct platform_options says. 0 or negative errno with
 * why. */
int links_start(
    struct core *core, const struct platform_type *type, const char *server, const char *cluster, struct buf *why);
/* Which host says something is certain: it is in this cluster, and has shown its certificate. */
bool links_know_hosts(const struct core *core);
/* Hangs up on hosts that are not believed any more. */
void links_judge(struct core *core);
/* What is wrong with the platform as a whole; 0: nothing. */
int links_trouble(const struct core *core, struct buf *ret_what);
void links_stop(struct core *core);
/* What is left, once the loop has ended. */
void links_release(struct core *core);
void links_place(struct core *core, const struct host_id *id, const char *name, const char *addresses);

/* Passes a call on to the host `to`, a name or id; it has failed when this is negative. As an operation's run. */
int links_ask(struct call *c, const char *to, int64_t deadline_ms);
/* A connection whose hello names a host: the platform's from now on, with what was read of it; or it is closed. */
void links_accepted(struct core *core, struct stream *stream, const void *read, size_t n);

#endif
