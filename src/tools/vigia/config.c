/* SPDX-License-Identifier: Apache-2.0 */
/* `vigia config HOST set OPTION VALUE` is settings.set at=HOST. */
#include <string.h>

#include "tools/vigia/operation.h"

enum { WORDS_MOST = 8 };

static const char *const verbs[] = {"get", "set", "unset", "reload", NULL};

static bool is_verb(const char *word)
{
	for (const char *const *v = verbs; *v; v++)
		if (!strcmp(*v, word))
			return true;
	return false;
}

static int run(struct vigia *v, const struct args *a)
{
	char at[80], name[16];
	const char *words[WORDS_MOST + 3];
	int n = 0, from = 0;
	const char *host = a->n && !is_verb(a->words[0]) ? a->words[from++] : NULL;
	const char *verb = from < a->n ? a->words[from++] : "get";
	if (!is_verb(verb) || a->n - from > WORDS_MOST) {
		complain("config: found \"%s\", expected [HOST] get, set, unset or reload", verb);
		return USAGE;
	}
	snprintf(name, sizeof name, "settings.%s", verb);
	words[n++] = name;
	while (from < a->n)
		words[n++] = a->words[from++];
	snprintf(at, sizeof at, "at=%s", host ? host : "");
	if (host)
		words[n++] = at;
	return operation_run(v, words, n);
}

const struct command config_command = {.name = "config",
    .words = "[HOST] [get|set|unset|reload] [ARGUMENT...]",
    .doc = "a host's configuration: shown, and changed while it runs",
    .more = "  get [PATTERN], set OPTION VALUE, unset OPTION, reload: the operations settings.get, .set, .unset and .reload. What is set stands over\n"
	    "  the file. A change is undone when what it changed does not come up, or when this command ends before.\n",
    .words_max = -1, .completes = COMPLETE_NODES, .run = run};
