/* SPDX-License-Identifier: Apache-2.0 */
#include "core/processes.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/leases.h"

enum { AT_ONCE = 100 /* processes a turn: some 2 ms */, PIPE_BYTES = 65536 };

struct processes {
	struct system *system;
	const struct system_type *type;
	uv_poll_t poll;
};

static struct system *system_of(const struct call *c)
{
	return c->core->processes->system;
}

static const struct system_type *type_of(const struct call *c)
{
	return c->core->processes->type;
}

struct system *processes_system(const struct core *core)
{
	return core->processes->system;
}

const struct system_type *processes_system_type(const struct core *core)
{
	return core->processes->type;
}

/* --- listing --- */

static void put_key(struct msg *m, const struct process_key *key)
{
	msg_set_int(m, "pid", key->pid);
	msg_set_int(m, "start", key->start);
}

static void put_process(struct call *c, const struct process *p)
{
	struct msg *m = call_answer(c, "process");
	if (!m)
		return;
	put_key(m, &p->key);
	msg_set_int(m, "parent", p->parent);
	msg_set_int(m, "uid", p->uid);
	if (*p->user)
		msg_set(m, "user", p->user);
	msg_setf(m, "state", "%c", p->state);
	msg_set_int(m, "threads", p->threads);
	msg_set_int(m, "cpu", p->cpu_ns);
	msg_set_int(m, "memory", p->memory);
	msg_set_int(m, "started", p->started_ns);
	msg_set(m, "program", p->program);
	if (*p->command)
		msg_set(m, "command", p->command);
	call_send(c, m);
}

static bool is_meant(const struct call *c, const struct process *p)
{
	char uid[16];
	snprintf(uid, sizeof uid, "%u", (unsigned)p->uid);
	return pattern_match(c->args[0].text, p->program) &&
	       (!*c->args[1].text || !strcmp(c->args[1].text, p->user) || !strcmp(c->args[1].text, uid));
}

static int more_list(struct call *c)
{
	struct process p;
	int r = 1;
	for (int i = 0; i < AT_ONCE && r == 1; i++) {
		r = type_of(c)->walk_next(c->state, &p);
		if (r == 1 && is_meant(c, &p))
			put_process(c, &p);
	}
	if (r < 0)
		return call_fail_errno(c, r);
	if (r)
		c->asker->type->want(c->asker);
	return r ? CALL_MORE : CALL_DONE;
}

static int run_list(struct call *c)
{
	struct system_walk *w;
	if (call_hold(c, LIMIT_PROCESS_LISTS))
		return -1;
	int r = type_of(c)->walk_new(system_of(c), &w);
	if (r)
		return call_fail_errno(c, r);
	c->state = w;
	return more_list(c);
}

static void over_list(struct call *c)
{
	if (c->state)
		type_of(c)->walk_free(c->state);
}

/* --- one of them --- */

/* By number; where `start` is said, only the process that began then. */
static int find(struct call *c, int64_t pid, int64_t start, struct process *ret)
{
	if (pid < 1 || pid > INT32_MAX || type_of(c)->process(system_of(c), (int32_t)pid, ret) ||
	    (start && start != ret->key.start))
		return call_fail(c, "not-found", "no process %lld%s", (long long)pid, start ? " of that start" : "");
	return 0;
}

static int run_info(struct call *c)
{
	struct process p;
	if (find(c, c->args[0].number, c->args[1].number, &p))
		return -1;
	put_process(c, &p);
	return CALL_DONE;
}

/* --- for another user than the daemon's --- */

/* What the system does for a call: starts a program, or sends a signal. */
struct running {
	struct call *call;
	struct system_run *run; /* NULL: it is over */
	bool as_user;
};

static struct running *running_new(struct call *c)
{
	struct running *r = calloc(1, sizeof *r);
	if (r)
		r->call = c;
	c->state = r;
	return r;
}

