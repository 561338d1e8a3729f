/* SPDX-License-Identifier: Apache-2.0 */
/* heartbeat-peer dial|listen ADDRESS PORT [NAME=NUMBER]...: one end of a watched stream of all byte values.
 *
 * What a program of somebody else's would do with heartbeat.h and nothing more of ours: the dialler watches,
 * the listener answers, both probe first, in one poll loop without a thread. The scenarios run two of them over
 * networks of their choice. Ends with its standard input. Says, a line each, CLOCK_MONOTONIC in ns before it:
 *   listening                                 | transport NAME | state NAME, REASON
 *   done SENT-SHA256 RECEIVED-SHA256 STRAYS   all of it sent and received; beat bytes that were stripped
 *   beats SENT RECEIVED                       at the end
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "heartbeat/heartbeat.h"

#define MS ((int64_t)1000000)
#define CHUNK 16384

struct flow {
	int64_t total, done;
	EVP_MD_CTX *hash;
};

struct peer {
	int fd;
	struct heartbeat *h;
	enum heartbeat_transport told;
	struct flow out, in;
	int64_t strays;
	int64_t next_stall, stalled_until_ns; /* received bytes; time */
	int64_t next_spin_ns, next_send_ns;
	bool ended, told_done;
};

/* What the command line sets. */
static struct {
	int64_t send, receive; /* bytes */
	int64_t stall;	       /* ms at most in which it does not read, a dozen times a stream */
	int64_t rate;	       /* bytes a us, so that beats find room between them; 0: as fast as it goes */
	int64_t spin;	       /* ms at most in which it only computes, over and over */
	int64_t interval;      /* ms between beats */
	int64_t first;	       /* value of the first byte */
	int64_t spare;	       /* 1: leave the beat byte out of the data, and strip it from what comes */
	int64_t seed;
} option = {.interval = 500, .seed = 1};

static const struct {
	const char *name;
	int64_t *value;
} options[] = {
    {"send", &option.send},
    {"receive", &option.receive},
    {"rate", &option.rate},
    {"stall", &option.stall},
    {"spin", &option.spin},
    {"interval", &option.interval},
    {"first", &option.first},
    {"spare", &option.spare},
    {"seed", &option.seed},
};

static void die(const char *what)
{
	fprintf(stderr, "heartbeat-peer: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static int64_t draw(int64_t below)
{
	static uint64_t x;

	x = (x ? x : (uint64_t)option.seed * 2654435761U) * UINT64_C(6364136223846793005) + 1;
	return below > 0 ? (int64_t)(x >> 33) % below : 0;
}

static void hash(struct flow *f, const unsigned char *bytes, size_t n)
{
	EVP_DigestUpdate(f->hash, bytes, n);
	f->done += (int64_t)n;
}

static const char *hex(struct flow *f, char text[65])
{
	unsigned char sum[EVP_MAX_MD_SIZE];

	EVP_DigestFinal_ex(f->hash, sum, NULL);
	for (int i = 0; i < 32; i++)
		snprintf(text + 2 * i, 3, "%02x", sum[i]);
	return text;
}

/* ---- the stream ---- */

static unsigned char byte_at(int64_t i)
{
	unsigned char b = (unsigned char)((i * 2654435761 >> 13) ^ i ^ option.first);

	return option.spare && b == HEARTBEAT_BYTE ? b ^ 1 : b;
}

static void send_some(struct peer *p, int64_t now)
{
	int64_t left = p->out.total - p->out.done;
	unsigned char buf[CHUNK];
	size_t n = left < CHUNK ? (size_t)left : CHUNK;
	ssize_t sent;

	for (size_t i = 0; i < n; i++)
		buf[i] = byte_at(p->out.done + (int64_t)i);
	sent = send(p->fd, buf, n, MSG_NOSIGNAL);
	if (sent <= 0)
		return;
	hash(&p->out, buf, (size_t)sent);
	p->next_send_ns = option.rate ? now + sent * 1000 / option.rate : now;
	if (p->out.done == p->out.total)
		p->next_send_ns = INT64_MAX;
}

static void maybe_stall(struct peer *p, int64_t now)
{
	if (!option.stall || p->in.done < p->next_stall)
		return;
	p->next_stall = p->in.done + draw(p->in.total / 5);
	p->stalled_until_ns = now + draw(option.stall) * MS;
}

static void receive_some(struct peer *p, int64_t now)
{
	unsigned char buf[CHUNK];
	ssize_t n = recv(p->fd, buf, sizeof buf, 0);

	if (n == 0 || (n < 0 && errno != EAGAIN)) {
		p->ended = true;
		heartbeat_closed(p->h, n ? -errno : 0, now);
	}
	if (n <= 0)
		return;
	size_t kept = option.spare ? heartbeat_strip(buf, (size_t)n) : (size_t)n;
	p->strays += n - (ssize_t)kept;
	hash(&p->in, buf, kept);
	maybe_stall(p, now);
	heartbeat_data(p->h, now);
}

/* ---- what it says ---- */

static void say_changed(struct heartbeat *h, void *owner)
{
	struct peer *p = owner;
	int64_t now = now_ns();

	if (heartbeat_transport(h) != p->told)
		printf("%" PRId64 " transport %s\n", now, heartbeat_transport_name(heartbeat_transport(h)));
	p->told = heartbeat_transport(h);
	printf("%" PRId64 " state %s, %s\n", now, step_state_name(heartbeat_state(h)),
	    step_reason_text(heartbeat_reason(h)));
}

static void say_done(struct peer *p)
{
	char sent[65], received[65];

	if (p->told_done || p->out.done < p->out.total || p->in.done < p->in.total)
		return;
	p->told_done = true;
	printf("%" PRId64 " done %s %s %" PRId64 "\n", now_ns(), hex(&p->out, sent), hex(&p->in, received),
	    p->strays);
}

static void say_beats(const struct peer *p)
{
	struct heartbeat_counts c;

	heartbeat_counts(p->h, &c);
	printf("%" PRId64 " beats %" PRIu32 " %" PRIu32 "\n", now_ns(), c.sent, c.received);
}

/* ---- the loop ---- */

/* An application that is at something else: it neither reads nor lets its heartbeat run. */
static void maybe_spin(struct peer *p, int64_t now)
{
	int64_t until;

	if (!option.spin || now < p->next_spin_ns || heartbeat_transport(p->h) == HEARTBEAT_PROBE)
		return;
	until = now + draw(option.spin) * MS;
	while ((now = now_ns()) < until)
		;
	p->next_spin_ns = now + draw(option.spin / 4) * MS;
}

static short wanted(const struct peer *p, int64_t now)
{
	short events = heartbeat_events(p->h);

	if (heartbeat_transport(p->h) == HEARTBEAT_PROBE)
		return events;
	if (now >= p->stalled_until_ns)
		events |= POLLIN;
	return (short)(events | (now >= p->next_send_ns ? POLLOUT : 0));
}

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static int timeout_ms(const struct peer *p, int64_t now)
{
	int64_t next = earlier(heartbeat_next(p->h), option.spin ? p->next_spin_ns : INT64_MAX);

	if (p->stalled_until_ns > now)
		next = earlier(next, p->stalled_until_ns);
	if (p->next_send_ns > now)
		next = earlier(next, p->next_send_ns);
	if (next == INT64_MAX)
		return -1;
	return next <= now ? 0 : (int)((next - now + MS - 1) / MS);
}

static void serve_socket(struct peer *p, short revents)
{
	bool streams = heartbeat_transport(p->h) != HEARTBEAT_PROBE && !p->ended;

	if (streams && revents & (POLLIN | POLLHUP | POLLERR))
		receive_some(p, now_ns());
	if (streams && revents & POLLOUT)
		send_some(p, now_ns());
	heartbeat_handle(p->h, revents, now_ns());
	say_done(p);
}

/* Until standard input ends. */
static void serve(struct peer *p)
{
	struct pollfd f[2] = {{.fd = STDIN_FILENO, .events = POLLIN}};

	while (!f[0].revents) {
		int64_t now = now_ns();

		f[1] = (struct pollfd){.fd = p->ended ? -1 : p->fd, .events = wanted(p, now)};
		poll(f, 2, timeout_ms(p, now));
		serve_socket(p, f[1].revents);
		maybe_spin(p, now_ns());
	}
}

/* ---- setting up ---- */

static int dial(const struct sockaddr_in *a)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, (const struct sockaddr *)a, sizeof *a) < 0)
		die("connect");
	fcntl(fd, F_SETFL, O_NONBLOCK);
	return fd;
}

