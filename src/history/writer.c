/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "history/chunk.h"
#include "history/journal.h"
#include "history/state.h"
#include "history/summary.h"
#include "history/thin.h"

#define SECOND INT64_C(1000000000)

static const int64_t gather_ns = SECOND / 20; /* rows of one commit come together this long */
static const int64_t pass_every_ns = SECOND;
static const int64_t retry_every_ns = SECOND;
static const int64_t prune_every_ns = 5 * SECOND;
static const int64_t pin_ns = 900 * SECOND;	   /* a chain may hold the journal's tail this long */
static const int64_t silent_ns = 7200 * SECOND;	   /* ... and goes on after a pause of at most this */
static const int64_t pass_budget_ns = SECOND / 10; /* of one transaction that makes chunks */
static const size_t carry_bytes = 64 << 10;	   /* longer chains are ended rather than carried */
static const size_t open_bytes_max = 96 << 20;
static const size_t sync_bytes = 16 << 20;

enum { DROP_AT_ONCE = 256 };

/* --- chains --- */

static struct chain *last_chain(const struct history_monitor *m)
{
	struct chain *c = m->chains;
	while (c && c->next)
		c = c->next;
	return c;
}

static void chain_free(struct history *h, struct chain *c)
{
	h->open_bytes -= c->bytes.size;
	configs_unref(&h->configs, c->config);
	buf_release(&c->bytes);
	free(c);
}

static void complete(struct history *h, struct chain *c)
{
	if (c && !c->complete) {
		c->complete = true;
		h->complete_n++;
	}
}

/* Takes the reference to the config, if all is well. */
static struct chain *chain_begin(struct history *h, struct history_monitor *m, struct stored_config *config,
    const struct row_place *place, int64_t journal)
{
	struct chain *c = calloc(1, sizeof *c), *before = last_chain(m);
	if (!c)
		return NULL;
	c->config = config;
	c->first = *place;
	c->journal = journal;
	c->held_ns = monotonic_ns();
	complete(h, before);
	if (before)
		before->next = c;
	else
		m->chains = c;
	return c;
}

/* Grows by a quarter: half a chain's memory lying idle is too much in ten thousand of them. */
static bool chain_reserve(struct history *h, struct chain *c, size_t more)
{
	struct buf *b = &c->bytes;
	if (b->size - b->len >= more)
		return true;
	size_t size = b->len + more + b->len / 4 + 64;
	char *data = realloc(b->data, size);
	if (!data)
		return false;
	h->open_bytes += size - b->size;
	b->data = data;
	b->size = size;
	return true;
}

static int chain_put(struct history *h, struct chain *c, struct bytes row, const struct row_place *place)
{
	size_t n = bytes_left(&row);
	if (!chain_reserve(h, c, VARINT_MAX + n))
		return -ENOMEM;
	put_varint(&c->bytes, n);
	buf_put(&c->bytes, row.at, n);
	c->last = *place;
	c->rows++;
	c->touched_ns = monotonic_ns();
	return 0;
}

static struct history_monitor *known_monitor(const struct history *h, uint64_t id)
{
	return id && id <= h->known_n ? h->known[id - 1] : NULL;
}

/* From memory; at start from the file, too. With a reference. NULL: no such config, or no memory. */
static struct stored_config *known_config(struct history *h, uint64_t id)
{
	struct config *config;
	struct stored_config *c = configs_find_id(&h->configs, (int64_t)id);
	if (c || !h->loading || store_config(h->store, (int64_t)id, &config))
		return c;
	return configs_add(&h->configs, (int64_t)id, config);
}

/* A whole row's chain begins. */
static int begin_chain(struct history *h, struct history_monitor *m, const struct record *r,
    const struct row_place *place, int64_t journal, struct chain **ret)
{
	struct stored_config *config = known_config(h, r->config);
	complete(h, last_chain(m));
	if (!config)
		return -ENOENT;
	*ret = config->config->n == place->n ? chain_begin(h, m, config, place, journal) : NULL;
	if (*ret)
		return 0;
	int e = config->config->n == place->n ? -ENOMEM : -EBADMSG;
	configs_unref(&h->configs, config);
	return e;
}

/* Puts a row that is in the journal to its chain. 1: it was new; 0: it is in a chunk or a chain already; -ENOENT: what
 * it builds on, or its config, is gone; or another error. With chains_lock held. */
