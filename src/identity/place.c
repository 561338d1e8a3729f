/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/place.h"

#include <errno.h>
#include <openssl/pem.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "identity/refuse.h"
#include "identity/request.h"

#define AUTHORITY_KEY "authority.key"
#define BUNDLE "authority.pem"
#define LIST "revoked.crl"
#define CERTIFICATE "host.pem"
#define KEY "host.key"

struct place {
	struct vault *vault;
	struct host_id self;
	struct belief *belief;
	pthread_mutex_t lock;
	SSL_CTX *contexts[CONTEXTS]; /* these two under the lock */
	struct certificate own;
};

/* --- files --- */

static int read_trust(const struct vault *v, struct trust **ret, struct buf *why)
{
	struct buf bundle = BUF_INIT, list = BUF_INIT;
	int r = vault_read(v, BUNDLE, VAULT_OPEN, TRUST_BUNDLE_MAX, &bundle, why);
	if (!r)
		r = vault_read(v, LIST, VAULT_OPEN, REVOKED_MAX, &list, why);
	if (!r)
		r = trust_new(ret, bundle.data, bundle.len, list.data ? list.data : "", list.len, why);
	buf_release(&bundle);
	buf_release(&list);
	return r;
}

static int read_certificate(const struct vault *v, X509 **ret, struct buf *why)
{
	struct buf pem = BUF_INIT;
	int r = vault_read(v, CERTIFICATE, VAULT_OPEN, 2 * CERTIFICATE_MAX, &pem, why);
	BIO *in = r ? NULL : BIO_new_mem_buf(pem.data, (int)pem.len);
	X509 *x = in ? PEM_read_bio_X509(in, NULL, NULL, NULL) : NULL;
	BIO_free(in);
	buf_release(&pem);
	if (!r && !x)
		return refuse(why, -EBADMSG, "%s/%s: is no certificate", vault_path(v), CERTIFICATE);
	if (!r)
		*ret = x;
	return r;
}

static int write_certificate(const struct vault *v, X509 *x, struct buf *why)
{
	struct buf pem = BUF_INIT;
	int r = certificate_put_pem(&pem, &x, 1, why);
	if (!r)
		r = vault_write(v, CERTIFICATE, pem.data, pem.len, why);
	buf_release(&pem);
	return r;
}

static int check_own(struct trust *t, X509 *x, const struct host_id *self, int64_t now_s, struct certificate *ret, struct buf *why)
{
	char id[HOST_ID_TEXT];
	int r = trust_check(t, x, NULL, TRUST_SERVER, now_s, ret, why);
	if (r || host_id_is(&ret->host, self))
		return r;
	host_id_format(self, id);
	return refuse(why, -EKEYREJECTED, "the certificate is for host %s, and this one is %s", ret->name, id);
}

/* --- contexts --- */

static void free_contexts(SSL_CTX *contexts[CONTEXTS])
{
	for (int i = 0; i < CONTEXTS; i++)
		SSL_CTX_free(contexts[i]);
}

/* The new ones, or none: those that are there stay. */
static int make_contexts(struct place *p, struct trust *t, X509 *x, EVP_PKEY *key, const struct certificate *own, struct buf *why)
{
	SSL_CTX *made[CONTEXTS] = {NULL}, *before[CONTEXTS];
	struct context_papers papers = {.certificate = x, .key = key, .issuer = trust_issuer(t, own),
		.succession = trust_succession(t, own, belief_now(p->belief))};
	int r = 0;
	for (int i = 0; i < CONTEXTS && !r; i++)
		r = context_new((enum context_kind)i, p->belief, &papers, &made[i], why);
	if (r) {
		free_contexts(made);
		return r;
	}
	pthread_mutex_lock(&p->lock);
	memcpy(before, p->contexts, sizeof before);
	memcpy(p->contexts, made, sizeof made);
	p->own = *own;
	pthread_mutex_unlock(&p->lock);
	free_contexts(before);
	return 0;
}

/* With the certificate that is on disk now, and its key. */
static int use_certificate(struct place *p, struct trust *t, X509 *x, const struct certificate *own, struct buf *why)
{
	EVP_PKEY *key;
	int r = key_load_for(p->vault, KEY, X509_get0_pubkey(x), &key, why);
	if (r)
		return r;
	r = make_contexts(p, t, x, key, own, why);
	EVP_PKEY_free(key);
	return r;
}

/* --- opening --- */

