/* SPDX-License-Identifier: Apache-2.0 */
/* Messages and queries, read. */
#include "proto/frame.h"

#include <errno.h>
#include <string.h>

#include "proto/cbor.h"
#include "proto/chars.h"

enum { PARTS = 4 }; /* of a message: name, fields, text, children */

/* --- reading a message, or only looking whether it can be read (the msg is NULL then) --- */

struct name {
	const char *s;
	size_t n;
};

struct reader {
	struct cbor_reader cbor;
	size_t items;
};

static struct name read_name(struct cbor_reader *r, char copy[FRAME_NAME_MAX + 1])
{
	struct name name;
	size_t begin = r->at;
	name.s = cbor_text(r, FRAME_NAME_MAX, &name.n);
	if (!r->why && !chars_are_name(name.s, name.n)) {
		r->at = begin;
		cbor_fail(r, "a name that is not letters, digits, _, - and .");
	}
	memcpy(copy, name.s, name.n);
	copy[name.n] = '\0';
	return name;
}

static void read_text(struct cbor_reader *r, struct msg *m, const char *name)
{
	size_t n;
	const char *s = cbor_text(r, FRAME_PAYLOAD_MAX, &n);
	if (m)
		msg_set_n(m, name, s, n);
}

static void read_bytes(struct cbor_reader *r, struct msg *m, const char *name)
{
	size_t n;
	const uint8_t *bytes = cbor_bytes(r, FRAME_PAYLOAD_MAX, &n);
	if (m)
		msg_set_bytes(m, name, bytes, n);
}

static void read_flag(struct cbor_reader *r, struct msg *m, const char *name)
{
	bool flag = cbor_flag(r);
	if (m)
		msg_set_flag(m, name, flag);
}

/* Also what frames do not have: it says why. */
static void read_int(struct cbor_reader *r, struct msg *m, const char *name)
{
	int64_t n = cbor_int(r);
	if (m)
		msg_set_int(m, name, n);
}

static void read_list(struct cbor_reader *r, struct msg *m, const char *name)
{
	cbor_fail(r, "a field that is an array or a map");
}

static void (*const read_value[])(struct cbor_reader *r, struct msg *m, const char *name) = {
    [CBOR_INT] = read_int,
    [CBOR_FLAG] = read_flag,
    [CBOR_TEXT] = read_text,
    [CBOR_BYTES] = read_bytes,
    [CBOR_ARRAY] = read_list,
    [CBOR_MAP] = read_list,
    [CBOR_BAD] = read_int};

static bool among(const struct name *names, size_t n, const struct name *name)
{
	for (size_t i = 0; i < n; i++)
		if (names[i].n == name->n && !memcmp(names[i].s, name->s, name->n))
			return true;
	return false;
}

static void read_fields(struct reader *r, struct msg *m)
{
	struct name names[FRAME_FIELDS_MAX];
	char name[FRAME_NAME_MAX + 1];
	size_t n = cbor_map(&r->cbor, FRAME_FIELDS_MAX);
	r->items += n;
	for (size_t i = 0; i < n && !r->cbor.why; i++) {
		names[i] = read_name(&r->cbor, name);
		if (among(names, i, &names[i]))
			cbor_fail(&r->cbor, "a field that is there twice");
		read_value[cbor_peek(&r->cbor)](&r->cbor, m, name);
	}
}

static void read_own_text(struct cbor_reader *r, struct msg *m)
{
	size_t n;
	const char *s = cbor_text(r, FRAME_PAYLOAD_MAX, &n);
	if (m && n)
		msg_text(m, s, n);
}

/* How many parts it has; the name is one. */
static size_t read_begin(struct reader *r, char name[FRAME_NAME_MAX + 1])
{
	size_t begin = r->cbor.at, parts = cbor_array(&r->cbor, PARTS);
	if (!r->cbor.why && !parts) {
		r->cbor.at = begin;
		cbor_fail(&r->cbor, "a message without a name");
	}
	read_name(&r->cbor, name);
	if (++r->items > FRAME_ITEMS_MAX)
		cbor_fail(&r->cbor, "more than 65536 fields and messages");
	return parts;
}

static void read_parts(struct reader *r, struct msg *m, size_t parts, int level);

