/* SPDX-License-Identifier: Apache-2.0 */
/* vigia-helper: starts programs for vigiad, which never forks once it serves (see os/helper_wire.h). Unprivileged: it
 * has the rights of its caller, and its programs can't gain any. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "helper/entries.h"
#include "helper/keeper.h"
#include "helper/sys.h"
#include "os/helper_wire.h"

/* To vigiad, which says it to people; to stderr when there is none. */
static int fail(int error, const char *format, const char *what)
{
	struct helper_answer a = {.kind = HELPER_MSG_READY, .result = error};
	int n = snprintf(a.tail, sizeof a.tail, format, what, strerror(-error));

	a.tail_size = n < (int)sizeof a.tail ? n : (int)sizeof a.tail - 1;
	if (send(HELPER_FD, &a, sizeof a, MSG_NOSIGNAL) != sizeof a)
		fprintf(stderr, "vigia-helper: %s\n", a.tail);
	return 1;
}

int main(int argc, char **argv)
{
	struct entries entries = {0};

	for (int i = 1; i < argc; i += 2) {
		if (strcmp(argv[i], "--entries") != 0 || i + 1 == argc)
			return fail(-EINVAL, "%s: expected --entries DIR (%s)", argv[i]);
		int r = entries_add(&entries, argv[i + 1]);
		if (r < 0)
			return fail(r, r == -EPERM ? "%s: must belong to root or you, others must not write in it (%s)" : "%s: %s",
			    argv[i + 1]);
	}
	int r = keeper_run(HELPER_FD, &entries);
	return r < 0 ? fail(r, "%s: %s", "can't keep a worker") : 0;
}
