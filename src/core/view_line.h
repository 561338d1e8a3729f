/* SPDX-License-Identifier: Apache-2.0 */
/* A row of the view as a line of the file that keeps it, and back.
 *
 * `ID STATE REVISION NAME [ADDRESS...] SUM`: SUM is 8 hexadecimal digits over what is before it (FNV-1a, 32 bits), so that
 * a line that was torn or changed is no row.
 */
#ifndef VIGIA_CORE_VIEW_LINE_H
#define VIGIA_CORE_VIEW_LINE_H

#include "core/view.h"

enum { VIEW_LINE_MAX = 400 };

/* With its newline. */
void view_line_put(struct buf *to, const struct view_row *row);
/* A line without its newline. 0, or -EINVAL with what was expected. */
int view_line_get(const char *line, size_t n, struct view_row *ret, const char **ret_why);

typedef void view_fault_fn(void *data, size_t line, const char *why);
/* Each line of a text that is a row, in order; `fault` gets the others. What is behind the last newline was torn off while
 * it was written, and is left out. */
void view_lines_read(const char *text, size_t n, view_fn *fn, view_fault_fn *fault, void *data);

#endif
