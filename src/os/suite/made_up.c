/* SPDX-License-Identifier: Apache-2.0 */
#include "os/suite/made_up.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/remote.h"

enum { PIDS_FROM = 100, PIDS_TO = 32768, NAME_LENGTH = 63, TURN_MOST = 64 };
static const int64_t BOOTED_NS = 1700000000000000000, TICK_NS = 10000000;

struct member {
	struct process process;
	struct member *next;
};

struct taught {
	char name[NAME_LENGTH + 1];
	made_up_program_fn *fn; /* NULL: it is a host */
	void *data;
	struct taught *next;
};

struct system {
	const struct system_type *type;
	int wake;
	bool no_launcher;
	int32_t next_pid;
	int64_t ticks; /* since it was opened: one a process */
	unsigned walks, watches_n, runs_n;
	struct member *members; /* by pid */
	struct taught *programs, *hosts;
	struct system_watch *watches;
	struct system_run *runs;
};

struct system_watch {
	struct system *system;
	struct process_key key;
	system_ended_fn *ended;
	void *owner;
	bool due;
	struct system_watch *next;
};

struct system_run {
	struct system *system;
	const struct system_run_events *events;
	void *owner;
	struct process_key key;
	const char *what; /* NULL: it was started */
	int error, status;
	bool told, ended;
	bool is_signal; /* what came of it is all that there is to tell */
	struct system_run *next;
};

struct system_walk {
	struct system *system;
	int32_t after;
};

static void wake(struct system *s)
{
	eventfd_write(s->wake, 1);
}

/* --- processes ----------------------------------------------------------------------------------------------------- */

/* The one with this number, or the place before which it would be. */
static struct member **place(struct system *s, int32_t pid)
{
	struct member **m = &s->members;

	while (*m && (*m)->process.key.pid < pid)
		m = &(*m)->next;
	return m;
}

static struct process *find(struct system *s, int32_t pid)
{
	struct member *m = *place(s, pid);

	return m && m->process.key.pid == pid ? &m->process : NULL;
}

static struct process *find_key(struct system *s, const struct process_key *key)
{
	struct process *p = find(s, key->pid);

	return p && p->key.start == key->start ? p : NULL;
}

static int32_t free_pid(struct system *s)
{
	while (find(s, s->next_pid))
		s->next_pid = s->next_pid + 1 < PIDS_TO ? s->next_pid + 1 : PIDS_FROM;
	return s->next_pid++;
}

int made_up_add_process(struct system *s, const struct process *like, struct process_key *ret)
{
	struct member *m = malloc(sizeof *m);

	if (!m)
		return -ENOMEM;
	m->process = *like;
	m->process.key = (struct process_key){free_pid(s), ++s->ticks};
	m->process.state = 'S';
	m->process.started_ns = BOOTED_NS + s->ticks * TICK_NS;
	struct member **at = place(s, m->process.key.pid);
	m->next = *at;
	*at = m;
	*ret = m->process.key;
	return 0;
}

static void end(struct system *s, const struct process_key *key, int status)
{
	struct member **at = place(s, key->pid), *m = *at;

	*at = m->next;
	free(m);
	for (struct system_watch *w = s->watches; w; w = w->next)
		w->due |= w->key.pid == key->pid && w->key.start == key->start;
	for (struct system_run *r = s->runs; r; r = r->next) {
		if (r->key.pid != key->pid || r->key.start != key->start)
			continue;
		r->ended = true;
		r->status = s->no_launcher ? SYSTEM_END_UNKNOWN : status;
	}
	wake(s);
}

bool made_up_end(struct system *s, int32_t pid, int status)
{
	const struct process *p = find(s, pid);

	if (p)
		end(s, &(struct process_key){pid, p->key.start}, status);
	return p;
}

void made_up_next_pid(struct system *s, int32_t pid)
{
	s->next_pid = pid;
}

void made_up_lose_launcher(struct system *s)
{
	s->no_launcher = true;
}

static int process_of(struct system *s, int32_t pid, struct process *ret)
{
	const struct process *p = find(s, pid);

	if (p)
		*ret = *p;
	return p ? 0 : -ESRCH;
}

