/* SPDX-License-Identifier: Apache-2.0 */
#include "history/history.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "history/journal.h"
#include "history/state.h"

int64_t monotonic_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

/* --- lookups --- */

static struct lookup_slot *lookup_slot(const struct lookup *l, uint64_t hash, uint32_t skip)
{
	size_t i = hash & (l->size - 1);
	while (l->slots[i].at && (l->slots[i].hash != hash || skip-- > 0))
		i = (i + 1) & (l->size - 1);
	return &l->slots[i];
}

static int lookup_grow(struct lookup *l)
{
	struct lookup old = *l;
	size_t size = old.size ? old.size * 2 : 64;
	struct lookup_slot *slots = calloc(size, sizeof *slots);
	if (!slots)
		return -ENOMEM;
	*l = (struct lookup){.slots = slots, .n = old.n, .size = size};
	for (size_t i = 0; i < old.size; i++)
		if (old.slots[i].at)
			*lookup_slot(l, old.slots[i].hash, UINT32_MAX) = old.slots[i];
	free(old.slots);
	return 0;
}

static int lookup_add(struct lookup *l, uint64_t hash, size_t at)
{
	if (l->n * 2 >= l->size) {
		int e = lookup_grow(l);
		if (e)
			return e;
	}
	*lookup_slot(l, hash, UINT32_MAX) = (struct lookup_slot){hash, (uint32_t)at + 1};
	l->n++;
	return 0;
}

/* The k-th of those with this hash: its position, or -1. */
static int64_t lookup_find(const struct lookup *l, uint64_t hash, uint32_t k)
{
	return l->size ? (int64_t)lookup_slot(l, hash, k)->at - 1 : -1;
}

static uint64_t hash_string(uint64_t h, const char *s)
{
	do
		h = (h ^ (unsigned char)*s) * 0x100000001b3;
	while (*s++);
	return h ^ h >> 31;
}

static uint64_t hash_names(const char *node, const char *name)
{
	return hash_string(hash_string(0xcbf29ce484222325, node), name);
}

/* --- monitors --- */

static int grow(void *array, size_t n, size_t *size, size_t element)
{
	if (n < *size)
		return 0;
	size_t more = *size ? *size * 2 : 64;
	void **p = array;
	void *grown = realloc(*p, more * element);
	if (!grown)
		return -ENOMEM;
	*p = grown;
	*size = more;
	return 0;
}

static void monitor_free(struct history_monitor *m)
{
	row_state_release(&m->state);
	free(m->node);
	free(m->name);
	free(m);
}

/* Chains of equal monitors end at different times, so that chunks are made evenly. */
static size_t first_rows_max(int64_t id)
{
	return ROWS_LEAST + (uint64_t)id * 0x9e3779b97f4a7c15 % (ROWS_TARGET - ROWS_LEAST);
}

int monitor_add(
    struct history *h, int64_t id, const char *node, const char *name, struct history_monitor **ret)
{
	struct history_monitor *m = calloc(1, sizeof *m);
	if (!m || grow(&h->monitors, h->monitors_n, &h->monitors_size, sizeof m)) {
		free(m);
		return -ENOMEM;
	}
	m->id = id;
	m->history = h;
	m->node = strdup(node);
	m->name = strdup(name);
	m->rows_max = first_rows_max(id);
	if (!m->node || !m->name || lookup_add(&h->monitors_by_name, hash_names(node, name), h->monitors_n)) {
		monitor_free(m);
		return -ENOMEM;
	}
	h->monitors[h->monitors_n++] = m;
	*ret = m;
	return 0;
}

static struct history_monitor *monitor_find(const struct history *h, const char *node, const char *name)
{
	uint64_t hash = hash_names(node, name);
	int64_t at;
	for (uint32_t k = 0; (at = lookup_find(&h->monitors_by_name, hash, k)) >= 0; k++) {
		struct history_monitor *m = h->monitors[at];
		if (!strcmp(m->node, node) && !strcmp(m->name, name))
			return m;
	}
	return NULL;
}

/* --- opening and closing --- */

static void history_free(struct history *h)
{
	writer_release(h);
	for (size_t i = 0; i < h->monitors_n; i++)
		monitor_free(h->monitors[i]);
	free(h->monitors);
	free(h->monitors_by_name.slots);
	configs_release(&h->configs);
	buf_release(&h->scratch);
	pthread_mutex_destroy(&h->lock);
	pthread_mutex_destroy(&h->chains_lock);
	pthread_mutex_destroy(&h->news_lock);
	pthread_cond_destroy(&h->work);
	free(h->path);
	free(h);
}

