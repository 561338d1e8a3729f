/* SPDX-License-Identifier: Apache-2.0 */
/* Each rule in a child of its own. Only in the release build: in a sanitized one there is no sandbox. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netdb.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "os/sandbox.h"

#define SIZE(a) (sizeof(a) / sizeof *(a))

extern char **environ;
static char own[] = "/tmp/vigia-sandbox-XXXXXX", outside[] = "/tmp/vigia-outside-XXXXXX", readable[] = "/tmp/vigia-read-XXXXXX";
static int held = -1; /* of a file outside, open before */
static struct sandbox in_force;
static int abi; /* landlock's, of this kernel */

/* --- in a child ----------------------------------------------------------------------------------------------------- */

static int wrong(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	return 1;
}

/* The wait status of a child that does this in the sandbox. */
static int confined(int (*act)(void))
{
	const struct place places[] = {{own, PLACE_CHANGE}, {readable, PLACE_READ}};
	int status;

	fflush(NULL);
	pid_t pid = fork();
	if (pid == 0) {
		setrlimit(RLIMIT_CORE, &(struct rlimit){0});
		alarm(20);
		_exit(sandbox_enter(places, SIZE(places), &in_force) ? 99 : act());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static bool ended_well(int (*act)(void))
{
	int status = confined(act);

	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static int nothing(void)
{
	return 0;
}

static int landlock_abi(void)
{
	return (int)syscall(444, NULL, 0, 1); /* landlock_create_ruleset: only its version */
}

static void needs_landlock(int least)
{
	if (landlock_abi() < least) {
		print_message("landlock of this kernel is older than %d\n", least);
		skip();
	}
}

/* --- what ends the process ------------------------------------------------------------------------------------------ */

static char *const program[] = {(char *)"/bin/true", NULL};

static int do_execve(void)
{
	return execve(*program, program, environ);
}

static int do_execveat(void)
{
	return (int)syscall(SYS_execveat, AT_FDCWD, *program, program, environ, 0);
}

static int do_fork(void)
{
	return fork() == 0 ? 0 : 1;
}

/* Not libc's fork(), which is a clone. */
static int do_old_fork(void)
{
#ifdef SYS_fork
	return syscall(SYS_fork) == 0 ? 0 : 1;
#else
	return do_fork();
#endif
}

static int do_clone(void)
{
	return syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0) == 0 ? 0 : 1;
}

static int do_spawn(void)
{
	pid_t pid;

	return posix_spawn(&pid, *program, NULL, NULL, program, environ);
}

static int do_system(void)
{
	return system("true");
}

static int do_ptrace(void)
{
	return ptrace(PTRACE_ATTACH, getppid(), 0, 0) < 0;
}

/* They would fail in any process of no rights: only the filter ends it. */
#define DO(call, ...) \
	static int do_##call(void) \
	{ \
		return syscall(SYS_##call, __VA_ARGS__) < 0; \
	}
DO(process_vm_readv, 1, 0, 0, 0, 0, 0)
DO(pidfd_getfd, -1, 0, 0)
DO(mount, 0, "/nowhere", "tmpfs", 0, 0)
DO(umount2, "/nowhere", 0)
DO(open_by_handle_at, -1, 0, 0)
DO(mknodat, AT_FDCWD, "/nowhere/x", S_IFCHR, 0)
DO(init_module, 0, 0, "")
DO(finit_module, -1, "", 0)
DO(kexec_load, 0, 0, 0, 0)
DO(keyctl, 0, 0, 0, 0, 0)
DO(bpf, 0, 0, 0)
DO(perf_event_open, 0, 0, 0, -1, 0)
DO(userfaultfd, 0)
DO(setuid, 65534)
DO(setgid, 65534)
DO(setresuid, 65534, 65534, 65534)
DO(setfsuid, 65534)
DO(setgroups, 0, 0)
DO(personality, ADDR_NO_RANDOMIZE)
DO(unshare, CLONE_NEWUSER)
DO(setns, -1, 0)
DO(chroot, "/nowhere")
DO(capset, 0, 0)
DO(sethostname, "x", 1)
DO(reboot, 0, 0, 0, 0)

#define ROW(call) {#call, do_##call}
static const struct {
	const char *name;
	int (*act)(void);
} deadly[] = {ROW(execve), ROW(execveat), ROW(fork), ROW(old_fork), ROW(clone), ROW(spawn), ROW(system), ROW(ptrace), ROW(process_vm_readv),
    ROW(pidfd_getfd), ROW(mount), ROW(umount2), ROW(open_by_handle_at), ROW(mknodat), ROW(init_module), ROW(finit_module),
    ROW(kexec_load), ROW(keyctl), ROW(bpf), ROW(perf_event_open), ROW(userfaultfd), ROW(setuid), ROW(setgid), ROW(setresuid),
    ROW(setfsuid), ROW(setgroups), ROW(personality), ROW(unshare), ROW(setns), ROW(chroot), ROW(capset), ROW(sethostname),
    ROW(reboot)};

static void what_only_an_intruder_does_ends_the_process(void **state)
{
	for (size_t i = 0; i < SIZE(deadly); i++) {
		int status = confined(deadly[i].act);
		if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS)
			fail_msg("%s: wait status %#x", deadly[i].name, (unsigned)status);
	}
}

static void *run_execve(void *data)
{
	return (void *)(intptr_t)do_execve();
}

static int execve_in_a_thread(void)
{
	pthread_t thread;

	return pthread_create(&thread, NULL, run_execve, NULL) || pthread_join(thread, NULL) || 1;
}

static void whichever_thread_does_it(void **state)
{
	int status = confined(execve_in_a_thread);

	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGSYS);
}

/* --- what is not there ---------------------------------------------------------------------------------------------- */

#define REFUSED(expression) (errno = 0, (long)(expression) == -1 && errno == ENOSYS)

static int calls_not_there(void)
{
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct rlimit more = {10, 10};
	struct {
		const char *name;
		bool refused;
	} calls[] = {
	    {"clone3", REFUSED(syscall(SYS_clone3, 0, 0))},
	    {"io_uring_setup", REFUSED(syscall(SYS_io_uring_setup, 1, 0))},
	    {"a number of the future", REFUSED(syscall(9999))},
	    {"memory to write and run", REFUSED(mmap(NULL, 4096, 7, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))},
	    {"written memory to run", REFUSED(mprotect(page, 4096, PROT_READ | PROT_EXEC))},
	    {"a packet socket", REFUSED(socket(AF_PACKET, SOCK_RAW, 0))},
	    {"a netlink socket of another kind", REFUSED(socket(AF_NETLINK, SOCK_RAW, 9))},
	    {"typing into a terminal", REFUSED(ioctl(0, TIOCSTI, "x"))},
	    {"a new limit", REFUSED(setrlimit(RLIMIT_NOFILE, &more))},
	    {"prctl", REFUSED(prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))},
	    {"a signal to all", REFUSED(kill(-1, 0))},
	    {"a signal to a group", REFUSED(kill(-getpid(), 0))},
	};
	int r = 0;

	for (size_t i = 0; i < SIZE(calls); i++)
		if (!calls[i].refused)
			r = wrong(calls[i].name);
	return r;
}