static void read_children(struct reader *r, struct msg *m, int level)
{
	char name[FRAME_NAME_MAX + 1];
	size_t n = cbor_array(&r->cbor, FRAME_ITEMS_MAX);
	if (n && level == FRAME_DEPTH_MAX)
		cbor_fail(&r->cbor, "a message more than 4 levels deep");
	for (size_t i = 0; i < n && !r->cbor.why; i++) {
		size_t parts = read_begin(r, name);
		if (!r->cbor.why)
			read_parts(r, m ? msg_child(m, name) : NULL, parts, level + 1);
	}
}

static void read_parts(struct reader *r, struct msg *m, size_t parts, int level)
{
	if (parts > 1)
		read_fields(r, m);
	if (parts > 2)
		read_own_text(&r->cbor, m);
	if (parts > 3)
		read_children(r, m, level);
}

/* To the end of the payload. `ret` NULL: it is only looked at. */
static int read_message(struct reader *r, struct msg **ret, const char **ret_why)
{
	char name[FRAME_NAME_MAX + 1];
	size_t parts = read_begin(r, name);
	struct msg *m = ret && !r->cbor.why ? msg_new(name) : NULL;
	if (ret && !r->cbor.why && !m)
		return -ENOMEM;
	read_parts(r, m, parts, 0);
	if (r->items > FRAME_ITEMS_MAX)
		cbor_fail(&r->cbor, "more than 65536 fields and messages");
	if (r->cbor.at < r->cbor.n)
		cbor_fail(&r->cbor, "bytes after the message");
	int error = m && msg_failed(m) ? -ENOMEM : r->cbor.why ? -EPROTO : 0;
	if (error)
		msg_free(m);
	else if (ret)
		*ret = m;
	if (error == -EPROTO)
		*ret_why = r->cbor.why;
	return error;
}

int frame_get_msg(const struct frame *f, struct msg **ret, const char **ret_why)
{
	struct reader r = {.cbor = {.bytes = f->payload, .n = f->n}};
	return read_message(&r, ret, ret_why);
}

/* --- reading a query --- */

static void read_caller(struct cbor_reader *r, struct frame_caller *ret)
{
	size_t begin = r->at, n = 0;
	bool three = cbor_array(r, 3) == 3;
	const uint8_t *host = cbor_bytes(r, sizeof ret->host.bytes, &n);
	int64_t uid = cbor_int(r), pid = cbor_int(r);
	if (!r->why &&
	    (!three || n != sizeof ret->host.bytes || uid != (uint32_t)uid || pid != (uint32_t)pid)) {
		r->at = begin;
		cbor_fail(r, "a caller that is not a host's 16 bytes, a uid and a pid");
	}
	if (r->why)
		return;
	memcpy(ret->host.bytes, host, n);
	ret->uid = (uint32_t)uid;
	ret->pid = (uint32_t)pid;
	ret->given = true;
}

static void read_route(struct cbor_reader *r, struct frame_route *ret)
{
	*ret = (struct frame_route){0};
	size_t parts = cbor_array(r, 3), n = 0;
	const char *to = parts ? cbor_text(r, sizeof ret->to - 1, &n) : "";
	memcpy(ret->to, to, n);
	if (parts > 1 && (ret->deadline_ms = cbor_int(r)) < 0)
		cbor_fail(r, "a deadline below 0");
	if (parts > 2)
		read_caller(r, &ret->caller);
}

static int read_query(const struct frame *f, struct frame_route *ret_route, struct msg **ret,
    size_t *ret_message, const char **ret_why)
{
	struct reader r = {.cbor = {.bytes = f->payload, .n = f->n}};
	struct frame_route route;
	read_route(&r.cbor, &route);
	size_t message = r.cbor.at;
	int error = read_message(&r, ret, ret_why);
	if (error)
		return error;
	*ret_route = route;
	*ret_message = message;
	return 0;
}

int frame_get_query(
    const struct frame *f, struct frame_route *ret_route, struct msg **ret, const char **ret_why)
{
	size_t message;
	return read_query(f, ret_route, ret, &message, ret_why);
}

int frame_get_route(
    const struct frame *f, struct frame_route *ret_route, size_t *ret_message, const char **ret_why)
{
	return read_query(f, ret_route, NULL, ret_message, ret_why);
}
