/* SPDX-License-Identifier: Apache-2.0 */
/* Is it text? And a stranger's bytes made harmless. */
#ifndef VIGIA_OS_UTF8_H
#define VIGIA_OS_UTF8_H

#include <stddef.h>

/* Bytes (1 to 4) of the well-formed UTF-8 character at the start of these n bytes; 0 when there is none: cut off,
 * overlong, a surrogate, or past U+10FFFF. */
size_t utf8_char(const char *s, size_t n);

enum { UTF8_ESCAPED = 8 };

/* The next of the bytes from *from to end (there is one), which moves on: a character as it is, or, for a backslash, a
 * control character or what is no UTF-8, \\ \n \t \xNN. Returns how many bytes it put, without a NUL. */
size_t utf8_escape(char to[UTF8_ESCAPED], const char **from, const char *end);
/* All n bytes so, as a string; what does not fit in `size` is cut off, never within a character, and ends in "...". */
void utf8_harmless(char *to, size_t size, const char *bytes, size_t n);

#endif
