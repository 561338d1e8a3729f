/* SPDX-License-Identifier: Apache-2.0 */
/* Every option of vigia.conf: what it is called, what it takes, what it is when the file does not say, what it means.
 * Parsing, defaults, `vigiad --dump`, suggestions and the manual page all come from this one table. */
#ifndef VIGIA_CONF_OPTIONS_H
#define VIGIA_CONF_OPTIONS_H

#include "conf/conf.h"

enum { CONF_OPTIONS_MAX = 128 };

enum conf_section { CONF_TOP, CONF_NODE, CONF_MASTER, CONF_WATCHED, CONF_HISTORY, CONF_AUDIT, CONF_ADD, CONF_LIMITS, CONF_NATS, CONF_SECTIONS };

enum conf_type {
	CONF_BOOL,     /* bool */
	CONF_DURATION, /* int64_t, ns */
	CONF_SEND,     /* the same, or 0 for "on-request" */
	CONF_SIZE,     /* int64_t, bytes */
	CONF_COUNT,    /* int64_t */
	CONF_NAME,     /* char * */
	CONF_SOCKET,   /* char * */
	CONF_LISTEN,   /* struct conf_addresses, numeric */
	CONF_MASTERS,  /* struct conf_addresses */
	CONF_SERVICES, /* struct conf_words */
	CONF_USERS,    /* the same: names or uids */
	CONF_PLATFORM, /* char * */
	CONF_SERVER,   /* char * */
	CONF_TOKEN,    /* char * */
	CONF_REALM,    /* char * */
	CONF_UNWRITABLE, /* int: which of hold, refuse and go-on */
	CONF_TRUST,    /* int: which of read and control */
	CONF_WORDS,    /* char *: words, said as one text */
	CONF_WAY,      /* the same, as os/remote.h wants them */
};

struct conf_option {
	enum conf_section section;
	const char *name;
	enum conf_type type;
	const char *fallback; /* as in the file, of a list its one element; NULL: none */
	int64_t min, max;     /* of numbers */
	size_t offset;	      /* in struct conf; for CONF_WATCHED in struct conf_watch */
	const char *doc;
};

extern const struct conf_option conf_options[];
extern const size_t conf_n_options;

/* NULL: no such option there. */
const struct conf_option *conf_option_find(enum conf_section section, const char *name, size_t n);
/* Its place in the table. */
size_t conf_option_index(const struct conf_option *o);
/* What it is called in a file: "", "node", "master", "node", "history", "audit", "add", "limits", "nats". */
const char *conf_section_name(enum conf_section s);
/* The section of that name within `outer`, or -1. */
int conf_section_find(enum conf_section outer, const char *name, size_t n);
/* The known option or section of `section` that is nearest to a name nobody knows; NULL: none is near. */
const char *conf_nearest(enum conf_section section, const char *name, size_t n);

/* Sets the field (appends to a list) from text. -EINVAL: `why` gets what was expected, as in `"500ms"`. -ENOMEM. */
int conf_option_set(const struct conf_option *o, void *field, const char *text, struct buf *why);
/* The field as in a file, lists with braces. */
void conf_option_print(const struct conf_option *o, const void *field, struct buf *to);
bool conf_option_is_list(const struct conf_option *o);
/* Of a list: empties it; says in which line its last element is. */
void conf_list_clear(const struct conf_option *o, void *field);
void conf_list_place(const struct conf_option *o, void *field, int line);

/* The manual's entry for one option, in scdoc's language. */
void conf_option_manual(const struct conf_option *o, struct buf *to);

#endif
