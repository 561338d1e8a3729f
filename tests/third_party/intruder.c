/* SPDX-License-Identifier: Apache-2.0 */
/* A module that does what somebody would who has broken into the daemon that loaded it, and answers what came of it. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vigia/vigia.h>

static int done(long r)
{
	return r < 0 ? errno : 0;
}

static int do_execve(const char *path)
{
	char *const words[] = {(char *)path, NULL};
	return done(execv(path, words));
}

static void *execve_there(void *path)
{
	do_execve(path);
	return NULL;
}

static int do_execve_in_a_thread(const char *path)
{
	pthread_t thread;
	return pthread_create(&thread, NULL, execve_there, (void *)path) || pthread_join(thread, NULL);
}

static int do_fork(const char *path)
{
	pid_t pid = fork();
	if (!pid)
		_exit(0);
	return done(waitpid(pid, NULL, 0));
}

static int do_system(const char *path)
{
	return system("true");
}

static int do_ptrace(const char *path)
{
	return done(ptrace(PTRACE_ATTACH, 2147483647, 0, 0));
}

static int do_mount(const char *path)
{
	return done(mount(path, path, "none", MS_REMOUNT, NULL));
}

static int do_setuid(const char *path)
{
	return done(syscall(SYS_setresuid, -1, -1, -1));
}

static int do_open(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC, 0600), r = done(fd);
	if (fd >= 0)
		close(fd);
	return r;
}

static int do_read(const char *path)
{
	return do_open(path, O_RDONLY);
}

static int do_write(const char *path)
{
	return do_open(path, O_WRONLY | O_CREAT);
}

static int do_code(const char *path)
{
	void *code = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return code == MAP_FAILED ? errno : munmap(code, 4096);
}

static const struct {
	const char *name;
	int (*act)(const char *path);
} tries[] = {{"execve", do_execve}, {"execve-in-a-thread", do_execve_in_a_thread}, {"fork", do_fork}, {"system", do_system},
    {"ptrace", do_ptrace}, {"mount", do_mount}, {"setuid", do_setuid}, {"read", do_read}, {"write", do_write}, {"code", do_code}};

static int run_try(struct vigia_called *c)
{
	const char *what = vigia_get_text(vigia_called_query(c), "what", "");
	size_t i = 0;
	while (i < sizeof tries / sizeof *tries && strcmp(tries[i].name, what))
		i++;
	if (i == sizeof tries / sizeof *tries)
		return vigia_fail(c, "bad-request", "nothing is named %s", what);
	int r = tries[i].act(vigia_get_text(vigia_called_query(c), "path", "/no/such/program"));
	struct vigia_message *m = vigia_answer(c, "intruder");
	if (m)
		vigia_set_text(m, "result", r ? strerror(r) : "done");
	vigia_send(c, m);
	return VIGIA_DONE;
}

static const struct vigia_operation operations[] = {
    {"try", "does it", .arguments = {{"what", VIGIA_TEXT, "what", .required = true}, {"path", VIGIA_TEXT, "where"}}, .run = run_try},
    {NULL},
};

static const struct vigia_service intruder = {"intruder", "is not to be here", operations};

VIGIA_OFFER(intruder, NULL)
