/* SPDX-License-Identifier: Apache-2.0 */
/* Lines from a terminal, edited by libedit. While a line is read Ctrl-C is an interrupt (interrupt.h), and
 * the terminal's size is followed; in between the terminal and its signals are as they were before. One at a
 * time. */
#ifndef VIGIA_TOOLS_EDITOR_H
#define VIGIA_TOOLS_EDITOR_H

#include "tools/vigia/candidates.h"

struct editor;

struct editor_calls {
	const char *(*prompt)(void *data);
	/* As candidates_find(). */
	int (*complete)(void *data, struct candidates *ret, const char *line, size_t n);
	void *data;
};

/* NULL: this terminal can't be used, or there is no memory. `calls` is borrowed. */
struct editor *editor_new(const struct editor_calls *calls);
void editor_free(struct editor *e);
/* A line for the arrow keys to find. */
void editor_remember(void *e, const char *line);
/* 1 with the line, which the next call ends; 0: Ctrl-D, or the terminal is gone; -EINTR: interrupted. */
int editor_line(struct editor *e, const char **ret);

#endif
