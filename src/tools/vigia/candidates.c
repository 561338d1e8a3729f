/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vigia/candidates.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "os/utf8.h"
#include "tools/vigia/operation.h"
#include "tools/vigia/split.h"
#include "tools/vigia/text.h"

enum { PATIENCE_MS = 2000 };

/* --- taking them --- */

/* Strangers' bytes are not for a terminal: what could not be typed, either, is left out. */
static bool is_plain(const char *name)
{
	struct buf shown = BUF_INIT;
	text_put(&shown, name);
	bool plain = !strcmp(buf_str(&shown), name);
	buf_release(&shown);
	return plain;
}

static void offer(void *data, const char *name)
{
	struct candidates *c = data;
	if (strncmp(name, c->word, strlen(c->word)) || !is_plain(name))
		return;
	c->seen++;
	if (c->n == c->size) {
		size_t size = c->size ? 2 * c->size : 16;
		char **more = size > CANDIDATES_MOST * 2 ? NULL : realloc(c->names, size * sizeof *more);
		if (!more)
			return;
		c->names = more;
		c->size = size;
	}
	char *copy = c->n < CANDIDATES_MOST ? strdup(name) : NULL;
	if (copy)
		c->names[c->n++] = copy;
}

static void offerf(struct candidates *c, const char *before, const char *name, const char *after)
{
	struct buf whole = BUF_INIT;
	buf_putf(&whole, "%s%s%s", before, name, after);
	offer(c, buf_str(&whole));
	buf_release(&whole);
}

static int compare(const void *a, const void *b)
{
	return strverscmp(*(char *const *)a, *(char *const *)b);
}

static void put_in_order(struct candidates *c)
{
	size_t kept = 0;
	if (c->n)
		qsort(c->names, c->n, sizeof *c->names, compare);
	for (size_t i = 0; i < c->n; i++)
		if (kept && !strcmp(c->names[kept - 1], c->names[i]))
			free(c->names[i]);
		else
			c->names[kept++] = c->names[i];
	c->seen -= c->n - kept;
	c->n = kept;
}

/* --- where the word is --- */

struct place {
	const struct command *command; /* NULL: it is to be said */
	const char *operation;	       /* NOUN.VERB; NULL: none */
	bool value;		       /* of an option */
	bool options;		       /* may be said */
	bool elsewhere;		       /* --at: our daemon knows nothing of it */
};

static const struct flag *flag_named(const struct flag *flags, const char *name)
{
	for (int i = 0; flags && i < FLAGS_MAX && flags[i].name; i++)
		if (!strcmp(flags[i].name, name))
			return &flags[i];
	return NULL;
}

static bool takes_value(const struct place *p, const char *option)
{
	const struct flag *own = flag_named(p->command ? p->command->flags : NULL, option + 2);
	const struct flag *f = own ? own : flag_named(global_flags, option + 2);
	return f && f->value;
}

static bool is_option(const struct place *p, const char *word)
{
	return p->options && !strncmp(word, "--", 2);
}

static void pass_word(struct place *p, const char *word)
{
	if (p->command)
		return;
	p->operation = strchr(word, '.') ? word : NULL;
	p->command = p->operation ? &operation_command : command_find(word);
}

/* All words but the last, which is the one at the cursor. */
static struct place place_of(char *const *words, int n)
{
	struct place p = {.options = true};
	int i;
	for (i = 0; i < n - 1; i++) {
		bool option = is_option(&p, words[i]);
		p.elsewhere |= option && !strncmp(words[i], "--at", 4);
		if (!option)
			pass_word(&p, words[i]);
		else if (!words[i][2])
			p.options = false;
		else if (takes_value(&p, words[i]))
			i++;
	}
	p.value = i == n;
	return p;
}

/* --- what fits there --- */

static void offer_flags(struct candidates *c, const struct flag *flags)
{
	for (int i = 0; flags && i < FLAGS_MAX && flags[i].name; i++)
		offerf(c, "--", flags[i].name, "");
}

static int on_operation(void *data, const char *name, const char *doc)
{
	offer(data, name);
	return 0;
}

static void offer_commands(struct candidates *c, struct vigia *v)
{
	for (const struct command *const *k = commands; *k; k++)
		offer(c, (*k)->name);
	if (!vigia_connect(v))
		operation_each(v, on_operation, c);
}

static void offer_shells(struct candidates *c)
{
	offer(c, "bash");
	offer(c, "zsh");
}

static bool is_said(char *const *words, int n, const char *argument)
{
	size_t k = strlen(argument);
	for (int i = 0; i < n - 1; i++)
		if (!strncmp(words[i], argument, k) && words[i][k] == '=')
			return true;
	return false;
}

struct named {
	struct candidates *c;
	const char *argument; /* with its '=' */
};

