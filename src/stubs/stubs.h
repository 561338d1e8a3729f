/* SPDX-License-Identifier: Apache-2.0 */
/* What services can be asked, written for others: typed functions for programs, words for fuzzers, a page of the manual.
 *
 * From descriptions as `service.describe` answers them: an <operation> has service, name ("noun.verb"), doc, streams, and a
 * child for each <argument> (name, type, doc, required, default) and each <field> of its answers (name, type, doc). They are
 * foreign: stubs_is_fit() first.
 */
#ifndef VIGIA_STUBS_STUBS_H
#define VIGIA_STUBS_STUBS_H

#include <stdbool.h>

#include "base/buf.h"
#include "proto/msg.h"

struct stubs_form {
	const char *name, *doc;
	/* Each may be NULL. Operations of one service come one after the other; `first`: of theirs. */
	void (*begin)(struct buf *out);
	void (*operation)(struct buf *out, const struct msg *operation, bool first);
	void (*end)(struct buf *out);
};

/* A file each; ends with NULL. */
extern const struct stubs_form *const stubs_forms[];

/* The form so named, or NULL. */
const struct stubs_form *stubs_form_named(const char *name);

/* All of its names are such as services can have: nothing in them is anything else in C or Python. */
bool stubs_is_fit(const struct msg *operation);

/* --- for the forms --- */

/* From k on, the first that is an "argument", or a "field"; one of words is none: those are the answer's children. */
const struct msg *stubs_part(const struct msg *k, const char *kind);
#define stubs_each(k, operation, kind)                                                                       \
	(const struct msg *k = stubs_part((operation)->children, kind); k; k = stubs_part(k->next, kind))
bool stubs_has(const struct msg *operation, const char *kind);
bool stubs_is_required(const struct msg *argument);
const char *stubs_get(const struct msg *m, const char *field);
/* Without line breaks and the like, and a backslash before each of these. */
void stubs_put_doc(struct buf *out, const char *doc, const char *escaped);
/* A name as C, C++ and Python can have it: "byte_order", "public_". */
void stubs_put_name(struct buf *out, const char *name);

#endif
