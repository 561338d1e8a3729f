/* SPDX-License-Identifier: Apache-2.0 */
#include "core/joining.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/processes.h"
#include "core/said.h"
#include "core/steps.h"
#include "os/clock.h"
#include "os/remote.h"

enum { WORDS_MAX = 64 };
static const int64_t ALREADY_NS = 10000000000;

struct joining {
	char *command, *masters, *program;
	struct way *ways;
};

/* What connects to a host, until it ends. */
struct way {
	struct core *core;
	struct steps_host *host; /* NULL: nobody waits for it any more */
	struct system_run *run;	 /* NULL: it is over */
	struct process_key key;	 /* pid 0: not known yet */
	int fd;			 /* what it says */
	int to;			 /* where it says it; -1: that has gone to it */
	bool invited;		 /* waits for its token */
	uv_poll_t poll;
	struct said said;
	struct way *next, **link;
};

static const char *without_user(const char *name)
{
	const char *at = strrchr(name, '@');
	return at ? at + 1 : name;
}

/* --- the command --- */

static int put_word(struct buf *to, const char **at, const char *host, const char *masters, const char *program)
{
	for (; **at && **at != ' '; (*at)++) {
		if (**at != '%') {
			buf_putc(to, **at);
			continue;
		}
		char kind = *++*at;
		if (!kind || !strchr("hmv%", kind))
			return -EINVAL;
		buf_puts(to, kind == 'h' ? host : kind == 'm' ? masters : kind == 'v' ? program : "%");
	}
	buf_putc(to, '\0');
	return 0;
}

int joining_words(const char *command, const char *host, const char *masters, const char *program, const char *const **ret)
{
	struct buf words = BUF_INIT;
	size_t n = 0;
	int r = 0;
	const char *at = command + strspn(command, " ");
	for (; !r && *at && n < WORDS_MAX; n++) {
		r = put_word(&words, &at, host, masters, program);
		at += strspn(at, " ");
	}
	if (!r && (!n || *at))
		r = -EINVAL;
	const char *const *all = r || words.failed ? NULL : remote_in_one_piece(&words, n);
	buf_release(&words);
	if (all)
		*ret = all;
	return r ? r : all ? 0 : -ENOMEM;
}

/* An address that others can reach, in place of one that means all of this host's. */
static void put_master(struct buf *to, const char *master, size_t n)
{
	static const char *const all[] = {"0.0.0.0:", "[::]:"};
	struct host_address addresses[32];
	size_t found = 0, skip = 0;
	for (size_t i = 0; i < 2; i++)
		if (!strncmp(master, all[i], strlen(all[i])))
			skip = strlen(all[i]);
	if (skip)
		found = host_addresses(addresses, 32);
	for (size_t i = 0; i < found && i < 32; i++) {
		const struct host_address *a = &addresses[i];
		if (a->loopback || a->link_local || (skip == 8 && strchr(a->text, ':')))
			continue;
		buf_putf(to, strchr(a->text, ':') ? "[%s]:%.*s" : "%s:%.*s", a->text, (int)(n - skip), master + skip);
		return;
	}
	buf_put(to, master, n);
}

static void put_masters(struct buf *to, const char *masters)
{
	for (size_t n; *masters; masters += n + (masters[n] == ',')) {
		n = strcspn(masters, ",");
		if (to->len)
			buf_putc(to, ',');
		put_master(to, masters, n);
	}
}

void joining_put_masters(const struct core *core, struct buf *to)
{
	put_masters(to, core->joining->masters);
}

/* --- what it says --- */

static void on_daemon(struct way *w)
{
	struct steps_host *h = w->host;
	bool already = w->said.already;
	int64_t soon_ns = clock_mono_ns() + ALREADY_NS;
	if (!h || h->over || !host_id_is_none(&h->id))
		return;
	h->id = w->said.id;
	h->waiting = already ? "a vigiad runs there already and does not join: have its vigia.conf name this master, or end it"
			     : "vigiad runs there but does not join: does it reach this master?";
	if (already && h->deadline_ns > soon_ns)
		h->deadline_ns = soon_ns;
	steps_tell(h, "started", already ? "%s runs there already" : "%s", w->said.name);
	steps_look(h);
}

static void take(struct way *w, const char *bytes, size_t n)
{
	said_take(&w->said, bytes, n);
	if (w->said.known)
		on_daemon(w);
}

static void on_poll_closed(uv_handle_t *poll)
{
	free(poll->data);
}

/* Whether there may be more, later. */
static bool hear(struct way *w)
{
	char bytes[4096];
	ssize_t n = read(w->fd, bytes, sizeof bytes);
	if (n > 0)
		take(w, bytes, (size_t)n);
	return n > 0 || (n < 0 && errno == EAGAIN);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
	struct way *w = poll->data;
	if (!hear(w))
		uv_poll_stop(poll);
}

