/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/orphans.h"

#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "keeper/sys.h"

enum { END_MS = 1000, STEP_MS = 10 };

/* Killed, a parent could end nobody: so the kernel does, and no program lives on beside its successor. */
bool orphans_prevent(pid_t parent)
{
	return sys.prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == parent;
}

static bool kill_children(void)
{
	int pid, n = 0;
	FILE *f = fopen("/proc/thread-self/children", "re");

	for (; f && fscanf(f, "%d", &pid) == 1; n++)
		kill(pid, SIGKILL);
	if (f)
		fclose(f);
	return n > 0;
}

void orphans_end(void)
{
	/* Killing one may hand us its children. */
	for (int ms = 0; ms < END_MS && kill_children(); ms += STEP_MS) {
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
		poll(NULL, 0, STEP_MS);
	}
}
