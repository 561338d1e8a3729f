/* SPDX-License-Identifier: Apache-2.0 */
#include "os/helper_wire.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/clock.h"
#include "os/root_wire.h"

enum { READY_MS = 5000, END_MS = 4000, SENT_MAX = ROOT_START_FDS /* at once */ };

struct helper {
	int fd;
	pid_t pid; /* 0: it is not ours */
};

/* --- starting it ------------------------------------------------------------------------------------------------ */

static char **arguments(const char *program, const char *const dirs[], size_t n)
{
	char **argv = calloc(2 * n + 2, sizeof *argv);

	if (!argv)
		return NULL;
	argv[0] = (char *)program;
	for (size_t i = 0; i < n; i++) {
		argv[1 + 2 * i] = (char *)"--entries";
		argv[2 + 2 * i] = (char *)dirs[i];
	}
	return argv;
}

/* In the child. stderr stays: it is where the helper says why it can't run. */
_Noreturn static void become(int fd, char **argv)
{
	int null = open("/dev/null", O_RDWR);

	if (fcntl(2, F_GETFD) < 0)
		dup2(null, 2);
	/* Out of the way first: any of 0 to 3 may be free, and so be what the kernel gave for either. */
	fd = fcntl(fd, F_DUPFD, HELPER_FD + 1);
	dup2(null, 0);
	dup2(null, 1);
	dup2(fd, HELPER_FD);
	close_range(HELPER_FD + 1, ~0U, 0);
	execv(argv[0], argv);
	struct helper_answer failed = {.kind = HELPER_MSG_READY, .result = -errno};
	send(HELPER_FD, &failed, sizeof failed, MSG_NOSIGNAL);
	_exit(127);
}

static int start_process(char **argv, struct helper *ret)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	pid_t pid = fork();
	if (pid == 0)
		become(pair[1], argv);
	int r = pid < 0 ? -errno : 0;
	close(pair[1]);
	if (r < 0) {
		close(pair[0]);
		return r;
	}
	fcntl(pair[0], F_SETFL, O_NONBLOCK);
	ret->fd = pair[0];
	ret->pid = pid;
	return 0;
}

static int receive(int fd, struct helper_answer *ret)
{
	struct helper_answer a;
	ssize_t n = recv(fd, &a, sizeof a, 0);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n != sizeof a || a.tail_size > sizeof a.tail)
		return -EPIPE;
	*ret = a;
	return 1;
}

static int await_ready(const struct helper *h, const char *program, struct buf *why)
{
	struct pollfd p = {.fd = h->fd, .events = POLLIN};
	struct helper_answer a = {0};
	int64_t deadline_ns = clock_mono_ns() + READY_MS * 1000000LL;
	int r = 0;

	/* One that is lost has a successor. */
	while (r == 0 || (r > 0 && a.kind == HELPER_MSG_LOST)) {
		int64_t left_ms = (deadline_ns - clock_mono_ns()) / 1000000;
		if (left_ms <= 0 || (poll(&p, 1, (int)left_ms) < 0 && errno != EINTR))
			r = left_ms <= 0 ? -ETIMEDOUT : -errno;
		else
			r = receive(h->fd, &a);
	}
	if (r > 0)
		r = a.kind == HELPER_MSG_READY ? a.result : -EPROTO;
	if (r < 0 && why) {
		buf_putf(why, "%s: ", program);
		if (a.tail_size)
			buf_put(why, a.tail, a.tail_size);
		else
			buf_puts(why, strerror(-r));
	}
	return r < 0 ? r : 0;
}

int helper_open(const char *program, const char *const dirs[], size_t n, struct helper **ret_helper, struct buf *why)
{
	struct helper *h = calloc(1, sizeof *h);
	char **argv = arguments(program, dirs, n);
	int r = h && argv ? start_process(argv, h) : -ENOMEM;

	free(argv);
	if (r < 0) {
		if (why)
			buf_putf(why, "%s: %s", program, strerror(-r));
		free(h);
		return r;
	}
	r = await_ready(h, program, why);
	if (r < 0) {
		helper_close(h);
		return r;
	}
	*ret_helper = h;
	return 0;
}

/* --- or connecting to one --------------------------------------------------------------------------------------- */

