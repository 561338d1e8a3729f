/* SPDX-License-Identifier: Apache-2.0 */
/* A page of the manual, as scdoc(5) reads it. */
#include <string.h>

#include "stubs/stubs.h"

/* Nothing in a doc is formatting. */
static void put_text(struct buf *out, const char *s)
{
	stubs_put_doc(out, s, "\\*_");
}

static void put_usage(struct buf *out, const struct msg *operation)
{
	buf_puts(out, "## ");
	put_text(out, stubs_get(operation, "name"));
	for stubs_each(a, operation, "argument") {
		buf_puts(out, stubs_is_required(a) ? " " : " [");
		put_text(out, stubs_get(a, "name"));
		buf_puts(out, stubs_is_required(a) ? "" : "]");
	}
	buf_puts(out, "\n\n");
}

static void put_part(struct buf *out, const struct msg *part)
{
	buf_puts(out, "- _");
	put_text(out, stubs_get(part, "name"));
	buf_puts(out, "_, ");
	put_text(out, stubs_get(part, "type"));
	if (stubs_is_required(part))
		buf_puts(out, ", needed");
	if (*stubs_get(part, "default"))
		buf_puts(out, ", else ");
	put_text(out, stubs_get(part, "default"));
	buf_puts(out, ": ");
	put_text(out, stubs_get(part, "doc"));
	buf_puts(out, "\n");
}

static void put_parts(struct buf *out, const struct msg *operation, const char *kind, const char *heading)
{
	if (!stubs_has(operation, kind))
		return;
	buf_putf(out, "%s\n\n", heading);
	for stubs_each(p, operation, kind)
		put_part(out, p);
	buf_puts(out, "\n");
}

static void begin(struct buf *out)
{
	buf_puts(out, "vigia-operations(7)\n\n# NAME\n\nvigia-operations - what a daemon can be asked\n\n# DESCRIPTION\n\n"
		      "Each can be asked by the command, *vigia* _NOUN.VERB_ [_ARGUMENT_...], at its console, in HMON's XML and in\n"
		      "frames, with libvigia and from Python. Any takes *at=*_HOST_: another host's daemon answers then.\n\n");
}

static void operation(struct buf *out, const struct msg *o, bool first)
{
	if (first) {
		buf_puts(out, "# THE SERVICE ");
		for (const char *s = stubs_get(o, "service"); *s; s++)
			buf_putc(out, *s >= 'a' && *s <= 'z' ? (char)(*s - 'a' + 'A') : *s);
		buf_puts(out, "\n\n");
	}
	put_usage(out, o);
	put_text(out, stubs_get(o, "doc"));
	buf_puts(out, msg_get_flag(o, "streams") ? "; goes on until it is ended\n\n" : "\n\n");
	put_parts(out, o, "argument", "Arguments:");
	put_parts(out, o, "field", "What an answer may have:");
}

static void end(struct buf *out)
{
	buf_puts(out, "# SEE ALSO\n\n*vigia*(1), *vigiad*(8)\n");
}

const struct stubs_form stubs_manual = {"manual", "a page of the manual, for scdoc(1)", begin, operation, end};
