/* SPDX-License-Identifier: Apache-2.0 */
/* What a certificate must be like, and who may have signed it: each rule broken once, by the right authority's own key. */
#include "identity/fixture_test.h"

#include <openssl/core_names.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include "identity/signing.h"

#define ID "02000000000000000000000000000000"

static struct cluster c;
static EVP_PKEY *authority_key;

static int begin(void **state)
{
	set_up(state);
	c = fresh_cluster("cluster");
	good(key_load(c.vault, "authority.key", &authority_key, &why));
	return 0;
}

static int end(void **state)
{
	EVP_PKEY_free(authority_key);
	close_cluster(&c);
	return tear_down(state);
}

static int check(X509 *x, STACK_OF(X509) *shown, struct certificate *ret)
{
	return trust_check(authority_trust(c.authority), x, shown, TRUST_CLIENT, now_s, ret, &why);
}

/* --- breaking a rule --- */

typedef void breaking(X509 *x);

static X509_NAME *subject(X509 *x)
{
	return (X509_NAME *)(uintptr_t)X509_get_subject_name(x);
}

static void add(X509 *x, int nid, const char *text)
{
	assert_int_equal(X509_NAME_add_entry_by_NID(subject(x), nid, MBSTRING_UTF8, (const unsigned char *)text, -1, -1, 0), 1);
}

static void drop(X509 *x, int nid)
{
	int i = X509_NAME_get_index_by_NID(subject(x), nid, -1);
	assert_true(i >= 0);
	X509_NAME_ENTRY_free(X509_NAME_delete_entry(subject(x), i));
}

static void put(X509 *x, int nid, const char *text)
{
	drop(x, nid);
	add(x, nid, text);
}

static void extend(X509 *x, int nid, const char *value)
{
	int i = X509_get_ext_by_NID(x, nid, -1);
	if (i >= 0)
		X509_EXTENSION_free(X509_delete_ext(x, i));
	X509_EXTENSION *e = value ? X509V3_EXT_conf_nid(NULL, NULL, nid, value) : NULL;
	if (e)
		assert_int_equal(X509_add_ext(x, e, -1), 1);
	X509_EXTENSION_free(e);
}

static void set_key(X509 *x, EVP_PKEY *key)
{
	assert_non_null(key);
	X509_set_pubkey(x, key);
	EVP_PKEY_free(key);
}

static void set_serial(X509 *x, const char *hex)
{
	BIGNUM *n = NULL;
	BN_hex2bn(&n, hex);
	BN_to_ASN1_INTEGER(n, X509_get_serialNumber(x));
	BN_free(n);
}

static void no_cluster(X509 *x)
{
	drop(x, NID_organizationName);
}
static void two_clusters(X509 *x)
{
	add(x, NID_organizationName, trust_cluster(authority_trust(c.authority)));
}
static void another_cluster(X509 *x)
{
	put(x, NID_organizationName, "00112233445566778899aabbccddeeff");
}
static void a_cluster_in_capitals(X509 *x)
{
	put(x, NID_organizationName, "00112233445566778899AABBCCDDEEFF");
}
static void no_name(X509 *x)
{
	drop(x, NID_commonName);
}
static void two_names(X509 *x)
{
	add(x, NID_commonName, "alice");
}
static void an_id_for_a_user(X509 *x)
{
	put(x, NID_commonName, ID);
}
static void a_name_in_capitals(X509 *x)
{
	put(x, NID_commonName, "Alice");
}
static void a_name_with_control_bytes(X509 *x)
{
	put(x, NID_commonName, "al\x1b[2Jice");
}
static void a_name_with_a_nul(X509 *x)
{
	drop(x, NID_commonName);
	X509_NAME_add_entry_by_NID(subject(x), NID_commonName, V_ASN1_UTF8STRING, (const unsigned char *)"root\0.x", 7, -1, 0);
}
static void a_name_in_two_bytes_a_character(X509 *x)
{
	drop(x, NID_commonName);
	X509_NAME_add_entry_by_NID(subject(x), NID_commonName, V_ASN1_BMPSTRING, (const unsigned char *)"aabb", 4, -1, 0);
}
static void no_role(X509 *x)
{
	drop(x, NID_organizationalUnitName);
}
static void an_unknown_role(X509 *x)
{
	put(x, NID_organizationalUnitName, "root");
}
static void a_role_twice(X509 *x)
{
	add(x, NID_organizationalUnitName, "user");
}
static void a_host_s_role(X509 *x)
{
	add(x, NID_organizationalUnitName, "master");
}
static void something_else_in_the_subject(X509 *x)
{
	add(x, NID_countryName, "DE");
}
static void two_in_one(X509 *x)
{
	X509_NAME_add_entry_by_NID(subject(x), NID_organizationalUnitName, MBSTRING_UTF8, (const unsigned char *)"reader", -1, -1, -1);
}
static void an_authority(X509 *x)
{
	extend(x, NID_basic_constraints, "critical,CA:TRUE");
	extend(x, NID_key_usage, "critical,digitalSignature,keyCertSign");
}
static void no_constraints(X509 *x)
{
	extend(x, NID_basic_constraints, NULL);
}
static void no_use(X509 *x)
{
	extend(x, NID_key_usage, NULL);
}
static void another_use(X509 *x)
{
	extend(x, NID_key_usage, "critical,digitalSignature,cRLSign");
}
static void no_extended_use(X509 *x)
{
	extend(x, NID_ext_key_usage, NULL);
}
static void a_user_who_serves(X509 *x)
{
	extend(x, NID_ext_key_usage, "clientAuth,serverAuth");
}
static void a_use_more(X509 *x)
{
	extend(x, NID_ext_key_usage, "clientAuth,codeSigning");
}
static void a_critical_extension(X509 *x)
{
	extend(x, NID_inhibit_any_policy, "critical,0");
	extend(x, NID_netscape_comment, "critical,something");
}
static void another_curve(X509 *x)
{
	set_key(x, EVP_EC_gen("P-384"));
}
static void an_rsa_key(X509 *x)
{
	set_key(x, EVP_RSA_gen(2048));
}
static void a_short_serial(X509 *x)
{
	set_serial(x, "4001");
}
static void a_long_serial(X509 *x)
{
	set_serial(x, "4000000000000000000000000000000001");
}
static void a_negative_serial(X509 *x)
{
	set_serial(x, "-40000000000000000000000000000001");
}
static void version_1(X509 *x)
{
	X509_set_version(x, X509_VERSION_1);
}
static void a_life_backwards(X509 *x)
{
	ASN1_TIME_set(X509_getm_notAfter(x), now_s - DAY);
}

