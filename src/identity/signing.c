/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/signing.h"

#include <errno.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "identity/refuse.h"

enum { SERIAL_BYTES = (CERTIFICATE_SERIAL - 1) / 2, EXTENSIONS_MAX = 5 };

struct extension {
	int nid;
	const char *value;
};

static const struct extension extensions[][EXTENSIONS_MAX] = {
	[SIGNING_AUTHORITY] = {{NID_basic_constraints, "critical,CA:TRUE,pathlen:1"},
	    {NID_key_usage, "critical,keyCertSign,cRLSign"}, {NID_subject_key_identifier, "hash"}},
	[SIGNING_CROSS] = {{NID_basic_constraints, "critical,CA:TRUE,pathlen:0"},
	    {NID_key_usage, "critical,keyCertSign,cRLSign"}, {NID_subject_key_identifier, "hash"}},
	[SIGNING_HOST] = {{NID_basic_constraints, "critical,CA:FALSE"}, {NID_key_usage, "critical,digitalSignature"},
	    {NID_ext_key_usage, "clientAuth,serverAuth"}, {NID_subject_key_identifier, "hash"}},
	[SIGNING_OTHER] = {{NID_basic_constraints, "critical,CA:FALSE"}, {NID_key_usage, "critical,digitalSignature"},
	    {NID_ext_key_usage, "clientAuth"}, {NID_subject_key_identifier, "hash"}},
};

/* --- names --- */

static bool put_entry(X509_NAME *to, int nid, const char *text)
{
	return X509_NAME_add_entry_by_NID(to, nid, MBSTRING_UTF8, (const unsigned char *)text, -1, -1, 0) == 1;
}

static X509_NAME *two_entries(const char *cluster, const char *name)
{
	X509_NAME *to = X509_NAME_new();
	if (to && put_entry(to, NID_organizationName, cluster) && put_entry(to, NID_commonName, name))
		return to;
	X509_NAME_free(to);
	return NULL;
}

X509_NAME *signing_authority_name(const char *cluster)
{
	return two_entries(cluster, "Vigia cluster");
}

X509_NAME *signing_name(const char *name, unsigned roles, const char *cluster)
{
	X509_NAME *to = two_entries(cluster, name);
	for (unsigned i = 0; to && certificate_role_name(i); i++)
		if (roles & 1u << i && !put_entry(to, NID_organizationalUnitName, certificate_role_name(i))) {
			X509_NAME_free(to);
			to = NULL;
		}
	return to;
}

/* --- certificates --- */

/* Never negative, and never shorter than it is. */
static bool put_serial(X509 *x)
{
	unsigned char bytes[SERIAL_BYTES];
	if (RAND_bytes(bytes, sizeof bytes) != 1)
		return false;
	bytes[0] = (unsigned char)((bytes[0] & 0x7f) | 0x40);
	BIGNUM *n = BN_bin2bn(bytes, sizeof bytes, NULL);
	bool good = n && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(x));
	BN_free(n);
	return good;
}

static bool put_extension(X509 *x, X509 *issuer, const struct extension *e)
{
	X509V3_CTX context;
	X509V3_set_ctx(&context, issuer, x, NULL, NULL, 0);
	X509_EXTENSION *made = X509V3_EXT_conf_nid(NULL, &context, e->nid, e->value);
	bool good = made && X509_add_ext(x, made, -1) == 1;
	X509_EXTENSION_free(made);
	return good;
}

static bool put_extensions(X509 *x, const struct signing *s)
{
	static const struct extension issuer_key = {NID_authority_key_identifier, "keyid:always"};
	const struct extension *e = extensions[s->kind];
	for (int i = 0; i < EXTENSIONS_MAX && e[i].value; i++)
		if (!put_extension(x, s->issuer ? s->issuer : x, &e[i]))
			return false;
	return !s->issuer || put_extension(x, s->issuer, &issuer_key);
}

static bool fill(X509 *x, const struct signing *s)
{
	const X509_NAME *issuer = s->issuer ? X509_get_subject_name(s->issuer) : s->subject;
	return X509_set_version(x, X509_VERSION_3) && put_serial(x) && X509_set_subject_name(x, s->subject) &&
	    X509_set_issuer_name(x, issuer) && X509_set_pubkey(x, s->subject_key) &&
	    ASN1_TIME_set(X509_getm_notBefore(x), s->from_s) && ASN1_TIME_set(X509_getm_notAfter(x), s->until_s) &&
	    put_extensions(x, s) && X509_sign(x, s->key, EVP_sha256());
}

int signing_make(const struct signing *s, X509 **ret, struct buf *why)
{
	X509 *x = X509_new();
	if (!x || !s->subject || !fill(x, s)) {
		X509_free(x);
		return refuse(why, -ENOMEM, "no certificate can be made");
	}
	*ret = x;
	return 0;
}
