/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/context.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "identity/refuse.h"
#include "os/clock.h"

/* What a context's callbacks know, and its certificate for newcomers. */
struct setting {
	struct belief *belief; /* NULL: a newcomer's */
	X509 *issuer;
	enum context_protocol dials; /* NONE: it accepts */
	uint8_t fingerprint[FINGERPRINT_BYTES];
	belief_clock_fn *now_s;
};

static const char *const protocol_names[] = {[PROTOCOL_HMON] = "hmon", [PROTOCOL_FRAMES] = "vigia-frames", [PROTOCOL_JOIN] = "vigia-join"};
enum { PROTOCOLS = sizeof protocol_names / sizeof *protocol_names, PROTOCOL_NAME = 16 };

/* --- what hangs on OpenSSL's own things --- */

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int setting_index, refusal_index;

static void free_setting(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int index, long argl, void *argp)
{
	struct setting *s = ptr;
	if (!s)
		return;
	belief_unref(s->belief);
	X509_free(s->issuer);
	free(s);
}

static void free_refusal(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int index, long argl, void *argp)
{
	free(ptr);
}

static void draw_indices(void)
{
	setting_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, free_setting);
	refusal_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, free_refusal);
}

const char *context_refusal(const SSL *ssl)
{
	return SSL_get_ex_data(ssl, refusal_index);
}

static void note_refusal(SSL *ssl, struct buf *why)
{
	free(SSL_get_ex_data(ssl, refusal_index));
	SSL_set_ex_data(ssl, refusal_index, buf_take(why));
}

/* --- protocols --- */

static enum context_protocol protocol_of(const unsigned char *name, size_t n)
{
	for (size_t i = PROTOCOL_HMON; i < PROTOCOLS; i++)
		if (n == strlen(protocol_names[i]) && !memcmp(name, protocol_names[i], n))
			return (enum context_protocol)i;
	return PROTOCOL_NONE;
}

static enum context_protocol selected(const SSL *ssl)
{
	const unsigned char *name;
	unsigned n;
	SSL_get0_alpn_selected(ssl, &name, &n);
	return protocol_of(name, n);
}

enum context_protocol context_protocol(const SSL *ssl)
{
	return SSL_is_init_finished(ssl) ? selected(ssl) : PROTOCOL_NONE;
}

static bool offers(const unsigned char *in, unsigned n, enum context_protocol p, const unsigned char **ret)
{
	for (unsigned i = 0; i < n && in[i] < n - i; i += in[i] + 1u)
		if (protocol_of(in + i + 1, in[i]) == p) {
			*ret = in + i + 1;
			return true;
		}
	return false;
}

/* Who joins has no certificate to be asked for, and knows none of ours. */
static bool let_newcomer(SSL *ssl, const struct setting *s)
{
	if (!belief_lets_join(s->belief) || SSL_add1_chain_cert(ssl, s->issuer) != 1)
		return false;
	SSL_set_verify(ssl, SSL_VERIFY_NONE, NULL);
	return true;
}

static int select_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_n, const unsigned char *in, unsigned n, void *data)
{
	const struct setting *s = data;
	for (enum context_protocol p = PROTOCOL_HMON; p <= PROTOCOL_JOIN; p++)
		if (offers(in, n, p, out)) {
			*out_n = (unsigned char)strlen(protocol_names[p]);
			return p != PROTOCOL_JOIN || let_newcomer(ssl, s) ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
		}
	return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* OpenSSL asks select_protocol() only those who offer any. */
static int want_protocol(SSL *ssl, int *alert, void *data)
{
	const unsigned char *bytes;
	size_t n;
	if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_application_layer_protocol_negotiation, &bytes, &n) == 1)
		return SSL_CLIENT_HELLO_SUCCESS;
	*alert = SSL_AD_NO_APPLICATION_PROTOCOL;
	return SSL_CLIENT_HELLO_ERROR;
}

static bool offer_protocol(SSL_CTX *ctx, enum context_protocol p)
{
	unsigned char list[PROTOCOL_NAME];
	size_t n = strlen(protocol_names[p]);
	list[0] = (unsigned char)n;
	memcpy(list + 1, protocol_names[p], n);
	return !SSL_CTX_set_alpn_protos(ctx, list, (unsigned)n + 1);
}

/* --- the other side's certificate --- */

/* That of the certificates shown which has the token's fingerprint. */
static int trust_of_newcomer(const struct setting *s, STACK_OF(X509) *shown, struct trust **ret, struct buf *why)
{
	for (int i = 0; i < sk_X509_num(shown); i++) {
		uint8_t fingerprint[FINGERPRINT_BYTES];
		X509 *x = sk_X509_value(shown, i);
		EVP_PKEY *key = X509_get0_pubkey(x);
		bool signs_itself = !X509_NAME_cmp(X509_get_subject_name(x), X509_get_issuer_name(x));
		if (!signs_itself || !key || key_fingerprint(key, fingerprint) || memcmp(fingerprint, s->fingerprint, sizeof fingerprint))
			continue;
		struct buf pem = BUF_INIT;
		int r = certificate_put_pem(&pem, &x, 1, why);
		if (!r)
			r = trust_new(ret, pem.data, pem.len, NULL, 0, why);
		buf_release(&pem);
		return r;
	}
	return refuse(why, -EKEYREJECTED, "it does not belong to the cluster that the token is for");
}

static int check_master(const struct certificate *c, struct buf *why)
{
	return c->roles & CERTIFIED_MASTER ? 0 : refuse(why, -EKEYREJECTED, "%s is no master, and cannot let anybody join", c->name);
}

