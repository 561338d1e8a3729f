/* SPDX-License-Identifier: Apache-2.0 */
/* vigia-helper while this daemon serves. When it ends, its programs end with it (the kernel sees to that); another one
 * is started, off the loop and later each time, and then its programs are. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "os/clock.h"
#include "os/helper.h"
#include "services/health/health.h"

static const int64_t BACKOFF_FIRST_NS = 200000000, BACKOFF_MOST_NS = 60000000000, SETTLED_NS = 60000000000;
enum { DIRS = 2 };

struct starter {
	struct health *health; /* NULL until it is watched */
	char *program, *dirs[DIRS];
	struct helper *helper; /* NULL: gone */
	uv_poll_t *poll;
	uv_timer_t again;
	uv_work_t work;
	struct helper *fresh; /* the worker's, with why there is none */
	struct buf fresh_why;
	bool stopping;
	int64_t since_ns, backoff_ns;
	char why[200]; /* it is gone because */
};

static int open_helper(struct starter *s, struct helper **ret, struct buf *why)
{
	return helper_open(s->program, (const char *const *)s->dirs, DIRS, ret, why);
}

int starter_open(struct starter **ret, const char *program, const char *const dirs[2], struct buf *why)
{
	struct starter *s = calloc(1, sizeof *s);
	if (!s)
		return -ENOMEM;
	s->program = strdup(program);
	for (int i = 0; i < DIRS; i++)
		s->dirs[i] = strdup(dirs[i]);
	int r = s->program && s->dirs[0] && s->dirs[1] ? open_helper(s, &s->helper, why) : -ENOMEM;
	if (r)
		starter_close(s);
	else
		*ret = s;
	return r;
}

void starter_close(struct starter *s)
{
	if (!s)
		return;
	helper_close(s->helper);
	free(s->program);
	for (int i = 0; i < DIRS; i++)
		free(s->dirs[i]);
	free(s);
}

struct helper *starter_helper(const struct starter *s)
{
	return s->helper;
}

/* --- while it is there --- */

static void on_poll_closed(uv_handle_t *poll)
{
	free(poll);
}

static void unwatch(struct starter *s)
{
	if (s->poll)
		uv_close((uv_handle_t *)s->poll, on_poll_closed);
	s->poll = NULL;
}

static void start_later(struct starter *s);

static void lost(struct starter *s)
{
	unwatch(s);
	int status = helper_lost(s->helper);
	s->helper = NULL;
	if (WIFSIGNALED(status))
		snprintf(s->why, sizeof s->why, "was ended by signal %d", WTERMSIG(status));
	else
		snprintf(s->why, sizeof s->why, "ended with status %d", WEXITSTATUS(status));
	event_put(s->health, "helper-lost", s->health->core->name, NULL,
	    "vigia-helper %s, and with it the monitors that it had started; another one is started", s->why);
	supervise_lost(s->health);
	start_later(s);
}

static void on_helper(uv_poll_t *poll, int status, int events)
{
	struct starter *s = poll->data;
	struct helper_notice notice;
	int r;
	while ((r = helper_read(s->helper, &notice)) > 0)
		supervise_notice(s->health, &notice);
	if (r < 0)
		lost(s);
}

static int watch(struct starter *s)
{
	s->since_ns = clock_mono_ns();
	s->poll = calloc(1, sizeof *s->poll);
	if (!s->poll)
		return -ENOMEM;
	int r = uv_poll_init(s->health->core->net.loop, s->poll, helper_fd(s->helper));
	if (r) {
		free(s->poll);
		s->poll = NULL;
		return r;
	}
	s->poll->data = s;
	return uv_poll_start(s->poll, UV_READABLE, on_helper);
}

/* --- while it is not --- */

static void on_work(uv_work_t *work)
{
	struct starter *s = work->data;
	open_helper(s, &s->fresh, &s->fresh_why);
}

static void on_opened(uv_work_t *work, int status)
{
	struct starter *s = work->data;
	s->helper = s->fresh;
	s->fresh = NULL;
	if (s->stopping) {
		/* starter_close() ends it */
	} else if (s->helper && !watch(s)) {
		event_put(s->health, "helper-found", s->health->core->name, NULL, "vigia-helper runs again");
		supervise_again(s->health);
	} else if (s->helper) {
		lost(s);
	} else {
		snprintf(s->why, sizeof s->why, "can't be started: %s", buf_str(&s->fresh_why));
		start_later(s);
	}
	buf_release(&s->fresh_why);
}

static void on_again(uv_timer_t *timer)
{
	struct starter *s = timer->data;
	s->work.data = s;
	if (uv_queue_work(timer->loop, &s->work, on_work, on_opened))
		start_later(s);
}

static void start_later(struct starter *s)
{
	if (s->since_ns && clock_mono_ns() - s->since_ns > SETTLED_NS)
		s->backoff_ns = 0;
	s->backoff_ns = s->backoff_ns ? s->backoff_ns * 2 : BACKOFF_FIRST_NS;
	if (s->backoff_ns > BACKOFF_MOST_NS)
		s->backoff_ns = BACKOFF_MOST_NS;
	s->since_ns = 0;
	uv_timer_start(&s->again, on_again, (uint64_t)(s->backoff_ns / 1000000), 0);
}

void starter_problems(const struct starter *s, struct call *c)
{
	if (!s->helper)
		query_problem(c, "helper", s->health->core->name, NULL,
		    "vigia-helper %s, so no monitor of this node's configuration runs; it is tried again. See that %s can "
		    "be run, and who ends it",
		    s->why, s->program);
}

/* --- the loop's begin and end --- */

int starter_watch(struct starter *s, struct health *h)
{
	s->health = h;
	uv_timer_init(h->core->net.loop, &s->again);
	s->again.data = s;
	return watch(s);
}

void starter_stop(struct starter *s)
{
	s->stopping = true;
	unwatch(s);
	uv_close((uv_handle_t *)&s->again, NULL);
}
