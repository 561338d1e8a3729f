/* SPDX-License-Identifier: Apache-2.0 */
/* relay COUNT PREFIX [SEED]: a star of hosts with a bad network, where the kernel has no netem.
 *
 * Host N is the network namespace PREFIXN (`ip netns add`), N from 1. The relay makes a TUN device tun0 in
 * each, prints "ready", and passes IPv4 packets on by their destination 10.9.H.L, host number H * 256 + L.
 * Give tun0 its address (10.9.0.N/16) and bring it up after "ready". Needs root. It ends when its standard
 * input does.
 *
 * Commands, a line each; each is answered with "ok", a line that tells what was wrong, or what it asks for:
 *   loss PERCENT                   of all packets
 *   delay MS / jitter MS           one way; jitter is even between -MS and +MS and lets packets overtake
 *   burst PERCENT LOSS ENTER LEAVE Gilbert-Elliott: LOSS percent lost in a burst and PERCENT between bursts;
 * each packet begins one with ENTER percent, ends one with LEAVE; "burst 0 0 0 0" ends it. Each host sends in
 * a chain of its own cut HOST 0|1                   nothing from or to it cut-from HOST 0|1 nothing it sends
 * arrives cut-to HOST 0|1                nothing arrives at it cut-path FROM TO 0|1           nothing from
 * one to the other urg 0|1                        1: clear the URG flag and pointer of TCP segments stat
 * "forwarded N dropped N cleared N waiting N"
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define HOSTS_MAX 300
#define PACKET_MAX 65536
#define BATCH 64

enum { FROM_STDIN = 0, FROM_TIMER = HOSTS_MAX + 1 };

struct packet {
	int64_t due_ns;
	uint64_t order; /* equal delays do not reorder */
	int to;
	size_t len;
	unsigned char *data;
};

/* Waiting packets: a heap, the earliest first. */
struct heap {
	struct packet *p;
	size_t n, size;
	uint64_t order;
};

struct host {
	int tun;
	bool cut_from, cut_to, in_burst;
	bool cut_path[HOSTS_MAX + 1];
};

struct relay {
	struct host host[HOSTS_MAX + 1];
	int hosts, epoll, timer;
	double loss, delay_ms, jitter_ms;
	struct {
		double between, within, enter, leave;
	} burst;
	bool clear_urg;
	struct heap waiting;
	uint64_t random, forwarded, dropped, cleared;
	char line[4096];
	size_t line_len;
};

