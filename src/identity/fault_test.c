/* SPDX-License-Identifier: Apache-2.0 */
/* A disk that fails at each single step of everything that writes, once or from then on: what was said before holds, and what failed
 * can be said again. */
#include "identity/fixture_test.h"

#include "identity/tokens.h"

/* --- the disk --- */

static int countdown; /* the call that fails; 0: none */
static bool for_good, failed;
static bool unsynced; /* bytes or a name that a power cut would take */

ssize_t __real_write(int fd, const void *bytes, size_t n);
ssize_t __wrap_write(int fd, const void *bytes, size_t n);
int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __real_renameat(int from_fd, const char *from, int to_fd, const char *to);
int __wrap_renameat(int from_fd, const char *from, int to_fd, const char *to);

static bool fails(void)
{
	if (!countdown || --countdown)
		return false;
	countdown = for_good;
	failed = true;
	errno = EIO;
	return true;
}

/* Half of it gets there. */
ssize_t __wrap_write(int fd, const void *bytes, size_t n)
{
	unsynced = true;
	if (!fails())
		return __real_write(fd, bytes, n);
	if (n > 1)
		__real_write(fd, bytes, n / 2);
	errno = EIO;
	return -1;
}

int __wrap_fsync(int fd)
{
	if (fails())
		return -1;
	unsynced = false;
	return __real_fsync(fd);
}

int __wrap_renameat(int from_fd, const char *from, int to_fd, const char *to)
{
	if (fails())
		return -1;
	assert_false(unsynced); /* or a power cut leaves the name and not what is in it */
	unsynced = true;
	return __real_renameat(from_fd, from, to_fd, to);
}

/* --- a cluster, and what has been promised in it --- */

#define ID "03000000000000000000000000000000"

static struct cluster c;
static struct host h;
static struct person node, gone, bob; /* one who is in, one who was revoked, one who will be */
static struct certificate signed_last;
static uint64_t number;

static void begin(void)
{
	c = fresh_cluster("cluster");
	h = fresh_host(&c, "host", 2, CERTIFIED_NODE);
	node = fresh_person(&c, ID, CERTIFIED_NODE, 90 * DAY);
	gone = fresh_person(&c, "gone", CERTIFIED_USER, 90 * DAY);
	bob = fresh_person(&c, "bob", CERTIFIED_USER, 90 * DAY);
	assert_int_equal(authority_revoke(c.authority, "gone", now_s, &why), 1);
	struct buf list = list_of(&c);
	assert_int_equal(place_take_list(h.place, list.data, list.len, &why), 1);
	buf_release(&list);
	number = trust_list(authority_trust(c.authority))->number;
	signed_last = (struct certificate){0};
}

