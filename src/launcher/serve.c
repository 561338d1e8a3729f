/* SPDX-License-Identifier: Apache-2.0 */
#include "launcher/serve.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#include "keeper/children.h"
#include "keeper/sys.h"
#include "keeper/talk.h"
#include "launcher/order.h"
#include "os/launch_wire.h"

enum { RETRY_MS = 100 };

struct launcher {
	int socket, signals;
	bool reap_again;
	struct order order; /* with its words in ... */
	char bytes[LAUNCH_BYTES_MAX];
};

/* --- the new process -------------------------------------------------------------------------------------------- */

/* What did not come along is /dev/null, which our own stdin is: so that goes last. */
static bool arrange_fds(const struct order *o, const int given[])
{
	int from[3] = {0};

	for (int i = 0; i < 3; i++)
		if (o->given >> i & 1)
			from[i] = *given++;
	return sys.dup2(from[2], 2) == 2 && sys.dup2(from[1], 1) == 1 && sys.dup2(from[0], 0) == 0;
}

static bool enter(const char *directory)
{
	const char *home = getenv("HOME");

	return *directory ? sys.chdir(directory) == 0 : (home && *home == '/' && sys.chdir(home) == 0) || sys.chdir("/") == 0;
}

_Noreturn static void become(struct order *o, const int fds[])
{
	struct launch_failure f = {.at = LAUNCH_PREPARE};
	bool ok = sys.setsid() > 0 && children_reset_signals() == 0;

	for (char **e = o->environment; *e && ok; e++)
		ok = putenv(*e) == 0;
	if (ok && arrange_fds(o, fds + 1) && close_range(3, ~0U, CLOSE_RANGE_CLOEXEC) == 0) {
		f.at = LAUNCH_DIRECTORY;
		if (enter(o->directory)) {
			f.at = LAUNCH_PROGRAM;
			sys.execvp(o->words[0], o->words);
		}
	}
	f.error = errno;
	_exit(write(fds[0], &f, sizeof f) < 0 ? 126 : 127);
}

/* --- vigiad's requests ------------------------------------------------------------------------------------------ */

static int launch(struct launcher *l, const struct request *q)
{
	struct order *o = &l->order;
	int r = order_read(l->bytes, q->size, o);

	if (r < 0 || q->fds_n != 1 + (size_t)__builtin_popcount(o->given))
		return -EPROTO;
	pid_t pid = sys.fork();
	if (pid == 0)
		become(o, q->fds);
	return answer(l->socket, HELPER_MSG_STARTED, o->id, pid < 0 ? -errno : pid, "", 0);
}

static int receive(struct launcher *l)
{
	struct request q;
	int r = request_take(l->socket, l->bytes, sizeof l->bytes, &q);

	if (r > 0)
		r = launch(l, &q);
	request_release(&q);
	return r;
}

/* Whoever is told that it has ended finds no zombie of it. Its number can't be one that we tell of anew before that. */
static int reap(struct launcher *l)
{
	int status, r = 0;
	pid_t pid = 0;

	while (r == 0 && (pid = sys.waitpid(-1, &status, WNOHANG)) > 0)
		r = answer(l->socket, HELPER_MSG_ENDED, (uint32_t)pid, status, "", 0);
	l->reap_again = pid < 0 && errno != ECHILD;
	return r;
}

static int turn(struct launcher *l)
{
	struct pollfd fds[] = {{.fd = l->signals, .events = POLLIN}, {.fd = l->socket, .events = POLLIN}};
	int r = 0;

	if (sys.poll(fds, 2, l->reap_again ? RETRY_MS : -1) < 0)
		return errno == EINTR ? 0 : -errno;
	if (fds[0].revents)
		r = children_take_signal(l->signals);
	if (r == 0 && (fds[0].revents || l->reap_again))
		r = reap(l);
	if (r == 0 && fds[1].revents)
		r = receive(l);
	return r;
}

int launcher_serve(int socket, const void *nothing)
{
	static struct launcher launcher;
	struct launcher *l = &launcher;

	l->socket = socket;
	l->signals = children_signals();
	int r = l->signals < 0 ? l->signals : answer(socket, HELPER_MSG_READY, 0, 0, "", 0);
	while (r == 0)
		r = turn(l);
	return r == -EPIPE || r == -ECONNRESET ? 0 : r;
}
