/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/certificate.h"

#include <errno.h>
#include <openssl/asn1.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "identity/refuse.h"

static const char *const role_names[] = {"node", "master", "monitor", "reader", "operator", "user"};
enum { ROLES_N = sizeof role_names / sizeof *role_names };

/* --- names and roles --- */

const char *certificate_role_name(unsigned i)
{
	return i < ROLES_N ? role_names[i] : NULL;
}

static unsigned role_of(const char *name)
{
	for (unsigned i = 0; i < ROLES_N; i++)
		if (!strcmp(name, role_names[i]))
			return 1u << i;
	return 0;
}

void certificate_roles_format(unsigned roles, char ret[CERTIFICATE_ROLES])
{
	*ret = '\0';
	for (unsigned i = 0; i < ROLES_N; i++)
		if (roles & 1u << i)
			strcat(strcat(ret, *ret ? "," : ""), role_names[i]);
}

int certificate_roles_parse(const char *text, unsigned *ret)
{
	char copy[CERTIFICATE_ROLES], again[CERTIFICATE_ROLES], *rest = copy;
	unsigned roles = 0;
	if (snprintf(copy, sizeof copy, "%s", text) >= (int)sizeof copy)
		return -EINVAL;
	for (char *word; (word = strsep(&rest, ","));)
		roles |= role_of(word);
	certificate_roles_format(roles, again);
	if (!roles || strcmp(again, text))
		return -EINVAL;
	*ret = roles;
	return 0;
}

