/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <netdb.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "proto/frame.h"
#include "services/cluster/membership.h"

enum { PATIENCE_S = 10, QUERY = 1 };

struct visit {
	SSL *ssl;
	struct frame_cutter cutter;
	struct msg *papers;
	struct buf *why;
	int result; /* 0: not over yet; 1: well */
};

/* --- the way there --- */

static int connect_one(const struct addrinfo *a)
{
	struct timeval patience = {.tv_sec = PATIENCE_S};
	int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
	if (!connect(fd, a->ai_addr, a->ai_addrlen))
		return fd;
	int r = errno == EINPROGRESS ? -ETIMEDOUT : -errno;
	close(fd);
	return r;
}

/* HOST[:PORT], [IPV6][:PORT]. */
static int connect_to(const char *at, struct buf *why)
{
	char host[256];
	const char *bracket = *at == '[' ? strchr(at, ']') : NULL, *colon = strchr(bracket ? bracket : at, ':');
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
	size_t n = colon ? (size_t)(colon - at) : strlen(at);
	snprintf(host, sizeof host, "%.*s", (int)(bracket ? bracket - at - 1 : (ptrdiff_t)n), at + !!bracket);
	int e = getaddrinfo(host, colon ? colon + 1 : "7660", &hints, &found), fd = -EHOSTUNREACH;
	if (e) {
		buf_putf(why, "%s: %s", at, gai_strerror(e));
		return -EHOSTUNREACH;
	}
	for (const struct addrinfo *a = found; a && fd < 0; a = a->ai_next)
		fd = connect_one(a);
	freeaddrinfo(found);
	if (fd < 0)
		buf_putf(why, "%s: %s", at, strerror(-fd));
	return fd < 0 ? -EHOSTUNREACH : fd;
}

static int fail_tls(struct visit *v, const char *at)
{
	const char *refusal = context_refusal(v->ssl), *reason = ERR_reason_error_string(ERR_peek_error());
	buf_putf(v->why, "%s: %s", at, refusal ? refusal : reason ? reason : "it hung up in the handshake");
	ERR_clear_error();
	return refusal ? -EKEYREJECTED : -EHOSTUNREACH;
}

/* --- what is said there --- */

static int say(struct visit *v, const struct host_id *self, const struct token *t, const struct buf *request)
{
	char id[HOST_ID_TEXT];
	struct buf out = BUF_INIT;
	struct frame_route route = {.deadline_ms = PATIENCE_S * 1000};
	struct msg *hello = msg_new("hello"), *m = msg_new("cluster");
	if (!hello || !m) {
		msg_free(hello);
		msg_free(m);
		return -ENOMEM;
	}
	host_id_format(self, id);
	msg_set_int(hello, "version", 1);
	msg_set(m, "query", "admit");
	msg_set(m, "host", id);
	msg_set_bytes(m, "secret", t->secret, sizeof t->secret);
	msg_set_bytes(m, "request", request->data, request->len);
	buf_put(&out, FRAME_PREFACE, FRAME_PREFACE_SIZE);
	frame_put_msg(&out, FRAME_HELLO, 0, hello);
	frame_put_query(&out, 0, QUERY, &route, m);
	int r = out.failed ? -ENOMEM : SSL_write(v->ssl, out.data, (int)out.len) == (int)out.len ? 0 : -EHOSTUNREACH;
	if (out.data)
		OPENSSL_cleanse(out.data, out.size);
	buf_release(&out);
	msg_free(hello);
	msg_free(m);
	return r;
}

static int on_frame(void *data, const struct frame *f)
{
	struct visit *v = data;
	const char *why;
	struct msg *m = NULL;
	if (f->kind == FRAME_END)
		v->result = v->papers ? 1 : -EBADMSG;
	else if (f->kind == FRAME_ANSWER && !v->papers)
		return frame_get_msg(f, &v->papers, &why);
	else if (f->kind == FRAME_ERROR && !frame_get_msg(f, &m, &why)) {
		buf_putf(v->why, "the master says: %s", m->text);
		v->result = -EKEYREJECTED;
	}
	msg_free(m);
	return 0;
}

static int hear(struct visit *v)
{
	char bytes[16384];
	while (!v->result) {
		int n = SSL_read(v->ssl, bytes, sizeof bytes);
		int r = n > 0 ? frame_cut(&v->cutter, bytes, (size_t)n, on_frame, v) : -EHOSTUNREACH;
		if (r) {
			buf_puts(v->why, n > 0 ? "the master says what can't be understood" : "the master hung up without an answer");
			return r;
		}
	}
	return v->result < 0 ? v->result : 0;
}

/* --- all of it --- */

static int visit(struct visit *v, const char *at, const struct host_id *self, const struct token *t, const struct buf *request)
{
	SSL_CTX *context = NULL;
	int fd = connect_to(at, v->why), r = fd < 0 ? fd : context_new_join(t->authority, NULL, &context, v->why);
	if (!r && !(v->ssl = SSL_new(context)))
		r = -ENOMEM;
	if (!r && (!SSL_set_fd(v->ssl, fd) || SSL_connect(v->ssl) != 1))
		r = fail_tls(v, at);
	if (!r)
		r = say(v, self, t, request);
	if (!r)
		r = hear(v);
	SSL_free(v->ssl);
	SSL_CTX_free(context);
	if (fd >= 0)
		close(fd);
	frame_cutter_release(&v->cutter);
	return r;
}

static int take(struct vault *v, const struct host_id *self, const struct token *t, const struct msg *m, int64_t now_s, struct buf *why)
{
	struct place_papers p = {.fingerprint = t->authority};
	const uint8_t *bundle = NULL, *list = NULL, *certificate = NULL;
	if (msg_get_bytes(m, "authority", &bundle, &p.bundle_n) || msg_get_bytes(m, "certificate", &certificate, &p.certificate_n)) {
		buf_puts(why, "the master's papers are not whole");
		return -EBADMSG;
	}
	msg_get_bytes(m, "list", &list, &p.list_n);
	p.bundle = bundle;
	p.list = list;
	p.certificate = certificate;
	return place_join(v, self, &p, now_s, why);
}

int newcomer_join(struct vault *v, const struct host_id *self, const struct token *t, int64_t now_s, struct buf *why)
{
	char masters[TOKEN_MASTERS + 1], *rest = masters, *at;
	struct buf request = BUF_INIT;
	int r = place_request(v, &request, why);
	snprintf(masters, sizeof masters, "%s", t->masters);
	for (bool again = !r; again && (at = strsep(&rest, ","));) {
		struct visit visited = {.why = why};
		buf_clear(why);
		r = visit(&visited, at, self, t, &request);
		if (!r)
			r = take(v, self, t, visited.papers, now_s, why);
		msg_free(visited.papers);
		again = r == -EHOSTUNREACH;
	}
	buf_release(&request);
	return r;
}
