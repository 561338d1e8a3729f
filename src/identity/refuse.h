/* SPDX-License-Identifier: Apache-2.0 */
/* Saying no, with what and where. */
#ifndef VIGIA_IDENTITY_REFUSE_H
#define VIGIA_IDENTITY_REFUSE_H

#include "base/buf.h"

/* Puts the text into `why` and returns `error`. What OpenSSL noted of it is forgotten: its queue is the thread's, and whoever
 * uses OpenSSL next would take it for his own. */
int refuse(struct buf *why, int error, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
