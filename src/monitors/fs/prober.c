/* SPDX-License-Identifier: Apache-2.0 */
#include "prober.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { STACK = 64 * 1024 };

/* Shared by prober and threads; the last to let go frees it. All under `lock`. */
struct shared {
	pthread_mutex_t lock;
	pthread_cond_t work, done; /* something to ask; something answered */
	probe_fn *ask;
	unsigned refs;	     /* the prober and each thread */
	struct target *todo; /* waiting for the thread, in order */
	struct target *busy; /* what the thread at work is in */
	unsigned answered;   /* by threads that were not given up */
	bool worker;	     /* one is there that is not stuck */
	bool ended;
};

struct target {
	struct target *next;
	char *path;
	struct probe result, fresh; /* fresh: as it comes in */
	bool asked;		    /* and not answered yet */
	bool removed;		    /* frees itself when it comes back */
};

struct prober {
	struct shared *shared;
	struct target **targets;
	size_t n;
};

static void target_free(struct target *t)
{
	if (t)
		free(t->path);
	free(t);
}

/* Unlocks; call with the lock held. */
static void let_go(struct shared *s)
{
	bool last = !--s->refs;
	pthread_mutex_unlock(&s->lock);
	if (!last)
		return;
	pthread_mutex_destroy(&s->lock);
	pthread_cond_destroy(&s->work);
	pthread_cond_destroy(&s->done);
	free(s);
}

/* --- the thread --- */

static void ask(struct shared *s, struct target *t)
{
	pthread_mutex_unlock(&s->lock);
	struct probe fresh = {.state = PROBE_OK};
	if (s->ask(t->path, &fresh.is)) {
		fresh.state = PROBE_ERROR;
		fresh.error = errno;
	}
	pthread_mutex_lock(&s->lock);
	t->fresh = fresh;
	t->asked = false;
	if (t->removed)
		target_free(t);
}

/* Until there is no more need of it: the prober ended, or it got stuck and was replaced. */
static void *work(void *data)
{
	struct shared *s = data;
	pthread_mutex_lock(&s->lock);
	for (bool mine = true; mine && !s->ended;) {
		struct target *t = s->todo;
		if (!t) {
			pthread_cond_wait(&s->work, &s->lock);
			continue;
		}
		s->todo = t->next;
		s->busy = t;
		ask(s, t);
		mine = s->busy == t;
		if (mine) {
			s->busy = NULL;
			s->answered++;
			pthread_cond_signal(&s->done);
		}
	}
	let_go(s);
	return NULL;
}

/* Signals are for the main thread. With the lock held. */
static int start_worker(struct shared *s)
{
	pthread_t thread;
	pthread_attr_t attributes;
	sigset_t all, before;
	sigfillset(&all);
	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attributes, STACK);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int r = -pthread_create(&thread, &attributes, work, s);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	if (!r) {
		s->refs++;
		s->worker = true;
	}
	return r;
}

/* --- asking --- */

static struct timespec deadline(int64_t ms)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_sec += ms / 1000;
	t.tv_nsec += ms % 1000 * 1000000;
	if (t.tv_nsec >= 1000000000) {
		t.tv_nsec -= 1000000000;
		t.tv_sec++;
	}
	return t;
}

/* Until one more is answered. False: the thread is stuck. */
static bool await_answer(struct shared *s, int64_t limit_ms)
{
	unsigned before = s->answered;
	struct timespec until = deadline(limit_ms);
	while (s->answered == before)
		if (pthread_cond_timedwait(&s->done, &s->lock, &until) == ETIMEDOUT)
			return s->answered != before || !s->busy;
	return true;
}

static void put_all(struct prober *p)
{
	struct target **end = &p->shared->todo;
	for (size_t i = 0; i < p->n; i++) {
		struct target *t = p->targets[i];
		if (!t || t->asked)
			continue;
		t->asked = true;
		t->next = NULL;
		*end = t;
		end = &t->next;
	}
}

/* No thread to be had: what waits is not asked. */
static void fail_all(struct shared *s, int r)
{
	for (struct target *t = s->todo; t; t = t->next) {
		t->asked = false;
		t->fresh = (struct probe){.state = PROBE_ERROR, .error = -r};
	}
	s->todo = NULL;
}

static void take_results(struct prober *p)
{
	for (size_t i = 0; i < p->n; i++) {
		struct target *t = p->targets[i];
		if (t && t->asked)
			t->result = (struct probe){.state = PROBE_HUNG};
		else if (t)
			t->result = t->fresh;
	}
}

int prober_ask(struct prober *p, int64_t limit_ms)
{
	struct shared *s = p->shared;
	int r = 0;
	pthread_mutex_lock(&s->lock);
	put_all(p);
	while (!r && (s->todo || s->busy)) {
		if (!s->worker)
			r = start_worker(s);
		pthread_cond_signal(&s->work);
		if (r || await_answer(s, limit_ms))
			continue;
		s->busy = NULL; /* whoever is in there finds out when it comes back */
		s->worker = false;
	}
	if (r)
		fail_all(s, r);
	take_results(p);
	pthread_mutex_unlock(&s->lock);
	return r;
}

const struct probe *prober_result(const struct prober *p, int number)
{
	return &p->targets[number]->result;
}

/* --- making --- */

static struct shared *shared_new(probe_fn *ask_)
{
	struct shared *s = calloc(1, sizeof *s);
	if (!s)
		return NULL;
	pthread_condattr_t monotonic;
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->work, &monotonic);
	pthread_cond_init(&s->done, &monotonic);
	pthread_condattr_destroy(&monotonic);
	s->ask = ask_;
	s->refs = 1;
	return s;
}

struct prober *prober_new(probe_fn *ask_)
{
	struct prober *p = calloc(1, sizeof *p);
	if (p)
		p->shared = shared_new(ask_);
	if (p && !p->shared) {
		free(p);
		return NULL;
	}
	return p;
}

static void let_target_go(struct target *t)
{
	if (t && t->asked)
		t->removed = true;
	else
		target_free(t);
}

void prober_free(struct prober *p)
{
	if (!p)
		return;
	pthread_mutex_lock(&p->shared->lock);
	for (size_t i = 0; i < p->n; i++)
		let_target_go(p->targets[i]);
	p->shared->ended = true;
	pthread_cond_broadcast(&p->shared->work);
	let_go(p->shared);
	free(p->targets);
	free(p);
}

static int free_number(struct prober *p)
{
	for (size_t i = 0; i < p->n; i++)
		if (!p->targets[i])
			return (int)i;
	struct target **more = reallocarray(p->targets, p->n + 1, sizeof *more);
	if (!more)
		return -ENOMEM;
	p->targets = more;
	p->targets[p->n] = NULL;
	return (int)p->n++;
}

int prober_add(struct prober *p, const char *path)
{
	int number = free_number(p);
	struct target *t = number < 0 ? NULL : calloc(1, sizeof *t);
	if (t && !(t->path = strdup(path))) {
		free(t);
		t = NULL;
	}
	if (!t)
		return -ENOMEM;
	p->targets[number] = t;
	return number;
}

void prober_remove(struct prober *p, int number)
{
	pthread_mutex_lock(&p->shared->lock);
	let_target_go(p->targets[number]);
	p->targets[number] = NULL;
	pthread_mutex_unlock(&p->shared->lock);
}
