/* SPDX-License-Identifier: Apache-2.0 */
/* Ctrl-C and its like, for what ends itself in good order. Until interrupt_catch() they do what the system
 * has them do: end the program. */
#ifndef VIGIA_TOOLS_INTERRUPT_H
#define VIGIA_TOOLS_INTERRUPT_H

#include <stdbool.h>

/* From now on SIGINT, SIGTERM and SIGHUP (where it is not ignored) are told here. */
void interrupt_catch(void);
/* One came since the last clear. */
bool interrupt_came(void);
/* It was one that ends programs, not only what they do: clearing does not take that back. */
bool interrupt_leaves(void);
void interrupt_clear(void);
/* Readable while one came, for poll(); -1 as long as none is caught. */
int interrupt_fd(void);

#endif
