/* SPDX-License-Identifier: Apache-2.0 */
/* What the word at the cursor of a console's line may become: commands, operations and their arguments,
 * options, names of what there is. The daemon is asked for what only it knows, and not waited for long. */
#ifndef VIGIA_TOOLS_CANDIDATES_H
#define VIGIA_TOOLS_CANDIDATES_H

#include <stdbool.h>
#include <stddef.h>

#include "tools/vigia/vigia.h"

enum { CANDIDATES_MOST = 500 };

struct candidates {
	char *word;	/* as it is so far, without quotes */
	char quote;	/* the one that is open at its end; 0: none */
	char **names;	/* what it may become, whole, in order, each once */
	size_t n, size; /* kept: at most CANDIDATES_MOST */
	size_t seen;
};

/* Of the first n bytes of a line. 0 or -errno: nothing to say, nothing to release. Complains of nothing. */
int candidates_find(struct candidates *c, struct vigia *v, const char *line, size_t n);
void candidates_release(struct candidates *c);

/* Bytes that all of them begin with; at least the word's. 0: there are none. */
size_t candidates_common(const struct candidates *c);
/* n bytes of a name after its first `from`, as they are typed within the word's quotes; `whole`: and the word
 * is over, unless more can follow ("n1/", "node="). False: these quotes can't hold them. */
bool candidates_put(
    const struct candidates *c, struct buf *out, const char *name, size_t from, size_t n, bool whole);

#endif
