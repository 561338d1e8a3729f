/* SPDX-License-Identifier: Apache-2.0 */
/* Calls of a module's operations: vigia.h's functions for them, over the core's. */
#ifndef VIGIA_MODULES_CALLED_H
#define VIGIA_MODULES_CALLED_H

#include "core/call.h"
#include "libvigia/vigia.h"

/* An op's owner: what it runs. NULL: no memory. Lives as long as the daemon. */
void *called_target_new(const struct vigia_module *module, const struct vigia_operation *operation);
int called_run(struct call *c);
void called_over(struct call *c);

#endif
