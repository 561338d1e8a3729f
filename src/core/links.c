/* SPDX-License-Identifier: Apache-2.0 */
#include "core/links.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/call_life.h"
#include "core/relay.h"
#include "core/view.h"
#include "proto/frame.h"

enum { BUCKETS = 256, PENDING = 16 << 20, ENOUGH = 1 << 20, OUT_KEEP = 65536, ALIVE_MS = 10000 };
#define NO_QUERY (UINT64_C(1) << 63)
static const int64_t IDLE_NS = 30000000000;

/* Another host: what it asks us, and what we have passed on to it. */
struct link {
	struct host_id id;
	struct core *core;
	struct asker asker;
	struct relay relay;
	bool wants, quiet;
	struct link *next, *next_wanting;
};

struct links {
	struct platform *platform;
	const struct platform_type *type;
	struct link *buckets[BUCKETS], *wanting_links;
	struct buf out; /* a frame on its way */
	uv_idle_t wanting;
	bool ending;
	uv_timer_t alive;
};

/* --- finding --- */

static const struct asker_type link_asker;

static int send_query(struct relay *r, const struct buf *frame);

static struct link **place_of(const struct core *core, const struct host_id *id)
{
	struct link **l = &core->links->buckets[id->bytes[0]];
	while (*l && !host_id_is(&(*l)->id, id))
		l = &(*l)->next;
	return l;
}

static struct link *link_to(struct core *core, const struct host_id *id)
{
	struct link **at = place_of(core, id), *l = *at;
	if (l) {
		l->quiet = false;
		return l;
	}
	l = calloc(1, sizeof *l);
	if (!l)
		return NULL;
	*l = (struct link){.id = *id, .core = core};
	l->asker = (struct asker){.type = &link_asker, .core = core, .role = "client", .roles = ROLE_CLIENT,
	    .uid = (uid_t)-1, .foreign = true, .entity = ++core->askers};
	host_id_format(id, l->asker.address);
	relay_init(&l->relay, core, send_query, l);
	*at = l;
	return l;
}

static struct link *link_of(const struct asker *a)
{
	return (struct link *)((char *)(uintptr_t)a - offsetof(struct link, asker));
}

/* --- what it asks us --- */

static void want(struct asker *a);

/* What was sent is taken for gone at the next turn, unless too much waits: then `room` comes. */
static void send_out(struct link *l)
{
	struct links *s = l->core->links;
	if (!s->platform)
		return;
	want(&l->asker);
	if (s->out.failed || !s->out.len || s->type->send(s->platform, &l->id, s->out.data, s->out.len))
		l->core->figures.overflows++;
	if (s->out.size > OUT_KEEP)
		buf_release(&s->out);
}

static struct buf *begin_out(const struct call *c)
{
	struct buf *out = &c->core->links->out;
	buf_clear(out);
	return out;
}

static void answer(struct call *c, const struct msg *m)
{
	frames_encode(begin_out(c), c->id, m);
	send_out(link_of(c->asker));
}

static void over(struct call *c, const char *code, const char *text)
{
	frames_encode_over(begin_out(c), c->id, code, text);
	send_out(link_of(c->asker));
}

static int send_one(void *data, const struct frame *f)
{
	struct call *c = data;
	frame_put(begin_out(c), f->kind, 0, (uint64_t)c->id, f->payload, f->n);
	send_out(link_of(c->asker));
	return 0;
}

static void pass(struct call *c, const struct frame *f)
{
	send_one(c, f);
}

static void put_frames(struct call *c, const struct buf *frames)
{
	struct frame_cutter cutter = {0};
	frame_cut(&cutter, frames->data, frames->len, send_one, c);
	frame_cutter_release(&cutter);
}

static void put(struct call *c, const char *bytes, size_t n)
{
	struct frame_cutter cutter = {0};
	frame_cut(&cutter, bytes, n, send_one, c);
	frame_cutter_release(&cutter);
}

