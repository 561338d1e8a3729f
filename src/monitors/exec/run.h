/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a program to its end, within a time, and keeps what it said. Never a shell; all processes
 * that it started die with it. The caller has no other children. */
#ifndef VIGIA_MONITORS_EXEC_RUN_H
#define VIGIA_MONITORS_EXEC_RUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { RUN_OUTPUT_SIZE = 65536, RUN_ERRORS_SIZE = 1024 };

struct run {
	char output[RUN_OUTPUT_SIZE]; /* NUL-terminated; more is read and forgotten, 1 MiB ends it */
	char errors[RUN_ERRORS_SIZE]; /* of standard error */
	size_t output_len, errors_len;
	int status; /* as of waitpid(2) */
	bool timed_out;
	int64_t took_ns;
};

/* 0 when it ended, also when it was killed for time; -ECANCELED when end_fd turned readable; or why it could
 * not be started. A program that is not there ends with status 127 and says so in `errors`. */
int run_program(struct run *r, const char *const argv[], int64_t limit_ms, int end_fd);

#endif
