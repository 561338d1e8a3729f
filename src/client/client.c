/* SPDX-License-Identifier: Apache-2.0 */
#include "client/client.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/guard.h"
#include "os/clock.h"
#include "os/connect.h"
#include "proto/xml.h"

struct client {
	int fd;
	struct guard *guard; /* NULL: it is plain */
	struct xml *xml;
	char *daemon;
	int64_t last_id;
	struct msg **queue; /* read, not yet given */
	size_t first, n, size;
	int error;
	struct buf why; /* of the error, where TLS knows */
};

enum { GREETING_MS = 10000 };

/* --- what comes --- */

static int on_open(void *data, const struct msg *hmon)
{
	struct client *c = data;
	c->daemon = strdup(msg_get(hmon, "name", ""));
	return c->daemon ? 0 : -ENOMEM;
}

static int push(struct client *c, struct msg *m)
{
	if (c->n == c->size) {
		size_t size = c->size ? c->size * 2 : 16;
		struct msg **more = realloc(c->queue, size * sizeof *more);
		if (!more)
			return -ENOMEM;
		c->queue = more;
		c->size = size;
	}
	c->queue[c->n++] = m;
	return 0;
}

static int on_stanza(void *data, const struct msg *stanza)
{
	struct msg *m = msg_dup(stanza);
	int r = m ? push(data, m) : -ENOMEM;
	if (r)
		msg_free(m);
	return r;
}

static int on_row(void *data, const struct xml_row *row)
{
	return 0;
}

static int on_close(void *data)
{
	return 0;
}

static const struct xml_sink sink = {on_open, on_stanza, on_row, on_close};

/* --- connecting --- */

/* Who hung up may have said why: that is still to be read. */
static int send_all(int fd, const char *bytes, size_t n)
{
	while (n) {
		ssize_t k = send(fd, bytes, n, MSG_NOSIGNAL);
		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return errno == EPIPE ? 0 : -errno;
		bytes += k;
		n -= (size_t)k;
	}
	return 0;
}

static int say(struct client *c, const char *bytes, size_t n)
{
	return c->guard ? guard_send(c->guard, bytes, n) : send_all(c->fd, bytes, n);
}

static bool is_by_network(int fd)
{
	int domain;
	socklen_t n = sizeof domain;
	return !getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &n) && domain != AF_UNIX;
}

static int read_more(struct client *c, int timeout_ms);

/* With TLS who is refused learns it after the handshake: at the latest in place of a greeting. */
static int await_greeting(struct client *c, struct buf *why)
{
	int64_t end_ns = clock_mono_ns() + GREETING_MS * 1000000LL;
	int r = 0;
	while (r >= 0 && !c->daemon && clock_mono_ns() < end_ns)
		r = read_more(c, GREETING_MS);
	if (r >= 0 && c->daemon)
		return 0;
	buf_puts(why, c->why.len ? buf_str(&c->why) : "TLS came about, and then the host said nothing");
	return r < 0 ? r : -ETIMEDOUT;
}

static int greet(struct client *c, struct buf *why)
{
	static const char greeting[] = "<hmon version=\"1\" role=\"client\">\n";
	int r = say(c, greeting, sizeof greeting - 1);
	return r || !c->guard ? r : await_greeting(c, why);
}

int client_open(struct client **ret, const char *at, const char *papers, struct buf *why)
{
	int fd = connect_daemon(at, why);
	if (fd < 0)
		return fd;
	struct client *c = calloc(1, sizeof *c);
	if (!c) {
		close(fd);
		return -ENOMEM;
	}
	c->fd = fd;
	c->xml = xml_new(&sink, c);
	int r = !c->xml ? -ENOMEM : papers && is_by_network(fd) ? guard_open(&c->guard, fd, papers, why) : 0;
	if (!r) {
		xml_trust(c->xml);
		r = greet(c, why);
	}
	if (r)
		client_close(c);
	else
		*ret = c;
	return r;
}

void client_close(struct client *c)
{
	if (!c)
		return;
	while (c->first < c->n)
		msg_free(c->queue[c->first++]);
	free(c->queue);
	xml_free(c->xml);
	free(c->daemon);
	guard_close(c->guard);
	buf_release(&c->why);
	close(c->fd);
	free(c);
}

