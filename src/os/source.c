/* SPDX-License-Identifier: Apache-2.0 */
#include "os/source.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

int sources_open(void)
{
	int fd = epoll_create1(EPOLL_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

void sources_turn(int sources, int most)
{
	struct epoll_event e;

	/* One at a time: what one does may close others. */
	while (most-- > 0 && epoll_wait(sources, &e, 1, 0) == 1) {
		struct source *s = e.data.ptr;
		s->ready(s);
	}
}

int source_add(int sources, struct source *s, int fd, void (*ready)(struct source *s))
{
	struct epoll_event e = {.events = EPOLLIN, .data.ptr = s};

	s->ready = ready;
	s->fd = -1;
	if (epoll_ctl(sources, EPOLL_CTL_ADD, fd, &e) < 0)
		return -errno;
	s->fd = fd;
	return 0;
}

void source_close(int sources, struct source *s)
{
	if (s->fd < 0)
		return;
	epoll_ctl(sources, EPOLL_CTL_DEL, s->fd, NULL);
	close(s->fd);
	s->fd = -1;
}
