/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "root/root.h"
#include "root/sys.h"

int door_open(const char *path, gid_t group)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	if (snprintf(a.sun_path, sizeof a.sun_path, "%s", path) >= (int)sizeof a.sun_path)
		return -ENAMETOOLONG;
	int fd = sys.socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	unlink(path);
	mode_t mask = umask(0117);
	bool ok = sys.bind(fd, (struct sockaddr *)&a, sizeof a) == 0 && sys.lchown(path, 0, group) == 0 &&
	    sys.listen(fd, 8) == 0;
	int error = errno;
	umask(mask);
	if (!ok)
		close(fd);
	return ok ? fd : -error;
}

static bool is_of(int fd, uid_t user)
{
	struct ucred who = {.uid = (uid_t)-1};
	socklen_t n = sizeof who;

	return sys.getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &n) == 0 && (who.uid == user || who.uid == 0);
}

int door_admit(int listener, uid_t user)
{
	int fd = sys.accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0)
		return -errno;
	if (is_of(fd, user))
		return fd;
	close(fd);
	return -EPERM;
}

/* Who connected has no name as a rule, who was connected to has one always: so vigiad can't connect to somebody's socket and
 * show that. */
bool door_proves(int fd, uid_t uid)
{
	struct sockaddr_un peer;
	socklen_t n = sizeof peer;

	return sys.getpeername(fd, (struct sockaddr *)&peer, &n) == 0 && n == offsetof(struct sockaddr_un, sun_path) &&
	    peer.sun_family == AF_UNIX && is_of(fd, uid);
}
