/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/key.h"

#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/param_build.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>

#include "base/base64.h"
#include "identity/refuse.h"

enum { SECURE_BYTES = 64 << 10, NAME_SIZE = 64 };

/* Twice of it, since a handshake that begins may have more for a moment; and OpenSSL wants a power of two. */
int key_keep_from_dumps(size_t connections)
{
	size_t bytes = SECURE_BYTES;
	while (bytes < SECURE_BYTES + 2 * KEY_CONNECTION * connections)
		bytes *= 2;
	int r = CRYPTO_secure_malloc_initialized() ? 1 : CRYPTO_secure_malloc_init(bytes, KEY_CONNECTION);
	return r == 1 ? 1 : r == 2 ? 0 : -ENOMEM;
}

/* --- what is a key --- */

bool key_is_ours(EVP_PKEY *key)
{
	char group[32], form[32] = "";
	int explicit_curve = 0;
	if (EVP_PKEY_get_base_id(key) != EVP_PKEY_EC || EVP_PKEY_get_group_name(key, group, sizeof group, NULL) != 1)
		return false;
	/* A curve written out may differ from the one of its name in what nobody looks at (CVE-2020-0601). */
	EVP_PKEY_get_int_param(key, OSSL_PKEY_PARAM_EC_DECODED_FROM_EXPLICIT_PARAMS, &explicit_curve);
	EVP_PKEY_get_utf8_string_param(key, OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT, form, sizeof form, NULL);
	return !strcmp(group, SN_X9_62_prime256v1) && !explicit_curve && !strcmp(form, OSSL_PKEY_EC_POINT_CONVERSION_FORMAT_UNCOMPRESSED);
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

/* --- a private key as bytes ---
 *
 * OpenSSL's own readers and writers leave copies in freed memory. So the bytes are put together here, in secure memory alone: PKCS#8
 * (RFC 5208, RFC 5915) has one form for such a key, of which only two parts change. */

static const uint8_t before_number[] = {0x30, 0x81, 0x87, 0x02, 0x01, 0x00, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d,
    0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x04, 0x6d, 0x30, 0x6b, 0x02, 0x01, 0x01, 0x04, 0x20};
static const uint8_t before_point[] = {0xa1, 0x44, 0x03, 0x42, 0x00};

enum { NUMBER = 32, POINT = 65 };

struct key_bytes {
	uint8_t before_number[sizeof before_number], number[NUMBER], before_point[sizeof before_point], point[POINT];
};

/* The file, of which a line has 64 digits. */
#define BEGIN "-----BEGIN PRIVATE KEY-----\n"
#define END "-----END PRIVATE KEY-----\n"

enum { LINE = 64, DIGITS = (sizeof(struct key_bytes) + 2) / 3 * 4 };
enum { FILE_BYTES = sizeof BEGIN - 1 + DIGITS + (DIGITS + LINE - 1) / LINE + sizeof END - 1 };

struct key_secret {
	struct key_bytes bytes;
	char digits[DIGITS + 1], file[1024]; /* more than FILE_BYTES: other keys are to be told from ours */
};

static struct key_secret *secret_new(struct buf *why)
{
	struct key_secret *s = OPENSSL_secure_zalloc(sizeof *s);
	if (!s)
		refuse(why, -ENOMEM, "no memory for a private key");
	return s;
}

static void secret_free(struct key_secret *s)
{
	OPENSSL_secure_clear_free(s, sizeof *s);
}

/* --- writing --- */

static bool take_number(EVP_PKEY *key, uint8_t to[NUMBER])
{
	OSSL_PARAM params[] = {OSSL_PARAM_construct_BN(OSSL_PKEY_PARAM_PRIV_KEY, to, NUMBER), OSSL_PARAM_END};
	if (EVP_PKEY_get_params(key, params) != 1)
		return false;
	if (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__)
		for (int i = 0; i < NUMBER / 2; i++) {
			uint8_t first = to[i];
			to[i] = to[NUMBER - 1 - i];
			to[NUMBER - 1 - i] = first;
		}
	return true;
}

static bool take_point(EVP_PKEY *key, uint8_t to[POINT])
{
	size_t n;
	return EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, to, POINT, &n) == 1 && n == POINT &&
	    to[0] == POINT_CONVERSION_UNCOMPRESSED;
}

