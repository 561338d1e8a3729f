/* SPDX-License-Identifier: Apache-2.0 */
/* A host's way into a cluster, its news, and its way out; and every step of it cut off. */
#include "identity/fixture_test.h"

#include "identity/token.h"

static struct cluster c;
static struct host h;

static int begin(void **state)
{
	set_up(state);
	c = fresh_cluster("cluster");
	h = fresh_host(&c, "host", 2, CERTIFIED_NODE);
	return 0;
}

static int end(void **state)
{
	close_host(&h);
	close_cluster(&c);
	return tear_down(state);
}

static int open_again(void)
{
	struct place *p;
	int r = place_open(&p, h.vault, &h.id, test_clock, &why);
	if (!r)
		place_close(p);
	return r;
}

static void a_place_is_known_after_a_restart(void **state)
{
	struct certificate own = place_own(h.place), again;
	reopen_host(&h);
	again = place_own(h.place);
	assert_string_equal(own.serial, again.serial);
	assert_true(host_id_is(&again.host, &h.id));
	assert_false(vault_has(h.vault, "host.key.next"));
}

static void files_with_another_mode_are_a_refusal_to_start(void **state)
{
	static const struct {
		const char *file;
		mode_t mode;
		const char *text;
	} wrong[] = {
		{"host/host.key", 0644, "host/host.key: has mode 0644, and must have 0600"},
		{"host/host.key", 0660, "host/host.key: has mode 0660"},
		{"host/host.pem", 0666, "host/host.pem: has mode 0666: others may write it"},
		{"host/authority.pem", 0620, "host/authority.pem: has mode 0620"},
		{"host/revoked.crl", 0602, "host/revoked.crl: has mode 0602"},
	};
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		assert_int_equal(chmod(path_of(wrong[i].file), wrong[i].mode), 0);
		said(open_again(), -EPERM, wrong[i].text);
		assert_int_equal(chmod(path_of(wrong[i].file), 0600), 0);
		good(open_again());
	}
}

static void files_that_are_missing_or_links_are_a_refusal_to_start(void **state)
{
	static const char *const files[] = {"authority.pem", "revoked.crl", "host.key"};
	char there[200];
	for (int i = 0; i < 3; i++) {
		char path[200];
		snprintf(path, sizeof path, "%s/host/%s", directory, files[i]);
		strcpy(there, path_of("elsewhere"));
		assert_int_equal(rename(path, there), 0);
		said(open_again(), i == 2 ? -EKEYREJECTED : -ENOENT, files[i]);
		assert_int_equal(symlink(there, path), 0);
		said(open_again(), -ELOOP, files[i]);
		assert_int_equal(unlink(path), 0);
		assert_int_equal(rename(there, path), 0);
	}
	good(vault_remove(h.vault, "host.pem", &why));
	said(open_again(), -ENOENT, "this host is in no cluster");
}

static void another_host_s_papers_are_refused(void **state)
{
	struct host_id other = {{9}};
	struct place *p;
	said(place_open(&p, h.vault, &other, test_clock, &why), -EKEYREJECTED,
	    "the certificate is for host 02000000000000000000000000000000, and this one is 09000000000000000000000000000000");
}

static void a_certificate_that_is_over_is_no_refusal_to_start(void **state)
{
	now_s += AUTHORITY_HOST_LIFE_S + DAY;
	good(open_again());
}

/* --- joining --- */

struct papers {
	struct buf request, list, certificate;
	struct place_papers p;
};

static struct papers papers_for(struct cluster *from, struct host *to, unsigned roles)
{
	struct papers s = {.list = list_of(from)};
	const struct buf *bundle = trust_bundle(authority_trust(from->authority));
	good(place_request(to->vault, &s.request, &why));
	s.certificate = sign_host(from, to, roles, &s.request);
	s.p = (struct place_papers){.bundle = bundle->data, .bundle_n = bundle->len, .list = s.list.data, .list_n = s.list.len,
		.certificate = s.certificate.data, .certificate_n = s.certificate.len};
	return s;
}

static void release(struct papers *s)
{
	buf_release(&s->request);
	buf_release(&s->list);
	buf_release(&s->certificate);
}

static struct host newcomer(void)
{
	struct host n = {.vault = fresh_vault("newcomer"), .id = {{7}}};
	host_id_format(&n.id, n.name);
	return n;
}

