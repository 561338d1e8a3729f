/* SPDX-License-Identifier: Apache-2.0 */
/* What vigiad and vigia-helper say to each other: whole messages of fixed size on a SOCK_SEQPACKET socket, which the
 * helper finds as descriptor 3. Both run on one machine and come from one build, so host byte order.
 *
 *   vigiad                               helper
 *                                    <-  READY    result: 0, or negative errno with why in tail; it ends then
 *                                    <-  LOST     result: wait status; its programs have ended, too. READY follows
 *   START   id, entry, one fd        ->
 *                                    <-  STARTED  id, result: process id or negative errno
 *   SIGNAL  id, signal               ->           no answer
 *                                    <-  ENDED    id, result: wait status, tail: end of its stderr
 *
 * LOST is the keeper's word (helper/keeper.h), and a READY that says why there is none; all else is its worker's. A
 * message of another size or kind, or a START without exactly one descriptor, ends the worker: only a broken vigiad
 * sends it.
 */
#ifndef VIGIA_OS_HELPER_WIRE_H
#define VIGIA_OS_HELPER_WIRE_H

#include <stdint.h>

#include "os/helper.h"

enum { HELPER_FD = 3, HELPER_FDS_MAX = 4 };

enum {
	HELPER_MSG_START = 1,
	HELPER_MSG_SIGNAL = 2,
	HELPER_MSG_READY = 3,
	HELPER_MSG_STARTED = 4,
	HELPER_MSG_ENDED = 5,
	HELPER_MSG_LOST = 6,
	HELPER_MSG_SIGNALLED = 10, /* os/root_wire.h */
};

struct helper_request {
	uint32_t kind;
	uint32_t id;
	int32_t signal;
	char entry[HELPER_ENTRY_MAX + 1];
};

struct helper_answer {
	uint32_t kind;
	uint32_t id;
	int32_t result;
	uint32_t tail_size;
	char tail[HELPER_TAIL_MAX];
};

/* One message with copies of these descriptors. -EAGAIN: no room for it now; -EPIPE: nobody is there. */
int helper_send(const struct helper *h, const void *bytes, size_t size, const int fds[], size_t n);

#endif