static bool to_file(struct key_secret *s, EVP_PKEY *key)
{
	char *to = stpcpy(s->file, BEGIN);
	memcpy(s->bytes.before_number, before_number, sizeof before_number);
	memcpy(s->bytes.before_point, before_point, sizeof before_point);
	if (!key_is_ours(key) || !take_number(key, s->bytes.number) || !take_point(key, s->bytes.point))
		return false;
	EVP_EncodeBlock((unsigned char *)s->digits, (const unsigned char *)&s->bytes, sizeof s->bytes);
	for (size_t at = 0; at < DIGITS; at += LINE) {
		size_t n = DIGITS - at < LINE ? DIGITS - at : LINE;
		memcpy(to, s->digits + at, n);
		to[n] = '\n';
		to += n + 1;
	}
	strcpy(to, END);
	return true;
}

int key_save(const struct vault *v, const char *name, EVP_PKEY *key, struct buf *why)
{
	struct key_secret *s = secret_new(why);
	if (!s)
		return -ENOMEM;
	int r = to_file(s, key) ? vault_write(v, name, s->file, FILE_BYTES, why) :
	    refuse(why, -EINVAL, "%s/%s: only a key on the curve P-256 is kept", vault_path(v), name);
	secret_free(s);
	return r;
}

/* --- reading --- */

static OSSL_PARAM *params_of(const struct key_bytes *b)
{
	OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
	BIGNUM *number = BN_secure_new();
	OSSL_PARAM *params = NULL;
	if (builder && number && BN_bin2bn(b->number, NUMBER, number) &&
	    OSSL_PARAM_BLD_push_utf8_string(builder, OSSL_PKEY_PARAM_GROUP_NAME, SN_X9_62_prime256v1, 0) &&
	    OSSL_PARAM_BLD_push_octet_string(builder, OSSL_PKEY_PARAM_PUB_KEY, b->point, POINT) &&
	    OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_PRIV_KEY, number))
		params = OSSL_PARAM_BLD_to_param(builder);
	OSSL_PARAM_BLD_free(builder);
	BN_clear_free(number);
	return params;
}

/* Both halves belong together. */
static bool is_whole(EVP_PKEY *key)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
	bool whole = ctx && EVP_PKEY_pairwise_check(ctx) == 1;
	EVP_PKEY_CTX_free(ctx);
	return whole;
}

static EVP_PKEY *from_bytes(const struct key_bytes *b)
{
	EVP_PKEY *key = NULL;
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
	OSSL_PARAM *params = params_of(b);
	if (ctx && params && EVP_PKEY_fromdata_init(ctx) == 1)
		EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_KEYPAIR, params);
	OSSL_PARAM_free(params);
	EVP_PKEY_CTX_free(ctx);
	if (key && is_whole(key))
		return key;
	EVP_PKEY_free(key);
	return NULL;
}

static EVP_PKEY *from_file(struct key_secret *s)
{
	const char *at = s->file + strlen(BEGIN);
	size_t n;
	if (strncmp(s->file, BEGIN, strlen(BEGIN)))
		return NULL;
	for (size_t have = 0; have < DIGITS; have += LINE) {
		n = DIGITS - have < LINE ? DIGITS - have : LINE;
		memcpy(s->digits + have, at, n);
		if (at[n] != '\n')
			return NULL;
		at += n + 1;
	}
	if (strcmp(at, END) || base64_decode(s->digits, DIGITS, (uint8_t *)&s->bytes, &n) || n != sizeof s->bytes ||
	    memcmp(s->bytes.before_number, before_number, sizeof before_number) ||
	    memcmp(s->bytes.before_point, before_point, sizeof before_point))
		return NULL;
	return from_bytes(&s->bytes);
}

int key_load(const struct vault *v, const char *name, EVP_PKEY **ret, struct buf *why)
{
	size_t n = 0;
	struct key_secret *s = secret_new(why);
	if (!s)
		return -ENOMEM;
	int r = vault_read_secret(v, name, s->file, sizeof s->file - 1, &n, why);
	EVP_PKEY *key = !r && n == FILE_BYTES ? from_file(s) : NULL;
	secret_free(s);
	if (!r && !key)
		return refuse(why, -EBADMSG, "%s/%s: is no private key on the curve P-256 (PKCS#8, PEM)", vault_path(v), name);
	if (!r)
		*ret = key;
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
