/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes as text (RFC 4648, 4), for XML. Ours, since libcrypto would cost each monitor half a megabyte. */
#ifndef VIGIA_BASE_BASE64_H
#define VIGIA_BASE_BASE64_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/* Room enough for what n characters decode to. */
#define BASE64_BYTES(n) ((n) / 4 * 3)

void base64_put(struct buf *out, const void *bytes, size_t n);
/* Into BASE64_BYTES(n) bytes. 0 or -EINVAL: not just what base64_put writes, padding and all. */
int base64_decode(const char *s, size_t n, uint8_t *to, size_t *ret_n);

#endif
