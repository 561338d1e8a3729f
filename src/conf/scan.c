/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/scan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "conf/lex.h"
#include "conf/options.h"

struct scan {
	struct lex lex;
	struct conf *conf;
	const char *original; /* the text as it was before anything was blanked */
	bool no_memory;
};

static bool is_text(const struct token *t)
{
	return t->kind == LEX_WORD || t->kind == LEX_STRING;
}

static const char *text_of(const struct scan *s, const struct token *t)
{
	return s->lex.text + t->at;
}

/* To behind the brace that closes what is open; false: the file ends first. */
static bool skip_braces(struct scan *s, int open)
{
	while (open > 0) {
		struct token t = lex_next(&s->lex);
		if (t.kind == LEX_END)
			return false;
		open += lex_is(&s->lex, &t, '{') ? 1 : lex_is(&s->lex, &t, '}') ? -1 : 0;
	}
	return true;
}

/* From the equals sign: one text on its line, or a list. Anything else stays, for libconfuse to be astonished at. */
static void skip_value(struct scan *s, const struct token *name)
{
	struct token equals = lex_next(&s->lex), t = lex_peek(&s->lex);

	if (is_text(&t) && t.line != equals.line) {
		faults_add(s->lex.faults, equals.line, "%.*s: expected a value behind the =", (int)name->n, text_of(s, name));
		lex_blank(&s->lex, name->at, s->lex.at);
	} else if (is_text(&t)) {
		lex_next(&s->lex);
	} else if (lex_is(&s->lex, &t, '{')) {
		lex_next(&s->lex);
		skip_braces(s, 1);
	}
}

/* --- monitors --------------------------------------------------------------------------------------------------- */

static void set_program(struct scan *s, struct conf_monitor *m, const struct token *t)
{
	char *program = lex_value(&s->lex, t);

	if (!program) {
		s->no_memory = true;
		return;
	}
	free(m->program);
	m->program = program;
}

static void set_enabled(struct scan *s, struct conf_monitor *m, const struct token *t)
{
	static const struct conf_option enabled = {.type = CONF_BOOL};
	struct buf why = BUF_INIT;
	char *value = lex_value(&s->lex, t);

	if (!value)
		s->no_memory = true;
	else if (conf_option_set(&enabled, &m->enabled, value, &why) < 0)
		faults_add(s->lex.faults, t->line, "enabled: found \"%s\", expected %s", value, buf_str(&why));
	buf_release(&why);
	free(value);
}

static bool is_called(const struct scan *s, const struct token *t, const char *name)
{
	return t->kind == LEX_WORD && t->n == strlen(name) && memcmp(text_of(s, t), name, t->n) == 0;
}

/* The two options of the section that are vigiad's own. */
static void own_option(struct scan *s, struct conf_monitor *m, const struct token *name)
{
	bool program = is_called(s, name, "program"), enabled = is_called(s, name, "enabled");
	struct token t = lex_peek(&s->lex);

	if ((!program && !enabled) || !lex_is(&s->lex, &t, '='))
		return;
	lex_next(&s->lex);
	t = lex_peek(&s->lex);
	if (!is_text(&t))
		faults_add(s->lex.faults, name->line, "%.*s: expected a value", (int)name->n, text_of(s, name));
	else if (program)
		set_program(s, m, &t);
	else
		set_enabled(s, m, &t);
}

/* From behind the opening brace to the closing one; false: there is none. */
static bool monitor_body(struct scan *s, struct conf_monitor *m)
{
	size_t from = s->lex.at;
	struct token t = {0};

	for (int open = 1; open > 0;) {
		t = lex_next(&s->lex);
		if (t.kind == LEX_END)
			return false;
		open += lex_is(&s->lex, &t, '{') ? 1 : lex_is(&s->lex, &t, '}') ? -1 : 0;
		if (open == 1 && t.kind == LEX_WORD)
			own_option(s, m, &t);
	}
	m->text = strndup(s->original + from, t.at - from);
	s->no_memory |= !m->text;
	return true;
}

static bool is_entry_name(const char *s)
{
	size_t n = strlen(s);

	return n > 0 && n <= 31 && strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == n;
}

static void check_monitor(struct scan *s, const struct conf_monitor *m)
{
	struct faults *f = s->lex.faults;

	if (!conf_is_name(m->name))
		faults_add(f, m->line, "monitor: found \"%s\", expected 1 to 63 of A-Z a-z 0-9 . _ - as its name", m->name);
	if (!is_entry_name(m->program))
		faults_add(f, m->line, "monitor %s: found program \"%s\", expected 1 to 31 of a-z 0-9 -", m->name, m->program);
	for (const struct conf_monitor *o = s->conf->monitors; o < m; o++)
		if (strcmp(o->name, m->name) == 0)
			faults_add(f, m->line, "monitor %s: there is one already in line %d", m->name, o->line);
	if (s->conf->n_monitors > CONF_MONITORS_MAX)
		faults_add(f, m->line, "monitor %s: expected at most %d monitors", m->name, CONF_MONITORS_MAX);
}

static struct conf_monitor *new_monitor(struct scan *s, const struct token *name)
{
	struct conf *c = s->conf;
	struct conf_monitor *v = realloc(c->monitors, (c->n_monitors + 1) * sizeof *v);

	if (!v) {
		s->no_memory = true;
		return NULL;
	}
	c->monitors = v;
	struct conf_monitor *m = &v[c->n_monitors];
	*m = (struct conf_monitor){.name = lex_value(&s->lex, name), .program = lex_value(&s->lex, name), .enabled = true,
	    .line = name->line};
	c->n_monitors++;
	s->no_memory |= !m->name || !m->program;
	return m;
}

