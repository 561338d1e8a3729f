/* SPDX-License-Identifier: Apache-2.0 */
/* Orders: what they are good for, and that they are good for nothing else. */
#include "identity/fixture_test.h"
#include "identity/order.h"
#include "identity/signing.h"

static const struct order_audience here = {.host = {{1}}, .life = 7};
static EVP_PKEY *key;
static X509 *certificate;
static struct msg *query;
static struct buf bytes;

/* Any certificate: whose it is, is looked at elsewhere. */
static void begin(void)
{
	X509_NAME *name;
	now_s = 1800000000;
	good(key_new(&key, &why));
	name = signing_name("uid.1000@here", CERTIFIED_USER, "0123456789abcdef0123456789abcdef");
	const struct signing s = {.kind = SIGNING_AUTHORITY, .subject = name, .subject_key = key, .key = key, .from_s = now_s, .until_s = now_s + 60};
	good(signing_make(&s, &certificate, &why));
	X509_NAME_free(name);
	query = msg_new("process");
	msg_set(query, "query", "signal");
	msg_set(query, "id", "5");
	msg_set_int(query, "pid", 4711);
	msg_set_flag(query, "here", true);
	msg_set_bytes(query, "data", "\0\1\2", 3);
	msg_text(msg_child(query, "word"), "sleep", 5);
	good(order_put(&bytes, query, &here, now_s, key, certificate, &why));
}

static int end(void **state)
{
	msg_free(query);
	buf_release(&bytes);
	EVP_PKEY_free(key);
	X509_free(certificate);
	buf_release(&why);
	return 0;
}

static int check(const struct msg *m, const struct order_audience *audience, int64_t at_s)
{
	struct order o;
	good(order_read(bytes.data, bytes.len, &o, &why));
	return order_check(&o, m, audience, at_s, key, &why);
}

static void it_is_good_for_its_query_however_that_travelled(void **state)
{
	begin();
	good(check(query, &here, now_s));
	struct msg *m = msg_new("process"); /* as from XML, in another order, under another number */
	msg_set(m, "data", "AAEC");
	msg_set(m, "signed", "whatever");
	msg_set(m, "here", "yes");
	msg_set(m, "pid", "4711");
	msg_set(m, "at", "h3");
	msg_set(m, "query", "signal");
	msg_set_int(m, "id", 99);
	msg_text(msg_child(m, "word"), "sleep", 5);
	good(check(m, &here, now_s + ORDER_LIFE_S));
	msg_free(m);
}

static void any_other_query_is_refused(void **state)
{
	begin();
	static const char *const changed[][2] = {{"pid", "4712"}, {"query", "start"}, {"here", "no"}, {"data", "AAED"}, {"signal", "KILL"}};
	for (size_t i = 0; i < sizeof changed / sizeof *changed; i++) {
		struct msg *m = msg_dup(query);
		msg_unset(m, changed[i][0]);
		msg_set(m, changed[i][0], changed[i][1]);
		said(check(m, &here, now_s), -EKEYREJECTED, "signed for another query");
		msg_unset(m, changed[i][0]);
		said(check(m, &here, now_s), strcmp(changed[i][0], "signal") ? -EKEYREJECTED : 0, strcmp(changed[i][0], "signal") ? "another" : "");
		msg_free(m);
	}
	struct msg *m = msg_dup(query);
	msg_text(msg_child(m, "word"), "1000", 4);
	said(check(m, &here, now_s), -EKEYREJECTED, "signed for another query");
	msg_free(m);
}

static void another_host_or_another_life_of_its_daemon_refuses_it(void **state)
{
	begin();
	const struct order_audience other = {.host = {{2}}, .life = here.life}, later = {.host = here.host, .life = 8};
	said(check(query, &other, now_s), -EKEYREJECTED, "another host");
	said(check(query, &later, now_s), -EKEYREJECTED, "another life");
}

static void it_is_good_for_a_minute(void **state)
{
	begin();
	good(check(query, &here, now_s + ORDER_LIFE_S));
	said(check(query, &here, now_s + ORDER_LIFE_S + 1), -EKEYEXPIRED, "until 1 s ago");
	good(check(query, &here, now_s - ORDER_SKEW_S));
	said(check(query, &here, now_s - ORDER_SKEW_S - 1), -EKEYEXPIRED, "of 6 s ahead");
}

static void any_byte_that_is_changed_is_noticed(void **state)
{
	begin();
	size_t n = bytes.len - 300; /* what comes behind is the certificate, which is looked at elsewhere */
	for (size_t i = 0; i < 26 + 64 && i < n; i++) {
		struct order o;
		bytes.data[i] ^= 1;
		int r = order_read(bytes.data, bytes.len, &o, &why);
		if (!r)
			r = order_check(&o, query, &here, now_s, key, &why);
		assert_true(r < 0);
		buf_clear(&why);
		bytes.data[i] ^= 1;
	}
	good(check(query, &here, now_s));
}

static void it_is_good_for_one_key(void **state)
{
	struct order o;
	EVP_PKEY *other;
	begin();
	good(key_new(&other, &why));
	good(order_read(bytes.data, bytes.len, &o, &why));
	said(order_check(&o, query, &here, now_s, other, &why), -EKEYREJECTED, "signed for another");
	EVP_PKEY_free(other);
}

static void names_are_of_users_and_realms(void **state)
{
	char name[CERTIFICATE_NAME], realm[ORDER_REALM];
	uid_t uid;
	static const char *const none[] = {"uid.0@here", "uid.01@here", "uid.@here", "uid.1", "uid.1@", "uid.-1@x", "uid.4294967295@x", "u.1@x",
	    "uid.1@a@b", "0123456789abcdef0123456789abcdef", "uid.1@01234567890123456789012345678901", "uid.+1@x", "uid. 1@x"};
	assert_int_equal(order_name(name, 1000, "here"), 0);
	assert_string_equal(name, "uid.1000@here");
	assert_int_equal(order_user(name, &uid, realm), 0);
	assert_int_equal(uid, 1000);
	assert_string_equal(realm, "here");
	for (size_t i = 0; i < sizeof none / sizeof *none; i++)
		assert_int_equal(order_user(none[i], &uid, realm), -EINVAL);
	assert_int_equal(order_name(name, 0, "here"), -EINVAL);
	assert_int_equal(order_name(name, (uid_t)-1, "here"), -EINVAL);
	assert_int_equal(order_name(name, 1, "He re"), -EINVAL);
}

int main(void)
{
#define T(test) cmocka_unit_test_teardown(test, end)
	const struct CMUnitTest tests[] = {
	    T(it_is_good_for_its_query_however_that_travelled),
	    T(any_other_query_is_refused),
	    T(another_host_or_another_life_of_its_daemon_refuses_it),
	    T(it_is_good_for_a_minute),
	    T(any_byte_that_is_changed_is_noticed),
	    T(it_is_good_for_one_key),
	    cmocka_unit_test(names_are_of_users_and_realms),
	};
	return cmocka_run_group_tests_name("identity-order", tests, NULL, NULL);
}
