/* SPDX-License-Identifier: Apache-2.0 */
/* Reaching a node that did not start us, and the secret under which it knows us again. */
#ifndef VIGIA_HMON_DIAL_H
#define VIGIA_HMON_DIAL_H

#include <stddef.h>

enum { SECRET_SIZE = 512 };

/* A connected socket or a negative errno, after 10 s at most; -ECANCELED when end_fd turns readable. */
int dial_socket(const char *path, int end_fd);
int dial_host(const char *host_and_port, int end_fd);

/* VIGIA_SOCKET, else $XDG_RUNTIME_DIR/vigia/vigiad.sock if it is there, else /run/vigia/vigiad.sock. */
void dial_default_socket(char *path, size_t size);

/* Sleeps; -ECANCELED when end_fd turns readable. */
int dial_wait(int ms, int end_fd);

/* $XDG_STATE_HOME/vigia/monitors/NAME.secret. Load: -ENOENT when there is none. */
int dial_load_secret(const char *name, char secret[SECRET_SIZE]);
int dial_keep_secret(const char *name, const char *secret);

#endif
