/* SPDX-License-Identifier: Apache-2.0 */
/* The programs that the configuration names as monitors: started through the helper, started again when they end,
 * later each time they end soon. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/clock.h"
#include "os/helper.h"
#include "os/log.h"
#include "services/health/health.h"

static const int64_t BACKOFF_FIRST_NS = 500000000, BACKOFF_MOST_NS = 60000000000, SETTLED_NS = 60000000000;

struct supervised {
	struct health *health;
	char *name, *program, *section;
	uint32_t id;
	bool running, connected, wanted;
	int64_t started_ns, backoff_ns;
	uv_timer_t timer;
	char why[200]; /* it does not run because */
	struct supervised *next;
};

const char *supervised_section(const struct supervised *s)
{
	return s->section;
}

const char *supervised_name(const struct supervised *s)
{
	return s->name;
}

void supervised_connected(struct supervised *s)
{
	s->connected = true;
	*s->why = '\0';
}

static void start(struct supervised *s);

static void on_timer(uv_timer_t *timer)
{
	start(timer->data);
}

static void start_later(struct supervised *s)
{
	int64_t lived = clock_mono_ns() - s->started_ns;
	if (lived > SETTLED_NS || !s->backoff_ns)
		s->backoff_ns = BACKOFF_FIRST_NS;
	uv_timer_start(&s->timer, on_timer, (uint64_t)(s->backoff_ns / 1000000), 0);
	s->backoff_ns = s->backoff_ns * 2 > BACKOFF_MOST_NS ? BACKOFF_MOST_NS : s->backoff_ns * 2;
}

static int start_program(struct supervised *s, struct helper *helper)
{
	static uint32_t last_id;
	int pair[2];
	struct peer *p;
	struct health *h = s->health;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		return -errno;
	s->id = ++last_id;
	int r = helper_start(helper, s->id, s->program, pair[1]);
	close(pair[1]);
	if (!r)
		r = peer_accept(h->core, pair[0], &p);
	if (r) {
		close(pair[0]);
		return r;
	}
	p->started = s;
	return 0;
}

static void start(struct supervised *s)
{
	struct helper *helper = starter_helper(s->health->starter);
	if (!helper)
		return; /* when there is one again: supervise_again() */
	s->started_ns = clock_mono_ns();
	s->connected = false;
	int r = start_program(s, helper);
	if (!r) {
		s->running = true;
		return;
	}
	snprintf(s->why, sizeof s->why, "can't be started: %s", strerror(-r));
	start_later(s);
}

static struct supervised *by_id(struct health *h, uint32_t id)
{
	for (struct supervised *s = h->supervised; s; s = s->next)
		if (s->id == id && s->running)
			return s;
	return NULL;
}

static void on_closed(uv_handle_t *handle)
{
	struct supervised *s = handle->data;
	free(s->name);
	free(s->program);
	free(s->section);
	free(s);
}

/* Its peer may still point here: that goes first. */
static void drop_peer(struct supervised *s, const char *why)
{
	for (struct peer *p = s->health->core->peers, *next; p; p = next) {
		next = p->next;
		if (p->started != s)
			continue;
		if (p->role && p->role->closed)
			p->role->closed(p, 0, why);
		p->owner = NULL;
		peer_close(p);
	}
}

static void remove_supervised(struct supervised *s)
{
	for (struct supervised **p = &s->health->supervised; *p; p = &(*p)->next)
		if (*p == s) {
			*p = s->next;
			break;
		}
	drop_peer(s, "is not wanted any more");
	if (s->running)
		helper_signal(starter_helper(s->health->starter), s->id, SIGTERM);
	uv_close((uv_handle_t *)&s->timer, on_closed);
}

static void describe_end(char *to, size_t size, int status, const char *last_words)
{
	char how[64];
	if (WIFEXITED(status))
		snprintf(how, sizeof how, "ended with status %d", WEXITSTATUS(status));
	else
		snprintf(how, sizeof how, "was ended by signal %d", WTERMSIG(status));
	snprintf(to, size, "%s%s%s", how, *last_words ? ": " : "", last_words);
}

static void supervise_ended(struct health *h, uint32_t id, int status, const char *last_words)
{
	struct supervised *s = by_id(h, id);
	if (!s)
		return;
	s->running = false;
	if (status < 0)
		snprintf(s->why, sizeof s->why, "can't be started: %s", strerror(-status));
	else
		describe_end(s->why, sizeof s->why, status, last_words);
	event_put(h, "monitor-ended", h->core->name, s->name, "program %s %s", s->program, s->why);
	start_later(s);
}

void supervise_notice(struct health *h, const struct helper_notice *n)
{
	if (n->kind == HELPER_ENDED)
		supervise_ended(h, n->id, n->result, n->tail);
	else if (n->result < 0)
		supervise_ended(h, n->id, n->result, "");
}

void supervise_lost(struct health *h)
{
	for (struct supervised *s = h->supervised; s; s = s->next) {
		drop_peer(s, "vigia-helper has ended");
		s->running = s->connected = false;
		*s->why = '\0';
		uv_timer_stop(&s->timer);
	}
}

void supervise_again(struct health *h)
{
	for (struct supervised *s = h->supervised; s; s = s->next)
		start(s);
}

static struct supervised *find(struct health *h, const struct supervised_options *o)
{
	for (struct supervised *s = h->supervised; s; s = s->next)
		if (!strcmp(s->name, o->name) && !strcmp(s->program, o->program) && !strcmp(s->section, o->section))
			return s;
	return NULL;
}

static int add(struct health *h, const struct supervised_options *o)
{
	struct supervised *s = calloc(1, sizeof *s);
	if (!s)
		return -ENOMEM;
	*s = (struct supervised){.health = h, .name = strdup(o->name), .program = strdup(o->program),
	    .section = strdup(o->section), .wanted = true, .next = h->supervised};
	if (!s->name || !s->program || !s->section) {
		free(s->name);
		free(s->program);
		free(s->section);
		free(s);
		return -ENOMEM;
	}
	h->supervised = s;
	uv_timer_init(h->core->net.loop, &s->timer);
	s->timer.data = s;
	start(s);
	return 0;
}

int supervise(struct health *h, const struct supervised_options *want, size_t n)
{
	for (struct supervised *s = h->supervised; s; s = s->next)
		s->wanted = false;
	for (size_t i = 0; i < n; i++) {
		struct supervised *s = find(h, &want[i]);
		if (s)
			s->wanted = true;
	}
	for (struct supervised *s = h->supervised, *next; s; s = next) {
		next = s->next;
		if (!s->wanted)
			remove_supervised(s);
	}
	int r = 0;
	for (size_t i = 0; i < n && !r; i++)
		if (!find(h, &want[i]))
			r = add(h, &want[i]);
	return r;
}

void supervise_stop(struct health *h)
{
	while (h->supervised)
		remove_supervised(h->supervised);
}

void supervise_problems(struct health *h, struct call *c)
{
	for (const struct supervised *s = h->supervised; s; s = s->next)
		if (*s->why && !s->connected)
			query_problem(c, "monitor-program", h->core->name, s->name,
			    "program %s of monitor %s %s; it is tried again. Try it by hand: %s --once", s->program,
			    s->name, s->why, s->program);
}
