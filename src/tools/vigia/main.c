/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/vigia/text.h"
#include "tools/vigia/vigia.h"

static bool wants_colour(void)
{
	const char *none = getenv("NO_COLOR"), *term = getenv("TERM");
	return isatty(STDOUT_FILENO) && !(none && *none) && term && strcmp(term, "dumb");
}

static int say_version(void)
{
	puts("vigia " VIGIA_VERSION);
	return DONE;
}

static int run(struct line *l)
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

/* A full disk below our output is a failure, not a detail. */
static int finish(int result)
{
	if (!fflush(stdout) && !ferror(stdout))
		return result;
	complain("standard output can't be written");
	return result ? result : WRONG;
}

int main(int argc, char **argv)
{
	struct line l = {0};
	l.v.unicode = text_unicode();
	l.v.terminal = isatty(STDOUT_FILENO);
	l.v.colour = wants_colour();
	int r = line_read(&l, argc, argv);
	if (!r)
		r = run(&l);
	client_close(l.v.client);
	return finish(r);
}