static int accept_one(const struct sockaddr_in *a)
{
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), fd;

	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
	if (bind(listener, (const struct sockaddr *)a, sizeof *a) < 0 || listen(listener, 1) < 0)
		die("listen");
	printf("%" PRId64 " listening\n", now_ns());
	fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0)
		die("accept");
	close(listener);
	return fd;
}

static void init_flow(struct flow *f, int64_t total)
{
	f->total = total;
	f->hash = EVP_MD_CTX_new();
	if (!f->hash || EVP_DigestInit_ex(f->hash, EVP_sha256(), NULL) != 1)
		die("sha256");
}

static void start_beats(struct peer *p, bool dials)
{
	struct heartbeat_config c = {
	    .transport = HEARTBEAT_PROBE, .interval_ns = option.interval * MS, .changed = say_changed};

	errno = -(dials ? heartbeat_watch : heartbeat_answer)(p->fd, &c, p, now_ns(), &p->h);
	if (errno)
		die("heartbeat");
	p->told = HEARTBEAT_PROBE;
}

static bool read_option(const char *text)
{
	for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
		size_t n = strlen(options[i].name);

		if (strncmp(text, options[i].name, n) || text[n] != '=')
			continue;
		*options[i].value = strtoll(text + n + 1, NULL, 10);
		return true;
	}
	return false;
}

static bool read_arguments(int argc, char **argv, struct sockaddr_in *ret_a)
{
	*ret_a = (struct sockaddr_in){.sin_family = AF_INET};
	if (argc < 4 || (strcmp(argv[1], "dial") && strcmp(argv[1], "listen")) ||
	    inet_pton(AF_INET, argv[2], &ret_a->sin_addr) != 1)
		return false;
	ret_a->sin_port = htons((uint16_t)atoi(argv[3]));
	for (int i = 4; i < argc; i++)
		if (!read_option(argv[i]))
			return false;
	return true;
}

int main(int argc, char **argv)
{
	struct sockaddr_in address;
	struct peer p = {.next_send_ns = INT64_MAX};
	bool dials;

	if (!read_arguments(argc, argv, &address)) {
		fprintf(stderr, "usage: heartbeat-peer dial|listen ADDRESS PORT [NAME=NUMBER]...\n");
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	dials = !strcmp(argv[1], "dial");
	init_flow(&p.out, option.send);
	init_flow(&p.in, option.receive);
	if (option.send)
		p.next_send_ns = 0;
	p.fd = dials ? dial(&address) : accept_one(&address);
	start_beats(&p, dials);
	serve(&p);
	say_beats(&p);
	heartbeat_free(p.h);
	close(p.fd);
	EVP_MD_CTX_free(p.out.hash);
	EVP_MD_CTX_free(p.in.hash);
	return 0;
}
