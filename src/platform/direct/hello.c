/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/direct/hello.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "platform/pair.h"
#include "proto/msg.h"

/* Frees m. */
static int put_msg(struct buf *out, enum frame_kind kind, struct msg *m)
{
	int r = m && !msg_failed(m) ? frame_put_msg(out, kind, 0, m) : -ENOMEM;
	msg_free(m);
	return r;
}

static void set_id(struct msg *m, const char *field, const struct host_id *id)
{
	char text[HOST_ID_TEXT];
	host_id_format(id, text);
	msg_set(m, field, text);
}

int hello_put(struct buf *out, const struct hello *h)
{
	struct msg *m = msg_new("hello");
	if (!m)
		return -ENOMEM;
	set_id(m, "id", &h->id);
	if (!host_id_is_none(&h->to))
		set_id(m, "to", &h->to);
	msg_set(m, "name", h->name);
	msg_set_int(m, "version", HELLO_VERSION);
	msg_set(m, "role", "vigiad");
	msg_set_int(m, "boot", (int64_t)h->boot);
	msg_set_int(m, "era", (int64_t)h->era);
	if (h->keep)
		msg_set_flag(m, "keep", true);
	return put_msg(out, FRAME_HELLO, m);
}

static const char *read_hello(const struct msg *m, struct hello *ret)
{
	int64_t version = 0, boot = 0, era = -1;
	const char *name = msg_get(m, "name", ""), *to = msg_get(m, "to", "");
	if (strcmp(m->name, "hello"))
		return "no hello";
	if (msg_get_int(m, "version", &version) || version < HELLO_VERSION)
		return "a hello needs a version from 1";
	if (host_id_parse(msg_get(m, "id", ""), &ret->id) || host_id_is_none(&ret->id))
		return "a hello without a host's id";
	if (*to && host_id_parse(to, &ret->to))
		return "a hello to what is no host's id";
	if (!*name || strlen(name) >= sizeof ret->name)
		return "a hello whose name has not 1 to 63 bytes";
	if (msg_get_int(m, "boot", &boot) || boot <= 0)
		return "a hello whose boot is no positive number";
	if (msg_get_int(m, "era", &era) || era < 0 || era > PAIR_ERA_MAX)
		return "a hello whose era is no number";
	strcpy(ret->name, name);
	ret->boot = (uint64_t)boot;
	ret->era = (uint64_t)era;
	ret->keep = msg_get_flag(m, "keep");
	return NULL;
}

int hello_get(const struct frame *f, struct hello *ret, const char **ret_why)
{
	struct msg *m;
	struct hello h = {0};
	int r = frame_get_msg(f, &m, ret_why);
	if (r)
		return r;
	const char *why = read_hello(m, &h);
	msg_free(m);
	if (why) {
		*ret_why = why;
		return -EPROTO;
	}
	*ret = h;
	return 0;
}

int farewell_put(struct buf *out, const char *code, const char *why)
{
	struct msg *m = msg_new("error");
	if (!m)
		return -ENOMEM;
	msg_set(m, "code", code);
	msg_text(m, why, strlen(why));
	return put_msg(out, FRAME_ERROR, m);
}

int farewell_get(const struct frame *f, struct farewell *ret, const char **ret_why)
{
	struct msg *m;
	int r = frame_get_msg(f, &m, ret_why);
	if (r)
		return r;
	snprintf(ret->code, sizeof ret->code, "%s", msg_get(m, "code", ""));
	snprintf(ret->why, sizeof ret->why, "%s", m->text);
	msg_free(m);
	return 0;
}
