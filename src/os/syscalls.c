/* SPDX-License-Identifier: Apache-2.0 */
#include "os/syscalls.h"

#include <errno.h>
#include <linux/sockios.h>
#include <sched.h>
#include <seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define CALL(name) SCMP_SYS(name)
#define SIZE(table) (sizeof(table) / sizeof *(table))

/* s390 has its first two arguments the other way round. */
#if defined(__s390__)
#define CLONE_FLAGS_AT 1
#else
#define CLONE_FLAGS_AT 0
#endif

enum {
	NEW_NAMESPACES = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET,
	PROTECTION_WX = PROT_WRITE | PROT_EXEC
};
#define NEGATIVE (1u << 31)

/* clang-format off */
static const int allowed[] = {
	/* files */
	CALL(read), CALL(readv), CALL(pread64), CALL(preadv), CALL(preadv2), CALL(write), CALL(writev), CALL(pwrite64),
	CALL(pwritev), CALL(pwritev2), CALL(open), CALL(openat), CALL(close), CALL(close_range), CALL(lseek), CALL(_llseek),
	CALL(stat), CALL(stat64), CALL(lstat), CALL(lstat64), CALL(fstat), CALL(fstat64), CALL(newfstatat), CALL(fstatat64),
	CALL(statx), CALL(statfs), CALL(statfs64), CALL(fstatfs), CALL(fstatfs64), CALL(access), CALL(faccessat),
	CALL(faccessat2), CALL(readlink), CALL(readlinkat), CALL(getdents), CALL(getdents64), CALL(getcwd), CALL(fcntl),
	CALL(fcntl64), CALL(flock), CALL(fsync), CALL(fdatasync), CALL(sync_file_range), CALL(ftruncate), CALL(ftruncate64),
	CALL(fallocate), CALL(fadvise64), CALL(fadvise64_64), CALL(unlink), CALL(unlinkat), CALL(rename), CALL(renameat),
	CALL(renameat2), CALL(link), CALL(linkat), CALL(mkdir), CALL(mkdirat), CALL(rmdir), CALL(umask), CALL(chmod),
	CALL(fchmod), CALL(fchmodat), CALL(dup), CALL(dup2), CALL(dup3), CALL(pipe), CALL(pipe2),
	/* sockets, and waiting for them */
	CALL(bind), CALL(connect), CALL(listen), CALL(accept), CALL(accept4), CALL(getsockname), CALL(getpeername),
	CALL(getsockopt), CALL(setsockopt), CALL(send), CALL(sendto), CALL(sendmsg), CALL(sendmmsg), CALL(recv),
	CALL(recvfrom), CALL(recvmsg), CALL(recvmmsg), CALL(recvmmsg_time64), CALL(shutdown), CALL(poll), CALL(ppoll),
	CALL(ppoll_time64), CALL(select), CALL(_newselect), CALL(pselect6), CALL(pselect6_time64), CALL(epoll_create),
	CALL(epoll_create1), CALL(epoll_ctl), CALL(epoll_wait), CALL(epoll_pwait), CALL(epoll_pwait2), CALL(eventfd),
	CALL(eventfd2), CALL(timerfd_create), CALL(timerfd_settime), CALL(timerfd_settime64), CALL(timerfd_gettime),
	/* memory and threads */
	CALL(munmap), CALL(mremap), CALL(madvise), CALL(msync), CALL(brk), CALL(mlock), CALL(mlock2), CALL(munlock),
	CALL(membarrier), CALL(futex), CALL(futex_time64), CALL(set_robust_list), CALL(get_robust_list),
	CALL(set_tid_address), CALL(rseq), CALL(gettid), CALL(sched_yield), CALL(sched_getaffinity), CALL(sched_getparam),
	CALL(sched_getscheduler), CALL(sched_get_priority_max), CALL(sched_get_priority_min), CALL(getcpu), CALL(exit),
	CALL(exit_group), CALL(restart_syscall), CALL(set_thread_area), CALL(get_thread_area),
	/* signals, its own and those it is asked to send; waiting for the keepers */
	CALL(rt_sigaction), CALL(sigaction), CALL(rt_sigprocmask), CALL(sigprocmask), CALL(rt_sigreturn), CALL(sigreturn),
	CALL(rt_sigpending), CALL(rt_sigtimedwait), CALL(rt_sigtimedwait_time64), CALL(sigaltstack), CALL(pidfd_open),
	CALL(pidfd_send_signal), CALL(wait4), CALL(waitpid), CALL(waitid),
	/* clocks, and who and where it is */
	CALL(clock_gettime), CALL(clock_gettime64), CALL(clock_getres), CALL(clock_getres_time64), CALL(clock_nanosleep),
	CALL(clock_nanosleep_time64), CALL(nanosleep), CALL(gettimeofday), CALL(time), CALL(times), CALL(getpid),
	CALL(getppid), CALL(getpgrp), CALL(getpgid), CALL(getsid), CALL(getuid), CALL(getuid32), CALL(geteuid),
	CALL(geteuid32), CALL(getgid), CALL(getgid32), CALL(getegid), CALL(getegid32), CALL(getresuid), CALL(getresuid32),
	CALL(getresgid), CALL(getresgid32), CALL(getgroups), CALL(getgroups32), CALL(getrlimit), CALL(ugetrlimit),
	CALL(getrusage), CALL(sysinfo), CALL(uname), CALL(getrandom), CALL(capget),
};

