/* SPDX-License-Identifier: Apache-2.0 */
/* A header of inline functions over libvigia: for each operation its query, typed, and what reads an answer of it. */
#include <string.h>

#include "stubs/stubs.h"

/* How a type is declared, required (an argument of the function) and optional (of the struct), and set. NAME is the C
 * name, FIELD the one on the wire. */
struct form {
	const char *type;
	const char *required, *optional, *set, *set_optional, *answer, *get;
};

#define TEXT(name)                                                                                           \
	{name, "const char *NAME", "const char *NAME;", "vigia_set_text(m, \"FIELD\", NAME);",                 \
	    "if (o->NAME)\n\t\t\tvigia_set_text(m, \"FIELD\", o->NAME);", "const char *NAME;",                  \
	    "vigia_get_text(m, \"FIELD\", \"\")"}
#define NUMBER(name)                                                                                         \
	{name, "int64_t NAME", "const int64_t *NAME;", "vigia_set_int(m, \"FIELD\", NAME);",                   \
	    "if (o->NAME)\n\t\t\tvigia_set_int(m, \"FIELD\", *o->NAME);", "int64_t NAME;",                      \
	    "vigia_get_int(m, \"FIELD\", 0)"}

static const struct form forms[] = {
    TEXT("name"), TEXT("pattern"), TEXT("text"),
    NUMBER("integer"), NUMBER("duration"), NUMBER("time"), NUMBER("size"), NUMBER("span"),
    {"flag", "bool NAME", "bool NAME;", "vigia_set_flag(m, \"FIELD\", NAME);",
	"if (o->NAME)\n\t\t\tvigia_set_flag(m, \"FIELD\", true);", "bool NAME;", "vigia_get_flag(m, \"FIELD\")"},
    {"bytes", "const void *NAME, size_t NAME_n", "const void *NAME;\n\tsize_t NAME_n;",
	"vigia_set_bytes(m, \"FIELD\", NAME, NAME_n);",
	"if (o->NAME)\n\t\t\tvigia_set_bytes(m, \"FIELD\", o->NAME, o->NAME_n);", "const void *NAME;\n\tsize_t NAME_n;",
	"(r.NAME_n = 0, vigia_get_bytes(m, \"FIELD\", &r.NAME_n))"},
    {"words", "const char *const *NAME", "const char *const *NAME;",
	"for (const char *const *w = NAME; *w; w++)\n\t\tvigia_add_word(m, \"FIELD\", *w);",
	"for (const char *const *w = o->NAME; w && *w; w++)\n\t\t\tvigia_add_word(m, \"FIELD\", *w);", NULL, NULL},
};

static const struct form *form_of(const struct msg *part)
{
	size_t i = 0;
	while (i + 1 < sizeof forms / sizeof *forms && strcmp(forms[i].type, stubs_get(part, "type")))
		i++;
	return &forms[i];
}

/* Puts a template with NAME and FIELD filled in. */
static void fill(struct buf *out, const char *template, const char *field)
{
	while (*template) {
		if (!strncmp(template, "NAME", 4)) {
			stubs_put_name(out, field);
			template += 4;
		} else if (!strncmp(template, "FIELD", 5)) {
			buf_puts(out, field);
			template += 5;
		} else {
			buf_putc(out, *template++);
		}
	}
}

/* A doc never ends the comment that it stands in, nor begins another. */
static void put_doc(struct buf *out, const char *doc)
{
	for (char before = '\0'; *doc; before = *doc++) {
		if ((before == '*' && *doc == '/') || (before == '/' && *doc == '*'))
			buf_putc(out, ' ');
		buf_putc(out, (unsigned char)*doc < ' ' ? ' ' : *doc);
	}
}

static void put_operation_name(struct buf *out, const struct msg *operation)
{
	buf_puts(out, "vigia_");
	stubs_put_name(out, stubs_get(operation, "name"));
}

static bool has_optional(const struct msg *operation)
{
	for stubs_each(a, operation, "argument")
		if (!stubs_is_required(a))
			return true;
	return false;
}

static void put_member(struct buf *out, const struct msg *part, const char *template)
{
	const char *name = stubs_get(part, "name");
	buf_puts(out, "\t");
	fill(out, template, name);
	buf_puts(out, " /* ");
	put_doc(out, stubs_get(part, "doc"));
	buf_puts(out, " (");
	put_doc(out, stubs_get(part, "type"));
	if (*stubs_get(part, "default"))
		buf_puts(out, ", else ");
	put_doc(out, stubs_get(part, "default"));
	buf_puts(out, ") */\n");
}

