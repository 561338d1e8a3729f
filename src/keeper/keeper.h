/* SPDX-License-Identifier: Apache-2.0 */
/* The process that vigiad started. It does nothing but have a worker, which serves, and another one when that dies: so
 * vigiad never forks while it serves, and has its helper and its launcher back all the same.
 *
 * In ps(1) the worker has its trade's name, and this is vigia-keeper. It ends when vigiad closes the socket, and by no
 * signal but KILL; its worker ends with it. */
#ifndef VIGIA_KEEPER_KEEPER_H
#define VIGIA_KEEPER_KEEPER_H

#include <stdbool.h>
#include <stdint.h>

struct trade {
	const char *name;
	/* What the worker started, and what that left behind, ends with it, and can't gain rights. */
	bool ends_programs;
	/* 0: vigiad has closed; or negative errno. */
	int (*serve)(int socket, const void *what);
	const void *what;
};

/* Returns when vigiad has closed: 0; or negative errno when it can keep nobody any more. */
int keeper_run(int socket, const struct trade *trade);

/* How long to wait after a life of `lived_ns`, when the last time it was `last_ms` (0: there was none). */
int keeper_backoff_ms(int last_ms, int64_t lived_ns);

#endif
