/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "root/root.h"
#include "root/sys.h"

enum { USER = 1, LOWEST, SOCKET, ENTRIES, ARGUMENTS };

static int die(const char *what, const char *why)
{
	fprintf(stderr, "vigia-root: %s: %s\n", what, why);
	return 1;
}

int main(int argc, char **argv)
{
	if (argc != ARGUMENTS)
		return die("usage", "vigia-root USER LOWEST-UID SOCKET ENTRIES, see vigia-root(8)");
	char *end;
	unsigned long lowest = strtoul(argv[LOWEST], &end, 10);
	if (*end || lowest < 1 || lowest >= UID_NOONE)
		return die(argv[LOWEST], "the lowest uid is a number from 1 to 65534");
	const struct passwd *pw = getpwnam(argv[USER]);
	if (!pw)
		return die(argv[USER], "there is no such user");
	struct root root = {.user = pw->pw_uid, .lowest = (uid_t)lowest, .entries = argv[ENTRIES]};
	/* What comes with a request is never 0, 1 or 2. */
	while (open("/dev/null", O_RDWR) < 3)
		;
	int listener = door_open(argv[SOCKET], pw->pw_gid), r = listener < 0 ? listener : root_serve(listener, &root);
	return die(argv[SOCKET], strerror(-r));
}
