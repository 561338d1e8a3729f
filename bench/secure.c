/* SPDX-License-Identifier: Apache-2.0 */
/* Streams over TLS beside plain ones, both ends in this process, over socket pairs: processor time of a handshake, of a message of 64
 * bytes there and back, of a MiB one way, and memory of an open connection. Prints JSON. */
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "net/certificates_test.h"
#include "net/net.h"

enum { PAIRS = 1000, MESSAGES = 20000, MIBS = 64 };

struct side {
	struct stream *stream;
	struct side *other;
	bool secured, echoes;
	size_t got;
};

static uv_loop_t loop;
static struct net net;
static SSL_CTX *context;
static size_t secured;

static void on_data(void *owner, char *bytes, size_t n)
{
	struct side *s = owner;
	s->got += n;
	if (s->echoes)
		buf_put(stream_out(s->stream), bytes, n);
}

static void on_closed(void *owner, int error)
{
	fprintf(stderr, "a stream closed: %s\n", strerror(-error));
	exit(1);
}

static void on_secured(void *owner)
{
	secured++;
}

static const struct stream_events events = {.data = on_data, .closed = on_closed, .secured = on_secured};

static void open_pair(struct side *pair, bool tls)
{
	int fds[2];
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds))
		exit(1);
	for (int i = 0; i < 2; i++) {
		pair[i] = (struct side){.other = &pair[!i], .echoes = i};
		if (stream_new(&pair[i].stream, &net, fds[i], &events, &pair[i]) ||
		    (tls && stream_secure(pair[i].stream, context, i, i ? NULL : "frames")))
			exit(1);
	}
}

static double cpu_s(void)
{
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double resident_kib(void)
{
	long pages = 0;
	FILE *f = fopen("/proc/self/statm", "r");
	if (!f || fscanf(f, "%*s %ld", &pages) != 1)
		exit(1);
	fclose(f);
	return (double)pages * (double)sysconf(_SC_PAGESIZE) / 1024;
}

static double message_us(struct side *pair)
{
	static const char bytes[64];
	pair[0].got = 0;
	double begun = cpu_s();
	for (size_t i = 1; i <= MESSAGES; i++) {
		buf_put(stream_out(pair[0].stream), bytes, sizeof bytes);
		while (pair[0].got < i * sizeof bytes)
			uv_run(&loop, UV_RUN_ONCE);
	}
	return (cpu_s() - begun) * 1e6 / MESSAGES;
}

static double mib_ms(struct side *pair)
{
	static char bytes[1 << 20];
	pair[1].echoes = false;
	pair[1].got = 0;
	double begun = cpu_s();
	for (size_t i = 1; i <= MIBS; i++) {
		buf_put(stream_out(pair[0].stream), bytes, sizeof bytes);
		while (pair[1].got < i * sizeof bytes)
			uv_run(&loop, UV_RUN_ONCE);
	}
	return (cpu_s() - begun) * 1e3 / MIBS;
}

static void shake_many(struct side (*pairs)[2])
{
	double before_kib = resident_kib(), begun = cpu_s(), begun_s = (double)uv_hrtime() / 1e9;
	for (size_t i = 0; i < PAIRS; i++)
		open_pair(pairs[i], true);
	while (secured < 2 * (size_t)PAIRS)
		uv_run(&loop, UV_RUN_ONCE);
	double cpu = cpu_s() - begun, wall = (double)uv_hrtime() / 1e9 - begun_s;
	malloc_trim(0);
	printf("\"handshake_ms\": %.3f, \"handshakes_a_second\": %.0f, \"connection_kib\": %.1f, ", cpu * 1e3 / PAIRS, PAIRS / wall,
	    (resident_kib() - before_kib) / (2 * PAIRS));
}

int main(void)
{
	static struct side pairs[PAIRS][2], plain[2];
	struct authority a = authority_new("bench");
	context = context_of(&a, &a, "h1", -60, 3600);
	uv_loop_init(&loop);
	net_start(&net, &loop);
	open_pair(plain, false);
	printf("{");
	shake_many(pairs);
	printf("\"message_us\": %.2f, ", message_us(pairs[0]));
	printf("\"message_plain_us\": %.2f, ", message_us(plain));
	printf("\"mib_ms\": %.3f, ", mib_ms(pairs[0]));
	printf("\"mib_plain_ms\": %.3f}\n", mib_ms(plain));
	authority_free(&a);
	return 0;
}
