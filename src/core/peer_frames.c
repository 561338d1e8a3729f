/* SPDX-License-Identifier: Apache-2.0 */
/* Binary frames on a connection (docs/frames.md): a program, or another host's daemon, which the platform then takes. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/audited.h"
#include "core/channels.h"
#include "core/core.h"
#include "core/links.h"
#include "core/relay.h"
#include "core/secure.h"
#include "core/speech.h"
#include "proto/frame.h"

enum { VERSION = 1, FIRST_MAX = 16384 /* bytes from who has not said hello */ };

struct framed {
	struct frame_cutter cutter;
	size_t preface; /* bytes of it that came */
	bool met;	/* its hello came */
	bool host;	/* and names a host */
	struct buf first; /* all that came until then: a platform reads it again */
};

/* --- sending --- */

static void encode_error(struct buf *out, uint64_t number, const char *code, const char *text)
{
	struct msg *m = msg_new("error");
	if (!m)
		return;
	msg_set(m, "code", code);
	msg_text(m, text, strlen(text));
	frame_put_msg(out, FRAME_ERROR, number, m);
	msg_free(m);
}

static void last_error(struct peer *p, const char *code, const char *text)
{
	if (peer_may_send(p))
		encode_error(stream_out(p->stream), 0, code, text);
}

static void bye(struct peer *p)
{
}

/* --- asking in frames --- */

static bool is_partial(const struct msg *m)
{
	return !strcmp(m->name, "error");
}

void frames_encode(struct buf *out, int64_t id, const struct msg *m)
{
	if (frame_put_msg(out, is_partial(m) ? FRAME_PARTIAL : FRAME_ANSWER, (uint64_t)id, m))
		encode_error(out, (uint64_t)id, "too-large", "an answer is larger than a frame may be");
}

static void answer(struct call *c, const struct msg *m)
{
	if (peer_may_send(c->peer))
		frames_encode(stream_out(c->peer->stream), c->id, m);
}

void frames_encode_over(struct buf *out, int64_t id, const char *code, const char *text)
{
	if (code)
		encode_error(out, (uint64_t)id, code, text);
	else
		frame_put(out, FRAME_END, 0, (uint64_t)id, NULL, 0);
}

static void over(struct call *c, const char *code, const char *text)
{
	if (peer_may_send(c->peer))
		frames_encode_over(stream_out(c->peer->stream), c->id, code, text);
}

size_t frames_cut(const char *bytes, size_t n, size_t most)
{
	size_t at = 0;
	while (at < n) {
		const uint8_t *h = (const uint8_t *)bytes + at;
		size_t whole = FRAME_HEADER + ((size_t)h[0] << 24 | (size_t)h[1] << 16 | (size_t)h[2] << 8 | h[3]);
		if (at && at + whole > most)
			break;
		at += whole;
	}
	return at;
}

static void put(struct call *c, const char *bytes, size_t n)
{
	buf_put(peer_out(c->peer), bytes, n);
}

static void frames(struct call *c, const struct buf *frames)
{
	if (peer_may_send(c->peer))
		buf_put(stream_out(c->peer->stream), frames->data, frames->len);
}

static void pass(struct call *c, const struct frame *f)
{
	if (peer_may_send(c->peer))
		frame_put(stream_out(c->peer->stream), f->kind, 0, (uint64_t)c->id, f->payload, f->n);
}

static void want(struct asker *a)
{
	stream_want_drained(a->peer->stream);
}

static size_t pending(const struct asker *a)
{
	return stream_pending(a->peer->stream);
}

static void too_many(struct asker *a, enum limit reached)
{
	peer_refuse_limit(a->peer, reached);
}

static const struct asker_type frames_asker = {.answer = answer, .over = over, .encode = frames_encode, .cut = frames_cut,
    .put = put, .frames = frames, .pass = pass, .want = want, .pending = pending, .too_many = too_many};

/* --- receiving --- */

static int greet(struct peer *p)
{
	struct msg *m = msg_new("hello");
	if (!m)
		return -ENOMEM;
	msg_set_int(m, "version", VERSION);
	msg_set(m, "role", "vigiad");
	msg_set(m, "name", p->core->name);
	frame_put_msg(stream_out(p->stream), FRAME_HELLO, 0, m);
	msg_free(m);
	p->greeted = true;
	return 0;
}

static int on_hello(struct peer *p, const struct frame *f)
{
	struct msg *m;
	const char *why;
	int64_t version;
	int r = frame_get_msg(f, &m, &why);
	if (r == -EPROTO)
		return peer_refuse(p, "bad-frame", "hello: %s", why);
	if (r)
		return r;
	r = msg_get_int(m, "version", &version) || version < 1;
	p->framed->host = msg_field(m, "host") || msg_field(m, "id");
	msg_free(m);
	if (p->framed->host)
		return -ECANCELED;
	if (p->protocol != PROTOCOL_JOIN && !secure_may_be(p, "client"))
		return peer_refuse(p, "bad-role", "your certificate is not a client's");
	if (r)
		return peer_refuse(p, "bad-version", "a hello needs a version from 1; this side speaks %d", VERSION);
	p->framed->met = true;
	p->asker.role = p->protocol == PROTOCOL_JOIN ? "newcomer" : "client";
	p->asker.roles = p->protocol == PROTOCOL_JOIN ? ROLE_NEWCOMER : ROLE_CLIENT;
	peer_registered(p);
	return greet(p);
}

