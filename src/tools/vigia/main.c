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

static const char *papers(void)
{
	const char *given = getenv("VIGIA_CERT");
	return given && *given ? given : NULL;
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
	l.v.papers = papers();
	int r = line_read(&l, argc, argv);
	bool console = !l.command && !l.help && !l.version;
	if (!r)
		r = console ? console_run(&l.v) : line_run(&l);
	client_close(l.v.client);
	return finish(r);
}
