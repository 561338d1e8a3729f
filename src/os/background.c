/* SPDX-License-Identifier: Apache-2.0 */
#include "os/background.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* All of it; who does not take it can't be helped. */
static void copy(int from, int to)
{
	char bytes[4096];
	ssize_t n;

	while ((n = read(from, bytes, sizeof bytes)) > 0)
		for (ssize_t at = 0, w; at < n; at += w)
			if ((w = write(to, bytes + at, (size_t)(n - at))) <= 0)
				return;
}

static _Noreturn void wait_for(pid_t child, int ready, int said)
{
	char first;
	int status = 0;

	if (read(ready, &first, 1) == 1) {
		if (write(STDOUT_FILENO, &first, 1) == 1)
			copy(ready, STDOUT_FILENO);
		_exit(0);
	}
	waitpid(child, &status, 0);
	lseek(said, 0, SEEK_SET);
	copy(said, STDERR_FILENO);
	_exit(WIFEXITED(status) && WEXITSTATUS(status) ? WEXITSTATUS(status) : 1);
}

static void become_background(int said)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	setsid();
	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	/* Not a pipe: whom it starts keeps it, and may write to it when nobody reads any more. */
	dup2(said, STDERR_FILENO);
	close(null);
	close(said);
}

int background_begin(int *ret_fd)
{
	int ready[2], said = memfd_create("said", MFD_CLOEXEC);

	if (said < 0)
		return -errno;
	if (pipe2(ready, O_CLOEXEC) < 0) {
		close(said);
		return -errno;
	}
	fcntl(said, F_SETFL, O_APPEND);
	pid_t child = fork();
	if (child > 0) {
		close(ready[1]);
		wait_for(child, ready[0], said);
	}
	int error = child < 0 ? -errno : 0;
	close(ready[0]);
	if (!error)
		become_background(said);
	else
		close(ready[1]);
	if (!error)
		*ret_fd = ready[1];
	return error;
}

void background_ready(int fd, const char *line)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	ssize_t n = write(fd, line, strlen(line));

	(void)n; /* the parent may have been killed */
	close(fd);
	dup2(null, STDERR_FILENO);
	close(null);
}
