/* SPDX-License-Identifier: Apache-2.0 */
/* Plays nodes against a master: NODES connections, each a monitor of METRICS values, a period a second, CHANGING % of
 * them different each time. Prints the master's processor time per sample, over SECONDS after all have registered.
 *
 *   load HOST PORT MASTER_PID NODES METRICS CHANGING SECONDS [VAULT]
 *
 * All dial at once, as after a master's restart; how long until the last has registered, and how many the kernel's
 * listen queue turned away, is printed too. SECONDS 0: only that.
 *
 * VAULT: the master's directory `cluster`, whose authority signs a certificate for each node; all is over TLS then, each handshake a
 * full one. The nodes take any certificate of the master's: what is measured is his side.
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <openssl/ssl.h>

#include "base/buf.h"
#include "base/config.h"
#include "identity/key.h"
#include "identity/signing.h"
#include "identity/trust.h"
#include "proto/describe.h"
#include "proto/row.h"
#include "proto/xml.h"

struct player {
	int fd;
	SSL *ssl; /* NULL: plain */
	uint64_t sequence;
	struct value *before, *now;
	char secret[64];
	bool introduced, ready;
};

static int nodes_n, metrics_n, changing, ready_n;
static struct player *players;
static struct config *config;
static uint64_t bytes_sent;
static long long boot;