static int load(struct place *p, struct trust *t, struct buf *why)
{
	X509 *x = NULL;
	struct certificate own;
	int r = read_certificate(p->vault, &x, why);
	if (r)
		return r;
	r = check_own(t, x, &p->self, TRUST_ANY_TIME, &own, why);
	if (!r)
		r = use_certificate(p, t, x, &own, why);
	X509_free(x);
	return r;
}

static int new(struct place **ret, struct vault *v, const struct host_id *self, belief_clock_fn *now_s, struct trust *t, struct buf *why)
{
	struct place *p = calloc(1, sizeof *p);
	if (!p || belief_new(&p->belief, t, now_s)) {
		free(p);
		return refuse(why, -ENOMEM, "no memory for a place in the cluster");
	}
	trust_ref(t);
	p->vault = v;
	p->self = *self;
	pthread_mutex_init(&p->lock, NULL);
	*ret = p;
	return 0;
}

int place_open(struct place **ret, struct vault *v, const struct host_id *self, belief_clock_fn *now_s, struct buf *why)
{
	struct place *p = NULL;
	struct trust *t;
	if (!vault_has(v, CERTIFICATE))
		return refuse(why, -ENOENT, "%s: this host is in no cluster", vault_path(v));
	int r = read_trust(v, &t, why);
	if (r)
		return r;
	r = new(&p, v, self, now_s, t, why);
	if (!r && (r = load(p, t, why)))
		place_close(p);
	trust_unref(t);
	if (!r)
		*ret = p;
	return r;
}

