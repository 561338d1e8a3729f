/* SPDX-License-Identifier: Apache-2.0 */
/* HMON's XML on a connection. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/core.h"
#include "core/secure.h"
#include "core/speech.h"
#include "proto/frame.h"

enum { VERSION = 1, BEAT = 0x16 };

/* --- sending --- */

static void send_stanza(struct peer *p, const struct msg *m)
{
	if (peer_may_send(p))
		xml_put(stream_out(p->stream), m);
}

void peer_send(struct peer *p, struct msg *m)
{
	if (m)
		send_stanza(p, m);
	msg_free(m);
}

void peer_send_row(struct peer *p, const struct xml_row *row)
{
	if (peer_may_send(p))
		xml_put_row(stream_out(p->stream), row);
}

static struct msg *error_stanza(const char *code, const char *text)
{
	struct msg *m = msg_new("error");
	if (m) {
		msg_set(m, "code", code);
		msg_text(m, text, strlen(text));
	}
	return m;
}

static void put_root(struct buf *out, const struct core *core)
{
	struct msg *m = msg_new("hmon");
	if (!m)
		return;
	msg_set_int(m, "version", VERSION);
	msg_set(m, "role", "vigiad");
	msg_set(m, "name", core->name);
	xml_put_open(out, m);
	msg_free(m);
}

static void greet_back(struct peer *p)
{
	put_root(stream_out(p->stream), p->core);
	p->greeted = true;
}

void speech_put_refusal(struct buf *out, const struct core *core, const char *code, const char *text)
{
	struct msg *m = error_stanza(code, text);
	put_root(out, core);
	if (m)
		xml_put(out, m);
	xml_put_close(out);
	msg_free(m);
}

static void error(struct peer *p, const char *code, const char *text)
{
	peer_send(p, error_stanza(code, text));
}

static void last_error(struct peer *p, const char *code, const char *text)
{
	if (!p->greeted)
		greet_back(p);
	error(p, code, text);
}

static void bye(struct peer *p)
{
	if (p->greeted)
		xml_put_close(stream_out(p->stream));
}

/* --- asking in XML --- */

static void answer(struct call *c, const struct msg *m)
{
	send_stanza(c->peer, m);
}

static void over(struct call *c, const char *code, const char *text)
{
	struct msg *m = call_answer(c, code ? "error" : "end");
	if (m && code) {
		msg_set(m, "code", code);
		msg_text(m, text, strlen(text));
	}
	peer_send(c->peer, m);
}

static void encode(struct buf *out, int64_t id, const struct msg *m)
{
	xml_put(out, m);
}

/* A stanza ends with its line. */
static size_t cut(const char *bytes, size_t n, size_t most)
{
	const char *end = n > most ? memrchr(bytes, '\n', most) : NULL;
	if (n > most && !end)
		end = memchr(bytes + most, '\n', n - most);
	return end ? (size_t)(end + 1 - bytes) : n;
}

static void put(struct call *c, const char *bytes, size_t n)
{
	buf_put(peer_out(c->peer), bytes, n);
}

static size_t pending(const struct asker *a)
{
	return stream_pending(a->peer->stream);
}

static void put_event(struct peer *p, int64_t id, const struct frame *f)
{
	struct frame_event e;
	uint64_t lost, before;
	struct msg *m = call_answer_to(p->asker.type, id, f->kind == FRAME_LOST ? "lost" : "event");
	if (m && f->kind == FRAME_LOST && !frame_get_lost(f, &lost, &before)) {
		msg_set_int(m, "events", (int64_t)lost);
		msg_set_int(m, "before", (int64_t)before);
	} else if (m && !frame_get_event(f, &e)) {
		char sender[ENTITY_ID_TEXT];
		entity_id_format(&e.sender, sender);
		msg_set_int(m, "sequence", (int64_t)e.sequence);
		msg_set_int(m, "time", e.time_ns);
		msg_set_int(m, "tag", e.tag);
		msg_set(m, "sender", sender);
		msg_set_bytes(m, "data", e.data, e.n);
	}
	peer_send(p, m);
}

static int on_own_frame(void *data, const struct frame *f)
{
	struct call *c = data;
	put_event(c->peer, c->id, f);
	return 0;
}

static void frames(struct call *c, const struct buf *frames)
{
	struct frame_cutter cutter = {0};
	frame_cut(&cutter, frames->data, frames->len, on_own_frame, c);
	frame_cutter_release(&cutter);
}

static void want(struct asker *a)
{
	stream_want_drained(a->peer->stream);
}

static void too_many(struct asker *a, enum limit reached)
{
	peer_refuse_limit(a->peer, reached);
}

static const struct asker_type xml_asker = {.answer = answer, .over = over, .encode = encode, .cut = cut, .put = put,
    .frames = frames, .want = want, .pending = pending, .too_many = too_many, .number_in_answer = true};

/* A call may outlive the parser's stanza. */
static void take_query(struct peer *p, int64_t id, const struct msg *query)
{
	struct msg *copy = msg_dup(query);
	if (copy)
		dispatch(&p->asker, &(struct asked){.id = id, .to = msg_get(copy, "at", "")}, copy);
	else
		peer_error(p, "failed", "no memory");
}

