/* SPDX-License-Identifier: Apache-2.0 */
/* Names of users, without waiting for them.
 *
 * Those in /etc/passwd are known at once. Others may come from a server that is slow or dead: getent(1) is asked, in the
 * background, and until it has answered a name is "". */
#ifndef VIGIA_OS_USERS_H
#define VIGIA_OS_USERS_H

#include <sys/types.h>

#include "os/runs.h"

enum { USERS_LOCAL_MAX = 4096, USERS_ASKED_MAX = 4096, USERS_AT_ONCE = 64 };

struct users;

/* All borrowed; file: NULL: /etc/passwd. */
struct users *users_new(struct runs *runs, int sources, const char *file);
void users_free(struct users *u);
/* Reads the file again when it has changed. */
void users_refresh(struct users *u);
/* Borrowed until the next call or turn. */
const char *users_name(struct users *u, uid_t uid);

/* A line of passwd(5), name:password:uid:...; false: it is none. */
bool users_parse(const char *line, size_t n, uid_t *ret_uid, char ret_name[PROCESS_USER_MAX + 1]);

#endif
