/* SPDX-License-Identifier: Apache-2.0 */
#include "os/watches.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "os/pidfd.h"

struct system_watch {
	struct source source;
	struct watches *watches;
	struct system_watch *next, **link;
	struct process_key key;
	system_ended_fn *ended;
	void *owner;
};

void watches_remove(struct system_watch *w)
{
	source_close(w->watches->sources, &w->source);
	w->watches->n--;
	*w->link = w->next;
	if (w->next)
		w->next->link = w->link;
	free(w);
}

static void on_end(struct source *s)
{
	const struct system_watch was = *(struct system_watch *)s;

	watches_remove((struct system_watch *)s);
	was.ended(was.owner, &was.key);
}

int watches_add(struct watches *all, const struct process_key *key, system_ended_fn *ended, void *owner,
    struct system_watch **ret)
{
	struct system_watch *w = all->n < SYSTEM_WATCHES_MAX ? calloc(1, sizeof *w) : NULL;
	int fd, r = w ? pidfd_of(all->proc, key, &fd) : all->n < SYSTEM_WATCHES_MAX ? -ENOMEM : -EAGAIN;

	if (r == 0 && (r = source_add(all->sources, &w->source, fd, on_end)) < 0)
		close(fd);
	if (r < 0) {
		free(w);
		return r;
	}
	w->watches = all;
	w->key = *key;
	w->ended = ended;
	w->owner = owner;
	w->next = all->first;
	w->link = &all->first;
	if (w->next)
		w->next->link = &w->next;
	all->first = w;
	all->n++;
	*ret = w;
	return 0;
}

void watches_release(struct watches *w)
{
	while (w->first)
		watches_remove(w->first);
}
