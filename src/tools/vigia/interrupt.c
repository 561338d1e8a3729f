/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vigia/interrupt.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

static volatile sig_atomic_t came, leaves;
static int fd = -1;

static void on_signal(int signal)
{
	static const uint64_t one = 1;
	int before = errno;
	came = 1;
	leaves |= signal != SIGINT;
	if (fd >= 0 && write(fd, &one, sizeof one) < 0)
		came = 1; /* it is readable already */
	errno = before;
}

void interrupt_catch(void)
{
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART}, hangup;
	if (fd < 0)
		fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	if (!sigaction(SIGHUP, NULL, &hangup) && hangup.sa_handler != SIG_IGN)
		sigaction(SIGHUP, &action, NULL);
}

bool interrupt_came(void)
{
	return came;
}

bool interrupt_leaves(void)
{
	return leaves;
}

void interrupt_clear(void)
{
	uint64_t n;
	came = leaves;
	while (!leaves && fd >= 0 && read(fd, &n, sizeof n) > 0)
		;
}

int interrupt_fd(void)
{
	return fd;
}
