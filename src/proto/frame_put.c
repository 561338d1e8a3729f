/* SPDX-License-Identifier: Apache-2.0 */
/* Messages and queries, written. */
#include "proto/frame.h"

#include <errno.h>
#include <string.h>

#include "proto/cbor.h"
#include "proto/chars.h"

enum { PARTS = 4 }; /* of a message: name, fields, text, children */

/* --- writing a message --- */

struct writer {
	struct buf *out;
	size_t begin, items;
	int error;
};

static void refuse(struct writer *w, int error)
{
	if (!w->error)
		w->error = error;
}

static void put_name(struct writer *w, const char *name)
{
	size_t n = strlen(name);
	if (n > FRAME_NAME_MAX || !chars_are_name(name, n))
		refuse(w, -EINVAL);
	else
		cbor_put_text(w->out, name, n);
}

static void put_text(struct writer *w, const struct msg_field *f)
{
	cbor_put_text(w->out, f->text, f->n);
}

static void put_int(struct writer *w, const struct msg_field *f)
{
	cbor_put_int(w->out, f->number);
}

static void put_flag(struct writer *w, const struct msg_field *f)
{
	cbor_put_flag(w->out, f->number);
}

static void put_bytes(struct writer *w, const struct msg_field *f)
{
	cbor_put_bytes(w->out, f->bytes, f->n);
}

static void (*const put_value[])(struct writer *w, const struct msg_field *f) = {
    [MSG_TEXT] = put_text, [MSG_INT] = put_int, [MSG_FLAG] = put_flag, [MSG_BYTES] = put_bytes};

/* So that a message far too large is given up before it is written in full. */
static bool too_large(const struct writer *w)
{
	return w->items > FRAME_ITEMS_MAX || w->out->len - w->begin > FRAME_HEADER + FRAME_PAYLOAD_MAX;
}

static bool stands_before(const struct msg *m, const struct msg_field *f)
{
	for (const struct msg_field *g = m->fields; g != f; g = g->next)
		if (*g->name == *f->name && !strcmp(g->name, f->name))
			return true;
	return false;
}

static void put_fields(struct writer *w, const struct msg *m)
{
	size_t n = 0;
	for (const struct msg_field *f = m->fields; f; f = f->next)
		n++;
	w->items += n;
	if (n > FRAME_FIELDS_MAX || too_large(w)) {
		refuse(w, -EMSGSIZE);
		return;
	}
	cbor_put_map(w->out, n);
	for (const struct msg_field *f = m->fields; f; f = f->next) {
		if (stands_before(m, f))
			refuse(w, -EINVAL);
		put_name(w, f->name);
		put_value[f->type](w, f);
	}
}

static size_t parts_of(const struct msg *m)
{
	return m->children ? PARTS : *m->text ? 3 : m->fields ? 2 : 1;
}

static void put_message(struct writer *w, const struct msg *m, int level);

static void put_children(struct writer *w, const struct msg *m, int level)
{
	size_t n = 0;
	for (const struct msg *c = m->children; c; c = c->next)
		n++;
	if (level == FRAME_DEPTH_MAX)
		refuse(w, -EMSGSIZE);
	cbor_put_array(w->out, n);
	for (const struct msg *c = m->children; c && !w->error; c = c->next)
		put_message(w, c, level + 1);
}

static void put_message(struct writer *w, const struct msg *m, int level)
{
	size_t parts = parts_of(m);
	w->items++;
	cbor_put_array(w->out, parts);
	put_name(w, m->name);
	if (parts > 1)
		put_fields(w, m);
	if (parts > 2)
		cbor_put_text(w->out, m->text, strlen(m->text));
	if (too_large(w))
		refuse(w, -EMSGSIZE);
	if (parts > 3)
		put_children(w, m, level);
}

/* The frame's end, after what stands before the message. */
static int put_rest(struct buf *out, size_t begin, const struct msg *m)
{
	struct writer w = {.out = out, .begin = begin};
	if (msg_failed(m))
		w.error = -ENOMEM;
	else
		put_message(&w, m, 0);
	if (!w.error || out->failed)
		return frame_end(out, begin);
	out->len = begin;
	return w.error;
}

int frame_put_msg(struct buf *out, enum frame_kind kind, uint64_t number, const struct msg *m)
{
	size_t begin = frame_begin(out, kind, 0, number);
	return put_rest(out, begin, m);
}

/* --- writing a query --- */

static void put_caller(struct buf *out, const struct frame_caller *c)
{
	cbor_put_array(out, 3);
	cbor_put_bytes(out, c->host.bytes, sizeof c->host.bytes);
	cbor_put_int(out, c->uid);
	cbor_put_int(out, c->pid);
}

static void put_route(struct buf *out, const struct frame_route *r)
{
	size_t to = strnlen(r->to, sizeof r->to - 1);
	size_t parts = r->caller.given ? 3 : r->deadline_ms ? 2 : to ? 1 : 0;
	cbor_put_array(out, parts);
	if (parts > 0)
		cbor_put_text(out, r->to, to);
	if (parts > 1)
		cbor_put_int(out, r->deadline_ms);
	if (parts > 2)
		put_caller(out, &r->caller);
}

int frame_put_query(
    struct buf *out, unsigned flags, uint64_t number, const struct frame_route *route, const struct msg *m)
{
	if (route->deadline_ms < 0)
		return -EINVAL;
	size_t begin = frame_begin(out, FRAME_QUERY, flags, number);
	put_route(out, route);
	return put_rest(out, begin, m);
}

int frame_put_query_bytes(struct buf *out, unsigned flags, uint64_t number, const struct frame_route *route,
    const void *message, size_t n)
{
	if (route->deadline_ms < 0)
		return -EINVAL;
	if (n > FRAME_PAYLOAD_MAX)
		return -EMSGSIZE;
	size_t begin = frame_begin(out, FRAME_QUERY, flags, number);
	put_route(out, route);
	buf_put(out, message, n);
	return frame_end(out, begin);
}
