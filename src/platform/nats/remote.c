/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "platform/nats/private.h"
#include "proto/wire.h"

enum { FORGET_AMONG = 64 };

struct remote *remote_find(struct platform *p, const struct host_id *id)
{
	return (struct remote *)hosts_find(&p->remotes, id);
}

static bool awaits(const struct remote *r);

/* Of some, the one that was not heard for longest and of which nothing is awaited: should it come back, it is as if
 * something of it was lost. */
static void forget_one(struct platform *p, const struct host_id *newcomer)
{
	struct remote *oldest = NULL;
	struct host *h = hosts_from(&p->remotes, newcomer);
	for (int i = 0; i < FORGET_AMONG; i++, h = hosts_next(&p->remotes, h)) {
		struct remote *r = (struct remote *)(h ? h : hosts_next(&p->remotes, NULL));
		if (!awaits(r) && !r->is_dirty && !r->is_busy && (!oldest || r->heard_ms < oldest->heard_ms))
			oldest = r;
	}
	if (oldest)
		remote_free(oldest);
}

static struct remote *remote_new(struct platform *p, const struct host_id *id)
{
	char to[HOST_ID_TEXT];
	if (p->remotes.n >= REMOTES_MAX)
		forget_one(p, id);
	struct remote *r = p->remotes.n < REMOTES_MAX ? calloc(1, sizeof *r) : NULL;
	if (!r)
		return NULL;
	host_init(&r->host, id);
	r->platform = p;
	host_id_format(id, to);
	snprintf(r->subject, sizeof r->subject, "vigia.%s.host.%s.%s", p->cluster, to, p->self);
	snprintf(r->nobody, sizeof r->nobody, "vigia.%s.nobody.%s.%s", p->cluster, p->self, to);
	if (hosts_add(&p->remotes, &r->host)) {
		free(r);
		return NULL;
	}
	return r;
}

struct remote *remote_get(struct platform *p, const struct host_id *id)
{
	struct remote *r = remote_find(p, id);
	return r ? r : remote_new(p, id);
}

void remote_free(struct remote *r)
{
	hosts_remove(&r->platform->remotes, &r->host);
	backlog_release(&r->host.backlog);
	frame_cutter_release(&r->cutter);
	free(r);
}

static uint64_t under_way(const struct remote *r)
{
	return r->sent - r->sent_taken;
}

static bool awaits(const struct remote *r)
{
	return backlog_size(&r->host.backlog) || under_way(r) || r->state == REMOTE_ASKING;
}

/* From now on something is awaited, if nothing was before. */
static void await(struct remote *r)
{
	if (!awaits(r))
		r->since_ms = now_ms(r->platform);
	mark_busy(r);
}

/* --- saying --- */

static void say(struct remote *r, enum header_kind kind, const void *data, size_t n)
{
	struct platform *p = r->platform;
	uint8_t message[HEADER_SIZE + PIECE];
	struct header h = {.kind = kind,
	    .era = r->host.pair.era,
	    .boot = p->boot,
	    .to_boot = r->host.pair.boot,
	    .at = r->sent,
	    .taken = r->taken};
	header_put(message, &h);
	memcpy(message + HEADER_SIZE, data, n);
	engine_publish(
	    p->engine, r->subject, kind == HEADER_ASK ? r->nobody : NULL, message, HEADER_SIZE + n);
	r->taken_told = r->taken;
	r->owed_ms = 0;
	r->owes_state = false;
}

static void say_state(struct remote *r, enum header_kind kind)
{
	const char *name = r->platform->name;
	say(r, kind, name, strnlen(name, HEADER_NAME_MAX));
}

static void ask(struct remote *r)
{
	r->asked_ms = now_ms(r->platform);
	r->unheard = true;
	say_state(r, HEADER_ASK);
}

static void begin_asking(struct remote *r)
{
	r->state = REMOTE_ASKING;
	r->ask_again_ms = ASK_MS;
	ask(r);
}

static size_t first_frame(const struct backlog *b)
{
	return FRAME_HEADER + (size_t)wire_get32((const uint8_t *)backlog_data(b));
}

/* As many whole frames as a message takes; of one that is too long for one message, the next part. */
static size_t measure_piece(const struct remote *r)
{
	const struct backlog *b = &r->host.backlog;
	const uint8_t *bytes = (const uint8_t *)backlog_data(b);
	size_t have = backlog_size(b), n = 0;
	if (r->part_left || first_frame(b) > PIECE)
		return r->part_left && r->part_left < PIECE ? r->part_left : PIECE;
	while (n < have && n + FRAME_HEADER + wire_get32(bytes + n) <= PIECE)
		n += FRAME_HEADER + wire_get32(bytes + n);
	return n;
}

static void say_piece(struct remote *r, size_t n)
{
	struct backlog *b = &r->host.backlog;
	size_t part = r->part_left ? r->part_left : first_frame(b) > PIECE ? first_frame(b) : n;
	say(r, HEADER_DATA, backlog_data(b), n);
	r->part_left = part - n;
	r->sent += n;
	backlog_drop(b, n);
}