static size_t pending(const struct asker *a)
{
	struct links *s = a->core->links;
	return !s->platform ? 0 : PENDING - s->type->room(s->platform, &link_of(a)->id);
}

static void on_wanting(uv_idle_t *idle)
{
	struct core *core = idle->data;
	struct link *l = core->links->wanting_links, *next;
	uv_idle_stop(idle);
	core->links->wanting_links = NULL;
	for (; l; l = next) {
		next = l->next_wanting;
		l->wants = false;
		if (pending(&l->asker) < ENOUGH)
			asker_go_on(&l->asker);
	}
}

static void want(struct asker *a)
{
	struct link *l = link_of(a);
	struct links *s = a->core->links;
	if (l->wants)
		return;
	l->wants = true;
	l->next_wanting = s->wanting_links;
	s->wanting_links = l;
	uv_idle_start(&s->wanting, on_wanting);
}

static const struct asker_type link_asker = {.answer = answer, .over = over, .encode = frames_encode,
    .cut = frames_cut, .put = put, .frames = put_frames, .pass = pass, .want = want, .pending = pending};

static void on_query(struct link *l, const struct frame *f)
{
	struct frame_route route;
	struct msg *m;
	const char *why;
	if (!f->number || f->number > INT64_MAX || asker_has_call(&l->asker, (int64_t)f->number) ||
	    frame_get_query(f, &route, &m, &why)) {
		l->core->figures.errors++;
		return;
	}
	struct asked asked = {.id = (int64_t)f->number, .one_way = f->flags & FRAME_ONE_WAY, .to = "",
	    .deadline_ms = route.deadline_ms, .caller = route.caller};
	asked.caller.host = l->id;
	dispatch(&l->asker, &asked, m);
}

/* --- what the platform says --- */

static void on_received(void *owner, const struct host_id *from, const void *bytes, size_t n)
{
	struct core *core = owner;
	struct frame f;
	const char *why;
	struct link *l = link_to(core, from);
	if (!l || frame_read(bytes, n, &f, &why))
		core->figures.errors++;
	else if (f.kind == FRAME_QUERY)
		on_query(l, &f);
	else if (f.kind == FRAME_CANCEL)
		asker_cancel(&l->asker, (int64_t)f.number);
	else if (relay_take(&l->relay, &f))
		core->figures.errors++;
}

static void on_lost(void *owner, const struct host_id *host, int error, const char *why)
{
	struct core *core = owner;
	struct link *l = *place_of(core, host);
	if (!l)
		return;
	relay_fail(&l->relay, NULL, "unreachable", why);
	asker_drop_calls(&l->asker);
}

/* A way on which nothing is said is hung up, and then nobody tells that the host was ended, or started anew: so as long as
 * a call waits for the other side, or for its end, something is. */
static void say_alive(struct link *l)
{
	struct links *s = l->core->links;
	buf_clear(&s->out);
	frame_put(&s->out, FRAME_CANCEL, 0, NO_QUERY, NULL, 0);
	if (s->type->send(s->platform, &l->id, s->out.data, s->out.len) == -EHOSTUNREACH)
		on_lost(l->core, &l->id, -EHOSTUNREACH, "it does not say any more where it can be reached");
}

static bool is_in_use(const struct link *l)
{
	return l->asker.calls || relay_waits(&l->relay) || l->wants;
}

/* What is kept of a host with which nothing is under way, nor was since the last time. */
static void forget_quiet(struct link **at)
{
	while (*at) {
		struct link *l = *at;
		if (!l->quiet || is_in_use(l)) {
			l->quiet = true;
			at = &l->next;
			continue;
		}
		*at = l->next;
		relay_release(&l->relay, "unreachable", "nothing is under way");
		free(l);
	}
}

static void on_alive(uv_timer_t *timer)
{
	struct core *core = timer->data;
	for (size_t i = 0; i < BUCKETS; i++) {
		for (struct link *l = core->links->buckets[i]; l; l = l->next)
			if (l->asker.calls || relay_waits(&l->relay))
				say_alive(l);
		forget_quiet(&core->links->buckets[i]);
	}
}

