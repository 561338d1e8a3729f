/* SPDX-License-Identifier: Apache-2.0 */
/* What history costs: CPU of both its threads per sample, memory, and bytes on disk.
 *
 *	history [-q] [-d FOLDER]
 *	history -r RECORDING [-d FOLDER]
 *
 * A RECORDING (bench/record.py) has a line of names, "time NAME...", then lines of numbers, a period each: what a
 * real host told. Without one, values are made up so that 40 % change from one period to the next. Result lines:
 * name value unit.
 */
#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "history/history.h"
#include "history/play.h"

#define SECOND INT64_C(1000000000)

static const char *folder = "/tmp";

static double cpu_seconds(int who)
{
	struct rusage r;
	getrusage(who, &r);
	return (double)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) +
	       (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec) / 1e6;
}

static double now_seconds(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int64_t file_bytes(const char *path)
{
	struct stat st;
	return stat(path, &st) ? 0 : st.st_size;
}

static long resident_kib(void)
{
	FILE *f = fopen("/proc/self/statm", "r");
	long size = 0, resident = 0;
	if (!f || fscanf(f, "%ld %ld", &size, &resident) != 2)
		resident = 0;
	if (f)
		fclose(f);
	return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

static void path_for(char *to, size_t size, const char *name)
{
	const char *tails[] = {"", "-wal", "-shm"};
	for (size_t i = 0; i < 3; i++) {
		snprintf(to, size, "%s/vigia-bench-%s%s", folder, name, tails[i]);
		unlink(to);
	}
	snprintf(to, size, "%s/vigia-bench-%s", folder, name);
}

/* --- many monitors, in time: a second of periods every `pace` seconds --- */

/* 40 % of the values change: by little, much, or as counters do. */
static void change(struct value *v, size_t n, uint64_t tick, uint64_t who)
{
	static const int64_t by[] = {1, 17, 250, 4096, 90000};
	for (size_t i = 0; i < n; i++) {
		uint64_t noise = play_noise(tick * 7919 + who * 104729 + i);
		if (i % 5 < 2)
			v[i].number +=
			    (int64_t)(noise % (uint64_t)by[i / 5 % 5]) + (i % 2 ? 1 : -by[i / 5 % 5] / 2);
	}
}

struct fleet {
	size_t monitors, n;
	struct value *values;
	struct history_monitor **handles;
	struct config *config;
};

static void pause_until(double when)
{
	double left = when - now_seconds();
	if (left > 0.001)
		poll(NULL, 0, (int)(left * 1000));
}

static void append_second(struct history *h, struct fleet *f, uint64_t tick, double pace)
{
	double begin = now_seconds();
	static const struct history_news none;
	for (size_t m = 0; m < f->monitors; m++) {
		struct value *v = &f->values[m * f->n];
		change(v, f->n, tick, m);
		struct history_period p = {
		    {1, tick + 1}, (int64_t)(1700000000 + tick) * SECOND + (int64_t)(m * 1000), v};
		history_append(h, f->handles[m], f->config, &p);
		if (m % 64 == 63)
			pause_until(begin + pace * (double)m / (double)f->monitors);
	}
	history_dispatch(h, &none, NULL);
	pause_until(begin + pace);
}

/* CPU that making up the values costs, to be taken off. */
static double change_cost(struct fleet *f, uint64_t ticks)
{
	double before = cpu_seconds(RUSAGE_THREAD);
	for (uint64_t t = 0; t < ticks; t++)
		for (size_t m = 0; m < f->monitors; m++)
			change(&f->values[m * f->n], f->n, t, m);
	return cpu_seconds(RUSAGE_THREAD) - before;
}

static void bench_fleet(const char *name, size_t monitors, size_t n, uint64_t ticks, double pace)
{
	char path[256];
	path_for(path, sizeof path, name);
	struct fleet f = {monitors, n, calloc(monitors * n, sizeof *f.values),
	    calloc(monitors, sizeof *f.handles), play_config(n)};
	for (size_t i = 0; i < monitors * n; i++)
		f.values[i].kind = VALUE_NUMBER;
	double making = change_cost(&f, 8) / 8;
	long resident = resident_kib(), most = 0;
	struct history *h;
	struct history_options o = {.path = path, .sync_ns = 5 * SECOND, .queue_bytes = 256 << 20};
	if (history_open(&h, &o))
		abort();
	for (size_t m = 0; m < monitors; m++) {
		char node[32];
		snprintf(node, sizeof node, "node%zu", m);
		f.handles[m] = history_monitor(h, node, "host");
	}
	double before = cpu_seconds(RUSAGE_SELF);
	for (uint64_t t = 0; t < ticks; t++) {
		append_second(h, &f, t, pace);
		long more = resident_kib() - resident;
		most = more > most ? more : most;
	}
	double cpu = cpu_seconds(RUSAGE_SELF) - before - making * (double)ticks;
	struct history_figures figures;
	history_figures(h, &figures);
	double samples = (double)monitors * (double)n * (double)ticks;
	printf("history.%s.cpu %.4f us/sample\n", name, cpu * 1e6 / samples);
	printf("history.%s.memory %.1f MiB\n", name, (double)most / 1024);
	printf("history.%s.chunks %llu\n", name, (unsigned long long)figures.chunks);
	printf("history.%s.dropped %llu\n", name, (unsigned long long)figures.dropped);
	fflush(stdout);
	history_close(h);
	printf("history.%s.file %.3f B/sample\n", name, (double)file_bytes(path) / samples);
	path_for(path, sizeof path, name);
	config_unref(f.config);
	free(f.values);
	free(f.handles);
}

/* The loop's part alone. */
static void bench_append(size_t n)
{
	char path[256];
	path_for(path, sizeof path, "append");
	struct fleet f = {1, n, calloc(n, sizeof *f.values), calloc(1, sizeof *f.handles), play_config(n)};
	for (size_t i = 0; i < n; i++)
		f.values[i].kind = VALUE_NUMBER;
	struct history *h;
	struct history_options o = {.path = path, .sync_ns = 5 * SECOND, .queue_bytes = 1 << 30};
	if (history_open(&h, &o))
		abort();
	f.handles[0] = history_monitor(h, "n", "host");
	double spent = 0;
	uint64_t ticks = 20000;
	for (uint64_t t = 0; t < ticks; t++) {
		change(f.values, n, t, 0);
		struct history_period p = {{1, t + 1}, (int64_t)t * SECOND, f.values};
		double begin = now_seconds();
		history_append(h, f.handles[0], f.config, &p);
		spent += now_seconds() - begin;
	}
	printf("history.append %.2f us/period of %zu values, 40%% changed\n", spent * 1e6 / (double)ticks, n);
	history_close(h);
	path_for(path, sizeof path, "append");
	config_unref(f.config);
	free(f.values);
	free(f.handles);
}

/* --- a recording --- */

enum { LINE = 1 << 16, COLUMNS = 1024 };

struct recording {
	size_t n;
	size_t columns[COLUMNS]; /* those taken */
	struct config *config;
	int64_t (*rows)[COLUMNS];
	size_t rows_n;
};

/* Disks and links that are only placeholders would flatter. */
static int is_idle(const char *name)
{
	return strstr(name, "disk/loop") || strstr(name, "disk/zram");
}

static int read_recording(struct recording *r, const char *path)
{
	static char line[LINE], *names[COLUMNS];
	FILE *f = fopen(path, "r");
	size_t all = 0, size = 0;
	if (!f || !fgets(line, sizeof line, f))
		return -1;
	char *head = strdup(line);
	for (char *at = head, *word; (word = strsep(&at, " \n")) && *word && all < COLUMNS;)
		names[all++] = word;
	for (size_t i = 1; i < all; i++)
		if (!is_idle(names[i]))
			r->columns[r->n++] = i;
	r->config = config_new(r->n);
	for (size_t i = 0; i < r->n; i++)
		r->config->metrics[i] =
		    (struct metric){strdup(names[r->columns[i]]), strdup("1"), strdup(""), METRIC_GAUGE, 0};
	const char *why;
	size_t at_metric;
	if (config_seal(r->config, &why, &at_metric))
		return -1;
	while (fgets(line, sizeof line, f)) {
		if (r->rows_n == size) {
			size = size ? size * 2 : 256;
			r->rows = realloc(r->rows, size * sizeof *r->rows);
		}
		size_t i = 0;
		for (char *at = line, *word; (word = strsep(&at, " \n")) && *word && i < COLUMNS;)
			r->rows[r->rows_n][i++] = atoll(word);
		r->rows_n += i == all;
	}
	free(head);
	fclose(f);
	return 0;
}

static double share_changed(const struct recording *r)
{
	size_t changed = 0;
	for (size_t t = 1; t < r->rows_n; t++)
		for (size_t i = 0; i < r->n; i++)
			changed += r->rows[t][r->columns[i]] != r->rows[t - 1][r->columns[i]];
	return (double)changed / (double)((r->rows_n - 1) * r->n);
}

static int check_row(void *data, struct config *config, const struct history_period *p)
{
	const struct recording *r = data;
	for (size_t i = 0; i < r->n; i++)
		if (p->values[i].number != r->rows[p->at.sequence - 1][r->columns[i]] ||
		    p->values[i].kind != VALUE_NUMBER || p->time_ns != r->rows[p->at.sequence - 1][0])
			abort();
	return 0;
}

static void bench_recording(const char *file)
{
	struct recording r = {0};
	char path[256];
	if (read_recording(&r, file)) {
		fprintf(stderr, "%s: not a recording\n", file);
		exit(1);
	}
	path_for(path, sizeof path, "recording");
	struct history *h;
	struct history_options o = {.path = path, .sync_ns = 5 * SECOND, .queue_bytes = 256 << 20};
	if (history_open(&h, &o))
		abort();
	struct history_monitor *m = history_monitor(h, "this", "host");
	struct value *values = calloc(r.n, sizeof *values);
	double before = cpu_seconds(RUSAGE_SELF);
	for (size_t t = 0; t < r.rows_n; t++) {
		for (size_t i = 0; i < r.n; i++)
			values[i] = (struct value){.number = r.rows[t][r.columns[i]], .kind = VALUE_NUMBER};
		history_append(h, m, r.config, &(struct history_period){{1, t + 1}, r.rows[t][0], values});
		if (t % 20 == 19)
			poll(NULL, 0,
			    60); /* as many rows at once as would wait for a commit, not all in one */
	}
	/* Until all is committed, and its chunks made. */
	struct history_figures figures;
	do {
		poll(NULL, 0, 100);
		history_figures(h, &figures);
	} while (figures.committed < r.rows_n);
	poll(NULL, 0, 1500);
	double cpu = cpu_seconds(RUSAGE_SELF) - before;
	if (history_replay(h, "this", "host", (struct history_position){0}, SIZE_MAX, check_row, &r) !=
	    (int)r.rows_n)
		abort();
	history_close(h);
	double samples = (double)r.n * (double)r.rows_n;
	printf("history.recording.periods %zu 1, each read back as it was\n", r.rows_n);
	printf("history.recording.values %zu 1\n", r.n);
	printf("history.recording.changed %.1f %%\n", share_changed(&r) * 100);
	printf("history.recording.cpu %.4f us/sample\n", cpu * 1e6 / samples);
	printf("history.recording.file %.3f B/sample, the whole file: journal, indexes, names\n",
	    (double)file_bytes(path) / samples);
	path_for(path, sizeof path, "recording");
	config_unref(r.config);
	free(values);
	free(r.rows);
}

int main(int argc, char **argv)
{
	const char *recording = NULL;
	int quick = 0, c;
	while ((c = getopt(argc, argv, "qr:d:")) != -1) {
		if (c == 'q')
			quick = 1;
		else if (c == 'r')
			recording = optarg;
		else if (c == 'd')
			folder = optarg;
		else
			return 2;
	}
	if (recording) {
		bench_recording(recording);
		return 0;
	}
	bench_append(377);
	/* One node alone pays a commit a second for its few samples. */
	bench_fleet("1x377", 1, 377, quick ? 10 : 60, 1);
	/* Faster than life: the work per sample is the same, but for commits, of which there are fewer. */
	bench_fleet("1000x377", 1000, 377, quick ? 60 : 660, quick ? 0.3 : 0.5);
	bench_fleet("10000x40", 10000, 40, quick ? 60 : 660, quick ? 0.3 : 0.5);
	return 0;
}
