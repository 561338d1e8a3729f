/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates for tests, made in memory: an authority, and contexts of whom it has signed. */
#ifndef VIGIA_NET_CERTIFICATES_TEST_H
#define VIGIA_NET_CERTIFICATES_TEST_H

#include <assert.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <string.h>

struct authority {
	EVP_PKEY *key;
	X509 *certificate;
};

static X509 *sign(const struct authority *by, EVP_PKEY *key, const char *name, long from_s, long to_s)
{
	static long serial;
	X509 *c = X509_new();
	X509_NAME *n = X509_get_subject_name(c);
	X509_set_version(c, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(c), ++serial);
	X509_gmtime_adj(X509_getm_notBefore(c), from_s);
	X509_gmtime_adj(X509_getm_notAfter(c), to_s);
	X509_NAME_add_entry_by_txt(n, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
	X509_set_pubkey(c, key);
	X509_set_issuer_name(c, by->certificate ? X509_get_subject_name(by->certificate) : n);
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, NID_basic_constraints, by->certificate ? "critical,CA:FALSE" : "critical,CA:TRUE");
	X509_add_ext(c, e, -1);
	X509_EXTENSION_free(e);
	assert(X509_sign(c, by->key, EVP_sha256()));
	return c;
}

static struct authority authority_new(const char *name)
{
	struct authority a = {.key = EVP_EC_gen("P-256")};
	a.certificate = sign(&a, a.key, name, -60, 3600);
	return a;
}

static void authority_free(struct authority *a)
{
	EVP_PKEY_free(a->key);
	X509_free(a->certificate);
}

static int choose(SSL *ssl, const unsigned char **ret, unsigned char *ret_n, const unsigned char *in, unsigned n, void *data)
{
	static const unsigned char ours[] = "\4hmon\6frames";
	return SSL_select_next_proto((unsigned char **)(uintptr_t)ret, ret_n, ours, sizeof ours - 1, in, n) == OPENSSL_NPN_NEGOTIATED
	    ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* name NULL: without a certificate. */
static SSL_CTX *context_of(const struct authority *by, const struct authority *believed, const char *name, long from_s, long to_s)
{
	SSL_CTX *x = SSL_CTX_new(TLS_method());
	SSL_CTX_set_min_proto_version(x, TLS1_3_VERSION);
	SSL_CTX_set_num_tickets(x, 0);
	SSL_CTX_set_verify(x, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	X509_STORE_add_cert(SSL_CTX_get_cert_store(x), believed->certificate);
	SSL_CTX_set_alpn_select_cb(x, choose, NULL);
	if (!name)
		return x;
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *c = sign(by, key, name, from_s, to_s);
	assert(SSL_CTX_use_certificate(x, c) && SSL_CTX_use_PrivateKey(x, key));
	X509_free(c);
	EVP_PKEY_free(key);
	return x;
}

#endif