/* All that it said before its end; who holds the pipe longer is not waited for. */
static void hear_rest(struct way *w)
{
	char bytes[4096];
	ssize_t n = 1;
	for (int i = 0; n > 0 && i < 32; i++) {
		n = read(w->fd, bytes, sizeof bytes);
		take(w, bytes, n > 0 ? (size_t)n : 0);
	}
	said_end(&w->said);
	take(w, "", 0);
}

/* --- its life --- */

static void way_free(struct way *w)
{
	if (w->host)
		w->host->work = NULL;
	*w->link = w->next;
	if (w->next)
		w->next->link = w->link;
	uv_close((uv_handle_t *)&w->poll, on_poll_closed);
	if (w->to >= 0)
		close(w->to);
	close(w->fd); /* not before: the loop would forget who has its number next */
}

/* What is started after all is ended as soon as it is known who it is. */
static void end(struct way *w)
{
	struct system *s = processes_system(w->core);
	if (w->host)
		w->host->work = NULL;
	w->host = NULL;
	if (!w->key.pid) /* on_started or on_token comes */
		return;
	system_type_of(s)->signal(s, &w->key, SIGTERM);
	system_type_of(s)->forget(w->run);
	way_free(w);
}

static void on_started(void *owner, int error, const char *what, const struct process_key *process)
{
	struct way *w = owner;
	if (error) {
		if (w->host)
			steps_fail(w->host, "the program that connects there %s: %s", what, strerror(-error));
		way_free(w);
		return;
	}
	w->key = *process;
	if (!w->host)
		end(w);
}

static void tell_end(struct way *w, int status)
{
	struct steps_host *h = w->host;
	const char *said = *w->said.last ? w->said.last : "it said nothing";
	if (h->over)
		return;
	if (status != 0 && status != SYSTEM_END_UNKNOWN && WIFSIGNALED(status))
		steps_fail(h, "signal %d: %s", WTERMSIG(status), said);
	else if (status != 0 && status != SYSTEM_END_UNKNOWN)
		steps_fail(h, "status %d: %s", WEXITSTATUS(status), said);
	else if (host_id_is_none(&h->id)) {
		h->by_name = without_user(h->name);
		h->waiting = "what was started there does not say who it is, and no host of this name joined";
		steps_tell(h, "started", "%s", w->said.last);
		steps_look(h);
	}
}

static void on_ended(void *owner, int status)
{
	struct way *w = owner;
	hear_rest(w);
	if (w->host)
		tell_end(w, status);
	way_free(w);
}

static const struct system_run_events events = {on_started, on_ended};

static struct way *way_new(struct steps_host *h, int fd)
{
	struct joining *j = h->core->joining;
	struct way *w = calloc(1, sizeof *w);
	if (!w)
		return NULL;
	*w = (struct way){.core = h->core, .host = h, .fd = fd, .next = j->ways, .link = &j->ways};
	if (uv_poll_init(h->core->net.loop, &w->poll, fd)) {
		free(w);
		return NULL;
	}
	w->poll.data = w;
	if (w->next)
		w->next->link = &w->next;
	j->ways = w;
	uv_poll_start(&w->poll, UV_READABLE, on_readable);
	return w;
}

/* --- one host --- */

static const char *command_of(const struct steps_host *h)
{
	const char *said = steps_call(h)->args[1].text;
	return *said ? said : h->core->joining->command;
}

static int words_for(const struct steps_host *h, const char *const **ret)
{
	const struct joining *j = h->core->joining;
	struct buf masters = BUF_INIT, command = BUF_INIT;
	put_masters(&masters, j->masters);
	buf_putf(&command, "%s%s", command_of(h), h->core->place ? " --join" : "");
	int r = joining_words(buf_str(&command), without_user(h->name), buf_str(&masters), j->program, ret);
	buf_release(&masters);
	buf_release(&command);
	return r;
}

/* A pipe from which this text is read, and then its end; -1: no text. */
static int pipe_of(const char *text, int *ret)
{
	int ends[2], r = 0;
	*ret = -1;
	if (!text)
		return 0;
	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK))
		return -errno;
	if (write(ends[1], text, strlen(text)) != (ssize_t)strlen(text) || write(ends[1], "\n", 1) != 1)
		r = -EIO;
	close(ends[1]);
	fcntl(ends[0], F_SETFL, 0);
	if (r)
		close(ends[0]);
	else
		*ret = ends[0];
	return r;
}

