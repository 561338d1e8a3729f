/* SPDX-License-Identifier: Apache-2.0 */
#include "root/sys.h"

#include <fcntl.h>
#include <grp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int send_to(int fd, int signal)
{
	return (int)syscall(SYS_pidfd_send_signal, fd, signal, NULL, 0);
}

struct sys sys = {openat, fstat, fstatat, socket, bind, lchown, listen, accept4, getsockopt, getpeername, sigprocmask, ppoll,
    recvmsg, send, fork, waitpid, getpwuid, initgroups, setresgid, setresuid, prctl, setsid, dup2, chdir, close_range, execveat,
    send_to};
