/* SPDX-License-Identifier: Apache-2.0 */
/* Short words for operations that people ask for most: the daemon knows whether it has them. */
#include <string.h>

#include "tools/vigia/operation.h"

static int run(struct vigia *v, const struct args *a)
{
	return operation_run_each(v, a->command->operation, a->command->argument, a->words, a->n);
}

/* All in one query, whose steps are shown as they come. */
static int run_together(struct vigia *v, const struct args *a)
{
	const char *words[1 + OPERATION_MOST] = {a->command->operation};
	if (a->n > OPERATION_MOST) {
		complain("more than %d at once", OPERATION_MOST);
		return USAGE;
	}
	memcpy(words + 1, a->words, (size_t)a->n * sizeof *words);
	return operation_run(v, words, 1 + a->n);
}

#define TOGETHER(word, op, arg)                                                                                   \
	.name = word, .operation = op, .argument = arg, .run = run_together,                                       \
	.more = "  It is the operation " op ", which takes more: `help " op "`.\n"

#define SHORTHAND(word, op, arg)                                                                             \
	.name = word, .operation = op, .argument = arg, .run = run, .more = "  It is the operation " op ".\n"

const struct command shorthands[] = {
    [SHORT_ADD] = {TOGETHER("add", "host.add", "host"), .words = "[USER@]HOST...",
	.doc = "starts vigiad on other hosts, over ssh, and has them join", .words_min = 1, .words_max = -1},
    [SHORT_DEL] = {TOGETHER("del", "host.remove", "host"), .words = "HOST...",
	.doc = "has hosts leave the cluster, and ends vigiad there", .words_min = 1, .words_max = -1,
	.completes = COMPLETE_NODES},
    [SHORT_FIND] = {SHORTHAND("find", "host.find", "host"), .words = "NAME", .doc = "a host's identifier",
	.words_min = 1, .words_max = 1, .completes = COMPLETE_NODES},
    [SHORT_PS] = {SHORTHAND("ps", "process.list", "at"), .words = "[HOST]", .doc = "processes of a host",
	.words_max = 1, .completes = COMPLETE_NODES},
    [SHORT_SLIST] = {SHORTHAND("slist", "service.list", "at"), .words = "[HOST]",
	.doc = "services of a host", .words_max = 1, .completes = COMPLETE_NODES},
};
