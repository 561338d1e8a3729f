/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "heartbeat/private.h"

#define NEVER INT64_MAX

struct slot {
	struct heartbeat *h; /* NULL: free */
	uint32_t generation;
	short events; /* as registered */
};

struct heartbeat_thread {
	pthread_t id;
	pthread_mutex_t lock;
	struct slot *slots;
	uint32_t n;
	int epoll, wake;
	int64_t due_ns; /* earliest of all, or earlier */
	bool stop;
};

static int64_t monotonic(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

void heartbeat_thread_lock(struct heartbeat_thread *t)
{
	if (t)
		pthread_mutex_lock(&t->lock);
}

void heartbeat_thread_unlock(struct heartbeat_thread *t)
{
	if (t)
		pthread_mutex_unlock(&t->lock);
}

static void wake(struct heartbeat_thread *t)
{
	eventfd_write(t->wake, 1);
}

static short wanted(const struct heartbeat *h)
{
	return h->step.connected ? (short)(heartbeat_events(h) | POLLRDHUP) : 0;
}

static struct epoll_event registration(const struct heartbeat_thread *t, uint32_t slot, short events)
{
	return (struct epoll_event){
	    .events = (uint32_t)events, .data.u64 = (uint64_t)t->slots[slot].generation << 32 | (slot + 1)};
}

static void unregister(struct heartbeat_thread *t, struct heartbeat *h)
{
	if (t->slots[h->slot].events)
		epoll_ctl(t->epoll, EPOLL_CTL_DEL, h->fd, NULL);
	t->slots[h->slot].events = 0;
}

static void reregister(struct heartbeat_thread *t, struct heartbeat *h)
{
	struct slot *s = &t->slots[h->slot];
	short events = wanted(h);
	struct epoll_event e = registration(t, h->slot, events);

	if (events == s->events)
		return;
	/* An ended socket would report its end for ever. */
	if (!events)
		unregister(t, h);
	else
		epoll_ctl(t->epoll, s->events ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, h->fd, &e);
	s->events = events;
}

void heartbeat_thread_rearm(struct heartbeat_thread *t, struct heartbeat *h)
{
	if (!t)
		return;
	reregister(t, h);
	if (h->due_ns >= t->due_ns)
		return;
	t->due_ns = h->due_ns;
	if (!pthread_equal(pthread_self(), t->id))
		wake(t);
}

static int free_slot(struct heartbeat_thread *t, uint32_t *ret_slot)
{
	struct slot *grown;
	uint32_t i;

	for (i = 0; i < t->n && t->slots[i].h; i++)
		;
	if (i == t->n) {
		grown = reallocarray(t->slots, t->n + 1, sizeof *grown);
		if (!grown)
			return -ENOMEM;
		t->slots = grown;
		t->slots[t->n++] = (struct slot){0};
	}
	*ret_slot = i;
	return 0;
}

int heartbeat_thread_serve(struct heartbeat_thread *t, struct heartbeat *h)
{
	uint32_t slot;
	int r = -EBUSY;

	pthread_mutex_lock(&t->lock);
	if (!h->thread && (r = free_slot(t, &slot)) == 0) {
		t->slots[slot].h = h;
		t->slots[slot].generation++;
		h->slot = slot;
		h->thread = t;
		heartbeat_thread_rearm(t, h);
	}
	pthread_mutex_unlock(&t->lock);
	return r;
}

void heartbeat_thread_drop(struct heartbeat_thread *t, struct heartbeat *h)
{
	pthread_mutex_lock(&t->lock);
	if (h->thread == t) {
		unregister(t, h);
		t->slots[h->slot].h = NULL;
		h->thread = NULL;
	}
	pthread_mutex_unlock(&t->lock);
}

static void serve_event(struct heartbeat_thread *t, const struct epoll_event *e)
{
	uint32_t slot = (uint32_t)e->data.u64 - 1;
	eventfd_t ignored;

	if (e->data.u64 == 0) {
		eventfd_read(t->wake, &ignored);
		return;
	}
	if (t->slots[slot].h && t->slots[slot].generation == e->data.u64 >> 32)
		heartbeat_handle(t->slots[slot].h, (short)e->events, monotonic());
}

static void serve_timers(struct heartbeat_thread *t)
{
	int64_t now = monotonic(), due = NEVER;

	if (now < t->due_ns)
		return;
	t->due_ns = NEVER;
	for (uint32_t i = 0; i < t->n; i++)
		if (t->slots[i].h && t->slots[i].h->due_ns <= now)
			heartbeat_handle(t->slots[i].h, 0, now);
	for (uint32_t i = 0; i < t->n; i++)
		if (t->slots[i].h && t->slots[i].h->due_ns < due)
			due = t->slots[i].h->due_ns;
	t->due_ns = due;
}

static int timeout_ms(const struct heartbeat_thread *t)
{
	int64_t left;

	if (t->due_ns == NEVER)
		return -1;
	left = t->due_ns - monotonic();
	if (left <= 0)
		return 0;
	return left > INT64_C(3600000000000) ? 3600000 : (int)((left + 999999) / 1000000);
}

static void *run(void *arg)
{
	struct heartbeat_thread *t = arg;
	struct epoll_event e;
	int timeout;

	pthread_mutex_lock(&t->lock);
	while (!t->stop) {
		timeout = timeout_ms(t);
		pthread_mutex_unlock(&t->lock);
		int n = epoll_wait(t->epoll, &e, 1, timeout);
		pthread_mutex_lock(&t->lock);
		if (n == 1)
			serve_event(t, &e);
		serve_timers(t);
	}
	pthread_mutex_unlock(&t->lock);
	return NULL;
}

/* A callback may call back into the heartbeat it is called for. */
static void init_lock(struct heartbeat_thread *t)
{
	pthread_mutexattr_t a;

	pthread_mutexattr_init(&a);
	pthread_mutexattr_settype(&a, PTHREAD_MUTEX_RECURSIVE);
	pthread_mutex_init(&t->lock, &a);
	pthread_mutexattr_destroy(&a);
}

static int open_descriptors(struct heartbeat_thread *t)
{
	struct epoll_event e = {.events = EPOLLIN};

	t->epoll = epoll_create1(EPOLL_CLOEXEC);
	t->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (t->epoll < 0 || t->wake < 0)
		return -errno;
	return epoll_ctl(t->epoll, EPOLL_CTL_ADD, t->wake, &e) < 0 ? -errno : 0;
}

static int spawn(struct heartbeat_thread *t)
{
	sigset_t all, before;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&t->id, NULL, run, t);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -r;
}

static void release(struct heartbeat_thread *t)
{
	if (t->epoll >= 0)
		close(t->epoll);
	if (t->wake >= 0)
		close(t->wake);
	pthread_mutex_destroy(&t->lock);
	free(t->slots);
	free(t);
}

int heartbeat_start_thread(struct heartbeat_thread **ret_thread)
{
	struct heartbeat_thread *t = calloc(1, sizeof *t);
	int r;

	if (!t)
		return -ENOMEM;
	t->epoll = t->wake = -1;
	t->due_ns = NEVER;
	init_lock(t);
	r = open_descriptors(t);
	if (r == 0)
		r = spawn(t);
	if (r < 0) {
		release(t);
		return r;
	}
	*ret_thread = t;
	return 0;
}

void heartbeat_stop_thread(struct heartbeat_thread *t)
{
	if (!t)
		return;
	pthread_mutex_lock(&t->lock);
	t->stop = true;
	pthread_mutex_unlock(&t->lock);
	wake(t);
	pthread_join(t->id, NULL);
	for (uint32_t i = 0; i < t->n; i++)
		if (t->slots[i].h)
			heartbeat_thread_drop(t, t->slots[i].h);
	release(t);
}