static struct history *history_new(const struct history_options *o)
{
	struct history *h = calloc(1, sizeof *h);
	if (!h)
		return NULL;
	h->options = *o;
	h->path = strdup(o->path);
	h->news_end = &h->news;
	h->rows_target = ROWS_TARGET;
	configs_init(&h->configs);
	pthread_mutex_init(&h->lock, NULL);
	pthread_mutex_init(&h->chains_lock, NULL);
	pthread_mutex_init(&h->news_lock, NULL);
	pthread_condattr_t monotonic;
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&h->work, &monotonic);
	pthread_condattr_destroy(&monotonic);
	return h;
}

/* The writer takes no signals: they are the program's, and a file size limit is an error here, not a death.
 */
static int start_writer(struct history *h)
{
	sigset_t all, old;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	int e = pthread_create(&h->thread, NULL, writer_run, h);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return -e;
}

int history_open(struct history **ret, const struct history_options *o)
{
	struct history *h = history_new(o);
	if (!h)
		return -ENOMEM;
	int e = h->path ? writer_open(h) : -ENOMEM;
	if (!e)
		e = writer_load(h);
	if (!e)
		e = start_writer(h);
	if (e)
		history_free(h);
	else
		*ret = h;
	return e;
}

void history_close(struct history *h)
{
	if (!h)
		return;
	pthread_mutex_lock(&h->lock);
	h->stop = true;
	pthread_cond_signal(&h->work);
	pthread_mutex_unlock(&h->lock);
	pthread_join(h->thread, NULL);
	history_free(h);
}

/* --- appending --- */

/* With the lock held. */
static void tell_writer(struct history *h)
{
	if (!h->idle)
		return;
	h->idle = false;
	pthread_cond_signal(&h->work);
}

struct history_monitor *history_monitor(struct history *h, const char *node, const char *name)
{
	struct history_monitor *m = monitor_find(h, node, name);
	if (m || monitor_add(h, (int64_t)h->monitors_n + 1, node, name, &m))
		return m;
	pthread_mutex_lock(&h->lock);
	buf_put(&h->pending.monitors, &m, sizeof m);
	tell_writer(h);
	pthread_mutex_unlock(&h->lock);
	return m;
}

size_t config_bytes(const struct config *c)
{
	size_t n = sizeof *c + c->n * sizeof *c->metrics;
	for (size_t i = 0; i < c->n; i++)
		n += strlen(c->metrics[i].name) + strlen(c->metrics[i].unit) + strlen(c->metrics[i].doc);
	return n;
}

/* With a reference for the caller, and one for the queue when it is new. NULL: no memory. */
static struct stored_config *config_store(struct history *h, struct config *config)
{
	struct stored_config *c = configs_find(&h->configs, config);
	if (c)
		return c;
	pthread_mutex_lock(&h->lock);
	if (buf_reserve(&h->pending.configs, sizeof c))
		c = configs_add(&h->configs, 0, config_ref(config));
	if (c) {
		configs_ref(&h->configs, c);
		buf_put(&h->pending.configs, &c, sizeof c);
		h->queued_bytes += config_bytes(c->config);
	}
	h->pending.configs.failed = false;
	pthread_mutex_unlock(&h->lock);
	return c;
}

static int drop_one(struct history *h)
{
	h->dropped++;
	return -ENOBUFS;
}

static int drop_period(struct history *h, struct history_monitor *m)
{
	pthread_mutex_lock(&h->news_lock);
	m->lost++;
	pthread_mutex_unlock(&h->news_lock);
	return drop_one(h);
}

static size_t rows_limit(const struct history *h, size_t n)
{
	size_t limit = h->rows_target, cells = CELLS_TARGET / (n + 1);
	limit = limit < cells ? limit : cells;
	return limit > ROWS_LEAST ? limit : ROWS_LEAST;
}

static bool must_be_whole(
    const struct history_monitor *m, const struct stored_config *c, const struct history_period *p)
{
	return m->renew || !m->rows || c != m->config || p->at.boot != m->last.boot || m->rows >= m->rows_max;
}

