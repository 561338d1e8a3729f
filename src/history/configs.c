/* SPDX-License-Identifier: Apache-2.0 */
#include "history/configs.h"

#include <stdlib.h>

void configs_init(struct configs *c)
{
	pthread_mutex_init(&c->lock, NULL);
	c->idle_end = &c->idle;
	c->next_id = 1;
}

static void stored_free(struct stored_config *s)
{
	config_unref(s->config);
	free(s);
}

void configs_release(struct configs *c)
{
	for (size_t i = 0; i < CONFIG_BUCKETS; i++)
		for (struct stored_config *s = c->by_id[i], *next; s; s = next) {
			next = s->same_id;
			stored_free(s);
		}
	buf_release(&c->gone);
	pthread_mutex_destroy(&c->lock);
}

/* --- with the lock held --- */

static struct stored_config **id_bucket(struct configs *c, int64_t id)
{
	return &c->by_id[(uint64_t)id % CONFIG_BUCKETS];
}

static struct stored_config **digest_bucket(struct configs *c, uint64_t digest)
{
	return &c->by_digest[digest % CONFIG_BUCKETS];
}

static struct stored_config *find_id(struct configs *c, int64_t id)
{
	struct stored_config *s = *id_bucket(c, id);
	while (s && s->id != id)
		s = s->same_id;
	return s;
}

static void idle_remove(struct configs *c, struct stored_config *s)
{
	*s->idle_link = s->next_idle;
	if (s->next_idle)
		s->next_idle->idle_link = s->idle_link;
	else
		c->idle_end = s->idle_link;
	c->idle_n--;
	c->idle_metrics -= s->config->n;
}

static void idle_add(struct configs *c, struct stored_config *s)
{
	s->next_idle = NULL;
	s->idle_link = c->idle_end;
	*c->idle_end = s;
	c->idle_end = &s->next_idle;
	c->idle_n++;
	c->idle_metrics += s->config->n;
}

static struct stored_config *hold(struct configs *c, struct stored_config *s)
{
	if (s && !s->refs++)
		idle_remove(c, s);
	return s;
}

static void let_go(struct configs *c, struct stored_config *s)
{
	struct stored_config **p = id_bucket(c, s->id);
	while (*p != s)
		p = &(*p)->same_id;
	*p = s->same_id;
	p = digest_bucket(c, s->config->digest);
	while (*p != s)
		p = &(*p)->same_digest;
	*p = s->same_digest;
	idle_remove(c, s);
	/* Without memory for its number it stays in the file until the next start looks through. */
	buf_put(&c->gone, &s->id, sizeof s->id);
	c->gone.failed = false;
	stored_free(s);
}

/* --- */

struct stored_config *configs_find_id(struct configs *c, int64_t id)
{
	pthread_mutex_lock(&c->lock);
	struct stored_config *s = hold(c, find_id(c, id));
	pthread_mutex_unlock(&c->lock);
	return s;
}

struct stored_config *configs_find(struct configs *c, const struct config *config)
{
	pthread_mutex_lock(&c->lock);
	struct stored_config *s = *digest_bucket(c, config->digest);
	while (s && !configs_alike(s->config, config))
		s = s->same_digest;
	hold(c, s);
	pthread_mutex_unlock(&c->lock);
	return s;
}

struct stored_config *configs_add(struct configs *c, int64_t id, struct config *take)
{
	struct stored_config *s = calloc(1, sizeof *s);
	if (!s) {
		config_unref(take);
		return NULL;
	}
	pthread_mutex_lock(&c->lock);
	*s = (struct stored_config){.id = id ? id : c->next_id++, .config = take, .refs = 1};
	struct stored_config **p = id_bucket(c, s->id), **q = digest_bucket(c, take->digest);
	s->same_id = *p;
	*p = s;
	s->same_digest = *q;
	*q = s;
	pthread_mutex_unlock(&c->lock);
	return s;
}

struct stored_config *configs_ref(struct configs *c, struct stored_config *s)
{
	pthread_mutex_lock(&c->lock);
	s->refs++;
	pthread_mutex_unlock(&c->lock);
	return s;
}

void configs_unref(struct configs *c, struct stored_config *s)
{
	if (!s)
		return;
	pthread_mutex_lock(&c->lock);
	if (!--s->refs)
		idle_add(c, s);
	while (c->idle_n > IDLE_CONFIGS_MAX || c->idle_metrics > IDLE_METRICS_MAX)
		let_go(c, c->idle);
	pthread_mutex_unlock(&c->lock);
}

void configs_seen(struct configs *c, int64_t id)
{
	pthread_mutex_lock(&c->lock);
	c->next_id = id >= c->next_id && id < INT64_MAX ? id + 1 : c->next_id;
	pthread_mutex_unlock(&c->lock);
}

bool configs_has(struct configs *c, int64_t id)
{
	pthread_mutex_lock(&c->lock);
	bool has = find_id(c, id);
	pthread_mutex_unlock(&c->lock);
	return has;
}

void configs_put_gone(struct configs *c, int64_t id)
{
	pthread_mutex_lock(&c->lock);
	buf_put(&c->gone, &id, sizeof id);
	c->gone.failed = false;
	pthread_mutex_unlock(&c->lock);
}

void configs_take_gone(struct configs *c, struct buf *to)
{
	pthread_mutex_lock(&c->lock);
	buf_put(to, c->gone.data, c->gone.len);
	if (to->failed)
		to->failed = false;
	else
		buf_clear(&c->gone);
	pthread_mutex_unlock(&c->lock);
}

void configs_ref_all(struct configs *c, struct buf *to)
{
	pthread_mutex_lock(&c->lock);
	for (size_t i = 0; i < CONFIG_BUCKETS; i++)
		for (struct stored_config *s = c->by_id[i]; s; s = s->same_id) {
			buf_put(to, &s, sizeof s);
			if (!to->failed)
				hold(c, s);
		}
	pthread_mutex_unlock(&c->lock);
}