void place_close(struct place *p)
{
	if (!p)
		return;
	free_contexts(p->contexts);
	belief_unref(p->belief);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

/* --- coming in, and going --- */

int place_request(struct vault *v, struct buf *to, struct buf *why)
{
	EVP_PKEY *key;
	int r = key_new(&key, why);
	if (r)
		return r;
	r = key_save_next(v, KEY, key, why);
	if (!r)
		r = request_put(to, key, why);
	EVP_PKEY_free(key);
	return r;
}

/* The key that waits is not moved before its certificate is on disk: until then the one before belongs to the certificate before. */
static int check_waiting(const struct vault *v, X509 *x, struct buf *why)
{
	EVP_PKEY *key;
	int r = key_load_next(v, KEY, &key, why);
	if (r)
		return r;
	bool same = EVP_PKEY_eq(key, X509_get0_pubkey(x)) == 1;
	EVP_PKEY_free(key);
	return same ? 0 : refuse(why, -EKEYREJECTED, "the certificate is not for the request that this host made");
}

static int write_papers(struct vault *v, const struct place_papers *papers, struct trust *t, X509 *x, struct buf *why)
{
	EVP_PKEY *key;
	const struct buf *bundle = trust_bundle(t);
	int r = vault_write(v, BUNDLE, bundle->data, bundle->len, why);
	if (!r)
		r = vault_write(v, LIST, papers->list, papers->list_n, why);
	if (!r)
		r = write_certificate(v, x, why);
	if (!r)
		r = key_load_for(v, KEY, X509_get0_pubkey(x), &key, why);
	if (!r)
		EVP_PKEY_free(key);
	return r;
}

static int check_papers(const struct vault *v, struct trust *t, const uint8_t *fingerprint, struct buf *why)
{
	struct buf there = BUF_INIT;
	const struct buf *bundle = trust_bundle(t);
	if (fingerprint && !trust_has_key(t, fingerprint))
		return refuse(why, -EKEYREJECTED, "these papers are of another cluster than the token");
	if (!vault_has(v, AUTHORITY_KEY))
		return 0;
	int r = vault_read(v, BUNDLE, VAULT_OPEN, TRUST_BUNDLE_MAX, &there, why);
	if (!r && (there.len != bundle->len || memcmp(there.data, bundle->data, there.len)))
		r = refuse(why, -EEXIST, "%s/%s: this host is another cluster's authority", vault_path(v), AUTHORITY_KEY);
	buf_release(&there);
	return r;
}

int place_join(struct vault *v, const struct host_id *self, const struct place_papers *papers, int64_t now_s, struct buf *why)
{
	struct trust *t = NULL;
	X509 *x = NULL;
	struct certificate own;
	if (vault_has(v, CERTIFICATE))
		return refuse(why, -EEXIST, "%s/%s: this host is in a cluster already", vault_path(v), CERTIFICATE);
	int r = papers->list ? trust_new(&t, papers->bundle, papers->bundle_n, papers->list, papers->list_n, why) :
	    refuse(why, -EBADMSG, "a revocation list is missing");
	if (!r)
		r = check_papers(v, t, papers->fingerprint, why);
	if (!r)
		r = certificate_read(papers->certificate, papers->certificate_n, &x, why);
	if (!r)
		r = check_own(t, x, self, now_s, &own, why);
	if (!r)
		r = check_waiting(v, x, why);
	if (!r)
		r = write_papers(v, papers, t, x, why);
	X509_free(x);
	trust_unref(t);
	return r;
}

int place_leave(struct vault *v, struct buf *why)
{
	/* The certificate first: without it this host is in no cluster, whatever else is still there. */
	static const char *const files[] = {CERTIFICATE, KEY, KEY ".next", LIST, BUNDLE};
	if (vault_has(v, AUTHORITY_KEY))
		return refuse(why, -EBUSY, "%s/%s: the cluster's authority is on this host", vault_path(v), AUTHORITY_KEY);
	int r = 0;
	for (size_t i = 0; i < sizeof files / sizeof *files && !r; i++)
		r = vault_remove(v, files[i], why);
	return r;
}

/* --- news --- */

static int take_certificate(struct place *p, struct trust *t, X509 *x, struct buf *why)
{
	struct certificate own;
	int r = check_own(t, x, &p->self, belief_now(p->belief), &own, why);
	if (!r)
		r = check_waiting(p->vault, x, why);
	if (!r)
		r = write_certificate(p->vault, x, why);
	return r ? r : use_certificate(p, t, x, &own, why);
}

int place_take_certificate(struct place *p, const void *der, size_t n, struct buf *why)
{
	X509 *x;
	int r = certificate_read(der, n, &x, why);
	if (r)
		return r;
	struct trust *t = belief_trust(p->belief);
	r = take_certificate(p, t, x, why);
	trust_unref(t);
	X509_free(x);
	return r;
}

int place_take_list(struct place *p, const void *der, size_t n, struct buf *why)
{
	struct trust *t = belief_trust(p->belief), *news;
	int r = trust_with_list(t, der, n, &news, why);
	trust_unref(t);
	if (r != 1)
		return r;
	r = vault_write(p->vault, LIST, der, n, why);
	if (r)
		trust_unref(news);
	else
		belief_set(p->belief, news);
	return r ? r : 1;
}

/* The bundle first: with it the list before is still good, and the list without it is nobody's. */
static int write_authority(const struct vault *v, const struct trust *t, const void *list, size_t list_n, struct buf *why)
{
	const struct buf *bundle = trust_bundle(t);
	int r = vault_write(v, BUNDLE, bundle->data, bundle->len, why);
	return r ? r : vault_write(v, LIST, list, list_n, why);
}

int place_take_authority(struct place *p, const void *pem, size_t n, const void *list, size_t list_n, struct buf *why)
{
	struct trust *t = belief_trust(p->belief), *news;
	int r = trust_with_bundle(t, pem, n, list, list_n, &news, why);
	trust_unref(t);
	if (r != 1)
		return r;
	r = write_authority(p->vault, news, list, list_n, why);
	if (r)
		trust_unref(news);
	else
		belief_set(p->belief, news);
	return r ? r : 1;
}

/* --- what comes of it --- */

SSL_CTX *place_context(struct place *p, enum context_kind kind)
{
	pthread_mutex_lock(&p->lock);
	SSL_CTX *ctx = p->contexts[kind];
	SSL_CTX_up_ref(ctx);
	pthread_mutex_unlock(&p->lock);
	return ctx;
}

struct certificate place_own(struct place *p)
{
	pthread_mutex_lock(&p->lock);
	struct certificate own = p->own;
	pthread_mutex_unlock(&p->lock);
	return own;
}

struct belief *place_belief(struct place *p)
{
	return p->belief;
}

int place_judge(struct place *p, const struct certificate *peer, struct buf *why)
{
	struct trust *t = belief_trust(p->belief);
	int r = trust_judge(t, peer, belief_now(p->belief), why);
	trust_unref(t);
	return r;
}

int place_fingerprint(struct place *p, uint8_t ret[FINGERPRINT_BYTES])
{
	struct certificate own = place_own(p);
	struct trust *t = belief_trust(p->belief);
	X509 *issuer = trust_issuer(t, &own);
	int r = issuer ? key_fingerprint(X509_get0_pubkey(issuer), ret) : -EKEYREJECTED;
	trust_unref(t);
	return r;
}
