/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/msg.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"

struct block {
	struct block *next;
	size_t used, size;
	_Alignas(max_align_t) char bytes[];
};

struct msg_arena {
	struct block *blocks;
	bool failed;
};

enum { FIRST_BLOCK = 992 /* so that glibc keeps it at hand (1032 bytes) */, BLOCK = 8192 };

static struct block *block_new(size_t size)
{
	struct block *b = malloc(sizeof *b + size);
	if (b)
		*b = (struct block){.size = size};
	return b;
}

static void *arena_alloc(struct msg_arena *a, size_t n)
{
	n = (n + 7) & ~(size_t)7;
	struct block *b = a->blocks;
	if (b->size - b->used < n) {
		b = block_new(n > BLOCK ? n : BLOCK);
		if (!b) {
			a->failed = true;
			return NULL;
		}
		b->next = a->blocks;
		a->blocks = b;
	}
	void *p = b->bytes + b->used;
	b->used += n;
	return p;
}

static const char *arena_copy(struct msg_arena *a, const char *s, size_t n)
{
	char *copy = arena_alloc(a, n + 1);
	if (!copy)
		return "";
	if (n) /* s may be NULL then */
		memcpy(copy, s, n);
	copy[n] = '\0';
	return copy;
}

struct msg *msg_new(const char *name)
{
	struct block *b = block_new(FIRST_BLOCK);
	if (!b)
		return NULL;
	struct msg_arena first = {.blocks = b};
	struct msg_arena *a = arena_alloc(&first, sizeof *a);
	struct msg *m = arena_alloc(&first, sizeof *m);
	*a = first;
	*m = (struct msg){.name = arena_copy(a, name, strlen(name)), .text = "", .arena = a};
	return m;
}

void msg_free(struct msg *root)
{
	if (!root)
		return;
	for (struct block *b = root->arena->blocks, *next; b; b = next) {
		next = b->next;
		free(b);
	}
}

bool msg_failed(const struct msg *m)
{
	return m->arena->failed;
}

struct msg *msg_child(struct msg *parent, const char *name)
{
	struct msg *m = arena_alloc(parent->arena, sizeof *m);
	if (!m)
		return parent;
	*m = (struct msg){
	    .name = arena_copy(parent->arena, name, strlen(name)), .text = "", .arena = parent->arena};
	if (parent->last_child)
		parent->last_child->next = m;
	else
		parent->children = m;
	parent->last_child = m;
	return m;
}

static struct msg_field *field_put(struct msg *m, const char *name, enum msg_type type)
{
	struct msg_field *f = arena_alloc(m->arena, sizeof *f);
	if (!f)
		return NULL;
	*f = (struct msg_field){.name = arena_copy(m->arena, name, strlen(name)), .type = type};
	if (m->last_field)
		m->last_field->next = f;
	else
		m->fields = f;
	m->last_field = f;
	return f;
}

/* The copy has a NUL behind it, bytes as well: "" stands for it when memory has failed. */
static void string_put(struct msg *m, const char *name, enum msg_type type, const void *s, size_t n)
{
	struct msg_field *f = n > INT32_MAX ? NULL : field_put(m, name, type);
	if (!f) {
		m->arena->failed = true;
		return;
	}
	f->text = arena_copy(m->arena, s, n);
	f->n = m->arena->failed ? 0 : (uint32_t)n;
}

void msg_set(struct msg *m, const char *field, const char *text)
{
	string_put(m, field, MSG_TEXT, text, strlen(text));
}

void msg_set_n(struct msg *m, const char *field, const char *text, size_t n)
{
	string_put(m, field, MSG_TEXT, text, n);
}

void msg_set_bytes(struct msg *m, const char *field, const void *bytes, size_t n)
{
	string_put(m, field, MSG_BYTES, bytes, n);
}

void msg_setf(struct msg *m, const char *field, const char *format, ...)
{
	char text[1024];
	va_list ap;
	va_start(ap, format);
	vsnprintf(text, sizeof text, format, ap);
	va_end(ap);
	msg_set(m, field, text);
}

