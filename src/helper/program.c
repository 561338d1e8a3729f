/* SPDX-License-Identifier: Apache-2.0 */
#include "helper/program.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "keeper/children.h"
#include "keeper/orphans.h"
#include "keeper/sys.h"

/* What monitors need to find their things; all else stays behind. */
static char **environment(void)
{
	static const char *const kept[] = {"PATH", "LANG", "LC_ALL", "TZ", "HOME", "USER", "XDG_RUNTIME_DIR",
	    "XDG_STATE_HOME", "XDG_CONFIG_HOME"};
	static char *envp[sizeof kept / sizeof *kept + 1];
	size_t n = 0;

	for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
		const char *value = getenv(kept[i]);
		if (value && asprintf(&envp[n], "%s=%s", kept[i], value) >= 0)
			n++;
	}
	envp[n] = NULL;
	return envp;
}

/* A script's interpreter opens it by way of the directory's descriptor, which then must stay open: the kernel says
 * ENOENT when it would not. Others get no descriptor of ours. */
static void execute(int dir, const char *name)
{
	char *argv[] = {(char *)name, NULL};
	char **envp = environment();

	sys.execveat(dir, name, argv, envp, AT_SYMLINK_NOFOLLOW);
	if (errno == ENOENT && fcntl(dir, F_SETFD, 0) == 0)
		sys.execveat(dir, name, argv, envp, AT_SYMLINK_NOFOLLOW);
}

_Noreturn static void become(int dir, const char *name, int fd, int err, int status, pid_t parent)
{
	bool ok = orphans_prevent(parent) && sys.setpgid(0, 0) == 0 && children_reset_signals() == 0 && sys.dup2(fd, 0) == 0 &&
	    sys.dup2(fd, 1) == 1 && sys.dup2(err, 2) == 2 && sys.chdir("/") == 0 &&
	    close_range(3, ~0U, CLOSE_RANGE_CLOEXEC) == 0;

	if (ok)
		execute(dir, name);
	int error = errno;
	_exit(write(status, &error, sizeof error) < 0 ? 126 : 127);
}

/* The pipe closes without a word when the program was executed. */
static int await_exec(int status)
{
	int error = 0;
	ssize_t n = sys.read(status, &error, sizeof error);

	return n < 0 ? -errno : n == 0 ? 0 : -error;
}

static int fork_program(int dir, const char *name, int fd, int err)
{
	int status[2];

	if (sys.pipe2(status, O_CLOEXEC) < 0)
		return -errno;
	pid_t parent = getpid(), pid = sys.fork();
	int r = pid < 0 ? -errno : 0;
	if (pid == 0)
		become(dir, name, fd, err, status[1], parent);
	close(status[1]);
	if (pid > 0 && (r = await_exec(status[0])) < 0) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	close(status[0]);
	return r < 0 ? r : pid;
}

int program_start(struct program *p, uint32_t id, int dir, const char *name, int fd)
{
	int err[2];

	if (sys.pipe2(err, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	/* Non-blocking on our side only: the program shall not meet EAGAIN on its stderr. */
	fcntl(err[1], F_SETFL, 0);
	int r = fork_program(dir, name, fd, err[1]);
	close(err[1]);
	if (r < 0)
		close(err[0]);
	else
		*p = (struct program){.pid = r, .id = id, .err_fd = err[0]};
	return r < 0 ? r : 0;
}

static void keep_tail(struct program *p, const char *bytes, size_t n)
{
	if (n > sizeof p->tail) {
		bytes += n - sizeof p->tail;
		n = sizeof p->tail;
	}
	size_t old = p->tail_size + n > sizeof p->tail ? sizeof p->tail - n : p->tail_size;
	memmove(p->tail, p->tail + p->tail_size - old, old);
	memcpy(p->tail + old, bytes, n);
	p->tail_size = old + n;
}

void program_read_stderr(struct program *p)
{
	char bytes[4096];

	if (p->err_fd < 0)
		return;
	ssize_t n = sys.read(p->err_fd, bytes, sizeof bytes);
	if (n > 0) {
		keep_tail(p, bytes, n);
	} else if (n == 0 || errno != EAGAIN) {
		close(p->err_fd);
		p->err_fd = -1;
	}
}

void program_signal(const struct program *p, int signal)
{
	sys.kill(-p->pid, signal);
}

void program_release(struct program *p)
{
	if (p->err_fd >= 0)
		close(p->err_fd);
	*p = (struct program){.err_fd = -1};
}
