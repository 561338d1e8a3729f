/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/authority.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "identity/refuse.h"
#include "identity/request.h"
#include "identity/signing.h"

#define KEY "authority.key"
#define BUNDLE "authority.pem"
#define LIST "revoked.crl"

struct authority {
	struct vault *vault;
	EVP_PKEY *key;
	struct issued *issued;
	struct trust *trust;
	bool torn; /* the files have a new key, and this has not */
};

void authority_close(struct authority *a)
{
	if (!a)
		return;
	EVP_PKEY_free(a->key);
	issued_close(a->issued);
	trust_unref(a->trust);
	free(a);
}

struct trust *authority_trust(const struct authority *a)
{
	return a->trust;
}

const struct issued *authority_issued(const struct authority *a)
{
	return a->issued;
}

/* --- the list --- */

static int add_entries(struct revoked *list, const struct issued *issued, struct buf *why)
{
	const struct issued_entry *e;
	for (size_t i = 0; (e = issued_get(issued, i)); i++)
		if (e->revoked_s && revoked_add(list, e->serial, e->revoked_s, why))
			return -ENOMEM;
	return 0;
}

/* Of all that is revoked, signed by this key. */
static int make_list(struct authority *a, X509 *authority, EVP_PKEY *key, int64_t now_s, struct buf *to, struct buf *why)
{
	struct revoked list;
	uint64_t number;
	int r = a->torn ? refuse(why, -ESTALE, "%s/%s: was not replaced whole", vault_path(a->vault), KEY) :
	    issued_number(a->issued, now_s, &number, why);
	if (!r)
		r = revoked_begin(&list, authority, number, now_s, why);
	if (r)
		return r;
	r = add_entries(&list, a->issued, why);
	if (!r)
		r = revoked_sign(&list, key, why);
	if (!r)
		r = revoked_put(to, &list, why);
	revoked_release(&list);
	return r;
}

/* What is on disk now is what is believed from now on. */
static int settle(struct authority *a, const struct buf *bundle, const struct buf *list, struct buf *why)
{
	struct trust *t;
	int r = trust_new(&t, bundle->data, bundle->len, list->data, list->len, why);
	if (r)
		return r;
	trust_unref(a->trust);
	a->trust = t;
	a->torn = false;
	return 0;
}

int authority_renew_list(struct authority *a, int64_t now_s, struct buf *why)
{
	struct buf list = BUF_INIT;
	int r = make_list(a, trust_authority(a->trust), a->key, now_s, &list, why);
	if (!r)
		r = vault_write(a->vault, LIST, list.data, list.len, why);
	if (!r)
		r = settle(a, trust_bundle(a->trust), &list, why);
	buf_release(&list);
	return r;
}

/* The list is the last that was numbered, and has all that are revoked. */
static bool list_is_whole(const struct authority *a)
{
	const struct issued_entry *e;
	const struct revoked *list = trust_list(a->trust);
	bool whole = list && list->number == issued_last_number(a->issued);
	for (size_t i = 0; whole && (e = issued_get(a->issued, i)); i++)
		whole = !e->revoked_s || revoked_has(list, e->serial);
	return whole;
}

int authority_revoke(struct authority *a, const char *name, int64_t now_s, struct buf *why)
{
	int n = issued_revoke(a->issued, name, now_s, why);
	if (!n && list_is_whole(a))
		return refuse(why, -ENOENT, "%s has no certificate that is not over or revoked already", name);
	int r = n < 0 ? n : authority_renew_list(a, now_s, why);
	return r ? r : n;
}

/* --- keys --- */

static int make_anchor(EVP_PKEY *key, int64_t now_s, X509 **ret, struct buf *why)
{
	uint8_t fingerprint[FINGERPRINT_BYTES];
	char cluster[CLUSTER_TEXT];
	if (key_fingerprint(key, fingerprint))
		return refuse(why, -ENOMEM, "no memory for the authority's key");
	key_cluster(fingerprint, cluster);
	X509_NAME *name = signing_authority_name(cluster);
	int r = signing_make(&(struct signing){.kind = SIGNING_AUTHORITY, .subject = name, .subject_key = key, .key = key,
	    .from_s = now_s - AUTHORITY_SKEW_S, .until_s = now_s + AUTHORITY_LIFE_S}, ret, why);
	X509_NAME_free(name);
	return r;
}

static int make_cross(X509 *of, X509 *by, EVP_PKEY *key, int64_t now_s, int64_t until_s, X509 **ret, struct buf *why)
{
	return signing_make(&(struct signing){.kind = SIGNING_CROSS, .subject = X509_get_subject_name(of),
	    .subject_key = X509_get0_pubkey(of), .issuer = by, .key = key, .from_s = now_s - AUTHORITY_SKEW_S, .until_s = until_s}, ret, why);
}

static int cluster_of(const struct buf *bundle, char ret[CLUSTER_TEXT], struct buf *why)
{
	struct trust *t;
	int r = trust_new(&t, bundle->data, bundle->len, NULL, 0, why);
	if (r)
		return r;
	strcpy(ret, trust_cluster(t));
	trust_unref(t);
	return 0;
}

