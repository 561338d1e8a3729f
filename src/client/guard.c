/* SPDX-License-Identifier: Apache-2.0 */
#include "client/guard.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "identity/context.h"
#include "identity/revoked.h"
#include "os/clock.h"

enum { PATIENCE_MS = 10000, PIECE = 16384 };

struct guard {
	int fd;
	SSL *ssl;
	BIO *in, *out; /* ssl's */
};

/* --- what the directory has --- */

struct papers {
	struct vault *vault;
	EVP_PKEY *key;
	X509 *certificate;
	struct trust *trust;
};

static void release(struct papers *p)
{
	EVP_PKEY_free(p->key);
	X509_free(p->certificate);
	trust_unref(p->trust);
	vault_close(p->vault);
}

static int read_certificate(struct papers *p, struct buf *why)
{
	struct buf pem = BUF_INIT;
	int r = vault_read(p->vault, GUARD_CERTIFICATE, VAULT_OPEN, CERTIFICATE_MAX * 2, &pem, why);
	BIO *bio = r ? NULL : BIO_new_mem_buf(pem.data, (int)pem.len);
	p->certificate = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
	if (!r && !p->certificate) {
		buf_putf(why, "%s/%s: is no certificate", vault_path(p->vault), GUARD_CERTIFICATE);
		r = -EBADMSG;
	}
	BIO_free(bio);
	buf_release(&pem);
	return r;
}

static int read_trust(struct papers *p, struct buf *why)
{
	struct buf pem = BUF_INIT, list = BUF_INIT;
	bool listed = vault_has(p->vault, GUARD_LIST);
	int r = vault_read(p->vault, GUARD_AUTHORITY, VAULT_OPEN, TRUST_BUNDLE_MAX, &pem, why);
	if (!r && listed)
		r = vault_read(p->vault, GUARD_LIST, VAULT_OPEN, REVOKED_MAX, &list, why);
	if (!r)
		r = trust_new(&p->trust, pem.data, pem.len, listed ? list.data : NULL, list.len, why);
	buf_release(&pem);
	buf_release(&list);
	return r;
}

static int load(struct papers *p, const char *directory, struct buf *why)
{
	key_keep_from_dumps(1);
	int r = vault_open(&p->vault, directory, why);
	if (!r)
		r = key_load(p->vault, GUARD_KEY, &p->key, why);
	if (!r)
		r = read_certificate(p, why);
	if (!r)
		r = read_trust(p, why);
	if (!r && X509_check_private_key(p->certificate, p->key) != 1) {
		buf_putf(why, "%s: the key and the certificate there do not belong together", directory);
		r = -EKEYREJECTED;
	}
	ERR_clear_error();
	return r;
}

static int make_context(const char *directory, SSL_CTX **ret, struct buf *why)
{
	struct papers p = {0};
	struct belief *b = NULL;
	int r = load(&p, directory, why);
	if (!r)
		r = belief_new(&b, trust_ref(p.trust), NULL);
	if (!r)
		r = context_new(CONTEXT_DIAL_HMON, b, &(struct context_papers){.certificate = p.certificate, .key = p.key,
		    .issuer = trust_authority(p.trust)}, ret, why);
	belief_unref(b);
	release(&p);
	return r;
}

/* --- bytes --- */

static int send_all(int fd, const char *bytes, size_t n)
{
	while (n) {
		ssize_t k = send(fd, bytes, n, MSG_NOSIGNAL);
		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return -errno;
		bytes += k;
		n -= (size_t)k;
	}
	return 0;
}

static int push(struct guard *g)
{
	char *bytes;
	long n = BIO_get_mem_data(g->out, &bytes);
	int r = n > 0 ? send_all(g->fd, bytes, (size_t)n) : 0;
	(void)BIO_reset(g->out);
	return r;
}

int guard_send(struct guard *g, const void *bytes, size_t n)
{
	ERR_clear_error();
	if (n && SSL_write(g->ssl, bytes, (int)n) <= 0)
		return -EPROTO;
	return push(g);
}