/* Alice's certificate, but for this. */
static X509 *forge(breaking *how, const EVP_MD *digest)
{
	EVP_PKEY *key;
	X509 *x, *authority = trust_authority(authority_trust(c.authority));
	X509_NAME *name = signing_name("alice", CERTIFIED_USER, trust_cluster(authority_trust(c.authority)));
	good(key_new(&key, &why));
	good(signing_make(&(struct signing){.kind = SIGNING_OTHER, .subject = name, .subject_key = key, .issuer = authority,
	    .key = authority_key, .from_s = now_s - 1, .until_s = now_s + DAY}, &x, &why));
	if (how)
		how(x);
	assert_true(X509_sign(x, authority_key, digest) > 0);
	X509_NAME_free(name);
	EVP_PKEY_free(key);
	/* As it comes over the wire. */
	struct buf der = BUF_INIT;
	good(certificate_put(&der, x, &why));
	X509_free(x);
	good(certificate_read(der.data, der.len, &x, &why));
	buf_release(&der);
	return x;
}

static void what_does_not_follow_the_rules_is_refused(void **state)
{
	static const struct {
		breaking *how;
		const char *text;
	} rules[] = {
		{no_cluster, "names no cluster"},
		{two_clusters, "subject is not as Vigia's"},
		{another_cluster, "names another cluster than the one that signed it"},
		{a_cluster_in_capitals, "subject is not as Vigia's"},
		{no_name, "a name is 1 to 63"},
		{two_names, "subject is not as Vigia's"},
		{an_id_for_a_user, "is a host, and can only be node or master"},
		{a_name_in_capitals, "a name is 1 to 63"},
		{a_name_with_control_bytes, "a name is 1 to 63"},
		{a_name_with_a_nul, "subject is not as Vigia's"},
		{a_name_in_two_bytes_a_character, "subject is not as Vigia's"},
		{no_role, "alice has no role"},
		{an_unknown_role, "subject is not as Vigia's"},
		{a_role_twice, "subject is not as Vigia's"},
		{a_host_s_role, "can be neither node nor master"},
		{something_else_in_the_subject, "subject is not as Vigia's"},
		{two_in_one, "subject is not as Vigia's"},
		{an_authority, "could sign others"},
		{no_constraints, "could sign others"},
		{no_use, "not for what its roles do"},
		{another_use, "not for what its roles do"},
		{no_extended_use, "not for what its roles do"},
		{a_user_who_serves, "not for what its roles do"},
		{a_use_more, "not for what its roles do"},
		{a_critical_extension, "an extension that nobody knows"},
		{another_curve, "not on the curve P-256"},
		{an_rsa_key, "not on the curve P-256"},
		{a_short_serial, "serial is not one of 16 bytes"},
		{a_long_serial, "serial is not one of 16 bytes"},
		{a_negative_serial, "serial is not one of 16 bytes"},
		{version_1, "not X.509 version 3"},
		{a_life_backwards, "life is none"},
	};
	struct certificate facts;
	for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
		X509 *x = forge(rules[i].how, EVP_sha256());
		said(check(x, NULL, &facts), -EKEYREJECTED, rules[i].text);
		X509_free(x);
	}
	X509 *x = forge(NULL, EVP_sha384());
	said(check(x, NULL, &facts), -EKEYREJECTED, "ecdsa-with-SHA256");
	X509_free(x);
	x = forge(NULL, EVP_sha256());
	good(check(x, NULL, &facts));
	assert_string_equal(facts.name, "alice");
	X509_free(x);
}

