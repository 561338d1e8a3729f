/* SPDX-License-Identifier: Apache-2.0 */
/* An authority's life: made once, signs, takes back, gets a new key; and every step of it cut off. */
#include "identity/fixture_test.h"

static struct cluster c;

#define ID "01000000000000000000000000000000"

static int begin(void **state)
{
	set_up(state);
	c = fresh_cluster("cluster");
	return 0;
}

static int end(void **state)
{
	close_cluster(&c);
	return tear_down(state);
}

static struct buf request(void)
{
	EVP_PKEY *key;
	struct buf b = BUF_INIT;
	good(key_new(&key, &why));
	good(request_put(&b, key, &why));
	EVP_PKEY_free(key);
	return b;
}

static int sign(const char *name, unsigned roles, int64_t life_s, struct certificate *ret)
{
	struct buf q = request(), der = BUF_INIT;
	struct authority_grant grant = {.name = name, .roles = roles, .life_s = life_s};
	int r = authority_sign(c.authority, q.data, q.len, &grant, now_s, &der, ret, &why);
	buf_release(&q);
	buf_release(&der);
	return r;
}

static uint64_t list_number(void)
{
	return trust_list(authority_trust(c.authority))->number;
}

static bool is_revoked(const struct certificate *x)
{
	return trust_judge(authority_trust(c.authority), x, now_s, &(struct buf){.failed = true}) == -EKEYREVOKED;
}

static void its_files_are_its_own(void **state)
{
	static const char *const files[] = {"cluster/authority.key", "cluster/authority.pem", "cluster/issued", "cluster/revoked.crl"};
	struct stat st;
	for (int i = 0; i < 4; i++) {
		assert_int_equal(stat(path_of(files[i]), &st), 0);
		assert_int_equal(st.st_mode & 07777, 0600);
	}
	assert_false(vault_has(c.vault, "authority.key.next"));
}

static void a_second_one_is_refused(void **state)
{
	struct authority *a;
	said(authority_make(&a, c.vault, now_s, &why), -EEXIST, "cluster/authority.key: this host is in a cluster already");
	good(vault_remove(c.vault, "authority.key", &why));
	said(authority_make(&a, c.vault, now_s, &why), -EEXIST, "cluster/authority.pem");
}

static void a_key_that_others_may_read_is_refused(void **state)
{
	struct authority *a;
	assert_int_equal(chmod(path_of("cluster/authority.key"), 0644), 0);
	said(authority_open(&a, c.vault, now_s, &why), -EPERM, "cluster/authority.key: has mode 0644, and must have 0600");
	assert_int_equal(unlink(path_of("cluster/authority.key")), 0);
	assert_int_equal(symlink("/dev/null", path_of("cluster/authority.key")), 0);
	said(authority_open(&a, c.vault, now_s, &why), -ELOOP, "cluster/authority.key: is a symbolic link");
	assert_int_equal(unlink(path_of("cluster/authority.key")), 0);
	said(authority_open(&a, c.vault, now_s, &why), -ENOENT, "is not the cluster's authority");
}

static void another_s_key_is_refused(void **state)
{
	struct authority *a;
	EVP_PKEY *key;
	good(key_new(&key, &why));
	good(key_save(c.vault, "authority.key", key, &why));
	EVP_PKEY_free(key);
	said(authority_open(&a, c.vault, now_s, &why), -EKEYREJECTED, "does not belong to the certificate beside it");
	good(vault_write(c.vault, "authority.key", "rubbish", 7, &why));
	said(authority_open(&a, c.vault, now_s, &why), -EBADMSG, "cluster/authority.key: is no private key");
}

static void it_signs_what_was_granted_and_nothing_of_the_request_s(void **state)
{
	struct certificate x;
	good(sign(ID, CERTIFIED_NODE | CERTIFIED_MASTER, 90 * DAY, &x));
	assert_string_equal(x.name, ID);
	assert_int_equal(x.host.bytes[0], 1);
	assert_int_equal(x.roles, CERTIFIED_NODE | CERTIFIED_MASTER);
	assert_string_equal(x.cluster, trust_cluster(authority_trust(c.authority)));
	assert_int_equal(x.until_s, now_s + 90 * DAY);
	assert_int_equal(x.from_s, now_s - AUTHORITY_SKEW_S);
	good(sign("alice@site", CERTIFIED_USER | CERTIFIED_OPERATOR, 12 * 3600, &x));
	assert_true(host_id_is_none(&x.host));
	good(sign("late", CERTIFIED_READER, AUTHORITY_LIFE_S, &x));
	now_s += DAY;
	good(sign("later", CERTIFIED_READER, AUTHORITY_LIFE_S, &x));
	assert_int_equal(x.until_s, now_s - DAY + AUTHORITY_LIFE_S); /* no longer than the authority's own */
}

