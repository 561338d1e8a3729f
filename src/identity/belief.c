/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/belief.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "os/clock.h"

struct belief {
	atomic_uint refs;
	atomic_bool lets_join;
	belief_clock_fn *now_s;
	pthread_mutex_t lock;
	struct trust *trust; /* under the lock */
};

static int64_t wall_clock(void)
{
	return clock_wall_ns() / 1000000000;
}

int belief_new(struct belief **ret, struct trust *take_trust, belief_clock_fn *now_s)
{
	struct belief *b = calloc(1, sizeof *b);
	if (!b)
		return -ENOMEM;
	atomic_init(&b->refs, 1);
	atomic_init(&b->lets_join, false);
	pthread_mutex_init(&b->lock, NULL);
	b->now_s = now_s ? now_s : wall_clock;
	b->trust = take_trust;
	*ret = b;
	return 0;
}

struct belief *belief_ref(struct belief *b)
{
	atomic_fetch_add(&b->refs, 1);
	return b;
}

void belief_unref(struct belief *b)
{
	if (!b || atomic_fetch_sub(&b->refs, 1) != 1)
		return;
	trust_unref(b->trust);
	pthread_mutex_destroy(&b->lock);
	free(b);
}

struct trust *belief_trust(struct belief *b)
{
	pthread_mutex_lock(&b->lock);
	struct trust *t = trust_ref(b->trust);
	pthread_mutex_unlock(&b->lock);
	return t;
}

void belief_set(struct belief *b, struct trust *take_trust)
{
	pthread_mutex_lock(&b->lock);
	struct trust *before = b->trust;
	b->trust = take_trust;
	pthread_mutex_unlock(&b->lock);
	trust_unref(before);
}

int64_t belief_now(const struct belief *b)
{
	return b->now_s();
}

void belief_let_join(struct belief *b, bool let)
{
	atomic_store(&b->lets_join, let);
}

bool belief_lets_join(const struct belief *b)
{
	return atomic_load(&b->lets_join);
}
