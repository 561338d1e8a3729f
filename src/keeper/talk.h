/* SPDX-License-Identifier: Apache-2.0 */
/* A worker's end of the socket to vigiad: requests with descriptors come in, answers go out (os/helper_wire.h). */
#ifndef VIGIA_KEEPER_TALK_H
#define VIGIA_KEEPER_TALK_H

#include <stddef.h>
#include <stdint.h>

#include "os/helper_wire.h"

struct request {
	size_t size;
	size_t fds_n;
	int fds[HELPER_FDS_MAX];
};

/* Takes one request of `size` bytes at most. 1: request_release() it, also after -EPROTO: larger, or with too many
 * descriptors; 0: nothing now; -EPIPE: vigiad has closed. */
int request_take(int socket, void *bytes, size_t size, struct request *ret);
void request_release(struct request *q);
/* Drops what was asked for of one that is gone. 0; -EPIPE: vigiad has closed; or another negative errno. */
int request_drop_all(int socket);

int answer(int socket, uint32_t kind, uint32_t id, int result, const char *tail, uint32_t tail_size);
/* Says that and why there is no worker, to stderr when nobody listens; the exit status. */
int answer_failure(int socket, int error, const char *format, const char *what);

#endif
