/* SPDX-License-Identifier: Apache-2.0 */
/* What text is made of, in XML and in frames alike: characters of UTF-8 that XML 1.0 has (no NUL, no control character
 * but tab, line feed and carriage return, no surrogate, not U+FFFE or U+FFFF).
 */
#ifndef VIGIA_PROTO_CHARS_H
#define VIGIA_PROTO_CHARS_H

#include <stdbool.h>
#include <stddef.h>

/* Bytes (1 to 4) of the character at the start of these n bytes, n > 0; 0 when there is none: a text may have been cut
 * in the middle of one. */
size_t chars_one(const char *s, size_t n);
/* How many bytes of s are characters, up to the first that is none. */
size_t chars_good(const char *s, size_t n);
/* Letters and digits of ASCII, "_", "-" and "."; the first is a letter or "_". XML has more, but what has a meaning in HMON
 * has such a name. */
bool chars_are_name(const char *s, size_t n);

#endif
