/* SPDX-License-Identifier: Apache-2.0 */
/* The daemon as a monitor of itself, `vigia`: one table says a metric's name, unit, meaning and where it comes from. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "os/clock.h"
#include "os/descriptors.h"
#include "services/health/health.h"

static const int64_t PERIOD_NS = 5000000000;

static int64_t resident_bytes(struct health *h)
{
	long pages = 0;
	FILE *f = fopen("/proc/self/statm", "re");
	if (!f || fscanf(f, "%*s %ld", &pages) != 1)
		pages = 0;
	if (f)
		fclose(f);
	return pages * sysconf(_SC_PAGESIZE);
}

static int64_t descriptors(struct health *h)
{
	return descriptors_open();
}

static int64_t cpu_ms(struct health *h)
{
	struct rusage u;
	getrusage(RUSAGE_SELF, &u);
	return (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000LL + (u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1000;
}

static int64_t loop_lag_us(struct health *h)
{
	int64_t lag = h->figures.loop_lag_ns / 1000;
	h->figures.loop_lag_ns = 0;
	return lag;
}

static int64_t pending_bytes(struct health *h)
{
	int64_t n = 0;
	for (const struct peer *p = h->core->peers; p; p = p->next)
		n += (int64_t)stream_pending(p->stream);
	return n;
}

static struct history_figures history_now(struct health *h)
{
	struct history_figures f = {0};
	if (h->history)
		history_figures(h->history, &f);
	return f;
}

#define FIGURE(name, expression) \
	static int64_t name(struct health *h) \
	{ \
		return (int64_t)(expression); \
	}
FIGURE(peers, h->core->figures.peers)
FIGURE(nodes, h->cluster.nodes.n)
FIGURE(monitors, h->cluster.monitors_n)
FIGURE(metrics, h->cluster.metrics_n)
FIGURE(periods, h->figures.periods)
FIGURE(values, h->figures.values)
FIGURE(duplicates, h->figures.duplicates)
FIGURE(bad_rows, h->figures.bad_rows)
FIGURE(strangers, h->figures.strangers)
FIGURE(skips, h->figures.subscription_skips)
FIGURE(refused, h->core->figures.refused)
FIGURE(overflows, h->core->figures.overflows)
FIGURE(history_queue, history_now(h).queued_bytes)
FIGURE(history_dropped, history_now(h).dropped)
FIGURE(history_bytes, history_now(h).file_bytes)

static const struct {
	const char *name, *unit, *doc;
	enum metric_type type;
	uint8_t scale;
	int64_t (*read)(struct health *h);
} table[] = {
    {"loop/lag", "us", "longest a turn of the loop took in this period", METRIC_GAUGE, 0, loop_lag_us},
    {"process/cpu", "s", "processor time used", METRIC_COUNTER, 3, cpu_ms},
    {"process/memory", "By", "resident memory", METRIC_GAUGE, 0, resident_bytes},
    {"process/descriptors", "1", "open descriptors", METRIC_GAUGE, 0, descriptors},
    {"peers/connected", "1", "connections", METRIC_GAUGE, 0, peers},
    {"peers/pending", "By", "waiting for peers to read", METRIC_GAUGE, 0, pending_bytes},
    {"peers/refused", "1", "connections refused or closed for a fault", METRIC_COUNTER, 0, refused},
    {"peers/overflows", "1", "connections closed because their peer did not read", METRIC_COUNTER, 0, overflows},
    {"cluster/nodes", "1", "nodes known", METRIC_GAUGE, 0, nodes},
    {"cluster/monitors", "1", "monitors known", METRIC_GAUGE, 0, monitors},
    {"cluster/metrics", "1", "metrics known", METRIC_GAUGE, 0, metrics},
    {"periods/taken", "1", "periods taken in", METRIC_COUNTER, 0, periods},
    {"periods/values", "1", "values in them, unchanged ones counted", METRIC_COUNTER, 0, values},
    {"periods/duplicates", "1", "periods that were known already", METRIC_COUNTER, 0, duplicates},
    {"periods/bad", "1", "periods refused", METRIC_COUNTER, 0, bad_rows},
    {"subscriptions/skipped", "1", "periods left out for slow readers", METRIC_COUNTER, 0, skips},
    {"strangers", "1", "nodes and monitors refused for want of their secret", METRIC_COUNTER, 0, strangers},
    {"history/queue", "By", "waiting for the disk", METRIC_GAUGE, 0, history_queue},
    {"history/dropped", "1", "periods that history lost", METRIC_COUNTER, 0, history_dropped},
    {"history/size", "By", "the history's file", METRIC_GAUGE, 0, history_bytes},
};
enum { TABLE_N = sizeof table / sizeof *table, N = TABLE_N + 1 };

struct self {
	uv_timer_t timer;
	uv_prepare_t prepare;
	uv_check_t check;
	int64_t turn_began_ns;
	struct health *health;
	struct monitor *monitor;
};
static struct self self;

static int fill_metric(struct metric *m, const char *name, const char *unit, const char *doc, enum metric_type type)
{
	m->name = strdup(name);
	m->unit = strdup(unit);
	m->doc = strdup(doc);
	m->type = type;
	return m->name && m->unit && m->doc ? 0 : -ENOMEM;
}

static struct config *make_config(void)
{
	struct config *c = config_new(N);
	const char *why;
	size_t at;
	int r = c ? 0 : -ENOMEM;
	for (int i = 0; i < TABLE_N && !r; i++) {
		r = fill_metric(&c->metrics[i], table[i].name, table[i].unit, table[i].doc, table[i].type);
		c->metrics[i].scale = table[i].scale;
	}
	if (!r)
		r = fill_metric(&c->metrics[TABLE_N], "error/last", "", "the last thing that went wrong here", METRIC_TEXT);
	if (!r) {
		c->period_ns = PERIOD_NS;
		r = config_seal(c, &why, &at);
	}
	if (!r)
		return c;
	config_unref(c);
	return NULL;
}

static void take(struct health *h, struct monitor *m)
{
	struct value now[N];
	struct buf text = BUF_INIT;
	const char *why;
	for (int i = 0; i < TABLE_N; i++)
		now[i] = (struct value){.kind = VALUE_NUMBER, .number = table[i].read(h)};
	now[TABLE_N] = (struct value){.kind = VALUE_TEXT, .text = h->history_trouble};
	bool full = m->at.boot != h->boot;
	row_encode(&text, full ? NULL : m->values, now, N);
	struct period p = {.at = {h->boot, full ? 1 : m->at.sequence + 1}, .time_ns = clock_wall_ns(), .full = full,
	    .text = text.len ? text.data : "", .len = text.len};
	if (!text.failed)
		period_take(h, m, &p, &why);
	buf_release(&text);
}

static void on_timer(uv_timer_t *timer)
{
	take(self.health, self.monitor);
}

void self_measure(struct health *h)
{
	take(h, self.monitor);
}

/* A turn works from the end of the poll (check) to the next poll (prepare). */
static void on_check(uv_check_t *check)
{
	self.turn_began_ns = clock_mono_ns();
}

