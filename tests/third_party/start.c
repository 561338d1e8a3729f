/* SPDX-License-Identifier: Apache-2.0 */
/* A stranger's program that wants a daemon, wherever it comes from, and looks what that has done to it. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <vigia/vigia.h>

static volatile sig_atomic_t signals;

static void on_signal(int number)
{
	signals++;
}

int main(void)
{
	struct vigia *v;
	struct vigia_error error = {0};
	signal(SIGCHLD, on_signal);
	if (vigia_open_or_start(&v, &error)) {
		printf("%s\n", error.text);
		return 1;
	}
	int children = waitpid(-1, NULL, WNOHANG | __WALL) < 0 && errno == ECHILD ? 0 : 1;
	printf("%s signals=%d children=%d\n", vigia_host(v), (int)signals, children);
	vigia_close(v);
	return 0;
}