static void papers_that_are_not_all_right_are_none(void **state)
{
	struct host n = newcomer(), o = newcomer();
	struct cluster other = fresh_cluster("other");
	struct papers s = papers_for(&c, &n, CERTIFIED_NODE), theirs;
	uint8_t fingerprint[FINGERPRINT_BYTES];
	struct place_papers p = s.p;
	/* of another cluster than the token */
	good(key_fingerprint(X509_get0_pubkey(trust_authority(authority_trust(other.authority))), fingerprint));
	p.fingerprint = fingerprint;
	said(place_join(n.vault, &n.id, &p, now_s, &why), -EKEYREJECTED, "of another cluster than the token");
	/* a list of another authority, or none */
	p = s.p;
	struct buf list = list_of(&other);
	p.list = list.data, p.list_n = list.len;
	said(place_join(n.vault, &n.id, &p, now_s, &why), -EKEYREJECTED, "not signed by the cluster's authority");
	p.list = NULL;
	said(place_join(n.vault, &n.id, &p, now_s, &why), -EBADMSG, "list is missing");
	/* for another host, of another cluster, over */
	said(place_join(n.vault, &h.id, &s.p, now_s, &why), -EKEYREJECTED, "the certificate is for host");
	said(place_join(n.vault, &n.id, &s.p, now_s + AUTHORITY_HOST_LIFE_S, &why), -EKEYEXPIRED, "expired");
	p = s.p;
	p.certificate = s.request.data, p.certificate_n = s.request.len;
	said(place_join(n.vault, &n.id, &p, now_s, &why), -EBADMSG, "no certificate");
	/* for a request that another has replaced */
	theirs = papers_for(&c, &o, CERTIFIED_NODE);
	said(place_join(n.vault, &n.id, &s.p, now_s, &why), -EKEYREJECTED, "not for the request that this host made");
	assert_false(vault_has(n.vault, "host.pem"));
	assert_false(vault_has(n.vault, "authority.pem"));
	good(place_join(n.vault, &n.id, &theirs.p, now_s, &why));
	said(place_join(n.vault, &n.id, &theirs.p, now_s, &why), -EEXIST, "in a cluster already");
	release(&s);
	release(&theirs);
	buf_release(&list);
	vault_close(n.vault);
	vault_close(o.vault);
	close_cluster(&other);
}

/* After each of its steps: authority.pem, revoked.crl, host.pem, host.key in its place. */
static void a_joining_that_is_cut_off_can_be_said_again_or_is_done(void **state)
{
	static const char *const files[] = {"authority.pem", "revoked.crl", "host.pem"};
	for (int steps = 0; steps <= 3; steps++) {
		struct host n = newcomer();
		struct papers s = papers_for(&c, &n, CERTIFIED_NODE);
		good(place_join(n.vault, &n.id, &s.p, now_s, &why));
		for (int i = 2; i >= steps; i--)
			good(vault_remove(n.vault, files[i], &why));
		good(vault_rename(n.vault, "host.key", "host.key.next", &why));
		if (steps < 3) {
			struct place *p;
			said(place_open(&p, n.vault, &n.id, test_clock, &why), -ENOENT, "in no cluster");
			join(&c, &n, CERTIFIED_NODE);
		} else {
			good(place_open(&n.place, n.vault, &n.id, test_clock, &why));
		}
		close_host(&n);
		release(&s);
		end(state);
		begin(state);
	}
}

static void the_authority_s_own_host_joins_and_cannot_leave(void **state)
{
	struct host own = {.vault = c.vault, .id = {{1}}};
	struct cluster other = fresh_cluster("other");
	host_id_format(&own.id, own.name);
	struct papers theirs = papers_for(&other, &own, CERTIFIED_NODE);
	said(place_join(c.vault, &own.id, &theirs.p, now_s, &why), -EEXIST, "this host is another cluster's authority");
	join(&c, &own, CERTIFIED_MASTER);
	said(place_leave(c.vault, &why), -EBUSY, "cluster's authority is on this host");
	reopen(&c);
	place_close(own.place);
	release(&theirs);
	close_cluster(&other);
}

static void leaving_leaves_nothing(void **state)
{
	struct buf request = BUF_INIT;
	good(place_request(h.vault, &request, &why));
	good(place_leave(h.vault, &why));
	assert_int_equal(rmdir(path_of("host")), 0);
	vault_close(h.vault);
	h.vault = fresh_vault("host");
	place_close(h.place);
	join(&c, &h, CERTIFIED_NODE);
	buf_release(&request);
}

