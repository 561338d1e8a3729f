/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/trust.h"

#include <errno.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "identity/refuse.h"
#include "identity/signing.h"

/* The bundle's parts, in this order. */
enum { NEWEST, BEFORE, NEWEST_BY_BEFORE, BEFORE_BY_NEWEST, PARTS };

struct trust {
	atomic_uint refs;
	X509 *parts[PARTS];
	size_t parts_n; /* 1 or PARTS */
	struct {
		char cluster[CLUSTER_TEXT];
		uint8_t fingerprint[FINGERPRINT_BYTES];
		int64_t until_s; /* what it signed counts so long */
	} anchors[BEFORE + 1];
	X509_STORE *store;
	struct buf pem;
	struct revoked list; /* crl NULL: none */
};

static size_t anchors_n(const struct trust *t)
{
	return t->parts_n == PARTS ? 2 : 1;
}

/* --- memory --- */

struct trust *trust_ref(struct trust *t)
{
	atomic_fetch_add(&t->refs, 1);
	return t;
}

void trust_unref(struct trust *t)
{
	if (!t || atomic_fetch_sub(&t->refs, 1) != 1)
		return;
	for (size_t i = 0; i < t->parts_n; i++)
		X509_free(t->parts[i]);
	X509_STORE_free(t->store);
	buf_release(&t->pem);
	revoked_release(&t->list);
	free(t);
}

static int no_memory(struct buf *why)
{
	return refuse(why, -ENOMEM, "no memory for the cluster's authority");
}

/* --- the bundle --- */

static int read_parts(struct trust *t, const void *pem, size_t n, struct buf *why)
{
	BIO *in = n && n <= TRUST_BUNDLE_MAX ? BIO_new_mem_buf(pem, (int)n) : NULL;
	X509 *x = NULL;
	while (in && t->parts_n < PARTS && (x = PEM_read_bio_X509(in, NULL, NULL, NULL)))
		t->parts[t->parts_n++] = x;
	bool more = x && (x = PEM_read_bio_X509(in, NULL, NULL, NULL));
	if (more)
		X509_free(x);
	BIO_free(in);
	if (more || (t->parts_n != 1 && t->parts_n != PARTS))
		return refuse(why, -EBADMSG, "the cluster's authority is one certificate, or four, and this is not");
	return certificate_put_pem(&t->pem, t->parts, t->parts_n, why);
}

static bool has_authority_s_name(X509 *x, const char *cluster)
{
	X509_NAME *name = signing_authority_name(cluster);
	bool same = name && !X509_NAME_cmp(name, X509_get_subject_name(x));
	X509_NAME_free(name);
	return same;
}

static bool signed_by(X509 *x, X509 *by)
{
	return X509_get_signature_nid(x) == NID_ecdsa_with_SHA256 && !X509_NAME_cmp(X509_get_issuer_name(x), X509_get_subject_name(by)) &&
	    X509_verify(x, X509_get0_pubkey(by)) == 1;
}

static int check_anchor(struct trust *t, size_t i, struct buf *why)
{
	X509 *x = t->parts[i];
	uint8_t *fingerprint = t->anchors[i].fingerprint;
	EVP_PKEY *key = X509_get0_pubkey(x);
	if (!key || !key_is_ours(key) || key_fingerprint(key, fingerprint))
		return refuse(why, -EKEYREJECTED, "the authority's key is not on the curve P-256");
	key_cluster(fingerprint, t->anchors[i].cluster);
	t->anchors[i].until_s = INT64_MAX;
	if (X509_check_ca(x) != 1 || X509_get_key_usage(x) != (KU_KEY_CERT_SIGN | KU_CRL_SIGN) || !signed_by(x, x) ||
	    !has_authority_s_name(x, t->anchors[i].cluster))
		return refuse(why, -EKEYREJECTED, "the authority's certificate is not as Vigia's are");
	return X509_STORE_add_cert(t->store, x) == 1 ? 0 : no_memory(why);
}

static bool says_so(X509 *cross, X509 *of, X509 *by)
{
	return !X509_NAME_cmp(X509_get_subject_name(cross), X509_get_subject_name(of)) &&
	    EVP_PKEY_eq(X509_get0_pubkey(cross), X509_get0_pubkey(of)) == 1 && signed_by(cross, by);
}

static int check_crossed(struct trust *t, struct buf *why)
{
	struct tm tm;
	X509 **p = t->parts;
	if (!says_so(p[NEWEST_BY_BEFORE], p[NEWEST], p[BEFORE]) || !says_so(p[BEFORE_BY_NEWEST], p[BEFORE], p[NEWEST]) ||
	    ASN1_TIME_to_tm(X509_get0_notAfter(p[BEFORE_BY_NEWEST]), &tm) != 1)
		return refuse(why, -EKEYREJECTED, "the authority's two keys have not signed each other");
	t->anchors[BEFORE].until_s = timegm(&tm);
	return 0;
}

