/* SPDX-License-Identifier: Apache-2.0 */
#include "os/runs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/helper_wire.h"
#include "os/pidfd.h"
#include "os/root_wire.h"

struct runs {
	int sources, proc;
	const char *name;
	char *path;		 /* vigia-root's; NULL: this is the launcher's */
	struct helper *launcher; /* NULL: its keeper is gone, or vigia-root */
	struct source talk;
	bool ready;
	char why[64]; /* it is not ready because */
	uint32_t last_id;
	unsigned n;
	struct system_run *first;
};

struct system_run {
	struct source source; /* its status pipe until it was executed; its pidfd when the launcher is gone */
	struct runs *runs;
	struct system_run *next, **link;
	const struct system_run_events *events;
	void *owner;
	uint32_t id;
	struct process_key key; /* pid 0: the launcher has not answered */
	int status;		/* the pipe, until the launcher answers; then -1 */
	bool told;		/* that it runs */
	bool launchers;		/* whose launcher tells of its end */
	uid_t uid;		/* as whom vigia-root runs it */
};

/* --- one of them -------------------------------------------------------------------------------------------------- */

static void run_free(struct system_run *run)
{
	source_close(run->runs->sources, &run->source);
	if (run->status >= 0)
		close(run->status);
	run->runs->n--;
	*run->link = run->next;
	if (run->next)
		run->next->link = run->link;
	free(run);
}

static void tell_failed(struct system_run *run, int error, const char *what)
{
	const struct system_run_events *events = run->events;
	void *owner = run->owner;

	run_free(run);
	events->started(owner, error, what, NULL);
}

static void tell_ended(struct system_run *run, int status)
{
	const struct system_run_events *events = run->events;
	void *owner = run->owner;

	run_free(run);
	events->ended(owner, status);
}

static struct system_run *find_id(struct runs *r, uint32_t id)
{
	struct system_run *run = r->first;

	while (run && run->id != id)
		run = run->next;
	return run;
}

static bool tell_started(struct system_run *run)
{
	struct runs *r = run->runs;
	uint32_t id = run->id;

	run->told = true;
	run->events->started(run->owner, 0, NULL, &run->key);
	return find_id(r, id) == run;
}

/* Asks the pipe whether it was executed. False: the run is gone, since it was not or its owner wants no more. */
static bool look(struct system_run *run)
{
	const char *what = "";
	int error = launch_failed(run->source.fd, &what);

	if (error == -EAGAIN)
		return true;
	source_close(run->runs->sources, &run->source);
	if (error == 0)
		return tell_started(run);
	tell_failed(run, error, what);
	return false;
}

static void on_pidfd(struct source *s)
{
	tell_ended((struct system_run *)s, SYSTEM_END_UNKNOWN);
}

/* From here on without the launcher. */
static void follow(struct system_run *run)
{
	struct runs *r = run->runs;
	int fd, error = pidfd_of(r->proc, &run->key, &fd);

	if (error == 0 && (error = source_add(r->sources, &run->source, fd, on_pidfd)) < 0)
		close(fd);
	if (error < 0)
		tell_ended(run, SYSTEM_END_UNKNOWN);
}

static void on_status(struct source *s)
{
	struct system_run *run = (struct system_run *)s;

	if (look(run) && run->told && !run->launchers)
		follow(run);
}

static struct system_run *find_pid(struct runs *r, int32_t pid)
{
	struct system_run *run = r->first;

	while (run && !(run->launchers && run->key.pid == pid))
		run = run->next;
	return run;
}

/* --- what the launcher says ---------------------------------------------------------------------------------------- */

static void on_started(struct runs *r, uint32_t id, int result)
{
	static const struct process_units none;
	struct system_run *run = find_id(r, id);
	struct process p;

	if (!run)
		return;
	if (result < 0) {
		tell_failed(run, result, "can't be started");
		return;
	}
	run->key = (struct process_key){result, 0};
	run->launchers = true;
	if (process_read(r->proc, result, &none, &p) == 0)
		run->key.start = p.key.start;
	int status = run->status;
	run->status = -1;
	int error = source_add(r->sources, &run->source, status, on_status);
	if (error < 0) {
		close(status);
		tell_started(run);
	}
}

static void on_ended(struct runs *r, int32_t pid, int status)
{
	struct system_run *run = find_pid(r, pid);

	if (run && (run->told || look(run)))
		tell_ended(run, status);
}

