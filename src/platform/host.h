/* SPDX-License-Identifier: Apache-2.0 */
/* What every platform keeps of another host: what is agreed with it, what waits for it, who waits for room.
 *
 * A platform's own struct for a host begins with this one and owns its memory; the table only links them.
 */
#ifndef VIGIA_PLATFORM_HOST_H
#define VIGIA_PLATFORM_HOST_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "platform/pair.h"
#include "proto/id.h"

/* Bytes that wait, first in, first out. */
struct backlog {
	struct buf bytes;
	size_t gone; /* of the bytes */
};

struct host {
	struct host_id id;
	char name[64]; /* for people: from its hello or the core, until then the begin of its id */
	struct pair pair;
	struct backlog backlog;
	bool asked;	/* somebody waits for room ... */
	size_t wake_at; /* ... and is told when no more than so much is pending */
	struct host *next; /* in its bucket */
};

struct hosts {
	struct host **buckets;
	size_t n, size;
};

void host_init(struct host *h, const struct host_id *id);
/* As the core calls it; "": as it was. */
void host_name(struct host *h, const char *name);

struct host *hosts_find(const struct hosts *t, const struct host_id *id);
/* 0 or -ENOMEM. */
int hosts_add(struct hosts *t, struct host *h);
void hosts_remove(struct hosts *t, struct host *h);
void hosts_release(struct hosts *t);
/* The next after `h` (NULL: the first) in no order that means anything. The table stays as it is meanwhile. */
struct host *hosts_next(const struct hosts *t, const struct host *h);
/* One to begin with that an id decides, whether it is there or not; NULL: there is none from there on. */
struct host *hosts_from(const struct hosts *t, const struct host_id *id);

/* 0 or -ENOMEM: nothing is put. */
int backlog_put(struct backlog *b, const void *bytes, size_t n);
const char *backlog_data(const struct backlog *b);
size_t backlog_size(const struct backlog *b);
void backlog_drop(struct backlog *b, size_t n);
void backlog_release(struct backlog *b);

/* What can be queued while so much is pending; notes that somebody asked when that is not all. What is put when nothing
 * is pending may be of any size: else a large frame would never go. */
size_t host_room(struct host *h, size_t pending, size_t most);
bool host_takes(struct host *h, size_t pending, size_t most, size_t n);
/* Whether who asked is to be told now; once. */
bool host_roomy(struct host *h, size_t pending);

#endif
