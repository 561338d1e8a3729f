/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "tools/vigia/vigia.h"

extern const struct command status_command, top_command, list_command, get_command, watch_command,
    history_command, events_command, info_command, reload_command, forget_command, help_command_entry,
    completion_command;

/* In the order of the help. */
const struct command *const commands[] = {&status_command, &top_command, &list_command, &get_command,
    &watch_command, &history_command, &events_command, &info_command, &reload_command, &forget_command,
    &help_command_entry, &completion_command, NULL};

const struct flag global_flags[] = {
    {"at", "HOST:PORT|SOCKET", "the daemon to ask; else $VIGIA_SOCKET, your own, then the system's"},
    {"json", NULL, "one JSON document; of what goes on, a line each"},
    {"csv", NULL, "comma-separated values with a header"},
    {"help", NULL, "what there is"},
    {"version", NULL, "this command's version"},
    {NULL},
};

const struct command *command_find(const char *name)
{
	for (const struct command *const *c = commands; *c; c++)
		if (!strcmp((*c)->name, name))
			return *c;
	return NULL;
}

static int least(int a, int b, int c)
{
	int ab = a < b ? a : b;
	return ab < c ? ab : c;
}

/* Letters to add, take away or change: Levenshtein's, with one row kept. */
static int distance(const char *a, const char *b)
{
	int row[33];
	int n = (int)strlen(b);
	for (int i = 0; i <= n; i++)
		row[i] = i;
	for (int k = 1; *a; a++, k++) {
		int before = row[0];
		row[0] = k;
		for (int i = 1; i <= n; i++) {
			int here = row[i];
			row[i] = least(row[i] + 1, row[i - 1] + 1, before + (*a != b[i - 1]));
			before = here;
		}
	}
	return row[n];
}

const struct command *command_nearest(const char *name)
{
	const struct command *nearest = NULL;
	int best = 4;
	if (strlen(name) > 32)
		return NULL;
	for (const struct command *const *c = commands; *c; c++) {
		bool begins = *name && !strncmp((*c)->name, name, strlen(name));
		int d = begins ? 0 : distance(name, (*c)->name);
		if (d < best && d < (int)strlen((*c)->name)) {
			best = d;
			nearest = *c;
		}
	}
	return nearest;
}