static int connect_to_root(int fd, const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	struct ucred who;
	socklen_t n = sizeof who;

	if (strlen(path) >= sizeof a.sun_path)
		return -ENAMETOOLONG;
	strcpy(a.sun_path, path);
	if (connect(fd, (struct sockaddr *)&a, sizeof a) < 0 || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &n) < 0)
		return -errno;
	return who.uid == 0 ? 0 : -EPERM;
}

int helper_connect(const char *path, struct helper **ret_helper)
{
	struct helper *h = calloc(1, sizeof *h);
	int fd = h ? socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0) : -1;
	int r = fd < 0 ? -errno : connect_to_root(fd, path);

	if (r < 0) {
		if (fd >= 0)
			close(fd);
		free(h);
		return r;
	}
	h->fd = fd;
	*ret_helper = h;
	return 0;
}

/* --- its end ---------------------------------------------------------------------------------------------------- */

/* It ends by itself once the socket is closed; the kill is for one that hangs. */
static void await_end(pid_t pid)
{
	for (int ms = 0; ms < END_MS; ms += 5) {
		pid_t r = waitpid(pid, NULL, WNOHANG);
		if (r == pid || (r < 0 && errno != EINTR))
			return;
		poll(NULL, 0, 5);
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

void helper_close(struct helper *h)
{
	if (!h)
		return;
	close(h->fd);
	if (h->pid)
		await_end(h->pid);
	free(h);
}

int helper_lost(struct helper *h)
{
	int status = 0;

	close(h->fd);
	if (h->pid)
		kill(h->pid, SIGKILL);
	while (h->pid && waitpid(h->pid, &status, 0) < 0 && errno == EINTR)
		;
	free(h);
	return status;
}

int helper_fd(const struct helper *h)
{
	return h->fd;
}

pid_t helper_pid(const struct helper *h)
{
	return h->pid;
}

/* --- requests and notices --------------------------------------------------------------------------------------- */

int helper_send(const struct helper *h, const void *bytes, size_t size, const int fds[], size_t n)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(SENT_MAX * sizeof *fds)] = {0};
	struct iovec iov = {.iov_base = (void *)bytes, .iov_len = size};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};

	if (n) {
		message.msg_control = control;
		message.msg_controllen = CMSG_SPACE(n * sizeof *fds);
		*CMSG_FIRSTHDR(&message) = (struct cmsghdr){CMSG_LEN(n * sizeof *fds), SOL_SOCKET, SCM_RIGHTS};
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&message)), fds, n * sizeof *fds);
	}
	if (sendmsg(h->fd, &message, MSG_NOSIGNAL) == (ssize_t)size)
		return 0;
	return errno == ECONNRESET || errno == ENOTCONN ? -EPIPE : -errno;
}

int helper_start(struct helper *h, uint32_t id, const char *entry, int fd)
{
	struct helper_request request = {.kind = HELPER_MSG_START, .id = id};
	size_t n = strlen(entry);

	if (n == 0 || n > HELPER_ENTRY_MAX || strspn(entry, "abcdefghijklmnopqrstuvwxyz0123456789-") != n || fd < 0)
		return -EINVAL;
	memcpy(request.entry, entry, n);
	return helper_send(h, &request, sizeof request, &fd, 1);
}

int helper_signal(struct helper *h, uint32_t id, int signal)
{
	struct helper_request request = {.kind = HELPER_MSG_SIGNAL, .id = id, .signal = signal};

	if (signal != SIGTERM && signal != SIGKILL)
		return -EINVAL;
	return helper_send(h, &request, sizeof request, NULL, 0);
}

int helper_read(struct helper *h, struct helper_notice *ret_notice)
{
	static const enum helper_notice_kind kinds[] = {[HELPER_MSG_READY] = HELPER_READY,
	    [HELPER_MSG_STARTED] = HELPER_STARTED, [HELPER_MSG_ENDED] = HELPER_ENDED, [HELPER_MSG_LOST] = HELPER_LOST,
	    [HELPER_MSG_SIGNALLED] = HELPER_SIGNALLED};
	struct helper_answer a;
	int r = receive(h->fd, &a);

	if (r <= 0)
		return r;
	if (a.kind >= sizeof kinds / sizeof *kinds || !kinds[a.kind] || (a.kind == HELPER_MSG_READY && a.result < 0))
		return -EPIPE;
	struct helper_notice notice = {.kind = kinds[a.kind], .id = a.id, .result = a.result};
	memcpy(notice.tail, a.tail, a.tail_size);
	*ret_notice = notice;
	return 1;
}
