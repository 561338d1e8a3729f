/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vigia/split.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct reader {
	struct split *s;
	const char *line;
	size_t n, at;
	char *to;
	size_t quoted_at; /* where the open quote is */
	bool escape;	  /* a \ with nothing behind it is the last */
};

static bool is_blank(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool escapes(const struct reader *r)
{
	if (r->line[r->at] != '\\' || r->s->quote == '\'')
		return false;
	bool last = r->at + 1 == r->n;
	return !r->s->quote || last || r->line[r->at + 1] == '"' || r->line[r->at + 1] == '\\';
}

static void take_quote(struct reader *r, char c)
{
	r->s->quote = r->s->quote ? 0 : c;
	r->quoted_at = r->at;
}

static bool is_quote(const struct reader *r, char c)
{
	return r->s->quote ? c == r->s->quote : c == '"' || c == '\'';
}

static void take_word(struct reader *r)
{
	r->s->words[r->s->n++] = r->to;
	for (; r->at < r->n && (r->s->quote || !is_blank(r->line[r->at])); r->at++) {
		char c = r->line[r->at];
		if (escapes(r)) {
			r->escape = ++r->at == r->n;
			if (r->escape)
				break;
			*r->to++ = r->line[r->at];
		} else if (is_quote(r, c)) {
			take_quote(r, c);
		} else {
			*r->to++ = c;
		}
	}
	*r->to++ = '\0';
	r->s->goes_on = r->at == r->n;
}

/* false: more words than there may be. */
static bool take_words(struct reader *r)
{
	for (;;) {
		while (r->at < r->n && is_blank(r->line[r->at]))
			r->at++;
		if (r->at == r->n)
			return true;
		r->s->comment = r->line[r->at] == '#';
		if (r->s->comment)
			return true;
		if (r->s->n == SPLIT_WORDS)
			return false;
		take_word(r);
	}
}

static int begin(struct reader *r, struct split *s, const char *line, size_t n)
{
	*s = (struct split){
	    .text = malloc(n + 2)}; /* a word is at most as long as what it is read from, and a NUL */
	*r = (struct reader){.s = s, .line = line, .n = n, .to = s->text};
	return s->text ? 0 : -ENOMEM;
}

int split_line(struct split *s, const char *line, size_t n, char *why, size_t why_size)
{
	struct reader r;
	const char *nul = memchr(line, 0, n);
	int e = begin(&r, s, line, n);
	if (e)
		snprintf(why, why_size, "no memory");
	else if (nul)
		snprintf(why, why_size, "a NUL byte at column %zu", (size_t)(nul - line) + 1);
	else if (!take_words(&r))
		snprintf(why, why_size, "more than %d words", SPLIT_WORDS);
	else if (s->quote)
		snprintf(why, why_size, "the %c at column %zu is not closed", s->quote, r.quoted_at + 1);
	else if (r.escape)
		snprintf(why, why_size, "nothing follows the \\ at the end");
	else
		return 0;
	split_release(s);
	return e ? e : -EINVAL;
}

int split_start(struct split *s, const char *line, size_t n)
{
	struct reader r;
	if (memchr(line, 0, n))
		return -EINVAL;
	int e = begin(&r, s, line, n);
	if (!e && !take_words(&r))
		e = -E2BIG;
	if (e)
		split_release(s);
	return e;
}

void split_release(struct split *s)
{
	free(s->text);
	*s = (struct split){0};
}