/* --- renewing --- */

static void a_new_certificate_comes_with_a_new_key(void **state)
{
	struct certificate before = place_own(h.place), after;
	struct buf key = contents(h.vault, "host.key"), request = BUF_INIT;
	SSL_CTX *old = place_context(h.place, CONTEXT_ACCEPT);
	assert_true(certificate_renew_s(&before) > now_s && certificate_renew_s(&before) <= now_s + 61 * DAY);
	now_s += 61 * DAY;
	good(place_request(h.vault, &request, &why));
	good(open_again()); /* what waits does no harm */
	struct buf der = sign_host(&c, &h, CERTIFIED_NODE, &request);
	good(place_take_certificate(h.place, der.data, der.len, &why));
	after = place_own(h.place);
	assert_string_not_equal(before.serial, after.serial);
	assert_int_equal(after.until_s, now_s + AUTHORITY_HOST_LIFE_S);
	SSL_CTX *fresh = place_context(h.place, CONTEXT_ACCEPT);
	assert_ptr_not_equal(old, fresh);
	struct buf key_now = contents(h.vault, "host.key");
	assert_string_not_equal(buf_str(&key), buf_str(&key_now));
	assert_false(vault_has(h.vault, "host.key.next"));
	said(place_take_certificate(h.place, der.data, der.len, &why), -ENOENT, "host.key.next"); /* none was asked for */
	reopen_host(&h);
	SSL_CTX_free(old);
	SSL_CTX_free(fresh);
	buf_release(&key);
	buf_release(&key_now);
	buf_release(&request);
	buf_release(&der);
}

/* host.pem is on disk, and its key still waits. */
static void a_renewal_that_is_cut_off_is_finished(void **state)
{
	struct buf request = BUF_INIT, key = contents(h.vault, "host.key");
	good(place_request(h.vault, &request, &why));
	struct buf next = contents(h.vault, "host.key.next"), der = sign_host(&c, &h, CERTIFIED_NODE, &request);
	good(place_take_certificate(h.place, der.data, der.len, &why));
	struct certificate own = place_own(h.place);
	good(vault_write(h.vault, "host.key", key.data, key.len, &why));
	good(vault_write(h.vault, "host.key.next", next.data, next.len, &why));
	reopen_host(&h);
	assert_string_equal(own.serial, place_own(h.place).serial);
	assert_false(vault_has(h.vault, "host.key.next"));
	buf_release(&request);
	buf_release(&key);
	buf_release(&next);
	buf_release(&der);
}

static void another_s_certificate_is_not_taken(void **state)
{
	struct certificate own = place_own(h.place);
	struct host other = fresh_host(&c, "other", 3, CERTIFIED_NODE);
	struct buf request = BUF_INIT;
	good(place_request(h.vault, &request, &why));
	struct buf der = sign_host(&c, &other, CERTIFIED_NODE, &request);
	said(place_take_certificate(h.place, der.data, der.len, &why), -EKEYREJECTED, "the certificate is for host 03");
	assert_string_equal(own.serial, place_own(h.place).serial);
	reopen_host(&h);
	buf_release(&request);
	buf_release(&der);
	close_host(&other);
}

/* --- revocation lists --- */

static int take_list(const struct buf *list)
{
	return place_take_list(h.place, list->data, list->len, &why);
}

static void only_a_newer_list_is_taken_and_it_is_kept(void **state)
{
	struct person alice = fresh_person(&c, "alice", CERTIFIED_USER, DAY);
	struct buf first = list_of(&c);
	good(place_judge(h.place, &alice.facts, &why));
	assert_int_equal(authority_revoke(c.authority, "alice", now_s, &why), 1);
	struct buf second = list_of(&c);
	assert_int_equal(take_list(&first), 0);
	assert_int_equal(take_list(&second), 1);
	assert_int_equal(take_list(&second), 0);
	assert_int_equal(take_list(&first), 0);
	said(place_judge(h.place, &alice.facts, &why), -EKEYREVOKED, "alice's certificate has been revoked");
	reopen_host(&h);
	said(place_judge(h.place, &alice.facts, &why), -EKEYREVOKED, "alice's certificate has been revoked");
	buf_release(&first);
	buf_release(&second);
	free_person(&alice);
}