static void die(const char *what)
{
	fprintf(stderr, "relay: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int64_t monotonic(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static double draw(struct relay *r)
{
	r->random ^= r->random << 13;
	r->random ^= r->random >> 7;
	r->random ^= r->random << 17;
	return (double)(r->random >> 11) / 9007199254740992.0;
}

static bool happens(struct relay *r, double percent)
{
	return percent > 0 && draw(r) * 100 < percent;
}

/* ---- packets that wait ---- */

static bool before(const struct packet *a, const struct packet *b)
{
	return a->due_ns != b->due_ns ? a->due_ns < b->due_ns : a->order < b->order;
}

static void heap_put(struct heap *h, struct packet p)
{
	size_t i = h->n++;

	if (h->n > h->size) {
		h->size = h->size ? h->size * 2 : 1024;
		h->p = reallocarray(h->p, h->size, sizeof *h->p);
		if (!h->p)
			die("memory");
	}
	p.order = h->order++;
	for (; i > 0 && before(&p, &h->p[(i - 1) / 2]); i = (i - 1) / 2)
		h->p[i] = h->p[(i - 1) / 2];
	h->p[i] = p;
}

static struct packet heap_take(struct heap *h)
{
	struct packet first = h->p[0], last = h->p[--h->n];
	size_t i = 0, child;

	while ((child = 2 * i + 1) < h->n) {
		if (child + 1 < h->n && before(&h->p[child + 1], &h->p[child]))
			child++;
		if (!before(&h->p[child], &last))
			break;
		h->p[i] = h->p[child];
		i = child;
	}
	h->p[i] = last;
	return first;
}

/* ---- one packet's way ---- */

static uint16_t word(const unsigned char *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

/* RFC 1624: the checksum follows a changed word without a look at the rest. */
static void replace_word(unsigned char *checksum, unsigned char *at, uint16_t value)
{
	uint32_t sum = (uint16_t)~word(checksum) + (uint16_t)~word(at) + value;

	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = ~sum;
	checksum[0] = (unsigned char)(sum >> 8);
	checksum[1] = (unsigned char)sum;
	at[0] = (unsigned char)(value >> 8);
	at[1] = (unsigned char)value;
}

static bool clear_urg(unsigned char *ip, size_t len)
{
	size_t head = (ip[0] & 15) * 4;
	unsigned char *tcp = ip + head;

	if (ip[9] != IPPROTO_TCP || len < head + 20 || !(tcp[13] & 0x20))
		return false;
	replace_word(tcp + 16, tcp + 12, word(tcp + 12) & (uint16_t)~0x20);
	replace_word(tcp + 16, tcp + 18, 0);
	return true;
}

static bool lost_in_burst(struct relay *r, struct host *from)
{
	if (r->burst.enter <= 0)
		return false;
	from->in_burst = from->in_burst ? !happens(r, r->burst.leave) : happens(r, r->burst.enter);
	return happens(r, from->in_burst ? r->burst.within : r->burst.between);
}

static bool is_cut(const struct relay *r, int from, int to)
{
	return r->host[from].cut_from || r->host[to].cut_to || r->host[from].cut_path[to];
}

static void deliver(struct relay *r, int to, const unsigned char *data, size_t len)
{
	/* A full or closed device loses it, as a network does. */
	if (write(r->host[to].tun, data, len) < 0)
		r->dropped++;
	else
		r->forwarded++;
}

static void delay(struct relay *r, int to, const unsigned char *data, size_t len)
{
	double ms = r->delay_ms + (draw(r) * 2 - 1) * r->jitter_ms;
	struct packet p = {.due_ns = monotonic() + (int64_t)(ms * 1e6), .to = to, .len = len};

	if (ms <= 0) {
		deliver(r, to, data, len);
		return;
	}
	p.data = malloc(len);
	if (!p.data)
		die("memory");
	memcpy(p.data, data, len);
	heap_put(&r->waiting, p);
}

static void route(struct relay *r, int from, unsigned char *data, size_t len)
{
	int to = len >= 20 && data[0] >> 4 == 4 ? word(data + 18) : 0;

	if (to < 1 || to > r->hosts)
		return;
	if (is_cut(r, from, to) || happens(r, r->loss) || lost_in_burst(r, &r->host[from])) {
		r->dropped++;
		return;
	}
	if (r->clear_urg)
		r->cleared += clear_urg(data, len);
	delay(r, to, data, len);
}

static void read_packets(struct relay *r, int from)
{
	static unsigned char data[PACKET_MAX];
	ssize_t n;

	for (int i = 0; i < BATCH && (n = read(r->host[from].tun, data, sizeof data)) > 0; i++)
		route(r, from, data, (size_t)n);
}

static void deliver_due(struct relay *r)
{
	int64_t now = monotonic();
	struct packet p;

	while (r->waiting.n && r->waiting.p[0].due_ns <= now) {
		p = heap_take(&r->waiting);
		deliver(r, p.to, p.data, p.len);
		free(p.data);
	}
}

static void arm_timer(const struct relay *r)
{
	struct itimerspec t = {0};

	if (r->waiting.n) {
		t.it_value.tv_sec = r->waiting.p[0].due_ns / 1000000000;
		t.it_value.tv_nsec = r->waiting.p[0].due_ns % 1000000000;
	}
	timerfd_settime(r->timer, TFD_TIMER_ABSTIME, &t, NULL);
}

/* ---- commands: NAME and up to four numbers ---- */

static bool is_host(const struct relay *r, double n)
{
	return n >= 1 && n <= r->hosts && n == (int)n;
}

static const char *set_loss(struct relay *r, const double *a)
{
	r->loss = a[0];
	return NULL;
}

static const char *set_delay(struct relay *r, const double *a)
{
	r->delay_ms = a[0];
	return NULL;
}

static const char *set_jitter(struct relay *r, const double *a)
{
	r->jitter_ms = a[0];
	return NULL;
}

static const char *set_burst(struct relay *r, const double *a)
{
	r->burst.between = a[0];
	r->burst.within = a[1];
	r->burst.enter = a[2];
	r->burst.leave = a[3];
	for (int i = 1; i <= r->hosts; i++)
		r->host[i].in_burst = false;
	return NULL;
}

static const char *cut_from(struct relay *r, const double *a)
{
	if (!is_host(r, a[0]))
		return "no such host";
	r->host[(int)a[0]].cut_from = a[1] != 0;
	return NULL;
}

static const char *cut_to(struct relay *r, const double *a)
{
	if (!is_host(r, a[0]))
		return "no such host";
	r->host[(int)a[0]].cut_to = a[1] != 0;
	return NULL;
}

static const char *cut(struct relay *r, const double *a)
{
	const char *wrong = cut_from(r, a);

	return wrong ? wrong : cut_to(r, a);
}

static const char *cut_path(struct relay *r, const double *a)
{
	if (!is_host(r, a[0]) || !is_host(r, a[1]))
		return "no such host";
	r->host[(int)a[0]].cut_path[(int)a[1]] = a[2] != 0;
	return NULL;
}

static const char *set_urg(struct relay *r, const double *a)
{
	r->clear_urg = a[0] != 0;
	return NULL;
}

static const char *stat_line(struct relay *r, const double *a)
{
	static char line[128];

	snprintf(line, sizeof line,
	    "forwarded %" PRIu64 " dropped %" PRIu64 " cleared %" PRIu64 " waiting %zu", r->forwarded,
	    r->dropped, r->cleared, r->waiting.n);
	return line;
}

static const struct command {
	const char *name;
	int numbers;
	const char *(*run)(struct relay *r, const double *numbers);
} commands[] = {
    {"loss", 1, set_loss},
    {"delay", 1, set_delay},
    {"jitter", 1, set_jitter},
    {"burst", 4, set_burst},
    {"cut", 2, cut},
    {"cut-from", 2, cut_from},
    {"cut-to", 2, cut_to},
    {"cut-path", 3, cut_path},
    {"urg", 1, set_urg},
    {"stat", 0, stat_line},
};

static const char *run_line(struct relay *r, const char *line)
{
	char name[16] = "";
	double a[4] = {0};
	int n = sscanf(line, "%15s %lf %lf %lf %lf", name, &a[0], &a[1], &a[2], &a[3]) - 1;
	const char *said;

	for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
		if (strcmp(commands[i].name, name))
			continue;
		if (commands[i].numbers != n)
			return "wrong number of arguments";
		said = commands[i].run(r, a);
		return said ? said : "ok";
	}
	return "no such command";
}

/* False at the end of the input. */
static bool read_commands(struct relay *r)
{
	ssize_t n = read(STDIN_FILENO, r->line + r->line_len, sizeof r->line - 1 - r->line_len);
	char *end;

	if (n <= 0)
		return n < 0 && (errno == EAGAIN || errno == EINTR);
	r->line_len += (size_t)n;
	r->line[r->line_len] = 0;
	while ((end = strchr(r->line, '\n'))) {
		*end++ = 0;
		puts(run_line(r, r->line));
		r->line_len -= (size_t)(end - r->line);
		memmove(r->line, end, r->line_len + 1);
	}
	fflush(stdout);
	return r->line_len < sizeof r->line - 1;
}

/* ---- setting up ---- */

static void enter_namespace(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || setns(fd, CLONE_NEWNET) < 0)
		die(path);
	close(fd);
}

static int open_tun(void)
{
	struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI, .ifr_name = "tun0"};
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0 || ioctl(fd, TUNSETIFF, &request) < 0)
		die("tun0");
	return fd;
}