static const int deadly[] = {
	/* another program, another process */
	CALL(execve), CALL(execveat), CALL(fork), CALL(vfork), CALL(unshare), CALL(setns), CALL(personality),
	/* another's memory and descriptors */
	CALL(ptrace), CALL(process_vm_readv), CALL(process_vm_writev), CALL(process_madvise), CALL(pidfd_getfd), CALL(kcmp),
	/* other rights */
	CALL(setuid), CALL(setuid32), CALL(setgid), CALL(setgid32), CALL(setreuid), CALL(setreuid32), CALL(setregid),
	CALL(setregid32), CALL(setresuid), CALL(setresuid32), CALL(setresgid), CALL(setresgid32), CALL(setfsuid),
	CALL(setfsuid32), CALL(setfsgid), CALL(setfsgid32), CALL(setgroups), CALL(setgroups32), CALL(capset), CALL(keyctl),
	CALL(add_key), CALL(request_key), CALL(chroot), CALL(pivot_root),
	/* the file system from below */
	CALL(mount), CALL(umount), CALL(umount2), CALL(move_mount), CALL(open_tree), CALL(fsopen), CALL(fsconfig),
	CALL(fsmount), CALL(fspick), CALL(mount_setattr), CALL(open_by_handle_at), CALL(mknod), CALL(mknodat),
	CALL(quotactl), CALL(swapon), CALL(swapoff),
	/* the kernel: its code, its ways in that have been the weakest, its clock, its name, its end */
	CALL(init_module), CALL(finit_module), CALL(delete_module), CALL(kexec_load), CALL(kexec_file_load), CALL(bpf),
	CALL(perf_event_open), CALL(userfaultfd), CALL(modify_ldt), CALL(iopl), CALL(ioperm), CALL(syslog), CALL(acct),
	CALL(settimeofday), CALL(stime), CALL(clock_settime), CALL(clock_settime64), CALL(sethostname),
	CALL(setdomainname), CALL(vhangup), CALL(reboot),
};

#define EQUALS(at, value) SCMP_CMP(at, SCMP_CMP_EQ, (value))
#define BITS(at, mask, value) SCMP_CMP(at, SCMP_CMP_MASKED_EQ, (mask), (value))

