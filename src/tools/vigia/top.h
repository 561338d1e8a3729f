/* SPDX-License-Identifier: Apache-2.0 */
/* `vigia top`: the figures that it shows of each node, said once for the screen and for plain lines. */
#ifndef VIGIA_TOOLS_TOP_H
#define VIGIA_TOOLS_TOP_H

#include "tools/vigia/live.h"

struct figure {
	const char *name; /* for machines, and --sort */
	const char *heading;
	int width, decimals;			     /* for people; decimals -1: bytes */
	double (*value)(const struct fleet_node *n); /* NAN: not known */
	enum tone (*tone)(const struct fleet_node *n);
	const char *doc;
};
extern const struct figure figures[]; /* ends with a nameless one */
void figure_put(struct buf *out, const struct figure *f, double value);

struct order {
	int figure; /* of figures; or one of those below */
	bool reverse;
};
enum { BY_NAME = -1, BY_STATE = -2 };
bool order_parse(struct order *o, const char *name);

/* Nodes whose name holds `filter` (or fits it, with * and ?), in order. The caller frees it. */
struct fleet_node **top_sort(const struct fleet *f, const struct order *o, const char *filter, size_t *ret_n);
bool filter_fits(const char *filter, const char *name);

/* screen.c: full screen, until the user leaves. Exit code. */
int screen_run(struct live *l, struct order order, const char *filter);

#endif