int certificate_check_name(const char *name, unsigned roles, struct host_id *ret_host, struct buf *why)
{
	struct host_id host = {{0}};
	size_t n = strlen(name);
	bool is_host = !host_id_parse(name, &host);
	if (!n || n >= CERTIFICATE_NAME || strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789.@-") != n)
		return refuse(why, -EINVAL, "a name is 1 to 63 of a-z 0-9 . @ -");
	if (is_host && host_id_is_none(&host))
		return refuse(why, -EINVAL, "%s is nobody's id", name);
	if (!roles || roles & ~(unsigned)CERTIFIED_ALL)
		return refuse(why, -EINVAL, "%s has no role", name);
	if (roles & ~(unsigned)(is_host ? CERTIFIED_HOST : CERTIFIED_ALL & ~CERTIFIED_HOST))
		return refuse(why, -EINVAL, is_host ? "%s is a host, and can only be node or master" :
		    "%s is no host's id, and can be neither node nor master", name);
	if (ret_host)
		*ret_host = host;
	return 0;
}

int64_t certificate_renew_s(const struct certificate *c)
{
	return c->from_s + (c->until_s - c->from_s) / 3 * 2;
}

/* --- bytes --- */

int certificate_read(const void *der, size_t n, X509 **ret, struct buf *why)
{
	const unsigned char *at = der;
	X509 *x = n && n <= CERTIFICATE_MAX ? d2i_X509(NULL, &at, (long)n) : NULL;
	if (!x || at != (const unsigned char *)der + n) {
		X509_free(x);
		return refuse(why, -EBADMSG, "this is no certificate");
	}
	*ret = x;
	return 0;
}

int certificate_put(struct buf *to, const X509 *x, struct buf *why)
{
	unsigned char *der = NULL;
	int n = i2d_X509(x, &der);
	if (n > 0)
		buf_put(to, der, (size_t)n);
	OPENSSL_free(der);
	return n > 0 && !to->failed ? 0 : refuse(why, -ENOMEM, "no memory for a certificate");
}

int certificate_put_pem(struct buf *to, X509 *const certificates[], size_t n, struct buf *why)
{
	char *text;
	BIO *out = BIO_new(BIO_s_mem());
	bool good = out;
	for (size_t i = 0; good && i < n; i++)
		good = PEM_write_bio_X509(out, certificates[i]) == 1;
	long size = good ? BIO_get_mem_data(out, &text) : 0;
	if (size > 0)
		buf_put(to, text, (size_t)size);
	BIO_free(out);
	return good && !to->failed ? 0 : refuse(why, -ENOMEM, "no memory for a certificate");
}

/* --- the subject --- */

/* Text without a NUL in it, in a type that has one byte a character. */
static bool take_text(const ASN1_STRING *s, char *to, size_t size)
{
	int type = ASN1_STRING_type(s), n = ASN1_STRING_length(s);
	if ((type != V_ASN1_UTF8STRING && type != V_ASN1_PRINTABLESTRING) || n < 1 || (size_t)n >= size)
		return false;
	memcpy(to, ASN1_STRING_get0_data(s), (size_t)n);
	to[n] = '\0';
	return strlen(to) == (size_t)n;
}

static bool take_name(struct certificate *c, const ASN1_STRING *s)
{
	return !*c->name && take_text(s, c->name, sizeof c->name);
}

static bool take_cluster(struct certificate *c, const ASN1_STRING *s)
{
	return !*c->cluster && take_text(s, c->cluster, sizeof c->cluster) &&
	    strspn(c->cluster, "0123456789abcdef") == CLUSTER_TEXT - 1;
}

static bool take_role(struct certificate *c, const ASN1_STRING *s)
{
	char name[16];
	unsigned role = take_text(s, name, sizeof name) ? role_of(name) : 0;
	bool fresh = role && !(c->roles & role);
	c->roles |= role;
	return fresh;
}

static const struct {
	int nid;
	bool (*take)(struct certificate *c, const ASN1_STRING *s);
} parts[] = {
	{NID_commonName, take_name},
	{NID_organizationName, take_cluster},
	{NID_organizationalUnitName, take_role},
};

static bool take_entry(struct certificate *c, const X509_NAME_ENTRY *e)
{
	int nid = OBJ_obj2nid(X509_NAME_ENTRY_get_object(e));
	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
		if (parts[i].nid == nid)
			return parts[i].take(c, X509_NAME_ENTRY_get_data(e));
	return false;
}

static int take_subject(struct certificate *c, const X509 *x, struct buf *why)
{
	const X509_NAME *subject = X509_get_subject_name(x);
	for (int i = 0; i < X509_NAME_entry_count(subject); i++) {
		const X509_NAME_ENTRY *e = X509_NAME_get_entry(subject, i);
		if (X509_NAME_ENTRY_set(e) != i || !take_entry(c, e))
			return refuse(why, -EKEYREJECTED, "the certificate's subject is not as Vigia's are (entry %d)", i + 1);
	}
	if (!*c->cluster)
		return refuse(why, -EKEYREJECTED, "the certificate names no cluster");
	return certificate_check_name(c->name, c->roles, &c->host, why) ? -EKEYREJECTED : 0;
}

/* --- the rest of it --- */

static int take_serial(struct certificate *c, const X509 *x, struct buf *why)
{
	const ASN1_INTEGER *serial = X509_get0_serialNumber(x);
	const unsigned char *bytes = ASN1_STRING_get0_data(serial);
	int n = ASN1_STRING_length(serial);
	if (ASN1_STRING_type(serial) != V_ASN1_INTEGER || n != (CERTIFICATE_SERIAL - 1) / 2 || !bytes[0])
		return refuse(why, -EKEYREJECTED, "the certificate's serial is not one of 16 bytes");
	for (int i = 0; i < n; i++)
		sprintf(c->serial + 2 * i, "%02x", bytes[i]);
	return 0;
}

static bool seconds_of(const ASN1_TIME *t, int64_t *ret)
{
	struct tm tm;
	if (ASN1_TIME_to_tm(t, &tm) != 1)
		return false;
	*ret = timegm(&tm);
	return true;
}

static int take_times(struct certificate *c, const X509 *x, struct buf *why)
{
	if (!seconds_of(X509_get0_notBefore(x), &c->from_s) || !seconds_of(X509_get0_notAfter(x), &c->until_s) ||
	    c->from_s > c->until_s)
		return refuse(why, -EKEYREJECTED, "the certificate's life is none");
	return 0;
}

static int check_key(X509 *x, struct buf *why)
{
	EVP_PKEY *key = X509_get0_pubkey(x);
	if (!key || !key_is_ours(key))
		return refuse(why, -EKEYREJECTED, "the certificate's key is not on the curve P-256");
	return 0;
}

static int check_use(const struct certificate *c, X509 *x, struct buf *why)
{
	enum { NEVER = EXFLAG_CA | EXFLAG_INVALID | EXFLAG_CRITICAL | EXFLAG_PROXY | EXFLAG_SS };
	uint32_t flags = X509_get_extension_flags(x);
	uint32_t use = c->roles & CERTIFIED_HOST ? XKU_SSL_CLIENT | XKU_SSL_SERVER : XKU_SSL_CLIENT;
	if (X509_get_version(x) != X509_VERSION_3 || X509_get_signature_nid(x) != NID_ecdsa_with_SHA256)
		return refuse(why, -EKEYREJECTED, "the certificate is not X.509 version 3 with ecdsa-with-SHA256");
	if (flags & NEVER || !(flags & EXFLAG_BCONS))
		return refuse(why, -EKEYREJECTED, "the certificate could sign others, or has an extension that nobody knows");
	if (X509_get_key_usage(x) != KU_DIGITAL_SIGNATURE || X509_get_extended_key_usage(x) != use)
		return refuse(why, -EKEYREJECTED, "the certificate is not for what its roles do");
	return 0;
}

int certificate_facts(X509 *x, struct certificate *ret, struct buf *why)
{
	struct certificate c = {0};
	int r = take_subject(&c, x, why);
	if (!r)
		r = take_serial(&c, x, why);
	if (!r)
		r = take_times(&c, x, why);
	if (!r)
		r = check_key(x, why);
	if (!r)
		r = check_use(&c, x, why);
	if (!r)
		*ret = c;
	return r;
}