static int file_record(struct history *h, struct history_monitor *m, const struct record *r, int64_t journal)
{
	struct row_place place;
	struct bytes rest = r->row;
	int e = row_place(&rest, m->placed ? &m->place : NULL, &place);
	m->placed = !e;
	if (e)
		return e;
	m->place = place;
	if (!position_after(place.at, m->kept))
		return 0;
	struct chain *c = last_chain(m);
	if (r->config && (e = begin_chain(h, m, r, &place, journal, &c)))
		return e;
	if (!c || c->complete)
		return -ENOENT;
	e = chain_put(h, c, r->row, &place);
	if (e) {
		complete(h, c); /* the next row would build on this one */
		return e;
	}
	m->kept = place.at;
	return 1;
}

/* --- telling the loop --- */

static void wake(struct history *h)
{
	if (h->options.wake)
		h->options.wake(h->options.data);
}

static void tell_committed(struct history *h, struct history_monitor *m, struct history_position to)
{
	m->committed = to;
	if (m->in_news)
		return;
	m->in_news = true;
	m->news_next = NULL;
	*h->news_end = m;
	h->news_end = &m->news_next;
}

/* What may fail, each by itself: trouble ends when all that failed has worked again. */
enum work { COMMITTING = 1, CHUNKING = 2, TIDYING = 4 };

static void trouble_begin(struct history *h, enum work work, const char *what)
{
	bool already = h->failing;
	h->failing |= work;
	if (already)
		return;
	h->troubled = true;
	h->dropped_before = h->dropped;
	pthread_mutex_lock(&h->news_lock);
	h->trouble.began = h->trouble.now = true;
	snprintf(h->trouble.what, sizeof h->trouble.what, "%s", what);
	pthread_mutex_unlock(&h->news_lock);
	wake(h);
}

static void works(struct history *h, enum work work)
{
	if (!h->failing || (h->failing &= ~(unsigned)work))
		return;
	h->troubled = false;
	pthread_mutex_lock(&h->news_lock);
	h->trouble.ended = true;
	h->trouble.now = false;
	h->trouble.dropped = h->dropped - h->dropped_before;
	pthread_mutex_unlock(&h->news_lock);
	wake(h);
}

/* --- opening, damage, recovery --- */

static void beside(char *to, size_t size, const char *path, const char *tail)
{
	snprintf(to, size, "%s%s", path, tail);
}

static void rename_tail(const char *path, const char *kept, const char *tail)
{
	char from[4096], to[4096];
	beside(from, sizeof from, path, tail);
	beside(to, sizeof to, kept, tail);
	rename(from, to);
}

/* Renames the file, with its log, which may hold what the file lacks. */
static void put_aside(struct history *h, char *kept, size_t size)
{
	struct tm tm;
	time_t now = time(NULL);
	char when[32];
	gmtime_r(&now, &tm);
	strftime(when, sizeof when, "%Y%m%dT%H%M%SZ", &tm);
	snprintf(kept, size, "%s.damaged-%s", h->path, when);
	for (int i = 2; !access(kept, F_OK) && i < 1000; i++)
		snprintf(kept, size, "%s.damaged-%s-%d", h->path, when, i);
	rename_tail(h->path, kept, "-wal");
	rename_tail(h->path, kept, "");
	char shared[4096];
	beside(shared, sizeof shared, h->path, "-shm");
	unlink(shared);
}

static void begin_anew(struct history *h, const char *why)
{
	char kept[2048], what[4096];
	h->generation++;
	put_aside(h, kept, sizeof kept);
	snprintf(what, sizeof what, "history damaged (%s), kept aside as %s", why, kept);
	trouble_begin(h, COMMITTING, what);
}

int writer_open(struct history *h)
{
	int e = store_open(&h->store, h->path, STORE_WRITE);
	if (e != -EUCLEAN)
		return e;
	begin_anew(h, store_open_why());
	return store_open(&h->store, h->path, STORE_WRITE);
}

static int carry_chain(struct history *h, const struct history_monitor *m, const struct chain *c)
{
	struct buf body = BUF_INIT;
	struct bytes rows = bytes_of(c->bytes.data, c->bytes.len);
	for (size_t i = 0; i < c->rows; i++) {
		struct bytes row = get_bytes(&rows, get_varint(&rows));
		record_put(&body, (uint64_t)m->id, i ? 0 : (uint64_t)c->config->id, row.at, bytes_left(&row));
	}
	int64_t id = 0;
	int e = body.failed ? -ENOMEM : store_put_journal(h->store, bytes_of(body.data, body.len), &id);
	buf_release(&body);
	return e;
}

