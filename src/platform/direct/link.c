/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "identity/place.h"
#include "platform/direct/direct.h"

enum { HELLO_MOST = 8192 }; /* bytes that a stranger may send before its hello is whole */

static void watch(struct link *l, int64_t ns);

static uint64_t now_ms(const struct link *l)
{
	return uv_now(l->platform->o.net->loop);
}

void link_put(struct link *l, const void *bytes, size_t n)
{
	l->moved_ms = now_ms(l);
	l->carried = true;
	buf_put(stream_out(l->stream), bytes, n);
}

/* --- the end --- */

static void on_timer_closed(uv_handle_t *h)
{
	struct link *l = h->data;
	struct platform *p = l->platform;
	frame_cutter_release(&l->cutter);
	buf_release(&l->early);
	free(l);
	platform_unref(p);
}

static void unlink_from_remote(struct link *l)
{
	struct remote *r = l->remote;
	struct link **p = &r->links;
	while (*p != l)
		p = &(*p)->next;
	*p = l->next;
	if (r->out == l)
		r->out = NULL;
	if (r->greeting == l)
		r->greeting = NULL;
}

static void leave(struct link *l)
{
	if (l->remote)
		unlink_from_remote(l);
	l->state = LINK_GONE;
	uv_close((uv_handle_t *)&l->timer, on_timer_closed);
}

void link_drop(struct link *l)
{
	if (l->state == LINK_GONE)
		return;
	leave(l);
	stream_close(l->stream);
}

void link_finish(struct link *l, const char *code, const char *why)
{
	if (l->state == LINK_GONE)
		return;
	leave(l);
	farewell_put(stream_out(l->stream), code, why);
	stream_finish(l->stream);
}

/* It is no good before it was open: the one that dialled tries the next address, the one that was dialled
 * forgets it. */
static void fail_opening(struct link *l, int error, const char *why)
{
	struct remote *r = l->remote;
	char text[500];
	bool dialled = l->state == LINK_GREETING;
	snprintf(text, sizeof text, "%s %s", l->address, why);
	link_finish(l, HELLO_REFUSED, why);
	if (dialled)
		remote_dial_failed(r, error, text);
}

/* Any end that is not in order. */
static void fail(struct link *l, int error, const char *format, ...)
{
	char why[400];
	va_list args;
	va_start(args, format);
	vsnprintf(why, sizeof why, format, args);
	va_end(args);
	if (l->state == LINK_HEARING || l->state == LINK_GREETING)
		fail_opening(l, error, why);
	else
		remote_break(l->remote, error, "%s", why);
}

/* --- hanging up --- */

static void say_idle(struct link *l)
{
	struct remote *r = l->remote;
	farewell_put(stream_out(l->stream), HELLO_IDLE, "nothing was said for a while");
	l->state = LINK_LEAVING;
	if (r->out == l)
		r->out = NULL;
	watch(l, l->platform->o.dead_ns);
	if (l->dismissed)
		stream_end(l->stream);
}

static int hear_idle(struct link *l)
{
	l->dismissed = true;
	if (l->state == LINK_OPEN)
		say_idle(l);
	else
		stream_end(l->stream);
	return 0;
}

/* --- hello --- */

static int put_hello(struct link *l)
{
	struct platform *p = l->platform;
	struct remote *r = l->remote;
	struct hello h = {.id = p->o.self, .boot = p->boot, .era = r->host.pair.era, .keep = !r->place};
	if (l->state == LINK_GREETING)
		h.to = r->host.id;
	snprintf(h.name, sizeof h.name, "%s", p->name);
	return hello_put(stream_out(l->stream), &h);
}

static void open_link(struct link *l, const struct hello *h, enum pair_word word)
{
	struct remote *r = l->remote;
	char why[200];
	snprintf(r->host.name, sizeof r->host.name, "%s", h->name);
	if (word == PAIR_BROKEN)
		remote_reset(r, l);
	pair_use(&r->host.pair);
	l->keep = h->keep || !r->place;
	l->moved_ms = now_ms(l);
	watch(l, l->platform->o.idle_ns);
	if (l->state == LINK_HEARING)
		put_hello(l);
	l->state = LINK_OPEN;
	r->greeting = r->greeting == l ? NULL : r->greeting;
	if (word == PAIR_BROKEN) {
		snprintf(why, sizeof why, "%s: a link with it broke, or it was started anew", h->name);
		remote_tell(r, -ECONNRESET, why);
	}
	remote_settle(r);
}

static unsigned count_links(const struct remote *r)
{
	unsigned n = 0;
	for (const struct link *l = r->links; l; l = l->next)
		n++;
	return n;
}

static bool has_open_link(const struct remote *r)
{
	for (const struct link *l = r->links; l; l = l->next)
		if (l->state == LINK_OPEN)
			return true;
	return false;
}

