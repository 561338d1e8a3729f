/* SPDX-License-Identifier: Apache-2.0 */
/* One period packed against the one before it, as it waits in the queue, the journal and the open chain.
 *
 *	row	= flags, place, changed, changes
 *	place	= boot, sequence, time and the number of values (whole row); else the steps of sequence and of
 *time changed	= a bit a value, lowest first changes	= one a set bit: 0 none | 1 length bytes (text) | 2 8
 *bytes (number) | 3 + zigzag(difference)
 *
 * A whole row stands alone: it is packed against "no value" everywhere. The rows from one whole row to before
 *the next are a chain, and each needs the ones before it.
 */
#ifndef VIGIA_HISTORY_ROW_H
#define VIGIA_HISTORY_ROW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/value.h"
#include "history/bytes.h"
#include "history/history.h"

/* Where and when a row is. */
struct row_place {
	struct history_position at;
	int64_t time_ns, step_ns; /* step: since the row before */
	size_t n;		  /* values */
};

/* The values as of some row: what the next is packed against or unpacked onto. Zeroed: empty. */
struct row_state {
	struct row_place place;
	int64_t *numbers; /* of a value that is no number: the last it was, or 0 */
	uint8_t *kinds;	  /* enum value_kind */
	char **texts;	  /* NULL where never a text */
};
void row_state_release(struct row_state *s);

/* Appends the period's row and makes it the state. -ENOMEM: nothing appended, state as it was. */
int row_pack(struct buf *b, struct row_state *s, size_t n, bool whole, const struct history_period *p);

/* The row's place, given that of the row before (NULL: there is none). -EBADMSG; -ENOENT: the row needs one.
 * *row then stands before `changed`. */
int row_place(struct bytes *row, const struct row_place *before, struct row_place *ret);
/* Makes the state that of the row. -ENOENT as above, -EBADMSG, -ENOMEM: the state is then empty. */
int row_unpack(struct bytes row, struct row_state *s);

/* Borrows the state's values as they are now into values[place.n]. */
void row_values(const struct row_state *s, struct value *values);

static inline bool position_after(struct history_position a, struct history_position b)
{
	return a.boot > b.boot || (a.boot == b.boot && a.sequence > b.sequence);
}

#endif