/* A program goes on. */
static void over_running(struct call *c)
{
	struct running *r = c->state;
	if (r && r->run)
		type_of(c)->forget(r->run);
	free(r);
}

/* Who asks, as vigia-root can see for itself. False: he asks from elsewhere. */
static bool find_caller(const struct call *c, struct system_for *ret)
{
	if (!c->peer || asker_is_stranger(c->asker))
		return false;
	*ret = (struct system_for){.uid = call_uid(c), .connection = stream_fd(c->peer->stream)};
	return true;
}

/* --- signals --- */

static const struct {
	const char *name;
	int number;
} signals[] = {{"HUP", SIGHUP}, {"INT", SIGINT}, {"QUIT", SIGQUIT}, {"KILL", SIGKILL}, {"USR1", SIGUSR1},
    {"USR2", SIGUSR2}, {"TERM", SIGTERM}, {"CONT", SIGCONT}, {"STOP", SIGSTOP}};

static int signal_named(const char *name)
{
	name += !strncmp(name, "SIG", 3) ? 3 : 0;
	for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
		if (!strcmp(signals[i].name, name))
			return signals[i].number;
	return 0;
}

/* All of its uids, and nothing that it has kept of another: one that has more than its caller's is not its caller's alone. */
static bool is_callers(const struct call *c, const struct process *p)
{
	return call_is_of(c, p->uid) && p->real_uid == p->uid && p->saved_uid == p->uid && !p->guarded;
}

static int check_rights(struct call *c, const struct process *p)
{
	if (call_trusted(c) || is_callers(c, p))
		return 0;
	return call_fail(c, "not-permitted", call_is_of(c, p->uid) ? "process %d may have more rights than uid %u" : "process %d belongs to uid %u",
	    p->key.pid, (unsigned)p->uid);
}

int processes_check_rights(struct call *c, int64_t pid)
{
	struct process p;
	return find(c, pid, 0, &p) ? -1 : check_rights(c, &p);
}

static int signal_failed(struct call *c, int error)
{
	int pid = (int)c->args[0].number;
	if (error == -ESRCH)
		return call_fail(c, "not-found", "process %d is gone", pid);
	if (error == -EPERM || error == -EACCES)
		return call_fail(c, "not-permitted", "the daemon may not signal process %d", pid);
	return call_fail_errno(c, error);
}

static int check_leases(struct call *c, const struct process *p)
{
	char what[32];
	struct buf why = BUF_INIT;
	snprintf(what, sizeof what, "process %d", p->key.pid);
	int r = lease_allows(c, what, &why) ? 0 : call_fail(c, "held", "%s", buf_str(&why));
	buf_release(&why);
	return r;
}

static void on_signalled(void *owner, int error, const char *what, const struct process_key *process)
{
	struct running *r = owner;
	struct call *c = r->call;
	r->run = NULL;
	if (error)
		signal_failed(c, error);
	else
		call_end(c);
}

/* By way of vigia-root, who sends it as the caller. error: why the daemon could not. */
static int signal_as_caller(struct call *c, const struct process *p, int number, int error)
{
	static const struct system_run_events events = {.started = on_signalled};
	struct system_for who;
	struct running *r = find_caller(c, &who) ? running_new(c) : NULL;
	if (!r || type_of(c)->signal_as(system_of(c), &who, &p->key, number, &events, r, &r->run))
		return signal_failed(c, error);
	return CALL_LATER;
}

static int run_signal(struct call *c)
{
	struct process p;
	const char *name = *c->args[1].text ? c->args[1].text : "TERM";
	int number = signal_named(name);
	if (!number)
		return call_fail_arg(c, 1, "the name of a signal");
	if (find(c, c->args[0].number, c->args[2].number, &p))
		return -1;
	if (check_rights(c, &p) || check_leases(c, &p))
		return -1;
	int r = type_of(c)->signal(system_of(c), &p.key, number);
	if (r == -EPERM)
		return signal_as_caller(c, &p, number, r);
	return r ? signal_failed(c, r) : CALL_DONE;
}

