/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/sys.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

struct sys sys = {open, fstat, fstatat, pipe2, fork, prctl, setpgid, dup2, chdir, execveat, sigprocmask, signalfd, poll,
    recvmsg, send, read, waitid, waitpid, kill, setsid, execvp};