/* What went wrong with TLS: what the other side has refused us for, or we it. */
static int fail(struct guard *g, struct buf *why)
{
	const char *refusal = context_refusal(g->ssl);
	unsigned long error = ERR_peek_error();
	bool said = ERR_GET_LIB(error) == ERR_LIB_SSL && ERR_GET_REASON(error) >= SSL_AD_REASON_OFFSET;
	const char *reason = ERR_reason_error_string(error);
	if (refusal)
		buf_putf(why, "who answers there is not believed: %s", refusal);
	else if (said)
		buf_putf(why, "the host refuses this certificate: %s", reason ? reason : "it does not say why");
	else
		buf_putf(why, "TLS does not come about: %s", reason ? reason : "the host hung up");
	ERR_clear_error();
	return refusal || said ? -EKEYREJECTED : -EPROTO;
}

int guard_take(struct guard *g, const void *bytes, size_t n, struct buf *to, struct buf *why)
{
	char piece[PIECE];
	int k, error;
	if (BIO_write(g->in, bytes, (int)n) != (int)n)
		return -ENOMEM;
	ERR_clear_error();
	while ((k = SSL_read(g->ssl, piece, sizeof piece)) > 0)
		buf_put(to, piece, (size_t)k);
	error = SSL_get_error(g->ssl, k);
	if (error == SSL_ERROR_ZERO_RETURN)
		return -EPIPE;
	if (error != SSL_ERROR_WANT_READ)
		return fail(g, why);
	return to->failed ? -ENOMEM : push(g);
}

/* --- the handshake --- */

static int receive(struct guard *g, int64_t end_ns, struct buf *why)
{
	char piece[PIECE];
	int64_t left_ns = end_ns - clock_mono_ns();
	struct pollfd p = {.fd = g->fd, .events = POLLIN};
	int r = left_ns > 0 ? poll(&p, 1, (int)(left_ns / 1000000) + 1) : 0;
	if (r < 0)
		return errno == EINTR ? 0 : -errno;
	if (!r) {
		buf_puts(why, "TLS does not come about: the host is silent");
		return -ETIMEDOUT;
	}
	ssize_t n = recv(g->fd, piece, sizeof piece, 0);
	if (n <= 0)
		return n < 0 && errno == EINTR ? 0 : fail(g, why);
	return BIO_write(g->in, piece, (int)n) == (int)n ? 0 : -ENOMEM;
}

static int shake(struct guard *g, struct buf *why)
{
	int64_t end_ns = clock_mono_ns() + PATIENCE_MS * 1000000LL;
	for (;;) {
		ERR_clear_error();
		int done = SSL_do_handshake(g->ssl), error = SSL_get_error(g->ssl, done), r = push(g);
		if (done == 1)
			return r;
		if (error != SSL_ERROR_WANT_READ)
			return fail(g, why);
		if (!r)
			r = receive(g, end_ns, why);
		if (r)
			return r;
	}
}

static int set_up(struct guard *g, SSL_CTX *context)
{
	g->ssl = SSL_new(context);
	g->in = BIO_new(BIO_s_mem());
	g->out = BIO_new(BIO_s_mem());
	if (!g->ssl || !g->in || !g->out) {
		BIO_free(g->in);
		BIO_free(g->out);
		return -ENOMEM;
	}
	BIO_set_mem_eof_return(g->in, -1);
	SSL_set_bio(g->ssl, g->in, g->out);
	SSL_set_connect_state(g->ssl);
	return 0;
}

int guard_open(struct guard **ret, int fd, const char *directory, struct buf *why)
{
	SSL_CTX *context = NULL;
	struct guard *g = calloc(1, sizeof *g);
	int r = g ? make_context(directory, &context, why) : -ENOMEM;
	if (!r) {
		g->fd = fd;
		r = set_up(g, context);
	}
	if (!r)
		r = shake(g, why);
	SSL_CTX_free(context);
	if (r)
		guard_close(g);
	else
		*ret = g;
	return r;
}

void guard_close(struct guard *g)
{
	if (!g)
		return;
	SSL_free(g->ssl);
	free(g);
}