static int take_bundle(struct trust *t, const void *pem, size_t n, struct buf *why)
{
	int r = read_parts(t, pem, n, why);
	if (!r && !(t->store = X509_STORE_new()))
		r = no_memory(why);
	if (!r)
		r = check_anchor(t, NEWEST, why);
	if (!r && t->parts_n == PARTS)
		r = check_anchor(t, BEFORE, why);
	if (!r && t->parts_n == PARTS)
		r = check_crossed(t, why);
	return r;
}

/* --- the list --- */

static bool list_is_theirs(const struct trust *t)
{
	return revoked_signed_by(&t->list, t->parts[NEWEST]) ||
	    (t->parts_n == PARTS && revoked_signed_by(&t->list, t->parts[BEFORE]));
}

static int take_list(struct trust *t, const void *list, size_t n, struct buf *why)
{
	int r = list ? revoked_read(list, n, &t->list, why) : 0;
	if (!r && list && !list_is_theirs(t))
		return refuse(why, -EKEYREJECTED, "the revocation list is not signed by the cluster's authority");
	return r;
}

int trust_new(struct trust **ret, const void *pem, size_t n, const void *list, size_t list_n, struct buf *why)
{
	struct trust *t = calloc(1, sizeof *t);
	if (!t)
		return no_memory(why);
	atomic_init(&t->refs, 1);
	int r = take_bundle(t, pem, n, why);
	if (!r)
		r = take_list(t, list, list_n, why);
	if (r)
		trust_unref(t);
	else
		*ret = t;
	return r;
}

/* --- news --- */

/* The old key may have been replaced since somebody has it: once there is a newer one, it says no more who is revoked. */
static int check_news(const struct trust *t, struct trust *news, struct buf *why)
{
	if (!revoked_signed_by(&news->list, news->parts[NEWEST]))
		return refuse(why, -EKEYREJECTED, "the revocation list is not signed by the authority's newest key");
	return !t->list.crl || news->list.number > t->list.number;
}

static int settle(int r, struct trust *news, struct trust **ret)
{
	if (r == 1)
		*ret = news;
	else
		trust_unref(news);
	return r;
}

int trust_with_list(struct trust *t, const void *list, size_t n, struct trust **ret, struct buf *why)
{
	struct trust *news;
	int r = trust_new(&news, t->pem.data, t->pem.len, list, n, why);
	return r ? r : settle(check_news(t, news, why), news, ret);
}

static bool same_key(X509 *a, X509 *b)
{
	return EVP_PKEY_eq(X509_get0_pubkey(a), X509_get0_pubkey(b)) == 1;
}

static int check_successor(const struct trust *t, struct trust *news, struct buf *why)
{
	if (same_key(news->parts[NEWEST], t->parts[NEWEST]))
		return 0;
	if (news->parts_n != PARTS || !same_key(news->parts[BEFORE], t->parts[NEWEST]))
		return refuse(why, -EKEYREJECTED, "the cluster's authority has not signed this one");
	int r = check_news(t, news, why);
	return r ? r : refuse(why, -EKEYREJECTED, "the revocation list is older than the one that is there");
}

int trust_with_bundle(struct trust *t, const void *pem, size_t n, const void *list, size_t list_n, struct trust **ret,
    struct buf *why)
{
	struct trust *news;
	int r = list ? trust_new(&news, pem, n, list, list_n, why) : refuse(why, -EBADMSG, "an authority comes with its revocation list");
	return r ? r : settle(check_successor(t, news, why), news, ret);
}

/* --- judging --- */

static int check_list(const struct trust *t, const struct certificate *c, struct buf *why)
{
	if (t->list.crl && revoked_has(&t->list, c->serial))
		return refuse(why, -EKEYREVOKED, "%s's certificate has been revoked", c->name);
	return 0;
}

static int check_anchor_of(const struct trust *t, const struct certificate *c, int64_t now_s, struct buf *why)
{
	for (size_t i = 0; i < anchors_n(t); i++)
		if (!strcmp(t->anchors[i].cluster, c->cluster))
			return now_s < t->anchors[i].until_s ? 0 :
			    refuse(why, -EKEYEXPIRED, "%s's certificate is of a key that the authority has replaced", c->name);
	return refuse(why, -EKEYREJECTED, "%s is of another cluster", c->name);
}

int trust_judge(struct trust *t, const struct certificate *c, int64_t now_s, struct buf *why)
{
	int r = check_anchor_of(t, c, now_s, why);
	if (!r)
		r = check_list(t, c, why);
	if (!r && now_s >= c->until_s)
		r = refuse(why, -EKEYEXPIRED, "%s's certificate is over", c->name);
	return r;
}

