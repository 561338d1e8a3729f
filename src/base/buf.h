/* SPDX-License-Identifier: Apache-2.0 */
/* A growable run of bytes.
 *
 * Owns its memory. `data` is never NUL-terminated by itself; buf_str() makes it so.
 * The one rule: a failed allocation sticks (`failed`), later puts do nothing, and whoever hands the bytes on
 * asks once, at the end. So putting needs no checks.
 */
#ifndef VIGIA_BASE_BUF_H
#define VIGIA_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf {
	char *data;
	size_t len;
	size_t size;
	bool failed;
};

#define BUF_INIT {0}

void buf_release(struct buf *b);
/* Empties it and keeps the memory. */
void buf_clear(struct buf *b);
/* Room for `more` bytes past len; false when there is no memory. */
bool buf_reserve(struct buf *b, size_t more);
/* The bytes as a string; "" when nothing was ever put or memory failed. Valid until the next put. */
const char *buf_str(struct buf *b);
/* Moves the string out (the caller frees it); NULL when memory failed. */
char *buf_take(struct buf *b);

void buf_put(struct buf *b, const void *bytes, size_t n);
void buf_puts(struct buf *b, const char *s);
void buf_putc(struct buf *b, char c);
void buf_put_int(struct buf *b, int64_t n);
void buf_putf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Drops n bytes from the front. */
void buf_consume(struct buf *b, size_t n);

#endif
