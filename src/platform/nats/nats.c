/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/nats/private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { RECENT_MS = 60000, FLUSHES_A_TURN = 8 };

extern const struct platform_type platform_module;

uint64_t now_ms(const struct platform *p)
{
	return uv_now(p->o.net->loop);
}

/* --- the turn's end --- */

void mark_dirty(struct remote *r)
{
	struct platform *p = r->platform;
	if (r->is_dirty)
		return;
	r->is_dirty = true;
	r->next_dirty = p->dirty;
	p->dirty = r;
}

static void flush_dirty(struct platform *p, struct remote **full)
{
	struct remote *r = p->dirty, *next;
	p->dirty = NULL;
	for (; r; r = next) {
		next = r->next_dirty;
		r->is_dirty = false;
		if (remote_flush(r)) {
			r->next_dirty = *full;
			*full = r;
		}
		remote_tell_room(r);
	}
}

static void on_idle(uv_idle_t *idle)
{
}

/* Who waits for libnats to have room is looked at again when it is writable, by on_writable(). */
static void flush(struct platform *p)
{
	struct remote *full = NULL, *next;
	for (int i = 0; i < FLUSHES_A_TURN && p->dirty && !p->closed; i++)
		flush_dirty(p, &full);
	for (; full; full = next) {
		next = full->next_dirty;
		mark_dirty(full);
	}
	if (!p->closed)
		engine_flush(p->engine);
	if (p->dirty && !p->closed && engine_pending(p->engine) <= OUT_MOST && engine_is_up(p->engine))
		uv_idle_start(&p->idle, on_idle);
	else
		uv_idle_stop(&p->idle);
}

static void on_prepare(uv_prepare_t *h)
{
	flush(h->data);
}

static void on_check(uv_check_t *h)
{
	flush(h->data);
}

/* --- time --- */

static void on_tick(uv_timer_t *timer)
{
	struct platform *p = timer->data;
	struct remote *r = p->busy, *next, *still = NULL;
	p->busy = NULL;
	for (; r; r = next) {
		next = r->next_busy;
		r->is_busy = false;
		if (!p->closed && remote_tick(r) && !r->is_busy) {
			r->is_busy = true;
			r->next_busy = still;
			still = r;
		}
	}
	while (still) {
		next = still->next_busy;
		still->next_busy = p->busy;
		p->busy = still;
		still = next;
	}
	if (!p->busy && !p->closed)
		uv_timer_stop(&p->tick);
}

void mark_busy(struct remote *r)
{
	struct platform *p = r->platform;
	if (r->is_busy)
		return;
	r->is_busy = true;
	r->next_busy = p->busy;
	p->busy = r;
	if (!p->closed && !uv_is_active((uv_handle_t *)&p->tick))
		uv_timer_start(&p->tick, on_tick, TICK_MS, TICK_MS);
}

/* A message to ourselves, where the server says nothing else, shows that it is there. */
static void on_beat(uv_timer_t *timer)
{
	struct platform *p = timer->data;
	uint8_t message[HEADER_SIZE];
	char subject[SUBJECT_MAX];
	struct header h = {.kind = HEADER_STATE, .boot = p->boot};
	if (!engine_is_up(p->engine))
		return;
	if (engine_silent_ms(p->engine) >= (uint64_t)p->o.dead_ns / 1000000) {
		engine_cut(p->engine, "it says nothing any more");
		return;
	}
	header_put(message, &h);
	snprintf(subject, sizeof subject, "vigia.%s.host.%s.%s", p->cluster, p->self, p->self);
	engine_publish(p->engine, subject, NULL, message, sizeof message);
	engine_flush(p->engine);
}

static uint64_t beat_ms(const struct platform *p)
{
	uint64_t dead_ms = (uint64_t)p->o.dead_ns / 1000000;
	return dead_ms / 4 < BEAT_MS ? dead_ms / 4 : BEAT_MS;
}

/* --- what comes --- */

void note_odd(struct platform *p, const char *why)
{
	p->odd++;
	p->odd_ms = now_ms(p);
	snprintf(p->odd_why, sizeof p->odd_why, "%s", why);
}

