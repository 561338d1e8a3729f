/* SPDX-License-Identifier: Apache-2.0 */
/* Services found on other hosts: the nearest that has one, which is this host, else the first that answers; or all. */
#ifndef VIGIA_CORE_FINDING_H
#define VIGIA_CORE_FINDING_H

#include "core/core.h"

/* As the run and over of service.find, whose arguments are a pattern and whether all are meant. put: tells those of this
 * host that match, and returns how many. */
int finding_run(struct call *c, unsigned (*put)(struct call *c));
void finding_over(struct call *c);

#endif
