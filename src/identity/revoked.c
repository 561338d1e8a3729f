/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/revoked.h"

#include <errno.h>
#include <openssl/x509v3.h>
#include <time.h>

#include "identity/refuse.h"

static int no_memory(struct buf *why)
{
	return refuse(why, -ENOMEM, "no memory for the revocation list");
}

void revoked_release(struct revoked *r)
{
	X509_CRL_free(r->crl);
	*r = (struct revoked){0};
}

/* --- reading --- */

static bool take_number(const X509_CRL *crl, uint64_t *ret)
{
	ASN1_INTEGER *number = X509_CRL_get_ext_d2i(crl, NID_crl_number, NULL, NULL);
	bool good = number && ASN1_INTEGER_get_uint64(ret, number) == 1;
	ASN1_INTEGER_free(number);
	return good;
}

static bool take(struct revoked *r)
{
	struct tm tm;
	if (X509_CRL_get_version(r->crl) != X509_CRL_VERSION_2 || ASN1_TIME_to_tm(X509_CRL_get0_lastUpdate(r->crl), &tm) != 1)
		return false;
	r->from_s = timegm(&tm);
	return take_number(r->crl, &r->number);
}

int revoked_read(const void *der, size_t n, struct revoked *ret, struct buf *why)
{
	const unsigned char *at = der;
	struct revoked r = {.crl = n && n <= REVOKED_MAX ? d2i_X509_CRL(NULL, &at, (long)n) : NULL};
	if (!r.crl || at != (const unsigned char *)der + n || !take(&r)) {
		revoked_release(&r);
		return refuse(why, -EBADMSG, "this is no revocation list with a number");
	}
	*ret = r;
	return 0;
}

bool revoked_signed_by(const struct revoked *r, X509 *authority)
{
	return X509_CRL_get_signature_nid(r->crl) == NID_ecdsa_with_SHA256 &&
	    X509_CRL_verify(r->crl, X509_get0_pubkey(authority)) == 1;
}

static ASN1_INTEGER *serial_of(const char *text)
{
	BIGNUM *n = NULL;
	ASN1_INTEGER *serial = BN_hex2bn(&n, text) ? BN_to_ASN1_INTEGER(n, NULL) : NULL;
	BN_free(n);
	return serial;
}

bool revoked_has(const struct revoked *r, const char *serial)
{
	X509_REVOKED *found;
	ASN1_INTEGER *number = serial_of(serial);
	bool has = !number || X509_CRL_get0_by_serial(r->crl, &found, number) != 0;
	ASN1_INTEGER_free(number);
	return has;
}

/* --- making --- */

static bool put_time(X509_CRL *crl, int64_t now_s)
{
	ASN1_TIME *from = ASN1_TIME_set(NULL, now_s), *until = ASN1_TIME_set(NULL, now_s + REVOKED_LIFE_S);
	bool good = from && until && X509_CRL_set1_lastUpdate(crl, from) && X509_CRL_set1_nextUpdate(crl, until);
	ASN1_TIME_free(from);
	ASN1_TIME_free(until);
	return good;
}

static bool put_extensions(X509_CRL *crl, X509 *authority, uint64_t number)
{
	X509V3_CTX context;
	ASN1_INTEGER *n = ASN1_INTEGER_new();
	X509V3_set_ctx(&context, authority, NULL, NULL, crl, 0);
	X509_EXTENSION *key = X509V3_EXT_conf_nid(NULL, &context, NID_authority_key_identifier, "keyid:always");
	bool good = n && key && ASN1_INTEGER_set_uint64(n, number) && X509_CRL_add_ext(crl, key, -1) &&
	    X509_CRL_add1_ext_i2d(crl, NID_crl_number, n, 0, 0) == 1;
	X509_EXTENSION_free(key);
	ASN1_INTEGER_free(n);
	return good;
}

int revoked_begin(struct revoked *ret, X509 *authority, uint64_t number, int64_t now_s, struct buf *why)
{
	X509_CRL *crl = X509_CRL_new();
	if (!crl || !X509_CRL_set_version(crl, X509_CRL_VERSION_2) ||
	    !X509_CRL_set_issuer_name(crl, X509_get_subject_name(authority)) || !put_time(crl, now_s) ||
	    !put_extensions(crl, authority, number)) {
		X509_CRL_free(crl);
		return no_memory(why);
	}
	*ret = (struct revoked){.crl = crl, .number = number, .from_s = now_s};
	return 0;
}

int revoked_add(struct revoked *r, const char *serial, int64_t when_s, struct buf *why)
{
	X509_REVOKED *entry = X509_REVOKED_new();
	ASN1_INTEGER *number = serial_of(serial);
	ASN1_TIME *when = ASN1_TIME_set(NULL, when_s);
	bool good = entry && number && when && X509_REVOKED_set_serialNumber(entry, number) &&
	    X509_REVOKED_set_revocationDate(entry, when) && X509_CRL_add0_revoked(r->crl, entry);
	if (!good)
		X509_REVOKED_free(entry);
	ASN1_INTEGER_free(number);
	ASN1_TIME_free(when);
	return good ? 0 : no_memory(why);
}

int revoked_sign(struct revoked *r, EVP_PKEY *key, struct buf *why)
{
	return X509_CRL_sort(r->crl) && X509_CRL_sign(r->crl, key, EVP_sha256()) ? 0 : no_memory(why);
}

int revoked_put(struct buf *to, const struct revoked *r, struct buf *why)
{
	unsigned char *der = NULL;
	int n = i2d_X509_CRL(r->crl, &der);
	if (n > 0)
		buf_put(to, der, (size_t)n);
	OPENSSL_free(der);
	return n > 0 && !to->failed ? 0 : no_memory(why);
}
