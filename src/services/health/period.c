/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "os/clock.h"
#include "services/health/health.h"
#include "services/health/recent.h"

static const int64_t DAY_NS = 86400LL * 1000000000;

bool period_time_ok(int64_t time_ns)
{
	return time_ns >= 0 && time_ns <= clock_wall_ns() + DAY_NS;
}

static void keep(struct health *h, struct monitor *m)
{
	if (!m->history)
		m->history = history_monitor(h->history, m->node->name, m->name);
	if (!m->history) {
		m->lost++;
		return;
	}
	struct history_period p = {.at = m->at, .time_ns = m->time_ns, .values = m->values};
	history_append(h->history, m->history, m->config, &p);
}

static bool follows(const struct recent *r, struct history_position before)
{
	struct history_position last = recent_last(r);
	if (!last.boot)
		last = recent_before(r);
	return last.boot == before.boot && last.sequence == before.sequence;
}

static void keep_for_masters(struct health *h, struct monitor *m, const struct period *p,
    struct history_position before)
{
	/* There were no masters for a while, or this life was numbered anew: the disk has what came before. */
	if (m->recent && (!follows(m->recent, before) || p->at.boot != before.boot)) {
		recent_free(m->recent);
		m->recent = NULL;
	}
	if (!m->recent)
		m->recent = recent_new(before);
	if (m->recent)
		recent_put(m->recent, m->config, p->at, p->time_ns, p->full, p->text, p->len, m->values);
	uplinks_period(h, m);
}

int period_take(struct health *h, struct monitor *m, const struct period *p, const char **ret_why)
{
	size_t offset;
	struct history_position before = m->at;
	int r = row_decode(&h->row, p->text, p->len, m->config, m->values, p->full, ret_why, &offset);
	if (r)
		return r;
	r = row_apply(&h->row, m->values);
	h->row_full = p->full;
	m->at = p->at;
	m->time_ns = p->time_ns;
	m->arrived_ns = clock_mono_ns();
	h->figures.periods++;
	h->figures.values += m->config->n;
	if (m->told_late) {
		m->told_late = false;
		event_put(h, "monitor-current", m->node->name, m->name, "sends again");
	}
	if (h->history)
		keep(h, m);
	else if (h->options.history)
		m->lost++; /* its file can't be opened yet */
	if (m->node->self && h->uplinks)
		keep_for_masters(h, m, p, before);
	if (h->subscriptions)
		subscribe_period(h, m);
	return r;
}
