/* SPDX-License-Identifier: Apache-2.0 */
/* The user's own key, with which he acts on other hosts (decision 0025): in `login/` of his runtime directory, for 12 hours. */
#ifndef VIGIA_TOOLS_VIGIA_LOGIN_H
#define VIGIA_TOOLS_VIGIA_LOGIN_H

#include "tools/vigia/vigia.h"

/* A query of an operation that changes something on another host is signed, where the user has a key; else it is as it was. DONE, or an
 * exit code, having complained. */
int login_sign(struct vigia *v, const struct msg *operation, struct msg *query);

extern const struct command login_command, logout_command;

#endif
