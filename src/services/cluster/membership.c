/* SPDX-License-Identifier: Apache-2.0 */
#include "services/cluster/membership.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/secure.h"
#include "os/clock.h"
#include "os/log.h"

enum { TICK_MS = 1000 };

/* --- what there is --- */

static int open_authority(struct membership *m, struct buf *why)
{
	int r = authority_open(&m->authority, m->vault, clock_wall_ns() / 1000000000, why);
	if (r == -ENOENT) {
		buf_clear(why);
		return 0;
	}
	return r ? r : tokens_open(&m->tokens, m->vault, why);
}

static int open_all(struct membership *m, const struct host_id *self, struct buf *why)
{
	int r = vault_open(&m->vault, m->directory, why);
	if (r == -ENOENT) {
		buf_clear(why);
		return 0;
	}
	r = r ? r : open_authority(m, why);
	if (r)
		return r;
	struct buf masters = BUF_INIT;
	if (!vault_read(m->vault, "masters", VAULT_OPEN, TOKEN_MASTERS, &masters, why))
		snprintf(m->masters, sizeof m->masters, "%s", buf_str(&masters));
	buf_release(&masters);
	buf_clear(why);
	r = place_open(&m->place, m->vault, self, NULL, why);
	if (r == -ENOENT) {
		buf_clear(why);
		return 0;
	}
	return r;
}

int membership_open(struct membership *m, const char *state_directory, const struct host_id *self, struct buf *why)
{
	*m = (struct membership){.jobs_end = &m->jobs};
	if (asprintf(&m->directory, "%s/cluster", state_directory) < 0) {
		m->directory = NULL;
		return -ENOMEM;
	}
	return open_all(m, self, why);
}

void membership_release(struct membership *m)
{
	tokens_close(m->tokens);
	authority_close(m->authority);
	place_close(m->place);
	vault_close(m->vault);
	free(m->directory);
	*m = (struct membership){0};
}

/* --- jobs --- */

void job_drop(struct job *j)
{
	if (j->call)
		j->call->state = NULL;
	token_clear(&j->token);
	OPENSSL_cleanse(j->text, sizeof j->text);
	buf_release(&j->why);
	buf_release(&j->request);
	buf_release(&j->certificate);
	free(j);
}

static void work(uv_work_t *w)
{
	struct job *j = w->data;
	j->result = j->run(j);
}

static void start_first(struct membership *m);

static void worked(uv_work_t *w, int status)
{
	struct job *j = w->data;
	struct membership *m = j->m;
	m->jobs = j->next;
	if (!m->jobs)
		m->jobs_end = &m->jobs;
	j->done(j);
	job_drop(j);
	start_first(m);
}

static void start_first(struct membership *m)
{
	struct job *j = m->jobs;
	if (!j)
		return;
	j->vault = m->vault;
	j->authority = m->authority;
	j->tokens = m->tokens;
	j->place = m->place;
	uv_queue_work(m->core->net.loop, &j->work, work, worked);
}

struct job *job_new(struct membership *m, struct call *c, int (*run)(struct job *j), void (*done)(struct job *j))
{
	struct job *j = calloc(1, sizeof *j);
	if (!j)
		return NULL;
	*j = (struct job){.m = m, .call = c, .run = run, .done = done, .now_s = clock_wall_ns() / 1000000000, .work.data = j};
	if (c)
		c->state = j;
	return j;
}

void job_start(struct job *take_job)
{
	struct membership *m = take_job->m;
	bool idle = !m->jobs;
	*m->jobs_end = take_job;
	m->jobs_end = &take_job->next;
	if (idle)
		start_first(m);
}

void job_over(struct call *c)
{
	struct job *j = c->state;
	if (j)
		j->call = NULL;
}

/* --- what follows --- */

/* What came over plain connections from elsewhere is not believed from now on. */
static void drop_plain(struct core *core)
{
	for (struct peer *p = core->peers, *next; p; p = next) {
		next = p->next;
		if (p->asker.uid == (uid_t)-1 && !p->secure && !p->started)
			peer_refuse(p, "leaving", "this host is in a cluster now: over TLS alone");
	}
}

static void let_join(struct membership *m)
{
	bool any = m->tokens && tokens_open_n(m->tokens, clock_wall_ns() / 1000000000);
	if (m->place && belief_lets_join(place_belief(m->place)) != any)
		belief_let_join(place_belief(m->place), any);
}

void membership_changed(struct membership *m)
{
	bool joined = m->place && !m->core->place;
	m->core->place = m->place;
	m->core->invite = m->place && m->authority ? membership_invite : NULL;
	if (joined)
		drop_plain(m->core);
	let_join(m);
	m->changed();
	membership_news(m);
}

void membership_news(struct membership *m)
{
	if (m->place)
		secure_judge(m->core);
	follow_tell(m);
}

static void on_tick(uv_timer_t *timer)
{
	struct membership *m = timer->data;
	if (!m->jobs)
		let_join(m);
	secure_expire(m->core, clock_wall_ns() / 1000000000);
	follow_tick(m);
	renew_tick(m);
}

/* --- life --- */

int membership_start(struct membership *m, struct core *core, void (*changed)(void))
{
	m->core = core;
	m->changed = changed;
	core->membership = m;
	core->place = m->place;
	core->invite = m->place && m->authority ? membership_invite : NULL;
	uv_timer_init(core->net.loop, &m->tick);
	m->tick.data = m;
	let_join(m);
	return uv_timer_start(&m->tick, on_tick, TICK_MS, TICK_MS);
}

void membership_stop(struct membership *m)
{
	m->stopping = true;
	follow_stop(m);
	renew_stop(m);
	uv_close((uv_handle_t *)&m->tick, NULL);
}