/* --- the end of one --- */

struct waiting {
	struct call *call;
	struct system_watch *watch;
	struct process_key key;
};

static void on_watched_end(void *owner, const struct process_key *key)
{
	struct waiting *w = owner;
	struct call *c = w->call;
	struct msg *m = call_answer(c, "process");
	w->watch = NULL;
	if (m) {
		put_key(m, key);
		msg_set(m, "state", "ended");
	}
	call_send(c, m);
	call_end(c);
}

static int watch(struct call *c, const struct process *p, system_ended_fn *ended, void *owner, struct system_watch **ret)
{
	int r = type_of(c)->watch(system_of(c), &p->key, ended, owner, ret);
	if (r == -ESRCH)
		return call_fail(c, "not-found", "process %d is gone", p->key.pid);
	return r ? call_fail_errno(c, r) : 0;
}

int processes_watch(struct call *c, int64_t pid, system_ended_fn *ended, void *owner, struct system_watch **ret)
{
	struct process p;
	return find(c, pid, 0, &p) ? -1 : watch(c, &p, ended, owner, ret);
}

static int run_watch(struct call *c)
{
	struct process p;
	if (find(c, c->args[0].number, c->args[1].number, &p) || call_hold(c, LIMIT_PROCESS_WATCHES))
		return -1;
	struct waiting *w = calloc(1, sizeof *w);
	if (!w)
		return call_fail(c, "failed", "no memory");
	*w = (struct waiting){.call = c, .key = p.key};
	c->state = w;
	if (watch(c, &p, on_watched_end, w, &w->watch))
		return -1;
	put_process(c, &p);
	return CALL_LATER;
}

static void over_watch(struct call *c)
{
	struct waiting *w = c->state;
	if (w && w->watch)
		type_of(c)->unwatch(w->watch);
	free(w);
}

/* --- starting --- */

static void on_started(void *owner, int error, const char *what, const struct process_key *process)
{
	struct running *r = owner;
	struct call *c = r->call;
	if (error) {
		const char *program = c->op->args[0].type == OP_WORDS ? c->args[0].words->text : c->args[0].text;
		r->run = NULL;
		call_fail(c, r->as_user && error == -EACCES ? "not-permitted" : "failed", "%s: %s: %s", program, what, strerror(-error));
		return;
	}
	struct msg *m = call_answer(c, "process");
	if (m) {
		put_key(m, process);
		msg_set(m, "state", "started");
	}
	call_send(c, m);
}

static void put_status(struct msg *m, int status)
{
	if (status == SYSTEM_END_UNKNOWN)
		return;
	if (WIFSIGNALED(status))
		msg_set_int(m, "signal", WTERMSIG(status));
	else
		msg_set_int(m, "code", WEXITSTATUS(status));
}

static void on_ended(void *owner, int status)
{
	struct running *r = owner;
	struct call *c = r->call;
	struct msg *m = call_answer(c, "process");
	r->run = NULL;
	if (m) {
		msg_set(m, "state", "ended");
		put_status(m, status);
	}
	call_send(c, m);
	call_end(c);
}

static const char **words_of(const struct msg *first)
{
	size_t n = 0;
	for (const struct msg *k = first; k; k = k->next)
		n += !strcmp(k->name, first->name);
	const char **words = calloc(n + 1, sizeof *words);
	n = 0;
	for (const struct msg *k = first; words && k; k = k->next)
		if (!strcmp(k->name, first->name))
			words[n++] = k->text;
	return words;
}

static int start(struct call *c, struct running *r)
{
	static const struct system_run_events events = {on_started, on_ended};
	const char **words = words_of(c->args[0].words);
	if (!words)
		return -ENOMEM;
	struct launch l = {.arguments = words, .directory = *c->args[1].text ? c->args[1].text : NULL};
	int e = type_of(c)->start(system_of(c), &l, &events, r, &r->run);
	free(words);
	return e;
}

