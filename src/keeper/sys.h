/* SPDX-License-Identifier: Apache-2.0 */
/* The system calls that can fail, in a table that the fault test replaces one at a time. */
#ifndef VIGIA_KEEPER_SYS_H
#define VIGIA_KEEPER_SYS_H

#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

struct sys {
	int (*open)(const char *path, int flags, ...);
	int (*fstat)(int fd, struct stat *st);
	int (*fstatat)(int dir, const char *name, struct stat *st, int flags);
	int (*pipe2)(int fds[2], int flags);
	pid_t (*fork)(void);
	int (*prctl)(int option, ...);
	int (*setpgid)(pid_t pid, pid_t group);
	int (*dup2)(int from, int to);
	int (*chdir)(const char *path);
	int (*execveat)(int dir, const char *name, char *const argv[], char *const envp[], int flags);
	int (*sigprocmask)(int how, const sigset_t *set, sigset_t *old);
	int (*signalfd)(int fd, const sigset_t *mask, int flags);
	int (*poll)(struct pollfd *fds, nfds_t n, int ms);
	ssize_t (*recvmsg)(int fd, struct msghdr *message, int flags);
	ssize_t (*send)(int fd, const void *bytes, size_t n, int flags);
	ssize_t (*read)(int fd, void *bytes, size_t n);
	int (*waitid)(idtype_t type, id_t id, siginfo_t *info, int options);
	pid_t (*waitpid)(pid_t pid, int *status, int options);
	int (*kill)(pid_t pid, int signal);
	pid_t (*setsid)(void);
	int (*execvp)(const char *file, char *const argv[]);
};

extern struct sys sys;

#endif
