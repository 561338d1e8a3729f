/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VIGIA_LAUNCHER_ORDER_H
#define VIGIA_LAUNCHER_ORDER_H

#include <stddef.h>
#include <stdint.h>

#include "os/launch.h"

/* A program to be started, as os/launch_wire.h has it; its words stay where they were received. */
struct order {
	uint32_t id;
	uint32_t given;
	char *directory;
	char *words[LAUNCH_WORDS_MAX + 2]; /* the arguments and a NULL, the environment's and a NULL */
	char **environment;		   /* where those begin */
};

/* 0, or -EPROTO: these bytes are none. */
int order_read(char *bytes, size_t n, struct order *ret);

#endif