static int run_start(struct call *c)
{
	if (call_hold(c, LIMIT_PROGRAMS))
		return -1;
	struct running *r = running_new(c);
	if (!r)
		return call_fail(c, "failed", "no memory");
	int e = start(c, r);
	if (e == -EINVAL)
		return call_fail_arg(c, 1, "an absolute path");
	if (e == -E2BIG)
		return call_fail(c, "too-large", "process.start: more than %d bytes or %d words", LAUNCH_BYTES_MAX,
		    LAUNCH_WORDS_MAX);
	return e ? call_fail(c, "unavailable", "programs can't be started just now: %s", strerror(-e)) : CALL_LATER;
}

/* --- starting as another user --- */

/* A pipe that has all of it already; nobody waits for its reader. */
static int pipe_of(const uint8_t *bytes, size_t n, int *ret_read)
{
	int ends[2];
	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK))
		return -errno;
	bool all = !n || write(ends[1], bytes, n) == (ssize_t)n;
	close(ends[1]);
	if (!all)
		close(ends[0]);
	else
		fcntl(ends[0], F_SETFL, 0); /* for whom it is may wait */
	*ret_read = ends[0];
	return all ? 0 : -E2BIG;
}

static int start_entry(struct call *c, const struct system_for *who)
{
	static const struct system_run_events events = {on_started, on_ended};
	struct running *r = running_new(c);
	int input = -1, e = r ? pipe_of(c->args[1].bytes, c->args[1].n, &input) : -ENOMEM;
	if (e)
		return e;
	r->as_user = true;
	e = type_of(c)->start_entry(system_of(c), who, c->args[0].text, input, &events, r, &r->run);
	close(input);
	return e;
}

static int run_run(struct call *c)
{
	struct system_for who;
	if (!find_caller(c, &who))
		return call_fail(c, "not-permitted", "process.run is only for users of this host, on its socket");
	if (c->args[2].number >= 0 && c->args[2].number != who.uid && who.uid)
		return call_fail(c, "not-permitted", "only root runs a program as another user");
	if (c->args[2].number > UINT32_MAX)
		return call_fail_arg(c, 2, "a uid");
	if (c->args[2].number >= 0)
		who.uid = (uid_t)c->args[2].number;
	if (call_hold(c, LIMIT_PROGRAMS))
		return -1;
	int e = start_entry(c, &who);
	if (e == -EINVAL)
		return call_fail_arg(c, 0, "up to %d of a-z, 0-9 and -", SYSTEM_ENTRY_MAX);
	if (e == -E2BIG)
		return call_fail(c, "too-large", "process.run: more input than a pipe holds, %d bytes", PIPE_BYTES);
	if (e == -EDQUOT)
		return call_fail(c, "too-many", "%d programs run as uid %u already", SYSTEM_RUNS_OF_ONE_MAX, (unsigned)who.uid);
	return e ? call_fail(c, "unavailable", "there is no vigia-root that would do it (see vigia-root(8)): %s", strerror(-e))
		 : CALL_LATER;
}

/* --- the host's processors --- */

void processes_put_topology(const struct core *core, struct msg *m)
{
	const struct host_topology *t;
	if (!core->processes || core->processes->type->topology(core->processes->system, &t))
		return;
	msg_set_int(m, "packages", t->packages);
	msg_set_int(m, "numa-nodes", t->nodes);
	msg_set_int(m, "cores", t->cores);
	msg_set_int(m, "threads", t->threads);
	msg_set(m, "topology", t->tree);
}

/* --- the table --- */

