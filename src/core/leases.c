/* SPDX-License-Identifier: Apache-2.0 */
#include "core/leases.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/channels.h"
#include "core/processes.h"
#include "core/view.h"

struct lease {
	char what[96]; /* "process 4711", "service counter" */
	enum lease_mode mode;
	struct call *call;
	struct system_watch *watch; /* of the process; NULL: it is of a service, or the process has ended */
	struct lease *next;
};

static const char *const modes[] = {
    [LEASE_OBSERVE] = "observe",
    [LEASE_SHARE] = "share",
    [LEASE_EXCLUSIVE] = "exclusive",
};

/* --- the rule --- */

static bool conflicts(enum lease_mode a, enum lease_mode b)
{
	return a != LEASE_OBSERVE && b != LEASE_OBSERVE && (a == LEASE_EXCLUSIVE || b == LEASE_EXCLUSIVE);
}

/* A link carries the calls of all who ask from its host: there it is the process that counts. */
static bool is_same_holder(const struct call *a, const struct call *b)
{
	return a->asker == b->asker && (!a->asker->foreign || (a->caller.uid == b->caller.uid && a->caller.pid == b->caller.pid));
}

/* Somebody else's that stands in the way of one like this. */
static const struct lease *conflict(const struct call *c, const char *what, enum lease_mode mode)
{
	const struct lease *l = c->core->leases;
	while (l && (strcmp(l->what, what) || is_same_holder(l->call, c) || !conflicts(l->mode, mode)))
		l = l->next;
	return l;
}

static const char *host_of(const struct lease *l)
{
	const struct view_row *row = view_find(l->call->core, &l->call->caller.host);
	return row ? row->name : "another host";
}

static void put_holder(struct buf *out, const struct lease *l)
{
	static const char *const how[] = {[LEASE_OBSERVE] = "observed", [LEASE_SHARE] = "controlled",
	    [LEASE_EXCLUSIVE] = "controlled exclusively"};
	const struct frame_caller *who = &l->call->caller;
	buf_putf(out, "%s is %s by process %u of uid %u on %s", l->what, how[l->mode], (unsigned)who->pid, (unsigned)who->uid,
	    host_of(l));
}

bool lease_allows(const struct call *c, const char *what, struct buf *why)
{
	const struct lease *l = conflict(c, what, LEASE_SHARE);
	if (l)
		put_holder(why, l);
	return !l;
}

/* --- telling --- */

static void announce(struct core *core, const struct lease *l, const char *change)
{
	char text[300];
	int n = snprintf(text, sizeof text, "%s %s %s %u %u %s", change, modes[l->mode], l->what,
	    (unsigned)l->call->caller.uid, (unsigned)l->call->caller.pid, host_of(l));
	channels_put_own(core, "leases", 1u << l->mode, text, (size_t)n);
}

static void put_lease(struct call *c, const struct lease *l)
{
	struct msg *m = call_answer(c, "lease");
	if (!m)
		return;
	msg_set(m, "what", l->what);
	msg_set(m, "mode", modes[l->mode]);
	msg_set_int(m, "uid", l->call->caller.uid);
	msg_set_int(m, "process", l->call->caller.pid);
	msg_set(m, "host", host_of(l));
	call_send(c, m);
}

/* --- taking --- */

static int mode_named(const char *name)
{
	for (int i = 0; i < (int)(sizeof modes / sizeof *modes); i++)
		if (!strcmp(modes[i], name))
			return i;
	return -EINVAL;
}

/* What is there; a process only who has a right to it, a service whoever uses it. */
static int name_target(struct call *c, char *ret, size_t n)
{
	const char *service = c->args[1].text;
	int64_t pid = c->args[2].number;
	if ((*service != 0) == (pid != 0))
		return call_fail(c, "bad-argument", "lease.take needs either a service or a process");
	if (pid) {
		snprintf(ret, n, "process %lld", (long long)pid);
		return processes_check_rights(c, pid);
	}
	snprintf(ret, n, "service %s", service);
	const struct service *s = NULL;
	while ((s = core_next_service(c->core, s)))
		if (!strcmp(s->name, service))
			return 0;
	return call_fail(c, "not-found", "no service is named %s", service);
}

