/* SPDX-License-Identifier: Apache-2.0 */
#include "net/tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HANDSHAKE_MOST = 65536, WORKERS = 2 };

struct tls {
	SSL *ssl;
	struct net *net;
	struct buf in, out; /* between us and the peer */
	size_t taken;	    /* of in */
	tls_step_fn *stepped;
	void *owner; /* NULL: it is freed when the worker has done */
	uv_work_t work;
	struct tls *next; /* in the queue for a worker */
	int result;
	bool open, busy, queued;
	char why[160];
};

/* --- OpenSSL's way to the bytes --- */

static int bio_read(BIO *bio, char *to, int n)
{
	struct tls *t = BIO_get_data(bio);
	size_t left = t->in.len - t->taken, take = left < (size_t)n ? left : (size_t)n;
	BIO_clear_retry_flags(bio);
	if (!take) {
		BIO_set_retry_read(bio);
		return -1;
	}
	memcpy(to, t->in.data + t->taken, take);
	t->taken += take;
	return (int)take;
}

static int bio_write(BIO *bio, const char *bytes, int n)
{
	struct buf *out = &((struct tls *)BIO_get_data(bio))->out;
	BIO_clear_retry_flags(bio);
	buf_put(out, bytes, (size_t)n);
	return out->failed ? -1 : n;
}

static long bio_control(BIO *bio, int command, long number, void *pointer)
{
	return command == BIO_CTRL_FLUSH;
}

static BIO_METHOD *method(void)
{
	static BIO_METHOD *m;
	if (!m && (m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "vigia"))) {
		BIO_meth_set_read(m, bio_read);
		BIO_meth_set_write(m, bio_write);
		BIO_meth_set_ctrl(m, bio_control);
	}
	return m;
}

/* --- what is wrong --- */

static const char *text_of(unsigned long error)
{
	static const struct {
		int reason;
		const char *text;
	} texts[] = {
	    {SSL_R_WRONG_VERSION_NUMBER, "it does not speak TLS"},
	    {SSL_R_HTTP_REQUEST, "it speaks plain HTTP"},
	    {SSL_R_HTTPS_PROXY_REQUEST, "it speaks plain HTTP"},
	    {SSL_R_UNSUPPORTED_PROTOCOL, "it speaks no TLS 1.3"},
	    {SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE, "it shows no certificate"},
	    {SSL_R_NO_APPLICATION_PROTOCOL, "it wants a protocol that is not spoken here"},
	    {SSL_R_CALLBACK_FAILED, "it asks for no protocol that is spoken here"},
	    {SSL_R_NO_SHARED_CIPHER, "it has no cipher in common with us"},
	};
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		if (ERR_GET_LIB(error) == ERR_LIB_SSL && ERR_GET_REASON(error) == texts[i].reason)
			return texts[i].text;
	const char *reason = ERR_reason_error_string(error);
	return reason ? reason : "what it says can't be understood";
}

static void note_failure(struct tls *t)
{
	long verdict = SSL_get_verify_result(t->ssl);
	unsigned long error = ERR_peek_error();
	if (*t->why)
		return;
	if (verdict != X509_V_OK)
		snprintf(t->why, sizeof t->why, "its certificate is refused: %s", X509_verify_cert_error_string(verdict));
	else if (ERR_GET_LIB(error) == ERR_LIB_SSL && ERR_GET_REASON(error) >= SSL_AD_REASON_OFFSET)
		snprintf(t->why, sizeof t->why, "it refuses us: %s", text_of(error));
	else
		snprintf(t->why, sizeof t->why, "%s", text_of(error));
}

/* --- the handshake, by workers --- */

static void shake(uv_work_t *work)
{
	struct tls *t = work->data;
	ERR_clear_error();
	int r = SSL_do_handshake(t->ssl);
	if (r == 1)
		t->result = 1;
	else if (SSL_get_error(t->ssl, r) == SSL_ERROR_WANT_READ)
		t->result = 0;
	else
		t->result = -EPROTO;
	if (t->result < 0)
		note_failure(t);
	ERR_clear_error();
}

static void shaken(uv_work_t *work, int status);

static void start_next(struct net *net)
{
	struct tls *t = net->handshakes;
	if (!t || net->handshakes_n == WORKERS)
		return;
	net->handshakes = t->next;
	if (!net->handshakes)
		net->handshakes_end = &net->handshakes;
	t->queued = false;
	net->handshakes_n++;
	uv_queue_work(net->loop, &t->work, shake, shaken);
}

static void release(struct tls *t)
{
	SSL_free(t->ssl);
	buf_release(&t->in);
	buf_release(&t->out);
	free(t);
}