static void what_cannot_be_granted_is_not(void **state)
{
	static const char long_name[65] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
	said(sign(ID, CERTIFIED_READER, DAY, NULL), -EINVAL, "is a host");
	said(sign(ID, CERTIFIED_NODE | CERTIFIED_OPERATOR, DAY, NULL), -EINVAL, "is a host");
	said(sign("alice", CERTIFIED_NODE, DAY, NULL), -EINVAL, "is no host's id");
	said(sign("alice", CERTIFIED_USER | CERTIFIED_MASTER, DAY, NULL), -EINVAL, "is no host's id");
	said(sign("alice", 0, DAY, NULL), -EINVAL, "no role");
	said(sign("alice", 64, DAY, NULL), -EINVAL, "no role");
	said(sign("Alice", CERTIFIED_USER, DAY, NULL), -EINVAL, "a name is");
	said(sign("a b", CERTIFIED_USER, DAY, NULL), -EINVAL, "a name is");
	said(sign("", CERTIFIED_USER, DAY, NULL), -EINVAL, "a name is");
	said(sign(long_name, CERTIFIED_USER, DAY, NULL), -EINVAL, "a name is");
	said(sign("00000000000000000000000000000000", CERTIFIED_NODE, DAY, NULL), -EINVAL, "nobody's id");
	said(sign("alice", CERTIFIED_USER, 0, NULL), -EINVAL, "lives for");
	said(sign("alice", CERTIFIED_USER, AUTHORITY_LIFE_S + 1, NULL), -EINVAL, "lives for");
	assert_null(issued_get(authority_issued(c.authority), 0));
}

static void what_it_has_issued_is_known_after_a_restart(void **state)
{
	struct certificate x;
	good(sign(ID, CERTIFIED_NODE, 90 * DAY, &x));
	good(sign("alice", CERTIFIED_USER, DAY, NULL));
	assert_int_equal(authority_revoke(c.authority, "alice", now_s, &why), 1);
	reopen(&c);
	const struct issued_entry *e = issued_find(authority_issued(c.authority), x.serial);
	assert_non_null(e);
	assert_string_equal(e->name, ID);
	assert_int_equal(e->roles, CERTIFIED_NODE);
	assert_int_equal(e->revoked_s, 0);
	assert_int_equal(issued_get(authority_issued(c.authority), 1)->revoked_s, now_s);
	assert_null(issued_get(authority_issued(c.authority), 2));
}

static void revoking_takes_back_all_of_a_name_and_numbers_go_up(void **state)
{
	struct certificate first, second, other;
	good(sign(ID, CERTIFIED_NODE, 90 * DAY, &first));
	good(sign(ID, CERTIFIED_NODE, 90 * DAY, &second));
	good(sign("alice", CERTIFIED_USER, 90 * DAY, &other));
	assert_int_equal(list_number(), 1);
	assert_int_equal(authority_revoke(c.authority, ID, now_s, &why), 2);
	assert_int_equal(list_number(), 2);
	assert_true(is_revoked(&first) && is_revoked(&second) && !is_revoked(&other));
	said(authority_revoke(c.authority, ID, now_s, &why), -ENOENT, "has no certificate");
	said(authority_revoke(c.authority, "bob", now_s, &why), -ENOENT, "bob has no certificate");
	reopen(&c);
	assert_int_equal(list_number(), 2);
	assert_true(is_revoked(&first) && is_revoked(&second) && !is_revoked(&other));
	good(authority_renew_list(c.authority, now_s + DAY, &why));
	assert_int_equal(list_number(), 3);
	assert_int_equal(trust_list(authority_trust(c.authority))->from_s, now_s + DAY);
	/* Who comes back gets another one, and is not revoked. */
	good(sign(ID, CERTIFIED_NODE, 90 * DAY, &first));
	assert_false(is_revoked(&first));
}

