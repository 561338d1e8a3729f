/* SPDX-License-Identifier: Apache-2.0 */
/* What this daemon needs outside of its sandbox, from its configuration. */
#ifndef VIGIA_DAEMON_CONFINE_H
#define VIGIA_DAEMON_CONFINE_H

#include "conf/conf.h"
#include "os/sandbox.h"

/* conf_file NULL: there is none. What is in force from now on is said in the log, and in *ret. Negative errno: with why. */
int confine(const struct conf *c, const char *conf_file, const char *runtime, const char *state, struct sandbox *ret,
    struct buf *why);

#endif
