/* SPDX-License-Identifier: Apache-2.0 */
/* Removing hosts: the daemon of one that is up is asked over its link, ends its services and channels, says to its masters
 * that it is removed, and ends; applications run on. One that is down is taken out of the view by those who keep it.
 */
#ifndef VIGIA_CORE_LEAVING_H
#define VIGIA_CORE_LEAVING_H

#include "core/core.h"

/* host.remove: its words are the hosts, then deadline, and whether just the view of who is asked is meant. */
int leaving_run(struct call *c);

#endif
