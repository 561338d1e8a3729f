/* SPDX-License-Identifier: Apache-2.0 */
/* vigia-root: all of Vigia that runs as root (decision 0023, vigia-root(8)). It does two things as another user, never as root:
 * it starts a program of root's own directory, and it sends a process a signal. Errors are negative errno. */
#ifndef VIGIA_ROOT_ROOT_H
#define VIGIA_ROOT_ROOT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "os/root_wire.h"

/* 65535 is nobody's account anywhere: it was -1 once, when ids had 16 bits. */
#define UID_NOONE ((uid_t)65535)

struct root {
	uid_t user;	     /* vigiad's, who alone may ask; and root */
	uid_t lowest;	     /* for whom: never below this, which is 1 at least */
	const char *entries; /* the directory; absolute */
};

/* 0; -EINVAL: it names no entry or no signal; -EPROTO: these bytes, with so many descriptors, are no request. */
int request_read(const void *bytes, size_t n, size_t fds, struct root_request *ret);
/* For whom anything may be done at all. */
bool request_may_be(uid_t uid, uid_t lowest);

/* The directory's descriptor. -EPERM: it, or one on the way to it, is not root's alone, or a symbolic link. */
int entries_open(const char *path);
/* 0; -EPERM: not a file of root's alone; -ENOENT. */
int entries_check(int dir, const char *name);

/* Listens at `path`, where only root, also without capabilities, and this group may connect. */
int door_open(const char *path, gid_t group);
/* Lets in who waits there; -EPERM: another user. */
int door_admit(int listener, uid_t user);
/* Is `fd` a connection that a process of this user, or of root, has made? */
bool door_proves(int fd, uid_t uid);

/* Runs the entry as the user, with his groups, in a clean environment, with no way to more rights; returns its process id. What goes
 * wrong later is said on the status pipe. */
int program_start(const char *entries, const struct root_request *q, const int fds[ROOT_START_FDS]);
/* Sends the signal as the user, so that the kernel decides. */
int program_signal(int pidfd, const struct root_request *q);

/* Serves who comes to the socket, until it can't any more; returns why. What was started goes on. */
int root_serve(int listener, const struct root *root);

#endif
