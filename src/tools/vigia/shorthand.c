/* SPDX-License-Identifier: Apache-2.0 */
/* Short words for operations that people ask for most: the daemon knows whether it has them. */
#include "tools/vigia/operation.h"

static int run(struct vigia *v, const struct args *a)
{
	return operation_run_each(v, a->command->operation, a->command->argument, a->words, a->n);
}

#define SHORTHAND(word, op, arg)                                                                             \
	.name = word, .operation = op, .argument = arg, .run = run, .more = "  It is the operation " op ".\n"

const struct command shorthands[] = {
    [SHORT_FIND] = {SHORTHAND("find", "host.find", "host"), .words = "NAME", .doc = "a host's identifier",
	.words_min = 1, .words_max = 1, .completes = COMPLETE_NODES},
    [SHORT_PS] = {SHORTHAND("ps", "process.list", "at"), .words = "[HOST]", .doc = "processes of a host",
	.words_max = 1, .completes = COMPLETE_NODES},
    [SHORT_SLIST] = {SHORTHAND("slist", "service.list", "at"), .words = "[HOST]",
	.doc = "services of a host", .words_max = 1, .completes = COMPLETE_NODES},
};
