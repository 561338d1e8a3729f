/* SPDX-License-Identifier: Apache-2.0 */
/* A descriptor for one process, which can't be taken for another that gets its number later. */
#ifndef VIGIA_OS_PIDFD_H
#define VIGIA_OS_PIDFD_H

#include "os/process.h"

/* `proc`: a descriptor of /proc. -ESRCH: it has gone (a zombie has not). */
int pidfd_of(int proc, const struct process_key *key, int *ret_fd);
/* -EINVAL: no such signal; -EPERM; -ESRCH. */
int pidfd_signal(int proc, const struct process_key *key, int signal);

#endif
