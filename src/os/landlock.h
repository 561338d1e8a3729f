/* SPDX-License-Identifier: Apache-2.0 */
/* Which files the calling thread, and all threads and processes it starts from now on, may still open: landlock(7).
 * Descriptors that are open stay as they are, and so does connecting to sockets. There is no way back. */
#ifndef VIGIA_OS_LANDLOCK_H
#define VIGIA_OS_LANDLOCK_H

#include <stdbool.h>
#include <stddef.h>

enum place_use {
	PLACE_READ,
	PLACE_CHANGE, /* reading as well; files, directories and sockets are made and removed there */
	PLACE_SOCKETS /* nothing but making sockets, and removing what lies there */
};

/* A file, or a directory with all below it. */
struct place {
	const char *path;
	enum place_use use;
};

/* Nothing is left but these; one that does not exist is passed over. Nothing may be executed anywhere. `abstract`: Unix sockets
 * without a path, of other programs, may be connected to; kernels before ABI 6 always let it.
 * The kernel's ABI, 1 or more, once it is in force; -ENOSYS, -EOPNOTSUPP: not in this kernel, or switched off; other negative
 * errno: it could not be had. Needs no_new_privs. */
int landlock_confine(const struct place places[], size_t n, bool abstract);

#endif