static int64_t now_ns(clockid_t clock)
{
	struct timespec t;
	clock_gettime(clock, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

/* Of all its threads, user and system, in ns. */
static int64_t cpu_of(int pid)
{
	char path[64];
	snprintf(path, sizeof path, "/proc/%d/task", pid);
	DIR *d = opendir(path);
	int64_t sum = 0;
	for (struct dirent *e; d && (e = readdir(d));) {
		char file[400];
		long long ran = 0;
		snprintf(file, sizeof file, "%s/%s/schedstat", path, e->d_name);
		FILE *f = *e->d_name == '.' ? NULL : fopen(file, "r");
		if (f && fscanf(f, "%lld", &ran) == 1)
			sum += ran;
		if (f)
			fclose(f);
	}
	if (d)
		closedir(d);
	return sum;
}

static long memory_of(int pid)
{
	char path[64], line[200];
	long kb = 0;
	snprintf(path, sizeof path, "/proc/%d/status", pid);
	FILE *f = fopen(path, "r");
	while (f && fgets(line, sizeof line, f))
		sscanf(line, "VmRSS: %ld", &kb);
	if (f)
		fclose(f);
	return kb;
}

static void die(const char *what, const struct buf *why)
{
	fprintf(stderr, "load: %s: %s\n", what, why->len ? why->data : strerror(errno));
	exit(1);
}

/* --- plain or over TLS --- */

static ssize_t put(struct player *p, const char *bytes, size_t n)
{
	if (!p->ssl)
		return send(p->fd, bytes, n, MSG_NOSIGNAL);
	int r = SSL_write(p->ssl, bytes, (int)n);
	errno = r > 0 ? 0 : SSL_get_error(p->ssl, r) == SSL_ERROR_WANT_WRITE ? EAGAIN : EPROTO;
	return r > 0 ? r : -1;
}

static ssize_t take(struct player *p, char *bytes, size_t n)
{
	return p->ssl ? SSL_read(p->ssl, bytes, (int)n) : recv(p->fd, bytes, n, MSG_DONTWAIT);
}

/* Is the handshake over? */
static bool greet(struct player *p)
{
	int r = p->ssl ? SSL_do_handshake(p->ssl) : 1;
	struct buf none = BUF_INIT;
	if (r != 1 && SSL_get_error(p->ssl, r) != SSL_ERROR_WANT_READ && SSL_get_error(p->ssl, r) != SSL_ERROR_WANT_WRITE)
		die("a handshake failed", &none);
	return r == 1;
}

struct signer {
	EVP_PKEY *key, *nodes_key;
	X509 *certificate;
	const char *cluster;
	struct trust *trust;
	SSL_CTX *context;
};

static void open_signer(struct signer *s, const char *directory)
{
	struct vault *v;
	struct buf bundle = BUF_INIT, why = BUF_INIT;
	if (vault_open(&v, directory, &why) || key_load(v, "authority.key", &s->key, &why) ||
	    vault_read(v, "authority.pem", VAULT_OPEN, TRUST_BUNDLE_MAX, &bundle, &why) ||
	    trust_new(&s->trust, bundle.data, bundle.len, NULL, 0, &why) || key_new(&s->nodes_key, &why))
		die(directory, &why);
	s->certificate = trust_authority(s->trust);
	s->cluster = trust_cluster(s->trust);
	s->context = SSL_CTX_new(TLS_client_method());
	SSL_CTX_set_alpn_protos(s->context, (const unsigned char *)"\4hmon", 5);
	SSL_CTX_set_mode(s->context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	buf_release(&bundle);
	vault_close(v);
}

static SSL *secure(const struct signer *s, int fd, int i)
{
	char id[33];
	X509 *x;
	struct buf why = BUF_INIT;
	snprintf(id, sizeof id, "%032x", 0x10000 + i);
	X509_NAME *name = signing_name(id, CERTIFIED_NODE, s->cluster);
	struct signing g = {.kind = SIGNING_HOST, .subject = name, .subject_key = s->nodes_key, .issuer = s->certificate, .key = s->key,
	    .from_s = time(NULL) - 60, .until_s = time(NULL) + 3600};
	if (signing_make(&g, &x, &why))
		die("a certificate", &why);
	SSL *ssl = SSL_new(s->context);
	SSL_set_fd(ssl, fd);
	SSL_use_certificate(ssl, x);
	SSL_use_PrivateKey(ssl, s->nodes_key);
	SSL_set_connect_state(ssl);
	X509_free(x);
	X509_NAME_free(name);
	return ssl;
}

static void send_all(struct player *p, struct buf *b)
{
	for (size_t at = 0; at < b->len;) {
		ssize_t n = put(p, b->data + at, b->len - at);
		if (n < 0 && errno == EAGAIN) {
			usleep(200);
			continue;
		}
		if (n < 0) {
			fprintf(stderr, "load: a node's connection ended: %s\n", strerror(errno));
			exit(1);
		}
		at += (size_t)n;
	}
	bytes_sent += b->len;
	buf_clear(b);
}

static void make_config(void)
{
	const char *why;
	size_t at;
	config = config_new((size_t)metrics_n);
	for (int i = 0; i < metrics_n; i++) {
		struct metric *m = &config->metrics[i];
		if (asprintf(&m->name, "group%d/metric_%d", i / 16, i) < 0)
			exit(1);
		m->unit = strdup("1");
		m->doc = strdup("");
		m->type = i % 3 ? METRIC_COUNTER : METRIC_GAUGE;
	}
	config->period_ns = 1000000000;
	if (config_seal(config, &why, &at))
		exit(1);
}

static void introduce(struct player *p, int i)
{
	struct buf b = BUF_INIT;
	buf_puts(&b, "<hmon version=\"1\" role=\"node\" beat=\"none\">");
	buf_putf(&b, "<node query=\"register\" id=\"1\" name=\"load%d\" boot=\"%lld\"/>", i, boot);
	char digest[17];
	describe_digest(digest, config->digest);
	buf_putf(&b, "<config query=\"announce\" id=\"2\" monitor=\"m\" monitor-id=\"1\" generation=\"1\" digest=\"%s\"/>",
	    digest);
	struct msg *m = msg_new("config");
	msg_set(m, "monitor", "m");
	msg_set_int(m, "monitor-id", 1);
	msg_set_int(m, "generation", 1);
	describe_write(m, config, NULL, NULL);
	if (i == 0)
		xml_put(&b, m);
	msg_free(m);
	send_all(p, &b);
	buf_release(&b);
}

static void open_socket(struct player *p, int i)
{
	/* From many addresses of the loopback range: ports don't run out. */
	struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000100u + (unsigned)i / 1000)};
	p->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	int on = 1;
	setsockopt(p->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
	if (bind(p->fd, (struct sockaddr *)&from, sizeof from)) {
		fprintf(stderr, "load: node %d: %s\n", i, strerror(errno));
		exit(1);
	}
}

static void dial(struct player *p, int i, const struct sockaddr_in *to)
{
	int on = 1;
	if ((connect(p->fd, (const struct sockaddr *)to, sizeof *to) && errno != EINPROGRESS)) {
		fprintf(stderr, "load: connecting node %d: %s\n", i, strerror(errno));
		exit(1);
	}
	setsockopt(p->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	p->before = calloc((size_t)metrics_n, sizeof *p->before);
	p->now = calloc((size_t)metrics_n, sizeof *p->now);
	for (int k = 0; k < metrics_n; k++)
		p->now[k] = (struct value){.kind = VALUE_NUMBER, .number = (i * 7919LL + k * 104729LL) % 10000000};
}

static void change(struct player *p)
{
	memcpy(p->before, p->now, (size_t)metrics_n * sizeof *p->now);
	for (int k = 0; k < metrics_n; k++)
		if (rand() % 100 < changing)
			p->now[k].number += k % 3 ? 1 + rand() % 900 : rand() % 2001 - 1000;
}

static void send_period(struct player *p, struct buf *b, struct buf *text)
{
	bool full = !p->sequence;
	buf_clear(text);
	row_encode(text, full ? NULL : p->before, p->now, (size_t)metrics_n);
	struct xml_row row = {.id = 1, .boot = full ? boot : 0, .generation = 1, .sequence = (int64_t)++p->sequence,
	    .time_ns = now_ns(CLOCK_REALTIME), .full = full, .text = text->data, .len = text->len};
	xml_put_row(b, &row);
	send_all(p, b);
}

static void drain(struct player *p)
{
	char bytes[65536];
	ssize_t n;
	while ((n = take(p, bytes, sizeof bytes - 1)) > 0) {
		bytes[n] = '\0';
		if (!p->ready && strstr(bytes, "<end answer=\"2\"")) {
			p->ready = true;
			ready_n++;
		}
		if (strstr(bytes, "<error"))
			fprintf(stderr, "load: %s\n", strstr(bytes, "<error"));
	}
	if (!n || (n < 0 && p->ssl && SSL_get_error(p->ssl, (int)n) != SSL_ERROR_WANT_READ)) {
		fprintf(stderr, "load: the master ended a connection\n");
		exit(1);
	}
}

/* What full listen queues of this network namespace have turned away. */
static long listen_drops(void)
{
	char names[8192], numbers[8192];
	long drops = 0;
	FILE *f = fopen("/proc/net/netstat", "r");
	while (f && fgets(names, sizeof names, f) && fgets(numbers, sizeof numbers, f)) {
		char *name_at, *number_at, *name = strtok_r(names, " ", &name_at);
		for (char *n = strtok_r(numbers, " ", &number_at); n && name;
		     n = strtok_r(NULL, " ", &number_at), name = strtok_r(NULL, " ", &name_at))
			if (!strcmp(name, "ListenDrops") || !strcmp(name, "ListenOverflows"))
				drops += atol(n);
	}
	if (f)
		fclose(f);
	return drops;
}

/* Bytes over this namespace's loopback, headers of every layer included. */
static uint64_t loopback_bytes(void)
{
	char line[400];
	unsigned long long received = 0;
	FILE *f = fopen("/proc/net/dev", "r");
	while (f && fgets(line, sizeof line, f))
		sscanf(line, " lo: %llu", &received);
	if (f)
		fclose(f);
	return received;
}

static void register_all(int64_t begun_ns)
{
	struct pollfd *polls = calloc((unsigned)nodes_n, sizeof *polls);
	for (int i = 0; i < nodes_n; i++)
		polls[i] = (struct pollfd){.fd = players[i].fd, .events = POLLOUT};
	while (ready_n < nodes_n) {
		poll(polls, (nfds_t)nodes_n, 1000);
		for (int i = 0; i < nodes_n; i++) {
			struct player *p = &players[i];
			if (!polls[i].revents || p->ready)
				continue;
			if (p->introduced)
				drain(p);
			else if ((p->introduced = greet(p)))
				introduce(p, i);
			polls[i].events = p->ready ? 0 : POLLIN;
		}
		if (now_ns(CLOCK_MONOTONIC) - begun_ns > 60000000000LL) {
			fprintf(stderr, "load: only %d of %d registered\n", ready_n, nodes_n);
			exit(1);
		}
	}
	free(polls);
}

/* A second's periods, spread over it in slices, as nodes' clocks would have it. */
static void play_second(int64_t begin_ns, struct buf *b, struct buf *text)
{
	enum { SLICES = 100 };
	for (int s = 0; s < SLICES; s++) {
		int64_t wait = begin_ns + s * 1000000000LL / SLICES - now_ns(CLOCK_MONOTONIC);
		if (wait > 0)
			nanosleep(&(struct timespec){0, wait}, NULL);
		for (int i = s * nodes_n / SLICES; i < (s + 1) * nodes_n / SLICES; i++) {
			change(&players[i]);
			send_period(&players[i], b, text);
			drain(&players[i]);
		}
	}
}

int main(int argc, char **argv)
{
	if (argc != 8 && argc != 9) {
		fprintf(stderr, "usage: load HOST PORT MASTER_PID NODES METRICS CHANGING SECONDS [VAULT]\n");
		return 2;
	}
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[2]))};
	inet_pton(AF_INET, argv[1], &to.sin_addr);
	int pid = atoi(argv[3]), seconds = atoi(argv[7]);
	nodes_n = atoi(argv[4]);
	metrics_n = atoi(argv[5]);
	changing = atoi(argv[6]);
	struct rlimit r;
	getrlimit(RLIMIT_NOFILE, &r);
	r.rlim_cur = r.rlim_max;
	setrlimit(RLIMIT_NOFILE, &r);
	signal(SIGPIPE, SIG_IGN);
	boot = now_ns(CLOCK_REALTIME);
	players = nodes_n > 0 ? calloc((size_t)nodes_n, sizeof *players) : NULL;
	if (!players)
		return 2;
	make_config();
	struct signer signer;
	if (argc == 9)
		open_signer(&signer, argv[8]);
	for (int i = 0; i < nodes_n; i++) {
		open_socket(&players[i], i);
		players[i].ssl = argc == 9 ? secure(&signer, players[i].fd, i) : NULL;
	}
	long before_kb = memory_of(pid);
	int64_t cpu_before = cpu_of(pid);
	int64_t begun = now_ns(CLOCK_MONOTONIC);
	long drops = listen_drops();
	for (int i = 0; i < nodes_n; i++)
		dial(&players[i], i, &to);
	register_all(begun);
	drops = listen_drops() - drops;
	double registered = (double)(now_ns(CLOCK_MONOTONIC) - begun) / 1e9;
	if (!seconds) {
		printf("{\"nodes\": %d, \"registered_s\": %.3f, \"listen_drops\": %ld, \"core_s\": %.3f, \"kib_each\": %.1f}\n", nodes_n,
		    registered, drops, (double)(cpu_of(pid) - cpu_before) / 1e9, (double)(memory_of(pid) - before_kb) / nodes_n);
		return 0;
	}
	struct buf b = BUF_INIT, text = BUF_INIT;
	int64_t next = now_ns(CLOCK_MONOTONIC);
	for (int s = 0; s < 3; s++, next += 1000000000LL) /* full rows, tables growing: not measured */
		play_second(next, &b, &text);
	int64_t cpu = cpu_of(pid);
	int64_t from = now_ns(CLOCK_MONOTONIC);
	uint64_t bytes = bytes_sent, wire = loopback_bytes();
	for (int s = 0; s < seconds; s++, next += 1000000000LL)
		play_second(next, &b, &text);
	double took = (double)(now_ns(CLOCK_MONOTONIC) - from) / 1e9;
	double samples = (double)nodes_n * metrics_n * seconds;
	printf("{\"nodes\": %d, \"metrics\": %d, \"changing\": %d, \"seconds\": %.1f, \"us_per_sample\": %.4f, "
	       "\"core\": %.3f, \"payload_bytes_per_sample\": %.2f, \"wire_bytes_per_sample\": %.2f, \"rss_mib\": %.1f, \"registered_s\": %.2f}\n",
	    nodes_n, metrics_n, changing, took, (double)(cpu_of(pid) - cpu) / 1e3 / samples,
	    (double)(cpu_of(pid) - cpu) / 1e9 / took, (double)(bytes_sent - bytes) / samples, (double)(loopback_bytes() - wire) / samples,
	    (double)memory_of(pid) / 1024, registered);
	return 0;
}
