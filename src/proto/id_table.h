/* SPDX-License-Identifier: Apache-2.0 */
/* Things with a channel's id, found by it. The things are the caller's; each begins with its `struct
 * channel_id`. An empty one holds no memory, and all zero is empty. */
#ifndef VIGIA_PROTO_ID_TABLE_H
#define VIGIA_PROTO_ID_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "proto/id.h"

struct id_table {
	void **slots; /* of which some are NULL: to go through all, in no order */
	size_t size, n;
};

void id_table_release(struct id_table *t);
void *id_table_find(const struct id_table *t, const struct channel_id *id);
/* The thing's id is not in it yet. 0 or -ENOMEM. */
int id_table_add(struct id_table *t, void *thing);
/* The thing is in it. Who goes through the slots looks at this one's again: another may have come there. */
void id_table_remove(struct id_table *t, const void *thing);
uint64_t channel_id_hash(const struct channel_id *id);

#endif
