/* SPDX-License-Identifier: Apache-2.0 */
/* What vigiad and vigia-root say to each other: messages of fixed size on a SOCK_SEQPACKET socket, answers as
 * os/helper_wire.h has them. Both run on one machine and come from one build, so host byte order.
 *
 *   vigiad                                                        vigia-root
 *   START   id, uid, entry; descriptors: proof, status, 0, 1, 2  ->
 *                                                             <-  STARTED    id, result: process id or negative errno
 *                                                             <-  ENDED      id: its process id, result: wait status
 *   SIGNAL  id, uid, signal; descriptors: proof, a pidfd         ->
 *                                                             <-  SIGNALLED  id, result: 0 or negative errno
 *
 * proof is the connection on which the user asked vigiad: the kernel says of it whose it is. status is a pipe as
 * vigia-launcher's (os/launch_wire.h). No process is named by its number. A message of another size or kind, or with other
 * descriptors, ends the connection: only a broken vigiad sends it.
 */
#ifndef VIGIA_OS_ROOT_WIRE_H
#define VIGIA_OS_ROOT_WIRE_H

#include <stdint.h>

enum { ROOT_MSG_START = 8, ROOT_MSG_SIGNAL = 9 };
enum { ROOT_PROOF, ROOT_PIDFD, ROOT_STATUS = 1, ROOT_STDIO, ROOT_SIGNAL_FDS = 2, ROOT_START_FDS = 5 };
enum { ROOT_NAME_MAX = 31 /* SYSTEM_ENTRY_MAX */ };

struct root_request {
	uint32_t kind;
	uint32_t id;
	uint32_t uid;
	int32_t signal;
	char entry[ROOT_NAME_MAX + 1]; /* [a-z0-9-]{1,31}, then NULs */
};

#endif
