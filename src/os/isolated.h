/* SPDX-License-Identifier: Apache-2.0 */
/* Is this a network that leads nowhere: a namespace of its own, without a default route? */
#ifndef VIGIA_OS_ISOLATED_H
#define VIGIA_OS_ISOLATED_H

#include "base/buf.h"

/* 0, or -EPERM with why it is none, or can't be known to be one. */
int isolated(struct buf *why);

#endif
