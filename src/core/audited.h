/* SPDX-License-Identifier: Apache-2.0 */
/* What the audit log is told of calls and connections: who asked for what, and what became of it. Every operation that changes
 * something, when it is over (one that streams also when it has begun), and every refusal of whatever. Nothing where the core
 * has no log.
 *
 * Of arguments it keeps what the daemon's own tables know, shortened; of bytes and words, which may be anything, how many; of
 * operations of programs and of other hosts the names alone. */
#ifndef VIGIA_CORE_AUDITED_H
#define VIGIA_CORE_AUDITED_H

#include "core/core.h"

/* May it change something now, where it does? If not, the call has failed. 0 or -1. */
int audited_may_change(struct call *c);
void audited_begun(struct call *c);
/* code NULL: it went well. */
void audited_over(struct call *c, const char *code);
/* Its asker has gone before it was over. */
void audited_gone(struct call *c);
void audited_handed_on(struct call *c, const char *to);

/* Something else that was asked, and refused: what as "connection.open"; why for people. */
void audited_refusal(const struct asker *a, const char *what, const char *code, const char *why);
/* A signal had the daemon do what an operation does. code NULL: it went well. */
void audited_signal(struct core *core, const char *what, const char *code);
/* What is wrong with the log; 0: nothing. */
int audited_trouble(const struct core *core, struct buf *ret_what);

#endif
