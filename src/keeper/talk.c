/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/talk.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "keeper/sys.h"

static void take_fds(struct msghdr *message, struct request *ret)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(message);

	ret->fds_n = 0;
	if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
		return;
	ret->fds_n = (c->cmsg_len - CMSG_LEN(0)) / sizeof *ret->fds;
	memcpy(ret->fds, CMSG_DATA(c), ret->fds_n * sizeof *ret->fds);
}

int request_take(int socket, void *bytes, size_t size, struct request *ret)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof ret->fds)];
	struct iovec iov = {.iov_base = bytes, .iov_len = size};
	/* What there is no room for the kernel drops, with MSG_CTRUNC. */
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};

	ret->fds_n = 0;
	ssize_t n = sys.recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	take_fds(&message, ret);
	ret->size = (size_t)n;
	bool whole = !(message.msg_flags & (MSG_TRUNC | MSG_CTRUNC));
	return n == 0 ? -EPIPE : whole ? 1 : -EPROTO;
}

void request_release(struct request *q)
{
	while (q->fds_n)
		close(q->fds[--q->fds_n]);
}

int request_drop_all(int socket)
{
	struct request q;
	char byte;
	int r;

	do {
		r = request_take(socket, &byte, sizeof byte, &q);
		request_release(&q);
	} while (r > 0 || r == -EPROTO);
	return r;
}

int answer(int socket, uint32_t kind, uint32_t id, int result, const char *tail, uint32_t tail_size)
{
	struct helper_answer a = {.kind = kind, .id = id, .result = result, .tail_size = tail_size};

	memcpy(a.tail, tail, tail_size);
	return sys.send(socket, &a, sizeof a, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int answer_failure(int socket, int error, const char *format, const char *what)
{
	char why[HELPER_TAIL_MAX];
	int n = snprintf(why, sizeof why, format, what, strerror(-error));

	if (answer(socket, HELPER_MSG_READY, 0, error, why, n < (int)sizeof why ? n : (int)sizeof why - 1) < 0)
		fprintf(stderr, "%s: %s\n", program_invocation_short_name, why);
	return 1;
}
