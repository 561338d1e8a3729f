/* SPDX-License-Identifier: Apache-2.0 */
/* One byte of TCP urgent data, as Linux really does it. Never takes a byte of data.
 *
 * Linux keeps one mark: an urgent byte that arrives before the reader has passed the last one pushes that one
 * into the data. So a byte may be sent in either direction only when the other's mark is known to be passed.
 */
#ifndef VIGIA_HEARTBEAT_URGENT_H
#define VIGIA_HEARTBEAT_URGENT_H

#include <stdbool.h>

enum urgent_mark { URGENT_PASSED, URGENT_STANDING };

/* 0, or -EOPNOTSUPP: not TCP, or the owner wants urgent bytes inline. */
int urgent_usable(int fd);
/* -EAGAIN: no room, or too much unacknowledged data before it; else the connection's errno. */
int urgent_send(int fd);
/* Has the reader passed the mark? Helps him over it when all data before it is read: a lone urgent byte makes
 * no socket readable, so nobody else would. Negative: the connection's errno, which nobody else will see now.
 */
int urgent_pass(int fd);
/* Only looks. */
enum urgent_mark urgent_look(int fd);

#endif