static int check_peer(SSL *ssl, const struct setting *s, X509_STORE_CTX *shown, struct buf *why)
{
	struct certificate c;
	STACK_OF(X509) *all = X509_STORE_CTX_get0_untrusted(shown);
	struct trust *t = s->belief ? belief_trust(s->belief) : NULL;
	int r = t ? 0 : trust_of_newcomer(s, all, &t, why);
	if (!r)
		r = trust_check(t, X509_STORE_CTX_get0_cert(shown), all, s->dials ? TRUST_SERVER : TRUST_CLIENT,
		    s->belief ? belief_now(s->belief) : s->now_s(), &c, why);
	if (!r && s->dials == PROTOCOL_JOIN)
		r = check_master(&c, why);
	if (!r && s->dials && selected(ssl) != s->dials)
		r = refuse(why, -EPROTO, "%s does not speak %s", c.name, protocol_names[s->dials]);
	trust_unref(t);
	return r;
}

/* What the alert tells the other side. */
static int alert_of(int error)
{
	return error == -EKEYEXPIRED ? X509_V_ERR_CERT_HAS_EXPIRED : error == -EKEYREVOKED ? X509_V_ERR_CERT_REVOKED :
	    error == -EKEYREJECTED ? X509_V_ERR_CERT_UNTRUSTED : X509_V_ERR_APPLICATION_VERIFICATION;
}

static int verify(X509_STORE_CTX *shown, void *data)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(shown, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct buf why = BUF_INIT;
	int r = check_peer(ssl, data, shown, &why);
	if (r) {
		note_refusal(ssl, &why);
		X509_STORE_CTX_set_error(shown, alert_of(r));
	}
	buf_release(&why);
	return !r;
}

int context_peer(const SSL *ssl, struct certificate *ret, struct buf *why)
{
	X509 *x = SSL_is_init_finished(ssl) && SSL_get_verify_result(ssl) == X509_V_OK ? SSL_get0_peer_certificate(ssl) : NULL;
	return x ? certificate_facts(x, ret, why) : refuse(why, -ENOENT, "the other side has shown no certificate");
}

/* --- contexts --- */

static bool speak_just_this(SSL_CTX *ctx)
{
	SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_max_cert_list(ctx, CONTEXT_SHOWN_MAX);
	return SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) && SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION) &&
	    SSL_CTX_set_num_tickets(ctx, 0) && SSL_CTX_set_max_early_data(ctx, 0) && SSL_CTX_set_recv_max_early_data(ctx, 0) &&
	    SSL_CTX_set1_sigalgs_list(ctx, "ECDSA+SHA256") && SSL_CTX_set1_client_sigalgs_list(ctx, "ECDSA+SHA256");
}

static SSL_CTX *with_setting(struct setting *take)
{
	pthread_once(&once, draw_indices);
	SSL_CTX *ctx = SSL_CTX_new(TLS_method());
	if (!ctx || SSL_CTX_set_ex_data(ctx, setting_index, take) != 1) {
		free_setting(NULL, take, NULL, 0, 0, NULL);
		SSL_CTX_free(ctx);
		return NULL;
	}
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	SSL_CTX_set_cert_verify_callback(ctx, verify, take);
	if (take->dials) {
		if (offer_protocol(ctx, take->dials))
			return ctx;
		SSL_CTX_free(ctx);
		return NULL;
	}
	SSL_CTX_set_alpn_select_cb(ctx, select_protocol, take);
	SSL_CTX_set_client_hello_cb(ctx, want_protocol, NULL);
	return ctx;
}

static int settle(SSL_CTX *ctx, bool good, SSL_CTX **ret, struct buf *why)
{
	if (ctx && good && speak_just_this(ctx)) {
		*ret = ctx;
		return 0;
	}
	SSL_CTX_free(ctx);
	return refuse(why, -ENOMEM, "TLS cannot be set up");
}

static bool show(SSL_CTX *ctx, const struct context_papers *p)
{
	return SSL_CTX_use_certificate(ctx, p->certificate) == 1 && SSL_CTX_use_PrivateKey(ctx, p->key) == 1 &&
	    (!p->succession || SSL_CTX_add1_chain_cert(ctx, p->succession) == 1);
}

int context_new(enum context_kind kind, struct belief *b, const struct context_papers *papers, SSL_CTX **ret, struct buf *why)
{
	static const enum context_protocol dials[CONTEXTS] = {
		[CONTEXT_DIAL_HMON] = PROTOCOL_HMON, [CONTEXT_DIAL_FRAMES] = PROTOCOL_FRAMES};
	struct setting *s = calloc(1, sizeof *s);
	if (!s)
		return refuse(why, -ENOMEM, "TLS cannot be set up");
	X509_up_ref(papers->issuer);
	*s = (struct setting){.belief = belief_ref(b), .issuer = papers->issuer, .dials = dials[kind]};
	SSL_CTX *ctx = with_setting(s);
	return settle(ctx, ctx && show(ctx, papers), ret, why);
}

static int64_t wall_clock(void)
{
	return clock_wall_ns() / 1000000000;
}

int context_new_join(const uint8_t fingerprint[FINGERPRINT_BYTES], belief_clock_fn *now_s, SSL_CTX **ret, struct buf *why)
{
	struct setting *s = calloc(1, sizeof *s);
	if (!s)
		return refuse(why, -ENOMEM, "TLS cannot be set up");
	*s = (struct setting){.dials = PROTOCOL_JOIN, .now_s = now_s ? now_s : wall_clock};
	memcpy(s->fingerprint, fingerprint, sizeof s->fingerprint);
	SSL_CTX *ctx = with_setting(s);
	return settle(ctx, true, ret, why);
}
