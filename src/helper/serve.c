/* SPDX-License-Identifier: Apache-2.0 */
#include "helper/serve.h"

#include <errno.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "helper/orphans.h"
#include "helper/program.h"
#include "helper/sys.h"
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

static int answer(struct server *s, uint32_t kind, uint32_t id, int result, const struct program *ended)
{
	struct helper_answer a = {.kind = kind, .id = id, .result = result};

	if (s->socket < 0)
		return 0;
	if (ended) {
		a.tail_size = ended->tail_size;
		memcpy(a.tail, ended->tail, ended->tail_size);
	}
	return sys.send(s->socket, &a, sizeof a, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static int wait_status(const siginfo_t *info)
{
	int signal = info->si_status | (info->si_code == CLD_DUMPED ? WCOREFLAG : 0);

	return info->si_code == CLD_EXITED ? W_EXITCODE(info->si_status, 0) : signal;
}

/* What it leaves of its process group ends with it. */
static int end_program(struct server *s, struct program *p, const siginfo_t *info)
{
	program_signal(p, SIGKILL);
	for (int i = 0; i < PIPE_READS && p->err_fd >= 0; i++)
		program_read_stderr(p);
	int r = answer(s, HELPER_MSG_ENDED, p->id, wait_status(info), p);
	program_release(p);
	return r;
}

/* Each child that ended, ours or one that we inherited as subreaper. It is looked at, and its group signalled, before
 * it is reaped: until then its number is nobody else's. */
static int reap_children(struct server *s)
{
	int r = 0;

	s->reap_again = false;
	while (r == 0) {
		siginfo_t info = {0}, gone;
		if (sys.waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0) {
			s->reap_again = errno != ECHILD;
			break;
		}
		if (!info.si_pid)
			break;
		struct program *p = find_pid(s, info.si_pid);
		r = p ? end_program(s, p, &info) : 0;
		waitid(P_PID, info.si_pid, &gone, WEXITED | WNOHANG);
	}
	return r;
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

static int handle(struct server *s, const struct helper_request *q, int fd)
{
	if (q->kind == HELPER_MSG_START && fd >= 0)
		return answer(s, HELPER_MSG_STARTED, q->id, start(s, q, fd), NULL);
	if (q->kind != HELPER_MSG_SIGNAL || fd >= 0 || (q->signal != SIGTERM && q->signal != SIGKILL))
		return -EPROTO;
	struct program *p = find_id(s, q->id);
	if (p)
		program_signal(p, q->signal);
	return 0;
}

/* The descriptor that came along; -1: none. */
static int take_fd(struct msghdr *message)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(message);
	int fd = -1;

	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
		memcpy(&fd, CMSG_DATA(c), sizeof fd);
	return fd;
}

/* 1: *ret, and in *ret_fd the descriptor that came along or -1, which is the caller's; 0: nothing now. */
static int take_request(int socket, struct helper_request *ret, int *ret_fd)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
	struct iovec bytes = {.iov_base = ret, .iov_len = sizeof *ret};
	/* CMSG_LEN: no room for a second descriptor, which the kernel then drops, with MSG_CTRUNC. */
	struct msghdr message = {
	    .msg_iov = &bytes, .msg_iovlen = 1, .msg_control = control, .msg_controllen = CMSG_LEN(sizeof(int))};

	ssize_t n = sys.recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	*ret_fd = take_fd(&message);
	bool whole = n == sizeof *ret && !(message.msg_flags & (MSG_TRUNC | MSG_CTRUNC));
	return n == 0 ? -EPIPE : whole ? 1 : -EPROTO;
}

static int receive(struct server *s)
{
	struct helper_request q;
	int fd = -1, r = take_request(s->socket, &q, &fd);

	if (r > 0)
		r = handle(s, &q, fd);
	if (fd >= 0)
		close(fd);
	return r;
}

int serve_nobody(int socket)
{
	struct helper_request q;
	int r;

	do {
		int fd = -1;
		r = take_request(socket, &q, &fd);
		if (fd >= 0)
			close(fd);
	} while (r > 0 || r == -EPROTO);
	return r;
}

static int open_signals(struct server *s)
{
	sigset_t heard;

	sigemptyset(&heard);
	sigaddset(&heard, SIGCHLD);
	sigaddset(&heard, SIGTERM);
	/* A terminal's Ctrl-C is vigiad's to handle: it closes the socket when it is done. */
	signal(SIGINT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	if (sys.sigprocmask(SIG_SETMASK, &heard, NULL) < 0)
		return -errno;
	s->signals = sys.signalfd(-1, &heard, SFD_CLOEXEC | SFD_NONBLOCK);
	return s->signals < 0 ? -errno : 0;
}

static int take_signal(struct server *s)
{
	struct signalfd_siginfo info;

	if (sys.read(s->signals, &info, sizeof info) != sizeof info)
		return 0;
	return info.ssi_signo == SIGTERM ? -EINTR : reap_children(s);
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

int serve(int socket, const struct entries *entries)
{
	static struct server server;
	struct server *s = &server;

	*s = (struct server){.socket = socket, .signals = -1, .entries = entries};
	int r = open_signals(s);
	if (r == 0)
		r = answer(s, HELPER_MSG_READY, 0, 0, NULL);
	while (r == 0)
		r = turn(s, -1);
	end_all(s);
	close(s->signals);
	return r == -EPIPE || r == -ECONNRESET ? 0 : r;
}
