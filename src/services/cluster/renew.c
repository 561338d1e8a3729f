/* SPDX-License-Identifier: Apache-2.0 */
/* A new certificate for this host: when two thirds of the old one's life are over, when the authority's key is another, or by
 * order. One at a time; where the authority is elsewhere, masters are asked for it. */
#include <errno.h>
#include <string.h>

#include "core/inquiry.h"
#include "core/view.h"
#include "os/clock.h"
#include "os/log.h"
#include "services/cluster/membership.h"

enum { ASK_MS = 10000, AGAIN_S = 15, HOSTS_A_SECOND = 200 /* that ask the authority after its key was replaced */ };

/* --- the authority's side --- */

/* What it was given last, unless that was taken back. */
static const struct issued_entry *last_of(const struct authority *a, const char *name)
{
	const struct issued_entry *e, *last = NULL;
	for (size_t i = 0; (e = issued_get(authority_issued(a), i)); i++)
		if (!strcmp(e->name, name))
			last = e;
	return last;
}

static int sign(struct job *j, const char *name)
{
	const struct issued_entry *last = last_of(j->authority, name);
	if (!last || last->revoked_s) {
		buf_putf(&j->why, "%s has %s", name, last ? "been revoked" : "no certificate of this authority's");
		return last ? -EKEYREVOKED : -ENOENT;
	}
	const struct authority_grant g = {last->name, last->roles, AUTHORITY_HOST_LIFE_S};
	return authority_sign(j->authority, j->request.data, j->request.len, &g, j->now_s, &j->certificate, NULL, &j->why);
}

static int reissue_job(struct job *j)
{
	return sign(j, j->text);
}

static void reissue_done(struct job *j)
{
	struct msg *m = !j->result && j->call ? call_answer(j->call, "papers") : NULL;
	if (m) {
		papers_put(m, authority_trust(j->m->authority));
		msg_set_bytes(m, "certificate", j->certificate.data, j->certificate.len);
		call_send(j->call, m);
	}
	job_end(j);
}

/* For the host that asks, whose certificate says who it is. */
int renew_run_reissue(struct call *c)
{
	struct membership *m = c->core->membership;
	struct job *j;
	if (!c->asker->foreign || !c->core->place)
		return call_fail(c, "not-permitted", "cluster.reissue is for hosts of the cluster");
	if (!m->authority)
		return call_fail(c, "not-found", "the cluster's authority is not on this host");
	if (!(j = job_new(m, c, reissue_job, reissue_done)))
		return call_fail_errno(c, -ENOMEM);
	host_id_format(&c->caller.host, j->text);
	buf_put(&j->request, c->args[0].bytes, c->args[0].n);
	job_start(j);
	return CALL_LATER;
}

/* --- this host's --- */

static void renewed(struct job *j)
{
	struct membership *m = j->m;
	m->renews = false;
	if (j->result)
		log_event(LOG_WARNING, "cluster", "this host's certificate can't be renewed: %s", buf_str(&j->why));
	else
		log_event(LOG_NOTICE, "cluster", "this host has a new certificate");
	job_end(j);
}

static int own_job(struct job *j)
{
	int r = place_request(j->vault, &j->request, &j->why);
	if (!r)
		r = sign(j, place_own(j->place).name);
	return r ? r : place_take_certificate(j->place, j->certificate.data, j->certificate.len, &j->why);
}

static int take_job(struct job *j)
{
	return place_take_certificate(j->place, j->certificate.data, j->certificate.len, &j->why);
}

static void on_papers(void *owner, int64_t number, const struct msg *answer)
{
	struct membership *m = owner;
	const uint8_t *certificate;
	size_t n;
	struct job *j;
	if (msg_get_bytes(answer, "certificate", &certificate, &n) || !(j = job_new(m, NULL, take_job, renewed)))
		return;
	m->papers_came = true;
	buf_put(&j->certificate, certificate, n);
	job_start(j);
}

static void on_over(void *owner, int64_t number, const char *code, const char *text)
{
	struct membership *m = owner;
	inquiry_free(m->renewal);
	m->renewal = NULL;
	if (m->papers_came)
		return;
	m->renews = false;
	log_event(LOG_WARNING, "cluster", "this host's certificate can't be renewed: %s", code ? text : "no answer");
}

static const struct inquiry_type asks_master = {.name = "cluster.reissue", .answer = on_papers, .over = on_over};