static int replant_configs(struct history *h)
{
	struct buf all = BUF_INIT;
	configs_ref_all(&h->configs, &all);
	struct stored_config **configs = (void *)all.data;
	int e = all.failed ? -ENOMEM : 0;
	for (size_t i = 0; i < all.len / sizeof *configs; i++) {
		if (!e)
			e = store_put_config(h->store, configs[i]->id, configs[i]->config);
		configs_unref(&h->configs, configs[i]);
	}
	buf_release(&all);
	return e;
}

static int replant_all(struct history *h)
{
	int e = store_begin(h->store);
	for (size_t i = 0; !e && i < h->known_n; i++)
		e = store_put_monitor(h->store, h->known[i]->id, h->known[i]->node, h->known[i]->name);
	if (!e)
		e = replant_configs(h);
	for (size_t i = 0; !e && i < h->known_n; i++)
		for (struct chain *c = h->known[i]->chains; !e && c; c = c->next)
			e = carry_chain(h, h->known[i], c);
	return e ? e : store_commit(h->store);
}

/* A new file gets what the old one had and memory still holds: names, configs and the open chains. */
static int replant(struct history *h)
{
	int e = replant_all(h);
	if (e) {
		store_rollback(h->store);
		return e;
	}
	for (size_t i = 0; i < h->known_n; i++)
		for (struct chain *c = h->known[i]->chains; c; c = c->next)
			c->journal = 1;
	return 0;
}

static int count_one(void *data, int64_t id, const char *node, const char *monitor)
{
	++*(size_t *)data;
	return 0;
}

static int reopen(struct history *h)
{
	int e = writer_open(h);
	size_t monitors = 0;
	if (!e)
		e = store_monitors(h->store, count_one, &monitors);
	return e || monitors == h->known_n ? e : replant(h);
}

/* Something with the store failed: `e` says what, `why` to people. */
static void stumble_over(struct history *h, enum work work, int e, const char *why)
{
	char what[256];
	snprintf(what, sizeof what, "%s", why);
	if (h->store)
		store_rollback(h->store);
	store_close(h->store); /* the next try takes what is there then */
	h->store = NULL;
	h->retry_ns = monotonic_ns() + retry_every_ns;
	if (e != -EUCLEAN) {
		trouble_begin(h, work, what);
		return;
	}
	begin_anew(h, what);
	h->retry_ns = 0;
}

static void stumble(struct history *h, enum work work, int e)
{
	const char *why = h->store ? store_why(h->store) : store_open_why();
	stumble_over(h, work, e, e == -ENOMEM ? "no memory" : *why ? why : strerror(-e));
}

/* May the store be used now? Opens it again when it was in trouble. */
static bool ready(struct history *h)
{
	if (!h->retry_ns && h->store)
		return true;
	if (monotonic_ns() < h->retry_ns)
		return false;
	int e = reopen(h);
	if (e)
		stumble(h, COMMITTING, e);
	else
		h->retry_ns = 0;
	return !e;
}

/* --- committing --- */

static int put_events(struct history *h, const struct buf *events)
{
	const char *at = events->data, *end = at + events->len;
	int e = 0;
	while (!e && at < end) {
		const char *strings[4];
		int64_t time_ns;
		memcpy(&time_ns, at, sizeof time_ns);
		at += sizeof time_ns;
		for (size_t i = 0; i < 4; i++) {
			strings[i] = at;
			at += strlen(at) + 1;
		}
		e = store_put_event(h->store,
		    &(struct history_event){time_ns, strings[0], strings[1], strings[2], strings[3]});
	}
	return e;
}

static int put_batch(struct history *h, int64_t *ret_journal)
{
	struct batch *b = &h->batch;
	struct history_monitor **monitors = (void *)b->monitors.data;
	struct stored_config **configs = (void *)b->configs.data;
	int e = store_begin(h->store);
	for (size_t i = 0; !e && i < b->monitors.len / sizeof *monitors; i++)
		e = store_put_monitor(h->store, monitors[i]->id, monitors[i]->node, monitors[i]->name);
	for (size_t i = 0; !e && i < b->configs.len / sizeof *configs; i++)
		e = store_put_config(h->store, configs[i]->id, configs[i]->config);
	if (!e)
		e = put_events(h, &b->events);
	if (!e && b->rows.len)
		e = store_put_journal(h->store, bytes_of(b->rows.data, b->rows.len), ret_journal);
	return e ? e : store_commit(h->store);
}