/* Each line is one way in which a call is let through. */
static const struct {
	int call;
	unsigned n;
	struct scmp_arg_cmp checks[2];
} allowed_if[] = {
	{CALL(clone), 1, {BITS(CLONE_FLAGS_AT, CLONE_THREAD | NEW_NAMESPACES, CLONE_THREAD)}},
	/* Memory that is written is never run, and what is there to run was mapped so from a file. */
	{CALL(mmap), 1, {BITS(2, PROTECTION_WX, 0)}},
	{CALL(mmap), 1, {BITS(2, PROTECTION_WX, PROT_WRITE)}},
	{CALL(mmap), 1, {BITS(2, PROTECTION_WX, PROT_EXEC)}},
	{CALL(mmap2), 1, {BITS(2, PROTECTION_WX, 0)}},
	{CALL(mmap2), 1, {BITS(2, PROTECTION_WX, PROT_WRITE)}},
	{CALL(mmap2), 1, {BITS(2, PROTECTION_WX, PROT_EXEC)}},
	{CALL(mprotect), 1, {BITS(2, PROT_EXEC, 0)}},
	{CALL(socket), 1, {EQUALS(0, AF_UNIX)}},
	{CALL(socket), 1, {EQUALS(0, AF_INET)}},
	{CALL(socket), 1, {EQUALS(0, AF_INET6)}},
	{CALL(socket), 2, {EQUALS(0, AF_NETLINK), EQUALS(2, 0)}}, /* NETLINK_ROUTE: this host's addresses */
	{CALL(socketpair), 1, {EQUALS(0, AF_UNIX)}},
	{CALL(ioctl), 1, {EQUALS(1, FIONREAD)}},
	{CALL(ioctl), 1, {EQUALS(1, FIONBIO)}},
	{CALL(ioctl), 1, {EQUALS(1, FIOCLEX)}},
	{CALL(ioctl), 1, {EQUALS(1, FIONCLEX)}},
	{CALL(ioctl), 1, {EQUALS(1, SIOCOUTQ)}},
	{CALL(ioctl), 1, {EQUALS(1, TCGETS)}},
	{CALL(ioctl), 1, {EQUALS(1, SIOCGIFINDEX)}}, /* fe80::1%eth0 */
	{CALL(ioctl), 1, {EQUALS(1, SIOCGIFNAME)}},
	{CALL(prctl), 1, {EQUALS(0, PR_SET_NAME)}},
	{CALL(prctl), 1, {EQUALS(0, PR_GET_NAME)}},
	{CALL(prlimit64), 2, {EQUALS(0, 0), EQUALS(2, 0)}}, /* reading its own */
	{CALL(kill), 1, {BITS(0, NEGATIVE, 0)}}, /* not a group, and not all */
};
/* clang-format on */

static int add(scmp_filter_ctx filter, uint32_t action, const int calls[], size_t n)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++)
		r = seccomp_rule_add(filter, action, calls[i], 0);
	return r;
}

static int add_conditions(scmp_filter_ctx filter)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < SIZE(allowed_if); i++)
		r = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, allowed_if[i].call, allowed_if[i].n, allowed_if[i].checks);
	if (r == 0)
		r = seccomp_rule_add(filter, SCMP_ACT_KILL_PROCESS, CALL(clone), 1, BITS(CLONE_FLAGS_AT, CLONE_THREAD, 0));
	if (r == 0) /* abort() */
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, CALL(tgkill), 1, EQUALS(0, (scmp_datum_t)getpid()));
	return r;
}

int syscalls_confine(void)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
	int r = filter ? 0 : -ENOMEM;

	if (r == 0)
		r = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	if (r == 0)
		r = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
	if (r == 0) /* a tree in place of a list */
		r = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	if (r == 0)
		r = seccomp_attr_set(filter, SCMP_FLTATR_API_SYSRAWRC, 1);
	if (r == 0)
		r = add(filter, SCMP_ACT_ALLOW, allowed, SIZE(allowed));
	if (r == 0)
		r = add(filter, SCMP_ACT_KILL_PROCESS, deadly, SIZE(deadly));
	if (r == 0)
		r = add_conditions(filter);
	if (r == 0)
		r = seccomp_load(filter);
	if (filter)
		seccomp_release(filter);
	return r;
}