static void a_list_that_is_not_the_authority_s_is_refused(void **state)
{
	struct cluster other = fresh_cluster("other");
	struct revoked list;
	struct buf der = BUF_INIT, mine = list_of(&c);
	struct person mallory = fresh_person(&c, "mallory", CERTIFIED_OPERATOR, DAY);
	good(authority_renew_list(other.authority, now_s, &why));
	struct buf theirs = list_of(&other);
	said(take_list(&theirs), -EKEYREJECTED, "not signed by the cluster's authority");
	/* in the authority's name, by somebody it has signed */
	good(revoked_begin(&list, trust_authority(authority_trust(c.authority)), 9, now_s, &why));
	good(revoked_add(&list, place_own(h.place).serial, now_s, &why));
	good(revoked_sign(&list, mallory.key, &why));
	good(revoked_put(&der, &list, &why));
	said(take_list(&der), -EKEYREJECTED, "not signed by the cluster's authority");
	/* changed, cut, longer, nothing */
	mine.data[mine.len - 1] ^= 1;
	said(take_list(&mine), -EKEYREJECTED, "not signed");
	mine.data[mine.len - 1] ^= 1;
	mine.len--;
	said(take_list(&mine), -EBADMSG, "no revocation list");
	mine.len++;
	buf_putc(&mine, 0);
	said(take_list(&mine), -EBADMSG, "no revocation list");
	mine.len = 0;
	said(take_list(&mine), -EBADMSG, "no revocation list");
	revoked_release(&list);
	buf_release(&der);
	buf_release(&mine);
	buf_release(&theirs);
	free_person(&mallory);
	close_cluster(&other);
}

/* A day and a year without news: one goes on with what one has, and its age can be told. */
static void an_old_list_is_better_than_none(void **state)
{
	struct person alice = fresh_person(&c, "alice", CERTIFIED_USER, 800 * DAY);
	now_s += 365 * DAY;
	reopen_host(&h);
	good(place_judge(h.place, &alice.facts, &why));
	struct trust *t = belief_trust(place_belief(h.place));
	assert_int_equal(trust_list(t)->from_s, now_s - 365 * DAY);
	trust_unref(t);
	free_person(&alice);
}

static void open_connections_are_judged_by_time_and_cluster_too(void **state)
{
	struct cluster other = fresh_cluster("other");
	struct person alice = fresh_person(&c, "alice", CERTIFIED_USER, DAY), stranger = fresh_person(&other, "bob", CERTIFIED_USER, DAY);
	good(place_judge(h.place, &alice.facts, &why));
	said(place_judge(h.place, &stranger.facts, &why), -EKEYREJECTED, "bob is of another cluster");
	now_s += DAY;
	said(place_judge(h.place, &alice.facts, &why), -EKEYEXPIRED, "alice's certificate is over");
	free_person(&alice);
	free_person(&stranger);
	close_cluster(&other);
}

/* --- a new authority's key --- */

static int take_authority(struct cluster *from)
{
	struct buf list = list_of(from);
	const struct buf *bundle = trust_bundle(authority_trust(from->authority));
	int r = place_take_authority(h.place, bundle->data, bundle->len, list.data, list.len, &why);
	buf_release(&list);
	return r;
}

static void only_a_key_that_the_old_one_signed_replaces_it(void **state)
{
	struct cluster other = fresh_cluster("other");
	assert_int_equal(take_authority(&c), 0);
	said(take_authority(&other), -EKEYREJECTED, "has not signed this one");
	good(authority_rotate(other.authority, now_s, &why));
	said(take_authority(&other), -EKEYREJECTED, "has not signed this one");
	struct buf old_list = list_of(&c), old_bundle = contents(c.vault, "authority.pem");
	good(authority_rotate(c.authority, now_s, &why));
	assert_int_equal(take_authority(&c), 1);
	assert_int_equal(take_authority(&c), 0);
	/* There is no way back, and the old key says no more who is revoked. */
	said(place_take_authority(h.place, old_bundle.data, old_bundle.len, old_list.data, old_list.len, &why), -EKEYREJECTED,
	    "has not signed this one");
	said(take_list(&old_list), -EKEYREJECTED, "not signed by the authority's newest key");
	reopen_host(&h);
	good(authority_renew_list(c.authority, now_s, &why));
	struct buf list = list_of(&c);
	assert_int_equal(take_list(&list), 1);
	buf_release(&list);
	buf_release(&old_list);
	buf_release(&old_bundle);
	close_cluster(&other);
}