static void one_byte_changed_is_no_certificate_of_ours(void **state)
{
	struct certificate facts;
	X509 *x = forge(NULL, EVP_sha256()), *changed;
	struct buf der = BUF_INIT;
	good(certificate_put(&der, x, &why));
	char *name = memmem(der.data, der.len, "alice", 5);
	name[0] = 'b';
	good(certificate_read(der.data, der.len, &changed, &why));
	said(check(changed, NULL, &facts), -EKEYREJECTED, "blice: certificate signature failure");
	X509_free(changed);
	name[0] = 'a';
	buf_putc(&der, 0);
	said(certificate_read(der.data, der.len, &changed, &why), -EBADMSG, "no certificate");
	said(certificate_read(der.data, der.len - 2, &changed, &why), -EBADMSG, "no certificate");
	said(certificate_read(der.data, 0, &changed, &why), -EBADMSG, "no certificate");
	X509_free(x);
	buf_release(&der);
}

/* --- who signs --- */

static X509 *sign_by(const struct person *signer, struct cluster *named, enum signing_kind kind, EVP_PKEY *key)
{
	X509 *x;
	X509_NAME *name = kind == SIGNING_CROSS ? signing_authority_name(trust_cluster(authority_trust(named->authority))) :
	    signing_name("alice", CERTIFIED_OPERATOR, trust_cluster(authority_trust(named->authority)));
	good(signing_make(&(struct signing){.kind = kind, .subject = name, .subject_key = key, .issuer = signer->certificate,
	    .key = signer->key, .from_s = now_s - 1, .until_s = now_s + DAY}, &x, &why));
	X509_NAME_free(name);
	return x;
}

static void no_role_can_sign(void **state)
{
	struct certificate facts;
	struct person hosts = fresh_person(&c, ID, CERTIFIED_NODE | CERTIFIED_MASTER, 90 * DAY), alice = fresh_person(&c, "alice", CERTIFIED_USER, DAY);
	STACK_OF(X509) *shown = sk_X509_new_null();
	X509 *x = sign_by(&hosts, &c, SIGNING_OTHER, alice.key);
	said(check(x, NULL, &facts), -EKEYREJECTED, "unable to get local issuer certificate");
	sk_X509_push(shown, hosts.certificate);
	said(check(x, shown, &facts), -EKEYREJECTED, "alice: invalid CA certificate");
	/* With the authority's name over it, and an authority's extensions. */
	X509 *between = sign_by(&hosts, &c, SIGNING_CROSS, alice.key);
	struct person fake = {.key = alice.key, .certificate = between};
	X509 *y = sign_by(&fake, &c, SIGNING_OTHER, alice.key);
	sk_X509_push(shown, between);
	int r = check(y, shown, &facts);
	assert_int_equal(r, -EKEYREJECTED);
	buf_clear(&why);
	sk_X509_free(shown);
	X509_free(x);
	X509_free(y);
	X509_free(between);
	free_person(&hosts);
	free_person(&alice);
}

/* Another cluster's authority that says our authority's name: its key is not ours. */
static void another_authority_with_our_name_is_another(void **state)
{
	struct certificate facts;
	struct cluster other = fresh_cluster("other");
	struct person alice = fresh_person(&c, "alice", CERTIFIED_USER, DAY), fake = {0};
	X509_NAME *name = signing_authority_name(trust_cluster(authority_trust(c.authority)));
	good(key_load(other.vault, "authority.key", &fake.key, &why));
	good(signing_make(&(struct signing){.kind = SIGNING_AUTHORITY, .subject = name, .subject_key = fake.key, .key = fake.key,
	    .from_s = now_s - 1, .until_s = now_s + DAY}, &fake.certificate, &why));
	X509 *x = sign_by(&fake, &c, SIGNING_OTHER, alice.key);
	STACK_OF(X509) *shown = sk_X509_new_null();
	sk_X509_push(shown, fake.certificate);
	assert_int_equal(check(x, shown, &facts), -EKEYREJECTED);
	buf_clear(&why);
	/* Nor is it one to begin with: its name is not its key's. */
	struct buf pem = BUF_INIT;
	struct trust *t;
	good(certificate_put_pem(&pem, &fake.certificate, 1, &why));
	said(trust_new(&t, pem.data, pem.len, NULL, 0, &why), -EKEYREJECTED, "authority's certificate is not as Vigia's are");
	buf_release(&pem);
	sk_X509_free(shown);
	X509_free(x);
	X509_NAME_free(name);
	free_person(&fake);
	free_person(&alice);
	close_cluster(&other);
}

