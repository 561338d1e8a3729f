/* SPDX-License-Identifier: Apache-2.0 */
/* Methods for the Python package vigia: a class of them, and a type for each kind of answer. */
#include <string.h>

#include "stubs/stubs.h"

static const struct {
	const char *type, *python;
} types[] = {{"integer", "int"}, {"duration", "int"}, {"time", "int"}, {"size", "int"}, {"span", "int"}, {"flag", "bool"},
    {"bytes", "bytes"}, {"words", "Sequence[str]"}, {NULL, "str"}};

static const char *type_of(const struct msg *part)
{
	size_t i = 0;
	while (types[i].type && strcmp(types[i].type, stubs_get(part, "type")))
		i++;
	return types[i].python;
}

/* "host.info" as "HostInfo". */
static void put_class(struct buf *out, const struct msg *operation)
{
	bool up = true;
	for (const char *s = stubs_get(operation, "name"); *s; s++) {
		if (*s == '.' || *s == '-' || *s == '_') {
			up = true;
			continue;
		}
		buf_putc(out, up && *s >= 'a' && *s <= 'z' ? (char)(*s - 'a' + 'A') : *s);
		up = false;
	}
}

static void put_string(struct buf *out, const char *s)
{
	buf_putc(out, '"');
	stubs_put_doc(out, s, "\"\\");
	buf_putc(out, '"');
}

static void put_parameters(struct buf *out, const struct msg *operation)
{
	for stubs_each(a, operation, "argument") {
		if (!stubs_is_required(a))
			continue;
		buf_puts(out, ", ");
		stubs_put_name(out, stubs_get(a, "name"));
		buf_putf(out, ": %s", type_of(a));
	}
	buf_puts(out, ", *");
	for stubs_each(a, operation, "argument") {
		if (stubs_is_required(a))
			continue;
		buf_puts(out, ", ");
		stubs_put_name(out, stubs_get(a, "name"));
		buf_putf(out, ": Optional[%s] = None", type_of(a));
	}
	buf_puts(out, ", at: str = \"\", deadline: Optional[float] = None");
}

static void put_doc(struct buf *out, const struct msg *operation)
{
	buf_puts(out, "        ");
	put_string(out, stubs_get(operation, "doc"));
	buf_puts(out, "\n");
}

static void put_arguments(struct buf *out, const struct msg *operation)
{
	const char *comma = "";
	buf_puts(out, "{");
	for stubs_each(a, operation, "argument") {
		buf_puts(out, comma);
		put_string(out, stubs_get(a, "name"));
		buf_puts(out, ": ");
		stubs_put_name(out, stubs_get(a, "name"));
		comma = ", ";
	}
	buf_puts(out, "}");
}

static void put_answer_type(struct buf *out, const struct msg *operation)
{
	if (!stubs_has(operation, "field"))
		return;
	const char *comma = "";
	buf_puts(out, "    ");
	put_class(out, operation);
	buf_puts(out, " = TypedDict(\"");
	put_class(out, operation);
	buf_puts(out, "\", {");
	for stubs_each(f, operation, "field") {
		buf_puts(out, comma);
		put_string(out, stubs_get(f, "name"));
		buf_putf(out, ": %s", type_of(f));
		comma = ", ";
	}
	buf_puts(out, "}, total=False)\n\n");
}

static void begin(struct buf *out)
{
	buf_puts(out, "# Written by `vigia stubs python`: what services can be asked, for the package vigia.\n"
		      "from typing import Iterator, Optional, Sequence, TypedDict\n\n\n"
		      "class Operations:\n"
		      "    \"\"\"A class that has this one and Connection among its bases can be asked all of it.\"\"\"\n");
}

static void operation(struct buf *out, const struct msg *o, bool first)
{
	buf_puts(out, "\n");
	put_answer_type(out, o);
	buf_puts(out, "    def ");
	stubs_put_name(out, stubs_get(o, "name"));
	buf_puts(out, "(self");
	put_parameters(out, o);
	buf_puts(out, ") -> Iterator");
	if (stubs_has(o, "field")) {
		buf_puts(out, "[\"");
		put_class(out, o);
		buf_puts(out, "\"]");
	}
	buf_puts(out, ":\n");
	put_doc(out, o);
	buf_puts(out, "        return self.ask(");
	put_string(out, stubs_get(o, "name"));
	buf_puts(out, ", ");
	put_arguments(out, o);
	buf_puts(out, ", at=at, deadline=deadline)\n");
}

const struct stubs_form stubs_python = {"python", "methods for the Python package vigia", begin, operation, NULL};
