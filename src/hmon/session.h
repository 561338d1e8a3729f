/* SPDX-License-Identifier: Apache-2.0 */
/* One connection of a monitor to its node, from <hmon> to </hmon>. */
#ifndef VIGIA_HMON_SESSION_H
#define VIGIA_HMON_SESSION_H

#include "hmon/monitor.h"

struct session_terms {
	const char *options; /* used instead of what the node sends; NULL: the node's */
	const char *secret;  /* shown to the node; NULL: none */
	void (*keep_secret)(void *data, const char *secret);
	void *data;
};

/* Serves until the node closes (0, or why the last options could not be taken), h->end_fd turns readable
 * (-ECANCELED) or the connection fails. Closes fd. */
int session_run(struct hmon *h, int fd, const struct session_terms *terms);

#endif
