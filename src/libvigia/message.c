/* SPDX-License-Identifier: Apache-2.0 */
/* Messages as programs have them, and services that the daemon has loaded. */
#include <string.h>

#include "libvigia/vigia.h"
#include "proto/msg.h"

/* A struct vigia_message is a struct msg, seen from outside. */
static struct msg *in(struct vigia_message *m)
{
	return (struct msg *)m;
}

static const struct msg *in_const(const struct vigia_message *m)
{
	return (const struct msg *)m;
}

static const struct vigia_message *out(const struct msg *m)
{
	return (const struct vigia_message *)m;
}

struct vigia_message *vigia_query(const char *operation)
{
	char noun[64];
	const char *dot = strchr(operation, '.');
	if (!dot || dot == operation || (size_t)(dot - operation) >= sizeof noun)
		return NULL;
	memcpy(noun, operation, (size_t)(dot - operation));
	noun[dot - operation] = '\0';
	struct msg *m = msg_new(noun);
	if (m)
		msg_set(m, "query", dot + 1);
	return (struct vigia_message *)m;
}

void vigia_query_free(struct vigia_message *m)
{
	msg_free(in(m));
}

void vigia_set_text(struct vigia_message *m, const char *argument, const char *text)
{
	msg_set(in(m), argument, text);
}

void vigia_set_int(struct vigia_message *m, const char *argument, int64_t number)
{
	msg_set_int(in(m), argument, number);
}

void vigia_set_flag(struct vigia_message *m, const char *argument, bool flag)
{
	msg_set_flag(in(m), argument, flag);
}

void vigia_set_bytes(struct vigia_message *m, const char *argument, const void *bytes, size_t n)
{
	msg_set_bytes(in(m), argument, bytes, n);
}

void vigia_add_word(struct vigia_message *m, const char *argument, const char *word)
{
	msg_text(msg_child(in(m), argument), word, strlen(word));
}

const char *vigia_name(const struct vigia_message *m)
{
	return in_const(m)->name;
}

const char *vigia_text(const struct vigia_message *m)
{
	return in_const(m)->text;
}

const char *vigia_get_text(const struct vigia_message *m, const char *field, const char *fallback)
{
	return msg_get(in_const(m), field, fallback);
}

int64_t vigia_get_int(const struct vigia_message *m, const char *field, int64_t fallback)
{
	int64_t n;
	return msg_get_int(in_const(m), field, &n) ? fallback : n;
}

bool vigia_get_flag(const struct vigia_message *m, const char *field)
{
	return msg_get_flag(in_const(m), field);
}

const void *vigia_get_bytes(const struct vigia_message *m, const char *field, size_t *ret_n)
{
	const uint8_t *bytes;
	return msg_get_bytes(in_const(m), field, &bytes, ret_n) ? NULL : bytes;
}

const struct vigia_message *vigia_first(const struct vigia_message *m)
{
	return out(in_const(m)->children);
}

const struct vigia_message *vigia_next(const struct vigia_message *m)
{
	return out(in_const(m)->next);
}

const char *vigia_field(const struct vigia_message *m, size_t i)
{
	const struct msg_field *f = in_const(m)->fields;
	while (f && i--)
		f = f->next;
	return f ? f->name : NULL;
}