bool remote_flush(struct remote *r)
{
	struct platform *p = r->platform;
	struct backlog *b = &r->host.backlog;
	if (!engine_is_up(p->engine))
		return false;
	if (r->state == REMOTE_REST && backlog_size(b) && now_ms(p) >= r->rest_until_ms)
		begin_asking(r);
	while (r->state == REMOTE_OPEN && backlog_size(b)) {
		size_t n = measure_piece(r);
		if (under_way(r) && under_way(r) + n > WINDOW)
			break;
		if (engine_pending(p->engine) > OUT_MOST)
			return true;
		say_piece(r, n);
	}
	if (r->owes_state)
		say_state(r, HEADER_STATE);
	return false;
}

void remote_flush_all(struct remote *r)
{
	while (r->state == REMOTE_OPEN && backlog_size(&r->host.backlog))
		say_piece(r, measure_piece(r));
}

void remote_up(struct remote *r)
{
	if (r->state == REMOTE_OPEN && awaits(r))
		ask(r);
	mark_dirty(r);
}

int remote_send(struct remote *r, const void *frame, size_t n)
{
	if (!host_takes(&r->host, backlog_size(&r->host.backlog), r->platform->o.pending_most, n))
		return -ENOBUFS;
	await(r);
	int e = backlog_put(&r->host.backlog, frame, n);
	if (!e)
		mark_dirty(r);
	return e;
}

size_t remote_room(struct remote *r)
{
	return host_room(&r->host, backlog_size(&r->host.backlog), r->platform->o.pending_most);
}

/* --- breaks --- */

static void reset(struct remote *r, enum remote_state state)
{
	r->state = state;
	r->sent = r->sent_taken = r->taken = r->taken_told = 0;
	r->owed_ms = r->part_left = 0;
	frame_cutter_release(&r->cutter);
	r->cutter = (struct frame_cutter){0};
	backlog_release(&r->host.backlog);
}

void remote_tell_room(struct remote *r)
{
	struct platform *p = r->platform;
	if (!p->closed && host_roomy(&r->host, backlog_size(&r->host.backlog)))
		p->o.events->room(p->o.owner, &r->host.id);
}

static void tell_lost(struct remote *r, int error, const char *why)
{
	struct platform *p = r->platform;
	if (!p->closed)
		p->o.events->lost(p->o.owner, &r->host.id, error, why);
	remote_tell_room(r);
}

void remote_break(struct remote *r, int error, const char *format, ...)
{
	struct platform *p = r->platform;
	char why[600];
	va_list args;
	int n = snprintf(why, sizeof why, "%s: ", r->host.name);
	va_start(args, format);
	vsnprintf(why + n, sizeof why - (size_t)n, format, args);
	va_end(args);
	pair_break(&r->host.pair);
	reset(r, REMOTE_REST);
	r->rest_until_ms = now_ms(p) + REST_MS;
	r->owes_state = r->host.pair.boot != 0; /* the other hears of the new era at once */
	mark_dirty(r);
	mark_busy(r);
	tell_lost(r, error, why);
}

/* --- hearing --- */

/* Now both are in this era, and count from its begin. */
static void open_remote(struct remote *r)
{
	if (r->state == REMOTE_OPEN)
		return;
	r->state = REMOTE_OPEN;
	pair_use(&r->host.pair);
	mark_dirty(r);
}

static void hear_of_break(struct remote *r)
{
	char why[200];
	snprintf(why, sizeof why, "%s: something between us was lost, or it was started anew", r->host.name);
	reset(r, REMOTE_REST);
	open_remote(r);
	tell_lost(r, -ECONNRESET, why);
}

/* One of two that have one id was heard a moment ago, and now the other is. */
static bool refuse_twin(struct remote *r, const struct header *h)
{
	struct platform *p = r->platform;
	if (now_ms(p) - r->heard_ms > (uint64_t)p->o.dead_ns / 1000000) {
		if (pair_replace(&r->host.pair, h->boot, h->era))
			hear_of_break(r);
		else
			open_remote(r);
		return false;
	}
	if (now_ms(p) >= r->rest_until_ms)
		remote_break(r, -ENOTUNIQ, "two vigiads have its id: a state directory was copied");
	return true;
}

/* True: what else it says is of this era. */
static bool hear_pair(struct remote *r, const struct header *h)
{
	switch (pair_hear(&r->host.pair, h->boot, h->era)) {
	case PAIR_TWO:
		return !refuse_twin(r, h);
	case PAIR_BROKEN:
		hear_of_break(r);
		return true;
	case PAIR_BEHIND:
		r->owes_state = true;
		mark_dirty(r);
		return false;
	default:
		open_remote(r);
		return true;
	}
}