static int prepare(X509_STORE_CTX *ctx, struct trust *t, X509 *x, STACK_OF(X509) *shown, enum trust_use use, int64_t now_s)
{
	if (!ctx || X509_STORE_CTX_init(ctx, t->store, x, shown) != 1 ||
	    X509_STORE_CTX_set_default(ctx, use == TRUST_SERVER ? "ssl_server" : "ssl_client") != 1)
		return -ENOMEM;
	X509_VERIFY_PARAM *p = X509_STORE_CTX_get0_param(ctx);
	X509_VERIFY_PARAM_set_depth(p, 1);
	X509_VERIFY_PARAM_set_flags(p, X509_V_FLAG_X509_STRICT | (now_s == TRUST_ANY_TIME ? X509_V_FLAG_NO_CHECK_TIME : 0));
	if (now_s != TRUST_ANY_TIME)
		X509_VERIFY_PARAM_set_time(p, now_s);
	return 0;
}

/* The authority that it names in its subject is the one that signed it, or either would speak for the other. */
static bool names_its_signer(const struct trust *t, const struct certificate *c, X509 *signer)
{
	uint8_t fingerprint[FINGERPRINT_BYTES];
	char cluster[CLUSTER_TEXT];
	for (size_t i = 0; i < anchors_n(t); i++)
		if (!X509_cmp(signer, t->parts[i]))
			return !strcmp(t->anchors[i].cluster, c->cluster);
	if (key_fingerprint(X509_get0_pubkey(signer), fingerprint))
		return false;
	key_cluster(fingerprint, cluster);
	return !strcmp(cluster, c->cluster);
}

/* A key that was replaced has no other successor. */
static bool may_be_between(const struct trust *t, STACK_OF(X509) *chain)
{
	return sk_X509_num(chain) == 2 || X509_cmp(sk_X509_value(chain, 2), t->parts[NEWEST]) == 0;
}

static int check_chain(const struct trust *t, X509_STORE_CTX *ctx, const struct certificate *c, struct buf *why)
{
	if (X509_verify_cert(ctx) != 1) {
		int e = X509_STORE_CTX_get_error(ctx);
		return refuse(why, e == X509_V_ERR_CERT_HAS_EXPIRED ? -EKEYEXPIRED : -EKEYREJECTED, "%s: %s", c->name,
		    X509_verify_cert_error_string(e));
	}
	STACK_OF(X509) *chain = X509_STORE_CTX_get0_chain(ctx);
	if (!may_be_between(t, chain))
		return refuse(why, -EKEYREJECTED, "%s's authority is signed by a key that was replaced", c->name);
	if (!names_its_signer(t, c, sk_X509_value(chain, 1)))
		return refuse(why, -EKEYREJECTED, "%s names another cluster than the one that signed it", c->name);
	return 0;
}

int trust_check(struct trust *t, X509 *x, STACK_OF(X509) *shown, enum trust_use use, int64_t now_s, struct certificate *ret,
    struct buf *why)
{
	struct certificate c;
	int r = certificate_facts(x, &c, why);
	if (r)
		return r;
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	r = prepare(ctx, t, x, shown, use, now_s) ? no_memory(why) : check_chain(t, ctx, &c, why);
	X509_STORE_CTX_free(ctx);
	if (!r && now_s != TRUST_ANY_TIME)
		r = trust_issuer(t, &c) ? trust_judge(t, &c, now_s, why) : check_list(t, &c, why);
	if (!r)
		*ret = c;
	return r;
}

/* --- what it is --- */

X509 *trust_authority(struct trust *t)
{
	return t->parts[NEWEST];
}

const char *trust_cluster(const struct trust *t)
{
	return t->anchors[NEWEST].cluster;
}

int64_t trust_before_until(const struct trust *t)
{
	return t->parts_n == PARTS ? t->anchors[BEFORE].until_s : 0;
}

X509 *trust_succession(struct trust *t, const struct certificate *c, int64_t now_s)
{
	return trust_before_until(t) > now_s && !strcmp(c->cluster, trust_cluster(t)) ? t->parts[NEWEST_BY_BEFORE] : NULL;
}

X509 *trust_issuer(struct trust *t, const struct certificate *c)
{
	for (size_t i = 0; i < anchors_n(t); i++)
		if (!strcmp(t->anchors[i].cluster, c->cluster))
			return t->parts[i];
	return NULL;
}

const struct buf *trust_bundle(const struct trust *t)
{
	return &t->pem;
}

const struct revoked *trust_list(const struct trust *t)
{
	return t->list.crl ? &t->list : NULL;
}

bool trust_has_key(const struct trust *t, const uint8_t fingerprint[FINGERPRINT_BYTES])
{
	for (size_t i = 0; i < anchors_n(t); i++)
		if (!memcmp(t->anchors[i].fingerprint, fingerprint, FINGERPRINT_BYTES))
			return true;
	return false;
}
