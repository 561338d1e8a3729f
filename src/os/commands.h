/* SPDX-License-Identifier: Apache-2.0 */
/* The command lines of processes, read so that nobody hangs with them.
 *
 * /proc/PID/cmdline is the process's own memory: where that hangs (a dead file server), so does who reads it, and can't
 * even be killed. So a thread reads, and is left behind when it does not come back within COMMANDS_PATIENCE_MS; its
 * process is passed over as long as it hangs. The loop then lost COMMANDS_PATIENCE_MS once. */
#ifndef VIGIA_OS_COMMANDS_H
#define VIGIA_OS_COMMANDS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { COMMANDS_PIECE = 16, COMMANDS_BYTES = 1024, COMMANDS_PATIENCE_MS = 100, COMMANDS_STUCK_MAX = 8 };

struct command_bytes {
	size_t size; /* 0: none, or it could not be read */
	char bytes[COMMANDS_BYTES];
};

struct commands;

int commands_open(struct commands **ret);
void commands_close(struct commands *c);
/* n: at most COMMANDS_PIECE. ret[i] is that of pids[i]; borrowed until the next call. */
const struct command_bytes *commands_read(struct commands *c, const int32_t pids[], size_t n);

/* For tests: another way to read one; as read(2). */
extern ssize_t (*commands_read_one)(int32_t pid, char *to, size_t size);

#endif
