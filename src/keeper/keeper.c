/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/keeper.h"

#include <errno.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "keeper/orphans.h"
#include "keeper/sys.h"
#include "keeper/talk.h"
#include "os/clock.h"

enum { BACKOFF_FIRST_MS = 200, BACKOFF_MOST_MS = 60000 };
static const int64_t SETTLED_NS = 60000000000;

int keeper_backoff_ms(int last_ms, int64_t lived_ns)
{
	if (!last_ms || lived_ns > SETTLED_NS)
		return BACKOFF_FIRST_MS;
	return last_ms * 2 < BACKOFF_MOST_MS ? last_ms * 2 : BACKOFF_MOST_MS;
}

/* For a process that ends what it started: of that nothing gets away, and nothing gains rights. */
static bool hold_on(const struct trade *t)
{
	return !t->ends_programs ||
	    (sys.prctl(PR_SET_CHILD_SUBREAPER, 1UL) == 0 && sys.prctl(PR_SET_NO_NEW_PRIVS, 1UL, 0UL, 0UL, 0UL) == 0);
}

/* Signals to a whole terminal or machine are vigiad's and the worker's to handle. Blocked and not ignored: one that
 * comes to a worker just forked waits until it listens. */
static int become_keeper(const struct trade *t)
{
	sigset_t all;

	sigfillset(&all);
	bool ok = sys.prctl(PR_SET_NAME, "vigia-keeper") == 0 && hold_on(t) && sys.sigprocmask(SIG_SETMASK, &all, NULL) == 0;
	return ok ? 0 : -errno;
}

_Noreturn static void work(int socket, const struct trade *t, pid_t keeper)
{
	bool ok = sys.prctl(PR_SET_NAME, t->name) == 0 && orphans_prevent(keeper) && hold_on(t) &&
	    t->serve(socket, t->what) == 0;

	_exit(ok ? 0 : 1);
}

static pid_t fork_worker(int socket, const struct trade *t)
{
	pid_t keeper = getpid(), pid = sys.fork();

	if (pid == 0)
		work(socket, t, keeper);
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

static int see_off(int socket, const struct trade *t, pid_t worker)
{
	int status, r = await_end(worker, &status);

	/* It ends by itself, with 0, for one reason only. */
	if (r < 0 || status == 0)
		return r < 0 ? r : -EPIPE;
	/* When vigiad hears of it, no program of this worker is left: none can live beside its successor's. */
	if (t->ends_programs)
		orphans_end();
	return answer(socket, HELPER_MSG_LOST, 0, status, "", 0);
}

static int pause_ms(int socket, int ms)
{
	struct pollfd hangup = {.fd = socket};
	int n = sys.poll(&hangup, 1, ms);

	return n < 0 ? -errno : n > 0 ? -EPIPE : request_drop_all(socket);
}

int keeper_run(int socket, const struct trade *trade)
{
	int backoff_ms = 0, r = become_keeper(trade);
	pid_t worker = r < 0 ? r : fork_worker(socket, trade);

	/* The first must come; a later one that can't be forked is tried again as one that died. */
	r = worker < 0 ? worker : 0;
	while (r == 0) {
		int64_t since_ns = clock_mono_ns();
		if (worker > 0)
			r = see_off(socket, trade, worker);
		backoff_ms = keeper_backoff_ms(backoff_ms, clock_mono_ns() - since_ns);
		if (r == 0)
			r = pause_ms(socket, backoff_ms);
		if (r == 0)
			worker = fork_worker(socket, trade);
	}
	return r == -EPIPE || r == -ECONNRESET ? 0 : r;
}
