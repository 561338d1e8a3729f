/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "tools/vigia/operation.h"
#include "tools/vigia/vigia.h"

static const char *called(const struct vigia *v)
{
	return v->console ? "" : "vigia ";
}

static void put_head(struct vigia *v, const char *s, FILE *to)
{
	struct buf out = BUF_INIT;
	tone_put(&out, TONE_HEAD, v->colour && to == stdout, s, strlen(s));
	fprintf(to, "%s\n", buf_str(&out));
	buf_release(&out);
}

static void put_flags(const struct flag *flags, FILE *to)
{
	for (int i = 0; i < FLAGS_MAX && flags[i].name; i++) {
		char left[64];
		snprintf(left, sizeof left, "--%s%s%s", flags[i].name, flags[i].value ? " " : "",
		    flags[i].value ? flags[i].value : "");
		fprintf(to, "  %-26s %s\n", left, flags[i].doc);
	}
}

void help_all(struct vigia *v, FILE *to)
{
	fputs(v->console ? "A command a line; Tab completes, Ctrl-C ends what goes on, Ctrl-D or `quit` leaves.\n\n"
			 : "usage: vigia [OPTION...] [COMMAND [...]]\n\n"
			   "Without a command it opens a console: a command a line, from the terminal or a pipe.\n\n", to);
	put_head(v, "Commands", to);
	for (const struct command *const *c = commands; *c; c++)
		fprintf(to, "  %-26s %s\n", (*c)->name, (*c)->doc);
	fprintf(to, "  %-26s %s\n", operation_command.name, operation_command.doc);
	fputc('\n', to);
	put_head(v, "Options, for every command", to);
	put_flags(global_flags, to);
	fprintf(to, "\nNames are NODE/MONITOR/METRIC, parts left out are all, * and ? stand for any letters: "
	      "'*/host/load/*'.\n"
	      "`%shelp COMMAND` says more; so does vigia(1). Exit: 0 well, 1 something is wrong, 2 "
	      "usage, 3 no "
	      "daemon.\n",
	    called(v));
}

void help_command(struct vigia *v, const struct command *c, FILE *to)
{
	fprintf(to, "usage: %s%s%s%s%s\n\n  %s\n", called(v), c->name, c->flags[0].name ? " [OPTION...]" : "",
	    *c->words ? " " : "", c->words, c->doc);
	if (c->more)
		fprintf(to, "\n%s", c->more);
	fputc('\n', to);
	if (c->flags[0].name) {
		put_head(v, "Options", to);
		put_flags(c->flags, to);
		fputc('\n', to);
	}
	put_head(v, "Options, for every command", to);
	put_flags(global_flags, to);
}

/* Then it is told of. */
static bool is_service(struct vigia *v, const char *name)
{
	complaints(false);
	bool is = !vigia_connect(v) && operation_help_service(v, name);
	complaints(true);
	return is;
}

static bool is_left_out(struct vigia *v, const char *name)
{
	complaints(false);
	int r = vigia_connect(v);
	complaints(true);
	return !r && operation_left_out(v, name);
}

static int run(struct vigia *v, const struct args *a)
{
	if (!a->n) {
		help_all(v, stdout);
		return DONE;
	}
	if (strchr(a->words[0], '.')) {
		int r = vigia_connect(v);
		return r ? r : operation_help(v, a->words[0]);
	}
	const struct command *c = command_find(a->words[0]);
	if (!c && is_service(v, a->words[0]))
		return DONE;
	if (!c && is_left_out(v, a->words[0]))
		return USAGE;
	const struct command *nearest = c ? NULL : command_nearest(a->words[0]);
	if (c)
		help_command(v, c, stdout);
	else if (nearest)
		complain("there is no command \"%s\"; did you mean `%s`?", a->words[0], nearest->name);
	else
		complain("there is no command \"%s\"", a->words[0]);
	return c ? DONE : USAGE;
}

const struct command help_command_entry = {.name = "help",
    .words = "[COMMAND|SERVICE|NOUN.VERB]",
    .doc = "what there is, or all about a command, a service or an operation",
    .words_max = 1,
    .completes = COMPLETE_COMMANDS,
    .alone = true,
    .run = run};