static void other_calls_are_not_there(void **state)
{
	assert_true(ended_well(calls_not_there));
}

/* --- files ---------------------------------------------------------------------------------------------------------- */

static const char *at(const char *dir, const char *name)
{
	static char path[2][200];
	static int next;
	next = !next;
	snprintf(path[next], sizeof *path, "%s/%s", dir, name);
	return path[next];
}

static bool denied(int r)
{
	bool is = r < 0 && errno == EACCES;

	if (r >= 0)
		close(r);
	return is;
}

static int files_outside(void)
{
	char first;

	if (!denied(open(at(outside, "file"), O_RDONLY)))
		return wrong("read a file");
	if (!denied(open(at(outside, "file"), O_WRONLY)))
		return wrong("write a file");
	if (!denied(open(at(outside, "new"), O_WRONLY | O_CREAT, 0600)))
		return wrong("make a file");
	if (!denied(open(outside, O_RDONLY | O_DIRECTORY)))
		return wrong("read a directory");
	if (!denied(unlink(at(outside, "file"))) || !denied(mkdir(at(outside, "d"), 0700)))
		return wrong("change a directory");
	if (!denied(open("/etc/hosts", O_WRONLY)) || !denied(open("/dev/tty", O_RDWR)) || !denied(open("/tmp", O_RDONLY)))
		return wrong("the rest of the host");
	return pread(held, &first, 1, 0) == 1 && first == 's' ? 0 : wrong("an open file stays");
}

static void files_outside_are_out_of_reach(void **state)
{
	needs_landlock(1);
	assert_true(ended_well(files_outside));
}

static int read_only(void)
{
	if (open(at(readable, "file"), O_RDONLY) < 0 || open(readable, O_RDONLY | O_DIRECTORY) < 0)
		return wrong("read");
	return denied(open(at(readable, "file"), O_RDONLY | O_TRUNC)) && denied(open(at(readable, "file"), O_WRONLY)) &&
		denied(unlink(at(readable, "file"))) && denied(open(at(readable, "new"), O_WRONLY | O_CREAT, 0600))
	    ? 0
	    : wrong("changed");
}

