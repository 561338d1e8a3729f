/* SPDX-License-Identifier: Apache-2.0 */
/* One daemon a directory: DIR/vigiad.pid, locked while it runs, holding its process id. The kernel lets go of the
 * lock when the process ends, however it ends. */
#ifndef VIGIA_OS_LOCK_H
#define VIGIA_OS_LOCK_H

#include <stdbool.h>

#include "base/buf.h"

/* The descriptor holds the lock. -EBUSY: another has it, and `why` (may be NULL) names it. */
int lock_take(const char *dir, int *ret_fd, struct buf *why);
/* fd negative: nothing was taken. */
void lock_drop(const char *dir, int fd);

#endif
