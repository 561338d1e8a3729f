/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/joining.h"
#include "core/view.h"
#include "os/log.h"
#include "services/cluster/membership.h"

/* --- how it went --- */

static const struct {
	int error;
	const char *code;
} codes[] = {{-EEXIST, "exists"}, {-ENOENT, "not-found"}, {-EINVAL, "bad-argument"}, {-EBADMSG, "bad-argument"},
    {-EKEYREJECTED, "not-permitted"}, {-EKEYEXPIRED, "not-permitted"}, {-EKEYREVOKED, "not-permitted"}, {-EAGAIN, "too-many"},
    {-EBUSY, "held"}, {-EHOSTUNREACH, "unreachable"}};

static const char *code_of(int error)
{
	for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
		if (codes[i].error == error)
			return codes[i].code;
	return "failed";
}

static int fail(struct job *j)
{
	if (j->call)
		call_fail(j->call, code_of(j->result), "%s", j->why.len ? buf_str(&j->why) : strerror(-j->result));
	return -1;
}

static int start(struct call *c, int (*run)(struct job *j), void (*done)(struct job *j))
{
	struct membership *m = c->core->membership;
	struct job *j = job_new(m, c, run, done);
	if (!j)
		return call_fail_errno(c, -ENOMEM);
	job_start(j);
	return CALL_LATER;
}

void job_end(struct job *j)
{
	if (j->result)
		fail(j);
	else if (j->call)
		call_end(j->call);
}

static const char *id_of(const struct core *core, char to[HOST_ID_TEXT])
{
	host_id_format(&core->id, to);
	return to;
}

/* --- making a cluster --- */

static int list_of(const struct trust *t, struct buf *to, struct buf *why)
{
	const struct revoked *list = trust_list(t);
	return list ? revoked_put(to, list, why) : 0;
}

/* A certificate for this host's own request, and its place with it. */
static int settle(struct job *j)
{
	char id[HOST_ID_TEXT];
	struct trust *t = authority_trust(j->authority);
	struct buf list = BUF_INIT;
	const struct host_id *self = &j->m->core->id;
	const struct authority_grant grant = {id_of(j->m->core, id), CERTIFIED_HOST, AUTHORITY_HOST_LIFE_S};
	int r = place_request(j->vault, &j->request, &j->why);
	if (!r)
		r = authority_sign(j->authority, j->request.data, j->request.len, &grant, j->now_s, &j->certificate, NULL, &j->why);
	if (!r)
		r = list_of(t, &list, &j->why);
	struct place_papers papers = {.bundle = trust_bundle(t)->data, .bundle_n = trust_bundle(t)->len, .list = list.data,
	    .list_n = list.len, .certificate = j->certificate.data, .certificate_n = j->certificate.len};
	if (!r)
		r = place_join(j->vault, self, &papers, j->now_s, &j->why);
	buf_release(&list);
	return r ? r : place_open(&j->place, j->vault, self, NULL, &j->why);
}

/* A begun one goes on where it stopped. */
static int init_job(struct job *j)
{
	int r = j->vault ? 0 : vault_make(&j->vault, j->m->directory, &j->why);
	if (!r && !j->authority)
		r = authority_make(&j->authority, j->vault, j->now_s, &j->why);
	if (!r && !j->tokens)
		r = tokens_open(&j->tokens, j->vault, &j->why);
	return r ? r : settle(j);
}

static void take_over(struct job *j)
{
	struct membership *m = j->m;
	m->vault = j->vault;
	m->authority = j->authority;
	m->tokens = j->tokens;
	m->place = j->place;
}

static void put_status(struct call *c);

static void init_done(struct job *j)
{
	take_over(j);
	if (j->result) {
		fail(j);
		return;
	}
	log_event(LOG_NOTICE, "cluster", "this host has made a cluster: %s", place_own(j->m->place).cluster);
	if (j->call)
		put_status(j->call);
	job_end(j);
	membership_changed(j->m);
}

static int run_init(struct call *c)
{
	if (c->core->place)
		return call_fail(c, "exists", "this host is in a cluster already: `vigia cluster status`");
	return start(c, init_job, init_done);
}

/* --- tokens --- */