static int new_walk(struct system *s, struct system_walk **ret)
{
	struct system_walk *w = s->walks < SYSTEM_WALKS_MAX ? malloc(sizeof *w) : NULL;

	if (!w)
		return -EAGAIN;
	s->walks++;
	*w = (struct system_walk){s, 0};
	*ret = w;
	return 0;
}

static int next_of_walk(struct system_walk *w, struct process *ret)
{
	const struct member *m = *place(w->system, w->after + 1);

	if (!m)
		return 0;
	*ret = m->process;
	w->after = ret->key.pid;
	return 1;
}

static void free_walk(struct system_walk *w)
{
	w->system->walks--;
	free(w);
}

static bool is_ignored(int signal)
{
	return signal == 0 || signal == SIGCHLD || signal == SIGURG || signal == SIGWINCH;
}

static int send_signal(struct system *s, const struct process_key *key, int signal)
{
	if (signal < 0 || signal >= NSIG)
		return -EINVAL;
	struct process *p = find_key(s, key);
	if (!p)
		return -ESRCH;
	if (p->key.pid == 1)
		return -EPERM;
	if (signal == SIGSTOP || signal == SIGCONT)
		p->state = signal == SIGSTOP ? 'T' : 'S';
	else if (!is_ignored(signal) && !p->kernel)
		end(s, key, signal);
	return 0;
}

/* --- watches -------------------------------------------------------------------------------------------------------- */

static int watch(struct system *s, const struct process_key *key, system_ended_fn *ended, void *owner,
    struct system_watch **ret)
{
	if (s->watches_n >= SYSTEM_WATCHES_MAX)
		return -EAGAIN;
	if (!find_key(s, key))
		return -ESRCH;
	struct system_watch *w = malloc(sizeof *w);
	if (!w)
		return -ENOMEM;
	*w = (struct system_watch){.system = s, .key = *key, .ended = ended, .owner = owner, .next = s->watches};
	s->watches = w;
	s->watches_n++;
	*ret = w;
	return 0;
}

static void unwatch(struct system_watch *w)
{
	struct system_watch **at = &w->system->watches;

	while (*at != w)
		at = &(*at)->next;
	*at = w->next;
	w->system->watches_n--;
	free(w);
}

static bool tell_a_watch(struct system *s)
{
	struct system_watch *w = s->watches;

	while (w && !w->due)
		w = w->next;
	if (!w)
		return false;
	const struct system_watch was = *w;
	unwatch(w);
	was.ended(was.owner, &was.key);
	return true;
}

/* --- programs ------------------------------------------------------------------------------------------------------- */

static int run_true(void *data, const char *host, const struct launch *l)
{
	return 0;
}

static int run_false(void *data, const char *host, const struct launch *l)
{
	return W_EXITCODE(1, 0);
}

static int run_sleep(void *data, const char *host, const struct launch *l)
{
	return MADE_UP_LIVES;
}

static int run_echo(void *data, const char *host, const struct launch *l)
{
	struct buf line = BUF_INIT;

	for (const char *const *word = l->arguments + 1; *word; word++)
		buf_putf(&line, "%s%s", word == l->arguments + 1 ? "" : " ", *word);
	buf_putc(&line, '\n');
	bool ok = !l->fds || l->fds[1] < 0 || write(l->fds[1], line.data, line.len) == (ssize_t)line.len;
	buf_release(&line);
	return W_EXITCODE(!ok, 0);
}

static int teach(struct taught **list, const char *name, made_up_program_fn *fn, void *data)
{
	struct taught *t = strlen(name) <= NAME_LENGTH ? malloc(sizeof *t) : NULL;

	if (!t)
		return -ENOMEM;
	*t = (struct taught){.fn = fn, .data = data, .next = *list};
	strcpy(t->name, name);
	*list = t;
	return 0;
}

static const struct taught *find_taught(const struct taught *list, const char *name)
{
	while (list && strcmp(list->name, name) != 0)
		list = list->next;
	return list;
}

static void forget_all(struct taught *list)
{
	while (list) {
		struct taught *t = list;
		list = t->next;
		free(t);
	}
}

int made_up_teach(struct system *s, const char *name, made_up_program_fn *fn, void *data)
{
	return teach(&s->programs, name, fn, data);
}

int made_up_add_host(struct system *s, const char *name)
{
	return teach(&s->hosts, name, NULL, NULL);
}

