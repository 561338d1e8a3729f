/* SPDX-License-Identifier: Apache-2.0 */
#include "os/system.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

const struct system_type *system_type_of(const struct system *s)
{
	return *(const struct system_type *const *)s;
}

int system_each(struct system *s, bool (*visit)(void *data, const struct process *p), void *data)
{
	const struct system_type *t = system_type_of(s);
	struct system_walk *w;
	struct process p;
	int r = t->walk_new(s, &w);

	if (r < 0)
		return r;
	while ((r = t->walk_next(w, &p)) > 0 && visit(data, &p))
		;
	t->walk_free(w);
	return r < 0 ? r : 0;
}

int system_pipe(int *ret_read, int *ret_write)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	fcntl(fds[0], F_SETFL, O_NONBLOCK);
	*ret_read = fds[0];
	*ret_write = fds[1];
	return 0;
}
