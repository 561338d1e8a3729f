/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/inquiry.h"
#include "core/view.h"
#include "os/log.h"
#include "services/cluster/membership.h"

/* --- who follows us --- */

struct follower {
	struct call *call;
	struct follower *next, **link;
};

void papers_put(struct msg *to, const struct trust *t)
{
	struct buf list = BUF_INIT, why = BUF_INIT;
	msg_set_bytes(to, "authority", trust_bundle(t)->data, trust_bundle(t)->len);
	if (trust_list(t) && !revoked_put(&list, trust_list(t), &why))
		msg_set_bytes(to, "list", list.data, list.len);
	buf_release(&list);
	buf_release(&why);
}

static void tell(struct membership *m, struct call *c)
{
	struct trust *t = m->place ? belief_trust(place_belief(m->place)) : NULL;
	struct msg *answer = t ? call_answer(c, "cluster") : NULL;
	if (answer)
		papers_put(answer, t);
	call_send(c, answer);
	trust_unref(t);
}

void follow_tell(struct membership *m)
{
	for (struct follower *f = m->followers; f; f = f->next)
		tell(m, f->call);
}

int follow_run(struct call *c)
{
	struct membership *m = c->core->membership;
	struct follower *f = calloc(1, sizeof *f);
	if (!f)
		return call_fail_errno(c, -ENOMEM);
	*f = (struct follower){.call = c, .next = m->followers, .link = &m->followers};
	if (f->next)
		f->next->link = &f->next;
	m->followers = f;
	c->state = f;
	tell(m, c);
	return CALL_LATER;
}

void follow_over(struct call *c)
{
	struct follower *f = c->state;
	if (!f)
		return;
	*f->link = f->next;
	if (f->next)
		f->next->link = f->link;
	free(f);
}

/* --- whom we follow: those who keep the view, our masters --- */

struct follow {
	struct membership *m;
	struct inquiry *inquiry; /* NULL: it is over */
	struct host_id host;
	struct follow *next;
};

static int news_run(struct job *j)
{
	struct place *p = j->m->place;
	if (!p)
		return 0;
	int r = place_take_authority(p, j->certificate.data, j->certificate.len, j->request.data, j->request.len, &j->why);
	if (!r && j->request.len)
		r = place_take_list(p, j->request.data, j->request.len, &j->why);
	return r;
}

static void news_done(struct job *j)
{
	if (j->result < 0)
		log_event(LOG_WARNING, "cluster", "news of whom to believe are refused: %s", buf_str(&j->why));
	if (j->result <= 0)
		return;
	j->m->renew_at_s = 0; /* the authority's key may be another */
	membership_news(j->m);
}

static void on_answer(void *owner, int64_t number, const struct msg *answer)
{
	struct follow *f = owner;
	const uint8_t *bundle, *list = NULL;
	size_t bundle_n, list_n = 0;
	struct job *j;
	if (!f->m->place || msg_get_bytes(answer, "authority", &bundle, &bundle_n) || !(j = job_new(f->m, NULL, news_run, news_done)))
		return;
	msg_get_bytes(answer, "list", &list, &list_n);
	buf_put(&j->certificate, bundle, bundle_n);
	buf_put(&j->request, list, list_n);
	job_start(j);
}

static void on_over(void *owner, int64_t number, const char *code, const char *text)
{
	struct follow *f = owner;
	inquiry_free(f->inquiry);
	f->inquiry = NULL;
}

static const struct inquiry_type follows = {.name = "cluster.follow", .answer = on_answer, .over = on_over};

static struct follow *follow_of(struct membership *m, const struct host_id *host)
{
	struct follow *f = m->follows;
	while (f && !host_id_is(&f->host, host))
		f = f->next;
	if (f || !(f = calloc(1, sizeof *f)))
		return f;
	*f = (struct follow){.m = m, .host = *host, .next = m->follows};
	m->follows = f;
	return f;
}

static void follow_one(void *data, const struct view_row *row)
{
	struct membership *m = data;
	if (row->state != VIEW_UP || !view_keeps(m->core, &row->id) || host_id_is(&row->id, &m->core->id))
		return;
	struct follow *f = follow_of(m, &row->id);
	struct msg *q = f && !f->inquiry ? msg_new("cluster") : NULL;
	if (!q)
		return;
	msg_set(q, "query", "follow");
	if ((f->inquiry = inquiry_new(m->core, &follows, f)))
		inquiry_ask(f->inquiry, &row->id, 5000, &(struct frame_caller){0}, q);
	else
		msg_free(q);
}

void follow_tick(struct membership *m)
{
	if (m->place && !m->stopping)
		view_each(m->core, false, follow_one, m);
}

void follow_stop(struct membership *m)
{
	while (m->follows) {
		struct follow *f = m->follows;
		m->follows = f->next;
		inquiry_free(f->inquiry);
		free(f);
	}
}