static struct system_run *new_run(struct system *s, const struct system_run_events *events, void *owner)
{
	struct system_run *r = malloc(sizeof *r), **at = &s->runs;

	if (!r)
		return NULL;
	*r = (struct system_run){.system = s, .events = events, .owner = owner};
	while (*at)
		at = &(*at)->next;
	*at = r;
	s->runs_n++;
	return r;
}

static void forget(struct system_run *r)
{
	struct system_run **at = &r->system->runs;

	while (*at != r)
		at = &(*at)->next;
	*at = r->next;
	r->system->runs_n--;
	free(r);
}

static bool is_directory(const char *path)
{
	static const char *const all[] = {"/", "/tmp", "/usr"};

	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		if (strcmp(path, all[i]) == 0)
			return true;
	return false;
}

/* The process that it is, with the command for all to see. */
static int become_process(struct system_run *r, const struct launch *l)
{
	struct process p = {.parent = 1, .threads = 1, .uid = geteuid(), .real_uid = getuid(), .saved_uid = geteuid()};
	struct buf command = BUF_INIT;

	for (const char *const *word = l->arguments; *word; word++)
		buf_put(&command, *word, strlen(*word) + 1);
	snprintf(p.program, sizeof p.program, "%s", l->arguments[0]);
	snprintf(p.user, sizeof p.user, "made-up");
	process_take_command(command.data, command.len, &p);
	int error = command.failed ? -ENOMEM : made_up_add_process(r->system, &p, &r->key);
	buf_release(&command);
	return error;
}

static void run_program(struct system_run *r, const char *host, const struct launch *l)
{
	struct system *s = r->system;
	const struct taught *program = find_taught(s->programs, l->arguments[0]);

	if (l->directory && !is_directory(l->directory))
		r->what = "its directory can't be entered";
	else if (!program)
		r->what = "can't be executed";
	r->error = r->what ? -ENOENT : become_process(r, l);
	if (r->error && !r->what)
		r->what = "can't be prepared";
	if (r->error)
		return;
	const struct process_key key = r->key;
	int status = find_taught(s->hosts, host) ? program->fn(program->data, host, l) : W_EXITCODE(255, 0);
	if (status != MADE_UP_LIVES)
		end(s, &key, status);
}

static int start_on(struct system *s, const char *host, const struct launch *l, const struct system_run_events *events,
    void *owner, struct system_run **ret)
{
	int r = launch_check(l);

	if (r < 0)
		return r;
	if (s->no_launcher || s->runs_n >= SYSTEM_RUNS_MAX)
		return s->no_launcher ? -EPIPE : -EAGAIN;
	struct system_run *run = new_run(s, events, owner);
	if (!run)
		return -ENOMEM;
	run_program(run, host, l);
	*ret = run;
	wake(s);
	return 0;
}

static int start(struct system *s, const struct launch *l, const struct system_run_events *events, void *owner,
    struct system_run **ret)
{
	return start_on(s, "", l, events, owner, ret);
}

static int start_remote(struct system *s, const char *host, const struct launch *l,
    const struct system_run_events *events, void *owner, struct system_run **ret)
{
	return remote_is_host(host) ? start_on(s, host, l, events, owner, ret) : -EINVAL;
}

/* Its vigia-root runs all programs that it knows, as the daemon's own user. */
static int start_entry(struct system *s, const struct system_for *who, const char *entry, int input,
    const struct system_run_events *events, void *owner, struct system_run **ret)
{
	const struct launch l = {.arguments = (const char *const[]){entry, NULL}};
	size_t n = strspn(entry, "abcdefghijklmnopqrstuvwxyz0123456789-");

	return entry[n] || n == 0 || n > SYSTEM_ENTRY_MAX ? -EINVAL : start_on(s, "", &l, events, owner, ret);
}

static int signal_as(struct system *s, const struct system_for *who, const struct process_key *process, int signal,
    const struct system_run_events *events, void *owner, struct system_run **ret)
{
	struct system_run *run = new_run(s, events, owner);

	if (!run)
		return -ENOMEM;
	run->is_signal = true;
	run->error = send_signal(s, process, signal);
	*ret = run;
	wake(s);
	return 0;
}