static void a_list_that_was_lost_comes_again_with_a_higher_number(void **state)
{
	struct certificate x;
	good(sign("alice", CERTIFIED_USER, DAY, &x));
	assert_int_equal(authority_revoke(c.authority, "alice", now_s, &why), 1);
	good(vault_remove(c.vault, "revoked.crl", &why));
	reopen(&c);
	assert_int_equal(list_number(), 3);
	assert_true(is_revoked(&x));
	/* An older one that was put back, too. */
	struct buf old = list_of(&c);
	good(authority_renew_list(c.authority, now_s, &why));
	good(vault_write(c.vault, "revoked.crl", old.data, old.len, &why));
	reopen(&c);
	assert_int_equal(list_number(), 5);
	buf_release(&old);
}

static void renewing_gives_the_same_again(void **state)
{
	struct certificate x, again;
	struct buf q = request(), der = BUF_INIT;
	good(sign(ID, CERTIFIED_NODE, 90 * DAY, &x));
	now_s += 61 * DAY;
	assert_true(certificate_renew_s(&x) <= now_s);
	good(authority_renew(c.authority, x.serial, q.data, q.len, 90 * DAY, now_s, &der, &again, &why));
	assert_string_equal(again.name, ID);
	assert_int_equal(again.roles, CERTIFIED_NODE);
	assert_int_equal(again.until_s, now_s + 90 * DAY);
	assert_string_not_equal(again.serial, x.serial);
	said(authority_renew(c.authority, "40", q.data, q.len, DAY, now_s, &der, NULL, &why), -ENOENT, "issued no certificate 40");
	now_s += 30 * DAY;
	said(authority_renew(c.authority, x.serial, q.data, q.len, DAY, now_s, &der, NULL, &why), -EKEYEXPIRED, "is over");
	assert_int_equal(authority_revoke(c.authority, ID, now_s, &why), 1);
	said(authority_renew(c.authority, again.serial, q.data, q.len, DAY, now_s, &der, NULL, &why), -EKEYREVOKED, "revoked");
	buf_release(&q);
	buf_release(&der);
}

static void what_is_long_over_is_forgotten(void **state)
{
	struct certificate x;
	good(sign("alice", CERTIFIED_USER, DAY, &x));
	good(sign("bob", CERTIFIED_USER, 90 * DAY, NULL));
	assert_int_equal(authority_revoke(c.authority, "alice", now_s, &why), 1);
	now_s += DAY + ISSUED_KEPT_S + 1;
	reopen(&c);
	assert_string_equal(issued_get(authority_issued(c.authority), 0)->name, "bob");
	assert_null(issued_get(authority_issued(c.authority), 1));
	struct buf text = contents(c.vault, "issued");
	assert_null(strstr(buf_str(&text), "alice"));
	buf_release(&text);
	good(authority_renew_list(c.authority, now_s, &why));
	assert_int_equal(list_number(), 3);
	assert_false(is_revoked(&x)); /* it is over anyhow */
}

static void a_line_that_is_cut_off_was_never_given_out(void **state)
{
	good(sign("alice", CERTIFIED_USER, DAY, NULL));
	good(vault_append(c.vault, "issued", "issued 4000", 11, &why));
	reopen(&c);
	assert_string_equal(issued_get(authority_issued(c.authority), 0)->name, "alice");
	good(sign("bob", CERTIFIED_USER, DAY, NULL));
	reopen(&c);
	assert_string_equal(issued_get(authority_issued(c.authority), 1)->name, "bob");
}

static void a_line_that_is_none_is_a_refusal(void **state)
{
	static const char *const wrong[] = {"rubbish\n", "\n", "revoked 40000000000000000000000000000000 1\n", "list 1 5\n", "list 05 5\n",
		"issued 40000000000000000000000000000000 a node,user 1 2 3\n", "key xyz\n", "key 00ff\n",
		"issued 40 a user 1 2\n",
		"issued 40000000000000000000000000000000 a user 1 99999999999999999999\n"};
	struct authority *a;
	struct buf before = contents(c.vault, "issued");
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		good(vault_append(c.vault, "issued", wrong[i], strlen(wrong[i]), &why));
		said(authority_open(&a, c.vault, now_s, &why), -EBADMSG, "cluster/issued:3: is none of the authority's lines");
		good(vault_write(c.vault, "issued", before.data, before.len, &why));
	}
	good(vault_remove(c.vault, "issued", &why));
	said(authority_open(&a, c.vault, now_s, &why), -ENOENT, "cluster/issued");
	buf_release(&before);
}