static void shaken(uv_work_t *work, int status)
{
	struct tls *t = work->data;
	struct net *net = t->net;
	t->busy = false;
	t->open = t->result == 1;
	net->handshakes_n--;
	if (t->owner)
		t->stepped(t->owner, t->result);
	else
		release(t);
	start_next(net);
}

int tls_step(struct tls *t)
{
	struct net *net = t->net;
	t->busy = t->queued = true;
	t->next = NULL;
	if (!net->handshakes)
		net->handshakes_end = &net->handshakes;
	*net->handshakes_end = t;
	net->handshakes_end = &t->next;
	start_next(net);
	return 0;
}

/* --- life --- */

static int set_alpn(SSL *ssl, const char *alpn)
{
	unsigned char wire[64];
	size_t n = strlen(alpn);
	if (n >= sizeof wire)
		return -EINVAL;
	wire[0] = (unsigned char)n;
	memcpy(wire + 1, alpn, n);
	return SSL_set_alpn_protos(ssl, wire, (unsigned)n + 1) ? -ENOMEM : 0;
}

static int set_up(struct tls *t, SSL_CTX *context, bool accepting, const char *alpn)
{
	t->ssl = SSL_new(context);
	BIO *bio = t->ssl ? BIO_new(method()) : NULL;
	if (!bio)
		return -ENOMEM;
	BIO_set_data(bio, t);
	BIO_set_init(bio, 1);
	SSL_set_bio(t->ssl, bio, bio);
	SSL_set_mode(t->ssl, SSL_MODE_RELEASE_BUFFERS);
	if (accepting)
		SSL_set_accept_state(t->ssl);
	else
		SSL_set_connect_state(t->ssl);
	return alpn ? set_alpn(t->ssl, alpn) : 0;
}

int tls_new(struct tls **ret, struct net *net, SSL_CTX *context, bool accepting, const char *alpn, tls_step_fn *stepped,
    void *owner)
{
	struct tls *t = calloc(1, sizeof *t);
	if (!t)
		return -ENOMEM;
	*t = (struct tls){.net = net, .stepped = stepped, .owner = owner, .work.data = t};
	int r = set_up(t, context, accepting, alpn);
	if (r)
		release(t);
	else
		*ret = t;
	ERR_clear_error();
	return r;
}

static void unqueue(struct tls *t)
{
	struct tls **p = &t->net->handshakes;
	while (*p != t)
		p = &(*p)->next;
	*p = t->next;
	if (!t->next)
		t->net->handshakes_end = p;
}

void tls_free(struct tls *t)
{
	if (!t)
		return;
	t->owner = NULL;
	if (t->queued)
		unqueue(t);
	if (t->queued || !t->busy)
		release(t);
}

const SSL *tls_ssl(const struct tls *t)
{
	return t->ssl;
}

const char *tls_why(const struct tls *t)
{
	return t->why;
}

bool tls_is_open(const struct tls *t)
{
	return t->open;
}

bool tls_is_busy(const struct tls *t)
{
	return t->busy;
}

/* --- in --- */

int tls_put_in(struct tls *t, const void *bytes, size_t n)
{
	buf_consume(&t->in, t->taken);
	t->taken = 0;
	if (!t->open && t->in.len + n > HANDSHAKE_MOST) {
		snprintf(t->why, sizeof t->why, "its handshake is larger than %d bytes", HANDSHAKE_MOST);
		return -EPROTO;
	}
	buf_put(&t->in, bytes, n);
	return t->in.failed ? -ENOMEM : 0;
}

ssize_t tls_read(struct tls *t, char *to, size_t n)
{
	ERR_clear_error();
	int r = SSL_read(t->ssl, to, n > INT32_MAX ? INT32_MAX : (int)n);
	if (r > 0)
		return r;
	int error = SSL_get_error(t->ssl, r);
	if (error == SSL_ERROR_WANT_READ) {
		if (t->taken == t->in.len) { /* memory for a burst goes back */
			buf_release(&t->in);
			t->taken = 0;
		}
		return 0;
	}
	if (error == SSL_ERROR_ZERO_RETURN)
		return -EPIPE;
	note_failure(t);
	ERR_clear_error();
	return -EPROTO;
}

bool tls_has_more(const struct tls *t)
{
	return t->in.len > t->taken || SSL_pending(t->ssl);
}

/* --- out --- */

int tls_write(struct tls *t, const void *bytes, size_t n)
{
	ERR_clear_error();
	int r = n ? SSL_write(t->ssl, bytes, (int)n) : 0;
	if (r == (int)n)
		return 0;
	note_failure(t);
	ERR_clear_error();
	return t->out.failed ? -ENOMEM : -EPROTO;
}

void tls_say_end(struct tls *t)
{
	if (t->open)
		SSL_shutdown(t->ssl);
	ERR_clear_error();
}

struct buf *tls_out(struct tls *t)
{
	return &t->out;
}
