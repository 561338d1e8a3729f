/* SPDX-License-Identifier: Apache-2.0 */
/* What TLS would take of vigiad's memory, before vigiad has it: preloaded, this makes what a node will need
 * (a key and a certificate, a context to accept and one to dial with, and one connection through both,
 * TLS 1.3) and keeps it.
 */
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>

static void must(int good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "bench-tls: %s\n", what);
	abort();
}

static X509 *sign_itself(EVP_PKEY *key)
{
	X509 *x = X509_new();
	X509_NAME *name = X509_get_subject_name(x);
	ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
	X509_gmtime_adj(X509_getm_notBefore(x), 0);
	X509_gmtime_adj(X509_getm_notAfter(x), 86400);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"node", -1, -1, 0);
	X509_set_issuer_name(x, name);
	X509_set_pubkey(x, key);
	must(X509_sign(x, key, EVP_sha256()), "sign");
	return x;
}

/* Both sides show a certificate, and both check it. */
static SSL_CTX *make_context(const SSL_METHOD *method, EVP_PKEY *key, X509 *certificate)
{
	SSL_CTX *c = SSL_CTX_new(method);
	must(c && SSL_CTX_set_min_proto_version(c, TLS1_3_VERSION), "context");
	must(SSL_CTX_use_certificate(c, certificate) && SSL_CTX_use_PrivateKey(c, key), "certificate");
	must(X509_STORE_add_cert(SSL_CTX_get_cert_store(c), certificate), "store");
	SSL_CTX_set_verify(c, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	return c;
}

static SSL *make_end(SSL_CTX *c, BIO *in, BIO *out, int accepts)
{
	SSL *s = SSL_new(c);
	SSL_set_bio(s, in, out);
	if (accepts)
		SSL_set_accept_state(s);
	else
		SSL_set_connect_state(s);
	return s;
}

__attribute__((constructor)) static void begin(void)
{
	unsetenv("LD_PRELOAD"); /* the programs it starts go without */
	EVP_PKEY *key = EVP_EC_gen("P-256");
	must(key != NULL, "key");
	X509 *certificate = sign_itself(key);
	SSL_CTX *accepting = make_context(TLS_server_method(), key, certificate);
	SSL_CTX *dialling = make_context(TLS_client_method(), key, certificate);
	BIO *there = BIO_new(BIO_s_mem()), *back = BIO_new(BIO_s_mem());
	BIO_up_ref(there);
	BIO_up_ref(back);
	SSL *client = make_end(dialling, back, there, 0), *server = make_end(accepting, there, back, 1);
	for (int turn = 0; turn < 10; turn++) {
		SSL_do_handshake(client);
		SSL_do_handshake(server);
	}
	must(SSL_is_init_finished(client) && SSL_is_init_finished(server), "handshake");
	char row[2000] = "";
	must(SSL_write(client, row, sizeof row) == sizeof row &&
		 SSL_read(server, row, sizeof row) == sizeof row,
	    "data");
}
