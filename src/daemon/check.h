/* SPDX-License-Identifier: Apache-2.0 */
/* Beyond what the configuration's file alone tells. vigiad --check: can each master's name be found, and is each monitor's section what
 * its program can take? The program itself is asked (HMON's query `check`), started as it would be, by the helper. */
#ifndef VIGIA_DAEMON_CHECK_H
#define VIGIA_DAEMON_CHECK_H

#include "conf/conf.h"
#include "core/core.h"
#include "os/helper.h"
#include "platform/platform.h"

/* Which platform is meant: where it is a module, that is loaded from `dir`, and stays. A line in `errors` and what
 * platform_find() says where there is none. */
int check_platform(const struct conf *c, const char *file, const char *dir, const struct platform_type **ret,
    struct buf *errors);
/* `errors` gets a line for each mistake, `notes` one for each program that does not say. 0, or -EINVAL. */
/* A line for each of `operators` that is no user, or root. */
int check_operators(const struct conf *c, const char *file, struct buf *errors);
/* Their uids; how many: those that check_operators() would refuse are left out. */
size_t operators_of(const struct conf *c, uid_t ret[CORE_OPERATORS_MAX]);
int check_masters(const struct conf *c, const char *file, struct buf *errors);
int check_monitors(const struct conf *c, const char *file, struct helper *h, struct buf *errors, struct buf *notes);

#endif
