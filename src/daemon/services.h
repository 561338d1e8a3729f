/* SPDX-License-Identifier: Apache-2.0 */
/* Which services this host has: the core's own, which are always there, and those that its configuration chooses. */
#ifndef VIGIA_DAEMON_SERVICES_H
#define VIGIA_DAEMON_SERVICES_H

#include "conf/conf.h"
#include "core/core.h"

enum { SERVICES_MOST = 64 };

struct services {
	const struct service *chosen[SERVICES_MOST + 1], *left_out[SERVICES_MOST + 1]; /* each ends with NULL */
};

/* c NULL: all. `daemon`: the one that is wired in main.c, always there. */
void services_choose(struct services *ret, const struct conf *c, const struct service *daemon);
bool services_have(const struct services *s, const struct service *service);
/* Modules that it names, besides; once, before the core starts. 0, or what module_load() returned, with why. */
int services_load(struct services *s, const struct conf *c, struct buf *why);
/* `errors` gets a line for each name that there is no service of. 0 or -EINVAL. */
int services_check(const struct conf *c, const char *file, struct buf *errors);

#endif