static bool batch_empty(const struct batch *b)
{
	return !b->rows.len && !b->events.len && !b->monitors.len && !b->configs.len;
}

static void buf_reset(struct buf *b)
{
	if (b->size > 4 << 20)
		buf_release(b);
	else
		buf_clear(b);
}

static void batch_reset(struct batch *b)
{
	buf_reset(&b->rows);
	buf_reset(&b->events);
	buf_reset(&b->monitors);
	buf_reset(&b->configs);
	b->rows_n = 0;
}

static void batch_release(struct batch *b)
{
	buf_release(&b->rows);
	buf_release(&b->events);
	buf_release(&b->monitors);
	buf_release(&b->configs);
}

static int know(void *array, size_t *n, size_t *size, const void *one)
{
	void ***p = array;
	if (*n == *size) {
		size_t more = *size ? *size * 2 : 64;
		void **grown = realloc(*p, more * sizeof *grown);
		if (!grown)
			return -ENOMEM;
		*p = grown;
		*size = more;
	}
	(*p)[(*n)++] = (void *)one;
	return 0;
}

static int know_monitor(struct history *h, struct history_monitor *m)
{
	return know(&h->known, &h->known_n, &h->known_size, m);
}

static void file_records(struct history *h, int64_t journal)
{
	struct bytes b = bytes_of(h->batch.rows.data, h->batch.rows.len);
	struct record r;
	while (record_get(&b, &r)) {
		struct history_monitor *m = known_monitor(h, r.monitor);
		if (!m)
			continue;
		m->filed++;
		if (file_record(h, m, &r, journal) < 0) {
			m->unfiled++;
			h->dropped++;
		}
	}
}

/* The queue's references: what is filed has its own. */
static void release_configs(struct history *h)
{
	struct bytes b = bytes_of(h->batch.rows.data, h->batch.rows.len);
	struct record r;
	while (record_get(&b, &r))
		if (r.config) {
			struct stored_config *c = configs_find_id(&h->configs, (int64_t)r.config);
			configs_unref(&h->configs, c);
			configs_unref(&h->configs, c);
		}
	struct stored_config **configs = (void *)h->batch.configs.data;
	for (size_t i = 0; i < h->batch.configs.len / sizeof *configs; i++) {
		h->queued_bytes -= config_bytes(configs[i]->config);
		configs_unref(&h->configs, configs[i]);
	}
}

static void ask_whole(struct history *h, struct history_monitor *m)
{
	pthread_mutex_lock(&h->lock);
	m->renew = true;
	pthread_mutex_unlock(&h->lock);
}

static void tell_records(struct history *h)
{
	struct bytes b = bytes_of(h->batch.rows.data, h->batch.rows.len), again = b;
	struct record r;
	while (record_get(&b, &r)) {
		struct history_monitor *m = known_monitor(h, r.monitor);
		if (m && m->unfiled)
			ask_whole(h, m);
	}
	pthread_mutex_lock(&h->news_lock);
	while (record_get(&again, &r)) {
		struct history_monitor *m = known_monitor(h, r.monitor);
		if (!m)
			continue;
		m->lost += m->unfiled;
		m->unfiled = 0;
		tell_committed(h, m, m->kept);
	}
	pthread_mutex_unlock(&h->news_lock);
}

static void committed(struct history *h, int64_t journal)
{
	struct batch *b = &h->batch;
	struct history_monitor **monitors = (void *)b->monitors.data;
	pthread_mutex_lock(&h->chains_lock);
	for (size_t i = 0; i < b->monitors.len / sizeof *monitors; i++)
		know_monitor(h, monitors[i]);
	file_records(h, journal);
	pthread_mutex_unlock(&h->chains_lock);
	tell_records(h);
	release_configs(h);
	h->committed += b->rows_n;
	h->queued_bytes -= b->rows.len + b->events.len;
	batch_reset(b);
	works(h, COMMITTING);
	wake(h);
}

