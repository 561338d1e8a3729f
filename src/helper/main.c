/* SPDX-License-Identifier: Apache-2.0 */
/* vigia-helper: starts programs for vigiad, which never forks once it serves (see os/helper_wire.h). Unprivileged: it
 * has the rights of its caller, and its programs can't gain any. */
#include <errno.h>
#include <string.h>

#include "helper/entries.h"
#include "helper/serve.h"
#include "keeper/keeper.h"
#include "keeper/talk.h"

int main(int argc, char **argv)
{
	struct entries entries = {0};
	const struct trade trade = {"vigia-helper", true, serve, &entries};

	for (int i = 1; i < argc; i += 2) {
		if (strcmp(argv[i], "--entries") != 0 || i + 1 == argc)
			return answer_failure(HELPER_FD, -EINVAL, "%s: expected --entries DIR (%s)", argv[i]);
		int r = entries_add(&entries, argv[i + 1]);
		const char *why = r == -EPERM ? "%s: must belong to root or you, others must not write in it (%s)" : "%s: %s";
		if (r < 0)
			return answer_failure(HELPER_FD, r, why, argv[i + 1]);
	}
	int r = keeper_run(HELPER_FD, &trade);
	return r < 0 ? answer_failure(HELPER_FD, r, "%s: %s", "can't keep a worker") : 0;
}
