/* SPDX-License-Identifier: Apache-2.0 */
/* Text that may have come from anywhere, made fit for XML. */
#ifndef VIGIA_HMON_TEXT_H
#define VIGIA_HMON_TEXT_H

#include <stddef.h>

/* Copies at most size-1 bytes of src, never half a character; what is not UTF-8 or not allowed in XML becomes
 * '?'. */
void text_clean(char *to, size_t size, const char *src);
/* Makes n bytes fit for a metric's name: what that can't have becomes '_'; so does '/', unless it is in
 * `keep`. */
void text_clean_name(char *s, const char *keep, size_t n);

#endif
