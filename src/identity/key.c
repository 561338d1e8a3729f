/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/key.h"

#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>

#include "identity/refuse.h"

enum { SECURE_BYTES = 64 << 10, SECURE_LEAST = 16, NAME_SIZE = 64 };

int key_keep_from_dumps(void)
{
	int r = CRYPTO_secure_malloc_initialized() ? 1 : CRYPTO_secure_malloc_init(SECURE_BYTES, SECURE_LEAST);
	return r == 1 ? 1 : r == 2 ? 0 : -ENOMEM;
}

/* --- what is a key --- */

bool key_is_ours(EVP_PKEY *key)
{
	char group[32];
	int explicit_curve = 0;
	if (EVP_PKEY_get_base_id(key) != EVP_PKEY_EC || EVP_PKEY_get_group_name(key, group, sizeof group, NULL) != 1)
		return false;
	/* A curve written out may differ from the one of its name in what nobody looks at (CVE-2020-0601). */
	EVP_PKEY_get_int_param(key, OSSL_PKEY_PARAM_EC_DECODED_FROM_EXPLICIT_PARAMS, &explicit_curve);
	return !strcmp(group, SN_X9_62_prime256v1) && !explicit_curve;
}

int key_fingerprint(EVP_PKEY *key, uint8_t ret[FINGERPRINT_BYTES])
{
	unsigned char *der = NULL;
	int n = i2d_PUBKEY(key, &der);
	bool good = n > 0 && EVP_Digest(der, (size_t)n, ret, NULL, EVP_sha256(), NULL) == 1;
	OPENSSL_free(der);
	return good ? 0 : -ENOMEM;
}

void key_cluster(const uint8_t fingerprint[FINGERPRINT_BYTES], char ret[CLUSTER_TEXT])
{
	for (int i = 0; i < (CLUSTER_TEXT - 1) / 2; i++)
		sprintf(ret + 2 * i, "%02x", fingerprint[i]);
}

int key_new(EVP_PKEY **ret, struct buf *why)
{
	EVP_PKEY *key = EVP_EC_gen(SN_X9_62_prime256v1);
	if (!key)
		return refuse(why, -ENOMEM, "no key can be made");
	*ret = key;
	return 0;
}

/* --- files --- */

/* Who asks for a passphrase would wait for ever on a daemon's terminal. */
static int no_passphrase(char *to, int size, int writing, void *data)
{
	return -1;
}

static EVP_PKEY *from_pem(const char *text, size_t n)
{
	BIO *in = BIO_new_mem_buf(text, (int)n);
	EVP_PKEY *key = in ? PEM_read_bio_PrivateKey(in, NULL, no_passphrase, NULL) : NULL;
	BIO_free(in);
	if (key && key_is_ours(key))
		return key;
	EVP_PKEY_free(key);
	return NULL;
}

int key_load(const struct vault *v, const char *name, EVP_PKEY **ret, struct buf *why)
{
	size_t n = 0;
	char *text = OPENSSL_secure_malloc(KEY_FILE_MAX);
	int r = text ? vault_read_secret(v, name, text, KEY_FILE_MAX, &n, why) : -ENOMEM;
	EVP_PKEY *key = r ? NULL : from_pem(text, n);
	OPENSSL_secure_clear_free(text, KEY_FILE_MAX);
	if (!r && !key)
		return refuse(why, -EBADMSG, "%s/%s: is no private key on the curve P-256", vault_path(v), name);
	if (!r)
		*ret = key;
	return r;
}

int key_save(const struct vault *v, const char *name, EVP_PKEY *key, struct buf *why)
{
	char *text;
	BIO *out = BIO_new(BIO_s_secmem());
	if (!out || PEM_write_bio_PKCS8PrivateKey(out, key, NULL, NULL, 0, NULL, NULL) != 1) {
		BIO_free(out);
		return refuse(why, -ENOMEM, "%s/%s: no memory for the key", vault_path(v), name);
	}
	long n = BIO_get_mem_data(out, &text);
	int r = vault_write(v, name, text, (size_t)n, why);
	BIO_free(out);
	return r;
}

/* --- replacing one --- */

static void next_name(char to[NAME_SIZE], const char *name)
{
	snprintf(to, NAME_SIZE, "%s.next", name);
}

int key_save_next(const struct vault *v, const char *name, EVP_PKEY *key, struct buf *why)
{
	char next[NAME_SIZE];
	next_name(next, name);
	return key_save(v, next, key, why);
}

int key_load_next(const struct vault *v, const char *name, EVP_PKEY **ret, struct buf *why)
{
	char next[NAME_SIZE];
	next_name(next, name);
	return key_load(v, next, ret, why);
}

/* 1: it is this one. */
static int load_if(const struct vault *v, const char *name, EVP_PKEY *public_key, EVP_PKEY **ret, struct buf *why)
{
	EVP_PKEY *key;
	if (!vault_has(v, name))
		return 0;
	int r = key_load(v, name, &key, why);
	if (r)
		return r;
	if (EVP_PKEY_eq(key, public_key) != 1) {
		EVP_PKEY_free(key);
		return 0;
	}
	*ret = key;
	return 1;
}

int key_load_for(const struct vault *v, const char *name, EVP_PKEY *public_key, EVP_PKEY **ret, struct buf *why)
{
	char next[NAME_SIZE];
	EVP_PKEY *key;
	next_name(next, name);
	int r = load_if(v, name, public_key, &key, why);
	if (!r) {
		r = load_if(v, next, public_key, &key, why);
		int e = r == 1 ? vault_rename(v, next, name, why) : 0;
		if (e) {
			EVP_PKEY_free(key);
			return e;
		}
	}
	if (!r)
		return refuse(why, -EKEYREJECTED, "%s/%s: does not belong to the certificate beside it", vault_path(v), name);
	if (r == 1)
		*ret = key;
	return r < 0 ? r : 0;
}