static int check_conflict(struct call *c, const char *what, enum lease_mode mode)
{
	struct buf why = BUF_INIT;
	const struct lease *l = conflict(c, what, mode);
	if (!l)
		return 0;
	put_holder(&why, l);
	call_fail(c, "held", "%s", buf_str(&why));
	buf_release(&why);
	return -1;
}

/* Its number may be another's then. */
static void on_process_end(void *owner, const struct process_key *key)
{
	struct lease *l = owner;
	l->watch = NULL;
	call_fail(l->call, "ended", "process %d has ended", key->pid);
}

static int watch_target(struct call *c, struct lease *l)
{
	return c->args[2].number ? processes_watch(c, c->args[2].number, on_process_end, l, &l->watch) : 0;
}

static void release(struct core *core, struct lease *l)
{
	if (l->watch)
		processes_system_type(core)->unwatch(l->watch);
	free(l);
}

static int run_take(struct call *c)
{
	char what[96];
	int mode = mode_named(c->args[0].text);
	if (mode < 0)
		return call_fail_arg(c, 0, "observe, share or exclusive");
	if (name_target(c, what, sizeof what) || check_conflict(c, what, (enum lease_mode)mode) ||
	    call_hold(c, LIMIT_LEASES))
		return -1;
	struct lease *l = calloc(1, sizeof *l);
	if (!l)
		return call_fail(c, "failed", "no memory");
	*l = (struct lease){.mode = (enum lease_mode)mode, .call = c, .next = c->core->leases};
	memcpy(l->what, what, sizeof l->what);
	if (watch_target(c, l)) {
		release(c->core, l);
		return -1;
	}
	c->core->leases = l;
	c->state = l;
	put_lease(c, l);
	announce(c->core, l, "taken");
	return CALL_LATER;
}

static void over_take(struct call *c)
{
	struct lease *l = c->state;
	if (!l)
		return;
	struct lease **p = &c->core->leases;
	while (*p != l)
		p = &(*p)->next;
	*p = l->next;
	if (c->core->channels)
		announce(c->core, l, "released");
	release(c->core, l);
}

static struct lease *find_on_service(const struct core *core, const char *service)
{
	char what[96];
	struct lease *l = core->leases;
	snprintf(what, sizeof what, "service %s", service);
	while (l && strcmp(l->what, what))
		l = l->next;
	return l;
}

void leases_end(struct core *core, const char *service, const char *code, const char *why)
{
	struct lease *l;
	while ((l = find_on_service(core, service)))
		call_fail(l->call, code, "service %s: %s", service, why);
}

static int run_list(struct call *c)
{
	for (const struct lease *l = c->core->leases; l; l = l->next)
		if (pattern_match(c->args[0].text, l->what))
			put_lease(c, l);
	return CALL_DONE;
}

static const struct op_field lease_fields[] = {
    {"what", OP_TEXT, "\"process 4711\", \"service counter\""},
    {"mode", OP_TEXT, "observe, share or exclusive"},
    {"host", OP_NAME, "of who has it"},
    {"uid", OP_INTEGER, "of who has it"},
    {"process", OP_INTEGER, "of who has it"},
    {NULL},
};

static const struct op ops[] = {
    {"lease", "take", "observes or controls a process or service, as long as this goes on", OP_STREAMS | OP_ACTS, ROLE_CLIENT,
	.args = {{"mode", OP_TEXT, "observe; share: control beside others; exclusive: control alone", .required = true},
	    {"service", OP_NAME, "which service"}, {"process", OP_INTEGER, "or which process"}}, .run = run_take,
	.over = over_take, .fields = lease_fields},
    {"lease", "list", "who observes and controls what", OP_PRIVATE, ROLE_CLIENT,
	.args = {{"what", OP_PATTERN, "\"process 4711\", \"service *\""}}, .run = run_list, .fields = lease_fields},
    {NULL},
};

const struct service lease_service = {.name = "lease", .doc = "who observes and controls what", .ops = ops};
