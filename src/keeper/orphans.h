/* SPDX-License-Identifier: Apache-2.0 */
/* Nobody lives on when whoever started him has ended. */
#ifndef VIGIA_KEEPER_ORPHANS_H
#define VIGIA_KEEPER_ORPHANS_H

#include <stdbool.h>
#include <sys/types.h>

/* For a child just forked: it is killed when `parent` dies. False: it can't be, or `parent` is dead already. */
bool orphans_prevent(pid_t parent);
/* Kills and reaps every child, and those that one leaves to us as its subreaper; waits a second at most. */
void orphans_end(void);

#endif