static void on_query(struct peer *p, const struct msg *query)
{
	int64_t id;
	if (msg_get_int(query, "id", &id) || id < 1 || id > INT32_MAX)
		peer_error(p, "bad-stanza", "<%.40s>: a query needs an id from 1 to 2147483647", query->name);
	else if (asker_has_call(&p->asker, id))
		peer_error(p, "bad-stanza", "query %lld is still under way", (long long)id);
	else
		take_query(p, id, query);
}

/* --- receiving --- */

void peer_take_role(struct peer *p, const struct role *role)
{
	p->role = role;
	p->asker.role = role->name;
	p->asker.roles = role->bit;
}

static const struct role *find_role(const struct core *core, const char *name)
{
	for (const struct service *const *s = core->services; *s; s++)
		for (const struct role *const *r = (*s)->roles; r && *r; r++)
			if (!strcmp((*r)->name, name))
				return *r;
	return NULL;
}

static int refuse_role(struct peer *p, const char *name)
{
	const struct service *s = core_left_out_role(p->core, name);
	if (s)
		return peer_refuse(p, "bad-role", "role \"%.40s\": " NOT_CHOSEN, name, s->name);
	return peer_refuse(p, "bad-role", "role \"%.40s\" is not monitor, node or client", name);
}

static int on_open(void *data, const struct msg *hmon)
{
	struct peer *p = data;
	int64_t version;
	if (msg_get_int(hmon, "version", &version) || version < 1)
		return peer_refuse(p, "bad-version", "<hmon> needs a version from 1; this side speaks %d", VERSION);
	if (p->dialled) {
		if (version > VERSION)
			return peer_refuse(p, "bad-version", "this side speaks version %d", VERSION);
		return p->role->opened ? p->role->opened(p, hmon) : 0;
	}
	const char *name = msg_get(hmon, "role", "");
	const struct role *role = find_role(p->core, name);
	if (!role)
		return refuse_role(p, name);
	if (!secure_may_be(p, name))
		return peer_refuse(p, "bad-role", "role \"%.40s\" is not what your certificate says", name);
	peer_take_role(p, role);
	if (!p->greeted)
		greet_back(p);
	return p->role->opened ? p->role->opened(p, hmon) : 0;
}

static int on_beat(struct peer *p, const struct msg *beat)
{
	int64_t n;
	if (msg_get_int(beat, "n", &n)) {
		if (p->role->stanza)
			return p->role->stanza(p, beat);
		return 0;
	}
	struct msg *m = msg_new("beat");
	if (m)
		msg_set_int(m, "answer", n);
	peer_send(p, m);
	return p->closing ? -EPROTO : 0;
}

static int on_stanza(void *data, const struct msg *m)
{
	struct peer *p = data;
	int r = 0;
	p->core->figures.stanzas++;
	if (!strcmp(m->name, "beat"))
		r = on_beat(p, m);
	else if (msg_field(m, "query"))
		on_query(p, m);
	else if (msg_field(m, "answer"))
		r = p->role->answer ? p->role->answer(p, m) : 0;
	else if (p->role->stanza)
		r = p->role->stanza(p, m);
	else if (strcmp(m->name, "error"))
		peer_error(p, "bad-stanza", "<%.40s>: a %s asks queries, this is none", m->name, p->role->name);
	return p->closing ? -EPROTO : r;
}

static int on_row(void *data, const struct xml_row *row)
{
	struct peer *p = data;
	p->core->figures.rows++;
	if (!p->role->row)
		return peer_refuse(p, "bad-stanza", "<monitor>: a %s sends no values", p->role->name);
	int r = p->role->row(p, row);
	return p->closing ? -EPROTO : r;
}

static int on_close(void *data)
{
	struct peer *p = data;
	peer_gone(p, 0, "said good-bye");
	peer_leave(p);
	return -EPROTO;
}

static const struct xml_sink sink = {on_open, on_stanza, on_row, on_close};


/* --- as a speech --- */

static int begin(struct peer *p)
{
	p->xml = xml_new(&sink, p);
	return p->xml ? 0 : -ENOMEM;
}

static size_t strip_beats(char *bytes, size_t n)
{
	char *to = memchr(bytes, BEAT, n);
	if (!to)
		return n;
	for (char *from = to; from < bytes + n; from++)
		if (*from != BEAT)
			*to++ = *from;
	return (size_t)(to - bytes);
}

static void data(struct peer *p, char *bytes, size_t n)
{
	if (p->role && p->role->heard)
		p->role->heard(p);
	size_t left = strip_beats(bytes, n);
	if (left < n && !p->closing && p->role && p->role->stray)
		p->role->stray(p);
	if (p->closing)
		return;
	int r = xml_feed(p->xml, bytes, left);
	if (!r || p->closing)
		return;
	if (r == -EPROTO)
		peer_refuse(p, "bad-xml", "%s", *xml_why(p->xml) ? xml_why(p->xml) : "refused");
	else
		peer_refuse(p, "failed", "what came could not be taken: %s", strerror(-r));
}

static void release(struct peer *p)
{
	xml_free(p->xml);
}

const struct speech speech_xml = {.asker = &xml_asker, .begin = begin, .data = data, .error = error,
    .last_error = last_error, .bye = bye, .release = release};
