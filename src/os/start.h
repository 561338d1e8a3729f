/* SPDX-License-Identifier: Apache-2.0 */
/* A daemon of one's own, started from any program. */
#ifndef VIGIA_OS_START_H
#define VIGIA_OS_START_H

#include "base/buf.h"

/* Starts `vigiad --daemon` and waits until it serves, `deadline_ms` at most. No child of the caller's is left, no SIGCHLD
 * comes, no signal and no descriptor of its own is touched or handed on; other threads may go on. 0, or negative errno with
 * what vigiad, or else the system, said. */
int daemon_start(int deadline_ms, struct buf *why);

#endif
