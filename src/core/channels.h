/* SPDX-License-Identifier: Apache-2.0 */
/* The event channels of this host: by key, with their owners and subscribers (core/channel.h is one of them alone).
 *
 * A channel belongs to who created it: he, root and the daemon's own user may do everything with it, and, where it is
 * public, everybody may put and subscribe. A subscription is a call that goes on; who lags is told what he missed.
 */
#ifndef VIGIA_CORE_CHANNELS_H
#define VIGIA_CORE_CHANNELS_H

#include "core/channel.h"
#include "core/core.h"

int channels_start(struct core *core);
/* Loop's turn: tells subscribers that their channels end. */
void channels_stop(struct core *core);
/* The same while the daemon goes on for a moment. */
void channels_end(struct core *core);
/* An event as a frame (docs/frames.md): its number is the channel's. 0, or negative with *ret_why. */
int channels_put_frame(struct asker *a, const struct frame *f, const char **ret_why);

/* In one of the core's own channels, which all may read: "hosts", "leases". */
int channels_put_own(struct core *core, const char *key, uint32_t tag, const void *data, size_t n);

extern const struct service channel_service;

#endif
