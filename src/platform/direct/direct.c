/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/direct/direct.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#define DEAD_NS 20000000000LL

static void platform_free(struct platform *p)
{
	hosts_release(&p->remotes);
	buf_release(&p->twin);
	free(p->name);
	free(p);
}

void platform_unref(struct platform *p)
{
	if (!--p->handles && p->closed)
		platform_free(p);
}

/* Positive, so that it goes through a signed field. */
static int draw_boot(uint64_t *ret)
{
	uint64_t u;
	if (getrandom(&u, sizeof u, 0) != sizeof u)
		return -errno;
	*ret = (u >> 1) | 1;
	return 0;
}

static int direct_open(struct platform **ret, const struct platform_options *options, struct buf *why)
{
	struct platform *p = calloc(1, sizeof *p);
	if (!p)
		return -ENOMEM;
	*p = (struct platform){.type = &platform_direct, .o = *options, .name = strdup(options->name)};
	int r = p->name ? draw_boot(&p->boot) : -ENOMEM;
	if (r) {
		platform_free(p);
		return r;
	}
	p->o.name = p->name;
	p->o.server = p->o.cluster = NULL;
	if (!p->o.dead_ns)
		p->o.dead_ns = DEAD_NS;
	*ret = p;
	return 0;
}

static void direct_close(struct platform *p)
{
	p->closed = true;
	p->handles++; /* so that it stays while its hosts go */
	for (struct host *h = hosts_next(&p->remotes, NULL), *next; h; h = next) {
		next = hosts_next(&p->remotes, h);
		remote_free((struct remote *)h);
	}
	platform_unref(p);
}

static void direct_place(struct platform *p, const struct host_id *host, const char *name, const char *addresses)
{
	struct remote *r = *addresses ? remote_get(p, host) : remote_find(p, host);
	if (!r)
		return;
	host_name(&r->host, name);
	remote_place(r, addresses);
}

static int direct_send(struct platform *p, const struct host_id *to, const void *frame, size_t n)
{
	struct remote *r = remote_find(p, to);
	return r ? remote_send(r, frame, n) : -EHOSTUNREACH;
}

static size_t direct_room(struct platform *p, const struct host_id *to)
{
	struct remote *r = remote_find(p, to);
	return r ? remote_room(r) : p->o.pending_most;
}

static int direct_accepted(struct platform *p, struct stream *stream, const void *read, size_t n)
{
	return link_accept(p, stream, read, n);
}

/* Their ends come as those of any link that is cut: from the loop. */
static void judge(const struct remote *r)
{
	for (struct link *l = r->links; l; l = l->next)
		if (!link_is_believed(l))
			shutdown(stream_fd(l->stream), SHUT_RDWR);
}

static void direct_judge(struct platform *p, struct place *place)
{
	p->o.place = place;
	for (struct host *h = hosts_next(&p->remotes, NULL); h; h = hosts_next(&p->remotes, h))
		judge((struct remote *)h);
}

static int direct_trouble(struct platform *p, struct buf *ret_what)
{
	if (!p->twin.len)
		return 0;
	buf_puts(ret_what, buf_str(&p->twin));
	return -ENOTUNIQ;
}

const struct platform_type platform_direct = {
    .name = "direct",
    .doc = "daemons dial each other when they have something to say, and hang up when idle",
    .version = VIGIA_VERSION,
    .open = direct_open,
    .close = direct_close,
    .place = direct_place,
    .send = direct_send,
    .room = direct_room,
    .accepted = direct_accepted,
    .judge = direct_judge,
    .trouble = direct_trouble,
};
