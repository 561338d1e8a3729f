/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes with any number of descriptors: a request that can be carried out as it is, or none. */
#include "root/root.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct root_request q;
	int r;

	if (size == 0)
		return 0;
	size_t fds = *data;
	r = request_read(data + 1, size - 1, fds, &q);
	if (r == -EPROTO || r == -EINVAL)
		return 0;
	bool starts = q.kind == ROOT_MSG_START;
	if (r || size - 1 != sizeof q || fds != (starts ? ROOT_START_FDS : ROOT_SIGNAL_FDS))
		abort();
	if (starts && (!memchr(q.entry, '\0', sizeof q.entry) || !*q.entry || strpbrk(q.entry, "/. %") || strlen(q.entry) > ROOT_NAME_MAX))
		abort();
	if (!starts && (q.kind != ROOT_MSG_SIGNAL || q.signal < 1 || q.signal > 31))
		abort();
	if (request_may_be(0, 0) || request_may_be((uid_t)-1, 1) || (q.uid < 1000 && request_may_be(q.uid, 1000)))
		abort();
	return 0;
}
