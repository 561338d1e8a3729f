/* SPDX-License-Identifier: Apache-2.0 */
/* A channel's events as they go out, the oldest first, and its readers, each a place among them.
 *
 * Part of core/channel.h, whose readers these are. Frames lie in segments; each segment knows the readers
 * whose place is in it, so that what drops the oldest meets only those that lag. Readers that have read
 * everything stand apart.
 */
#ifndef VIGIA_CORE_CHANNEL_LOG_H
#define VIGIA_CORE_CHANNEL_LOG_H

#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "core/channel.h"

TAILQ_HEAD(segments, segment);
LIST_HEAD(readers, channel_reader);

struct channel_log {
	struct segments segments;
	struct readers done; /* have read everything */
	uint64_t sequence;   /* of the newest */
	uint64_t oldest;
	size_t bytes, limit;
	size_t segment; /* bytes of one */
	struct limits *limits; /* NULL: none but its own */
	uid_t owner;
};

void channel_log_init(struct channel_log *l, size_t limit);
/* All readers must have gone. */
void channel_log_release(struct channel_log *l);
/* The event gets the next sequence and this time. 0, or -ENOMEM: nothing has changed. */
int channel_log_append(struct channel_log *l, const struct frame_event *e, int64_t wall_ns);
/* That many sequences, from 1, are of events that nobody will have: all readers are told, whatever their masks. 0 or
 * -ENOMEM. */
int channel_log_gap(struct channel_log *l, uint64_t lost);
struct channel_reader *channel_log_reader(struct channel_log *l, const struct channel_place *place,
    void (*wake)(struct channel_reader *r, void *data), void *data);

#endif
