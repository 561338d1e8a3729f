/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "platform/direct/direct.h"

static bool is_stranger(const struct remote *r)
{
	return !r->place;
}

static void on_timer_closed(uv_handle_t *h)
{
	struct remote *r = h->data;
	struct platform *p = r->platform;
	backlog_release(&r->host.backlog);
	buf_release(&r->why);
	free(r->place);
	free(r);
	platform_unref(p);
}

struct remote *remote_find(struct platform *p, const struct host_id *id)
{
	return (struct remote *)hosts_find(&p->remotes, id);
}

static struct remote *remote_new(struct platform *p, const struct host_id *id)
{
	struct remote *r = calloc(1, sizeof *r);
	if (!r)
		return NULL;
	host_init(&r->host, id);
	r->platform = p;
	if (hosts_add(&p->remotes, &r->host)) {
		free(r);
		return NULL;
	}
	uv_timer_init(p->o.net->loop, &r->timer);
	r->timer.data = r;
	p->handles++;
	p->strangers++;
	return r;
}

struct remote *remote_get(struct platform *p, const struct host_id *id)
{
	struct remote *r = remote_find(p, id);
	return r ? r : remote_new(p, id);
}

static void stop_dialling(struct remote *r)
{
	if (r->dial)
		dial_cancel(r->dial);
	if (r->greeting)
		link_drop(r->greeting);
	r->dial = NULL;
	r->greeting = NULL;
	buf_clear(&r->why);
}

/* One that is only greeting stays: its answer will agree. */
void remote_reset(struct remote *r, struct link *but)
{
	for (struct link *l = r->links, *next; l; l = next) {
		next = l->next;
		if (l != but && l->state != LINK_GREETING)
			link_drop(l);
	}
	backlog_release(&r->host.backlog);
}

static void remote_remove(struct remote *r)
{
	struct platform *p = r->platform;
	r->gone = true;
	hosts_remove(&p->remotes, &r->host);
	p->strangers -= is_stranger(r);
	uv_close((uv_handle_t *)&r->timer, on_timer_closed);
}

void remote_free(struct remote *r)
{
	char why[100];
	snprintf(why, sizeof why, "the vigiad of %s ends", r->platform->name);
	for (struct link *l = r->links, *next; l; l = next) {
		next = l->next;
		if (l->state == LINK_OPEN)
			link_finish(l, HELLO_LEAVING, why);
	}
	remote_reset(r, NULL);
	stop_dialling(r);
	remote_remove(r);
}

void remote_place(struct remote *r, const char *addresses)
{
	char *copy = *addresses ? strdup(addresses) : NULL;
	if (*addresses && !copy)
		return; /* the old one is as good as any */
	r->platform->strangers += (unsigned)!copy - is_stranger(r);
	if (r->next_address)
		r->next_address = ""; /* of the old text: this dialling has no more of them */
	free(r->place);
	r->place = copy;
	remote_settle(r);
}

/* --- telling --- */

void remote_tell_room(struct remote *r)
{
	struct platform *p = r->platform;
	if (!r->gone && !p->closed && host_roomy(&r->host, remote_pending(r)))
		p->o.events->room(p->o.owner, &r->host.id);
}

void remote_tell(struct remote *r, int error, const char *why)
{
	struct platform *p = r->platform;
	struct host_id id = r->host.id;
	if (!p->closed)
		p->o.events->lost(p->o.owner, &id, error, why);
	remote_tell_room(r);
}

static uint64_t rest_ms(const struct platform *p)
{
	uint64_t dead_ms = (uint64_t)p->o.dead_ns / 1000000;
	return dead_ms / 10 < REST_MS ? dead_ms / 10 : REST_MS;
}

static void on_rested(uv_timer_t *timer)
{
	struct remote *r = timer->data;
	r->resting = false;
	remote_settle(r);
}

void remote_break(struct remote *r, int error, const char *format, ...)
{
	char why[600];
	va_list args;
	int n = snprintf(why, sizeof why, "%s: ", r->host.name);
	va_start(args, format);
	vsnprintf(why + n, sizeof why - (size_t)n, format, args);
	va_end(args);
	pair_break(&r->host.pair);
	remote_reset(r, NULL);
	stop_dialling(r);
	r->resting = true;
	uv_timer_start(&r->timer, on_rested, rest_ms(r->platform), 0);
	remote_tell(r, error, why);
	remote_settle(r);
}

/* --- dialling --- */

/* "10.0.0.3:7660" as "10.0.0.3 port 7660". */
static void say_address(const char *address, char *to, size_t size)
{
	const char *colon = strrchr(address, ':');
	if (colon)
		snprintf(to, size, "%.*s port %s", (int)(colon - address), address, colon + 1);
	else
		snprintf(to, size, "%s", address);
}

static void dial_next(struct remote *r);

void remote_dial_failed(struct remote *r, int error, const char *why)
{
	r->greeting = NULL;
	r->error = error;
	buf_puts(&r->why, r->why.len ? "; " : "");
	buf_puts(&r->why, why);
	dial_next(r);
}

