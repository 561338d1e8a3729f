/* SPDX-License-Identifier: Apache-2.0 */
/* Raced: one process is signalled while it ends and another gets its number, which is never signalled. A thousand times, with
 * VIGIA_SOAK 10,000. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/dice_test.h"
#include "os/clock.h"
#include "os/pidfd.h"

enum { BATCH = 50, TRIES = 200, TICK_MS = 25, SPINS = 20000 };

static struct {
	int proc;
	const struct process_key *key; /* NULL: wait */
	int spins;
	bool over, end;
	int result;
} race = {.proc = -1};

static pid_t start_sleeper(void)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	return pid;
}

static int end_of(pid_t pid, int signal)
{
	int status;

	assert_int_equal(kill(pid, signal), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

/* Asks the kernel for it before each try: others start processes, too. 0: they were faster. */
static pid_t start_with(pid_t wanted, int last_pid)
{
	char text[16];
	int n = snprintf(text, sizeof text, "%d", (int)wanted - 1);

	for (int i = 0; i < TRIES; i++) {
		assert_int_equal(pwrite(last_pid, text, (size_t)n, 0), n);
		pid_t pid = start_sleeper();
		if (pid == wanted)
			return pid;
		end_of(pid, SIGKILL);
	}
	return 0;
}

static void *signaller(void *data)
{
	while (!__atomic_load_n(&race.end, __ATOMIC_ACQUIRE)) {
		const struct process_key *key = __atomic_exchange_n(&race.key, NULL, __ATOMIC_ACQ_REL);
		if (!key) {
			sched_yield();
			continue;
		}
		for (volatile int i = 0; i < race.spins; i++)
			;
		race.result = pidfd_signal(race.proc, key, SIGKILL);
		__atomic_store_n(&race.over, true, __ATOMIC_RELEASE);
	}
	return NULL;
}

/* False: nobody got its number. */
static bool run_once(const struct process_key *old, int last_pid)
{
	race.over = false;
	race.spins = (int)dice_below(SPINS);
	__atomic_store_n(&race.key, old, __ATOMIC_RELEASE);
	end_of(old->pid, SIGKILL);
	pid_t pid = start_with(old->pid, last_pid);
	while (!__atomic_load_n(&race.over, __ATOMIC_ACQUIRE))
		sched_yield();
	assert_true(race.result == 0 || race.result == -ESRCH);
	if (pid)
		assert_int_equal(WTERMSIG(end_of(pid, SIGTERM)), SIGTERM);
	return pid != 0;
}

/* Some are made at once, so that the kernel's clock goes on before they are followed. */
static int run_batch(int last_pid)
{
	static const struct process_units none;
	struct process_key keys[BATCH];
	int64_t made_ns;
	int n = 0;

	for (int i = 0; i < BATCH; i++) {
		struct process p;
		pid_t pid = start_sleeper();
		assert_int_equal(process_read(race.proc, pid, &none, &p), 0);
		keys[i] = p.key;
	}
	made_ns = clock_mono_ns();
	while (clock_mono_ns() < made_ns + TICK_MS * 1000000LL)
		sched_yield();
	for (int i = 0; i < BATCH; i++)
		n += run_once(&keys[i], last_pid);
	return n;
}

static void who_has_the_number_now_is_never_signalled(void **state)
{
	int last_pid = open("/proc/sys/kernel/ns_last_pid", O_RDWR | O_CLOEXEC), most = getenv("VIGIA_SOAK") ? 10000 : 1000, n = 0;
	pthread_t thread;

	if (last_pid < 0 || geteuid())
		skip();
	race.proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(pthread_create(&thread, NULL, signaller, NULL), 0);
	for (int i = 0; n < most && i < 2 * most / BATCH; i++)
		n += run_batch(last_pid);
	__atomic_store_n(&race.end, true, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	assert_true(n >= most);
	close(race.proc);
	close(last_pid);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(who_has_the_number_now_is_never_signalled)};

	dice_begin();
	return cmocka_run_group_tests_name("os-pidfd", tests, NULL, NULL);
}