static bool commit(struct history *h)
{
	if (batch_empty(&h->batch))
		return true;
	if (!ready(h))
		return false;
	int64_t journal = 0;
	int e = put_batch(h, &journal);
	if (e)
		stumble(h, COMMITTING, e);
	else
		committed(h, journal);
	return !e;
}

/* --- chunks --- */

static int put_chain(struct history *h, const struct history_monitor *m, const struct chain *c)
{
	struct table t = {0};
	struct buf body = BUF_INIT, summary = BUF_INIT;
	if (!c->rows)
		return 0;
	int e = table_from_rows(&t, bytes_of(c->bytes.data, c->bytes.len), c->rows);
	if (!e)
		e = chunk_pack(&body, &t);
	if (!e) {
		summary_put(&summary, c->config->config, &t);
		int64_t from = t.times[0], to = t.times[0];
		for (size_t i = 0; i < t.rows; i++) {
			from = t.times[i] < from ? t.times[i] : from;
			to = t.times[i] > to ? t.times[i] : to;
		}
		struct chunk_row row = {
		    .monitor = m->id,
		    .config = c->config->id,
		    .boot = c->first.at.boot,
		    .first = c->first.at.sequence,
		    .last = c->last.at.sequence,
		    .from_ns = from,
		    .to_ns = to,
		    .rows = c->rows,
		    .summary = buf_str(&summary),
		    .body = bytes_of(body.data, body.len),
		};
		e = summary.failed ? -ENOMEM : store_put_chunk(h->store, &row);
	}
	buf_release(&summary);
	buf_release(&body);
	table_release(&t);
	return e;
}

/* The journal is needed from here on, once the first `done` complete chains of each monitor are in chunks. */
static int64_t journal_needed(const struct history *h, const struct buf *done)
{
	const struct chain *const *chains = (const void *)done->data;
	size_t n = done->len / sizeof *chains, k = 0;
	int64_t least = INT64_MAX;
	for (size_t i = 0; i < h->known_n; i++)
		for (const struct chain *c = h->known[i]->chains; c; c = c->next) {
			if (k < n && chains[k] == c)
				k++;
			else if (c->journal < least)
				least = c->journal;
		}
	return least;
}

/* Makes chunks of complete chains while there is time; `done` gets the chains in the order of known monitors.
 */
static int put_chains(struct history *h, struct buf *done)
{
	int64_t until = monotonic_ns() + pass_budget_ns;
	int e = store_begin(h->store);
	for (size_t i = 0; !e && i < h->known_n && (!done->len || monotonic_ns() < until); i++)
		for (struct chain *c = h->known[i]->chains; !e && c && c->complete; c = c->next) {
			e = put_chain(h, h->known[i], c);
			if (e == -EBADMSG || e == -E2BIG) {
				h->known[i]->unfiled += c->rows;
				h->dropped += c->rows;
				e = 0;
			}
			buf_put(done, &c, sizeof c);
		}
	if (!e && done->failed)
		e = -ENOMEM;
	if (!e)
		e = store_drop_journal(h->store, journal_needed(h, done));
	return e ? e : store_commit(h->store);
}

static void forget_chains(struct history *h, const struct buf *done)
{
	struct chain *const *chains = (void *)done->data;
	size_t n = done->len / sizeof *chains, k = 0;
	pthread_mutex_lock(&h->chains_lock);
	for (size_t i = 0; i < h->known_n && k < n; i++)
		while (k < n && h->known[i]->chains == chains[k]) {
			h->known[i]->chains = chains[k]->next;
			chain_free(h, chains[k++]);
			h->complete_n--;
		}
	pthread_mutex_unlock(&h->chains_lock);
	h->chunks += n;
	h->prune_ns = h->options.keep_bytes ? 0 : h->prune_ns;
}

static void make_chunks(struct history *h)
{
	while (h->complete_n && ready(h)) {
		struct buf done = BUF_INIT;
		int e = put_chains(h, &done);
		if (e)
			stumble(h, CHUNKING, e);
		else
			forget_chains(h, &done);
		buf_release(&done);
		if (e)
			return;
		works(h, CHUNKING);
		pthread_mutex_lock(&h->lock);
		bool rows_wait = h->pending.rows.len != 0;
		pthread_mutex_unlock(&h->lock);
		if (rows_wait)
			return;
	}
}

/* --- once a second --- */