/* Behind the word `monitor`. */
static void monitor(struct scan *s, const struct token *keyword)
{
	struct token name = lex_peek(&s->lex);

	if (!is_text(&name)) {
		faults_add(s->lex.faults, keyword->line, "monitor: expected monitor NAME { ... }");
		lex_blank(&s->lex, keyword->at, s->lex.at);
		return;
	}
	lex_next(&s->lex);
	struct token brace = lex_peek(&s->lex);
	if (!lex_is(&s->lex, &brace, '{')) {
		faults_add(s->lex.faults, name.line, "monitor %.*s: expected {", (int)name.n, text_of(s, &name));
		lex_blank(&s->lex, keyword->at, s->lex.at);
		return;
	}
	lex_next(&s->lex);
	struct conf_monitor *m = new_monitor(s, &name);
	if (!m || s->no_memory)
		return;
	m->text_line = brace.line;
	s->lex.loose = true;
	if (!monitor_body(s, m))
		faults_add(s->lex.faults, keyword->line, "monitor %s: its { is never closed, expected }", m->name);
	s->lex.loose = false;
	lex_blank(&s->lex, keyword->at, s->lex.at);
	check_monitor(s, m);
}

/* --- the other sections ----------------------------------------------------------------------------------------- */

static const char *place(enum conf_section section)
{
	static const char *const in[CONF_SECTIONS] = {"", " in node", " in master", " in master's node", " in history",
	    " in limits"};

	return in[section];
}

/* Where else a name of this kind is known. */
static const char *other_place(const char *name, size_t n)
{
	for (int i = 0; i < CONF_SECTIONS; i++)
		if (conf_option_find(i, name, n))
			return i == CONF_TOP ? "no section" : conf_section_name(i);
	return NULL;
}

static void report_unknown(struct scan *s, enum conf_section section, const struct token *name)
{
	const char *text = text_of(s, name);
	int n = name->n > 64 ? 64 : (int)name->n;
	struct token next = lex_peek(&s->lex);
	const char *other = lex_is(&s->lex, &next, '=') ? other_place(text, name->n) : NULL;
	const char *near = conf_nearest(section, text, name->n);
	struct faults *f = s->lex.faults;

	if (other)
		faults_add(f, name->line, "found \"%.*s\", which is unknown%s; it belongs into %s", n, text, place(section), other);
	else if (near)
		faults_add(f, name->line, "found \"%.*s\", which is unknown%s; did you mean %s?", n, text, place(section), near);
	else
		faults_add(f, name->line, "found \"%.*s\", which is unknown%s", n, text, place(section));
}

/* NAME [TITLE] {: to its end. */
static void skip_section(struct scan *s, const struct token *name)
{
	struct lex before = s->lex;
	struct token t = lex_next(&s->lex);

	if (is_text(&t))
		t = lex_next(&s->lex);
	if (!lex_is(&s->lex, &t, '{')) {
		s->lex.at = before.at;
		s->lex.line = before.line;
	} else if (!skip_braces(s, 1)) {
		faults_add(s->lex.faults, name->line, "this { is never closed, expected }");
	}
}

static void skip_statement(struct scan *s, const struct token *name)
{
	struct token t = lex_peek(&s->lex);

	if (lex_is(&s->lex, &t, '='))
		skip_value(s, name);
	else if (is_text(&t) || lex_is(&s->lex, &t, '{'))
		skip_section(s, name);
	lex_blank(&s->lex, name->at, s->lex.at);
}

static void section(struct scan *s, enum conf_section which, int line);

/* NAME { or NAME TITLE {; what is neither stays for libconfuse. */
static void subsection(struct scan *s, enum conf_section which, const struct token *name)
{
	struct token t = lex_peek(&s->lex);

	if (which == CONF_WATCHED && is_text(&t)) {
		lex_next(&s->lex);
		t = lex_peek(&s->lex);
	}
	if (!lex_is(&s->lex, &t, '{'))
		return;
	lex_next(&s->lex);
	section(s, which, name->line);
}

static void statement(struct scan *s, enum conf_section which, const struct token *name)
{
	int inner = conf_section_find(which, text_of(s, name), name->n);
	struct token t = lex_peek(&s->lex);

	if (which == CONF_TOP && is_called(s, name, "monitor")) {
		monitor(s, name);
	} else if (inner >= 0) {
		subsection(s, inner, name);
	} else if (!conf_option_find(which, text_of(s, name), name->n)) {
		report_unknown(s, which, name);
		skip_statement(s, name);
	} else if (lex_is(&s->lex, &t, '=')) {
		skip_value(s, name);
	}
}

static void section(struct scan *s, enum conf_section which, int line)
{
	while (!s->no_memory) {
		struct token t = lex_next(&s->lex);
		if (t.kind == LEX_END) {
			if (which != CONF_TOP)
				faults_add(s->lex.faults, line, "%s { is never closed, expected }", conf_section_name(which));
			return;
		}
		if (lex_is(&s->lex, &t, '}') && which != CONF_TOP)
			return;
		if (t.kind == LEX_WORD) {
			statement(s, which, &t);
		} else if (t.kind == LEX_STRING) {
			faults_add(s->lex.faults, t.line, "found a string, expected the name of an option or section");
			skip_statement(s, &t);
		}
	}
}

int scan(struct conf *c, char *text, size_t n, struct faults *f)
{
	char *original = strndup(text, n);
	struct scan s = {.lex = {.text = text, .n = n, .line = 1, .faults = f}, .conf = c, .original = original};

	if (!original)
		return -ENOMEM;
	section(&s, CONF_TOP, 0);
	free(original);
	return s.no_memory ? -ENOMEM : 0;
}
