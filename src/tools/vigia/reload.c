/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vigia/vigia.h"

static int on_answer(void *data, const struct msg *m)
{
	if (*m->text)
		complain("%s", m->text);
	return 0;
}

static int run(struct vigia *v, const struct args *a)
{
	return vigia_ask(v, vigia_query(v, "master", "reload"), on_answer, NULL);
}

const struct command reload_command = {.name = "reload",
    .words = "",
    .doc = "has the daemon read its configuration again",
    .more = "  Connections stay. With an error in the file the daemon says so and goes on with what it has.\n"
	    "  Only for root and the daemon's own user, on its own socket.\n",
    .run = run};
