/* SPDX-License-Identifier: Apache-2.0 */
/* One attempt at a master: dial it, then find out whether the path keeps urgent data (docs/hmon.md, "Beats"). */
#ifndef VIGIA_HEALTH_REACH_H
#define VIGIA_HEALTH_REACH_H

#include <stdbool.h>
#include <stdint.h>

#include "net/net.h"

struct reach;
/* fd: taken, nothing but the probe was sent on it; or -errno. The attempt is over. */
typedef void reach_fn(void *data, int fd, bool urgent);

struct reach_patience {
	int64_t connect_ms; /* an address; 0: the dial's own */
	int64_t probe_ns;   /* 0: the probe's own */
	bool secure;	    /* TLS comes next: no probe, no urgent data */
};

int reach_start(struct reach **ret, struct net *net, const char *address, const struct reach_patience *patience,
    reach_fn *fn, void *data);
/* fn is not called. */
void reach_cancel(struct reach *r);

#endif