/* Ends the chain if the loop is not building on it. */
static void end_silent(struct history *h, struct history_monitor *m, struct chain *c)
{
	pthread_mutex_lock(&h->lock);
	bool still = m->queued == m->filed;
	if (still)
		m->renew = true;
	pthread_mutex_unlock(&h->lock);
	if (still)
		complete(h, c);
}

/* Rows that hold the journal's tail move to its head; long chains are ended instead. */
static int unpin_all(struct history *h, struct buf *carried, int64_t now)
{
	int e = 0;
	for (size_t i = 0; !e && i < h->known_n; i++) {
		struct history_monitor *m = h->known[i];
		struct chain *c = last_chain(m);
		if (!c || c->complete || now - c->held_ns < pin_ns)
			continue;
		if (now - c->touched_ns >= silent_ns) {
			end_silent(h, m, c);
		} else if (c->bytes.len > carry_bytes) {
			ask_whole(h, m);
		} else {
			e = carry_chain(h, m, c);
			buf_put(carried, &c, sizeof c);
		}
	}
	return e;
}

static void unpin(struct history *h, int64_t now)
{
	struct buf carried = BUF_INIT;
	int64_t head = 0;
	int e = store_begin(h->store);
	if (!e)
		e = store_journal_head(h->store, &head);
	if (!e)
		e = unpin_all(h, &carried, now);
	if (!e)
		e = store_commit(h->store);
	struct chain **chains = (void *)carried.data;
	for (size_t i = 0; !e && i < carried.len / sizeof *chains; i++) {
		chains[i]->journal = head + 1;
		chains[i]->held_ns = now;
	}
	if (e)
		stumble(h, TIDYING, e);
	buf_release(&carried);
}

static bool any_pinned(const struct history *h, int64_t now)
{
	for (size_t i = 0; i < h->known_n; i++) {
		const struct chain *c = last_chain(h->known[i]);
		if (c && !c->complete && now - c->held_ns >= pin_ns)
			return true;
	}
	return false;
}

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Of the file's ceiling, if it has one. */
static size_t part_of_ceiling(const struct history *h, size_t parts, size_t most)
{
	return h->options.keep_bytes ? least((size_t)h->options.keep_bytes / parts, most) : most;
}

/* Shorter chains when memory runs short, longer ones when there is plenty. */
static void aim_rows(struct history *h)
{
	size_t max = part_of_ceiling(h, 8, open_bytes_max), target = h->rows_target;
	if (h->open_bytes > max)
		target -= target / 16 + 1;
	else if (h->open_bytes < max / 4 * 3)
		target += target / 64 + 1;
	h->rows_target = target < ROWS_LEAST ? ROWS_LEAST : target > ROWS_TARGET ? ROWS_TARGET : target;
}

static int64_t wall_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	return t.tv_sec * SECOND + t.tv_nsec;
}

static int64_t file_size(const char *path, const char *tail)
{
	char name[4096];
	struct stat st;
	beside(name, sizeof name, path, tail);
	return stat(name, &st) ? 0 : st.st_size;
}

static bool log_is_long(const struct history *h)
{
	return h->store && store_unsynced(h->store) > part_of_ceiling(h, 32, sync_bytes);
}

/* The log begins again only when no reader needs it; where one follows the other, they are waited for. */
static int sync_log(struct history *h)
{
	int e = store_sync(h->store, false);
	bool grown = file_size(h->path, "-wal") > (int64_t)part_of_ceiling(h, 8, 4 * sync_bytes);
	return !e && grown ? store_sync(h->store, true) : e;
}

/* Those that no chunk is of leave the file, but for those that memory has: they may be used again, and come here by
 * themselves once they are not. */
static int drop_configs(struct history *h)
{
	const int64_t *ids = (const void *)h->gone.data;
	int e = h->gone.failed ? -ENOMEM : 0;
	for (size_t i = 0; !e && i < h->gone.len / sizeof *ids; i++)
		if ((!i || ids[i] != ids[i - 1]) && !configs_has(&h->configs, ids[i]))
			e = store_drop_config(h->store, ids[i]);
	return e;
}

static int took_config(void *data, int64_t id)
{
	struct history *h = data;
	buf_put(&h->gone, &id, sizeof id);
	return 0;
}

typedef int64_t drop_fn(struct history *h);