static void on_prepare(uv_prepare_t *prepare)
{
	int64_t took = self.turn_began_ns ? clock_mono_ns() - self.turn_began_ns : 0;
	if (took > self.health->figures.loop_lag_ns)
		self.health->figures.loop_lag_ns = took;
}

int self_start(struct health *h)
{
	struct config *c = make_config();
	struct monitor *m = c ? cluster_monitor(&h->cluster, h->cluster.self, "vigia") : NULL;
	if (!m)
		return -ENOMEM;
	int r = monitor_describe(&h->cluster, m, cluster_intern(&h->cluster, c), 1);
	if (r)
		return r;
	m->connected = true;
	self.health = h;
	self.monitor = m;
	uv_loop_t *loop = h->core->net.loop;
	uv_timer_init(loop, &self.timer);
	uv_prepare_init(loop, &self.prepare);
	uv_check_init(loop, &self.check);
	uv_timer_start(&self.timer, on_timer, 10, (uint64_t)(PERIOD_NS / 1000000));
	uv_check_start(&self.check, on_check);
	return uv_prepare_start(&self.prepare, on_prepare);
}

void self_stop(struct health *h)
{
	if (!self.health)
		return;
	uv_close((uv_handle_t *)&self.timer, NULL);
	uv_close((uv_handle_t *)&self.prepare, NULL);
	uv_close((uv_handle_t *)&self.check, NULL);
}
