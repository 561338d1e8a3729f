/* SPDX-License-Identifier: Apache-2.0 */
#include "root/root.h"

#include <errno.h>
#include <string.h>

static bool is_name(const char name[ROOT_NAME_MAX + 1])
{
	static const char none[ROOT_NAME_MAX + 1];
	size_t n = strnlen(name, ROOT_NAME_MAX + 1);

	return n > 0 && n <= ROOT_NAME_MAX && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == n &&
	    !memcmp(name + n, none, sizeof none - n);
}

int request_read(const void *bytes, size_t n, size_t fds, struct root_request *ret)
{
	struct root_request q;

	if (n != sizeof q)
		return -EPROTO;
	memcpy(&q, bytes, sizeof q);
	bool starts = q.kind == ROOT_MSG_START, signals = q.kind == ROOT_MSG_SIGNAL;
	if (!(starts && fds == ROOT_START_FDS) && !(signals && fds == ROOT_SIGNAL_FDS))
		return -EPROTO;
	*ret = q;
	return (starts ? is_name(q.entry) : q.signal > 0 && q.signal < 32) ? 0 : -EINVAL;
}

bool request_may_be(uid_t uid, uid_t lowest)
{
	return uid != 0 && uid >= lowest && uid != UID_NOONE && uid != (uid_t)-1;
}