/* Somebody who says that he is this host. */
static int refuse_self(struct link *l, const struct hello *h)
{
	struct platform *p = l->platform;
	if (h->boot == p->boot) {
		fail(l, -ELOOP, "is this host itself, %s", p->name);
		return -ELOOP;
	}
	buf_clear(&p->twin);
	buf_putf(&p->twin, "another vigiad, %s at %s, has this host's id: its state directory is a copy",
	    h->name, l->address);
	fail(l, -ENOTUNIQ, "has the id of %s: one's state directory is a copy of the other's", p->name);
	return -ENOTUNIQ;
}

/* Two that take turns with one id: the one that is here stays, and everybody hears of it. */
static int refuse_twin(struct link *l, struct remote *r, const struct hello *h)
{
	char name[64];
	snprintf(name, sizeof name, "%s", r->host.name);
	fail(l, -ENOTUNIQ, "is %s, and another vigiad has its id: a state directory was copied", h->name);
	remote_break(
	    r, -ENOTUNIQ, "two vigiads, %s and %s, have its id: a state directory was copied", name, h->name);
	return -ENOTUNIQ;
}

/* Without certificates who connects is believed to be the host that he says, and the core treats him as a stranger wherever that
 * matters. */
static int vouch(const struct link *l, const struct host_id *id, struct buf *why)
{
	struct certificate who;
	struct place *place = l->platform->o.place;
	if (!place)
		return 0;
	int r = stream_ssl(l->stream) ? context_peer(stream_ssl(l->stream), &who, why) : -EACCES;
	if (!r)
		r = place_judge(place, &who, why);
	if (r || ((who.roles & CERTIFIED_HOST) && host_id_is(&who.host, id)))
		return r;
	buf_putf(why, "its certificate is another's, %s", who.name);
	return -EACCES;
}

bool link_is_believed(const struct link *l)
{
	struct buf why = BUF_INIT;
	bool is = !l->remote || l->state == LINK_GREETING || !vouch(l, &l->remote->host.id, &why);
	buf_release(&why);
	return is;
}

static enum pair_word hear_pair(struct remote *r, const struct hello *h)
{
	enum pair_word word = pair_hear(&r->host.pair, h->boot, h->era);
	if (word != PAIR_TWO || has_open_link(r))
		return word;
	return pair_replace(&r->host.pair, h->boot, h->era) ? PAIR_BROKEN : PAIR_AGREED;
}

static void link_to_remote(struct link *l, struct remote *r)
{
	l->remote = r;
	l->next = r->links;
	r->links = l;
}

static int hello_to_dialled(struct link *l, const struct hello *h)
{
	struct platform *p = l->platform;
	bool known = remote_find(p, &h->id);
	if (!host_id_is_none(&h->to) && !host_id_is(&h->to, &p->o.self)) {
		fail(l, -ENXIO, "is %s, another host than was meant", p->name);
		return -ENXIO;
	}
	if (!known && p->strangers >= STRANGERS_MAX) {
		fail(l, -EUSERS, "has links with %d hosts that it does not know already", STRANGERS_MAX);
		return -EUSERS;
	}
	struct remote *r = remote_get(p, &h->id);
	if (!r || count_links(r) >= LINKS_MAX) {
		fail(l, -EMLINK, "has no room for another link with %s", h->name);
		return -EMLINK;
	}
	enum pair_word word = hear_pair(r, h);
	if (word == PAIR_TWO)
		return refuse_twin(l, r, h);
	link_to_remote(l, r);
	open_link(l, h, word);
	return 0;
}

static int hello_to_dialler(struct link *l, const struct hello *h)
{
	struct remote *r = l->remote;
	if (!host_id_is(&h->id, &r->host.id)) {
		fail(l, -ENXIO, "is %s, not %s", h->name, r->host.name);
		return -ENXIO;
	}
	enum pair_word word = hear_pair(r, h);
	if (word == PAIR_TWO)
		return refuse_twin(l, r, h);
	if (word == PAIR_BEHIND) {
		fail(l, -EPROTO, "answers with an era that is over");
		return -EPROTO;
	}
	open_link(l, h, word);
	return 0;
}

static int on_hello(struct link *l, const struct frame *f)
{
	struct hello h;
	const char *why = "no memory";
	struct buf doubt = BUF_INIT;
	int r = hello_get(f, &h, &why);
	if (r)
		fail(l, r, "says what is no hello of a host: %s", why);
	else if ((r = vouch(l, &h.id, &doubt)))
		fail(l, r, "is not believed to be %s: %s", h.name, buf_str(&doubt));
	buf_release(&doubt);
	if (r)
		return r;
	if (l->state == LINK_OPEN || l->state == LINK_LEAVING)
		return 0; /* said again: a sign of life */
	if (host_id_is(&h.id, &l->platform->o.self))
		return refuse_self(l, &h);
	return l->state == LINK_HEARING ? hello_to_dialled(l, &h) : hello_to_dialler(l, &h);
}

