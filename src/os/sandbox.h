/* SPDX-License-Identifier: Apache-2.0 */
/* What vigiad takes from itself before it serves, so that whoever breaks into it has little of the host: no rights are gained by
 * exec, no capabilities are left, files are read and written in a few places only (landlock.h), and system calls that it does not
 * need are not there, or its end (syscalls.h). Decision 0018.
 *
 * It goes as far as the kernel has it. Processes that were started before are not concerned, all threads are: it is entered
 * while there is one. */
#ifndef VIGIA_OS_SANDBOX_H
#define VIGIA_OS_SANDBOX_H

#include <limits.h>

#include "os/landlock.h"

enum { SANDBOX_TEXT_MAX = 159, SANDBOX_PLACES_MAX = 16 };

/* For people. */
struct sandbox {
	char in_force[SANDBOX_TEXT_MAX + 1]; /* "no new privileges, no capabilities, landlock 7, seccomp", or "nothing" */
	char lack[SANDBOX_TEXT_MAX + 1];     /* what is not in force, and why; "" when all is */
};

/* For good. `places` besides what libc reads (libraries, /etc, /proc, the time zone). 0: *ret says what is in force. -EBUSY: there
 * are other threads already, which it would not hold; -E2BIG: more than SANDBOX_PLACES_MAX. */
int sandbox_enter(const struct place places[], size_t n, struct sandbox *ret);
/* Nothing of it, as the configuration says. */
void sandbox_leave_out(struct sandbox *ret);
/* What has to be readable so that another file put in the place of this one is seen as well: its directory. Of one that many
 * share (/etc, /tmp, the home) only the file. Negative errno: there is no such file. */
int sandbox_place_of(const char *file, char ret[PATH_MAX]);

#endif
