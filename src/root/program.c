/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/launch_wire.h"
#include "root/root.h"
#include "root/sys.h"

/* All that it gets, and nothing of ours: of whom it runs as. */
static char **environment(const struct passwd *pw)
{
	static char settings[4][PATH_MAX + 16], path[] = "PATH=/usr/local/bin:/usr/bin:/bin";
	static char *envp[] = {path, settings[0], settings[1], settings[2], settings[3], NULL};

	snprintf(settings[0], sizeof *settings, "HOME=%s", pw->pw_dir);
	snprintf(settings[1], sizeof *settings, "SHELL=%s", pw->pw_shell);
	snprintf(settings[2], sizeof *settings, "USER=%s", pw->pw_name);
	snprintf(settings[3], sizeof *settings, "LOGNAME=%s", pw->pw_name);
	return envp;
}

static bool arrange(const int fds[3])
{
	sigset_t none;

	for (int s = 1; s < NSIG; s++)
		signal(s, SIG_DFL);
	sigemptyset(&none);
	return sys.sigprocmask(SIG_SETMASK, &none, NULL) == 0 && sys.setsid() > 0 && sys.dup2(fds[0], 0) == 0 &&
	    sys.dup2(fds[1], 1) == 1 && sys.dup2(fds[2], 2) == 2;
}

/* NULL: errno. The last word is that there is no way back. */
static const struct passwd *become(uid_t uid)
{
	const struct passwd *pw = sys.getpwuid(uid);

	if (!pw || pw->pw_uid != uid || sys.initgroups(pw->pw_name, pw->pw_gid) < 0 ||
	    sys.setresgid(pw->pw_gid, pw->pw_gid, pw->pw_gid) < 0 || sys.setresuid(uid, uid, uid) < 0 ||
	    sys.prctl(PR_SET_NO_NEW_PRIVS, 1UL, 0UL, 0UL, 0UL) < 0)
		return NULL;
	errno = EPERM;
	return sys.setresuid(0, 0, 0) < 0 ? pw : NULL;
}

/* A script's interpreter opens it by way of the directory's descriptor, which then must stay open: the kernel says ENOENT when it
 * would not. */
static void execute(int dir, const char *name, const struct passwd *pw)
{
	char *argv[] = {(char *)name, NULL}, **envp = environment(pw);

	umask(022);
	if ((sys.chdir(pw->pw_dir) < 0 && sys.chdir("/") < 0) || sys.close_range(3, ~0U, CLOSE_RANGE_CLOEXEC) < 0)
		return;
	sys.execveat(dir, name, argv, envp, AT_SYMLINK_NOFOLLOW);
	if (errno == ENOENT && fcntl(dir, F_SETFD, 0) == 0)
		sys.execveat(dir, name, argv, envp, AT_SYMLINK_NOFOLLOW);
}

/* Where it fails, with errno. */
static enum launch_step run(const char *entries, const struct root_request *q, const int stdio[3])
{
	if (!arrange(stdio))
		return LAUNCH_PREPARE;
	int dir = entries_open(entries), r = dir < 0 ? dir : entries_check(dir, q->entry);
	errno = -r;
	if (r < 0)
		return LAUNCH_ENTRY;
	const struct passwd *pw = become(q->uid);
	if (!pw)
		return LAUNCH_USER;
	execute(dir, q->entry, pw);
	return LAUNCH_PROGRAM;
}

int program_start(const char *entries, const struct root_request *q, const int fds[ROOT_START_FDS])
{
	pid_t pid = sys.fork();

	if (pid == 0) {
		struct launch_failure f = {.at = run(entries, q, fds + ROOT_STDIO)};
		f.error = errno ? errno : ENOENT; /* no such user */
		_exit(write(fds[ROOT_STATUS], &f, sizeof f) < 0 ? 126 : 127);
	}
	return pid < 0 ? -errno : pid;
}

/* Its real uid is nobody's, so that the user can't stop it while we wait. */
static int send_as(int pidfd, uid_t uid, int signal)
{
	bool ok = sys.setresuid(UID_NOONE, uid, UID_NOONE) == 0 && sys.pidfd_send_signal(pidfd, signal) == 0;

	return ok ? 0 : errno;
}

int program_signal(int pidfd, const struct root_request *q)
{
	int status = 0;
	pid_t pid = sys.fork();

	if (pid == 0)
		_exit(send_as(pidfd, q->uid, q->signal));
	if (pid < 0 || sys.waitpid(pid, &status, 0) < 0)
		return -errno;
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -EIO;
}
