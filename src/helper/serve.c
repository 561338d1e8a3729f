/* SPDX-License-Identifier: Apache-2.0 */
#include "helper/serve.h"

#include <errno.h>
#include <unistd.h>

#include "helper/entries.h"
#include "helper/program.h"
#include "keeper/children.h"
#include "keeper/orphans.h"
#include "keeper/sys.h"
#include "keeper/talk.h"
#include "os/clock.h"

enum { SOCKET, SIGNALS, FIRST_STDERR, N_POLLED = FIRST_STDERR + HELPER_PROGRAMS_MAX };
enum { TERM_MS = 2000, KILL_MS = 1000, RETRY_MS = 100, STEP_MS = 10, PIPE_READS = 17 /* empty a full pipe */ };

struct server {
	int socket; /* -1: closed, nobody listens any more */
	int signals;
	bool reap_again;
	const struct entries *entries;
	struct program programs[HELPER_PROGRAMS_MAX];
};

static struct program *find_id(struct server *s, uint32_t id)
{
	for (struct program *p = s->programs; p < s->programs + HELPER_PROGRAMS_MAX; p++)
		if (p->pid && p->id == id)
			return p;
	return NULL;
}

static struct program *find_pid(struct server *s, pid_t pid)
{
	for (struct program *p = s->programs; p < s->programs + HELPER_PROGRAMS_MAX; p++)
		if (p->pid == pid)
			return p;
	return NULL;
}

/* Without a socket nobody listens any more. */
static int tell(struct server *s, uint32_t kind, uint32_t id, int result, const struct program *ended)
{
	return s->socket < 0 ? 0 : answer(s->socket, kind, id, result, ended ? ended->tail : "", ended ? ended->tail_size : 0);
}

/* What it leaves of its process group ends with it. */
static int end_program(void *data, pid_t pid, int status)
{
	struct server *s = data;
	struct program *p = find_pid(s, pid);

	if (!p)
		return 0;
	program_signal(p, SIGKILL);
	for (int i = 0; i < PIPE_READS && p->err_fd >= 0; i++)
		program_read_stderr(p);
	int r = tell(s, HELPER_MSG_ENDED, p->id, status, p);
	program_release(p);
	return r;
}

static int reap_children(struct server *s)
{
	int r = children_reap(end_program, s);

	s->reap_again = r == -EAGAIN;
	return s->reap_again ? 0 : r;
}

static int start(struct server *s, const struct helper_request *q, int fd)
{
	struct program *p = find_pid(s, 0);

	if (!p || find_id(s, q->id))
		return p ? -EEXIST : -EAGAIN;
	int dir = entries_find(s->entries, q->entry);
	if (dir < 0)
		return dir;
	int r = program_start(p, q->id, dir, q->entry, fd);
	return r < 0 ? r : p->pid;
}

static int handle(struct server *s, const struct helper_request *q, const struct request *came)
{
	if (came->size != sizeof *q || came->fds_n != (q->kind == HELPER_MSG_START))
		return -EPROTO;
	if (q->kind == HELPER_MSG_START)
		return tell(s, HELPER_MSG_STARTED, q->id, start(s, q, came->fds[0]), NULL);
	if (q->kind != HELPER_MSG_SIGNAL || (q->signal != SIGTERM && q->signal != SIGKILL))
		return -EPROTO;
	struct program *p = find_id(s, q->id);
	if (p)
		program_signal(p, q->signal);
	return 0;
}

static int receive(struct server *s)
{
	struct helper_request q = {0};
	struct request came;
	int r = request_take(s->socket, &q, sizeof q, &came);

	if (r > 0)
		r = handle(s, &q, &came);
	request_release(&came);
	return r;
}

static int take_signal(struct server *s)
{
	int r = children_take_signal(s->signals);

	return r < 0 ? r : reap_children(s);
}

static int turn(struct server *s, int ms)
{
	struct pollfd fds[N_POLLED];

	fds[SOCKET] = (struct pollfd){.fd = s->socket, .events = POLLIN};
	fds[SIGNALS] = (struct pollfd){.fd = s->signals, .events = POLLIN};
	for (int i = 0; i < HELPER_PROGRAMS_MAX; i++) {
		const struct program *p = &s->programs[i];
		fds[FIRST_STDERR + i] = (struct pollfd){.fd = p->pid ? p->err_fd : -1, .events = POLLIN};
	}
	if (sys.poll(fds, N_POLLED, s->reap_again && (ms < 0 || ms > RETRY_MS) ? RETRY_MS : ms) < 0)
		return errno == EINTR ? 0 : -errno;
	for (int i = 0; i < HELPER_PROGRAMS_MAX; i++)
		if (fds[FIRST_STDERR + i].revents)
			program_read_stderr(&s->programs[i]);
	int r = s->reap_again ? reap_children(s) : 0;
	if (r == 0 && fds[SIGNALS].revents)
		r = take_signal(s);
	if (r == 0 && fds[SOCKET].revents)
		r = receive(s);
	return r;
}

/* Signals every program and waits until there is none. */
static void end_programs(struct server *s, int signal, int ms)
{
	int64_t deadline_ns = clock_mono_ns() + ms * 1000000LL;
	bool any = true;

	for (struct program *p = s->programs; p < s->programs + HELPER_PROGRAMS_MAX; p++)
		if (p->pid)
			program_signal(p, signal);
	while (any && clock_mono_ns() < deadline_ns) {
		s->reap_again = true;
		turn(s, STEP_MS);
		any = false;
		for (int i = 0; i < HELPER_PROGRAMS_MAX; i++)
			any |= s->programs[i].pid != 0;
	}
}

static void end_all(struct server *s)
{
	close(s->socket);
	s->socket = -1;
	end_programs(s, SIGTERM, TERM_MS);
	end_programs(s, SIGKILL, KILL_MS);
	/* Daemons that programs made: no group of ours, but as their subreaper we are their parent now. */
	orphans_end();
}

int serve(int socket, const void *entries)
{
	static struct server server;
	struct server *s = &server;

	*s = (struct server){.socket = socket, .signals = children_signals(), .entries = entries};
	int r = s->signals < 0 ? s->signals : tell(s, HELPER_MSG_READY, 0, 0, NULL);
	while (r == 0)
		r = turn(s, -1);
	end_all(s);
	close(s->signals);
	return r == -EPIPE || r == -ECONNRESET ? 0 : r;
}
