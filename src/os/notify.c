/* SPDX-License-Identifier: Apache-2.0 */
#include "os/notify.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "os/clock.h"

/* A path, or '@' and a name in the abstract space. */
static int address_of(const char *where, struct sockaddr_un *ret_address, socklen_t *ret_length)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	size_t n = strlen(where);

	if ((where[0] != '/' && where[0] != '@') || n < 2)
		return -EINVAL;
	if (n >= sizeof a.sun_path)
		return -ENAMETOOLONG;
	memcpy(a.sun_path, where, n);
	if (where[0] == '@')
		a.sun_path[0] = '\0';
	*ret_address = a;
	*ret_length = offsetof(struct sockaddr_un, sun_path) + n;
	return 0;
}

static int say(const char *state)
{
	const char *where = getenv("NOTIFY_SOCKET");
	struct sockaddr_un address;
	socklen_t length;

	if (!where)
		return 0;
	int r = address_of(where, &address, &length);
	if (r < 0)
		return r;
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	ssize_t n = sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&address, length);
	r = n < 0 ? -errno : 1;
	close(fd);
	return r;
}

int notify_ready(void)
{
	return say("READY=1");
}

int notify_reloading(void)
{
	char state[80];

	snprintf(state, sizeof state, "RELOADING=1\nMONOTONIC_USEC=%lld", (long long)(clock_mono_ns() / 1000));
	return say(state);
}

int notify_stopping(void)
{
	return say("STOPPING=1");
}

int notify_watchdog(void)
{
	return say("WATCHDOG=1");
}

int notify_status(const char *line)
{
	char state[256];

	snprintf(state, sizeof state, "STATUS=%s", line);
	for (char *c = state; *c; c++)
		if (*c == '\n')
			*c = ' ';
	return say(state);
}

static int64_t number_of(const char *variable)
{
	const char *text = getenv(variable);
	char *end;

	if (!text || *text < '0' || *text > '9')
		return 0;
	errno = 0;
	long long n = strtoll(text, &end, 10);
	return *end || errno || n > INT64_MAX / 1000 ? 0 : n;
}

int64_t notify_watchdog_ns(void)
{
	if (getenv("WATCHDOG_PID") && number_of("WATCHDOG_PID") != getpid())
		return 0;
	return number_of("WATCHDOG_USEC") * 1000;
}