static void put_options(struct buf *out, const struct msg *operation)
{
	if (!has_optional(operation))
		return;
	buf_puts(out, "/* What need not be said; numbers are pointed to: .tag = &(int64_t){1} */\nstruct ");
	put_operation_name(out, operation);
	buf_puts(out, "_options {\n");
	for stubs_each(a, operation, "argument")
		if (!stubs_is_required(a))
			put_member(out, a, form_of(a)->optional);
	buf_puts(out, "};\n");
}

static void put_parameters(struct buf *out, const struct msg *operation)
{
	const char *comma = "";
	for stubs_each(a, operation, "argument") {
		if (!stubs_is_required(a))
			continue;
		buf_puts(out, comma);
		fill(out, form_of(a)->required, stubs_get(a, "name"));
		comma = ", ";
	}
	if (has_optional(operation)) {
		buf_putf(out, "%sconst struct ", comma);
		put_operation_name(out, operation);
		buf_puts(out, "_options *o");
		comma = ", ";
	}
	if (!*comma)
		buf_puts(out, "void");
}

static void put_sets(struct buf *out, const struct msg *operation, bool required)
{
	for stubs_each(a, operation, "argument") {
		if (stubs_is_required(a) != required)
			continue;
		buf_puts(out, required ? "\t" : "\t\t");
		fill(out, required ? form_of(a)->set : form_of(a)->set_optional, stubs_get(a, "name"));
		buf_puts(out, "\n");
	}
}

static void put_query(struct buf *out, const struct msg *operation)
{
	buf_puts(out, "/* Its query; NULL: no memory. */\nstatic inline struct vigia_message *");
	put_operation_name(out, operation);
	buf_puts(out, "_query(");
	put_parameters(out, operation);
	buf_putf(out, ")\n{\n\tstruct vigia_message *m = vigia_query(\"%s\");\n", stubs_get(operation, "name"));
	if (stubs_has(operation, "argument"))
		buf_puts(out, "\tif (!m)\n\t\treturn m;\n");
	put_sets(out, operation, true);
	if (has_optional(operation)) {
		buf_puts(out, "\tif (o) {\n");
		put_sets(out, operation, false);
		buf_puts(out, "\t}\n");
	}
	buf_puts(out, "\treturn m;\n}\n");
}

static void put_read(struct buf *out, const struct msg *operation)
{
	if (!stubs_has(operation, "field"))
		return;
	buf_puts(out, "/* An answer; what is not in it is 0, \"\" or NULL. Texts live as long as the message. */\nstruct ");
	put_operation_name(out, operation);
	buf_puts(out, "_answer {\n");
	for stubs_each(f, operation, "field")
		put_member(out, f, form_of(f)->answer);
	buf_puts(out, "};\nstatic inline struct ");
	put_operation_name(out, operation);
	buf_puts(out, "_answer ");
	put_operation_name(out, operation);
	buf_puts(out, "_read(const struct vigia_message *m)\n{\n\tstruct ");
	put_operation_name(out, operation);
	buf_puts(out, "_answer r;\n");
	for stubs_each(f, operation, "field") {
		buf_puts(out, "\tr.");
		stubs_put_name(out, stubs_get(f, "name"));
		buf_puts(out, " = ");
		fill(out, form_of(f)->get, stubs_get(f, "name"));
		buf_puts(out, ";\n");
	}
	buf_puts(out, "\treturn r;\n}\n");
}

static void begin(struct buf *out)
{
	buf_puts(out, "/* Written by `vigia stubs c`: typed queries and answers for libvigia. */\n"
		      "#pragma once\n\n#include <stdbool.h>\n#include <stddef.h>\n#include <stdint.h>\n#include <vigia/vigia.h>\n\n"
		      "#ifdef __cplusplus\nextern \"C\" {\n#endif\n");
}

static void operation(struct buf *out, const struct msg *o, bool first)
{
	buf_putf(out, "\n/* --- %s: ", stubs_get(o, "name"));
	put_doc(out, stubs_get(o, "doc"));
	buf_puts(out, msg_get_flag(o, "streams") ? "; goes on until it is cancelled --- */\n\n" : " --- */\n\n");
	put_options(out, o);
	put_query(out, o);
	put_read(out, o);
}

static void end(struct buf *out)
{
	buf_puts(out, "\n#ifdef __cplusplus\n}\n#endif\n");
}

const struct stubs_form stubs_c = {
    "c", "a header of typed functions over libvigia", begin, operation, end};
