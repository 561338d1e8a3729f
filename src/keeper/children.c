/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/children.h"

#include <errno.h>
#include <sys/signalfd.h>

#include "keeper/sys.h"

int children_signals(void)
{
	sigset_t heard;

	sigemptyset(&heard);
	sigaddset(&heard, SIGCHLD);
	sigaddset(&heard, SIGTERM);
	signal(SIGINT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	int fd = sys.sigprocmask(SIG_SETMASK, &heard, NULL);
	if (fd == 0)
		fd = sys.signalfd(-1, &heard, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd < 0 ? -errno : fd;
}

int children_take_signal(int signals)
{
	struct signalfd_siginfo info;
	bool term = sys.read(signals, &info, sizeof info) == sizeof info && info.ssi_signo == SIGTERM;

	return term ? -EINTR : 0;
}

int children_reset_signals(void)
{
	sigset_t none;

	for (int s = 1; s < NSIG; s++)
		signal(s, SIG_DFL);
	sigemptyset(&none);
	return sys.sigprocmask(SIG_SETMASK, &none, NULL);
}

static int wait_status(const siginfo_t *info)
{
	int signal = info->si_status | (info->si_code == CLD_DUMPED ? WCOREFLAG : 0);

	return info->si_code == CLD_EXITED ? W_EXITCODE(info->si_status, 0) : signal;
}

int children_reap(int (*ended)(void *data, pid_t pid, int status), void *data)
{
	int r = 0;

	while (r == 0) {
		siginfo_t info = {0}, gone;
		if (sys.waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0)
			return errno == ECHILD ? 0 : -EAGAIN;
		if (!info.si_pid)
			break;
		r = ended(data, info.si_pid, wait_status(&info));
		waitid(P_PID, info.si_pid, &gone, WEXITED | WNOHANG);
	}
	return r;
}
