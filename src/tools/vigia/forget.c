/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vigia/vigia.h"

static int on_answer(void *data, const struct msg *m)
{
	return 0;
}

static int run(struct vigia *v, const struct args *a)
{
	struct msg *q = vigia_query(v, "node", "forget");
	msg_set(q, "node", a->words[0]);
	return vigia_ask(v, q, on_answer, NULL);
}

const struct command forget_command = {.name = "forget",
    .words = "NODE",
    .doc = "forgets a node that is gone for good, with its secret",
    .more = "  The node must not be connected. Only for root and the daemon's own user, on its own socket.\n",
    .words_min = 1,
    .words_max = 1,
    .completes = COMPLETE_NODES,
    .run = run};
