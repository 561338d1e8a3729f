/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vigia/path.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static char *cut(char *s)
{
	char *slash = s ? strchr(s, '/') : NULL;
	if (slash)
		*slash++ = '\0';
	return slash;
}

static const char *or_all(const char *s)
{
	return s && *s ? s : NULL;
}

int path_init(struct path *p, const char *text, const char *self)
{
	size_t n = strlen(text);
	char *node = malloc(n + 2); /* room for a '*' at the end */
	if (!node)
		return -ENOMEM;
	memcpy(node, text, n + 1);
	char *monitor = cut(node);
	char *metric = cut(monitor);
	if (metric && *metric && text[n - 1] == '/')
		strcat(metric, "*");
	*p = (struct path){or_all(node), or_all(monitor), or_all(metric), node};
	if (!strcmp(node, "."))
		p->node = self;
	return 0;
}

void path_release(struct path *p)
{
	free(p->memory);
}

void path_set(const struct path *p, struct msg *query)
{
	if (p->node)
		msg_set(query, "node", p->node);
	if (p->monitor)
		msg_set(query, "monitor", p->monitor);
	if (p->metric)
		msg_set(query, "metric", p->metric);
}