/* Negative: it does not start; -EAGAIN: just now. */
static int start(struct way *w, const char *token)
{
	struct system *s = processes_system(w->core);
	const char *const *words;
	int in, r = words_for(w->host, &words);
	if (r)
		return r;
	r = pipe_of(token, &in);
	if (!r) {
		const struct launch l = {.arguments = words, .fds = (int[]){in, w->to, w->to}};
		r = system_type_of(s)->start_remote(s, w->host->name, &l, &events, w, &w->run);
	}
	if (in >= 0)
		close(in);
	free((void *)(uintptr_t)words);
	return r;
}

static void start_or_fail(struct way *w, const char *token)
{
	struct steps_host *h = w->host;
	int r = start(w, token);
	if (r != -EAGAIN) {
		h->begun = true;
		h->waiting = "what connects there did not come to an end";
	}
	if (!r) {
		close(w->to);
		w->to = -1;
		steps_tell(h, "connecting", "%s", "");
		return;
	}
	way_free(w);
	if (h->begun)
		steps_fail(h, "can't connect: %s", strerror(-r));
}

static void on_token(void *owner, const char *token, const char *why)
{
	struct way *w = owner;
	struct steps_host *h = w->host;
	w->invited = false;
	if (h && token) {
		start_or_fail(w, token);
		return;
	}
	way_free(w);
	if (h)
		steps_fail(h, "no token for it: %s", why);
}

static int open_way(struct steps_host *h, struct way **ret)
{
	int from, to, r = system_pipe(&from, &to);
	if (r)
		return r;
	*ret = way_new(h, from);
	if (*ret) {
		(*ret)->to = to;
		h->work = *ret;
		return 0;
	}
	close(from);
	close(to);
	return -ENOMEM;
}

static void begin(struct steps_host *h)
{
	const struct view_row *row = view_named(h->core, without_user(h->name));
	if (!remote_is_host(h->name)) {
		steps_fail(h, "not a host's name: letters, digits and ._-:@, and no - in front");
		return;
	}
	if (row && view_shown(row) == VIEW_UP) {
		h->id = row->id;
		steps_look(h);
		return;
	}
	if (h->core->place && !h->core->invite) {
		steps_fail(h, "the cluster's authority is not on this host: hosts are added there");
		return;
	}
	struct way *w;
	int r = h->work ? 0 : open_way(h, &w);
	if (r) {
		steps_fail(h, "can't connect: %s", strerror(-r));
	} else if (!h->core->place) {
		start_or_fail(h->work, NULL);
	} else {
		w = h->work;
		w->invited = h->begun = true;
		h->waiting = "its token is not made yet";
		h->core->invite(h->core, on_token, w);
	}
}

static void release(struct steps_host *h)
{
	if (h->work)
		end(h->work);
}

static const struct steps_type adding = {.last = "joined", .until = VIEW_UP, .begin = begin, .release = release};

int joining_run(struct call *c)
{
	const struct joining *j = c->core->joining;
	const char *const *words;
	if (!j || !c->core->processes)
		return call_fail(c, "unavailable", "this daemon starts no programs");
	if (!*j->masters)
		return call_fail(c, "unavailable", "no other host can reach this daemon: see listen, or masters in add { }, "
						   "in vigia.conf");
	int r = joining_words(*c->args[1].text ? c->args[1].text : j->command, "h", "m", "v", &words);
	if (r)
		return call_fail(c, "bad-argument", "host.add: command must be 1 to %d words, with %%h, %%m, %%v or %%%%",
		    WORDS_MAX);
	free((void *)(uintptr_t)words);
	return steps_run(c, &adding, c->args[0].words, c->args[2].number);
}

/* --- start and end --- */

static void free_options(struct joining *j)
{
	free(j->command);
	free(j->masters);
	free(j->program);
}

int joining_configure(struct core *core, const struct joining_options *o)
{
	struct joining *j = core->joining ? core->joining : calloc(1, sizeof *j);
	if (!j)
		return -ENOMEM;
	core->joining = j;
	free_options(j);
	j->command = strdup(o->command);
	j->masters = strdup(o->masters);
	j->program = strdup(o->program);
	return j->command && j->masters && j->program ? 0 : -ENOMEM;
}

void joining_stop(struct core *core)
{
	for (struct way *w = core->joining ? core->joining->ways : NULL, *next; w; w = next) {
		next = w->next;
		struct steps_host *h = w->host;
		if (h)
			steps_fail(h, "this daemon ends");
		if (!w->key.pid) {
			if (w->run)
				system_type_of(processes_system(core))->forget(w->run);
			if (w->invited)
				w->host = NULL; /* its token may still come */
			else
				way_free(w);
		} else {
			end(w);
		}
	}
}

void joining_release(struct core *core)
{
	if (core->joining)
		free_options(core->joining);
	free(core->joining);
	core->joining = NULL;
}
