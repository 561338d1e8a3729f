/* SPDX-License-Identifier: Apache-2.0 */
/* bench-processes LAUNCHER TOPOLOGY [PROCESSES]: what the operating-system layer costs, as JSON.
 *
 * A list of all processes, of which so many are ours (2000), walked in pieces as a daemon does it: per process, and the
 * longest that one piece held up the loop. The floor beside it is only reading the three files of each. Then the
 * topology: how long until it is known, and how much this process keeps of it (PSS before and after). */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "os/clock.h"
#include "os/system.h"

enum { ROUNDS = 5, PIECE = 16 };

static const struct system_type *const type = &system_linux;

static void die(const char *what)
{
	fprintf(stderr, "bench-processes: %s\n", what);
	exit(1);
}

static double us(int64_t ns)
{
	return (double)ns / 1000;
}

/* Processor time of all our threads. */
static int64_t cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static long pss_kib(void)
{
	char line[256];
	long kib = 0;
	FILE *f = fopen("/proc/self/smaps_rollup", "r");

	while (f && fgets(line, sizeof line, f))
		if (sscanf(line, "Pss: %ld", &kib) == 1)
			break;
	if (f)
		fclose(f);
	return kib;
}

static void read_file(const char *pid, const char *name)
{
	char path[300], bytes[4096];

	snprintf(path, sizeof path, "/proc/%s/%s", pid, name);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0 && read(fd, bytes, sizeof bytes) < 0)
		bytes[0] = '\0';
	if (fd >= 0)
		close(fd);
}

static int floor_list(void)
{
	DIR *d = opendir("/proc");
	int n = 0;

	for (struct dirent *e; d && (e = readdir(d));) {
		if (!atoi(e->d_name))
			continue;
		read_file(e->d_name, "stat");
		read_file(e->d_name, "status");
		read_file(e->d_name, "cmdline");
		n++;
	}
	if (d)
		closedir(d);
	return n;
}

static int list(struct system *s, int64_t *longest_ns)
{
	struct system_walk *w;
	struct process p;
	int n = 0;
	bool more = true;

	if (type->walk_new(s, &w) < 0)
		die("no walk");
	while (more) {
		int64_t from_ns = clock_mono_ns();
		for (int i = 0; i < PIECE && more; i++)
			more = type->walk_next(w, &p) == 1;
		n += PIECE;
		int64_t took_ns = clock_mono_ns() - from_ns;
		*longest_ns = took_ns > *longest_ns ? took_ns : *longest_ns;
	}
	type->walk_free(w);
	return n;
}

static double topology_ms(struct system *s, int64_t from_ns)
{
	const struct host_topology *t;
	struct pollfd p = {.fd = type->fd(s), .events = POLLIN};
	int r;

	while ((r = type->topology(s, &t)) == -EAGAIN) {
		poll(&p, 1, 10000);
		type->turn(s);
	}
	if (r < 0)
		die("no topology");
	return us(clock_mono_ns() - from_ns) / 1000;
}

int main(int argc, char **argv)
{
	int many = argc > 3 ? atoi(argv[3]) : 2000, n = 0, floor_n = 0;
	int64_t longest_ns = 0, ns = INT64_MAX, cpu = INT64_MAX, floor_ns = INT64_MAX;
	struct system *s;

	if (argc < 3)
		die("needs the paths of vigia-launcher and vigia-topology");
	long before_kib = pss_kib();
	int64_t opened_ns = clock_mono_ns();
	if (type->open(&s, &(struct system_options){.launcher = argv[1], .topology = argv[2]}, NULL) < 0)
		die("no system");
	double topology = topology_ms(s, opened_ns);
	long after_kib = pss_kib();
	pid_t *pids = calloc((size_t)many, sizeof *pids);
	for (int i = 0; i < many; i++)
		if ((pids[i] = fork()) == 0)
			for (;;)
				pause();
	long first_kib = pss_kib();
	for (int i = 0; i < ROUNDS; i++) {
		int64_t from_ns = clock_mono_ns(), from_cpu = cpu_ns();
		n = list(s, &longest_ns);
		int64_t took_ns = clock_mono_ns() - from_ns, took_cpu = cpu_ns() - from_cpu;
		ns = took_ns < ns ? took_ns : ns;
		cpu = took_cpu < cpu ? took_cpu : cpu;
		from_ns = clock_mono_ns();
		floor_n = floor_list();
		took_ns = clock_mono_ns() - from_ns;
		floor_ns = took_ns < floor_ns ? took_ns : floor_ns;
	}
	long last_kib = pss_kib();
	for (int i = 0; i < many; i++)
		kill(pids[i], SIGKILL);
	printf("{\"processes\": %d, \"us_per_process\": %.1f, \"cpu_us_per_process\": %.1f, \"floor_us_per_process\": %.1f, "
	       "\"longest_piece_ms\": %.2f, \"list_keeps_kib\": %ld, \"topology_ms\": %.1f, \"topology_keeps_kib\": %ld}\n",
	    floor_n, us(ns) / n, us(cpu) / n, us(floor_ns) / floor_n, us(longest_ns) / 1000, last_kib - first_kib, topology,
	    after_kib - before_kib);
	type->close(s);
	free(pids);
	return 0;
}