static const struct op_field process_fields[] = {
    {"pid", OP_INTEGER, "its number"},
    {"start", OP_INTEGER, "when it began, in ticks since boot: with the number nobody else's"},
    {"state", OP_TEXT, "as ps has it; started and ended"},
    {"code", OP_INTEGER, "what it ended with"},
    {"signal", OP_INTEGER, "what ended it"},
    {"parent", OP_INTEGER, "the number of its parent"},
    {"user", OP_TEXT, "whose it is"},
    {"uid", OP_INTEGER, "whose it is"},
    {"threads", OP_INTEGER, "how many it has"},
    {"cpu", OP_SPAN, "time it was given so far"},
    {"memory", OP_SIZE, "resident"},
    {"started", OP_TIME, "when"},
    {"program", OP_TEXT, "its name"},
    {"command", OP_TEXT, "the program and its arguments"},
    {NULL},
};

#define PID {"pid", OP_INTEGER, "its number", .required = true}
#define START {"start", OP_INTEGER, "as listed: then another one that has its number now is not meant"}

static const struct op ops[] = {
    {"process", "list", "the processes of this host", OP_PRIVATE, ROLE_CLIENT,
	.args = {{"program", OP_PATTERN, "by their program"}, {"user", OP_TEXT, "by name or uid"}}, .run = run_list,
	.more = more_list, .over = over_list, .fields = process_fields},
    {"process", "info", "one process", OP_PRIVATE, ROLE_CLIENT, .args = {PID, START}, .run = run_info,
	.fields = process_fields},
    {"process", "signal", "sends a process a signal", OP_ACTS, ROLE_CLIENT,
	.args = {PID, {"signal", OP_TEXT, "TERM, KILL, STOP, CONT, INT, HUP, QUIT, USR1 or USR2; else TERM"}, START},
	.run = run_signal, .over = over_running},
    {"process", "watch", "tells when a process has ended", OP_PRIVATE | OP_STREAMS, ROLE_CLIENT, .args = {PID, START},
	.run = run_watch, .over = over_watch, .fields = process_fields},
    {"process", "start", "starts a program as the daemon's user, and tells when it ends; it goes on without whoever asked",
	OP_CHANGES | OP_STREAMS, ROLE_CLIENT,
	.args = {{"word", OP_WORDS, "the program, then its arguments", .required = true},
	    {"directory", OP_TEXT, "where it works; else its home"}}, .run = run_start, .over = over_running,
	.fields = process_fields},
    {"process", "run", "runs a program that root has put up for it as you, and tells when it ends; it goes on without whoever asked",
	OP_ACTS | OP_STREAMS, ROLE_CLIENT,
	.args = {{"entry", OP_TEXT, "which one, see vigia-root(8)", .required = true},
	    {"input", OP_BYTES, "what it reads from its standard input"},
	    {"uid", OP_INTEGER, "for root: as whom", .fallback = -1}}, .run = run_run, .over = over_running,
	.fields = process_fields},
    {NULL},
};

const struct service process_service = {.name = "process", .doc = "the processes of this host", .ops = ops};

/* --- start and end --- */

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct core *core = poll->data;
	core->processes->type->turn(core->processes->system);
}

int processes_start(struct core *core, struct system *take_system)
{
	struct processes *p = calloc(1, sizeof *p);
	if (!p)
		return -ENOMEM;
	*p = (struct processes){.system = take_system, .type = system_type_of(take_system)};
	core->processes = p;
	int r = uv_poll_init(core->net.loop, &p->poll, p->type->fd(take_system));
	p->poll.data = core;
	return r ? r : uv_poll_start(&p->poll, UV_READABLE, on_poll);
}

static void on_closed(uv_handle_t *h)
{
	struct core *core = h->data;
	core->processes->type->close(core->processes->system);
	free(core->processes);
	core->processes = NULL;
}

void processes_stop(struct core *core)
{
	uv_close((uv_handle_t *)&core->processes->poll, on_closed);
}

int processes_trouble(const struct core *core, struct buf *ret_what)
{
	return !core->processes ? 0 : core->processes->type->trouble(core->processes->system, ret_what);
}
