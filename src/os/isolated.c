/* SPDX-License-Identifier: Apache-2.0 */
#include "os/isolated.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* /proc/PID/ns is only for who may trace that process; this file is another one in each network namespace, and for all. */
static int own_namespace(struct buf *why)
{
	struct stat own, first;
	if (stat("/proc/self/net/dev", &own) || stat("/proc/1/net/dev", &first)) {
		buf_putf(why, "whether this is a network namespace of its own can't be seen: %s", strerror(errno));
		return -EPERM;
	}
	if (own.st_dev != first.st_dev || own.st_ino != first.st_ino)
		return 0;
	buf_puts(why, "only in a network namespace of its own, and this is the one of process 1");
	return -EPERM;
}

static bool is_default(const char *line)
{
	char destination[9], mask[9];
	return sscanf(line, "%*s %8s %*s %*s %*s %*s %*s %8s", destination, mask) == 2 && !strcmp(destination, "00000000") &&
	    !strcmp(mask, "00000000");
}

static bool is_default6(const char *line)
{
	char destination[33], interface[32];
	unsigned length;
	if (sscanf(line, "%32s %x %*s %*s %*s %*s %*s %*s %*s %31s", destination, &length, interface) != 3)
		return false;
	return !length && strcmp(interface, "lo"); /* there it is the kernel's own, which refuses */
}

static int no_default_route(const char *table, bool (*is)(const char *line), struct buf *why)
{
	char line[256];
	bool leads = false;
	FILE *f = fopen(table, "re");
	if (!f && errno == ENOENT)
		return 0; /* a kernel without this protocol */
	while (f && !leads && fgets(line, sizeof line, f))
		leads = is(line);
	if (!f || leads)
		buf_putf(why, f ? "only in a network that leads nowhere, and %s has a default route" : "%s can't be read", table);
	int r = !f || leads ? -EPERM : 0;
	if (f)
		fclose(f);
	return r;
}

int isolated(struct buf *why)
{
	int r = own_namespace(why);
	if (!r)
		r = no_default_route("/proc/self/net/route", is_default, why);
	return r ? r : no_default_route("/proc/self/net/ipv6_route", is_default6, why);
}