void msg_set_int(struct msg *m, const char *field, int64_t number)
{
	struct msg_field *f = field_put(m, field, MSG_INT);
	if (f)
		f->number = number;
}

void msg_set_flag(struct msg *m, const char *field, bool flag)
{
	struct msg_field *f = field_put(m, field, MSG_FLAG);
	if (f)
		f->number = flag;
}

void msg_unset(struct msg *m, const char *field)
{
	struct msg_field *before = NULL, **at = &m->fields;
	while (*at && strcmp((*at)->name, field)) {
		before = *at;
		at = &before->next;
	}
	if (!*at)
		return;
	if (*at == m->last_field)
		m->last_field = before;
	*at = (*at)->next;
}

void msg_text(struct msg *m, const char *bytes, size_t n)
{
	m->text = arena_copy(m->arena, bytes, n);
}

static void copy_field(struct msg *to, const struct msg_field *f)
{
	if (f->type == MSG_TEXT || f->type == MSG_BYTES)
		string_put(to, f->name, f->type, f->text, f->n);
	else if (f->type == MSG_INT)
		msg_set_int(to, f->name, f->number);
	else
		msg_set_flag(to, f->name, f->number);
}

static void copy_into(struct msg *to, const struct msg *from)
{
	for (const struct msg_field *f = from->fields; f; f = f->next)
		copy_field(to, f);
	if (*from->text)
		msg_text(to, from->text, strlen(from->text));
	for (const struct msg *k = from->children; k && !msg_failed(to); k = k->next)
		copy_into(msg_child(to, k->name), k);
}

struct msg *msg_dup(const struct msg *m)
{
	struct msg *copy = msg_new(m->name);
	if (!copy)
		return NULL;
	copy_into(copy, m);
	if (!msg_failed(copy))
		return copy;
	msg_free(copy);
	return NULL;
}

const struct msg_field *msg_field(const struct msg *m, const char *name)
{
	for (const struct msg_field *f = m->fields; f; f = f->next)
		if (!strcmp(f->name, name))
			return f;
	return NULL;
}

const char *msg_get(const struct msg *m, const char *name, const char *fallback)
{
	const struct msg_field *f = msg_field(m, name);
	return f && f->type == MSG_TEXT ? f->text : fallback;
}

int msg_parse_int(const char *s, int64_t *ret)
{
	if (*s != '-' && (*s < '0' || *s > '9')) /* strtoll would skip blanks and take a plus */
		return -EINVAL;
	char *end;
	errno = 0;
	long long n = strtoll(s, &end, 10);
	if (errno || *end)
		return -EINVAL;
	*ret = n;
	return 0;
}

int msg_get_int(const struct msg *m, const char *name, int64_t *ret)
{
	const struct msg_field *f = msg_field(m, name);
	if (!f)
		return -ENOENT;
	if (f->type == MSG_TEXT)
		return msg_parse_int(f->text, ret);
	if (f->type == MSG_BYTES)
		return -EINVAL;
	*ret = f->number;
	return 0;
}

static int bytes_of_text(const struct msg *m, const struct msg_field *f, const uint8_t **ret, size_t *ret_n)
{
	uint8_t *bytes = arena_alloc(m->arena, BASE64_BYTES(f->n));
	if (!bytes)
		return -ENOMEM;
	int r = base64_decode(f->text, f->n, bytes, ret_n);
	if (!r)
		*ret = bytes;
	return r;
}

int msg_get_bytes(const struct msg *m, const char *name, const uint8_t **ret, size_t *ret_n)
{
	const struct msg_field *f = msg_field(m, name);
	if (!f)
		return -ENOENT;
	if (f->type == MSG_TEXT)
		return bytes_of_text(m, f, ret, ret_n);
	if (f->type != MSG_BYTES)
		return -EINVAL;
	*ret = f->bytes;
	*ret_n = f->n;
	return 0;
}

bool msg_get_flag(const struct msg *m, const char *name)
{
	const struct msg_field *f = msg_field(m, name);
	if (!f)
		return false;
	if (f->type == MSG_TEXT)
		return !strcmp(f->text, "yes");
	return f->type != MSG_BYTES && f->number;
}