static int token_job(struct job *j)
{
	struct buf text = BUF_INIT;
	int r = tokens_issue(j->m->tokens, j->roles, j->now_s, &j->token, &j->why);
	if (!r)
		r = place_fingerprint(j->m->place, j->token.authority);
	if (!r)
		r = token_put(&text, &j->token, &j->why);
	if (!r)
		snprintf(j->text, sizeof j->text, "%s", buf_str(&text));
	if (text.data)
		OPENSSL_cleanse(text.data, text.size);
	buf_release(&text);
	return r;
}

static void token_done(struct job *j)
{
	struct msg *m = !j->result && j->call ? call_answer(j->call, "token") : NULL;
	if (m) {
		msg_set(m, "token", j->text);
		msg_set_int(m, "until", j->token.until_s * 1000000000);
		call_send(j->call, m);
	}
	job_end(j);
	if (!j->result)
		membership_changed(j->m);
	if (j->ready)
		j->ready(j->owner, j->result ? NULL : j->text, j->why.len ? buf_str(&j->why) : "no memory");
}

static void set_masters(struct job *j, const char *masters)
{
	struct buf own = BUF_INIT;
	joining_put_masters(j->m->core, &own);
	snprintf(j->token.masters, sizeof j->token.masters, "%s", *masters ? masters : buf_str(&own));
	buf_release(&own);
}

void membership_invite(struct core *core, void (*ready)(void *owner, const char *token, const char *why), void *owner)
{
	struct job *j = job_new(core->membership, NULL, token_job, token_done);
	if (!j) {
		ready(owner, NULL, "no memory");
		return;
	}
	j->ready = ready;
	j->owner = owner;
	j->roles = CERTIFIED_NODE;
	set_masters(j, "");
	job_start(j);
}

static int run_token(struct call *c)
{
	struct membership *m = c->core->membership;
	const char *role = *c->args[0].text ? c->args[0].text : "node", *masters = c->args[1].text;
	if (!m->authority)
		return call_fail(c, "not-found", "the cluster's authority is not on this host");
	struct job *j = job_new(m, c, token_job, token_done);
	if (!j)
		return call_fail_errno(c, -ENOMEM);
	if (certificate_roles_parse(role, &j->roles) || (j->roles & ~(unsigned)CERTIFIED_HOST)) {
		job_drop(j);
		return call_fail_arg(c, 0, "node or master");
	}
	if (j->roles == CERTIFIED_MASTER)
		j->roles = CERTIFIED_HOST;
	set_masters(j, masters);
	job_start(j);
	return CALL_LATER;
}

/* --- a newcomer, seen from the master --- */

static int admit_job(struct job *j)
{
	const struct authority_grant grant = {j->text, 0, AUTHORITY_HOST_LIFE_S};
	struct authority_grant g = grant;
	int r = tokens_take(j->m->tokens, j->token.secret, j->now_s, &g.roles, &j->why);
	if (!r)
		r = authority_sign(j->m->authority, j->request.data, j->request.len, &g, j->now_s, &j->certificate, NULL, &j->why);
	return r;
}

static void admit_done(struct job *j)
{
	struct msg *m = !j->result && j->call ? call_answer(j->call, "papers") : NULL;
	if (!j->result)
		log_event(LOG_NOTICE, "cluster", "host %s was let in by a token", j->text);
	else
		log_event(LOG_WARNING, "cluster", "a newcomer is refused: %s", buf_str(&j->why));
	if (m) {
		papers_put(m, authority_trust(j->m->authority));
		msg_set_bytes(m, "certificate", j->certificate.data, j->certificate.len);
		call_send(j->call, m);
	}
	job_end(j);
}

static int run_admit(struct call *c)
{
	struct membership *m = c->core->membership;
	struct host_id id;
	if (!m->authority)
		return call_fail(c, "not-found", "the cluster's authority is not on this host");
	if (host_id_parse(c->args[0].text, &id) || host_id_is_none(&id))
		return call_fail_arg(c, 0, "32 hexadecimal digits");
	if (c->args[1].n != TOKEN_SECRET)
		return call_fail_arg(c, 1, "%d bytes", TOKEN_SECRET);
	struct job *j = job_new(m, c, admit_job, admit_done);
	if (!j)
		return call_fail_errno(c, -ENOMEM);
	host_id_format(&id, j->text);
	memcpy(j->token.secret, c->args[1].bytes, TOKEN_SECRET);
	buf_put(&j->request, c->args[2].bytes, c->args[2].n);
	job_start(j);
	return CALL_LATER;
}

