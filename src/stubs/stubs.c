/* SPDX-License-Identifier: Apache-2.0 */
#include "stubs/stubs.h"

#include <string.h>

#include "proto/chars.h"

extern const struct stubs_form stubs_c, stubs_python, stubs_dictionary, stubs_manual;

const struct stubs_form *const stubs_forms[] = {&stubs_c, &stubs_python, &stubs_dictionary, &stubs_manual, NULL};

const struct stubs_form *stubs_form_named(const char *name)
{
	const struct stubs_form *const *f = stubs_forms;
	while (*f && strcmp((*f)->name, name))
		f++;
	return *f;
}

static bool is_name(const char *name)
{
	return chars_are_name(name, strlen(name));
}

bool stubs_is_fit(const struct msg *operation)
{
	bool fit = is_name(stubs_get(operation, "name")) && is_name(stubs_get(operation, "service")) &&
		   strchr(stubs_get(operation, "name"), '.');
	for (const struct msg *k = operation->children; fit && k; k = k->next)
		fit = is_name(stubs_get(k, "name"));
	return fit;
}

static bool is_part(const struct msg *k, const char *kind)
{
	return !strcmp(k->name, kind) && (*kind != 'f' || strcmp(stubs_get(k, "type"), "words"));
}

const struct msg *stubs_part(const struct msg *k, const char *kind)
{
	while (k && !is_part(k, kind))
		k = k->next;
	return k;
}

bool stubs_has(const struct msg *operation, const char *kind)
{
	return stubs_part(operation->children, kind) != NULL;
}

bool stubs_is_required(const struct msg *argument)
{
	return msg_get_flag(argument, "required");
}

const char *stubs_get(const struct msg *m, const char *field)
{
	return msg_get(m, field, "");
}

void stubs_put_doc(struct buf *out, const char *doc, const char *escaped)
{
	for (; *doc; doc++) {
		if (strchr(escaped, *doc))
			buf_putc(out, '\\');
		buf_putc(out, (unsigned char)*doc < ' ' ? ' ' : *doc);
	}
}

/* Of C, C++ and Python, as far as names may be one; and what the stubs call their own. */
static const char *const taken[] = {"at", "deadline", "m", "o", "r", "w",
    "False", "None", "True", "alignas", "alignof", "and", "as", "asm", "assert", "async", "auto", "await", "bitand", "bitor",
    "bool", "break", "case", "catch", "compl", "concept", "constexpr", "decltype", "errno", "linux", "mutable", "noexcept",
    "nullptr", "requires", "thread_local", "typeid", "unix", "wchar_t",
    "char", "class", "const", "continue", "def", "default", "del", "delete", "do", "double", "elif", "else", "enum", "except",
    "explicit", "export", "extern", "false", "finally", "float", "for", "friend", "from", "global", "goto", "if", "import",
    "in", "inline", "int", "is", "lambda", "long", "namespace", "new", "nonlocal", "not", "operator", "or", "pass", "private",
    "protected", "public", "raise", "register", "restrict", "return", "self", "short", "signed", "sizeof", "static", "struct",
    "switch", "template", "this", "throw", "true", "try", "typedef", "typename", "union", "unsigned", "using", "virtual",
    "void", "volatile", "while", "with", "xor", "yield"};

void stubs_put_name(struct buf *out, const char *name)
{
	for (const char *s = name; *s; s++)
		buf_putc(out, *s == '-' || *s == '.' ? '_' : *s);
	for (size_t i = 0; i < sizeof taken / sizeof *taken; i++)
		if (!strcmp(taken[i], name))
			buf_putc(out, '_');
}
