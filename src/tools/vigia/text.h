/* SPDX-License-Identifier: Apache-2.0 */
/* Texts of strangers, made fit for a terminal, JSON or CSV. All append to a buf. */
#ifndef VIGIA_TOOLS_TEXT_H
#define VIGIA_TOOLS_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

/* May the terminal be given more than ASCII? Call once, first: it sets the locale. */
bool text_unicode(void);

/* On one line, nothing that moves a cursor, turns a line around or is no UTF-8: such bytes show as \n, \x1b.
 */
void text_put(struct buf *out, const char *s);
/* Columns that text_put's bytes take on a terminal. */
size_t text_width(const char *s);
/* Bytes of the longest start of s that takes at most `columns`. */
size_t text_fit(const char *s, size_t columns);

/* With its quotes. Bytes that are no UTF-8 become U+FFFD. */
void text_put_json(struct buf *out, const char *s);
/* s, when it is a decimal number as HMON has them, as JSON has them, no digit lost; false: it is none. */
bool text_put_number(struct buf *out, const char *s);
/* RFC 4180: quoted where needed. It has no form for controls but line ends: they show as \x1b. */
void text_put_csv(struct buf *out, const char *s);

/* "1.2 GiB" and "950 k": at most 4 digits. */
void text_put_bytes(struct buf *out, double bytes);
void text_put_count(struct buf *out, double n);
/* "1.2M": bytes where room is scarce. */
void text_put_short(struct buf *out, double bytes);

/* A little chart of n numbers from low to high (NAN: a gap), one column each; a share of 0 to 1 as a bar. */
void text_put_spark(struct buf *out, const double *y, size_t n, double low, double high);
void text_put_bar(struct buf *out, double share, size_t columns);

#endif