static void what_may_be_read_may_only_be_read(void **state)
{
	needs_landlock(3);
	assert_true(ended_well(read_only));
}

static int go_around(void)
{
	if (!denied(open(at(own, "symlink"), O_RDONLY)))
		return wrong("a symlink that was there");
	if (!REFUSED(symlink(at(outside, "file"), at(own, "new"))) || link(at(outside, "file"), at(own, "new")) == 0)
		return wrong("a new link");
	return rename(at(own, "symlink"), at(outside, "symlink")) < 0 ? 0 : wrong("a file moved out");
}

static void no_name_inside_leads_outside(void **state)
{
	needs_landlock(1);
	assert_int_equal(symlink(at(outside, "file"), at(own, "symlink")), 0);
	assert_true(ended_well(go_around));
	assert_int_equal(unlink(at(own, "symlink")), 0);
}

static int own_files(void)
{
	int fd = open(at(own, "a"), O_RDWR | O_CREAT | O_TRUNC, 0600), found;

	if (fd < 0 || write(fd, "12", 2) != 2 || ftruncate(fd, 1) || fsync(fd) || fchmod(fd, 0640) || link(at(own, "a"), at(own, "b")) ||
	    rename(at(own, "a"), at(own, "c")))
		return wrong("a file of one's own");
	if (mkdir(at(own, "d"), 0700) || rmdir(at(own, "d")) || (found = open(own, O_RDONLY | O_DIRECTORY)) < 0 || fsync(found))
		return wrong("a directory of one's own");
	return unlink(at(own, "b")) || unlink(at(own, "c"));
}

static void own_places_are_as_before(void **state)
{
	assert_true(ended_well(own_files));
}

/* --- what goes on working ------------------------------------------------------------------------------------------- */

static void *leave(void *data)
{
	free(malloc(1 << 20));
	pthread_exit(data);
}

static int libc_works(void)
{
	struct addrinfo *found, hints = {.ai_socktype = SOCK_STREAM};
	struct stat st;
	pthread_t thread;
	void *result;
	time_t now = time(NULL);
	char bytes[100];

	if (pthread_create(&thread, NULL, leave, own) || pthread_join(thread, &result) || result != own)
		return wrong("threads");
	if (getaddrinfo("localhost", "7660", &hints, &found))
		return wrong("getaddrinfo");
	freeaddrinfo(found);
	int fd = open("/proc/self/stat", O_RDONLY);
	if (fd < 0 || read(fd, bytes, sizeof bytes) <= 0)
		return wrong("/proc");
	if (!localtime(&now) || stat("/proc/1/net/dev", &st) || !if_nametoindex("lo") || sysconf(_SC_NPROCESSORS_ONLN) < 1)
		return wrong("the host");
	if (kill(getppid(), 0))
		return wrong("a signal to one");
	return open("/dev/null", O_RDWR) < 0 || open("/etc/passwd", O_RDONLY) < 0;
}

static void libc_goes_on_working(void **state)
{
	assert_true(ended_well(libc_works));
}

static int call_abort(void)
{
	abort();
}

static void abort_is_told_as_such(void **state)
{
	int status = confined(call_abort);

	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGABRT);
}

/* --- sockets -------------------------------------------------------------------------------------------------------- */

static struct sockaddr_un address;
static socklen_t address_size;

static int listen_abstract(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	address = (struct sockaddr_un){.sun_family = AF_UNIX};
	address_size = offsetof(struct sockaddr_un, sun_path) + 1 +
	    (socklen_t)snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "vigia-sandbox-%d", (int)getpid());
	assert_int_equal(bind(fd, (struct sockaddr *)&address, address_size), 0);
	assert_int_equal(listen(fd, 1), 0);
	return fd;
}

static int connect_there(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return connect(fd, (struct sockaddr *)&address, address_size) == 0 ? 0 : errno;
}

static void sockets_without_a_path_are_others(void **state)
{
	needs_landlock(6);
	int fd = listen_abstract();
	assert_int_equal(WEXITSTATUS(confined(connect_there)), EPERM);
	setenv("NOTIFY_SOCKET", "@here", 1); /* systemd's, in a container */
	assert_int_equal(WEXITSTATUS(confined(connect_there)), 0);
	unsetenv("NOTIFY_SOCKET");
	close(fd);
}

static int make_socket(void)
{
	const struct place places[] = {{outside, PLACE_SOCKETS}};
	struct sandbox s;
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(a.sun_path, sizeof a.sun_path, "%s/s", outside);
	if (sandbox_enter(places, SIZE(places), &s) || bind(fd, (struct sockaddr *)&a, sizeof a) || unlink(a.sun_path))
		return wrong("a socket");
	return denied(open(at(outside, "new"), O_WRONLY | O_CREAT, 0600)) && denied(open(at(outside, "file"), O_RDONLY)) ? 0 : 1;
}

