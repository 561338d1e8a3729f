/* SPDX-License-Identifier: Apache-2.0 */
/* What an event channel costs alone: CPU of putting an event with 64 bytes of data into a full log, and of
 *handing it to each of those who read.
 *
 *	channel [SECONDS [NAME]]	each, or the one of this name, for so long (0.2)
 *
 * Result lines: name value unit.
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/channel.h"

enum { BURST = 1000, READERS = 100, AT_ONCE = 64 << 10, TAGS = 16 };

static struct channel_id ids[2] = {{.number = 1}, {.number = 2}};

static struct {
	struct channel *c;
	struct channel_reader *readers[READERS];
	size_t n;
	struct frame_event event;
	struct buf out;
	uint64_t woken, sequence;
} b;

static void stop(const char *what)
{
	fprintf(stderr, "channel: %s\n", what);
	exit(1);
}

static double cpu_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void wake(struct channel_reader *r, void *data)
{
	b.woken++;
}

static void put_burst(void)
{
	for (int i = 0; i < BURST; i++) {
		b.event.tag = UINT32_C(1) << i % TAGS;
		if (channel_put(b.c, 1, &b.event, 1, 1) != 1)
			stop("put");
	}
}

/* Not written anywhere: what a socket costs is the socket's. */
static void read_burst(struct channel_reader *r)
{
	bool more;
	do {
		buf_clear(&b.out);
		more = channel_read(r, &b.out, 7, AT_ONCE);
	} while (more);
}

/* --- what is measured; each adds the time it took, and returns how many it has done --- */

static size_t put(double *ns)
{
	double begun = cpu_ns();
	put_burst();
	*ns += cpu_ns() - begun;
	return BURST;
}

static size_t put_chained(double *ns)
{
	double begun = cpu_ns();
	for (int i = 0; i < BURST; i++) {
		b.event.sequence = ++b.sequence;
		if (channel_put_chained(b.c, &ids[1], &b.event, 1, 1) != 1)
			stop("put chained");
	}
	*ns += cpu_ns() - begun;
	return BURST;
}

/* What was put is in the log, and not in the cache of one who has just read it. */
static size_t read_all(double *ns)
{
	put_burst();
	double begun = cpu_ns();
	for (size_t i = 0; i < b.n; i++)
		read_burst(b.readers[i]);
	*ns += cpu_ns() - begun;
	return BURST * b.n;
}

static size_t read_one_tag(double *ns)
{
	return read_all(ns) / TAGS;
}

static size_t read_every_other(double *ns)
{
	return read_all(ns) / 2;
}

/* Everybody reads each before the next is put. */
static size_t one_by_one(double *ns)
{
	double begun = cpu_ns();
	for (int i = 0; i < BURST / 10; i++) {
		channel_put(b.c, 1, &b.event, 1, 1);
		for (size_t k = 0; k < b.n; k++)
			read_burst(b.readers[k]);
	}
	*ns += cpu_ns() - begun;
	return BURST / 10 * b.n;
}

static const struct {
	const char *name;
	size_t readers;
	uint32_t mask;
	size_t (*run)(double *ns);
} measures[] = {
    {"put", 0, UINT32_MAX, put},
    {"put_1_stopped", 1, UINT32_MAX, put},
    {"put_100_stopped", READERS, UINT32_MAX, put},
    {"put_100_other_tags", READERS, 1 << TAGS, put},
    {"put_chained", 0, UINT32_MAX, put_chained},
    {"delivery_1", 1, UINT32_MAX, read_all},
    {"delivery_100", READERS, UINT32_MAX, read_all},
    {"delivery_1_one_tag", 1, 1, read_one_tag},
    {"delivery_100_one_tag", READERS, 1, read_one_tag},
    {"delivery_100_every_other", READERS, 0x5555, read_every_other},
    {"delivery_100_one_by_one", READERS, UINT32_MAX, one_by_one},
};

static void begin(size_t readers, uint32_t mask)
{
	b.c = channel_new(&ids[0], "bench", CHANNEL_LOG);
	while (channel_oldest(b.c) < 2)
		put_burst();
	struct channel_upstream u = {ids[1], ids[1], true, b.sequence};
	struct channel_place place = {.mask = mask, .after = UINT64_MAX};
	if (channel_upstream_add(b.c, &u))
		stop("chain");
	for (b.n = 0; b.n < readers; b.n++)
		b.readers[b.n] = channel_reader_new(b.c, &place, wake, NULL);
}

static void end(void)
{
	while (b.n)
		channel_reader_free(b.readers[--b.n]);
	channel_free(b.c);
}

static void measure(size_t i, double until)
{
	double took = 0;
	size_t n = 0;
	begin(measures[i].readers, measures[i].mask);
	do
		n += measures[i].run(&took);
	while (took < until);
	end();
	printf("%s %.1f ns\n", measures[i].name, took / (double)n);
}

static void measure_memory(void)
{
	struct channel *c[1000];
	size_t before = mallinfo2().uordblks;
	for (int i = 0; i < 1000; i++)
		c[i] = channel_new(&ids[0], "bench", CHANNEL_LOG);
	printf("empty_channel %zu B\n", (mallinfo2().uordblks - before) / 1000);
	for (int i = 0; i < 1000; i++)
		channel_free(c[i]);
}

int main(int argc, char **argv)
{
	static const uint8_t data[64] = "an event's data";
	b.event = (struct frame_event){.data = data, .n = sizeof data};
	measure_memory();
	for (size_t i = 0; i < sizeof measures / sizeof *measures; i++)
		if (argc < 3 || !strcmp(argv[2], measures[i].name))
			measure(i, (argc > 1 ? atof(argv[1]) : 0.2) * 1e9);
	buf_release(&b.out);
	return 0;
}