static void end(void)
{
	free_person(&node);
	free_person(&gone);
	free_person(&bob);
	close_host(&h);
	close_cluster(&c);
	nftw(directory, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	assert_int_equal(mkdir(directory, 0700), 0);
}

static void check_trust(struct trust *t)
{
	struct certificate x;
	good(trust_check(t, node.certificate, NULL, TRUST_CLIENT, now_s, &x, &why));
	said(trust_check(t, gone.certificate, NULL, TRUST_CLIENT, now_s, &x, &why), -EKEYREVOKED, "gone");
}

/* After the next start. */
static void everything_holds(void)
{
	reopen(&c);
	check_trust(authority_trust(c.authority));
	assert_true(trust_list(authority_trust(c.authority))->number >= number);
	number = trust_list(authority_trust(c.authority))->number;
	assert_non_null(issued_find(authority_issued(c.authority), node.facts.serial));
	assert_true(!*signed_last.serial || issued_find(authority_issued(c.authority), signed_last.serial));
	reopen_host(&h);
	struct trust *t = belief_trust(place_belief(h.place));
	check_trust(t);
	trust_unref(t);
}

/* --- what may be cut off --- */

static int sign(void)
{
	struct buf request = BUF_INIT, der = BUF_INIT;
	EVP_PKEY *key;
	struct authority_grant grant = {.name = "alice", .roles = CERTIFIED_USER, .life_s = DAY};
	good(key_new(&key, &why));
	good(request_put(&request, key, &why));
	int r = authority_sign(c.authority, request.data, request.len, &grant, now_s, &der, &signed_last, &why);
	assert_int_equal(!r, der.len > 0); /* nothing is given out that is not on disk */
	EVP_PKEY_free(key);
	buf_release(&request);
	buf_release(&der);
	return r;
}

static int revoke_bob(void)
{
	int r = authority_revoke(c.authority, "bob", now_s, &why);
	if (r == -ENOENT) { /* the start in between has brought it to its end */
		buf_clear(&why);
		r = 0;
	}
	if (r >= 0)
		said(trust_judge(authority_trust(c.authority), &bob.facts, now_s, &why), -EKEYREVOKED, "bob");
	return r < 0 ? r : 0;
}

static int rotate(void)
{
	int r = authority_rotate(c.authority, now_s, &why);
	bool again = r == -EBUSY; /* the first time had done it */
	if (again)
		buf_clear(&why);
	return again ? 0 : r;
}

static int renew(void)
{
	struct buf request = BUF_INIT, der = BUF_INIT;
	int r = place_request(h.vault, &request, &why);
	if (!r) {
		int left = countdown;
		countdown = 0;
		der = sign_host(&c, &h, CERTIFIED_NODE, &request);
		countdown = left;
		r = place_take_certificate(h.place, der.data, der.len, &why);
	}
	buf_release(&request);
	buf_release(&der);
	return r;
}

static int take_list(void)
{
	int left = countdown;
	countdown = 0;
	good(authority_renew_list(c.authority, now_s, &why));
	countdown = left;
	struct buf list = list_of(&c);
	int r = place_take_list(h.place, list.data, list.len, &why);
	buf_release(&list);
	return r < 0 ? r : 0;
}

static int take_authority(void)
{
	int left = countdown;
	countdown = 0;
	good(rotate());
	countdown = left;
	struct buf list = list_of(&c);
	const struct buf *bundle = trust_bundle(authority_trust(c.authority));
	int r = place_take_authority(h.place, bundle->data, bundle->len, list.data, list.len, &why);
	buf_release(&list);
	return r < 0 ? r : 0;
}

static int token(void)
{
	struct tokens *tokens;
	struct token t;
	unsigned roles = 0;
	good(tokens_open(&tokens, c.vault, &why));
	int r = tokens_issue(tokens, CERTIFIED_NODE, now_s, &t, &why), again;
	if (!r) {
		r = tokens_take(tokens, t.secret, now_s, &roles, &why);
		assert_int_equal(!r, roles == CERTIFIED_NODE);
	}
	if (!r) {
		tokens_close(tokens);
		good(tokens_open(&tokens, c.vault, &why));
		again = tokens_take(tokens, t.secret, now_s, &roles, &why);
		assert_true(again < 0); /* nor after a start */
		buf_clear(&why);
	}
	tokens_close(tokens);
	return r;
}

/* Fails at the n-th call for each n that there is. */
static void at_each_step(int (*what)(void))
{
	for (int good_for = 0; good_for < 2; good_for++)
		for (int n = 1;; n++) {
			begin();
			for_good = good_for;
			failed = false;
			countdown = n;
			int r = what();
			countdown = 0;
			if (r)
				assert_true(failed && why.len);
			else
				assert_false(unsynced);
			unsynced = false; /* what failed was told */
			buf_clear(&why);
			everything_holds();
			good(what());
			everything_holds();
			end();
			if (!failed)
				break;
		}
}

static void signing(void **state)
{
	at_each_step(sign);
}

/* In the same life, too: what is crossed out and on no list yet gets on one when it is said again. */
static void revoking_again(void **state)
{
	for (int n = 1; n < 20; n++) {
		begin();
		for_good = false;
		countdown = n;
		int r = revoke_bob();
		countdown = 0;
		unsynced = false;
		buf_clear(&why);
		if (r)
			good(revoke_bob());
		everything_holds();
		end();
	}
}

static void revoking(void **state)
{
	at_each_step(revoke_bob);
}

static void rotating(void **state)
{
	at_each_step(rotate);
}

static void renewing(void **state)
{
	at_each_step(renew);
}

static void hearing_of_a_list(void **state)
{
	at_each_step(take_list);
}

static void hearing_of_a_new_key(void **state)
{
	at_each_step(take_authority);
}

static void a_token_s_life(void **state)
{
	at_each_step(token);
}

static void making_a_cluster(void **state)
{
	for (int n = 1, more = 1; more; n++) {
		struct vault *v = fresh_vault("cluster");
		struct authority *a;
		failed = for_good = false;
		countdown = n;
		int r = authority_make(&a, v, now_s, &why);
		countdown = 0;
		more = failed;
		unsynced = false;
		if (r) {
			buf_clear(&why);
			r = authority_make(&a, v, now_s, &why);
			if (r == -EEXIST) {
				buf_clear(&why);
				r = authority_open(&a, v, now_s, &why);
			}
			good(r);
		}
		authority_close(a);
		good(authority_open(&a, v, now_s, &why));
		assert_true(trust_list(authority_trust(a))->number >= 1);
		authority_close(a);
		vault_close(v);
		nftw(directory, remove_one, 8, FTW_DEPTH | FTW_PHYS);
		assert_int_equal(mkdir(directory, 0700), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(making_a_cluster, set_up, tear_down),
		cmocka_unit_test_setup_teardown(signing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(revoking_again, set_up, tear_down),
		cmocka_unit_test_setup_teardown(revoking, set_up, tear_down),
		cmocka_unit_test_setup_teardown(rotating, set_up, tear_down),
		cmocka_unit_test_setup_teardown(renewing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(hearing_of_a_list, set_up, tear_down),
		cmocka_unit_test_setup_teardown(hearing_of_a_new_key, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_token_s_life, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
