/* SPDX-License-Identifier: Apache-2.0 */
/* A monitor at work: its table, options and values, without any connection. */
#ifndef VIGIA_HMON_MONITOR_H
#define VIGIA_HMON_MONITOR_H

#include "base/buf.h"
#include "hmon/hmon.h"
#include "hmon/options.h"
#include "hmon/set.h"

enum { NAME_SIZE = 64, LINE_SIZE = 256 };

struct hmon {
	const struct hmon_monitor *table;
	char name[NAME_SIZE];
	void *data;
	struct options options;
	struct set set;
	bool started;
	int end_fd;
	bool to_stderr;
	char last_line[LINE_SIZE];
	char last_trouble[LINE_SIZE]; /* with the connection */
	void (*tell)(void *teller, const char *line); /* errors, to the node; NULL: nobody */
	void *teller;
	struct buf *mistakes; /* errors go here, a line each, while options are taken; NULL: to people */
};

/* name: NULL for the table's. */
int monitor_init(struct hmon *h, const struct hmon_monitor *table, const char *name);
void monitor_release(struct hmon *h);
/* Goes under another name from now on: -EINVAL when it is none (docs/hmon.md, "Stanzas"). */
int monitor_name(struct hmon *h, const char *name);

/* Are these options right? On failure `why` has a line for each mistake. Nothing else changes. */
int monitor_check(struct hmon *h, const char *text, struct buf *why);
/* Takes options, anew if need be. On failure the monitor stands still, without metrics of hmon_add(), and
 * `why` has a line for each mistake. */
int monitor_configure(struct hmon *h, const char *text, struct buf *why);
/* One reading into the set. The error of read() is logged and returned; what it had set stays. */
int monitor_read(struct hmon *h);

/* The connection is in trouble, or well again: the same cause is logged once until then. */
void monitor_trouble(struct hmon *h, const char *format, ...) __attribute__((format(printf, 2, 3)));
void monitor_well(struct hmon *h);

#endif