static void outlive(struct system_run *run)
{
	const struct runs *r = run->runs;

	run->launchers = false;
	if (!run->key.pid)
		tell_failed(run, -EPIPE, r->path ? "can't be followed: vigia-root ended meanwhile"
						 : "can't be followed: vigia-launcher ended meanwhile");
	else if ((run->told || look(run)) && run->told)
		follow(run);
}

static void on_lost(struct runs *r, const char *who, int status)
{
	r->ready = false;
	snprintf(r->why, sizeof r->why, WIFSIGNALED(status) ? "%s was ended by signal %d" : "%s ended with status %d", who,
	    WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	/* A callback may forget any of them: begin again after each. */
	for (struct system_run *run = r->first, *next; run; run = next) {
		next = run->next;
		if (run->launchers || !run->key.pid) {
			outlive(run);
			next = r->first;
		}
	}
}

static void on_signalled(struct runs *r, uint32_t id, int result)
{
	struct system_run *run = find_id(r, id);

	if (run)
		tell_failed(run, result, "can't be signalled");
}

static void on_notice(struct runs *r, const struct helper_notice *n)
{
	if (n->kind == HELPER_STARTED)
		on_started(r, n->id, n->result);
	else if (n->kind == HELPER_ENDED)
		on_ended(r, (int32_t)n->id, n->result);
	else if (n->kind == HELPER_LOST)
		on_lost(r, r->name, n->result);
	else if (n->kind == HELPER_SIGNALLED)
		on_signalled(r, n->id, n->result);
	else
		r->ready = true;
}

static void on_talk(struct source *s)
{
	struct runs *r = (struct runs *)((char *)s - offsetof(struct runs, talk));
	struct helper_notice n;
	int error = helper_read(r->launcher, &n);

	if (error > 0)
		on_notice(r, &n);
	if (error >= 0)
		return;
	source_close(r->sources, &r->talk);
	int status = helper_lost(r->launcher);
	r->launcher = NULL;
	on_lost(r, r->path ? r->name : "vigia-keeper", status);
}

/* --- all of them -------------------------------------------------------------------------------------------------- */

/* The descriptor is the launcher's, a source has one of its own. */
static int listen_to(struct runs *r, struct helper *launcher)
{
	int fd = fcntl(helper_fd(launcher), F_DUPFD_CLOEXEC, 0);
	int error = fd < 0 ? -errno : source_add(r->sources, &r->talk, fd, on_talk);

	if (error < 0) {
		if (fd >= 0)
			close(fd);
		helper_close(launcher);
		return error;
	}
	r->launcher = launcher;
	r->ready = true;
	return 0;
}

static struct runs *runs_new(const char *name, int sources, int proc)
{
	struct runs *r = calloc(1, sizeof *r);

	if (r)
		*r = (struct runs){.name = name, .sources = sources, .proc = proc, .talk.fd = -1};
	return r;
}

int runs_open(struct runs **ret, const char *launcher, int sources, int proc, struct buf *why)
{
	struct runs *r = runs_new("vigia-launcher", sources, proc);
	struct helper *h;
	int error = r ? helper_open(launcher, NULL, 0, &h, why) : -ENOMEM;

	if (error == 0)
		error = listen_to(r, h);
	if (error < 0)
		runs_close(r);
	else
		*ret = r;
	return error;
}

int runs_open_root(struct runs **ret, const char *path, int sources, int proc)
{
	struct runs *r = runs_new("vigia-root", sources, proc);

	if (!r || !(r->path = strdup(path))) {
		runs_close(r);
		return -ENOMEM;
	}
	*ret = r;
	return 0;
}

void runs_close(struct runs *r)
{
	if (!r)
		return;
	while (r->first)
		run_free(r->first);
	source_close(r->sources, &r->talk);
	helper_close(r->launcher);
	free(r->path);
	free(r);
}

static void link_run(struct runs *r, struct system_run *run)
{
	run->runs = r;
	run->next = r->first;
	run->link = &r->first;
	if (r->first)
		r->first->link = &run->next;
	r->first = run;
	r->n++;
}

static int run_new(struct runs *r, const struct system_run_events *events, void *owner, struct system_run **ret)
{
	if (!r->ready || r->n >= SYSTEM_RUNS_MAX)
		return r->launcher ? -EAGAIN : -EPIPE;
	struct system_run *run = calloc(1, sizeof *run);
	if (!run)
		return -ENOMEM;
	*run = (struct system_run){.source.fd = -1, .events = events, .owner = owner, .id = ++r->last_id, .status = -1};
	link_run(r, run);
	*ret = run;
	return 0;
}

/* What was asked for it is on its way, or could not be. */
static int asked(struct system_run *run, int error, struct system_run **ret)
{
	if (error < 0)
		run_free(run);
	else
		*ret = run;
	return error;
}

int runs_start(struct runs *r, const struct launch *l, const struct system_run_events *events, void *owner,
    struct system_run **ret)
{
	struct system_run *run;
	int error = run_new(r, events, owner, &run);

	return error < 0 ? error : asked(run, launch_start(r->launcher, run->id, l, &run->status), ret);
}

/* --- through vigia-root ------------------------------------------------------------------------------------------- */

/* One more program of this user's; signals are soon over. */
static int run_new_for(struct runs *r, uid_t uid, const struct system_run_events *events, void *owner, struct system_run **ret)
{
	unsigned n = 0;

	for (const struct system_run *run = r->first; run; run = run->next)
		n += run->uid == uid;
	int error = n >= SYSTEM_RUNS_OF_ONE_MAX ? -EDQUOT : run_new(r, events, owner, ret);
	if (error == 0)
		(*ret)->uid = uid;
	return error;
}

static int connect_root(struct runs *r)
{
	struct helper *h;
	int error = r->launcher ? 0 : helper_connect(r->path, &h);

	return error < 0 || r->launcher ? error : listen_to(r, h);
}

static int send_start(struct system_run *run, struct root_request *q, int connection, int input)
{
	int status[2], null = open("/dev/null", O_WRONLY | O_CLOEXEC), error = null < 0 ? -errno : 0;

	if (error == 0 && pipe2(status, O_CLOEXEC | O_NONBLOCK) < 0)
		error = -errno;
	if (error == 0) {
		const int fds[ROOT_START_FDS] = {connection, status[1], input, null, null};
		error = helper_send(run->runs->launcher, q, sizeof *q, fds, ROOT_START_FDS);
		close(status[1]);
		run->status = status[0];
	}
	if (null >= 0)
		close(null);
	return error;
}

int runs_start_entry(struct runs *r, const struct system_for *who, const char *entry, int input,
    const struct system_run_events *events, void *owner, struct system_run **ret)
{
	struct root_request q = {.kind = ROOT_MSG_START, .uid = who->uid};
	size_t n = strlen(entry);
	struct system_run *run = NULL;

	if (n == 0 || n > ROOT_NAME_MAX || strspn(entry, "abcdefghijklmnopqrstuvwxyz0123456789-") != n)
		return -EINVAL;
	int error = connect_root(r);
	if (error == 0)
		error = run_new_for(r, who->uid, events, owner, &run);
	if (error < 0)
		return error;
	memcpy(q.entry, entry, n);
	q.id = run->id;
	return asked(run, send_start(run, &q, who->connection, input), ret);
}

static int send_signal(struct system_run *run, struct root_request *q, int connection, const struct process_key *process)
{
	int pidfd, error = pidfd_of(run->runs->proc, process, &pidfd);

	if (error < 0)
		return error;
	error = helper_send(run->runs->launcher, q, sizeof *q, (const int[]){connection, pidfd}, ROOT_SIGNAL_FDS);
	close(pidfd);
	return error;
}

int runs_signal_as(struct runs *r, const struct system_for *who, const struct process_key *process, int signal,
    const struct system_run_events *events, void *owner, struct system_run **ret)
{
	struct root_request q = {.kind = ROOT_MSG_SIGNAL, .uid = who->uid, .signal = signal};
	struct system_run *run = NULL;
	int error = connect_root(r);

	if (error == 0)
		error = run_new(r, events, owner, &run);
	if (error < 0)
		return error;
	q.id = run->id;
	return asked(run, send_signal(run, &q, who->connection, process), ret);
}

/* --- their end, and trouble ----------------------------------------------------------------------------------------- */

void runs_forget(struct system_run *run)
{
	run_free(run);
}

int runs_trouble(const struct runs *r, struct buf *ret_what)
{
	if (r->ready)
		return 0;
	buf_putf(ret_what, r->launcher ? "%s, so no program can be started; it is started again"
				       : "%s, so no program can be started until vigiad is restarted",
	    r->why);
	return 1;
}
