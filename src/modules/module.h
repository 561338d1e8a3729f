/* SPDX-License-Identifier: Apache-2.0 */
/* Services that the daemon loads: modules built from the source of a program's service (libvigia/vigia.h, VIGIA_OFFER). */
#ifndef VIGIA_MODULES_MODULE_H
#define VIGIA_MODULES_MODULE_H

#include "core/core.h"

/* Is there service-NAME.so in `dir`? */
bool module_is_there(const char *dir, const char *name);
/* Loads it, for good. -ENOENT: there is none; -ELIBACC: it can't be loaded; -ELIBBAD: it is no such module, or was built with
 * another header; -ENOMEM. `why` says what and where. */
int module_load(const struct service **ret, const char *dir, const char *name, struct buf *why);

#endif
