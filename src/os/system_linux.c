/* SPDX-License-Identifier: Apache-2.0 */
/* Linux: /proc, pidfds, vigia-launcher and vigia-root. */
#include "os/system.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "os/ask.h"
#include "os/pidfd.h"
#include "os/remote.h"
#include "os/runs.h"
#include "os/users.h"
#include "os/walk.h"
#include "os/watches.h"

enum { TURN_MOST = 64 };

struct system {
	const struct system_type *type;
	int sources, proc;
	unsigned walks;
	struct watches watches;
	struct runs *runs, *root; /* NULL: no vigia-root */
	struct users *users;
	char *remote;
	struct ask *ask; /* for the topology */
	int topology_error;
	struct host_topology topology;
};

/* --- topology: asked once ----------------------------------------------------------------------------------------- */

static void on_topology(void *owner, int error, const char *text, size_t n)
{
	struct system *s = owner;

	s->ask = NULL;
	s->topology_error = error ? error : topology_parse(text, n, &s->topology);
}

static void ask_topology(struct system *s, const char *program)
{
	const char *const words[] = {program, NULL};

	s->topology_error = -ENOENT;
	if (!program)
		return;
	int r = ask_start(s->runs, s->sources, words, TOPOLOGY_TEXT_MAX, on_topology, s, &s->ask);
	s->topology_error = r < 0 ? r : -EAGAIN;
}

static int linux_topology(const struct system *s, const struct host_topology **ret)
{
	if (s->topology_error == 0)
		*ret = &s->topology;
	return s->topology_error;
}

/* --- from its beginning to its end ---------------------------------------------------------------------------------- */

static void linux_close(struct system *s)
{
	if (!s)
		return;
	ask_drop(s->ask);
	users_free(s->users);
	runs_close(s->root);
	runs_close(s->runs);
	watches_release(&s->watches);
	if (s->proc >= 0)
		close(s->proc);
	if (s->sources >= 0)
		close(s->sources);
	free(s->remote);
	free(s);
}

static int complain(struct buf *why, const char *what, int error)
{
	if (why)
		buf_putf(why, "%s: %s", what, strerror(-error));
	return error;
}

static int open_parts(struct system *s, const struct system_options *o, struct buf *why)
{
	s->sources = sources_open();
	if (s->sources < 0)
		return complain(why, "can't watch anything", s->sources);
	s->proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->proc < 0)
		return complain(why, "/proc", -errno);
	s->watches = (struct watches){.sources = s->sources, .proc = s->proc};
	int r = runs_open(&s->runs, o->launcher, s->sources, s->proc, why);
	if (r < 0)
		return r;
	if (o->root && (r = runs_open_root(&s->root, o->root, s->sources, s->proc)) < 0)
		return complain(why, o->root, r);
	s->users = users_new(s->runs, s->sources, NULL);
	s->remote = strdup(o->remote ? o->remote : REMOTE_SSH);
	return s->users && s->remote ? 0 : complain(why, "can't start", -ENOMEM);
}

static int linux_open(struct system **ret, const struct system_options *o, struct buf *why)
{
	struct system *s = NULL;
	int r = 0;

	if (o->remote && (r = remote_check(o->remote, NULL)) < 0) {
		if (why)
			buf_puts(why, "the way to start on another host ");
		return remote_check(o->remote, why);
	}
	s = calloc(1, sizeof *s);
	if (!s)
		return complain(why, "can't start", -ENOMEM);
	*s = (struct system){.type = &system_linux, .sources = -1, .proc = -1};
	r = open_parts(s, o, why);
	if (r < 0) {
		linux_close(s);
		return r;
	}
	ask_topology(s, o->topology);
	*ret = s;
	return 0;
}

static int linux_fd(const struct system *s)
{
	return s->sources;
}

static void linux_turn(struct system *s)
{
	sources_turn(s->sources, TURN_MOST);
}

static int linux_trouble(const struct system *s, struct buf *ret_what)
{
	return runs_trouble(s->runs, ret_what);
}

/* --- the table ------------------------------------------------------------------------------------------------------ */

static void linux_facts(struct system *s, struct host_facts *ret)
{
	host_facts(ret);
}

static size_t linux_addresses(struct system *s, struct host_address ret[], size_t n)
{
	return host_addresses(ret, n);
}

static int linux_process(struct system *s, int32_t pid, struct process *ret)
{
	return walk_one(s->proc, s->users, pid, ret);
}

static int linux_walk_new(struct system *s, struct system_walk **ret)
{
	return walk_new(s->proc, s->users, &s->walks, ret);
}

static int linux_signal(struct system *s, const struct process_key *process, int signal)
{
	return pidfd_signal(s->proc, process, signal);
}

static int linux_watch(struct system *s, const struct process_key *process, system_ended_fn *ended, void *owner,
    struct system_watch **ret)
{
	return watches_add(&s->watches, process, ended, owner, ret);
}

static int linux_start(struct system *s, const struct launch *l, const struct system_run_events *events, void *owner,
    struct system_run **ret)
{
	return runs_start(s->runs, l, events, owner, ret);
}

static int linux_start_remote(struct system *s, const char *host, const struct launch *l,
    const struct system_run_events *events, void *owner, struct system_run **ret)
{
	const char *const *words;
	int r = remote_words(s->remote, host, l, &words);

	if (r < 0)
		return r;
	const struct launch here = {.arguments = words, .fds = l->fds};
	r = runs_start(s->runs, &here, events, owner, ret);
	free((void *)words);
	return r;
}

static int linux_start_entry(struct system *s, const struct system_for *who, const char *entry, int input,
    const struct system_run_events *events, void *owner, struct system_run **ret)
{
	return !s->root ? -ENOENT : runs_start_entry(s->root, who, entry, input, events, owner, ret);
}

static int linux_signal_as(struct system *s, const struct system_for *who, const struct process_key *process, int signal,
    const struct system_run_events *events, void *owner, struct system_run **ret)
{
	return !s->root ? -ENOENT : runs_signal_as(s->root, who, process, signal, events, owner, ret);
}

const struct system_type system_linux = {
    .name = "linux",
    .doc = "this machine, by way of /proc, pidfds, vigia-launcher and vigia-root",
    .open = linux_open,
    .close = linux_close,
    .fd = linux_fd,
    .turn = linux_turn,
    .trouble = linux_trouble,
    .facts = linux_facts,
    .addresses = linux_addresses,
    .topology = linux_topology,
    .process = linux_process,
    .walk_new = linux_walk_new,
    .walk_next = walk_next,
    .walk_free = walk_free,
    .signal = linux_signal,
    .watch = linux_watch,
    .unwatch = watches_remove,
    .start = linux_start,
    .start_remote = linux_start_remote,
    .start_entry = linux_start_entry,
    .signal_as = linux_signal_as,
    .forget = runs_forget,
};