/* --- a newcomer's side --- */

static int join_job(struct job *j)
{
	const struct host_id *self = &j->m->core->id;
	int r = j->vault ? 0 : vault_make(&j->vault, j->m->directory, &j->why);
	if (!r)
		r = newcomer_join(j->vault, self, &j->token, j->now_s, &j->why);
	if (!r)
		r = vault_write(j->vault, "masters", j->token.masters, strlen(j->token.masters), &j->why);
	return r ? r : place_open(&j->place, j->vault, self, NULL, &j->why);
}

static void join_done(struct job *j)
{
	struct membership *m = j->m;
	void (*joined)(int result, const char *why) = m->joined;
	take_over(j);
	m->joined = NULL;
	if (!j->result) {
		log_event(LOG_NOTICE, "cluster", "this host is in the cluster %s", place_own(m->place).cluster);
		snprintf(m->masters, sizeof m->masters, "%s", j->token.masters);
		if (j->call)
			put_status(j->call);
	}
	job_end(j);
	if (!j->result)
		membership_changed(m);
	if (joined && !j->call)
		joined(j->result, buf_str(&j->why));
}

int membership_join(struct membership *m, const char *token, void (*joined)(int result, const char *why), struct buf *why)
{
	struct job *j = job_new(m, NULL, join_job, join_done);
	int r = j ? token_read(token, strlen(token), &j->token, why) : -ENOMEM;
	if (!r) {
		m->joined = joined;
		job_start(j);
	} else if (j) {
		job_drop(j);
	}
	return r;
}

static int run_join(struct call *c)
{
	struct membership *m = c->core->membership;
	struct job *j;
	if (m->place)
		return call_fail(c, "exists", "this host is in a cluster already: `vigia cluster status`");
	if (!(j = job_new(m, c, join_job, join_done)))
		return call_fail_errno(c, -ENOMEM);
	j->result = token_read((const char *)c->args[0].bytes, c->args[0].n, &j->token, &j->why);
	if (!j->result) {
		job_start(j);
		return CALL_LATER;
	}
	j->call = NULL;
	c->state = NULL;
	call_fail(c, "bad-argument", "cluster.join: %s", buf_str(&j->why));
	job_drop(j);
	return -1;
}

/* --- taking back --- */

static int take_own_list(struct job *j)
{
	struct buf list = BUF_INIT;
	int r = list_of(authority_trust(j->m->authority), &list, &j->why);
	if (!r)
		r = place_take_list(j->m->place, list.data, list.len, &j->why);
	buf_release(&list);
	return r < 0 ? r : 0;
}

static int revoke_job(struct job *j)
{
	int r = authority_revoke(j->m->authority, j->text, j->now_s, &j->why);
	return r < 0 ? r : take_own_list(j);
}

static void revoke_done(struct job *j)
{
	if (!j->result)
		log_event(LOG_NOTICE, "cluster", "the certificates of %s are revoked", j->text);
	job_end(j);
	if (!j->result)
		membership_news(j->m);
}

static int run_revoke(struct call *c)
{
	struct membership *m = c->core->membership;
	const char *host = c->args[0].text, *name = c->args[1].text;
	const struct view_row *row = view_named(c->core, host);
	struct job *j;
	if (!m->authority)
		return call_fail(c, "not-found", "the cluster's authority is not on this host");
	if (!*host == !*name)
		return call_fail(c, "bad-argument", "cluster.revoke needs host or name, and not both");
	if (row && host_id_is(&row->id, &c->core->id))
		return call_fail(c, "bad-argument", "cluster.revoke: this is the authority's own host");
	if (!(j = job_new(m, c, revoke_job, revoke_done)))
		return call_fail_errno(c, -ENOMEM);
	if (row)
		host_id_format(&row->id, j->text);
	else
		snprintf(j->text, sizeof j->text, "%s", *host ? host : name);
	job_start(j);
	return CALL_LATER;
}

