/* SPDX-License-Identifier: Apache-2.0 */
#include "helper/keeper.h"

#include <errno.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "helper/orphans.h"
#include "helper/serve.h"
#include "helper/sys.h"
#include "os/clock.h"
#include "os/helper_wire.h"

enum { BACKOFF_FIRST_MS = 200, BACKOFF_MOST_MS = 60000 };
static const int64_t SETTLED_NS = 60000000000;

int keeper_backoff_ms(int last_ms, int64_t lived_ns)
{
	if (!last_ms || lived_ns > SETTLED_NS)
		return BACKOFF_FIRST_MS;
	return last_ms * 2 < BACKOFF_MOST_MS ? last_ms * 2 : BACKOFF_MOST_MS;
}

/* Signals to a whole terminal or machine are vigiad's and the worker's to handle. Blocked and not ignored: one that
 * comes to a worker just forked waits until it listens. */
static int become_keeper(void)
{
	sigset_t all;

	sigfillset(&all);
	if (sys.prctl(PR_SET_NAME, "vigia-keeper") < 0 || sys.prctl(PR_SET_CHILD_SUBREAPER, 1UL) < 0 ||
	    sys.prctl(PR_SET_NO_NEW_PRIVS, 1UL, 0UL, 0UL, 0UL) < 0 || sys.sigprocmask(SIG_SETMASK, &all, NULL) < 0)
		return -errno;
	return 0;
}

_Noreturn static void work(int socket, const struct entries *entries, pid_t keeper)
{
	bool ok = sys.prctl(PR_SET_NAME, "vigia-helper") == 0 && orphans_prevent(keeper) &&
	    sys.prctl(PR_SET_CHILD_SUBREAPER, 1UL) == 0 && serve(socket, entries) == 0;

	_exit(ok ? 0 : 1);
}

static pid_t fork_worker(int socket, const struct entries *entries)
{
	pid_t keeper = getpid(), pid = sys.fork();

	if (pid == 0)
		work(socket, entries, keeper);
	return pid < 0 ? -errno : pid;
}

static int await_end(pid_t worker, int *ret_status)
{
	pid_t pid;

	/* Others: what was slow to end when we killed it. */
	while ((pid = sys.waitpid(-1, ret_status, 0)) != worker)
		if (pid < 0)
			return -errno;
	return 0;
}

/* When vigiad hears of it, no program of this worker is left: none can live beside its successor's. */
static int tell_lost(int socket, int status)
{
	struct helper_answer a = {.kind = HELPER_MSG_LOST, .result = status};

	orphans_end();
	return sys.send(socket, &a, sizeof a, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static int see_off(int socket, pid_t worker)
{
	int status, r = await_end(worker, &status);

	/* It ends by itself, with 0, for one reason only. */
	return r < 0 ? r : status == 0 ? -EPIPE : tell_lost(socket, status);
}

static int pause_ms(int socket, int ms)
{
	struct pollfd hangup = {.fd = socket};
	int n = sys.poll(&hangup, 1, ms);

	return n < 0 ? -errno : n > 0 ? -EPIPE : serve_nobody(socket);
}

int keeper_run(int socket, const struct entries *entries)
{
	int backoff_ms = 0, r = become_keeper();
	pid_t worker = r < 0 ? r : fork_worker(socket, entries);

	/* The first must come; a later one that can't be forked is tried again as one that died. */
	r = worker < 0 ? worker : 0;
	while (r == 0) {
		int64_t since_ns = clock_mono_ns();
		if (worker > 0)
			r = see_off(socket, worker);
		backoff_ms = keeper_backoff_ms(backoff_ms, clock_mono_ns() - since_ns);
		if (r == 0)
			r = pause_ms(socket, backoff_ms);
		if (r == 0)
			worker = fork_worker(socket, entries);
	}
	return r == -EPIPE || r == -ECONNRESET ? 0 : r;
}