static int on_query(struct peer *p, const struct frame *f)
{
	struct frame_route route;
	struct msg *m;
	const char *why;
	if (!f->number || f->number > INT64_MAX)
		return peer_refuse(p, "bad-frame", "a query needs a number from 1 to 2^63-1");
	if (asker_has_call(&p->asker, (int64_t)f->number))
		return peer_refuse(p, "bad-frame", "query %llu is still under way", (unsigned long long)f->number);
	int r = frame_get_query(f, &route, &m, &why);
	if (r == -EPROTO)
		return peer_refuse(p, "bad-frame", "query %llu: %s", (unsigned long long)f->number, why);
	if (r)
		return r;
	struct asked asked = {.id = (int64_t)f->number, .one_way = f->flags & FRAME_ONE_WAY, .to = route.to,
	    .deadline_ms = route.deadline_ms};
	dispatch(&p->asker, &asked, m);
	return 0;
}

/* From a program that offers services: what it was asked. */
static int on_answer(struct peer *p, const struct frame *f)
{
	if (!p->relay || relay_take(p->relay, f))
		return peer_refuse(p, "bad-frame", "frame of kind %d: nothing was asked here", (int)f->kind);
	return 0;
}

static int on_event(struct peer *p, const struct frame *f)
{
	const char *why;
	if (!(f->number >> 62)) /* no channel's: of a query */
		return on_answer(p, f);
	int r = channels_put_frame(&p->asker, f, &why);
	if (!r)
		return 0;
	if (r == -EPERM)
		audited_refusal(&p->asker, "channel.put", "not-permitted", why);
	if (peer_may_send(p))
		encode_error(stream_out(p->stream), 0, "event", why);
	return 0;
}

static int on_cancel(struct peer *p, const struct frame *f)
{
	asker_cancel(&p->asker, (int64_t)f->number);
	return 0;
}

static int (*const takes[])(struct peer *p, const struct frame *f) = {
    [FRAME_HELLO] = on_hello,
    [FRAME_QUERY] = on_query,
    [FRAME_ANSWER] = on_answer,
    [FRAME_PARTIAL] = on_answer,
    [FRAME_END] = on_answer,
    [FRAME_ERROR] = on_answer,
    [FRAME_EVENT_KIND] = on_event,
    [FRAME_LOST] = on_answer,
    [FRAME_CANCEL] = on_cancel,
};

static int on_frame(void *data, const struct frame *f)
{
	struct peer *p = data;
	p->core->figures.stanzas++;
	if ((f->kind == FRAME_HELLO) == p->framed->met)
		return peer_refuse(p, "bad-frame", p->framed->met ? "a second hello" : "the first frame must be a hello");
	if ((size_t)f->kind >= sizeof takes / sizeof *takes || !takes[f->kind])
		return peer_refuse(p, "bad-frame", "frame of kind %d: nothing was asked here", (int)f->kind);
	int r = takes[f->kind](p, f);
	return p->closing ? -EPROTO : r;
}

/* Returns how many of the bytes it took; fewer than there are only when it is whole or wrong. */
static size_t take_preface(struct peer *p, const char *bytes, size_t n)
{
	struct framed *f = p->framed;
	size_t at = 0;
	while (at < n && f->preface < FRAME_PREFACE_SIZE && bytes[at] == FRAME_PREFACE[f->preface]) {
		f->preface++;
		at++;
	}
	if (at < n && f->preface < FRAME_PREFACE_SIZE)
		peer_refuse(p, "bad-frame", "byte %zu is not of the preface of frames, version 1", f->preface + 1);
	return at;
}

/* Another daemon: it is the platform's. */
static void hand_over(struct peer *p)
{
	struct core *core = p->core;
	struct buf first = p->framed->first;
	p->framed->first = (struct buf)BUF_INIT;
	if (p->asker.uid != (uid_t)-1) {
		buf_release(&first);
		peer_refuse(p, "not-permitted", "hosts come by network");
		return;
	}
	links_accepted(core, peer_let_go(p), first.data, first.len);
	buf_release(&first);
}

static void data(struct peer *p, char *bytes, size_t n)
{
	if (!p->framed->met)
		buf_put(&p->framed->first, bytes, n);
	size_t begin = take_preface(p, bytes, n);
	if (p->closing || begin == n)
		return;
	struct frame_cutter *c = &p->framed->cutter;
	int r = frame_cut(c, bytes + begin, n - begin, on_frame, p);
	if (p->framed->met)
		buf_release(&p->framed->first);
	else if (!r && !p->closing && (p->framed->first.failed || p->framed->first.len > FIRST_MAX))
		peer_refuse(p, "bad-frame", "no hello within %d bytes", FIRST_MAX);
	if (!r || p->closing)
		return;
	if (p->framed->host)
		hand_over(p);
	else if (c->why)
		peer_refuse(p, "bad-frame", "at byte %llu: %s", (unsigned long long)(c->at + FRAME_PREFACE_SIZE), c->why);
	else
		peer_refuse(p, "failed", "what came could not be taken: %s", strerror(-r));
}

/* --- as a speech --- */

static int begin(struct peer *p)
{
	p->framed = calloc(1, sizeof *p->framed);
	return p->framed ? 0 : -ENOMEM;
}

static void release(struct peer *p)
{
	free(p->relay);
	frame_cutter_release(&p->framed->cutter);
	buf_release(&p->framed->first);
	free(p->framed);
}

const struct speech speech_frames = {.asker = &frames_asker, .begin = begin, .data = data, .error = last_error,
    .last_error = last_error, .bye = bye, .release = release};
