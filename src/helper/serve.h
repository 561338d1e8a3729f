/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VIGIA_HELPER_SERVE_H
#define VIGIA_HELPER_SERVE_H

#include "helper/entries.h"

/* Answers vigiad's requests until its socket closes, SIGTERM comes, or no answer can be given any more; then has every
 * program end. 0, or the negative errno that ended it. */
int serve(int socket, const struct entries *entries);

/* Drops what was asked for of one that is gone. 0; -EPIPE: the socket is closed; or another negative errno. */
int serve_nobody(int socket);

#endif