static int leave_job(struct job *j)
{
	int r = place_leave(j->m->vault, &j->why);
	if (!r)
		vault_remove(j->m->vault, "masters", &j->why);
	return r;
}

static void leave_done(struct job *j)
{
	struct membership *m = j->m;
	job_end(j);
	if (j->result)
		return;
	struct place *left = m->place;
	m->place = NULL;
	*m->masters = '\0';
	membership_changed(m);
	place_close(left);
}

static int run_leave(struct call *c)
{
	if (!c->core->place)
		return call_fail(c, "not-found", "this host is in no cluster");
	return start(c, leave_job, leave_done);
}

/* --- what there is --- */

static const char *name_of(const struct core *core, const char *name)
{
	struct host_id id;
	const struct view_row *row = host_id_parse(name, &id) ? NULL : view_find(core, &id);
	return row ? row->name : "";
}

static void put_certificate(struct call *c, const struct issued_entry *e)
{
	char roles[CERTIFICATE_ROLES];
	struct msg *m = call_answer(c, "certificate");
	if (!m)
		return;
	certificate_roles_format(e->roles, roles);
	msg_set(m, "name", e->name);
	msg_set(m, "host", name_of(c->core, e->name));
	msg_set(m, "roles", roles);
	msg_set_int(m, "until", e->until_s * 1000000000);
	if (e->revoked_s)
		msg_set_int(m, "revoked", e->revoked_s * 1000000000);
	call_send(c, m);
}

static void put_own(struct call *c)
{
	struct membership *s = c->core->membership;
	struct certificate own = place_own(s->place);
	char roles[CERTIFICATE_ROLES];
	struct msg *m = call_answer(c, "cluster");
	if (!m)
		return;
	certificate_roles_format(own.roles, roles);
	msg_set(m, "cluster", own.cluster);
	msg_set(m, "name", own.name);
	msg_set(m, "host", c->core->name);
	msg_set(m, "roles", roles);
	msg_set_int(m, "until", own.until_s * 1000000000);
	msg_set_flag(m, "authority", s->authority);
	call_send(c, m);
}

static void put_status(struct call *c)
{
	const struct authority *a = c->core->membership->authority;
	const struct issued_entry *e;
	put_own(c);
	for (size_t i = 0; a && (e = issued_get(authority_issued(a), i)); i++)
		if (strcmp(e->name, place_own(c->core->membership->place).name))
			put_certificate(c, e);
}

static int nothing(struct job *j)
{
	return 0;
}

static void status_done(struct job *j)
{
	if (j->call && j->m->place)
		put_status(j->call);
	job_end(j);
}

static int run_status(struct call *c)
{
	if (!c->core->place)
		return call_fail(c, "not-found", "this host is in no cluster: `vigia cluster init` makes one, `vigia join` takes a token");
	return start(c, nothing, status_done); /* when nobody else has what it tells of */
}

/* --- the table --- */

static const struct op_field status_fields[] = {
    {"host", OP_NAME, "the host's, where it is known"},
    {"name", OP_TEXT, "of the certificate: a host's id, or another's name"},
    {"roles", OP_TEXT, "what it may be"},
    {"until", OP_TIME, "when the certificate is over"},
    {"revoked", OP_TIME, "when it was taken back"},
    {"authority", OP_FLAG, "the cluster's authority is on this host"},
    {"cluster", OP_TEXT, "which cluster: of its authority's key"},
    {NULL},
};

static const struct op_field token_fields[] = {
    {"token", OP_TEXT, "one line: who shows it becomes a host of the cluster, once"},
    {"until", OP_TIME, "when it is over"},
    {NULL},
};

static const struct op_field certify_fields[] = {
    {"certificate", OP_BYTES, "X.509, DER"},
    {"authority", OP_BYTES, "the cluster's: PEM"},
    {"list", OP_BYTES, "what has been revoked: an X.509 list, DER"},
    {"name", OP_TEXT, "whose it is"},
    {"roles", OP_TEXT, "what it may be"},
    {"until", OP_TIME, "when it is over"},
    {NULL},
};

static const struct op_field login_fields[] = {
    {"certificate", OP_BYTES, "the user's: X.509, DER"},
    {"name", OP_TEXT, "whose it is: uid.UID@REALM"},
    {"until", OP_TIME, "when it is over"},
    {NULL},
};

