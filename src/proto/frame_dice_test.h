/* SPDX-License-Identifier: Apache-2.0 */
/* Random messages, routes and events, the same on every machine for a seed (base/dice_test.h). */
#ifndef VIGIA_PROTO_FRAME_DICE_TEST_H
#define VIGIA_PROTO_FRAME_DICE_TEST_H

#include <string.h>

#include "base/dice_test.h"
#include "proto/frame.h"

static inline void dice_bytes(void *to, size_t n)
{
	for (size_t i = 0; i < n; i++)
		((uint8_t *)to)[i] = (uint8_t)dice();
}

/* Mostly short, now and then at a limit of CBOR's widths, never beyond `max`. */
static inline size_t dice_size(size_t max)
{
	static const size_t limits[] = {0, 1, 23, 24, 255, 256, 65535, 65536};
	size_t n = dice_below(40) ? dice_below(20) : limits[dice_below(8)];
	return n < max ? n : max;
}

/* 1 to 255 characters and the end; `mark` makes it another name than those with another mark. */
static inline const char *dice_name(char to[FRAME_NAME_MAX + 1], size_t mark)
{
	static const char first[] = "abcxyzABZ_", rest[] = "abcxyzABZ_019-.";
	size_t n = dice_below(50) ? 4 + dice_below(8) : FRAME_NAME_MAX;
	to[0] = first[dice_below(sizeof first - 1)];
	for (size_t i = 1; i < n; i++)
		to[i] = rest[dice_below(sizeof rest - 1)];
	to[n - 2] = (char)('a' + mark / 26);
	to[n - 1] = (char)('a' + mark % 26);
	to[n] = '\0';
	return to;
}

static inline size_t dice_text(char *to, size_t max)
{
	static const char *const characters[] = {"a", "b", "~", "\x7f", " ", "<", "\"", "\t", "\n", "\r",
	    "\xc2\x80", "\xc3\xa9", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xee\x80\x80",
	    "\xef\xbf\xbd", "\xf0\x90\x80\x80", "\xf0\x9f\x98\x80", "\xf4\x8f\xbf\xbf"};
	size_t wanted = dice_size(max), n = 0;
	while (n < wanted) {
		const char *c =
		    characters[dice_below(2) ? 0 : dice_below(sizeof characters / sizeof *characters)];
		size_t length = strlen(c);
		if (n + length > wanted)
			c = "a", length = 1;
		memcpy(to + n, c, length);
		n += length;
	}
	return n;
}

static inline void dice_field(struct msg *m, size_t mark)
{
	static char text[65536];
	char name[FRAME_NAME_MAX + 1];
	size_t n = dice_text(text, sizeof text);
	dice_name(name, mark);
	switch (dice_below(4)) {
	case 0:
		msg_set_int(m, name, dice_number());
		break;
	case 1:
		msg_set_flag(m, name, dice_below(2));
		break;
	case 2:
		dice_bytes(text, n);
		msg_set_bytes(m, name, text, n);
		break;
	default:
		msg_set_n(m, name, text, n);
	}
}

static inline void dice_parts(struct msg *m, int level)
{
	static char text[65536];
	char name[FRAME_NAME_MAX + 1];
	size_t fields = dice_below(30) ? dice_below(6) : FRAME_FIELDS_MAX;
	size_t children = level == FRAME_DEPTH_MAX || dice_below(2) ? 0 : dice_below(4);
	for (size_t i = 0; i < fields; i++)
		dice_field(m, i);
	if (!dice_below(3)) {
		size_t n = dice_text(text, sizeof text);
		msg_text(m, text, n);
	}
	for (size_t i = 0; i < children; i++) {
		dice_name(name, i);
		dice_parts(msg_child(m, name), level + 1);
	}
}

static inline struct msg *dice_message(void)
{
	char name[FRAME_NAME_MAX + 1];
	struct msg *m = msg_new(dice_name(name, 0));
	dice_parts(m, 0);
	return m;
}

static inline void dice_route(struct frame_route *r)
{
	*r = (struct frame_route){0};
	if (dice_below(2)) {
		size_t n = dice_text(r->to, sizeof r->to - 1);
		r->to[n] = '\0';
	}
	if (dice_below(2))
		r->deadline_ms = dice_number() & INT64_MAX;
	if (dice_below(2))
		return;
	dice_bytes(r->caller.host.bytes, sizeof r->caller.host.bytes);
	r->caller.uid = (uint32_t)dice_number();
	r->caller.pid = (uint32_t)dice_number();
	r->caller.given = true;
}

/* Its data is there until the next. */
static inline void dice_event(struct frame_event *e)
{
	static uint8_t data[65536];
	*e = (struct frame_event){.data = data, .n = dice_size(sizeof data)};
	e->sequence = dice();
	e->time_ns = dice_number();
	e->tag = (uint32_t)dice();
	dice_bytes(e->sender.host.bytes, sizeof e->sender.host.bytes);
	e->sender.process = (uint32_t)dice();
	e->sender.entity = dice();
	e->causes_n = dice_below(3) ? 0 : dice_below(FRAME_CAUSES_MAX + 1);
	for (size_t i = 0; i < e->causes_n; i++) {
		dice_bytes(e->causes[i].channel.host.bytes, sizeof e->causes[i].channel.host.bytes);
		e->causes[i].channel.number = dice();
		e->causes[i].sequence = dice();
	}
	dice_bytes(data, e->n);
}

/* --- are they the same? --- */

static inline bool same_field(const struct msg_field *a, const struct msg_field *b)
{
	if (strcmp(a->name, b->name) || a->type != b->type)
		return false;
	if (a->type == MSG_INT || a->type == MSG_FLAG)
		return a->number == b->number;
	return a->n == b->n && !memcmp(a->bytes, b->bytes, a->n);
}

static inline bool same_message(const struct msg *a, const struct msg *b)
{
	const struct msg_field *f = a->fields, *g = b->fields;
	const struct msg *c = a->children, *d = b->children;
	if (strcmp(a->name, b->name) || strcmp(a->text, b->text))
		return false;
	for (; f && g; f = f->next, g = g->next)
		if (!same_field(f, g))
			return false;
	for (; c && d; c = c->next, d = d->next)
		if (!same_message(c, d))
			return false;
	return !f && !g && !c && !d;
}

#endif
