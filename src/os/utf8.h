/* SPDX-License-Identifier: Apache-2.0 */
/* Is it text? */
#ifndef VIGIA_OS_UTF8_H
#define VIGIA_OS_UTF8_H

#include <stddef.h>

/* Bytes (1 to 4) of the well-formed UTF-8 character at the start of these n bytes; 0 when there is none: cut off,
 * overlong, a surrogate, or past U+10FFFF. */
size_t utf8_char(const char *s, size_t n);

#endif