static void a_place_for_sockets_has_nothing_else(void **state)
{
	needs_landlock(1);
	int status;
	pid_t pid = fork();
	if (pid == 0)
		_exit(make_socket());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* --- rights, and what is told --------------------------------------------------------------------------------------- */

static int rights_are_gone(void)
{
	static const char *const empty[] = {"CapInh:", "CapPrm:", "CapEff:", "CapAmb:"};
	char line[200];
	int seen = 0;
	FILE *f = fopen("/proc/self/status", "re");

	while (f && fgets(line, sizeof line, f)) {
		for (size_t i = 0; i < SIZE(empty); i++)
			seen += !strncmp(line, empty[i], 7) && !strcmp(line + 7, "\t0000000000000000\n");
		seen += !strcmp(line, "NoNewPrivs:\t1\n");
		seen += !strcmp(line, "Seccomp:\t2\n");
		seen += !strcmp(line, "CapBnd:\t0000000000000000\n") && geteuid() == 0; /* others may not */
	}
	return seen == 6 + (geteuid() == 0) ? 0 : wrong("rights");
}

static void all_rights_are_gone(void **state)
{
	assert_true(ended_well(rights_are_gone));
}

static int is_told(void)
{
	char whole[100];

	snprintf(whole, sizeof whole, "no new privileges, landlock %d, no capabilities, seccomp", abi);
	return strcmp(in_force.in_force, whole) || *in_force.lack;
}

static void what_is_in_force_is_told(void **state)
{
	struct sandbox s;

	needs_landlock(1);
	abi = landlock_abi();
	assert_true(ended_well(is_told));
	sandbox_leave_out(&s);
	assert_string_equal(s.in_force, "nothing");
	assert_string_equal(s.lack, "all of it (the configuration says sandbox = no)");
}

static void *wait_there(void *data)
{
	pause();
	return NULL;
}

static void with_other_threads_it_is_refused(void **state)
{
	struct sandbox s;
	pthread_t thread;
	int status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(pthread_create(&thread, NULL, wait_there, NULL) ? 1 : -sandbox_enter(NULL, 0, &s));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(WEXITSTATUS(status), EBUSY);
}

static void the_place_of_a_file_is_its_directory(void **state)
{
	char place[PATH_MAX], file[sizeof outside + 8];

	strcpy(file, at(outside, "file"));
	assert_int_equal(sandbox_place_of(file, place), 0);
	assert_string_equal(place, outside);
	assert_int_equal(sandbox_place_of("/etc/passwd", place), 0);
	assert_string_equal(place, "/etc/passwd");
	assert_int_equal(symlink(file, at(outside, "other")), 0);
	setenv("HOME", outside, 1);
	assert_int_equal(sandbox_place_of(at(outside, "other"), place), 0);
	assert_string_equal(place, file);
	unlink(at(outside, "other"));
	assert_int_equal(sandbox_place_of(at(outside, "none"), place), -ENOENT);
}

static int begin(void **state)
{
	if (!mkdtemp(own) || !mkdtemp(outside) || !mkdtemp(readable))
		return -1;
	close(open(at(readable, "file"), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
	held = open(at(outside, "file"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	return write(held, "secret", 6) == 6 && !confined(nothing) ? 0 : -1;
}

static int end(void **state)
{
	unlink(at(outside, "file"));
	unlink(at(readable, "file"));
	return rmdir(outside) || rmdir(own) || rmdir(readable);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_only_an_intruder_does_ends_the_process),
	    cmocka_unit_test(whichever_thread_does_it),
	    cmocka_unit_test(other_calls_are_not_there),
	    cmocka_unit_test(files_outside_are_out_of_reach),
	    cmocka_unit_test(what_may_be_read_may_only_be_read),
	    cmocka_unit_test(no_name_inside_leads_outside),
	    cmocka_unit_test(own_places_are_as_before),
	    cmocka_unit_test(libc_goes_on_working),
	    cmocka_unit_test(abort_is_told_as_such),
	    cmocka_unit_test(sockets_without_a_path_are_others),
	    cmocka_unit_test(a_place_for_sockets_has_nothing_else),
	    cmocka_unit_test(all_rights_are_gone),
	    cmocka_unit_test(what_is_in_force_is_told),
	    cmocka_unit_test(with_other_threads_it_is_refused),
	    cmocka_unit_test(the_place_of_a_file_is_its_directory),
	};
	return cmocka_run_group_tests(tests, begin, end);
}
