/* SPDX-License-Identifier: Apache-2.0 */
/* The names most like one that does not exist: candidates come one by one, the best few are kept. */
#ifndef VIGIA_TOOLS_NEAR_H
#define VIGIA_TOOLS_NEAR_H

#include <stdbool.h>
#include <stddef.h>

enum { NEAR_MOST = 5, NEAR_NAME = 200 };

struct near {
	const char *name; /* what was said; borrowed */
	struct near_found {
		char name[NEAR_NAME];
		int distance;
	} best[NEAR_MOST];     /* nearest first */
	size_t n, alike, seen; /* kept; of those, like it; given */
};

enum { NEAR_FAR = 1000 };

/* Letters to add, take away or change; 0 when `candidate` begins with `name`, 1 when it holds it. NEAR_FAR:
 * not alike. */
int near_distance(const char *name, const char *candidate);
/* Takes a candidate; of the same distance the earlier one stays. */
void near_take(struct near *s, const char *candidate);

#endif
