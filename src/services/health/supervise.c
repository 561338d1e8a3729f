/* SPDX-License-Identifier: Apache-2.0 */
/* The programs that the configuration names as monitors: started through the helper, started again when they end,
 * later each time they end soon. */
#include <ctype.h>
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

enum { END_MS = 3000 };
static const int64_t BACKOFF_FIRST_NS = 500000000, BACKOFF_MOST_NS = 60000000000, SETTLED_NS = 60000000000;

struct supervised {
	struct health *health;
	char *name, *program, *section, *file;
	int line;
	uint32_t id;
	bool running, connected, wanted;
	bool stopped; /* by order: until it is ordered to start */
	bool ending;  /* by order, and has not yet */
	bool expected; /* it ran when the configuration was taken, or is new */
	int64_t started_ns, backoff_ns;
	uv_timer_t timer;
	char why[200]; /* it does not run because */
	char mistakes[1000]; /* in its section, as its program says; a line each */
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
	*s->why = *s->mistakes = '\0';
}

void supervised_place(struct buf *to, const struct supervised_options *o, const char *line)
{
	int n = 0, end = 0;
	if (sscanf(line, "line %d: %n", &n, &end) == 1 && end)
		line += end;
	if (o->line)
		buf_putf(to, "%s:%d: ", o->file, o->line + (n > 0 ? n - 1 : 0));
	buf_putf(to, "monitor %s: %s", o->name, line);
}

typedef void line_fn(void *data, const struct supervised *s, const char *line);

static void each_line(const struct supervised *s, const char *text, line_fn *fn, void *data)
{
	char line[300];
	for (const char *end; *text; text = end + (*end == '\n')) {
		end = strchrnul(text, '\n');
		snprintf(line, sizeof line, "%.*s", (int)(end - text), text);
		fn(data, s, line);
	}
}

static void place_mistake(void *data, const struct supervised *s, const char *line)
{
	const struct supervised_options o = {.name = s->name, .file = s->file, .line = s->line};
	struct buf *to = data;
	buf_puts(to, to->len ? "\n" : "");
	supervised_place(to, &o, line);
}

static void tell_mistake(void *data, const struct supervised *s, const char *line)
{
	event_put(data, "monitor-error", s->health->core->name, s->name, "%s", line);
}

/* Tried again and again it says the same: told once. */
void supervised_refused(struct supervised *s, const char *text)
{
	struct buf mistakes = BUF_INIT;
	each_line(s, text, place_mistake, &mistakes);
	if (strncmp(s->mistakes, buf_str(&mistakes), sizeof s->mistakes - 1)) {
		snprintf(s->mistakes, sizeof s->mistakes, "%s", buf_str(&mistakes));
		each_line(s, s->mistakes, tell_mistake, s->health);
	}
	buf_release(&mistakes);
}

static void start(struct supervised *s);

