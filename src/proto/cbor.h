/* SPDX-License-Identifier: Apache-2.0 */
/* The part of CBOR (RFC 8949) that frames use: definite lengths, no tags, no floats, no allocation.
 *
 * Written by shifts, so a frame is the same on every byte order and word size. A reader is a window on borrowed bytes;
 * its first failure sticks with `at` at the item that was wrong, later reads give zeros and empty strings, and whoever
 * reads asks once, at the end.
 */
#ifndef VIGIA_PROTO_CBOR_H
#define VIGIA_PROTO_CBOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

void cbor_put_int(struct buf *out, int64_t n);
void cbor_put_flag(struct buf *out, bool flag);
/* A byte that is part of no character (proto/chars.h) goes out as "?", as in XML. */
void cbor_put_text(struct buf *out, const char *s, size_t n);
void cbor_put_bytes(struct buf *out, const void *bytes, size_t n);
void cbor_put_array(struct buf *out, size_t n);
void cbor_put_map(struct buf *out, size_t n);

enum cbor_kind { CBOR_INT, CBOR_FLAG, CBOR_TEXT, CBOR_BYTES, CBOR_ARRAY, CBOR_MAP, CBOR_BAD };

struct cbor_reader {
	const uint8_t *bytes;
	size_t n, at;
	const char *why; /* NULL: all is well */
};

/* What comes next, without taking it; CBOR_BAD at the end and for all that frames do not use. */
enum cbor_kind cbor_peek(const struct cbor_reader *r);
int64_t cbor_int(struct cbor_reader *r);
bool cbor_flag(struct cbor_reader *r);
/* Borrowed from the reader's bytes, never NULL; text is characters (proto/chars.h) and not NUL-terminated. */
const char *cbor_text(struct cbor_reader *r, size_t max, size_t *ret_n);
const uint8_t *cbor_bytes(struct cbor_reader *r, size_t max, size_t *ret_n);
/* How many items (of a map: pairs) follow: never more than there are bytes for. */
size_t cbor_array(struct cbor_reader *r, size_t max);
size_t cbor_map(struct cbor_reader *r, size_t max);
/* Sets why, if nothing is wrong yet. */
void cbor_fail(struct cbor_reader *r, const char *why);

#endif