/* A new key with its bundle and its first list takes its place, in steps of which each can be the last: until the bundle is there
 * nothing has happened, and then the key that waits belongs to it (key_load_for). */
static int install(struct authority *a, EVP_PKEY *key, X509 *anchor, const struct buf *bundle, int64_t now_s, struct buf *why)
{
	char cluster[CLUSTER_TEXT];
	struct buf list = BUF_INIT;
	int r = cluster_of(bundle, cluster, why);
	if (!r)
		r = key_save_next(a->vault, KEY, key, why);
	if (!r)
		r = make_list(a, anchor, key, now_s, &list, why);
	if (!r) {
		a->torn = true;
		r = vault_write(a->vault, BUNDLE, bundle->data, bundle->len, why);
	}
	if (!r)
		r = issued_add_key(a->issued, cluster, why);
	if (!r)
		r = vault_write(a->vault, LIST, list.data, list.len, why);
	if (!r)
		r = vault_rename(a->vault, KEY ".next", KEY, why);
	if (!r)
		r = settle(a, bundle, &list, why);
	buf_release(&list);
	return r;
}

static int first_key(struct authority *a, int64_t now_s, struct buf *why)
{
	X509 *anchor = NULL;
	struct buf bundle = BUF_INIT;
	int r = key_new(&a->key, why);
	if (!r)
		r = make_anchor(a->key, now_s, &anchor, why);
	if (!r)
		r = certificate_put_pem(&bundle, &anchor, 1, why);
	if (!r)
		r = install(a, a->key, anchor, &bundle, now_s, why);
	X509_free(anchor);
	buf_release(&bundle);
	return r;
}

int authority_make(struct authority **ret, struct vault *v, int64_t now_s, struct buf *why)
{
	if (vault_has(v, KEY) || vault_has(v, BUNDLE))
		return refuse(why, -EEXIST, "%s/%s: this host is in a cluster already", vault_path(v), vault_has(v, KEY) ? KEY : BUNDLE);
	struct authority *a = calloc(1, sizeof *a);
	if (!a)
		return refuse(why, -ENOMEM, "no memory for an authority");
	a->vault = v;
	int r = issued_make(&a->issued, v, why);
	if (!r)
		r = first_key(a, now_s, why);
	if (r)
		authority_close(a);
	else
		*ret = a;
	return r;
}

/* --- opening --- */

static int read_bundle(struct authority *a, struct buf *why)
{
	struct buf bundle = BUF_INIT;
	int r = vault_read(a->vault, BUNDLE, VAULT_OPEN, TRUST_BUNDLE_MAX, &bundle, why);
	if (!r)
		r = trust_new(&a->trust, bundle.data, bundle.len, NULL, 0, why);
	buf_release(&bundle);
	return r;
}

/* The list on disk, if it is the last that was made, and by this key. */
static int read_list(struct authority *a, struct buf *why)
{
	struct buf list = BUF_INIT, fault = BUF_INIT;
	struct trust *t;
	int r = vault_has(a->vault, LIST) ? vault_read(a->vault, LIST, VAULT_OPEN, REVOKED_MAX, &list, why) : -ENOENT;
	if (!r)
		r = trust_with_list(a->trust, list.data, list.len, &t, &fault);
	buf_release(&fault);
	buf_release(&list);
	if (r != 1)
		return r == -EPERM || r == -ELOOP ? r : 0;
	trust_unref(a->trust);
	a->trust = t;
	return 0;
}

static int finish(struct authority *a, int64_t now_s, struct buf *why)
{
	int r = strcmp(issued_cluster(a->issued), trust_cluster(a->trust)) ?
	    issued_add_key(a->issued, trust_cluster(a->trust), why) : 0;
	if (!r)
		r = read_list(a, why);
	return r || list_is_whole(a) ? r : authority_renew_list(a, now_s, why);
}

int authority_open(struct authority **ret, struct vault *v, int64_t now_s, struct buf *why)
{
	struct authority *a = calloc(1, sizeof *a);
	if (!a)
		return refuse(why, -ENOMEM, "no memory for an authority");
	a->vault = v;
	int r = vault_has(v, KEY) || vault_has(v, KEY ".next") ? read_bundle(a, why) :
	    refuse(why, -ENOENT, "%s/%s: this host is not the cluster's authority", vault_path(v), KEY);
	if (!r)
		r = key_load_for(v, KEY, X509_get0_pubkey(trust_authority(a->trust)), &a->key, why);
	if (!r)
		r = issued_open(&a->issued, v, now_s, why);
	if (!r)
		r = finish(a, now_s, why);
	if (r)
		authority_close(a);
	else
		*ret = a;
	return r;
}

/* --- certificates --- */

static int64_t until(const struct authority *a, int64_t now_s, int64_t life_s)
{
	struct tm tm;
	int64_t end = ASN1_TIME_to_tm(X509_get0_notAfter(trust_authority(a->trust)), &tm) == 1 ? timegm(&tm) : 0;
	return now_s + life_s < end ? now_s + life_s : end;
}