/* --- what comes --- */

static int give_on(struct link *l, const struct frame *f)
{
	struct platform *p = l->platform;
	if ((l->state != LINK_OPEN && l->state != LINK_LEAVING) || l->dismissed) {
		fail(l, -EPROTO,
		    l->dismissed ? "it goes on after its last word" : "says something before its hello");
		return -EPROTO;
	}
	p->o.events->received(
	    p->o.owner, &l->remote->host.id, f->payload - FRAME_HEADER, FRAME_HEADER + f->n);
	return 0;
}

static bool is_ours(const struct farewell *bye)
{
	return !strcmp(bye->code, HELLO_IDLE) || !strcmp(bye->code, HELLO_LEAVING) ||
	       !strcmp(bye->code, HELLO_REFUSED);
}

static int on_farewell(struct link *l, const struct frame *f)
{
	struct farewell bye;
	const char *why = "no memory";
	int r = farewell_get(f, &bye, &why);
	if (r) {
		fail(l, r, "says an error that can't be read: %s", why);
		return r;
	}
	bool open = l->state == LINK_OPEN || l->state == LINK_LEAVING;
	if (open && !is_ours(&bye))
		return give_on(l, f);
	if (open && !strcmp(bye.code, HELLO_IDLE) && !l->dismissed)
		return hear_idle(l);
	fail(l, -ECONNREFUSED, open ? "it says: %s" : "refuses: %s", bye.why);
	return -ECONNREFUSED;
}

static int on_frame(void *data, const struct frame *f)
{
	struct link *l = data;
	int r;
	if (f->kind == FRAME_HELLO)
		r = on_hello(l, f);
	else if (f->kind == FRAME_ERROR && !f->number)
		r = on_farewell(l, f);
	else
		r = give_on(l, f);
	return l->state == LINK_GONE ? -ECANCELED : r;
}

static bool is_hello_too_long(const struct link *l)
{
	bool waiting = l->state == LINK_HEARING || l->state == LINK_GREETING;
	return waiting && l->cutter.at + l->cutter.held.len > HELLO_MOST;
}

static void hear(struct link *l, const void *bytes, size_t n)
{
	l->moved_ms = now_ms(l);
	int r = frame_cut(&l->cutter, bytes, n, on_frame, l);
	if (l->state == LINK_GONE)
		return;
	if (r == -EPROTO)
		fail(l, r, "says what is no frame: %s, at byte %llu", l->cutter.why,
		    (unsigned long long)l->cutter.at);
	else if (r)
		fail(l, r, "%s", strerror(-r));
	else if (is_hello_too_long(l))
		fail(l, -EPROTO, "says more than %d bytes before its hello", HELLO_MOST);
}

static void on_data(void *owner, char *bytes, size_t n)
{
	hear(owner, bytes, n);
}

static void on_below(void *owner)
{
	struct link *l = owner;
	remote_tell_room(l->remote);
}

static void on_closed(void *owner, int error)
{
	struct link *l = owner;
	struct remote *r = l->remote;
	if (l->state == LINK_LEAVING && l->dismissed && !error) {
		link_drop(l);
		remote_settle(r);
	} else if (error) {
		fail(l, error, "the link broke: %s", *stream_why(l->stream) ? stream_why(l->stream) : strerror(-error));
	} else {
		fail(l, -ECONNRESET, "the link ended without a word");
	}
}

static const struct stream_events stream_events = {.data = on_data, .closed = on_closed, .below = on_below};

/* --- time --- */

static void on_idle(struct link *l)
{
	uint64_t idle_ms = (uint64_t)(l->platform->o.idle_ns / 1000000), still_ms = now_ms(l) - l->moved_ms;
	if (still_ms < idle_ms || stream_pending(l->stream)) {
		watch(
		    l, still_ms < idle_ms ? (int64_t)(idle_ms - still_ms) * 1000000 : l->platform->o.idle_ns);
	} else if (l->keep) {
		put_hello(l); /* so that a link that is dead is found out */
		l->moved_ms = now_ms(l);
		watch(l, l->platform->o.idle_ns);
	} else {
		say_idle(l);
	}
}

static int64_t hello_ns(const struct platform *p)
{
	return p->o.dead_ns < HELLO_MS * 1000000LL ? p->o.dead_ns : HELLO_MS * 1000000LL;
}

/* It may have much to say before its last word. */
static void on_leaving_long(struct link *l)
{
	int64_t still_ns = (int64_t)(now_ms(l) - l->moved_ms) * 1000000;
	if (still_ns < l->platform->o.dead_ns)
		watch(l, l->platform->o.dead_ns - still_ns);
	else
		fail(l, -ETIMEDOUT, "it does not answer");
}

