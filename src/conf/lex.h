/* SPDX-License-Identifier: Apache-2.0 */
/* The words of a configuration file.
 *
 * libconfuse's own lexer keeps its state from one file to the next, expands ${VARIABLES} and loses count of lines over
 * them, and passes over what it does not know. So what it gets to see has been through here: plain words, strings that
 * end on their line, { } = and commas. Comments and whatever was wrong are blank by then.
 */
#ifndef VIGIA_CONF_LEX_H
#define VIGIA_CONF_LEX_H

#include "conf/faults.h"

enum lex_kind { LEX_END, LEX_WORD, LEX_STRING, LEX_MARK };

enum { LEX_TEXT_MAX = 4096 };

struct lex {
	char *text; /* NUL-terminated; changed: see above */
	size_t n, at;
	int line;
	bool loose; /* within a monitor's section any character goes, and nothing is changed */
	struct faults *faults;
};

struct token {
	enum lex_kind kind;
	size_t at, n; /* a string's with its quotes */
	int line;
};

struct token lex_next(struct lex *l);
/* The next one, left there. */
struct token lex_peek(struct lex *l);
/* `{`, `}`, `=` or `,`. */
bool lex_is(const struct lex *l, const struct token *t, char mark);
/* Without its quotes and their backslashes; the caller frees it. NULL: no memory. */
char *lex_value(const struct lex *l, const struct token *t);
/* Makes it blank, but for its line ends. */
void lex_blank(struct lex *l, size_t from, size_t to);

#endif
