/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/host.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BACKLOG_KEEP = 16384, BUCKETS_LEAST = 16 };

void host_init(struct host *h, const struct host_id *id)
{
	char text[HOST_ID_TEXT];
	*h = (struct host){.id = *id};
	host_id_format(id, text);
	snprintf(h->name, sizeof h->name, "host %.8s...", text);
}

void host_name(struct host *h, const char *name)
{
	if (*name)
		snprintf(h->name, sizeof h->name, "%s", name);
}

/* --- the table --- */

/* Ids are drawn at random: any eight of their bytes will do. */
static size_t bucket_of(const struct hosts *t, const struct host_id *id)
{
	uint64_t u;
	memcpy(&u, id->bytes, sizeof u);
	return (size_t)(u * 0x9e3779b97f4a7c15 >> 32) & (t->size - 1);
}

static void link_in(struct hosts *t, struct host *h)
{
	struct host **bucket = &t->buckets[bucket_of(t, &h->id)];
	h->next = *bucket;
	*bucket = h;
}

static int grow(struct hosts *t)
{
	struct hosts larger = {.n = t->n, .size = t->size ? t->size * 2 : BUCKETS_LEAST};
	larger.buckets = calloc(larger.size, sizeof *larger.buckets);
	if (!larger.buckets)
		return -ENOMEM;
	for (struct host *h = hosts_next(t, NULL), *next; h; h = next) {
		next = hosts_next(t, h);
		link_in(&larger, h);
	}
	free(t->buckets);
	*t = larger;
	return 0;
}

struct host *hosts_find(const struct hosts *t, const struct host_id *id)
{
	struct host *h = t->size ? t->buckets[bucket_of(t, id)] : NULL;
	while (h && !host_id_is(&h->id, id))
		h = h->next;
	return h;
}

int hosts_add(struct hosts *t, struct host *h)
{
	int r = t->n == t->size ? grow(t) : 0;
	if (r)
		return r;
	link_in(t, h);
	t->n++;
	return 0;
}

void hosts_remove(struct hosts *t, struct host *h)
{
	struct host **p = &t->buckets[bucket_of(t, &h->id)];
	while (*p != h)
		p = &(*p)->next;
	*p = h->next;
	t->n--;
}

void hosts_release(struct hosts *t)
{
	free(t->buckets);
	*t = (struct hosts){0};
}

static struct host *first_from(const struct hosts *t, size_t bucket)
{
	while (bucket < t->size && !t->buckets[bucket])
		bucket++;
	return bucket < t->size ? t->buckets[bucket] : NULL;
}

struct host *hosts_next(const struct hosts *t, const struct host *h)
{
	return h && h->next ? h->next : first_from(t, h ? bucket_of(t, &h->id) + 1 : 0);
}

struct host *hosts_from(const struct hosts *t, const struct host_id *id)
{
	return first_from(t, t->size ? bucket_of(t, id) : 0);
}

/* --- what waits --- */

size_t backlog_size(const struct backlog *b)
{
	return b->bytes.len - b->gone;
}

const char *backlog_data(const struct backlog *b)
{
	return b->bytes.data + b->gone;
}

int backlog_put(struct backlog *b, const void *bytes, size_t n)
{
	if (!buf_reserve(&b->bytes, n)) {
		b->bytes.failed = false;
		return -ENOMEM;
	}
	buf_put(&b->bytes, bytes, n);
	return 0;
}

void backlog_drop(struct backlog *b, size_t n)
{
	b->gone += n;
	if (b->gone == b->bytes.len && b->bytes.size > BACKLOG_KEEP) {
		backlog_release(b);
	} else if (b->gone > b->bytes.len / 2) {
		buf_consume(&b->bytes, b->gone);
		b->gone = 0;
	}
}

void backlog_release(struct backlog *b)
{
	buf_release(&b->bytes);
	b->gone = 0;
}

/* --- who waits for room --- */

static void note_asked(struct host *h, size_t pending)
{
	h->asked = true;
	h->wake_at = pending / 2;
}

size_t host_room(struct host *h, size_t pending, size_t most)
{
	if (pending)
		note_asked(h, pending);
	return pending < most ? most - pending : 0;
}

bool host_takes(struct host *h, size_t pending, size_t most, size_t n)
{
	if (!pending || (pending < most && n <= most - pending))
		return true;
	note_asked(h, pending);
	return false;
}

bool host_roomy(struct host *h, size_t pending)
{
	if (!h->asked || pending > h->wake_at)
		return false;
	h->asked = false;
	return true;
}
