/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vigia/path.h"
#include "tools/vigia/vigia.h"

static int on_answer(void *data, const struct msg *m)
{
	return 0;
}

static int forget(struct vigia *v, const struct path *p, void *data)
{
	struct msg *q = vigia_query(v, p->monitor ? "monitor" : "node", "forget");
	path_set(p, q);
	return vigia_ask(v, q, on_answer, NULL);
}

static int run(struct vigia *v, const struct args *a)
{
	return each_path(v, a, forget, NULL);
}

const struct command forget_command = {.name = "forget",
    .words = "NODE[/MONITOR]",
    .doc = "forgets a node or monitor that is gone for good, with its secret",
    .more = "  It must not be connected; a monitor is forgotten on its own node. What it measured stays in the history.\n"
	    "  Only for root and the daemon's own user, on its own socket.\n",
    .words_min = 1,
    .words_max = 1,
    .completes = COMPLETE_PATHS,
    .run = run};