static void hear_self(struct platform *p, const struct header *h)
{
	if (h->boot == p->boot)
		return;
	p->twin_ms = now_ms(p);
	snprintf(p->twin, sizeof p->twin, "another vigiad has this host's id: its state directory is a copy");
}

/* Who published a message is told by its subject's end, so a server can see to it that everybody is who he
 * says. */
static int sender_of(const char *subject, struct host_id *ret)
{
	const char *dot = strrchr(subject, '.');
	return dot ? host_id_parse(dot + 1, ret) : -EINVAL;
}

static void on_came(void *owner, const char *subject, const void *bytes, size_t n)
{
	struct platform *p = owner;
	struct host_id from;
	struct header h;
	const char *why = "a subject that names no host";
	if (sender_of(subject, &from) || header_get(bytes, n, &h, &why)) {
		note_odd(p, why);
		return;
	}
	if (host_id_is(&from, &p->o.self)) {
		hear_self(p, &h);
		return;
	}
	struct remote *r = remote_get(p, &from);
	if (r)
		remote_hear(r, &h);
	else
		note_odd(p, "a host more than there may be");
}

static void on_nobody(void *owner, const char *subject)
{
	struct platform *p = owner;
	struct host_id id;
	struct remote *r = sender_of(subject, &id) ? NULL : remote_find(p, &id);
	if (r)
		remote_nobody(r);
}

static void on_up(void *owner)
{
	struct platform *p = owner;
	for (struct host *h = hosts_next(&p->remotes, NULL); h; h = hosts_next(&p->remotes, h))
		remote_up((struct remote *)h);
}

static void on_down(void *owner)
{
}

static void on_writable(void *owner)
{
	flush(owner);
}

static const struct engine_events engine_events = {on_up, on_down, on_came, on_nobody, on_writable};

/* --- the table --- */

static void platform_free(struct platform *p)
{
	hosts_release(&p->remotes);
	free(p->name);
	free(p->cluster);
	free(p->server);
	free(p);
}

/* Without what lets one in. */
static char *copy_server(const char *server)
{
	const char *at = server ? strrchr(server, '@') : NULL;
	return strdup(at ? at + 1 : server ? server : "");
}

static bool is_token(const char *s)
{
	size_t n = strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-");
	return n && n <= 32 && !s[n];
}

static int copy_options(struct platform *p, const struct platform_options *options, struct buf *why)
{
	const char *cluster = options->cluster && *options->cluster ? options->cluster : "default";
	p->o = *options;
	if (!is_token(cluster)) {
		buf_putf(why, "a cluster's name on NATS has letters, digits, _ and -, 32 at most: not %.40s",
		    cluster);
		return -EINVAL;
	}
	p->name = strdup(options->name);
	p->cluster = strdup(cluster);
	p->server = copy_server(options->server);
	if (!p->name || !p->cluster || !p->server)
		return -ENOMEM;
	p->o.name = p->name;
	p->o.cluster = p->cluster;
	if (!p->o.dead_ns)
		p->o.dead_ns = DEAD_NS;
	host_id_format(&p->o.self, p->self);
	return getrandom(&p->boot, sizeof p->boot, 0) == sizeof p->boot ? 0 : -errno;
}

static int start_engine(struct platform *p, struct buf *why)
{
	char inbox[SUBJECT_MAX], nobody[SUBJECT_MAX], name[SUBJECT_MAX];
	snprintf(inbox, sizeof inbox, "vigia.%s.host.%s.*", p->cluster, p->self);
	snprintf(nobody, sizeof nobody, "vigia.%s.nobody.%s.*", p->cluster, p->self);
	snprintf(name, sizeof name, "vigiad %s", p->name);
	struct engine_options o = {.loop = p->o.net->loop,
	    .servers = p->o.server,
	    .name = name,
	    .inbox = inbox,
	    .nobody = nobody,
	    .dead_ns = p->o.dead_ns,
	    .payload_least = HEADER_SIZE + PIECE,
	    .events = &engine_events,
	    .owner = p};
	int r = engine_new(&p->engine, &o, why);
	p->o.server = p->server;
	return r;
}

