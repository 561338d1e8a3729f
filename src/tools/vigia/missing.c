/* SPDX-License-Identifier: Apache-2.0 */
/* A name that does not exist: which part of it, and what there is that is like it. */
#include <fnmatch.h>
#include <string.h>

#include "tools/vigia/near.h"
#include "tools/vigia/vigia.h"

/* One part of a path against what there is. */
struct looking {
	struct near near;
	const char *field; /* the answer's, where the name is; NULL: the names of its metrics */
	bool found;
};

static void look_at(struct looking *l, const char *name)
{
	l->found |= !fnmatch(l->near.name, name, 0);
	near_take(&l->near, name);
}

static int on_answer(void *data, const struct msg *m)
{
	struct looking *l = data;
	if (l->field)
		look_at(l, msg_get(m, l->field, ""));
	for (const struct msg *k = l->field ? NULL : m->children; k; k = k->next)
		look_at(l, msg_get(k, "name", ""));
	return 0;
}

/* `before`: the parts in front, with their slash. */
static void put_names(struct buf *out, const struct near *near, size_t n, const char *before)
{
	for (size_t i = 0; i < n; i++)
		buf_putf(out, "%s%s%s", i ? ", " : "", before, near->best[i].name);
}

/* What is like it; or all, when they are few; or where to look. */
static void put_hint(struct buf *out, const struct near *near, const char *before)
{
	size_t n = strpbrk(before, "*?") ? 0 : strlen(before);
	if (near->alike) {
		buf_puts(out, "; did you mean ");
		put_names(out, near, near->alike, before);
		buf_putc(out, '?');
	} else if (near->n && near->seen == near->n) {
		buf_puts(out, near->n == 1 ? "; there is " : "; there are ");
		put_names(out, near, near->n, before);
	} else {
		buf_putf(
		    out, "; `vigia list%s%.*s` says what there is", n ? " " : "", n ? (int)n - 1 : 0, before);
	}
}

/* Is it there? If not, it has said so, and what is like it. */
static bool there(struct vigia *v, struct msg *query, struct looking *l, const char *what, const char *before)
{
	struct buf out = BUF_INIT;
	if (vigia_ask(v, query, on_answer, l) || l->found)
		return true;
	buf_putf(&out, "no %s is named %s%s", what, before, l->near.name);
	put_hint(&out, &l->near, before);
	complain("%s", buf_str(&out));
	buf_release(&out);
	return false;
}

static bool node_there(struct vigia *v, const struct path *p)
{
	struct looking l = {.near.name = p->node, .field = "name"};
	return !p->node || there(v, vigia_query(v, "node", "list"), &l, "node", "");
}

static bool monitor_there(struct vigia *v, const struct path *p)
{
	struct looking l = {.near.name = p->monitor, .field = "monitor"};
	char before[80];
	if (!p->monitor)
		return true;
	snprintf(before, sizeof before, "%s/", p->node ? p->node : "*");
	struct msg *q = vigia_query(v, "monitor", "list");
	path_set(&(struct path){.node = p->node}, q);
	return there(v, q, &l, "monitor", before);
}

static bool metric_there(struct vigia *v, const struct path *p)
{
	struct looking l = {.near.name = p->metric};
	char before[160];
	if (!p->metric)
		return true;
	snprintf(before, sizeof before, "%s/%s/", p->node ? p->node : "*", p->monitor ? p->monitor : "*");
	struct msg *q = vigia_query(v, "config", "get");
	path_set(&(struct path){.node = p->node, .monitor = p->monitor}, q);
	return there(v, q, &l, "metric", before);
}

bool path_there(struct vigia *v, const struct path *p)
{
	return node_there(v, p) && monitor_there(v, p) && metric_there(v, p);
}

int nothing_named(struct vigia *v, const struct path *p)
{
	if (path_there(v, p))
		complain("nothing has been measured of it yet");
	return WRONG;
}
