/* SPDX-License-Identifier: Apache-2.0 */
/* What a monitor costs: its CPU time per second of running, its memory, and what it says, at its own period.
 *
 *	bench-monitor PROGRAM [SECONDS [OPTIONS]]
 *
 * Plays the node on the monitor's socket. Beside it, as the floor: only reading the six files of /proc that
 *the target names, once a second, and doing nothing with them. Result lines: name value unit.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static pid_t start(const char *program, int *ret_fd)
{
	int fds[2];
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds))
		exit(1);
	pid_t pid = fork();
	if (!pid) {
		dup2(fds[1], 0);
		dup2(fds[1], 1);
		execl(program, program, NULL);
		_exit(127);
	}
	close(fds[1]);
	*ret_fd = fds[0];
	return pid;
}

/* Nanoseconds on a processor: utime and stime of such a small program are rounded to nothing. */
static double cpu_seconds(pid_t pid)
{
	char path[40];
	uint64_t ns = 0;
	snprintf(path, sizeof path, "/proc/%d/schedstat", pid);
	FILE *f = fopen(path, "r");
	if (!f || fscanf(f, "%" SCNu64, &ns) != 1)
		ns = 0;
	if (f)
		fclose(f);
	return (double)ns / 1e9;
}

static void tell_memory(pid_t pid)
{
	char path[40], line[200];
	long kib, private_kib = 0;
	snprintf(path, sizeof path, "/proc/%d/smaps_rollup", pid);
	FILE *f = fopen(path, "r");
	while (f && fgets(line, sizeof line, f)) {
		if (sscanf(line, "Pss: %ld", &kib) == 1)
			printf("pss %ld KiB\n", kib);
		else if (sscanf(line, "Private_Clean: %ld", &kib) == 1 ||
			 sscanf(line, "Private_Dirty: %ld", &kib) == 1)
			private_kib += kib;
	}
	if (f)
		fclose(f);
	printf("private %ld KiB\n", private_kib);
}

/* Adds the metrics in the bytes; each config starts over. */
static void count_metrics(size_t *metrics, const char *bytes)
{
	for (const char *s = bytes; (s = strchr(s, '<')); s++) {
		if (!strncmp(s, "<config ", 8))
			*metrics = 0;
		*metrics += !strncmp(s, "<metric ", 8);
	}
}

/* Bytes that came within the time; the last config's metrics are counted. */
static size_t drain(int fd, double seconds, size_t *metrics)
{
	static char bytes[1 << 16];
	size_t all = 0;
	for (double end = now() + seconds, left; (left = end - now()) > 0;) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		if (poll(&p, 1, (int)(left * 1000) + 1) <= 0)
			continue;
		ssize_t n = read(fd, bytes, sizeof bytes - 1);
		if (n <= 0) {
			fprintf(stderr, "the monitor ended\n");
			exit(1);
		}
		bytes[n] = '\0';
		all += (size_t)n;
		count_metrics(metrics, bytes);
	}
	return all;
}

static void measure_monitor(const char *program, double seconds, const char *options)
{
	int fd;
	size_t metrics = 0;
	pid_t pid = start(program, &fd);
	dprintf(fd,
	    "<hmon version=\"1\" role=\"vigiad\" name=\"bench\"><config query=\"describe\" "
	    "id=\"1\">%s</config>",
	    options);
	drain(fd, 2.5, &metrics);
	double before = cpu_seconds(pid);
	size_t bytes = drain(fd, seconds, &metrics);
	printf("monitor_cpu %.3f ms/s\n", (cpu_seconds(pid) - before) / seconds * 1000);
	printf("metrics %zu\n", metrics);
	printf("sent %.0f By/s\n", (double)bytes / seconds);
	tell_memory(pid);
	close(fd);
	waitpid(pid, NULL, 0);
}

static void measure_floor(int turns)
{
	static const char *const files[] = {"/proc/meminfo", "/proc/vmstat", "/proc/stat", "/proc/loadavg",
	    "/proc/net/dev", "/proc/diskstats"};
	enum { FILES = sizeof files / sizeof *files };
	static char bytes[1 << 16];
	int fds[FILES];
	for (int i = 0; i < FILES; i++)
		fds[i] = open(files[i], O_RDONLY | O_CLOEXEC);
	double before = 0;
	for (int turn = 0; turn <= turns; turn++) {
		if (turn == 1)
			before = cpu_seconds(getpid());
		for (int i = 0; i < FILES; i++)
			for (off_t at = 0, n = 1; n > 0; at += n)
				n = pread(fds[i], bytes, sizeof bytes, at);
		usleep(1000000);
	}
	printf("floor_cpu %.3f ms/s\n", (cpu_seconds(getpid()) - before) / turns * 1000);
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		fprintf(stderr, "bench-monitor PROGRAM [SECONDS [OPTIONS]]\n");
		return 2;
	}
	int seconds = argc > 2 ? atoi(argv[2]) : 30;
	measure_monitor(argv[1], seconds, argc > 3 ? argv[3] : "");
	measure_floor(seconds);
	return 0;
}