static int give_frame(void *data, const struct frame *f)
{
	struct remote *r = data;
	struct platform *p = r->platform;
	p->o.events->received(p->o.owner, &r->host.id, f->payload - FRAME_HEADER, FRAME_HEADER + f->n);
	return p->closed ? -ECANCELED : 0;
}

static void owe_taken(struct remote *r)
{
	if (!r->owed_ms)
		r->owed_ms = now_ms(r->platform);
	if (r->taken - r->taken_told >= WINDOW / 4) {
		r->owes_state = true;
		mark_dirty(r);
	}
	mark_busy(r);
}

static void take_data(struct remote *r, const struct header *h)
{
	r->taken += h->n;
	owe_taken(r);
	int e = frame_cut(&r->cutter, h->data, h->n, give_frame, r);
	if (e == -EPROTO)
		remote_break(r, e, "says what is no frame: %s, at byte %llu", r->cutter.why,
		    (unsigned long long)r->cutter.at);
	else if (e && e != -ECANCELED)
		remote_break(r, e, "%s", strerror(-e));
}

static void hear_taken(struct remote *r, uint64_t taken)
{
	if (taken > r->sent) {
		remote_break(r, -EPROTO, "it took more than it was sent");
		return;
	}
	if (taken <= r->sent_taken)
		return;
	r->sent_taken = taken;
	r->since_ms = now_ms(r->platform);
	if (backlog_size(&r->host.backlog))
		mark_dirty(r);
}

/* What it says it sent against what came. */
static void hear_count(struct remote *r, const struct header *h)
{
	if (h->at > r->taken)
		remote_break(r, -ENODATA, "%llu bytes that it sent did not come",
		    (unsigned long long)(h->at - r->taken));
	else if (h->at == r->taken && h->kind == HEADER_DATA)
		take_data(r, h);
}

static void hear_name(struct remote *r, const struct header *h)
{
	if (h->kind != HEADER_DATA && h->n)
		snprintf(r->host.name, sizeof r->host.name, "%.*s", (int)h->n, (const char *)h->data);
}

void remote_hear(struct remote *r, const struct header *h)
{
	struct platform *p = r->platform;
	bool for_us = h->to_boot == p->boot;
	hear_name(r, h);
	if (!hear_pair(r, h) || p->closed)
		return;
	r->heard_ms = now_ms(p);
	r->unheard = false;
	if (h->kind == HEADER_ASK || (!for_us && (h->to_boot || h->kind == HEADER_DATA))) {
		r->owes_state = true;
		mark_dirty(r);
	}
	if (!for_us)
		return;
	uint64_t era = r->host.pair.era;
	hear_taken(r, h->taken);
	if (!p->closed && era == r->host.pair.era)
		hear_count(r, h);
}

/* After a server's return it may be only on its way back. */
static bool may_be_coming(const struct remote *r)
{
	uint64_t up_ms = engine_up_ms(r->platform->engine);
	return now_ms(r->platform) - up_ms < GRACE_MS && r->heard_ms < up_ms;
}

void remote_nobody(struct remote *r)
{
	if (awaits(r) && r->unheard && !may_be_coming(r) && now_ms(r->platform) >= r->rest_until_ms)
		remote_break(r, -EHOSTUNREACH, "no vigiad of this id is connected to the nats-server");
}

/* --- time --- */

static void ask_again(struct remote *r)
{
	r->ask_again_ms = r->ask_again_ms < ASK_MOST_MS ? 2 * r->ask_again_ms : ASK_MOST_MS;
	ask(r);
}

static bool is_dead(const struct remote *r)
{
	return awaits(r) && now_ms(r->platform) - r->since_ms >= (uint64_t)r->platform->o.dead_ns / 1000000;
}

static void break_dead(struct remote *r)
{
	struct engine *e = r->platform->engine;
	if (engine_is_up(e))
		remote_break(r, -ETIMEDOUT, "it does not answer");
	else
		remote_break(
		    r, -ENOTCONN, "no nats-server answers at %s: %s", r->platform->server, engine_why(e));
}

bool remote_tick(struct remote *r)
{
	struct platform *p = r->platform;
	uint64_t now = now_ms(p);
	bool up = engine_is_up(p->engine), rested = now >= r->rest_until_ms;
	if (r->owed_ms && now - r->owed_ms >= TAKEN_MS) {
		r->owes_state = true;
		mark_dirty(r);
	}
	if (is_dead(r))
		break_dead(r);
	else if (up && r->state == REMOTE_ASKING && now - r->asked_ms >= r->ask_again_ms)
		ask_again(r);
	else if (up && r->state == REMOTE_OPEN && awaits(r) && now - r->since_ms >= PROBE_MS &&
		 now - r->asked_ms >= PROBE_MS)
		ask(r);
	else if (r->state == REMOTE_REST && rested && backlog_size(&r->host.backlog))
		mark_dirty(r);
	return awaits(r) || r->owed_ms || now < r->rest_until_ms;
}
