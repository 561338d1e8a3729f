/* SPDX-License-Identifier: Apache-2.0 */
/* What may take long, or load libraries that the daemon shall not have, a program finds out: its output is the answer. */
#ifndef VIGIA_OS_ASK_H
#define VIGIA_OS_ASK_H

#include "os/runs.h"

/* error: it could not be started, or wrote more than was wanted; 0 also when it wrote nothing. */
typedef void ask_done_fn(void *owner, int error, const char *text, size_t n);

struct ask;

/* words: as struct launch's arguments. most: bytes of the answer. `done` is called once, and not after ask_drop(). */
int ask_start(struct runs *runs, int sources, const char *const *words, size_t most, ask_done_fn *done, void *owner,
    struct ask **ret);
void ask_drop(struct ask *a);

#endif