/* Drops some, and the configs with them. Returns how many, or -errno. */
static int64_t drop_some(struct history *h, drop_fn *fn)
{
	size_t before = h->gone.len;
	int e = store_begin(h->store);
	if (e)
		return e;
	int64_t n = fn(h);
	e = n < 0 ? (int)n : drop_configs(h);
	if (!e)
		e = store_commit(h->store);
	if (!e && log_is_long(h)) /* dropping much takes much of the log */
		e = sync_log(h);
	if (e)
		h->gone.len = before;
	else
		buf_reset(&h->gone);
	return e ? e : n;
}

static int64_t drop_none(struct history *h)
{
	return 0;
}

static int64_t drop_before(struct history *h)
{
	return store_drop_before(h->store, wall_ns() - h->options.keep_ns, DROP_AT_ONCE, took_config, h);
}

static int64_t drop_oldest(struct history *h)
{
	return store_drop_oldest(h->store, 4, took_config, h);
}

static int prune_age(struct history *h)
{
	int64_t until = monotonic_ns() + pass_budget_ns, n = h->options.keep_ns ? DROP_AT_ONCE : 0;
	while (n >= DROP_AT_ONCE && monotonic_ns() < until)
		n = drop_some(h, drop_before);
	return n < 0 ? (int)n : 0;
}

/* The log is part of the file's size, but no reason to drop more than half: it shrinks by itself, once no reader needs
 * it. And room for what the next seconds bring stays free. */
static int prune_size(struct history *h)
{
	int64_t keep = h->options.keep_bytes, log = file_size(h->path, "-wal");
	if (!keep)
		return 0;
	int64_t most = keep - (log > keep / 2 ? keep / 2 : log > keep / 8 ? log : keep / 8);
	struct store_size size;
	int e = store_size(h->store, &size);
	int64_t n = 1;
	while (!e && n > 0 && (size.pages - size.free_pages) * size.page > most - keep / 16) {
		n = drop_some(h, drop_oldest);
		e = n < 0 ? (int)n : store_size(h->store, &size);
	}
	if (!e && size.pages * size.page > most)
		e = store_shrink(h->store, size.pages - most / size.page);
	return e;
}

static int tidy(struct history *h)
{
	configs_take_gone(&h->configs, &h->gone);
	int e = h->gone.len ? (int)drop_some(h, drop_none) : 0;
	if (!e)
		e = prune_age(h);
	if (!e)
		e = prune_size(h);
	if (!e && h->options.thin_after_ns)
		e = thin_some(h->store, wall_ns() - h->options.thin_after_ns, h->options.thin_step_ns);
	return e;
}

static void prune(struct history *h)
{
	int e = tidy(h);
	if (e)
		stumble(h, TIDYING, e);
	else
		works(h, TIDYING);
	h->file_bytes = file_size(h->path, "") + file_size(h->path, "-wal");
}

static void sync_file(struct history *h)
{
	int e = sync_log(h);
	if (e)
		stumble(h, TIDYING, e);
}

/* A reader met damage that this thread's own pages in memory hide. */
static void heed_readers(struct history *h)
{
	if (!h->suspect)
		return;
	h->suspect = false;
	if (h->store)
		stumble_over(h, COMMITTING, -EUCLEAN, "damage met while reading");
}

static void pass(struct history *h)
{
	int64_t now = monotonic_ns();
	heed_readers(h);
	aim_rows(h);
	if (any_pinned(h, now) && ready(h))
		unpin(h, now);
	if ((now >= h->prune_ns || h->failing & TIDYING) && ready(h)) {
		prune(h);
		h->prune_ns = now + prune_every_ns;
	}
	if ((now >= h->sync_ns || log_is_long(h)) && ready(h)) {
		sync_file(h);
		h->sync_ns = now + h->options.sync_ns;
	}
}

/* --- the thread --- */

static void wait_until(struct history *h, int64_t ns)
{
	struct timespec t = {ns / SECOND, ns % SECOND};
	pthread_cond_timedwait(&h->work, &h->lock, &t);
}

static bool batch_waits(const struct history *h)
{
	return !batch_empty(&h->pending);
}

