/* SPDX-License-Identifier: Apache-2.0 */
#include "os/descriptors.h"

#include <poll.h>
#include <stddef.h>
#include <sys/resource.h>

enum { AT_ONCE = 1024 };

void descriptors_raise(void)
{
	struct rlimit r;
	if (getrlimit(RLIMIT_NOFILE, &r))
		return;
	r.rlim_cur = r.rlim_max;
	setrlimit(RLIMIT_NOFILE, &r);
}

int64_t descriptors_most(void)
{
	struct rlimit r;
	return getrlimit(RLIMIT_NOFILE, &r) ? 0 : (int64_t)r.rlim_cur;
}

static int count_from(int first, int n)
{
	struct pollfd p[AT_ONCE];
	int open = 0;
	for (int i = 0; i < n; i++)
		p[i] = (struct pollfd){.fd = first + i};
	if (poll(p, (nfds_t)n, 0) < 0)
		return 0;
	for (int i = 0; i < n; i++)
		open += !(p[i].revents & POLLNVAL);
	return open;
}

/* Needs none itself, so it can also tell of a table that is full. The lowest are given first: past a gap of AT_ONCE are none. */
int64_t descriptors_open(void)
{
	int64_t most = descriptors_most(), open = 0;
	for (int64_t first = 0; first < most; first += AT_ONCE) {
		int64_t left = most - first;
		int n = count_from((int)first, left < AT_ONCE ? (int)left : AT_ONCE);
		if (!n)
			break;
		open += n;
	}
	return open;
}
