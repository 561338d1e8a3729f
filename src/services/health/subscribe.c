/* SPDX-License-Identifier: Apache-2.0 */
/* Changes as they come. A reader that lags is not waited for and not fed without bound: periods are left out, and
 * the next one it gets says how many and is whole again. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "services/health/health.h"

enum { BEHIND = 65536 };

struct skipped {
	struct monitor *monitor;
	uint64_t n;
};

struct subscription {
	struct call *call;
	const char *node, *monitor, *metric;
	struct skipped *skipped; /* by address */
	size_t skipped_n, skipped_size;
	struct subscription *next;
};

static bool wanted(const struct subscription *s, const struct monitor *m)
{
	return pattern_match(s->node, m->node->name) && pattern_match(s->monitor, m->name);
}

/* Where m is or belongs: ten thousand monitors are skipped for a reader of everything that stalls. */
static size_t place_of(const struct subscription *s, const struct monitor *m)
{
	size_t from = 0, to = s->skipped_n;
	while (from < to) {
		size_t middle = (from + to) / 2;
		if (s->skipped[middle].monitor < m)
			from = middle + 1;
		else
			to = middle;
	}
	return from;
}

static struct skipped *skipped_of(struct subscription *s, const struct monitor *m)
{
	size_t i = place_of(s, m);
	return i < s->skipped_n && s->skipped[i].monitor == m ? &s->skipped[i] : NULL;
}

static bool make_room(struct subscription *s)
{
	if (s->skipped_n < s->skipped_size)
		return true;
	size_t size = s->skipped_size ? s->skipped_size * 2 : 8;
	struct skipped *more = realloc(s->skipped, size * sizeof *more);
	if (!more)
		return false;
	s->skipped = more;
	s->skipped_size = size;
	return true;
}

static void remove_skipped(struct subscription *s, struct skipped *k)
{
	struct skipped *end = s->skipped + s->skipped_n--;
	memmove(k, k + 1, (size_t)(end - k - 1) * sizeof *k);
}

/* n periods of m are left out; 0: it is only to be told whole when there is room. */
static void skip(struct health *h, struct subscription *s, struct monitor *m, unsigned n)
{
	size_t i = place_of(s, m);
	h->figures.subscription_skips += n;
	if (i == s->skipped_n || s->skipped[i].monitor != m) {
		if (!make_room(s))
			return;
		memmove(s->skipped + i + 1, s->skipped + i, (s->skipped_n++ - i) * sizeof *s->skipped);
		s->skipped[i] = (struct skipped){.monitor = m};
	}
	s->skipped[i].n += n;
}

static void give(struct subscription *s, struct monitor *m, const struct row *changed)
{
	struct skipped *k = skipped_of(s, m);
	struct msg *msg = values_message(s->call, m, s->metric, k ? NULL : changed);
	if (!msg)
		return;
	if (k || !changed)
		msg_set_flag(msg, "full", true);
	if (k) {
		if (k->n)
			msg_set_int(msg, "lost", (int64_t)k->n);
		remove_skipped(s, k);
	}
	if (msg->children)
		call_send(s->call, msg);
	else
		msg_free(msg);
}

void subscribe_forget(struct health *h, const struct node *n)
{
	for (struct subscription *s = h->subscriptions; s; s = s->next) {
		size_t kept = 0;
		for (size_t i = 0; i < s->skipped_n; i++)
			if (s->skipped[i].monitor->node != n)
				s->skipped[kept++] = s->skipped[i];
		s->skipped_n = kept;
	}
}

void subscribe_period(struct health *h, struct monitor *m)
{
	for (struct subscription *s = h->subscriptions, *next; s; s = next) {
		next = s->next;
		if (!wanted(s, m))
			continue;
		if (call_pending(s->call) > BEHIND)
			skip(h, s, m, 1);
		else
			give(s, m, h->row_full ? NULL : &h->row);
	}
}

/* What was left out and comes no more by itself goes when there is room: the newest period, whole, which is then not
 * one of the lost. */
static void catch_up(struct health *h, struct subscription *s)
{
	for (size_t n = s->skipped_n; n && call_pending(s->call) < BEHIND; n--) {
		struct skipped *k = &s->skipped[n - 1];
		unsigned newest = k->n != 0;
		k->n -= newest;
		h->figures.subscription_skips -= newest;
		give(s, k->monitor, NULL);
	}
}

int query_subscribe_more(struct call *c)
{
	catch_up(health_of(c->core), c->state);
	return CALL_MORE;
}

static void give_all(struct health *h, struct subscription *s)
{
	for (size_t i = 0; i < h->cluster.nodes.n; i++) {
		struct node *n = h->cluster.nodes.things[i];
		for (size_t k = 0; k < n->monitors.n; k++) {
			struct monitor *m = n->monitors.things[k];
			if (!m->config || m->removed || !m->at.boot || !wanted(s, m))
				continue;
			if (call_pending(s->call) > BEHIND)
				skip(h, s, m, 0);
			else
				give(s, m, NULL);
		}
	}
}

int query_subscribe(struct call *c)
{
	struct health *h = health_of(c->core);
	if (query_check_names(c, c->args[0].text, c->args[1].text))
		return -1;
	struct subscription *s = calloc(1, sizeof *s);
	if (!s)
		return call_fail(c, "failed", "no memory");
	*s = (struct subscription){.call = c, .node = c->args[0].text, .monitor = c->args[1].text,
	    .metric = c->args[2].text, .next = h->subscriptions};
	c->state = s;
	h->subscriptions = s;
	give_all(h, s);
	return CALL_MORE;
}

void query_subscribe_over(struct call *c)
{
	struct health *h = health_of(c->core);
	for (struct subscription **p = &h->subscriptions; *p; p = &(*p)->next)
		if (*p == c->state) {
			struct subscription *s = *p;
			*p = s->next;
			free(s->skipped);
			free(s);
			return;
		}
}
