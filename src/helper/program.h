/* SPDX-License-Identifier: Apache-2.0 */
/* A program that runs: a process group of its own, and the pipe that its stderr goes into. */
#ifndef VIGIA_HELPER_PROGRAM_H
#define VIGIA_HELPER_PROGRAM_H

#include <stdint.h>
#include <sys/types.h>

#include "os/helper_wire.h"

struct program {
	pid_t pid; /* and process group; 0: this place is free */
	uint32_t id;
	int err_fd; /* -1: closed */
	uint32_t tail_size;
	char tail[HELPER_TAIL_MAX];
};

/* Runs `name` of the directory with `fd` as stdin and stdout; returns when it was executed, or negative errno. */
int program_start(struct program *p, uint32_t id, int dir, const char *name, int fd);
/* Takes what stderr has now; keeps the last. */
void program_read_stderr(struct program *p);
/* To its whole group. Only before it is reaped: after that the number may be another's. */
void program_signal(const struct program *p, int signal);
void program_release(struct program *p);

#endif