/* Parts that are each right, of two rotations. */
static void keys_that_have_not_signed_each_other_are_no_authority(void **state)
{
	struct cluster other = fresh_cluster("other");
	struct trust *t;
	good(authority_rotate(c.authority, now_s, &why));
	good(authority_rotate(other.authority, now_s, &why));
	struct buf mine = contents(c.vault, "authority.pem"), theirs = contents(other.vault, "authority.pem"), mixed = BUF_INIT;
	const char *end = "-----END CERTIFICATE-----\n";
	size_t cut = (size_t)(strstr(buf_str(&mine), end) - mine.data) + strlen(end);
	size_t cut_theirs = (size_t)(strstr(buf_str(&theirs), end) - theirs.data) + strlen(end);
	buf_put(&mixed, theirs.data, cut_theirs);
	buf_put(&mixed, mine.data + cut, mine.len - cut);
	said(trust_new(&t, mixed.data, mixed.len, NULL, 0, &why), -EKEYREJECTED, "have not signed each other");
	buf_clear(&mixed);
	buf_put(&mixed, mine.data, mine.len);
	buf_put(&mixed, mine.data, cut);
	said(trust_new(&t, mixed.data, mixed.len, NULL, 0, &why), -EBADMSG, "one certificate, or four");
	said(trust_new(&t, mine.data, mine.len - 30, NULL, 0, &why), -EBADMSG, "one certificate, or four");
	said(trust_new(&t, "", 0, NULL, 0, &why), -EBADMSG, "one certificate, or four");
	buf_release(&mine);
	buf_release(&theirs);
	buf_release(&mixed);
	close_cluster(&other);
}

/* authority.pem is on disk, and its list is not. */
static void news_that_are_cut_off_are_no_harm(void **state)
{
	struct buf list = contents(h.vault, "revoked.crl");
	good(authority_rotate(c.authority, now_s, &why));
	assert_int_equal(take_authority(&c), 1);
	good(vault_write(h.vault, "revoked.crl", list.data, list.len, &why));
	reopen_host(&h);
	buf_release(&list);
	list = list_of(&c);
	assert_int_equal(take_list(&list), 1);
	buf_release(&list);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_place_is_known_after_a_restart, begin, end),
		cmocka_unit_test_setup_teardown(files_with_another_mode_are_a_refusal_to_start, begin, end),
		cmocka_unit_test_setup_teardown(files_that_are_missing_or_links_are_a_refusal_to_start, begin, end),
		cmocka_unit_test_setup_teardown(another_host_s_papers_are_refused, begin, end),
		cmocka_unit_test_setup_teardown(a_certificate_that_is_over_is_no_refusal_to_start, begin, end),
		cmocka_unit_test_setup_teardown(papers_that_are_not_all_right_are_none, begin, end),
		cmocka_unit_test_setup_teardown(a_joining_that_is_cut_off_can_be_said_again_or_is_done, begin, end),
		cmocka_unit_test_setup_teardown(the_authority_s_own_host_joins_and_cannot_leave, begin, end),
		cmocka_unit_test_setup_teardown(leaving_leaves_nothing, begin, end),
		cmocka_unit_test_setup_teardown(a_new_certificate_comes_with_a_new_key, begin, end),
		cmocka_unit_test_setup_teardown(a_renewal_that_is_cut_off_is_finished, begin, end),
		cmocka_unit_test_setup_teardown(another_s_certificate_is_not_taken, begin, end),
		cmocka_unit_test_setup_teardown(only_a_newer_list_is_taken_and_it_is_kept, begin, end),
		cmocka_unit_test_setup_teardown(a_list_that_is_not_the_authority_s_is_refused, begin, end),
		cmocka_unit_test_setup_teardown(an_old_list_is_better_than_none, begin, end),
		cmocka_unit_test_setup_teardown(open_connections_are_judged_by_time_and_cluster_too, begin, end),
		cmocka_unit_test_setup_teardown(only_a_key_that_the_old_one_signed_replaces_it, begin, end),
		cmocka_unit_test_setup_teardown(keys_that_have_not_signed_each_other_are_no_authority, begin, end),
		cmocka_unit_test_setup_teardown(news_that_are_cut_off_are_no_harm, begin, end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