/* A name that can't be resolved has an error of libuv's own. */
static const char *say_error(int error)
{
	return error <= UV_EAI_ADDRFAMILY ? uv_strerror(error) : strerror(-error);
}

static void on_dialled(void *data, int fd)
{
	struct remote *r = data;
	char place[100], why[200];
	r->dial = NULL;
	int e = fd < 0 ? fd : link_dialled(r, fd, &r->greeting);
	if (!e)
		return;
	say_address(r->address, place, sizeof place);
	snprintf(why, sizeof why, "no vigiad answers at %s: %s", place, say_error(e));
	remote_dial_failed(r, e, why);
}

/* The next one of the place's addresses, into r->address; false: there are no more. */
static bool take_address(struct remote *r)
{
	const char *begin = r->next_address + strspn(r->next_address, " ");
	size_t n = strcspn(begin, " ");
	if (!n)
		return false;
	r->next_address = begin + n;
	snprintf(r->address, sizeof r->address, "%.*s", (int)n, begin);
	return true;
}

/* Later, so that no event comes from within the core's own call. */
static void on_no_address(uv_timer_t *timer)
{
	struct remote *r = timer->data;
	char *why = buf_take(&r->why);
	r->next_address = NULL;
	remote_break(r, r->error, "%s", why && *why ? why : "none of its addresses can be dialled");
	free(why);
}

static void dial_next(struct remote *r)
{
	while (take_address(r)) {
		int e = dial_tcp(&r->dial, r->platform->o.net, r->address, 0, on_dialled, r);
		if (!e)
			return;
		r->error = e;
		buf_putf(&r->why, "%s%s is no address to dial: %s", r->why.len ? "; " : "", r->address,
		    say_error(e));
	}
	r->resting = true;
	uv_timer_start(&r->timer, on_no_address, 0, 0);
}

static bool is_dialling(const struct remote *r)
{
	return r->dial || r->greeting || r->resting;
}

static void dial(struct remote *r)
{
	buf_clear(&r->why);
	r->error = -EHOSTUNREACH;
	r->next_address = r->place;
	dial_next(r);
}

/* --- sending --- */

/* What was put on a link that is ending must be read before anything goes over another. */
static bool must_wait(const struct remote *r)
{
	for (const struct link *l = r->links; l; l = l->next)
		if (l->state == LINK_LEAVING && l->carried)
			return true;
	return false;
}

static void choose_out(struct remote *r)
{
	if (r->out || must_wait(r))
		return;
	for (struct link *l = r->links; l && !r->out; l = l->next)
		if (l->state == LINK_OPEN)
			r->out = l;
}

static void flush_backlog(struct remote *r)
{
	struct backlog *b = &r->host.backlog;
	if (!backlog_size(b))
		return;
	link_put(r->out, backlog_data(b), backlog_size(b));
	backlog_release(b);
	if (r->host.asked)
		stream_tell_below(r->out->stream, r->host.wake_at);
}

static void on_no_place(uv_timer_t *timer)
{
	struct remote *r = timer->data;
	r->resting = false;
	if (!r->out && !r->place && backlog_size(&r->host.backlog))
		remote_break(r, -EHOSTUNREACH, "it hung up and no address of it is known");
	else
		remote_settle(r);
}

static bool is_needed(const struct remote *r)
{
	return r->place || r->links || is_dialling(r) || backlog_size(&r->host.backlog);
}

void remote_settle(struct remote *r)
{
	if (r->gone || r->platform->closed)
		return;
	choose_out(r);
	if (r->out)
		flush_backlog(r);
	else if (backlog_size(&r->host.backlog) && !must_wait(r) && !is_dialling(r)) {
		if (r->place)
			dial(r);
		else {
			r->resting = true;
			uv_timer_start(&r->timer, on_no_place, 0, 0);
		}
	}
	if (!is_needed(r))
		remote_remove(r);
}

size_t remote_pending(const struct remote *r)
{
	return backlog_size(&r->host.backlog) + (r->out ? stream_pending(r->out->stream) : 0);
}

static void wake_when_roomy(struct remote *r)
{
	if (r->host.asked && r->out)
		stream_tell_below(r->out->stream, r->host.wake_at);
}

size_t remote_room(struct remote *r)
{
	size_t room = host_room(&r->host, remote_pending(r), r->platform->o.pending_most);
	wake_when_roomy(r);
	return room;
}

static bool is_reachable(const struct remote *r)
{
	return r->place || r->links;
}

int remote_send(struct remote *r, const void *frame, size_t n)
{
	if (!is_reachable(r))
		return -EHOSTUNREACH;
	if (!host_takes(&r->host, remote_pending(r), r->platform->o.pending_most, n)) {
		wake_when_roomy(r);
		return -ENOBUFS;
	}
	if (r->out) {
		link_put(r->out, frame, n);
		return 0;
	}
	int e = backlog_put(&r->host.backlog, frame, n);
	if (!e)
		remote_settle(r);
	return e;
}