static void roles_have_one_text(void **state)
{
	static const char *const wrong[] = {"", "node,", ",node", "master,node", "node,node", "root", "node, master", "NODE",
		"node,master,monitor,reader,operator,user,node,master,monitor,reader,operator,user"};
	char text[CERTIFICATE_ROLES];
	unsigned roles;
	for (unsigned i = 1; i <= CERTIFIED_ALL; i++) {
		certificate_roles_format(i, text);
		assert_int_equal(certificate_roles_parse(text, &roles), 0);
		assert_int_equal(roles, i);
	}
	assert_string_equal(text, "node,master,monitor,reader,operator,user");
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		assert_int_equal(certificate_roles_parse(wrong[i], &roles), -EINVAL);
}

/* --- requests --- */

static int read_request(const struct buf *b)
{
	EVP_PKEY *key;
	int r = request_read(b->data, b->len, &key, &why);
	if (!r)
		EVP_PKEY_free(key);
	return r;
}

static void a_request_shows_that_one_has_the_key(void **state)
{
	struct buf q = BUF_INIT;
	EVP_PKEY *key, *read;
	good(key_new(&key, &why));
	good(request_put(&q, key, &why));
	good(request_read(q.data, q.len, &read, &why));
	assert_int_equal(EVP_PKEY_eq(key, read), 1);
	q.data[q.len - 1] ^= 1;
	said(read_request(&q), -EKEYREJECTED, "not signed by its own key");
	q.data[q.len - 1] ^= 1;
	buf_putc(&q, 0);
	said(read_request(&q), -EBADMSG, "no request");
	q.len = 0;
	said(read_request(&q), -EBADMSG, "no request");
	EVP_PKEY *other = EVP_EC_gen("P-384");
	good(request_put(&q, other, &why));
	said(read_request(&q), -EKEYREJECTED, "not on the curve P-256");
	EVP_PKEY_free(key);
	EVP_PKEY_free(read);
	EVP_PKEY_free(other);
	buf_release(&q);
}

/* The curve P-256 written out, which may hide another generator (CVE-2020-0601). */
static void a_curve_that_is_written_out_is_none(void **state)
{
	struct buf q = BUF_INIT;
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
	EVP_PKEY *key = NULL;
	assert_int_equal(EVP_PKEY_keygen_init(ctx), 1);
	assert_int_equal(EVP_PKEY_CTX_set_group_name(ctx, "P-256"), 1);
	assert_int_equal(EVP_PKEY_CTX_set_ec_param_enc(ctx, OPENSSL_EC_EXPLICIT_CURVE), 1);
	assert_int_equal(EVP_PKEY_generate(ctx, &key), 1);
	good(request_put(&q, key, &why));
	said(read_request(&q), -EKEYREJECTED, "not on the curve P-256");
	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_free(key);
	buf_release(&q);
}

static void a_point_that_is_cut_short_is_none(void **state)
{
	struct buf q = BUF_INIT;
	EVP_PKEY *key;
	good(key_new(&key, &why));
	assert_int_equal(EVP_PKEY_set_utf8_string_param(key, OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT,
	    OSSL_PKEY_EC_POINT_CONVERSION_FORMAT_COMPRESSED), 1);
	good(request_put(&q, key, &why));
	said(read_request(&q), -EKEYREJECTED, "not on the curve P-256");
	EVP_PKEY_free(key);
	buf_release(&q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_does_not_follow_the_rules_is_refused, begin, end),
		cmocka_unit_test_setup_teardown(one_byte_changed_is_no_certificate_of_ours, begin, end),
		cmocka_unit_test_setup_teardown(no_role_can_sign, begin, end),
		cmocka_unit_test_setup_teardown(another_authority_with_our_name_is_another, begin, end),
		cmocka_unit_test_setup_teardown(roles_have_one_text, begin, end),
		cmocka_unit_test_setup_teardown(a_request_shows_that_one_has_the_key, begin, end),
		cmocka_unit_test_setup_teardown(a_point_that_is_cut_short_is_none, begin, end),
		cmocka_unit_test_setup_teardown(a_curve_that_is_written_out_is_none, begin, end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