static void find_master(void *data, const struct view_row *row)
{
	struct membership *m = data;
	if (row->state == VIEW_UP && view_keeps(m->core, &row->id) && !host_id_is(&row->id, &m->core->id))
		m->asks = row->id;
}

static void requested(struct job *j)
{
	struct membership *m = j->m;
	struct msg *q = j->result || m->stopping ? NULL : msg_new("cluster");
	m->papers_came = false;
	m->asks = (struct host_id){0};
	view_each(m->core, false, find_master, m);
	if (!q || host_id_is_none(&m->asks) || !(m->renewal = inquiry_new(m->core, &asks_master, m))) {
		msg_free(q);
		m->renews = false;
		return;
	}
	msg_set(q, "query", "reissue");
	msg_set_bytes(q, "request", j->request.data, j->request.len);
	inquiry_ask(m->renewal, &m->asks, ASK_MS, &(struct frame_caller){0}, q);
}

static int request_job(struct job *j)
{
	return place_request(j->vault, &j->request, &j->why);
}

static int renew(struct membership *m, struct call *c)
{
	struct job *j = m->renews ? NULL : job_new(m, m->authority ? c : NULL, m->authority ? own_job : request_job, m->authority ? renewed : requested);
	if (!j)
		return -EBUSY;
	m->renews = true;
	m->renew_at_s = clock_wall_ns() / 1000000000 + AGAIN_S;
	job_start(j);
	return 0;
}

int renew_run(struct call *c)
{
	struct membership *m = c->core->membership;
	if (!m->place)
		return call_fail(c, "not-found", "this host is in no cluster");
	if (renew(m, c))
		return call_fail(c, "exists", "it is being renewed");
	return m->authority ? CALL_LATER : CALL_DONE;
}

static bool is_due(struct membership *m, int64_t now_s)
{
	struct certificate own = place_own(m->place);
	struct trust *t = belief_trust(place_belief(m->place));
	bool due = now_s >= certificate_renew_s(&own) || strcmp(own.cluster, trust_cluster(t));
	trust_unref(t);
	return due;
}

static void count(void *data, const struct view_row *row)
{
	++*(unsigned *)data;
}

/* All hosts learn of a new key at once: each has a second of its own to ask in. */
static int64_t own_second(const struct membership *m)
{
	unsigned hosts = 0, number = 0;
	view_each(m->core, false, count, &hosts);
	for (size_t i = 0; i < sizeof m->core->id.bytes; i++)
		number = number * 31 + m->core->id.bytes[i];
	return number % (hosts / HOSTS_A_SECOND + 1);
}

void renew_tick(struct membership *m)
{
	int64_t now_s = clock_wall_ns() / 1000000000;
	if (!m->place || m->stopping || now_s < m->renew_at_s)
		return;
	bool due = is_due(m, now_s);
	if (due && !m->is_due)
		m->renew_at_s = now_s + own_second(m);
	m->is_due = due;
	if (due && now_s >= m->renew_at_s)
		renew(m, NULL);
}

void renew_stop(struct membership *m)
{
	inquiry_free(m->renewal);
	m->renewal = NULL;
}

/* --- another key --- */

static int rotate_job(struct job *j)
{
	struct buf list = BUF_INIT;
	int r = authority_rotate(j->authority, j->now_s, &j->why);
	struct trust *t = authority_trust(j->authority);
	if (!r && trust_list(t))
		r = revoked_put(&list, trust_list(t), &j->why);
	if (!r)
		r = place_take_authority(j->place, trust_bundle(t)->data, trust_bundle(t)->len, list.data, list.len, &j->why);
	buf_release(&list);
	return r < 0 ? r : own_job(j);
}

static void rotated(struct job *j)
{
	if (!j->result)
		log_event(LOG_NOTICE, "cluster", "the authority has a new key: %s", trust_cluster(authority_trust(j->m->authority)));
	job_end(j);
	if (!j->result)
		membership_news(j->m);
}

int renew_run_rotate(struct call *c)
{
	struct membership *m = c->core->membership;
	struct job *j;
	if (!m->authority)
		return call_fail(c, "not-found", "the cluster's authority is not on this host");
	if (!(j = job_new(m, c, rotate_job, rotated)))
		return call_fail_errno(c, -ENOMEM);
	job_start(j);
	return CALL_LATER;
}
