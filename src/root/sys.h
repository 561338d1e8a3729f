/* SPDX-License-Identifier: Apache-2.0 */
/* The system calls that can fail, in a table that the fault test replaces one at a time. */
#ifndef VIGIA_ROOT_SYS_H
#define VIGIA_ROOT_SYS_H

#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>

struct sys {
	int (*openat)(int dir, const char *name, int flags, ...);
	int (*fstat)(int fd, struct stat *st);
	int (*fstatat)(int dir, const char *name, struct stat *st, int flags);
	int (*socket)(int family, int type, int protocol);
	int (*bind)(int fd, const struct sockaddr *address, socklen_t n);
	int (*lchown)(const char *path, uid_t uid, gid_t gid);
	int (*listen)(int fd, int backlog);
	int (*accept4)(int fd, struct sockaddr *address, socklen_t *n, int flags);
	int (*getsockopt)(int fd, int level, int option, void *value, socklen_t *n);
	int (*getpeername)(int fd, struct sockaddr *address, socklen_t *n);
	int (*sigprocmask)(int how, const sigset_t *set, sigset_t *old);
	int (*ppoll)(struct pollfd *fds, nfds_t n, const struct timespec *most, const sigset_t *mask);
	ssize_t (*recvmsg)(int fd, struct msghdr *message, int flags);
	ssize_t (*send)(int fd, const void *bytes, size_t n, int flags);
	pid_t (*fork)(void);
	pid_t (*waitpid)(pid_t pid, int *status, int options);
	struct passwd *(*getpwuid)(uid_t uid);
	int (*initgroups)(const char *user, gid_t gid);
	int (*setresgid)(gid_t real, gid_t effective, gid_t saved);
	int (*setresuid)(uid_t real, uid_t effective, uid_t saved);
	int (*prctl)(int option, ...);
	pid_t (*setsid)(void);
	int (*dup2)(int from, int to);
	int (*chdir)(const char *path);
	int (*close_range)(unsigned from, unsigned to, int flags);
	int (*execveat)(int dir, const char *name, char *const argv[], char *const envp[], int flags);
	int (*pidfd_send_signal)(int fd, int signal);
};

extern struct sys sys;

#endif