/* Not from within accepted(): no event comes from there. */
static void hear_early(struct link *l)
{
	struct buf early = l->early;
	l->early = (struct buf)BUF_INIT;
	watch(l, hello_ns(l->platform));
	stream_pause(l->stream, false);
	hear(l, early.data, early.len);
	buf_release(&early);
}

static void on_timer(uv_timer_t *timer)
{
	struct link *l = timer->data;
	if (l->early.len)
		hear_early(l);
	else if (l->state == LINK_OPEN)
		on_idle(l);
	else if (l->state == LINK_LEAVING)
		on_leaving_long(l);
	else
		fail(l, -ETIMEDOUT, "says no hello");
}

static void watch(struct link *l, int64_t ns)
{
	uv_timer_start(&l->timer, on_timer, (uint64_t)(ns + 999999) / 1000000, 0);
}

/* --- the begin --- */

static void say_peer(int fd, char *to, size_t size)
{
	struct sockaddr_storage a = {0};
	socklen_t len = sizeof a;
	char host[INET6_ADDRSTRLEN] = "a caller";
	int port = 0;
	getpeername(fd, (struct sockaddr *)&a, &len);
	if (a.ss_family == AF_INET) {
		inet_ntop(AF_INET, &((struct sockaddr_in *)&a)->sin_addr, host, sizeof host);
		port = ntohs(((struct sockaddr_in *)&a)->sin_port);
	} else if (a.ss_family == AF_INET6) {
		inet_ntop(AF_INET6, &((struct sockaddr_in6 *)&a)->sin6_addr, host, sizeof host);
		port = ntohs(((struct sockaddr_in6 *)&a)->sin6_port);
	}
	snprintf(to, size, "%s port %d", host, port);
}

/* What the other side's kernel has not taken for so long, cut or stopped, breaks the link. */
static void set_options(int fd, int64_t dead_ns)
{
	int on = 1;
	unsigned dead_ms = (unsigned)(dead_ns / 1000000);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &dead_ms, sizeof dead_ms);
}

static int link_new(struct platform *p, struct stream *stream, struct link **ret)
{
	struct link *l = calloc(1, sizeof *l);
	int fd = stream_fd(stream);
	if (!l) {
		stream_close(stream);
		return -ENOMEM;
	}
	stream_give(stream, &stream_events, l);
	l->stream = stream;
	l->platform = p;
	l->cutter.at = FRAME_PREFACE_SIZE;
	say_peer(fd, l->address, sizeof l->address);
	set_options(fd, p->o.dead_ns);
	uv_timer_init(p->o.net->loop, &l->timer);
	l->timer.data = l;
	p->handles++;
	watch(l, hello_ns(p));
	*ret = l;
	return 0;
}

int link_accept(struct platform *p, struct stream *stream, const void *read, size_t n)
{
	struct link *l;
	int e = link_new(p, stream, &l);
	if (e)
		return e;
	l->state = LINK_HEARING;
	if (n < FRAME_PREFACE_SIZE || memcmp(read, FRAME_PREFACE, FRAME_PREFACE_SIZE)) {
		fail(l, -EPROTO, "says no preface");
		return -EPROTO;
	}
	if (n == FRAME_PREFACE_SIZE)
		return 0;
	buf_put(&l->early, (const char *)read + FRAME_PREFACE_SIZE, n - FRAME_PREFACE_SIZE);
	if (l->early.failed) {
		link_drop(l);
		return -ENOMEM;
	}
	stream_pause(l->stream, true);
	watch(l, 0);
	return 0;
}

static int secure(struct platform *p, struct stream *stream)
{
	SSL_CTX *context = p->o.place ? place_context(p->o.place, CONTEXT_DIAL_FRAMES) : NULL;
	int e = context ? stream_secure(stream, context, false, NULL) : p->o.place ? -ENOMEM : 0;
	SSL_CTX_free(context);
	return e;
}

static int dialled_new(struct platform *p, int fd, struct link **ret)
{
	struct stream *stream;
	int e = stream_new(&stream, p->o.net, fd, &stream_events, NULL);
	if (e) {
		close(fd);
		return e;
	}
	e = secure(p, stream);
	if (!e)
		return link_new(p, stream, ret);
	stream_close(stream);
	return e;
}

int link_dialled(struct remote *r, int fd, struct link **ret)
{
	struct link *l;
	int e = dialled_new(r->platform, fd, &l);
	if (e)
		return e;
	l->state = LINK_GREETING;
	l->cutter.at = 0; /* who answers says no preface */
	link_to_remote(l, r);
	buf_put(stream_out(l->stream), FRAME_PREFACE, FRAME_PREFACE_SIZE);
	e = put_hello(l);
	if (e) {
		link_drop(l);
		return e;
	}
	*ret = l;
	return 0;
}
