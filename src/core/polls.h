/* SPDX-License-Identifier: Apache-2.0 */
/* `channel.poll`: what has come into a channel since its caller asked last. Nothing is kept between two of them: who asks
 * says how far he is. */
#ifndef VIGIA_CORE_POLLS_H
#define VIGIA_CORE_POLLS_H

#include "core/channel_entry.h"

enum { POLL_MOST = 100, POLL_MOST_MAX = 10000, POLL_BYTES = 1 << 20 /* after these no more events in one answer */ };

int poll_run(struct call *c);
int poll_more(struct call *c);
void poll_over(struct call *c);
/* Its channel is deleted: those that wait have failed. */
void polls_end(struct channel_entry *e);

#endif