static void rotating_replaces_the_key_and_what_it_signed_still_counts(void **state)
{
	struct certificate x, y;
	char cluster[CLUSTER_TEXT];
	struct person old = fresh_person(&c, ID, CERTIFIED_NODE, 90 * DAY);
	struct buf key = contents(c.vault, "authority.key");
	strcpy(cluster, trust_cluster(authority_trust(c.authority)));
	good(authority_rotate(c.authority, now_s, &why));
	assert_string_not_equal(trust_cluster(authority_trust(c.authority)), cluster);
	for (int again = 0; again < 2; again++, reopen(&c)) {
		good(trust_check(authority_trust(c.authority), old.certificate, NULL, TRUST_SERVER, now_s, &x, &why));
		assert_string_equal(x.cluster, cluster);
		good(sign("alice", CERTIFIED_USER, DAY, &y));
		assert_string_equal(y.cluster, trust_cluster(authority_trust(c.authority)));
	}
	/* The old key is gone. */
	struct buf fresh = contents(c.vault, "authority.key");
	assert_string_not_equal(buf_str(&fresh), buf_str(&key));
	assert_false(vault_has(c.vault, "authority.key.next"));
	/* It counts until its last certificate is over, and can be revoked. */
	assert_int_equal(trust_before_until(authority_trust(c.authority)), now_s + 90 * DAY);
	said(authority_rotate(c.authority, now_s, &why), -EBUSY, "still count");
	assert_int_equal(authority_revoke(c.authority, ID, now_s, &why), 1);
	said(trust_check(authority_trust(c.authority), old.certificate, NULL, TRUST_SERVER, now_s, &x, &why), -EKEYREVOKED, "revoked");
	now_s += 91 * DAY;
	good(authority_rotate(c.authority, now_s, &why));
	said(trust_check(authority_trust(c.authority), old.certificate, NULL, TRUST_SERVER, now_s, &x, &why), -EKEYREJECTED, "");
	free_person(&old);
	buf_release(&key);
	buf_release(&fresh);
}

/* The files as they are after each step of a rotation, which are authority.key.next, issued (list), authority.pem, issued (key),
 * revoked.crl, rename: opened, there is the old key or the new, and all that was issued. */
static void a_rotation_that_is_cut_off_is_finished_or_never_was(void **state)
{
	static const char *const names[] = {"authority.pem", "issued", "revoked.crl", "authority.key"};
	struct person p = fresh_person(&c, ID, CERTIFIED_NODE, 90 * DAY);
	struct certificate x;
	struct buf before[4], after[4];
	for (int i = 0; i < 4; i++)
		before[i] = contents(c.vault, names[i]);
	good(authority_rotate(c.authority, now_s, &why));
	for (int i = 0; i < 4; i++)
		after[i] = contents(c.vault, names[i]);
	for (int steps = 0; steps <= 3; steps++) {
		for (int i = 0; i < 4; i++) {
			const struct buf *b = i < steps ? &after[i] : &before[i];
			good(vault_write(c.vault, names[i], b->data, b->len, &why));
		}
		good(vault_write(c.vault, "authority.key.next", after[3].data, after[3].len, &why));
		reopen(&c);
		assert_int_equal(trust_before_until(authority_trust(c.authority)) != 0, steps > 0);
		good(trust_check(authority_trust(c.authority), p.certificate, NULL, TRUST_SERVER, now_s, &x, &why));
		assert_non_null(issued_find(authority_issued(c.authority), x.serial));
		good(sign("alice", CERTIFIED_USER, DAY, NULL));
		assert_true(list_number() >= 1u + (steps > 0));
	}
	for (int i = 0; i < 4; i++)
		buf_release(&before[i]), buf_release(&after[i]);
	free_person(&p);
}

