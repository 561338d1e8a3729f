/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/helper_wire.h"
#include "root/root.h"
#include "root/sys.h"

enum { LISTENER, FIRST_PEER, PEERS_MAX = 8, POLLED = FIRST_PEER + PEERS_MAX, RETRY_NS = 100000000 };

struct server {
	const struct root *root;
	sigset_t before;
	struct pollfd fds[POLLED]; /* -1: a free place */
};

struct message {
	char bytes[sizeof(struct root_request) + 1];
	size_t size, fds_n;
	int fds[ROOT_START_FDS];
};

/* -EPIPE also where it can't be said at once: a vigiad that does not listen is left. */
static int answer(int fd, uint32_t kind, uint32_t id, int result)
{
	struct helper_answer a = {.kind = kind, .id = id, .result = result};

	return sys.send(fd, &a, sizeof a, MSG_NOSIGNAL) < 0 ? -EPIPE : 0;
}

static void leave(struct pollfd *peer)
{
	close(peer->fd);
	peer->fd = -1;
}

/* With more descriptors than there is room for (CMSG_SPACE() may have room for one more) the kernel says MSG_CTRUNC. */
static int receive(int fd, struct message *ret)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof ret->fds)];
	struct iovec iov = {.iov_base = ret->bytes, .iov_len = sizeof ret->bytes};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = CMSG_LEN(sizeof ret->fds)};
	ssize_t n = sys.recvmsg(fd, &m, MSG_CMSG_CLOEXEC);

	ret->fds_n = 0;
	if (n < 0)
		return -errno;
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
		ret->fds_n = (c->cmsg_len - CMSG_LEN(0)) / sizeof *ret->fds;
		memcpy(ret->fds, CMSG_DATA(c), ret->fds_n * sizeof *ret->fds);
	}
	ret->size = (size_t)n;
	return n == 0 ? -EPIPE : m.msg_flags & (MSG_TRUNC | MSG_CTRUNC) ? -EPROTO : 0;
}

static int do_it(const struct root *root, const struct root_request *q, const struct message *m)
{
	if (!request_may_be(q->uid, root->lowest) || !door_proves(m->fds[ROOT_PROOF], q->uid))
		return -EACCES;
	return q->kind == ROOT_MSG_START ? program_start(root->entries, q, m->fds) : program_signal(m->fds[ROOT_PIDFD], q);
}

static int handle(const struct root *root, int fd, const struct message *m)
{
	struct root_request q;
	int r = request_read(m->bytes, m->size, m->fds_n, &q);

	if (r == -EPROTO)
		return r;
	r = r < 0 ? r : do_it(root, &q, m);
	bool starts = q.kind == ROOT_MSG_START;
	if (r == -EACCES || (starts && r >= 0))
		fprintf(stderr, "vigia-root: %s %.31s for uid %u: %s\n", starts ? "start" : "signal", starts ? q.entry : "", q.uid,
		    r < 0 ? "refused" : "done");
	return answer(fd, starts ? HELPER_MSG_STARTED : HELPER_MSG_SIGNALLED, q.id, r);
}

static void hear(const struct root *root, struct pollfd *peer)
{
	struct message m;
	int r = receive(peer->fd, &m);

	if (r == 0)
		r = handle(root, peer->fd, &m);
	while (m.fds_n)
		close(m.fds[--m.fds_n]);
	if (r < 0 && r != -EAGAIN)
		leave(peer);
}

static void admit(struct server *s)
{
	struct pollfd *place = s->fds + FIRST_PEER;
	int fd = door_admit(s->fds[LISTENER].fd, s->root->user);

	while (place < s->fds + POLLED && place->fd >= 0)
		place++;
	if (fd >= 0 && place < s->fds + POLLED)
		place->fd = fd;
	else if (fd >= 0)
		close(fd);
}

/* Every vigiad is told: it knows its own. False: try again later. */
static bool reap(struct server *s)
{
	int status;
	pid_t pid;

	while ((pid = sys.waitpid(-1, &status, WNOHANG)) > 0)
		for (struct pollfd *p = s->fds + FIRST_PEER; p < s->fds + POLLED; p++)
			if (p->fd >= 0 && answer(p->fd, HELPER_MSG_ENDED, (uint32_t)pid, status) < 0)
				leave(p);
	return pid == 0 || errno == ECHILD;
}

static int turn(struct server *s)
{
	static const struct timespec retry = {.tv_nsec = RETRY_NS};

	/* A child that ends after this ends the wait. */
	if (sys.ppoll(s->fds, POLLED, reap(s) ? NULL : &retry, &s->before) < 0)
		return errno == EINTR ? 0 : -errno;
	for (struct pollfd *p = s->fds + FIRST_PEER; p < s->fds + POLLED; p++)
		if (p->fd >= 0 && p->revents)
			hear(s->root, p);
	if (s->fds[LISTENER].revents)
		admit(s);
	return 0;
}

static void on_child(int number)
{
}

int root_serve(int listener, const struct root *root)
{
	struct server s = {.root = root, .fds = {{.fd = listener, .events = POLLIN}}};
	sigset_t child;

	for (struct pollfd *p = s.fds + FIRST_PEER; p < s.fds + POLLED; p++)
		*p = (struct pollfd){.fd = -1, .events = POLLIN};
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	signal(SIGCHLD, on_child);
	int r = sys.sigprocmask(SIG_BLOCK, &child, &s.before) < 0 ? -errno : 0;
	while (r == 0)
		r = turn(&s);
	return r;
}
