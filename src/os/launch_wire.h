/* SPDX-License-Identifier: Apache-2.0 */
/* What vigiad and vigia-launcher say to each other, on a socket as vigia-helper's and with its answers
 * (os/helper_wire.h). The one request has as many bytes as it needs:
 *
 *   vigiad                                       launcher
 *                                            <-  READY
 *   LAUNCH  id, words, 1 to 4 descriptors    ->
 *                                            <-  STARTED  id, result: process id or negative errno
 *                                            <-  ENDED    id: its process id, result: wait status
 *
 * The first descriptor is a pipe's end that the program's process keeps until it executes: it closes without a word, or
 * after a struct launch_failure. So the launcher waits for nobody's file system. A request that does not read ends the
 * worker: only a broken vigiad sends it.
 */
#ifndef VIGIA_OS_LAUNCH_WIRE_H
#define VIGIA_OS_LAUNCH_WIRE_H

#include "os/helper_wire.h"
#include "os/launch.h"

enum { HELPER_MSG_LAUNCH = 7 };

struct launch_request {
	uint32_t kind;
	uint32_t id;
	uint16_t arguments, environment; /* how many of the words */
	uint32_t given;			 /* bit 0: stdin comes along, bit 1: stdout, bit 2: stderr; else /dev/null */
	/* then words, each with its NUL: the directory ("": home), the arguments, the environment's */
};

struct launch_failure {
	int32_t error;
	uint32_t at; /* enum launch_step */
};

enum launch_step { LAUNCH_PREPARE, LAUNCH_DIRECTORY, LAUNCH_PROGRAM, LAUNCH_ENTRY, LAUNCH_USER, LAUNCH_STEPS };

#endif