static void on_timer(uv_timer_t *timer)
{
	struct supervised *s = timer->data;
	if (s->ending)
		helper_signal(starter_helper(s->health->starter), s->id, SIGKILL);
	else
		start(s);
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
	if (!helper || s->stopped)
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

static void supervised_free(struct supervised *s)
{
	free(s->name);
	free(s->program);
	free(s->section);
	free(s->file);
	free(s);
}

static void on_closed(uv_handle_t *handle)
{
	supervised_free(handle->data);
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

void supervise_describe_end(char *to, size_t size, int status, const char *last_words)
{
	char how[64];
	if (WIFEXITED(status))
		snprintf(how, sizeof how, "ended with status %d", WEXITSTATUS(status));
	else
		snprintf(how, sizeof how, "was ended by signal %d", WTERMSIG(status));
	int n = (int)strlen(last_words);
	while (n && isspace((unsigned char)last_words[n - 1]))
		n--;
	snprintf(to, size, "%s%s%.*s", how, n ? ": " : "", n, last_words);
}

static void supervise_ended(struct health *h, uint32_t id, int status, const char *last_words)
{
	struct supervised *s = by_id(h, id);
	if (!s)
		return;
	s->running = false;
	if (s->ending) {
		s->ending = false;
		uv_timer_stop(&s->timer);
		start(s);
		return;
	}
	if (status < 0)
		snprintf(s->why, sizeof s->why, "can't be started: %s", strerror(-status));
	else
		supervise_describe_end(s->why, sizeof s->why, status, last_words);
	if (!*s->mistakes)
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
		s->running = s->connected = s->ending = false;
		*s->why = '\0';
		uv_timer_stop(&s->timer);
	}
}

void supervise_again(struct health *h)
{
	for (struct supervised *s = h->supervised; s; s = s->next)
		start(s);
}

/* --- orders --- */

/* Its values are as they were, and their state says so. */
static void end(struct supervised *s, const char *why)
{
	drop_peer(s, why);
	s->connected = false;
	*s->why = *s->mistakes = '\0';
	if (!s->running)
		return;
	s->ending = true;
	helper_signal(starter_helper(s->health->starter), s->id, SIGTERM);
	uv_timer_start(&s->timer, on_timer, END_MS, 0);
}

static int stop(struct supervised *s)
{
	if (s->stopped)
		return -EALREADY;
	s->stopped = true;
	uv_timer_stop(&s->timer);
	end(s, "was stopped");
	return 0;
}

static int start_now(struct supervised *s)
{
	if (s->running && !s->ending)
		return -EALREADY;
	s->stopped = false;
	s->backoff_ns = 0;
	if (!s->ending) { /* else when it has */
		uv_timer_stop(&s->timer);
		start(s);
	}
	return 0;
}

static int restart(struct supervised *s)
{
	if (!s->running || s->ending)
		return start_now(s);
	s->backoff_ns = 0;
	end(s, "is started anew");
	return 0;
}

int supervise_order(struct health *h, const char *name, enum supervise_order order)
{
	static int (*const orders[])(struct supervised *s) = {
	    [SUPERVISE_START] = start_now, [SUPERVISE_STOP] = stop, [SUPERVISE_RESTART] = restart};
	for (struct supervised *s = h->supervised; s; s = s->next)
		if (!strcmp(s->name, name))
			return orders[order](s);
	return -ENOENT;
}

/* --- what the configuration wants --- */

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
	    .section = strdup(o->section), .file = strdup(o->file), .line = o->line, .wanted = true, .expected = true,
	    .next = h->supervised};
	if (!s->name || !s->program || !s->section || !s->file) {
		supervised_free(s);
		return -ENOMEM;
	}
	h->supervised = s;
	uv_timer_init(h->core->net.loop, &s->timer);
	s->timer.data = s;
	start(s);
	return 0;
}

static bool is_supervised(const struct health *h, const char *name)
{
	for (const struct supervised *s = h->supervised; s; s = s->next)
		if (!strcmp(s->name, name))
			return true;
	return false;
}

bool supervise_expects(const struct health *h, const char *name)
{
	return !strcmp(name, "vigia") || is_supervised(h, name) || registry_find(h->registry, "monitor", name);
}

/* What history still knows and nobody wants any more. */
static void take_out_unexpected(struct health *h)
{
	for (size_t i = 0; i < h->cluster.self->monitors.n; i++) {
		struct monitor *m = h->cluster.self->monitors.things[i];
		bool was = m->removed;
		m->removed = !m->link && !supervise_expects(h, m->name);
		if (m->removed && !was)
			uplinks_gone(h, m);
	}
}

int supervise(struct health *h, const struct supervised_options *want, size_t n)
{
	for (struct supervised *s = h->supervised; s; s = s->next)
		s->wanted = false;
	for (size_t i = 0; i < n; i++) {
		struct supervised *s = find(h, &want[i]);
		if (!s)
			continue;
		s->wanted = true;
		s->expected = s->connected;
		s->line = want[i].line;
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
	take_out_unexpected(h);
	return r;
}

int supervise_is_up(const struct health *h, struct buf *why)
{
	for (const struct supervised *s = h->supervised; s; s = s->next) {
		if (s->connected || s->stopped || !s->expected)
			continue;
		buf_putf(why, "monitor %s %s", s->name, *s->mistakes ? "finds mistakes: " : *s->why ? s->why : "does not answer");
		buf_puts(why, s->mistakes);
		return *s->mistakes ? -EINVAL : -EAGAIN;
	}
	return 0;
}

void supervise_stop(struct health *h)
{
	while (h->supervised)
		remove_supervised(h->supervised);
}

static void put_mistake(void *data, const struct supervised *s, const char *line)
{
	query_problem(data, "monitor-error", s->health->core->name, s->name, "%s. Mend it, then `vigia reload`", line);
}

void supervise_problems(struct health *h, struct call *c)
{
	for (const struct supervised *s = h->supervised; s; s = s->next)
		if (s->stopped)
			query_problem(c, "monitor-stopped", h->core->name, s->name,
			    "monitor %s was stopped by order: `vigia monitor start %s`", s->name, s->name);
		else if (*s->mistakes && !s->connected)
			each_line(s, s->mistakes, put_mistake, c);
		else if (*s->why && !s->connected)
			query_problem(c, "monitor-program", h->core->name, s->name,
			    "program %s of monitor %s %s; it is tried again within a minute. Try it by hand: %s --once",
			    s->program, s->name, s->why, s->program);
}
