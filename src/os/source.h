/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptors to be read when there is something, all behind one: an epoll descriptor that any loop can watch. */
#ifndef VIGIA_OS_SOURCE_H
#define VIGIA_OS_SOURCE_H

struct source {
	int fd; /* -1: none is watched */
	void (*ready)(struct source *s); /* may remove any source, this one too */
};

int sources_open(void);
/* Calls those that are ready, at most `most` times: it stays readable when there are more. */
void sources_turn(int sources, int most);

/* Watches fd, which becomes the source's. On failure it stays the caller's. */
int source_add(int sources, struct source *s, int fd, void (*ready)(struct source *s));
/* Closes it; one without a descriptor is no error. */
void source_close(int sources, struct source *s);

#endif