static void offer_value(void *data, const char *value)
{
	const struct named *n = data;
	offerf(n->c, n->argument, value, "");
}

/* Of arguments that mean hosts and flags. */
static void offer_values(struct candidates *c, struct vigia *v, const struct msg *argument)
{
	char before[80];
	struct named n = {c, before};
	const char *name = msg_get(argument, "name", "");
	snprintf(before, sizeof before, "%s=", name);
	if (strncmp(c->word, before, strlen(before)))
		return;
	if (!strcmp(name, "node") || !strcmp(name, "host"))
		completion_words(v, "nodes", "", offer_value, &n);
	if (!strcmp(msg_get(argument, "type", ""), "flag")) {
		offer_value(&n, "yes");
		offer_value(&n, "no");
	}
}

static void offer_arguments(
    struct candidates *c, struct vigia *v, const char *name, char *const *words, int n)
{
	struct msg *operation;
	if (vigia_connect(v) || operation_describe(v, name, NULL, &operation))
		return;
	for (const struct msg *a = operation->children; a; a = a->next) {
		if (strcmp(a->name, "argument"))
			continue;
		if (!is_said(words, n, msg_get(a, "name", "")))
			offerf(c, "", msg_get(a, "name", ""), "=");
		offer_values(c, v, a);
	}
	msg_free(operation);
}

static void offer_words(struct candidates *c, struct vigia *v, enum completes completes)
{
	if (completes == COMPLETE_COMMANDS)
		offer_commands(c, v);
	else if (completes == COMPLETE_SHELLS)
		offer_shells(c);
	else if (completes != COMPLETE_NOTHING && !vigia_connect(v))
		completion_words(v, completes == COMPLETE_NODES ? "nodes" : "words", c->word, offer, c);
}

static void offer_all(struct candidates *c, struct vigia *v, char *const *words, int n)
{
	struct place p = place_of(words, n);
	if (p.value)
		return;
	if (is_option(&p, c->word) || (p.options && !strcmp(c->word, "-"))) {
		offer_flags(c, p.command ? p.command->flags : NULL);
		offer_flags(c, global_flags);
	} else if (!p.command) {
		offer_commands(c, v);
	} else if (p.operation && !p.elsewhere) {
		offer_arguments(c, v, p.operation, words, n);
	} else if (!p.elsewhere) {
		offer_words(c, v, p.command->completes);
	}
}

/* --- the line --- */

static bool begin(struct candidates *c, struct split *s)
{
	static char empty[] = "";
	if (!s->goes_on && s->n < SPLIT_WORDS)
		s->words[s->n++] = empty; /* a new word begins at the cursor */
	*c = (struct candidates){.word = strdup(s->words[s->n - 1]), .quote = s->quote};
	return c->word != NULL;
}

int candidates_find(struct candidates *c, struct vigia *v, const char *line, size_t n)
{
	struct split s;
	int r = split_start(&s, line, n);
	if (!r && (s.comment || !begin(c, &s))) {
		split_release(&s);
		r = -EINVAL;
	}
	if (r)
		return r;
	v->patience_ms = PATIENCE_MS;
	complaints(false);
	offer_all(c, v, s.words, s.n);
	complaints(true);
	v->patience_ms = 0;
	put_in_order(c);
	split_release(&s);
	return 0;
}

void candidates_release(struct candidates *c)
{
	for (size_t i = 0; i < c->n; i++)
		free(c->names[i]);
	free(c->names);
	free(c->word);
	*c = (struct candidates){0};
}

/* --- what is typed for them --- */

size_t candidates_common(const struct candidates *c)
{
	const char *first = c->n ? c->names[0] : "";
	size_t n = strlen(first), at = 0, k;
	for (size_t i = 1; i < c->n; i++)
		for (size_t j = 0; j < n; j++)
			if (c->names[i][j] != first[j])
				n = j;
	while (at < n && (k = utf8_char(first + at, n - at))) /* whole characters */
		at += k;
	return at;
}

static bool put_typed(struct buf *out, char quote, char c, bool begins)
{
	if (quote == '\'' && c == '\'')
		return false;
	if (quote ? quote == '"' && strchr("\"\\", c) : strchr(" '\"\\", c) || (begins && c == '#'))
		buf_putc(out, '\\');
	buf_putc(out, c);
	return true;
}

bool candidates_put(
    const struct candidates *c, struct buf *out, const char *name, size_t from, size_t n, bool whole)
{
	for (size_t i = from; i < from + n; i++)
		if (!put_typed(out, c->quote, name[i], !i))
			return false;
	char last = *name ? name[strlen(name) - 1] : 0;
	if (!whole || last == '/' || last == '=')
		return true;
	if (c->quote)
		buf_putc(out, c->quote);
	buf_putc(out, ' ');
	return true;
}
