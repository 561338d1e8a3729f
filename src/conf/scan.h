/* SPDX-License-Identifier: Apache-2.0 */
/* The first pass over a file: takes the monitors' sections out, verbatim, and finds names that nobody knows, all of
 * them. What remains in the text is for libconfuse. */
#ifndef VIGIA_CONF_SCAN_H
#define VIGIA_CONF_SCAN_H

#include "conf/conf.h"
#include "conf/faults.h"

/* Blanks out in `text` (n bytes and a NUL) what it took or refused; adds to c->monitors. -ENOMEM. */
int scan(struct conf *c, char *text, size_t n, struct faults *f);

#endif
