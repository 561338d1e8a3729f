/* SPDX-License-Identifier: Apache-2.0 */
/* bench-library SOCKET, bench-library-bare SOCKET: what memory a program has after one call to the daemon,
 * through the shared libvigia, or as bytes on a bare socket. One JSON line: private KiB, and PSS. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#ifdef BARE

static int call(const char *at)
{
	static const char query[] = "<hmon version=\"1\" role=\"client\"><host query=\"ping\" id=\"1\"/>";
	char answer[256];
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	snprintf(a.sun_path, sizeof a.sun_path, "%s", at);
	return connect(fd, (struct sockaddr *)&a, sizeof a) || write(fd, query, sizeof query - 1) < 0 ||
	       read(fd, answer, sizeof answer) <= 0;
}

#else

#include "libvigia/vigia.h"

static int call(const char *at)
{
	struct vigia *v;
	struct vigia_error why;
	return vigia_open(&v, at, &why) || vigia_call(v, NULL, vigia_query("host.ping"), 0, NULL, NULL, &why);
}

#endif

static long kib_of(FILE *f, const char *kind)
{
	char line[256];
	long kib, sum = 0;
	rewind(f);
	while (fgets(line, sizeof line, f))
		if (!strncmp(line, kind, strlen(kind)) && sscanf(strchr(line, ':') + 1, "%ld", &kib) == 1)
			sum += kib;
	return sum;
}

int main(int argc, char **argv)
{
	if (argc != 2 || call(argv[1])) {
		fputs("usage: bench-library SOCKET\n", stderr);
		return 1;
	}
	FILE *f = fopen("/proc/self/smaps_rollup", "r");
	if (!f)
		return 1;
	printf("{\"private_kib\": %ld, \"pss_kib\": %ld, \"rss_kib\": %ld}\n", kib_of(f, "Private_"),
	    kib_of(f, "Pss:"), kib_of(f, "Rss:"));
	return 0;
}
