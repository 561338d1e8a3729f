/* SPDX-License-Identifier: Apache-2.0 */
/* Which system calls this process may still make, in all of its threads: seccomp(2). There is no way back.
 *
 * Three kinds: what the daemon and the libraries in it need is let through; what nobody needs who serves, and whoever has
 * broken in does (another program or process, other rights, another's memory, mounts, modules), ends the process with SIGSYS; all else
 * answers ENOSYS, at which a libc that is newer than this list tries the older way. */
#ifndef VIGIA_OS_SYSCALLS_H
#define VIGIA_OS_SYSCALLS_H

/* 0: in force; -ENOSYS, -EINVAL: not in this kernel; other negative errno. Needs no_new_privs. */
int syscalls_confine(void);

#endif
