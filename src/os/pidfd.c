/* SPDX-License-Identifier: Apache-2.0 */
#include "os/pidfd.h"

#include <errno.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

int pidfd_of(int proc, const struct process_key *key, int *ret_fd)
{
	if (key->pid <= 0)
		return -ESRCH;
	int fd = (int)syscall(SYS_pidfd_open, key->pid, 0);
	if (fd < 0)
		return errno == EINVAL || errno == ENOENT ? -ESRCH : -errno; /* of a thread that is not the first */
	/* Only now: whoever has the number, the descriptor is for him or for one that is gone. */
	if (!process_is(proc, key)) {
		close(fd);
		return -ESRCH;
	}
	*ret_fd = fd;
	return 0;
}

int pidfd_signal(int proc, const struct process_key *key, int signal)
{
	int fd, r;

	if (signal < 0 || signal >= NSIG)
		return -EINVAL;
	r = pidfd_of(proc, key, &fd);
	if (r < 0)
		return r;
	r = syscall(SYS_pidfd_send_signal, fd, signal, NULL, 0) < 0 ? -errno : 0;
	close(fd);
	return r;
}