static int make(struct authority *a, EVP_PKEY *key, const struct authority_grant *g, int64_t now_s, X509 **ret, struct buf *why)
{
	X509_NAME *name = signing_name(g->name, g->roles, trust_cluster(a->trust));
	int r = signing_make(&(struct signing){.kind = g->roles & CERTIFIED_HOST ? SIGNING_HOST : SIGNING_OTHER, .subject = name,
	    .subject_key = key, .issuer = trust_authority(a->trust), .key = a->key, .from_s = now_s - AUTHORITY_SKEW_S,
	    .until_s = until(a, now_s, g->life_s)}, ret, why);
	X509_NAME_free(name);
	return r;
}

static int check_grant(const struct authority *a, const struct authority_grant *g, struct buf *why)
{
	if (a->torn)
		return refuse(why, -ESTALE, "%s/%s: was not replaced whole", vault_path(a->vault), KEY);
	if (g->life_s <= 0 || g->life_s > AUTHORITY_LIFE_S)
		return refuse(why, -EINVAL, "a certificate lives for 1 second to %d days", AUTHORITY_LIFE_S / 86400);
	return certificate_check_name(g->name, g->roles, NULL, why);
}

/* Told on disk before anybody can have it. */
static int give_out(struct authority *a, X509 *x, struct buf *to, struct certificate *ret, struct buf *why)
{
	struct certificate c;
	int r = certificate_facts(x, &c, why);
	if (!r)
		r = issued_add(a->issued, &c, why);
	if (!r)
		r = certificate_put(to, x, why);
	if (!r && ret)
		*ret = c;
	return r;
}

int authority_sign(struct authority *a, const void *request, size_t n, const struct authority_grant *g, int64_t now_s, struct buf *to,
    struct certificate *ret, struct buf *why)
{
	EVP_PKEY *key = NULL;
	X509 *x = NULL;
	int r = check_grant(a, g, why);
	if (!r)
		r = request_read(request, n, &key, why);
	if (!r)
		r = make(a, key, g, now_s, &x, why);
	if (!r)
		r = give_out(a, x, to, ret, why);
	X509_free(x);
	EVP_PKEY_free(key);
	return r;
}

int authority_renew(struct authority *a, const char *serial, const void *request, size_t n, int64_t life_s, int64_t now_s, struct buf *to,
    struct certificate *ret, struct buf *why)
{
	const struct issued_entry *e = issued_find(a->issued, serial);
	if (!e)
		return refuse(why, -ENOENT, "this authority has issued no certificate %s", serial);
	if (e->revoked_s)
		return refuse(why, -EKEYREVOKED, "%s's certificate has been revoked", e->name);
	if (e->until_s <= now_s)
		return refuse(why, -EKEYEXPIRED, "%s's certificate is over", e->name);
	struct authority_grant g = {.roles = e->roles, .life_s = life_s};
	char name[CERTIFICATE_NAME];
	strcpy(name, e->name); /* the entry moves when another is added */
	g.name = name;
	return authority_sign(a, request, n, &g, now_s, to, ret, why);
}

/* --- a new key --- */

static int check_rotate(const struct authority *a, int64_t now_s, struct buf *why)
{
	if (a->torn)
		return refuse(why, -ESTALE, "%s/%s: was not replaced whole", vault_path(a->vault), KEY);
	if (trust_before_until(a->trust) <= now_s)
		return 0;
	return refuse(why, -EBUSY, "certificates of the key before this one still count, for %lld hours",
	    (long long)(trust_before_until(a->trust) - now_s) / 3600 + 1);
}

static int make_bundle(struct authority *a, EVP_PKEY *key, X509 *newest, int64_t now_s, struct buf *to, struct buf *why)
{
	X509 *before = trust_authority(a->trust), *parts[] = {newest, before, NULL, NULL};
	int64_t over = issued_until(a->issued, trust_cluster(a->trust));
	int r = make_cross(newest, before, a->key, now_s, now_s + AUTHORITY_LIFE_S, &parts[2], why);
	if (!r)
		r = make_cross(before, newest, key, now_s, over > now_s ? over : now_s, &parts[3], why);
	if (!r)
		r = certificate_put_pem(to, parts, 4, why);
	X509_free(parts[2]);
	X509_free(parts[3]);
	return r;
}

int authority_rotate(struct authority *a, int64_t now_s, struct buf *why)
{
	EVP_PKEY *key = NULL;
	X509 *anchor = NULL;
	struct buf bundle = BUF_INIT;
	int r = check_rotate(a, now_s, why);
	if (!r)
		r = key_new(&key, why);
	if (!r)
		r = make_anchor(key, now_s, &anchor, why);
	if (!r)
		r = make_bundle(a, key, anchor, now_s, &bundle, why);
	if (!r)
		r = install(a, key, anchor, &bundle, now_s, why);
	if (!r) {
		EVP_PKEY *old = a->key;
		a->key = key;
		key = old;
	}
	EVP_PKEY_free(key);
	X509_free(anchor);
	buf_release(&bundle);
	return r;
}
