/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/orders.h"
#include "os/log.h"
#include "services/cluster/membership.h"

/* Who it is, this host's kernel has said: j->text is made of that alone. */
static int login_job(struct job *j)
{
	const struct authority_grant grant = {j->text, CERTIFIED_USER, AUTHORITY_USER_LIFE_S};
	return authority_sign(j->m->authority, j->request.data, j->request.len, &grant, j->now_s, &j->certificate, NULL, &j->why);
}

static void login_done(struct job *j)
{
	struct msg *m = !j->result && j->call ? call_answer(j->call, "login") : NULL;
	if (!j->result)
		log_event(LOG_NOTICE, "cluster", "a key of %s is good for %d h", j->text, AUTHORITY_USER_LIFE_S / 3600);
	if (m) {
		msg_set(m, "name", j->text);
		msg_set_int(m, "until", (j->now_s + AUTHORITY_USER_LIFE_S) * 1000000000);
		msg_set_bytes(m, "certificate", j->certificate.data, j->certificate.len);
		call_send(j->call, m);
	}
	job_end(j);
}

/* Of this host's own users, by its kernel's word alone: neither by another's, nor by a signature, which would renew itself for ever. */
int login_run(struct call *c)
{
	char name[CERTIFICATE_NAME];
	struct membership *m = c->core->membership;
	if (!m->authority)
		return call_fail(c, "not-found", "the cluster's authority is not on this host");
	if (asker_is_stranger(c->asker))
		return call_fail(c, "not-permitted", "cluster.login is for users of this host, on its socket");
	if (order_name(name, c->asker->uid, c->core->realm))
		return call_fail(c, "not-permitted", "cluster.login: uid 0 acts on no other host: it is root of this one alone");
	struct job *j = job_new(m, c, login_job, login_done);
	if (!j)
		return call_fail_errno(c, -ENOMEM);
	snprintf(j->text, sizeof j->text, "%s", name);
	buf_put(&j->request, c->args[0].bytes, c->args[0].n);
	job_start(j);
	return CALL_LATER;
}

int login_run_audience(struct call *c)
{
	struct order_audience here;
	char id[HOST_ID_TEXT];
	struct msg *m = orders_audience(c->core, &here) ? NULL : call_answer(c, "audience");
	if (!m)
		return call_fail_errno(c, -ENOMEM);
	host_id_format(&here.host, id);
	msg_set(m, "host", id);
	msg_set_int(m, "life", (int64_t)here.life);
	call_send(c, m);
	return CALL_DONE;
}