static void on_room(void *owner, const struct host_id *host)
{
	struct core *core = owner;
	struct link *l = *place_of(core, host);
	if (l)
		asker_go_on(&l->asker);
}

static const struct platform_events events = {on_received, on_lost, on_room};

/* --- what we ask --- */

static int send_query(struct relay *r, const struct buf *frame)
{
	struct link *l = r->owner;
	struct links *s = l->core->links;
	return s->platform ? s->type->send(s->platform, &l->id, frame->data, frame->len) : -ESHUTDOWN;
}

int links_ask(struct call *c, const char *to, int64_t deadline_ms)
{
	const struct view_row *row = view_named(c->core, to);
	if (!row)
		return call_fail(c, "not-found", "no host is named %s", to);
	if (!c->core->links->platform || c->core->links->ending)
		return call_fail(c, "unreachable", "this daemon has no way to other hosts");
	struct link *l = link_to(c->core, &row->id);
	if (!l)
		return call_fail(c, "failed", "no memory");
	return relay_run(&l->relay, c, deadline_ms);
}

void links_accepted(struct core *core, struct stream *stream, const void *read, size_t n)
{
	struct links *s = core->links;
	if (s->platform && s->type->accepted)
		s->type->accepted(s->platform, stream, read, n);
	else
		stream_close(stream);
}

void links_place(struct core *core, const struct host_id *id, const char *name, const char *addresses)
{
	if (core->links && core->links->platform && !host_id_is(id, &core->id))
		core->links->type->place(core->links->platform, id, name, addresses);
}

/* --- start and end --- */

int links_start(
    struct core *core, const struct platform_type *type, const char *server, const char *cluster, struct buf *why)
{
	core->links = calloc(1, sizeof *core->links);
	if (!core->links)
		return -ENOMEM;
	core->links->type = type;
	uv_idle_init(core->net.loop, &core->links->wanting);
	uv_timer_init(core->net.loop, &core->links->alive);
	core->links->wanting.data = core->links->alive.data = core;
	uv_timer_start(&core->links->alive, on_alive, ALIVE_MS, ALIVE_MS);
	struct platform_options o = {.net = &core->net, .self = core->id, .name = core->name, .idle_ns = IDLE_NS,
	    .pending_most = PENDING, .server = server, .cluster = cluster, .place = core->place, .events = &events, .owner = core};
	return type->open(&core->links->platform, &o, why);
}

bool links_know_hosts(const struct core *core)
{
	return core->place && core->links && core->links->type->judge;
}

void links_judge(struct core *core)
{
	struct links *s = core->links;
	if (s && s->platform && s->type->judge)
		s->type->judge(s->platform, core->place);
}

int links_trouble(const struct core *core, struct buf *ret_what)
{
	const struct links *s = core->links;
	return s && s->platform ? s->type->trouble(s->platform, ret_what) : 0;
}

void links_stop(struct core *core)
{
	struct links *s = core->links;
	s->ending = true;
	for (size_t i = 0; i < BUCKETS; i++)
		for (struct link *l = s->buckets[i]; l; l = l->next) {
			relay_release(&l->relay, "unavailable", "this daemon ends");
			asker_drop_calls(&l->asker);
		}
	if (s->platform)
		s->type->close(s->platform);
	s->platform = NULL;
	uv_close((uv_handle_t *)&s->wanting, NULL);
	uv_close((uv_handle_t *)&s->alive, NULL);
}

void links_release(struct core *core)
{
	for (size_t i = 0; core->links && i < BUCKETS; i++)
		while (core->links->buckets[i]) {
			struct link *l = core->links->buckets[i];
			core->links->buckets[i] = l->next;
			free(l);
		}
	if (core->links)
		buf_release(&core->links->out);
	free(core->links);
	core->links = NULL;
}
