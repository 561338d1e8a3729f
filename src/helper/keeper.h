/* SPDX-License-Identifier: Apache-2.0 */
/* The process that vigiad started. It does nothing but have a worker, which serves, and another one when that dies: so
 * vigiad never forks while it serves, and has its helper back all the same.
 *
 * In ps(1) the worker is vigia-helper, and this vigia-keeper. It ends when vigiad closes the socket, and by no signal
 * but KILL; its worker ends with it, and that one's programs. */
#ifndef VIGIA_HELPER_KEEPER_H
#define VIGIA_HELPER_KEEPER_H

#include <stdint.h>

#include "helper/entries.h"

/* Returns when vigiad has closed: 0; or negative errno when it can keep nobody any more. */
int keeper_run(int socket, const struct entries *entries);

/* How long to wait after a life of `lived_ns`, when the last time it was `last_ms` (0: there was none). */
int keeper_backoff_ms(int last_ms, int64_t lived_ns);

#endif
