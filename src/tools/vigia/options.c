/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "tools/vigia/operation.h"
#include "tools/vigia/vigia.h"

enum { AT, CERT, JSON, CSV, HELP, VERSION }; /* global_flags */

struct reader {
	struct line *line;
	int argc, at;
	char **argv;
};

static int find(const struct flag *flags, const char *name, size_t n)
{
	for (int i = 0; flags && i < FLAGS_MAX && flags[i].name; i++)
		if (strlen(flags[i].name) == n && !memcmp(flags[i].name, name, n))
			return i;
	return -1;
}

/* What goes before a command's name. */
static const char *called(const struct line *l)
{
	return l->v.console ? "" : "vigia ";
}

static int unknown_option(const struct line *l, const char *option)
{
	if (l->command)
		complain("`%s%s` has no option %s; see `%shelp %s`", called(l), l->command->name, option, called(l),
		    l->command->name);
	else
		complain("no option %s before the command; see `%shelp`", option, called(l));
	return USAGE;
}

/* What follows an option: after '=', or the next word. */
static int take_value(struct reader *r, const struct flag *f, const char *equals, const char **ret)
{
	if (!f->value && equals) {
		complain("--%s takes no value", f->name);
		return USAGE;
	}
	if (!f->value) {
		*ret = "";
		return 0;
	}
	if (!equals && r->at + 1 >= r->argc) {
		complain("--%s needs %s", f->name, f->value);
		return USAGE;
	}
	*ret = equals ? equals + 1 : r->argv[++r->at];
	return 0;
}

static void set_global(struct line *l, int flag, const char *value)
{
	if (flag == AT)
		l->v.at = value;
	else if (flag == CERT)
		l->v.papers = value;
	else if (flag == JSON)
		l->v.format = OUT_JSON;
	else if (flag == CSV)
		l->v.format = OUT_CSV;
	else if (flag == HELP)
		l->help = true;
	else
		l->version = true;
}

static int take_option(struct reader *r, const char *option)
{
	struct line *l = r->line;
	const char *name = option + 2, *equals = strchr(name, '='), *value;
	size_t n = equals ? (size_t)(equals - name) : strlen(name);
	int own = find(l->command ? l->command->flags : NULL, name, n);
	int global = find(global_flags, name, n);
	if (own < 0 && global < 0)
		return unknown_option(l, option);
	int e = take_value(r, own >= 0 ? &l->command->flags[own] : &global_flags[global], equals, &value);
	if (e)
		return e;
	if (own >= 0)
		l->args.flags[own] = value;
	else
		set_global(l, global, value);
	return 0;
}

static int take_command(struct line *l, const char *name)
{
	l->args.command = l->command = command_find(name);
	if (l->command)
		return 0;
	if (strchr(name, '.')) {
		l->args.command = l->command = &operation_command;
		l->words[l->args.n++] = name;
		return 0;
	}
	const struct command *nearest = command_nearest(name);
	if (!nearest) {
		l->noun = name; /* "cluster status" is "cluster.status" */
		return 0;
	}
	complain("there is no command \"%s\"; did you mean `%s%s`?", name, called(l), nearest->name);
	return USAGE;
}

static int take_verb(struct line *l, const char *verb)
{
	snprintf(l->operation, sizeof l->operation, "%s.%s", l->noun, verb);
	l->noun = NULL;
	return take_command(l, l->operation);
}

static int check_noun(struct line *l)
{
	if (!l->noun || l->version)
		return 0;
	if (!l->help) {
		complain("there is no command \"%s\"; `%shelp` lists them, `%shelp %s` what a service of that name can be asked", l->noun,
		    called(l), called(l), l->noun);
		return USAGE;
	}
	l->help = false;
	l->args.command = l->command = &help_command_entry;
	l->words[l->args.n++] = l->noun;
	return 0;
}

static int take_word(struct line *l, const char *word)
{
	if (!l->command)
		return l->noun ? take_verb(l, word) : take_command(l, word);
	if (l->args.n == sizeof l->words / sizeof *l->words) {
		complain("more than %d words", l->args.n);
		return USAGE;
	}
	l->words[l->args.n++] = word;
	return 0;
}

static int check_count(const struct line *l)
{
	const struct command *c = l->command;
	if (!c || l->help || l->version)
		return 0;
	bool many = c->words_max >= 0 && l->args.n > c->words_max;
	if (!many && l->args.n >= c->words_min)
		return 0;
	if (many && !c->words_max)
		complain("`%s%s` takes no \"%s\"", called(l), c->name, l->words[0]);
	else
		complain("`%s%s` takes %s", called(l), c->name, c->words);
	return USAGE;
}

/* "-" alone and what looks like no option are words. */
static bool is_option(const char *s)
{
	return s[0] == '-' && s[1];
}

static const char *long_form(const char *s)
{
	return !strcmp(s, "-h") ? "--help" : s;
}

int line_read(struct line *l, int argc, char **argv)
{
	struct reader r = {l, argc, 1, argv};
	bool options = true;
	int e = 0;
	for (; !e && r.at < argc; r.at++) {
		const char *s = long_form(argv[r.at]);
		if (options && !strcmp(s, "--"))
			options = false;
		else if (!options || !is_option(s))
			e = take_word(l, s);
		else if (s[1] != '-')
			e = unknown_option(l, s);
		else
			e = take_option(&r, s);
	}
	l->args.words = l->words;
	e = e ? e : check_noun(l);
	return e ? e : check_count(l);
}

static int say_version(void)
{
	puts("vigia " VIGIA_VERSION);
	return DONE;
}

int line_run(struct line *l)
{
	const struct command *c = l->command;
	if (l->version)
		return say_version();
	if (!c) {
		help_all(&l->v, l->help ? stdout : stderr);
		return l->help ? DONE : USAGE;
	}
	if (l->help) {
		help_command(&l->v, c, stdout);
		return DONE;
	}
	int r = c->alone ? DONE : vigia_connect(&l->v);
	return r ? r : c->run(&l->v, &l->args);
}