/* Takes what is queued, after waiting for something and then for its company; false: the end. */
static bool collect(struct history *h)
{
	pthread_mutex_lock(&h->lock);
	int64_t until = monotonic_ns() + pass_every_ns;
	while (!h->stop && !batch_waits(h) && monotonic_ns() < until) {
		h->idle = true;
		wait_until(h, until);
	}
	h->idle = false;
	until = monotonic_ns() + (h->retry_ns ? retry_every_ns / 4 : gather_ns);
	while (!h->stop && monotonic_ns() < until)
		wait_until(h, until);
	bool stop = h->stop;
	if (batch_empty(&h->batch)) {
		struct batch taken = h->pending;
		h->pending = h->batch;
		h->batch = taken;
	}
	pthread_mutex_unlock(&h->lock);
	return !stop;
}

/* Commits the rest; once only when in trouble, since nobody waits for a disk that may never come back. */
static void finish(struct history *h)
{
	h->retry_ns = h->retry_ns ? 1 : 0;
	while (commit(h) && batch_waits(h)) {
		struct batch taken = h->pending;
		h->pending = h->batch;
		h->batch = taken;
	}
	if (h->store && !h->retry_ns)
		store_sync(h->store, true);
}

void *writer_run(void *history)
{
	struct history *h = history;
	while (collect(h)) {
		commit(h);
		make_chunks(h);
		int64_t now = monotonic_ns();
		if (now >= h->pass_ns || log_is_long(h)) {
			pass(h);
			h->pass_ns = now + pass_every_ns;
		}
	}
	finish(h);
	return NULL;
}

/* --- at start --- */

static int load_monitor(void *data, int64_t id, const char *node, const char *name)
{
	struct history *h = data;
	struct history_monitor *m;
	if (id != (int64_t)h->monitors_n + 1)
		return -EUCLEAN;
	int e = monitor_add(h, id, node, name, &m);
	return e ? e : know_monitor(h, m);
}

static int load_unused(void *data, int64_t id)
{
	struct history *h = data;
	if (!configs_has(&h->configs, id))
		configs_put_gone(&h->configs, id);
	return 0;
}

/* Takes the reference to the config. */
static void load_config(struct history_monitor *m, struct stored_config *c)
{
	configs_unref(&m->history->configs, m->config);
	m->config = c;
}

static int load_last(void *data, const struct chunk_row *c)
{
	struct history_monitor *m = data;
	m->kept = (struct history_position){c->boot, c->last};
	load_config(m, known_config(m->history, (uint64_t)c->config));
	return 0;
}

static void load_state(struct history_monitor *m, const struct record *r)
{
	struct chain *c = last_chain(m);
	m->rows = c->rows;
	load_config(m, configs_ref(&m->history->configs, c->config));
	/* The loop goes on where the chain ends, if it can. */
	if (row_unpack(r->row, &m->state))
		m->rows = 0;
}

static int load_journal(void *data, int64_t id, struct bytes body)
{
	struct history *h = data;
	struct record r;
	while (record_get(&body, &r)) {
		struct history_monitor *m = known_monitor(h, r.monitor);
		configs_seen(&h->configs, (int64_t)r.config);
		int e = m ? file_record(h, m, &r, id) : -EBADMSG;
		if (e == -ENOMEM)
			return e;
		if (e < 0 && e != -ENOENT)
			return -EUCLEAN;
		if (e > 0)
			load_state(m, &r);
	}
	return body.bad ? -EUCLEAN : 0;
}

static int load_all(struct history *h)
{
	int64_t max = 0;
	int e = store_max_config(h->store, &max);
	configs_seen(&h->configs, max);
	if (!e)
		e = store_monitors(h->store, load_monitor, h);
	for (size_t i = 0; !e && i < h->known_n; i++)
		e = store_last_chunk(h->store, h->known[i]->id, load_last, h->known[i]);
	if (!e)
		e = store_journal(h->store, load_journal, h);
	if (!e)
		e = store_unused_configs(h->store, load_unused, h);
	for (size_t i = 0; !e && i < h->known_n; i++)
		h->known[i]->last = h->known[i]->committed = h->known[i]->kept;
	return e;
}

int writer_load(struct history *h)
{
	h->loading = true;
	int e = load_all(h);
	h->loading = false;
	return e;
}

void writer_release(struct history *h)
{
	for (size_t i = 0; i < h->known_n; i++)
		for (struct chain *c = h->known[i]->chains, *next; c; c = next) {
			next = c->next;
			chain_free(h, c);
		}
	batch_release(&h->pending);
	batch_release(&h->batch);
	free(h->known);
	buf_release(&h->gone);
	store_close(h->store);
}
