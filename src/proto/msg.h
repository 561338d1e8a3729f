/* SPDX-License-Identifier: Apache-2.0 */
/* The one currency: what XML, frames, and later HTTP, decode into and are made from.
 *
 * A message has a name, fields (each name once, in order), a text, and children of the same kind. It is a query when
 * it has a field `query`, an answer when it has `answer`, else an information. The root owns everything below it in
 * one arena: messages are built, read and freed whole. A failed allocation sticks to the root (msg_failed) and
 * later additions do nothing.
 */
#ifndef VIGIA_PROTO_MSG_H
#define VIGIA_PROTO_MSG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum msg_type { MSG_TEXT, MSG_INT, MSG_FLAG, MSG_BYTES };

struct msg_field {
	const char *name;
	union {
		const char *text;
		const uint8_t *bytes;
		int64_t number; /* MSG_INT; MSG_FLAG: 0 or 1 */
	};
	enum msg_type type;
	uint32_t n; /* MSG_TEXT: bytes of it without its end; MSG_BYTES */
	struct msg_field *next;
};

struct msg_arena;

struct msg {
	const char *name;
	const char *text; /* "" when none */
	struct msg_field *fields, *last_field;
	struct msg *children, *last_child;
	struct msg *next; /* sibling */
	struct msg_arena *arena;
};

/* A root; NULL: no memory. */
struct msg *msg_new(const char *name);
/* A root of its own, children and all. */
struct msg *msg_dup(const struct msg *m);
void msg_free(struct msg *root);
bool msg_failed(const struct msg *m);

/* Strings are copied. msg_child never returns NULL: after a failure it returns its parent. */
struct msg *msg_child(struct msg *parent, const char *name);
void msg_set(struct msg *m, const char *field, const char *text);
void msg_setf(struct msg *m, const char *field, const char *format, ...) __attribute__((format(printf, 3, 4)));
void msg_set_int(struct msg *m, const char *field, int64_t number);
void msg_set_flag(struct msg *m, const char *field, bool flag);
/* n bytes of text, none of them NUL. */
void msg_set_n(struct msg *m, const char *field, const char *text, size_t n);
void msg_set_bytes(struct msg *m, const char *field, const void *bytes, size_t n);
void msg_text(struct msg *m, const char *bytes, size_t n);
/* The field is gone, if it was there. */
void msg_unset(struct msg *m, const char *field);

const struct msg_field *msg_field(const struct msg *m, const char *name);
/* The field's text, or `fallback` when absent or not text. */
const char *msg_get(const struct msg *m, const char *name, const char *fallback);
/* The field as a whole number, also when it came as text. 0, -ENOENT, or -EINVAL. */
int msg_get_int(const struct msg *m, const char *name, int64_t *ret);
/* The field as bytes, also when it came as text: base64, decoded into the message's memory. 0, -ENOENT, -EINVAL (also
 * for numbers and flags), or -ENOMEM. */
int msg_get_bytes(const struct msg *m, const char *name, const uint8_t **ret, size_t *ret_n);
/* "yes" or "no", or a flag; anything else, and absence, is false. */
bool msg_get_flag(const struct msg *m, const char *name);

/* The whole of s as a decimal integer. 0 or -EINVAL (also when it does not fit). */
int msg_parse_int(const char *s, int64_t *ret);

#endif
