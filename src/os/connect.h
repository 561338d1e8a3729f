/* SPDX-License-Identifier: Apache-2.0 */
/* A client's way to a daemon. */
#ifndef VIGIA_OS_CONNECT_H
#define VIGIA_OS_CONNECT_H

#include "base/buf.h"

/* A connected socket, close-on-exec and blocking, or negative errno with `why`. `at`: HOST[:PORT] (7660), [IPV6][:PORT],
 * the path of a socket, or NULL: where paths_find_socket() finds one. A name without a slash may be either: a file that
 * is there is meant.
 * -EPERM: who listens on that socket is neither root, nor the user `vigia`, nor the user himself. */
int connect_daemon(const char *at, struct buf *why);

#endif