/* With the lock held. */
static int append_locked(
    struct history *h, struct history_monitor *m, struct stored_config *c, const struct history_period *p)
{
	bool whole = must_be_whole(m, c, p);
	buf_clear(&h->scratch);
	if (row_pack(&h->scratch, &m->state, c->config->n, whole, p))
		return -ENOMEM;
	size_t before = h->pending.rows.len;
	record_put(
	    &h->pending.rows, (uint64_t)m->id, whole ? (uint64_t)c->id : 0, h->scratch.data, h->scratch.len);
	if (h->pending.rows.failed) {
		h->pending.rows.failed = false;
		m->renew = true;
		return -ENOMEM;
	}
	h->queued_bytes += h->pending.rows.len - before;
	h->pending.rows_n++;
	if (whole) {
		if (m->rows)
			m->rows_max = rows_limit(h, c->config->n);
		else if (m->rows_max > rows_limit(h, c->config->n))
			m->rows_max = rows_limit(h, c->config->n);
		m->rows = 0;
		m->renew = false;
		configs_ref(&h->configs, c); /* the queue's, for a whole row */
	}
	m->rows++;
	m->queued++;
	m->last = p->at;
	tell_writer(h);
	return 0;
}

int history_append(
    struct history *h, struct history_monitor *m, struct config *config, const struct history_period *p)
{
	if (!position_after(p->at, m->last))
		return 0;
	if (h->queued_bytes >= h->options.queue_bytes || config->n > METRICS_MAX)
		return drop_period(h, m);
	struct stored_config *c = m->config;
	if ((!c || !configs_alike(c->config, config)) && !(c = config_store(h, config)))
		return drop_period(h, m);
	pthread_mutex_lock(&h->lock);
	int e = append_locked(h, m, c, p);
	pthread_mutex_unlock(&h->lock);
	if (c != m->config)
		configs_unref(&h->configs, e ? c : m->config);
	if (e)
		return drop_period(h, m);
	m->config = c;
	h->appended++;
	return 0;
}

int history_event(struct history *h, const struct history_event *e)
{
	const char *strings[] = {e->kind, e->node, e->monitor, e->text};
	if (h->queued_bytes >= h->options.queue_bytes)
		return drop_one(h);
	pthread_mutex_lock(&h->lock);
	struct buf *b = &h->pending.events;
	size_t before = b->len;
	buf_put(b, &e->time_ns, sizeof e->time_ns);
	for (size_t i = 0; i < 4; i++)
		buf_put(b, strings[i] ? strings[i] : "", strings[i] ? strlen(strings[i]) + 1 : 1);
	bool failed = b->failed;
	if (failed) {
		b->len = before;
		b->failed = false;
	}
	h->queued_bytes += b->len - before;
	tell_writer(h);
	pthread_mutex_unlock(&h->lock);
	return failed ? drop_one(h) : 0;
}

/* --- news --- */

static void tell_trouble(struct history *h, const struct history_news *news, void *data)
{
	pthread_mutex_lock(&h->news_lock);
	struct trouble t = h->trouble;
	h->trouble.began = h->trouble.ended = false;
	pthread_mutex_unlock(&h->news_lock);
	if (!news->trouble)
		return;
	if (t.began && !t.now)
		news->trouble(data, t.what, 0);
	if (t.ended)
		news->trouble(data, NULL, t.dropped);
	if (t.began && t.now)
		news->trouble(data, t.what, 0);
}

void history_dispatch(struct history *h, const struct history_news *news, void *data)
{
	pthread_mutex_lock(&h->news_lock);
	struct history_monitor *m = h->news;
	h->news = NULL;
	h->news_end = &h->news;
	pthread_mutex_unlock(&h->news_lock);
	while (m) {
		pthread_mutex_lock(&h->news_lock);
		struct history_monitor *next = m->news_next;
		struct history_position to = m->committed;
		uint64_t lost = m->lost;
		m->lost = 0;
		m->in_news = false;
		m->news_next = NULL;
		pthread_mutex_unlock(&h->news_lock);
		if (news->committed)
			news->committed(data, m, to, lost);
		m = next;
	}
	tell_trouble(h, news, data);
}

const char *history_monitor_node(const struct history_monitor *m)
{
	return m->node;
}

const char *history_monitor_name(const struct history_monitor *m)
{
	return m->name;
}

struct history_position history_monitor_last(const struct history_monitor *m)
{
	return m->last;
}

void history_figures(struct history *h, struct history_figures *ret)
{
	*ret = (struct history_figures){
	    .appended = h->appended,
	    .committed = h->committed,
	    .dropped = h->dropped,
	    .chunks = h->chunks,
	    .queued_bytes = h->queued_bytes,
	    .open_bytes = h->open_bytes,
	    .file_bytes = h->file_bytes,
	    .trouble = h->troubled,
	};
}