static const struct op_field audience_fields[] = {
    {"host", OP_TEXT, "this host's id"},
    {"life", OP_INTEGER, "of its daemon"},
    {NULL},
};

static const struct op ops[] = {
    {"cluster", "login", "a certificate for a key of the caller's own, with which he acts on other hosts for 12 hours", OP_ACTS, ROLE_CLIENT,
	.args = {{"request", OP_BYTES, "for it: PKCS#10, DER", .required = true}}, .run = login_run, .over = job_over,
	.fields = login_fields},
    {"cluster", "audience", "to whom an order for this host is signed", OP_READS, ROLE_CLIENT, .run = login_run_audience,
	.fields = audience_fields},
    {"cluster", "status", "which cluster this host is in, and on its authority's host who else", OP_READS, ROLE_CLIENT,
	.run = run_status, .over = job_over, .fields = status_fields},
    {"cluster", "init", "makes a cluster, whose authority is on this host", OP_CHANGES, ROLE_CLIENT, .run = run_init,
	.over = job_over, .fields = status_fields},
    {"cluster", "token", "makes a token for one newcomer, for 15 minutes", OP_CHANGES, ROLE_CLIENT,
	.args = {{"role", OP_TEXT, "what it becomes: node or master; else node"},
	    {"masters", OP_TEXT, "where it dials: HOST:PORT, a comma between; else this host's addresses"}},
	.run = run_token, .over = job_over, .fields = token_fields},
    {"cluster", "join", "shows a token to its master, and becomes a host of that cluster", OP_CHANGES, ROLE_CLIENT,
	.args = {{"token", OP_BYTES, "as `vigia token` gave it", .required = true, .secret = true}}, .run = run_join, .over = job_over,
	.fields = status_fields},
    {"cluster", "certify", "a certificate for a program that is no host: a monitor, a reader or an operator", OP_CHANGES, ROLE_CLIENT,
	.args = {{"name", OP_TEXT, "its own, of a-z 0-9 . -; a monitor's is that which it measures under", .required = true},
	    {"role", OP_TEXT, "monitor, reader or operator", .required = true},
	    {"request", OP_BYTES, "for it: PKCS#10, DER", .required = true},
	    {"days", OP_INTEGER, "how long it is good; else 90", .fallback = 90}}, .run = certify_run, .over = job_over,
	.fields = certify_fields},
    {"cluster", "revoke", "takes a host's, or another's, certificates back: it is out everywhere", OP_CHANGES, ROLE_CLIENT,
	.args = {{"host", OP_TEXT, "its name or id"}, {"name", OP_TEXT, "the other's, who is no host"}}, .run = run_revoke,
	.over = job_over},
    {"cluster", "renew", "a new certificate for this host, before it is time", OP_CHANGES, ROLE_CLIENT, .run = renew_run, .over = job_over},
    {"cluster", "rotate", "a new key for the cluster's authority; hosts get new certificates by themselves", OP_CHANGES, ROLE_CLIENT,
	.run = renew_run_rotate, .over = job_over},
    {"cluster", "reissue", "a host's own certificate anew, for a host of the cluster", OP_READS, ROLE_CLIENT,
	.args = {{"request", OP_BYTES, "for it: PKCS#10, DER", .required = true}}, .run = renew_run_reissue, .over = job_over},
    {"cluster", "leave", "this host is in no cluster any more: its key and certificate are gone", OP_CHANGES, ROLE_CLIENT,
	.run = run_leave, .over = job_over},
    {"cluster", "follow", "news of whom to believe, as they come", OP_STREAMS, ROLE_CLIENT, .run = follow_run, .over = follow_over},
    {"cluster", "admit", "a newcomer shows its token, and gets its papers", OP_READS, ROLE_NEWCOMER,
	.args = {{"host", OP_TEXT, "its id", .required = true}, {"secret", OP_BYTES, "the token's", .required = true, .secret = true},
	    {"request", OP_BYTES, "for its certificate: PKCS#10, DER", .required = true}}, .run = run_admit, .over = job_over},
    {NULL},
};

const struct service cluster_service = {.name = "cluster", .doc = "who is in this cluster, and how he comes in", .ops = ops};