const char *client_daemon(const struct client *c)
{
	return c->daemon ? c->daemon : "";
}

int client_fd(const struct client *c)
{
	return c->fd;
}

/* --- asking --- */

struct msg *client_query(struct client *c, const char *noun, const char *verb)
{
	struct msg *m = msg_new(noun);
	if (!m)
		return NULL;
	msg_set(m, "query", verb);
	msg_set_int(m, "id", ++c->last_id);
	return m;
}

int64_t client_ask_all(struct client *c, struct msg *const *queries, size_t n)
{
	struct buf out = BUF_INIT;
	int64_t id = 0;
	bool failed = false;
	for (size_t i = 0; i < n; i++) {
		failed |= !queries[i] || msg_failed(queries[i]) || (!i && msg_get_int(queries[i], "id", &id));
		if (!failed)
			xml_put(&out, queries[i]);
		msg_free(queries[i]);
	}
	int r = failed || out.failed ? -ENOMEM : say(c, out.data, out.len);
	buf_release(&out);
	return r ? r : id;
}

int64_t client_ask(struct client *c, struct msg *query)
{
	return client_ask_all(c, &query, 1);
}

static int take(struct client *c, const char *bytes, size_t n)
{
	struct buf plain = BUF_INIT;
	if (!c->guard)
		return xml_feed(c->xml, bytes, n);
	int r = guard_take(c->guard, bytes, n, &plain, &c->why);
	int r2 = plain.len ? xml_feed(c->xml, plain.data, plain.len) : 0;
	buf_release(&plain);
	return r2 ? r2 : r;
}

static int read_more(struct client *c, int timeout_ms)
{
	char bytes[65536];
	struct pollfd p = {.fd = c->fd, .events = POLLIN};
	int r = poll(&p, 1, timeout_ms);
	if (r <= 0)
		return r < 0 && errno != EINTR ? -errno : 0;
	ssize_t n = recv(c->fd, bytes, sizeof bytes, 0);
	if (n <= 0)
		return n < 0 && errno == EINTR ? 0 : -EPIPE;
	r = take(c, bytes, (size_t)n);
	return r ? r : 1;
}

static int left_ms(int64_t end_ns)
{
	int64_t left = end_ns - clock_mono_ns();
	return left > 0 ? (int)(left / 1000000) + 1 : 0;
}

int client_next(struct client *c, int timeout_ms, struct msg **ret)
{
	int64_t end_ns = clock_mono_ns() + timeout_ms * 1000000LL;
	while (c->first == c->n) {
		c->first = c->n = 0;
		if (c->error)
			return c->error;
		int wait = timeout_ms < 0 ? -1 : left_ms(end_ns);
		int r = read_more(c, wait);
		if (r < 0)
			c->error = r;
		else if (!r && timeout_ms >= 0 && !left_ms(end_ns))
			return 0;
		else if (!r && timeout_ms < 0)
			return 0; /* a signal: the caller may want to know */
	}
	*ret = c->queue[c->first++];
	return 1;
}

static bool ends(const struct msg *m)
{
	return !strcmp(m->name, "end") || (!strcmp(m->name, "error") && !msg_get_flag(m, "partial"));
}

static bool answers(const struct msg *m, int64_t id)
{
	int64_t answer;
	if (!msg_get_int(m, "answer", &answer))
		return answer == id;
	return !strcmp(m->name, "error");
}

int client_call(struct client *c, struct msg *query, client_fn *fn, void *data, struct msg **ret_error)
{
	int64_t id = client_ask(c, query);
	struct msg *m;
	int r = id < 0 ? (int)id : 0;
	while (!r) {
		int k = client_next(c, -1, &m);
		if (k < 0)
			return k;
		if (!k)
			continue;
		bool end = answers(m, id) && ends(m);
		if (end && !strcmp(m->name, "error")) {
			*ret_error = m;
			return -EREMOTEIO;
		}
		if (!end && answers(m, id) && fn)
			r = fn(data, m);
		msg_free(m);
		if (end)
			return 0;
	}
	return r;
}
