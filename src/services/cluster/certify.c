/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates for third parties: programs that are neither hosts nor users of this cluster. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/view.h"
#include "os/log.h"
#include "services/cluster/membership.h"

enum { DAY_S = 86400, DAYS_MAX = 3650 };
enum { NAME, ROLE, REQUEST, DAYS };

static int certify_job(struct job *j)
{
	const struct authority_grant grant = {j->text, j->roles, j->life_s};
	return authority_sign(j->authority, j->request.data, j->request.len, &grant, j->now_s, &j->certificate, &j->facts, &j->why);
}

static void certify_done(struct job *j)
{
	char roles[CERTIFICATE_ROLES];
	struct msg *m = !j->result && j->call ? call_answer(j->call, "certificate") : NULL;
	certificate_roles_format(j->roles, roles);
	if (!j->result)
		log_event(LOG_NOTICE, "cluster", "%s has a certificate: %s, for %lld days", j->text, roles, (long long)(j->life_s / DAY_S));
	if (m) {
		papers_put(m, authority_trust(j->authority));
		msg_set(m, "name", j->text);
		msg_set(m, "roles", roles);
		msg_set_int(m, "until", j->facts.until_s * 1000000000);
		msg_set_bytes(m, "certificate", j->certificate.data, j->certificate.len);
		call_send(j->call, m);
	}
	job_end(j);
}

static bool is_one_role(unsigned roles)
{
	return roles && !(roles & (roles - 1)) && !(roles & ~(unsigned)CERTIFIED_THIRD);
}

/* No host's and no user's, so that who takes one back takes that. */
static int check_name(struct call *c, unsigned roles)
{
	struct buf why = BUF_INIT;
	const char *name = c->args[NAME].text;
	int r = certificate_check_name(name, roles, NULL, &why);
	if (r)
		call_fail(c, "bad-argument", "cluster.certify: %s", buf_str(&why));
	else if (strchr(name, '@'))
		r = call_fail_arg(c, NAME, "a name without @, as users' have");
	else if (view_named(c->core, name))
		r = call_fail(c, "bad-argument", "cluster.certify: %s is a host of the cluster", name);
	buf_release(&why);
	return r;
}

int certify_run(struct call *c)
{
	struct membership *m = c->core->membership;
	unsigned roles;
	int64_t days = c->args[DAYS].number;
	if (!m->authority)
		return call_fail(c, "not-found", "the cluster's authority is not on this host");
	if (certificate_roles_parse(c->args[ROLE].text, &roles) || !is_one_role(roles))
		return call_fail_arg(c, ROLE, "monitor, reader or operator");
	if (days < 1 || days > DAYS_MAX)
		return call_fail_arg(c, DAYS, "1 to %d", DAYS_MAX);
	if (check_name(c, roles))
		return -1;
	struct job *j = job_new(m, c, certify_job, certify_done);
	if (!j)
		return call_fail_errno(c, -ENOMEM);
	snprintf(j->text, sizeof j->text, "%s", c->args[NAME].text);
	j->roles = roles;
	j->life_s = days * DAY_S;
	buf_put(&j->request, c->args[REQUEST].bytes, c->args[REQUEST].n);
	job_start(j);
	return CALL_LATER;
}