/* The disk fails in the middle: nothing more is signed by a key that the files do not have. */
static void a_rotation_that_fails_leaves_nothing_that_signs(void **state)
{
	assert_int_equal(unlink(path_of("cluster/revoked.crl")), 0);
	assert_int_equal(mkdir(path_of("cluster/revoked.crl"), 0700), 0); /* nothing can be renamed to it */
	said(authority_rotate(c.authority, now_s, &why), -EISDIR, "cluster/revoked.crl");
	said(sign("alice", CERTIFIED_USER, DAY, NULL), -ESTALE, "was not replaced whole");
	said(authority_rotate(c.authority, now_s, &why), -ESTALE, "was not replaced whole");
	said(authority_renew_list(c.authority, now_s, &why), -ESTALE, "was not replaced whole");
	assert_int_equal(rmdir(path_of("cluster/revoked.crl")), 0);
	reopen(&c);
	good(sign("alice", CERTIFIED_USER, DAY, NULL));
	assert_true(trust_before_until(authority_trust(c.authority)) > 0);
}

static void a_making_that_is_cut_off_is_finished_or_made_anew(void **state)
{
	struct authority *a;
	struct vault *v = fresh_vault("half");
	struct buf key = contents(c.vault, "authority.key"), bundle = contents(c.vault, "authority.pem");
	good(vault_write(v, "authority.key.next", key.data, key.len, &why));
	good(vault_write(v, "issued", "list 1 1800000000\n", 18, &why));
	said(authority_open(&a, v, now_s, &why), -ENOENT, "authority.pem");
	good(authority_make(&a, v, now_s, &why));
	authority_close(a);
	vault_close(v);
	v = fresh_vault("nearly");
	good(vault_write(v, "authority.key.next", key.data, key.len, &why));
	good(vault_write(v, "issued", "list 1 1800000000\n", 18, &why));
	good(vault_write(v, "authority.pem", bundle.data, bundle.len, &why));
	good(authority_open(&a, v, now_s, &why));
	assert_string_equal(issued_cluster(authority_issued(a)), trust_cluster(authority_trust(a)));
	assert_int_equal(trust_list(authority_trust(a))->number, 2);
	assert_true(vault_has(v, "authority.key") && !vault_has(v, "authority.key.next"));
	authority_close(a);
	vault_close(v);
	buf_release(&key);
	buf_release(&bundle);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(its_files_are_its_own, begin, end),
		cmocka_unit_test_setup_teardown(a_second_one_is_refused, begin, end),
		cmocka_unit_test_setup_teardown(a_key_that_others_may_read_is_refused, begin, end),
		cmocka_unit_test_setup_teardown(another_s_key_is_refused, begin, end),
		cmocka_unit_test_setup_teardown(it_signs_what_was_granted_and_nothing_of_the_request_s, begin, end),
		cmocka_unit_test_setup_teardown(what_cannot_be_granted_is_not, begin, end),
		cmocka_unit_test_setup_teardown(what_it_has_issued_is_known_after_a_restart, begin, end),
		cmocka_unit_test_setup_teardown(revoking_takes_back_all_of_a_name_and_numbers_go_up, begin, end),
		cmocka_unit_test_setup_teardown(a_list_that_was_lost_comes_again_with_a_higher_number, begin, end),
		cmocka_unit_test_setup_teardown(renewing_gives_the_same_again, begin, end),
		cmocka_unit_test_setup_teardown(what_is_long_over_is_forgotten, begin, end),
		cmocka_unit_test_setup_teardown(a_line_that_is_cut_off_was_never_given_out, begin, end),
		cmocka_unit_test_setup_teardown(a_line_that_is_none_is_a_refusal, begin, end),
		cmocka_unit_test_setup_teardown(rotating_replaces_the_key_and_what_it_signed_still_counts, begin, end),
		cmocka_unit_test_setup_teardown(a_rotation_that_is_cut_off_is_finished_or_never_was, begin, end),
		cmocka_unit_test_setup_teardown(a_rotation_that_fails_leaves_nothing_that_signs, begin, end),
		cmocka_unit_test_setup_teardown(a_making_that_is_cut_off_is_finished_or_made_anew, begin, end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