/* One thing of the first that has something to tell. */
static bool tell_a_run(struct system *s)
{
	struct system_run *r = s->runs;

	while (r && r->told && !r->ended)
		r = r->next;
	if (!r)
		return false;
	const struct system_run was = *r;
	if (was.error || was.told || was.is_signal)
		forget(r);
	else
		r->told = true;
	if (was.told)
		was.events->ended(was.owner, was.status);
	else
		was.events->started(was.owner, was.error, was.what, was.error || was.is_signal ? NULL : &was.key);
	return true;
}

/* --- the host ------------------------------------------------------------------------------------------------------- */

static void facts(struct system *s, struct host_facts *ret)
{
	*ret = (struct host_facts){.name = "nowhere", .system = "Made-up 1.0", .machine = "imaginary",
	    .boot_id = "00000000-0000-4000-8000-000000000000", .booted_ns = BOOTED_NS, .memory = 1 << 30, .processors = 4};
}

static size_t addresses(struct system *s, struct host_address ret[], size_t n)
{
	static const struct host_address all[] = {{"lo", "127.0.0.1", true, false}, {"void0", "192.0.2.1", false, false}};

	memcpy(ret, all, (n < 2 ? n : 2) * sizeof *all);
	return 2;
}

static int topology(const struct system *s, const struct host_topology **ret)
{
	static const struct host_topology made_up = {.packages = 1, .nodes = 1, .cores = 2, .threads = 4,
	    .tree = "package(NUMA 1 GiB, 2 x core(2 x thread))"};

	*ret = &made_up;
	return 0;
}

/* --- from its beginning to its end ---------------------------------------------------------------------------------- */

static void close_system(struct system *s)
{
	if (!s)
		return;
	while (s->runs)
		forget(s->runs);
	while (s->watches)
		unwatch(s->watches);
	while (s->members) {
		struct member *m = s->members;
		s->members = m->next;
		free(m);
	}
	forget_all(s->programs);
	forget_all(s->hosts);
	if (s->wake >= 0)
		close(s->wake);
	free(s);
}

static int begin(struct system *s)
{
	const struct process init = {.program = "init", .command = "/sbin/init", .user = "root", .threads = 1};
	struct process_key key;
	int r = s->wake < 0 ? -errno : made_up_add_host(s, "");

	if (r == 0)
		r = made_up_teach(s, "true", run_true, NULL);
	if (r == 0)
		r = made_up_teach(s, "false", run_false, NULL);
	if (r == 0)
		r = made_up_teach(s, "echo", run_echo, NULL);
	if (r == 0)
		r = made_up_teach(s, "sleep", run_sleep, NULL);
	if (r == 0)
		r = made_up_add_process(s, &init, &key);
	s->next_pid = PIDS_FROM;
	return r;
}

static int open_system(struct system **ret, const struct system_options *o, struct buf *why)
{
	struct system *s = calloc(1, sizeof *s);

	if (!s)
		return -ENOMEM;
	*s = (struct system){.type = &system_made_up, .next_pid = 1, .wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
	int r = begin(s);
	if (r < 0)
		close_system(s);
	else
		*ret = s;
	return r;
}

static int fd(const struct system *s)
{
	return s->wake;
}

static void turn(struct system *s)
{
	eventfd_t n;

	eventfd_read(s->wake, &n);
	for (int i = 0; i < TURN_MOST; i++)
		if (!tell_a_run(s) && !tell_a_watch(s))
			return;
	wake(s);
}

static int trouble(const struct system *s, struct buf *ret_what)
{
	if (s->no_launcher)
		buf_puts(ret_what, "the launcher was lost, so no program can be started");
	return s->no_launcher;
}

const struct system_type system_made_up = {
    .name = "made-up",
    .doc = "nothing real: for tests",
    .open = open_system,
    .close = close_system,
    .fd = fd,
    .turn = turn,
    .trouble = trouble,
    .facts = facts,
    .addresses = addresses,
    .topology = topology,
    .process = process_of,
    .walk_new = new_walk,
    .walk_next = next_of_walk,
    .walk_free = free_walk,
    .signal = send_signal,
    .watch = watch,
    .unwatch = unwatch,
    .start = start,
    .start_remote = start_remote,
    .start_entry = start_entry,
    .signal_as = signal_as,
    .forget = forget,
};
