/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "tools/vigia/near.h"
#include "tools/vigia/vigia.h"

extern const struct command audit_command, status_command, top_command, list_command, get_command, watch_command,
    history_command, events_command, info_command, limits_command, reload_command, forget_command,
    completion_command, stubs_command, token_command, join_command, login_command, logout_command, config_command, cert_command;

/* In the order of the help. */
const struct command *const commands[] = {&status_command, &top_command, &list_command, &get_command,
    &watch_command, &history_command, &events_command, &info_command, &audit_command, &limits_command, &reload_command, &forget_command,
    &shorthands[SHORT_ADD], &shorthands[SHORT_DEL], &shorthands[SHORT_FIND], &shorthands[SHORT_PS],
    &shorthands[SHORT_SLIST], &token_command, &join_command, &cert_command, &login_command, &logout_command, &config_command, &stubs_command, &help_command_entry, &completion_command, &quit_command, NULL};

const struct flag global_flags[] = {
    {"at", "HOST[:PORT]|SOCKET", "the daemon to ask; else $VIGIA_SOCKET, your own, then the system's"},
    {"cert", "DIRECTORY", "for a daemon elsewhere: a certificate and its key, as `vigia cert` made them; else $VIGIA_CERT"},
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

const struct command *command_nearest(const char *name)
{
	struct near near = {.name = name};
	for (const struct command *const *c = commands; *c; c++)
		near_take(&near, (*c)->name);
	return near.alike ? command_find(near.best[0].name) : NULL;
}
