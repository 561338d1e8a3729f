/* SPDX-License-Identifier: Apache-2.0 */
/* vigia-launcher: starts the programs of vigiad's user, with his rights and no others; they outlive it (decision 0009).
 * Never installed with more rights than vigiad has: vigia-helper is for that. */
#include <stdlib.h>

#include "keeper/keeper.h"
#include "keeper/talk.h"
#include "launcher/serve.h"

/* What the service manager told vigiad, and nobody else. */
static const char *const vigiads_own[] = {"NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "LISTEN_PID", "LISTEN_FDS",
    "LISTEN_FDNAMES", "JOURNAL_STREAM", "INVOCATION_ID", "SYSTEMD_EXEC_PID", "MANAGERPID"};

int main(void)
{
	const struct trade trade = {"vigia-launcher", false, launcher_serve, NULL};

	for (size_t i = 0; i < sizeof vigiads_own / sizeof *vigiads_own; i++)
		unsetenv(vigiads_own[i]);
	int r = keeper_run(HELPER_FD, &trade);
	return r < 0 ? answer_failure(HELPER_FD, r, "%s: %s", "can't keep a worker") : 0;
}