static void listen_to(struct relay *r, int fd, uint32_t id)
{
	struct epoll_event e = {.events = EPOLLIN, .data.u32 = id};

	if (epoll_ctl(r->epoll, EPOLL_CTL_ADD, fd, &e) < 0)
		die("epoll");
}

static void open_hosts(struct relay *r, const char *prefix)
{
	char path[256], home[] = "/proc/self/ns/net";
	int own = open(home, O_RDONLY | O_CLOEXEC);

	for (int i = 1; i <= r->hosts; i++) {
		snprintf(path, sizeof path, "/var/run/netns/%s%d", prefix, i);
		enter_namespace(path);
		r->host[i].tun = open_tun();
		listen_to(r, r->host[i].tun, (uint32_t)i);
	}
	if (own < 0 || setns(own, CLONE_NEWNET) < 0)
		die(home);
	close(own);
}

static void serve(struct relay *r)
{
	struct epoll_event e[BATCH];
	uint64_t expirations;
	int n;

	for (;;) {
		n = epoll_wait(r->epoll, e, BATCH, -1);
		for (int i = 0; i < n; i++) {
			if (e[i].data.u32 == FROM_STDIN) {
				if (!read_commands(r))
					return;
			} else if (e[i].data.u32 == FROM_TIMER) {
				if (read(r->timer, &expirations, sizeof expirations) < 0 && errno != EAGAIN)
					die("timer");
			} else {
				read_packets(r, (int)e[i].data.u32);
			}
		}
		deliver_due(r);
		arm_timer(r);
	}
}

int main(int argc, char **argv)
{
	static struct relay r;

	if (argc < 3 || (r.hosts = atoi(argv[1])) < 1 || r.hosts > HOSTS_MAX) {
		fprintf(stderr, "usage: relay COUNT PREFIX [SEED]   (COUNT at most %d)\n", HOSTS_MAX);
		return 2;
	}
	r.random = (argc > 3 ? strtoull(argv[3], NULL, 10) : 1) * UINT64_C(0x9e3779b97f4a7c15) | 1;
	r.epoll = epoll_create1(EPOLL_CLOEXEC);
	r.timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (r.epoll < 0 || r.timer < 0)
		die("epoll");
	open_hosts(&r, argv[2]);
	listen_to(&r, STDIN_FILENO, FROM_STDIN);
	listen_to(&r, r.timer, FROM_TIMER);
	puts("ready");
	fflush(stdout);
	serve(&r);
	return 0;
}
