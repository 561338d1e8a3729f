/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/lex.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "os/utf8.h"

static char at(const struct lex *l, size_t offset)
{
	return l->at + offset < l->n ? l->text[l->at + offset] : '\0';
}

void lex_blank(struct lex *l, size_t from, size_t to)
{
	for (size_t i = from; i < to && i < l->n; i++)
		if (l->text[i] != '\n')
			l->text[i] = ' ';
}

static void blank_unless_loose(struct lex *l, size_t from)
{
	if (!l->loose)
		lex_blank(l, from, l->at);
}

static void skip_line(struct lex *l)
{
	while (l->at < l->n && l->text[l->at] != '\n')
		l->at++;
}

static void skip_block(struct lex *l)
{
	int line = l->line;

	for (l->at += 2; l->at < l->n; l->at++) {
		if (at(l, 0) == '*' && at(l, 1) == '/') {
			l->at += 2;
			return;
		}
		l->line += at(l, 0) == '\n';
	}
	faults_add(l->faults, line, "found a comment that does not end, expected */");
}

/* Blanks, line ends and comments; a semicolon may end a statement, and means nothing. */
static void skip_space(struct lex *l)
{
	while (l->at < l->n) {
		size_t from = l->at;
		if (at(l, 0) == '\n') {
			l->line++;
			l->at++;
		} else if (strchr(l->loose ? " \t\r" : " \t\r;", at(l, 0))) {
			l->at++;
		} else if (at(l, 0) == '#' || (at(l, 0) == '/' && at(l, 1) == '/')) {
			skip_line(l);
		} else if (at(l, 0) == '/' && at(l, 1) == '*') {
			skip_block(l);
		} else {
			return;
		}
		blank_unless_loose(l, from);
	}
}

static bool is_word(const struct lex *l)
{
	char c = at(l, 0);

	if (c == '/' && (at(l, 1) == '/' || at(l, 1) == '*'))
		return false;
	return c && (isalnum((unsigned char)c) || strchr("_.:/@%-[]", c));
}

static bool is_escape_ok(const struct lex *l, char quote)
{
	return at(l, 1) == '\\' || at(l, 1) == quote;
}

/* What libconfuse would make something of is taken out of its sight, too. */
static void check_in_string(struct lex *l, char quote)
{
	if (at(l, 0) == '\\' && !is_escape_ok(l, quote))
		faults_add(l->faults, l->line, "found \\%c in a string, expected \\\\ or \\%c", at(l, 1), quote);
	else if (at(l, 0) == '$' && at(l, 1) == '{')
		faults_add(l->faults, l->line, "found ${ in a string: variables are not expanded here");
	else
		return;
	l->text[l->at] = '_';
}

/* Past the closing quote; false: it is not on this line. */
static bool skip_string(struct lex *l)
{
	char quote = at(l, 0);

	for (l->at++; l->at < l->n && at(l, 0) != '\n'; l->at++) {
		if (at(l, 0) == quote) {
			l->at++;
			return true;
		}
		if (!l->loose)
			check_in_string(l, quote);
		if (at(l, 0) == '\\' && at(l, 1) && at(l, 1) != '\n')
			l->at++;
	}
	return false;
}

static struct token string(struct lex *l)
{
	struct token t = {LEX_STRING, l->at, 0, l->line};

	if (!skip_string(l)) {
		faults_add(l->faults, l->line, "found a string that does not end on its line, expected %c", l->text[t.at]);
		if (!l->loose)
			memset(l->text + t.at, 'x', l->at - t.at);
		t.kind = LEX_WORD;
	}
	t.n = l->at - t.at;
	return t;
}

static struct token word(struct lex *l)
{
	struct token t = {LEX_WORD, l->at, 0, l->line};

	while (is_word(l))
		l->at++;
	t.n = l->at - t.at;
	return t;
}

static struct token mark(struct lex *l)
{
	struct token t = {LEX_MARK, l->at, 1, l->line};

	l->at++;
	return t;
}

/* A character that has no place here. */
static void refuse(struct lex *l)
{
	size_t from = l->at, n = utf8_char(l->text + l->at, l->n - l->at);

	if (n == 0)
		faults_add(l->faults, l->line, "found a byte (%02x) that is not UTF-8", (unsigned char)at(l, 0));
	else
		faults_add(l->faults, l->line, "found %.*s, expected a word, a string, {, }, = or a comma", (int)n,
		    l->text + from);
	l->at += n ? n : 1;
	blank_unless_loose(l, from);
}

static struct token next(struct lex *l)
{
	for (;;) {
		skip_space(l);
		if (l->at >= l->n)
			return (struct token){LEX_END, l->n, 0, l->line};
		char c = at(l, 0);
		if (c == '"' || c == '\'')
			return string(l);
		if (is_word(l))
			return word(l);
		if (l->loose || strchr("{}=,", c))
			return mark(l);
		refuse(l);
	}
}

struct token lex_next(struct lex *l)
{
	struct token t = next(l);

	if (!l->loose && t.n > LEX_TEXT_MAX) {
		faults_add(l->faults, t.line, "found %zu bytes in one, expected at most %d", t.n, LEX_TEXT_MAX);
		memset(l->text + t.at, 'x', t.n);
	}
	return t;
}

/* What the look ahead finds wrong is found again when it is taken. */
struct token lex_peek(struct lex *l)
{
	struct faults ignored = {.n = FAULTS_MAX};
	struct lex ahead = *l;

	ahead.faults = &ignored;
	ahead.loose = true;
	return next(&ahead);
}

bool lex_is(const struct lex *l, const struct token *t, char c)
{
	return t->kind == LEX_MARK && l->text[t->at] == c;
}

char *lex_value(const struct lex *l, const struct token *t)
{
	bool quoted = t->kind == LEX_STRING;
	const char *from = l->text + t->at + quoted;
	size_t n = t->n - 2 * quoted, to = 0;
	char *value = malloc(n + 1);

	if (!value)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		if (quoted && from[i] == '\\' && i + 1 < n)
			i++;
		value[to++] = from[i];
	}
	value[to] = '\0';
	return value;
}