static void start_handles(struct platform *p)
{
	uv_loop_t *loop = p->o.net->loop;
	uv_prepare_init(loop, &p->prepare);
	uv_check_init(loop, &p->check);
	uv_idle_init(loop, &p->idle);
	uv_timer_init(loop, &p->tick);
	uv_timer_init(loop, &p->beat);
	p->prepare.data = p->check.data = p->idle.data = p->tick.data = p->beat.data = p;
	p->handles = 5;
	uv_prepare_start(&p->prepare, on_prepare);
	uv_check_start(&p->check, on_check);
	uv_timer_start(&p->beat, on_beat, beat_ms(p), beat_ms(p));
}

static int nats_open(struct platform **ret, const struct platform_options *options, struct buf *why)
{
	struct platform *p = calloc(1, sizeof *p);
	if (!p)
		return -ENOMEM;
	p->type = &platform_module;
	int r = copy_options(p, options, why);
	p->boot = (p->boot >> 1) | 1; /* positive */
	if (!r)
		r = start_engine(p, why);
	if (r) {
		platform_free(p);
		return r;
	}
	start_handles(p);
	*ret = p;
	return 0;
}

static void on_handle_closed(uv_handle_t *h)
{
	struct platform *p = h->data;
	if (!--p->handles)
		platform_free(p);
}

/* After all that may call us, remotes and all. */
static void on_engine_closed(void *owner)
{
	struct platform *p = owner;
	uv_handle_t *handles[] = {(uv_handle_t *)&p->prepare, (uv_handle_t *)&p->check,
	    (uv_handle_t *)&p->idle, (uv_handle_t *)&p->tick, (uv_handle_t *)&p->beat};
	for (struct host *h; (h = hosts_next(&p->remotes, NULL));)
		remote_free((struct remote *)h);
	for (size_t i = 0; i < sizeof handles / sizeof *handles; i++)
		uv_close(handles[i], on_handle_closed);
}

static void nats_close(struct platform *p)
{
	p->closed = true;
	for (struct host *h = hosts_next(&p->remotes, NULL); h; h = hosts_next(&p->remotes, h))
		remote_flush_all((struct remote *)h);
	uv_prepare_stop(&p->prepare);
	uv_check_stop(&p->check);
	uv_idle_stop(&p->idle);
	uv_timer_stop(&p->tick);
	uv_timer_stop(&p->beat);
	engine_close(p->engine, on_engine_closed);
}

/* The server knows where everybody is. */
static void nats_place(struct platform *p, const struct host_id *host, const char *name, const char *addresses)
{
	struct remote *r = remote_get(p, host);
	if (r)
		host_name(&r->host, name);
}

static int nats_send(struct platform *p, const struct host_id *to, const void *frame, size_t n)
{
	struct remote *r = remote_get(p, to);
	return r ? remote_send(r, frame, n) : -ENOMEM;
}

static size_t nats_room(struct platform *p, const struct host_id *to)
{
	struct remote *r = remote_find(p, to);
	return r ? remote_room(r) : p->o.pending_most;
}

static bool is_recent(const struct platform *p, uint64_t ms)
{
	return ms && now_ms(p) - ms < RECENT_MS;
}

static int nats_trouble(struct platform *p, struct buf *ret_what)
{
	if (!engine_is_up(p->engine)) {
		buf_putf(ret_what, "no nats-server answers at %s: %s. Start it, or name another one (nats { server }, see "
				   "vigia.conf(5)); calls to other hosts go on by themselves then", p->server, engine_why(p->engine));
		return -ENOTCONN;
	}
	if (is_recent(p, p->twin_ms)) {
		buf_puts(ret_what, p->twin);
		return -ENOTUNIQ;
	}
	if (is_recent(p, p->odd_ms)) {
		buf_putf(ret_what, "%llu messages came that were none of a vigiad's, the last: %s",
		    (unsigned long long)p->odd, p->odd_why);
		return -EBADMSG;
	}
	return 0;
}

const struct platform_type platform_module = {
    .name = "nats",
    .doc = "through a nats-server, which knows where everybody is",
    .version = VIGIA_VERSION,
    .open = nats_open,
    .close = nats_close,
    .place = nats_place,
    .send = nats_send,
    .room = nats_room,
    .trouble = nats_trouble,
};
