/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vigia/rate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

double rate_now(const struct rate *r)
{
	return r->seconds > 0 ? r->grown / r->seconds : NAN;
}

double rate_take(struct rate *r, int64_t time_ns, double value)
{
	if (isnan(value) || time_ns <= r->time_ns)
		return NAN;
	r->grown = value >= r->value ? value - r->value : value;
	r->seconds = r->time_ns ? (double)(time_ns - r->time_ns) / 1e9 : 0;
	r->time_ns = time_ns;
	r->value = value;
	return rate_now(r);
}

void rate_put(struct buf *out, double per_s)
{
	int decimals = 0;
	for (double y = fabs(per_s); decimals < 6 && y < 9999.5 && y > 0; y *= 10)
		decimals++;
	buf_putf(out, "%.*f", decimals, per_s);
}

void rate_cells(struct table *t, double per_s, const char *unit)
{
	struct buf value = BUF_INIT, per = BUF_INIT;
	bool none = isnan(per_s);
	if (!none)
		rate_put(&value, per_s);
	buf_putf(&per, "%s/s", unit && strcmp(unit, "1") ? unit : "");
	table_text(t, none ? NULL : buf_str(&value));
	table_cell(t, strcmp(buf_str(&per), "/s") ? buf_str(&per) : "1/s", buf_str(&per), TONE_NONE);
	buf_release(&value);
	buf_release(&per);
}

/* --- things by name --- */

struct named {
	char *name;
};

static void release_all(struct names *all)
{
	for (size_t i = 0; i < all->n; i++) {
		free(((struct named *)all->things[i])->name);
		free(all->things[i]);
	}
	names_release(all);
}

/* Found, or made with room for `size` bytes; NULL: no memory. */
static void *named(struct names *all, const char *name, size_t size)
{
	struct named *t = names_find(all, name);
	if (t)
		return t;
	t = calloc(1, size);
	if (t && (t->name = strdup(name)) && !names_add(all, t))
		return t;
	if (t)
		free(t->name);
	free(t);
	return NULL;
}

struct rated *rated_named(struct names *all, const char *node, const char *monitor, const char *metric)
{
	char name[300];
	snprintf(name, sizeof name, "%s/%s/%s", node, monitor, metric);
	return named(all, name, sizeof(struct rated));
}

void rated_release(struct names *all)
{
	release_all(all);
}

/* --- which are counters --- */

static int on_config(void *data, const struct msg *m)
{
	struct counters *c = data;
	char name[200];
	for (const struct msg *k = m->children; k; k = k->next) {
		snprintf(name, sizeof name, "%s/%s", msg_get(m, "monitor", ""), msg_get(k, "name", ""));
		if (!strcmp(msg_get(k, "type", ""), "counter"))
			named(&c->known, name, sizeof(struct named));
	}
	return 0;
}

int counters_ask(struct counters *c, struct vigia *v, const struct path *p)
{
	struct msg *q = vigia_query(v, "config", "get");
	path_set(p, q);
	int r = vigia_ask(v, q, on_config, c);
	if (r || c->known.n)
		return r;
	complain("no counter is named so; --rate is for counters: `vigia list NODE/MONITOR` says which are");
	path_there(v, p);
	return WRONG;
}

bool counters_have(const struct counters *c, const char *monitor, const char *metric)
{
	char name[200];
	snprintf(name, sizeof name, "%s/%s", monitor, metric);
	return names_find(&c->known, name);
}

void counters_release(struct counters *c)
{
	release_all(&c->known);
}
