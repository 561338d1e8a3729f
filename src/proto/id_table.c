/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/id_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Open addressing, never more than half full; what stood behind a thing that goes moves up, so there are no
 * marks. */

enum { SIZE_LEAST = 8 };

static uint64_t mix(uint64_t u)
{
	u = (u ^ u >> 30) * 0xbf58476d1ce4e5b9;
	u = (u ^ u >> 27) * 0x94d049bb133111eb;
	return u ^ u >> 31;
}

uint64_t channel_id_hash(const struct channel_id *id)
{
	uint64_t host[2];
	memcpy(host, id->host.bytes, sizeof host);
	return mix(mix(host[0] ^ mix(host[1])) + id->number);
}

static size_t home(const struct id_table *t, const void *thing)
{
	return channel_id_hash(thing) & (t->size - 1);
}

/* Where it is, or the empty slot where it would be. */
static size_t slot_of(const struct id_table *t, const struct channel_id *id)
{
	size_t i = home(t, id);
	while (t->slots[i] && !channel_id_is(t->slots[i], id))
		i = (i + 1) & (t->size - 1);
	return i;
}

void id_table_release(struct id_table *t)
{
	free(t->slots);
	*t = (struct id_table){0};
}

void *id_table_find(const struct id_table *t, const struct channel_id *id)
{
	return t->n ? t->slots[slot_of(t, id)] : NULL;
}

static int grow(struct id_table *t)
{
	struct id_table larger = {.size = t->size ? 2 * t->size : SIZE_LEAST, .n = t->n};
	larger.slots = calloc(larger.size, sizeof *larger.slots);
	if (!larger.slots)
		return -ENOMEM;
	for (size_t i = 0; i < t->size; i++)
		if (t->slots[i])
			larger.slots[slot_of(&larger, t->slots[i])] = t->slots[i];
	free(t->slots);
	*t = larger;
	return 0;
}

int id_table_add(struct id_table *t, void *thing)
{
	int r = 2 * (t->n + 1) > t->size ? grow(t) : 0;
	if (r)
		return r;
	t->slots[slot_of(t, thing)] = thing;
	t->n++;
	return 0;
}

void id_table_remove(struct id_table *t, const void *thing)
{
	size_t mask = t->size - 1, hole = slot_of(t, thing);
	for (size_t i = (hole + 1) & mask; t->slots[i]; i = (i + 1) & mask)
		if (((i - home(t, t->slots[i])) & mask) >= ((i - hole) & mask)) {
			t->slots[hole] = t->slots[i];
			hole = i;
		}
	t->slots[hole] = NULL;
	if (!--t->n)
		id_table_release(t);
}
