/* SPDX-License-Identifier: Apache-2.0 */
/* Any operation of any service, by its name: what it takes is asked of the daemon, so services that came after this
 * program are as good as those before. */
#ifndef VIGIA_TOOLS_OPERATION_H
#define VIGIA_TOOLS_OPERATION_H

#include "tools/vigia/vigia.h"

/* Asks words[0], "NOUN.VERB", with the other words as its arguments: NAME=VALUE, or values in their order. */
int operation_run(struct vigia *v, const char *const *words, int n);
/* Asks for it once for each value of its one argument (or "at": of the host that is asked), all at once; without values, once. */
enum { OPERATION_MOST = 100 };
int operation_run_each(struct vigia *v, const char *name, const char *argument, const char *const *values, int n);
/* As the daemon tells of it, or else that of the host `at`, if one is said (free it): <operation>. USAGE, and what there is like it is said: there is none. */
int operation_describe(struct vigia *v, const char *name, const char *at, struct msg **ret);
/* Is there an operation or service of this name, but not chosen on that host? Then it has been said. */
bool operation_left_out(struct vigia *v, const char *name);
/* What it does and takes. */
int operation_help(struct vigia *v, const char *name);
/* Those of a service, or with a noun, a line each; false: there is none of this name, or nobody to ask. */
bool operation_help_service(struct vigia *v, const char *name);
/* Each operation's name to fn, in the daemon's order; what fn returns but 0 ends it. */
int operation_each(struct vigia *v, int (*fn)(void *data, const char *name, const char *doc), void *data);

extern const struct command operation_command;

#endif
