/* SPDX-License-Identifier: Apache-2.0 */
/* Handshakes in memory: who gets in, and each of those who must not. */
#include "identity/fixture_test.h"

#include <openssl/err.h>
#include <pthread.h>

static struct cluster c;
static struct host master, node;

static int begin(void **state)
{
	set_up(state);
	c = fresh_cluster("cluster");
	master = (struct host){.vault = c.vault, .id = {{1}}};
	host_id_format(&master.id, master.name);
	join(&c, &master, CERTIFIED_MASTER | CERTIFIED_NODE);
	node = fresh_host(&c, "node", 2, CERTIFIED_NODE);
	return 0;
}

static int end(void **state)
{
	place_close(master.place);
	close_host(&node);
	close_cluster(&c);
	return tear_down(state);
}

/* --- two sides, and what lies between them --- */

struct pair {
	SSL *dials, *accepts;
	int dialled, accepted; /* 1: the handshake is over; -1: it failed */
	int alert;	       /* that the dialling side got */
};

static void on_alert(const SSL *ssl, int where, int what)
{
	struct pair *p = SSL_get_app_data(ssl);
	if (where == SSL_CB_READ_ALERT)
		p->alert = what & 0xff;
}

static int turn(SSL *ssl)
{
	char byte;
	int r = SSL_is_init_finished(ssl) ? SSL_read(ssl, &byte, 1) : SSL_do_handshake(ssl);
	int e = SSL_get_error(ssl, r);
	ERR_clear_error();
	return e != SSL_ERROR_WANT_READ && r <= 0 ? -1 : SSL_is_init_finished(ssl) ? 1 : 0;
}

static void between(struct pair *p)
{
	BIO *a, *b;
	assert_int_equal(BIO_new_bio_pair(&a, 0, &b, 0), 1);
	SSL_set_bio(p->dials, a, a);
	SSL_set_bio(p->accepts, b, b);
	SSL_set_connect_state(p->dials);
	SSL_set_accept_state(p->accepts);
	SSL_set_app_data(p->dials, p);
	SSL_set_info_callback(p->dials, on_alert);
	for (int i = 0; i < 20; i++) {
		p->dialled = p->dialled < 0 ? -1 : turn(p->dials);
		p->accepted = p->accepted < 0 ? -1 : turn(p->accepts);
	}
}

/* Takes both contexts. */
static struct pair *shake(SSL_CTX *dials, SSL_CTX *accepts)
{
	struct pair *p = calloc(1, sizeof *p);
	p->dials = SSL_new(dials);
	p->accepts = SSL_new(accepts);
	SSL_CTX_free(dials);
	SSL_CTX_free(accepts);
	between(p);
	return p;
}

static void part(struct pair *p)
{
	SSL_free(p->dials);
	SSL_free(p->accepts);
	free(p);
}

static struct pair *node_calls_master(enum context_kind kind)
{
	return shake(place_context(node.place, kind), place_context(master.place, CONTEXT_ACCEPT));
}

static void both_are_in(const struct pair *p)
{
	if (p->dialled != 1 || p->accepted != 1)
		fail_msg("dials %d (%s), accepts %d (%s), alert %d", p->dialled, context_refusal(p->dials), p->accepted,
		    context_refusal(p->accepts), p->alert);
}

/* Who accepts says no, with this; who dials learns no more than the alert. */
static void master_refuses(struct pair *p, const char *text, int alert)
{
	const char *refusal = context_refusal(p->accepts);
	struct certificate x;
	if (p->accepted != -1 || p->dialled != -1 || p->alert != alert || !refusal != !text || (text && !strstr(refusal, text)))
		fail_msg("dials %d, accepts %d (%s), alert %d", p->dialled, p->accepted, refusal, p->alert);
	said(context_peer(p->accepts, &x, &why), -ENOENT, "no certificate");
	part(p);
}

/* Any program's context: as free in its ways as OpenSSL is. */
static SSL_CTX *stranger(const struct person *who, const char *protocol)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_method());
	unsigned char list[40];
	list[0] = (unsigned char)(protocol ? strlen(protocol) : 0);
	if (protocol) {
		strcpy((char *)list + 1, protocol);
		SSL_CTX_set_alpn_protos(ctx, list, list[0] + 1u);
	}
	if (who) {
		assert_int_equal(SSL_CTX_use_certificate(ctx, who->certificate), 1);
		assert_int_equal(SSL_CTX_use_PrivateKey(ctx, who->key), 1);
	}
	return ctx;
}

static struct pair *calls_master(const struct person *who)
{
	return shake(stranger(who, "hmon"), place_context(master.place, CONTEXT_ACCEPT));
}

/* --- who gets in --- */

static void both_sides_know_each_other(void **state)
{
	static const struct {
		enum context_kind kind;
		enum context_protocol protocol;
	} ways[] = {{CONTEXT_DIAL_HMON, PROTOCOL_HMON}, {CONTEXT_DIAL_FRAMES, PROTOCOL_FRAMES}};
	for (int i = 0; i < 2; i++) {
		struct certificate x;
		struct pair *p = node_calls_master(ways[i].kind);
		both_are_in(p);
		assert_int_equal(context_protocol(p->dials), ways[i].protocol);
		assert_int_equal(context_protocol(p->accepts), ways[i].protocol);
		good(context_peer(p->accepts, &x, &why));
		assert_true(host_id_is(&x.host, &node.id));
		assert_int_equal(x.roles, CERTIFIED_NODE);
		good(context_peer(p->dials, &x, &why));
		assert_true(host_id_is(&x.host, &master.id));
		assert_int_equal(x.roles, CERTIFIED_NODE | CERTIFIED_MASTER);
		assert_string_equal(SSL_get_version(p->dials), "TLSv1.3");
		assert_null(context_refusal(p->dials));
		part(p);
	}
}

static void third_parties_get_in_and_are_called_by_their_names(void **state)
{
	struct certificate x;
	struct person alice = fresh_person(&c, "alice@site", CERTIFIED_USER | CERTIFIED_OPERATOR, 12 * 3600);
	struct pair *p = calls_master(&alice);
	both_are_in(p);
	good(context_peer(p->accepts, &x, &why));
	assert_string_equal(x.name, "alice@site");
	assert_int_equal(x.roles, CERTIFIED_USER | CERTIFIED_OPERATOR);
	assert_true(host_id_is_none(&x.host));
	part(p);
	free_person(&alice);
}

/* key_keep_from_dumps() counts on it. */
static void a_connection_takes_no_more_of_the_secure_heap_than_was_said(void **state)
{
	size_t before = CRYPTO_secure_used();
	struct pair *p = node_calls_master(CONTEXT_DIAL_FRAMES);
	both_are_in(p);
	assert_true(before > 0);
	assert_true(CRYPTO_secure_used() - before <= 2 * KEY_CONNECTION);
	part(p);
	assert_int_equal(CRYPTO_secure_used(), before);
}

static void no_handshake_is_taken_up_again(void **state)
{
	struct person alice = fresh_person(&c, "alice", CERTIFIED_USER, 12 * 3600);
	SSL_CTX *ctx = stranger(&alice, "hmon");
	SSL_CTX_up_ref(ctx);
	struct pair *p = shake(ctx, place_context(master.place, CONTEXT_ACCEPT));
	both_are_in(p);
	assert_false(SSL_SESSION_is_resumable(SSL_get0_session(p->dials))); /* no ticket came */
	part(p);
	SSL_CTX_free(ctx);
	p = node_calls_master(CONTEXT_DIAL_HMON);
	assert_int_equal(SSL_get_max_early_data(p->accepts), 0);
	assert_int_equal(SSL_get_recv_max_early_data(p->accepts), 0);
	assert_int_equal(SSL_get_num_tickets(p->accepts), 0);
	assert_false(SSL_SESSION_is_resumable(SSL_get0_session(p->dials)));
	part(p);
	free_person(&alice);
}

static void take_list(struct host *h)
{
	struct buf list = list_of(&c);
	assert_int_equal(place_take_list(h->place, list.data, list.len, &why), 1);
	buf_release(&list);
}

/* On threads of their own, while news come. */
enum { THREADS = 3, EACH = 20 };

static void *shakes_hands(void *data)
{
	int *got_in = data;
	for (int i = 0; i < EACH; i++) {
		struct pair *p = node_calls_master(i % 2 ? CONTEXT_DIAL_FRAMES : CONTEXT_DIAL_HMON);
		*got_in += p->dialled == 1 && p->accepted == 1;
		part(p);
	}
	return NULL;
}

static void handshakes_may_run_beside_each_other_and_beside_news(void **state)
{
	pthread_t threads[THREADS];
	int got_in[THREADS] = {0};
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, shakes_hands, &got_in[i]), 0);
	for (int i = 0; i < EACH; i++) {
		good(authority_renew_list(c.authority, now_s, &why));
		take_list(&master);
		take_list(&node);
	}
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(got_in[i], EACH);
	}
}

/* --- who does not --- */

static void no_certificate(void **state)
{
	master_refuses(calls_master(NULL), NULL, SSL_AD_CERTIFICATE_REQUIRED);
}

static void another_cluster_s_certificate(void **state)
{
	struct cluster other = fresh_cluster("other");
	struct person mallory = fresh_person(&other, node.name, CERTIFIED_NODE, 90 * DAY);
	master_refuses(calls_master(&mallory), "unable to get local issuer certificate", SSL_AD_BAD_CERTIFICATE);
	/* And the other way round: nobody of ours talks to it. */
	SSL_CTX *theirs = stranger(&mallory, NULL);
	struct pair *p = shake(place_context(node.place, CONTEXT_DIAL_HMON), theirs);
	assert_int_equal(p->dialled, -1);
	assert_non_null(strstr(context_refusal(p->dials), "unable to get local issuer certificate"));
	part(p);
	free_person(&mallory);
	close_cluster(&other);
}

static void more_certificates_than_anybody_needs(void **state)
{
	struct person alice = fresh_person(&c, "alice", CERTIFIED_USER, 3600);
	for (int n = 10; n <= 20; n += 10) {
		SSL_CTX *ctx = stranger(&alice, "hmon");
		for (int i = 0; i < n; i++)
			SSL_CTX_add1_chain_cert(ctx, alice.certificate);
		struct pair *p = shake(ctx, place_context(master.place, CONTEXT_ACCEPT));
		if (n == 10) {
			both_are_in(p);
			part(p);
		} else {
			master_refuses(p, NULL, SSL_AD_ILLEGAL_PARAMETER);
		}
	}
	free_person(&alice);
}

static void over(void **state)
{
	struct person alice = fresh_person(&c, "alice", CERTIFIED_USER, 3600);
	now_s += 3599;
	struct pair *p = calls_master(&alice);
	both_are_in(p);
	part(p);
	now_s += 1;
	master_refuses(calls_master(&alice), "alice: certificate has expired", SSL_AD_CERTIFICATE_EXPIRED);
	free_person(&alice);
}

static void not_yet_valid(void **state)
{
	struct person alice = fresh_person(&c, "alice", CERTIFIED_USER, 3600);
	now_s -= AUTHORITY_SKEW_S + 1;
	master_refuses(calls_master(&alice), "alice: certificate is not yet valid", SSL_AD_BAD_CERTIFICATE);
	free_person(&alice);
}

/* Also with a context that was made before the list came. */
static void revoked(void **state)
{
	struct certificate x;
	SSL_CTX *ctx = place_context(master.place, CONTEXT_ACCEPT);
	struct pair *p = node_calls_master(CONTEXT_DIAL_FRAMES);
	both_are_in(p);
	good(context_peer(p->accepts, &x, &why));
	good(place_judge(master.place, &x, &why));
	assert_int_equal(authority_revoke(c.authority, node.name, now_s, &why), 1);
	take_list(&master);
	said(place_judge(master.place, &x, &why), -EKEYREVOKED, "has been revoked"); /* that which is open */
	part(p);
	master_refuses(shake(place_context(node.place, CONTEXT_DIAL_FRAMES), ctx), "has been revoked", SSL_AD_CERTIFICATE_REVOKED);
	/* A master that is revoked is nobody's either. */
	assert_int_equal(authority_revoke(c.authority, master.name, now_s, &why), 1);
	take_list(&node);
	p = node_calls_master(CONTEXT_DIAL_FRAMES);
	assert_int_equal(p->dialled, -1);
	assert_non_null(strstr(context_refusal(p->dials), "has been revoked"));
	part(p);
}

/* Who is no host cannot be taken for one, though the authority has signed him. */
static void one_who_is_no_host_cannot_be_called(void **state)
{
	struct person alice = fresh_person(&c, "alice", CERTIFIED_USER, 3600);
	SSL_CTX *ctx = stranger(&alice, NULL);
	struct pair *p = shake(place_context(node.place, CONTEXT_DIAL_HMON), ctx);
	assert_int_equal(p->dialled, -1);
	assert_non_null(strstr(context_refusal(p->dials), "alice: unsuitable certificate purpose"));
	part(p);
	free_person(&alice);
}

static void a_host_that_does_not_speak_it(void **state)
{
	struct person other = fresh_person(&c, "03000000000000000000000000000000", CERTIFIED_MASTER, 3600);
	struct pair *p = shake(place_context(node.place, CONTEXT_DIAL_HMON), stranger(&other, NULL));
	assert_int_equal(p->dialled, -1);
	assert_non_null(strstr(context_refusal(p->dials), "does not speak hmon"));
	part(p);
	free_person(&other);
}

static void no_protocol_or_another(void **state)
{
	struct person alice = fresh_person(&c, "alice", CERTIFIED_USER, 3600);
	static const char *const wrong[] = {NULL, "http/1.1", "hmon2", "hmo", "vigia-join"};
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		master_refuses(shake(stranger(&alice, wrong[i]), place_context(master.place, CONTEXT_ACCEPT)), NULL,
		    SSL_AD_NO_APPLICATION_PROTOCOL);
	free_person(&alice);
}

static void an_older_tls(void **state)
{
	struct person alice = fresh_person(&c, "alice", CERTIFIED_USER, 3600);
	SSL_CTX *ctx = stranger(&alice, "hmon");
	SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION);
	master_refuses(shake(ctx, place_context(master.place, CONTEXT_ACCEPT)), NULL, SSL_AD_PROTOCOL_VERSION);
	ctx = stranger(&alice, NULL);
	SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION);
	struct pair *p = shake(place_context(node.place, CONTEXT_DIAL_HMON), ctx);
	assert_true(p->dialled == -1 && p->accepted == -1);
	part(p);
	free_person(&alice);
}

static void plain_text(void **state)
{
	static const char hello[] = "<hmon role=\"client\">";
	SSL *ssl = NULL;
	BIO *a, *b;
	SSL_CTX *ctx = place_context(master.place, CONTEXT_ACCEPT);
	ssl = SSL_new(ctx);
	SSL_CTX_free(ctx);
	assert_int_equal(BIO_new_bio_pair(&a, 0, &b, 0), 1);
	SSL_set_bio(ssl, a, a);
	SSL_set_accept_state(ssl);
	assert_int_equal(BIO_write(b, hello, sizeof hello), sizeof hello);
	assert_int_equal(turn(ssl), -1);
	BIO_free(b);
	SSL_free(ssl);
}

/* --- rotation --- */

static void take_authority(struct host *h, int expected)
{
	struct buf list = list_of(&c);
	const struct buf *bundle = trust_bundle(authority_trust(c.authority));
	assert_int_equal(place_take_authority(h->place, bundle->data, bundle->len, list.data, list.len, &why), expected);
	buf_release(&list);
}

static void node_gets_in(void)
{
	struct pair *p = node_calls_master(CONTEXT_DIAL_FRAMES);
	both_are_in(p);
	part(p);
}

static void renew(struct host *h, unsigned roles)
{
	struct buf request = BUF_INIT;
	good(place_request(h->vault, &request, &why));
	struct buf der = sign_host(&c, h, roles, &request);
	good(place_take_certificate(h->place, der.data, der.len, &why));
	buf_release(&request);
	buf_release(&der);
}

/* Whoever has heard of the new key, and whoever has a certificate of it: in any order, all the while. */
static void everybody_gets_in_while_the_authority_s_key_is_replaced(void **state)
{
	good(authority_rotate(c.authority, now_s, &why));
	node_gets_in();
	take_authority(&master, 1);
	node_gets_in();
	take_authority(&node, 1);
	take_authority(&node, 0);
	node_gets_in();
	renew(&node, CERTIFIED_NODE);
	node_gets_in();
	now_s += AUTHORITY_HOST_LIFE_S + 1;
	struct pair *p = node_calls_master(CONTEXT_DIAL_FRAMES);
	assert_int_equal(p->dialled, -1); /* the master has slept over it */
	part(p);
}

static void a_host_that_slept_through_it_gets_in_and_hears_of_it(void **state)
{
	good(authority_rotate(c.authority, now_s, &why));
	take_authority(&master, 1);
	renew(&master, CERTIFIED_NODE | CERTIFIED_MASTER);
	node_gets_in();
	struct pair *p = shake(place_context(master.place, CONTEXT_DIAL_FRAMES), place_context(node.place, CONTEXT_ACCEPT));
	both_are_in(p);
	part(p);
	take_authority(&node, 1);
	node_gets_in();
}

/* Who has stolen the authority's files. */
static struct cluster fresh_thief(void)
{
	struct cluster thief = {.vault = fresh_vault("thief")};
	static const char *const files[] = {"authority.key", "authority.pem", "issued", "revoked.crl"};
	for (int i = 0; i < 4; i++) {
		struct buf b = contents(c.vault, files[i]);
		good(vault_write(thief.vault, files[i], b.data, b.len, &why));
		buf_release(&b);
	}
	good(authority_open(&thief.authority, thief.vault, now_s, &why));
	return thief;
}

/* Whatever it says of its own life. */
static void what_the_key_before_signs_is_over_with_it(void **state)
{
	struct cluster thief = fresh_thief();
	struct person mallory = fresh_person(&thief, "alice", CERTIFIED_OPERATOR, 1000 * DAY);
	good(authority_rotate(c.authority, now_s, &why));
	take_authority(&master, 1);
	struct pair *p = calls_master(&mallory);
	both_are_in(p); /* nobody can tell it from those of honest days, so it can be revoked */
	part(p);
	now_s += AUTHORITY_HOST_LIFE_S;
	master_refuses(calls_master(&mallory), "of a key that the authority has replaced", SSL_AD_CERTIFICATE_EXPIRED);
	free_person(&mallory);
	close_cluster(&thief);
}

/* A key that was replaced was perhaps stolen: it makes no other successor. */
static void the_key_before_has_no_second_successor(void **state)
{
	struct cluster thief = fresh_thief();
	good(authority_rotate(thief.authority, now_s, &why));
	good(authority_rotate(c.authority, now_s, &why));
	struct person mallory = fresh_person(&thief, "alice", CERTIFIED_OPERATOR, DAY);
	struct trust *t = authority_trust(thief.authority);
	SSL_CTX *ctx = stranger(&mallory, "hmon");
	SSL_CTX_add1_chain_cert(ctx, trust_succession(t, &mallory.facts, now_s));
	SSL_CTX_up_ref(ctx);
	struct pair *p = shake(ctx, place_context(master.place, CONTEXT_ACCEPT));
	both_are_in(p); /* whoever has not heard of it cannot know */
	part(p);
	take_authority(&master, 1);
	master_refuses(shake(ctx, place_context(master.place, CONTEXT_ACCEPT)), "signed by a key that was replaced", SSL_AD_BAD_CERTIFICATE);
	free_person(&mallory);
	close_cluster(&thief);
}

/* --- a newcomer --- */

static struct pair *newcomer_calls_master(const uint8_t fingerprint[FINGERPRINT_BYTES])
{
	SSL_CTX *ctx = NULL;
	good(context_new_join(fingerprint, test_clock, &ctx, &why));
	return shake(ctx, place_context(master.place, CONTEXT_ACCEPT));
}

static void a_newcomer_gets_in_while_it_is_let(void **state)
{
	struct certificate x;
	uint8_t fingerprint[FINGERPRINT_BYTES];
	good(place_fingerprint(master.place, fingerprint));
	master_refuses(newcomer_calls_master(fingerprint), NULL, SSL_AD_NO_APPLICATION_PROTOCOL);
	belief_let_join(place_belief(master.place), true);
	struct pair *p = newcomer_calls_master(fingerprint);
	both_are_in(p);
	assert_int_equal(context_protocol(p->accepts), PROTOCOL_JOIN);
	assert_int_equal(context_protocol(p->dials), PROTOCOL_JOIN);
	said(context_peer(p->accepts, &x, &why), -ENOENT, "no certificate");
	good(context_peer(p->dials, &x, &why));
	assert_true(host_id_is(&x.host, &master.id));
	part(p);
	/* That lets nobody else in. */
	master_refuses(calls_master(NULL), NULL, SSL_AD_CERTIFICATE_REQUIRED);
	belief_let_join(place_belief(master.place), false);
	master_refuses(newcomer_calls_master(fingerprint), NULL, SSL_AD_NO_APPLICATION_PROTOCOL);
}

static void a_newcomer_believes_only_the_token_s_authority(void **state)
{
	uint8_t fingerprint[FINGERPRINT_BYTES];
	good(place_fingerprint(master.place, fingerprint));
	belief_let_join(place_belief(master.place), true);
	fingerprint[31] ^= 1;
	struct pair *p = newcomer_calls_master(fingerprint);
	assert_int_equal(p->dialled, -1);
	assert_non_null(strstr(context_refusal(p->dials), "the cluster that the token is for"));
	part(p);
}

/* Mallory has another cluster, and shows the right authority beside his own certificate. */
static void a_newcomer_is_not_fooled_by_certificates_that_anybody_has(void **state)
{
	uint8_t fingerprint[FINGERPRINT_BYTES];
	struct cluster other = fresh_cluster("other");
	struct person mallory = fresh_person(&other, master.name, CERTIFIED_MASTER, 90 * DAY);
	SSL_CTX *theirs = stranger(&mallory, NULL), *ctx;
	good(place_fingerprint(master.place, fingerprint));
	SSL_CTX_add1_chain_cert(theirs, trust_authority(authority_trust(c.authority)));
	good(context_new_join(fingerprint, test_clock, &ctx, &why));
	struct pair *p = shake(ctx, theirs);
	assert_int_equal(p->dialled, -1);
	assert_non_null(strstr(context_refusal(p->dials), "unable to get local issuer certificate"));
	part(p);
	free_person(&mallory);
	close_cluster(&other);
}

static void a_newcomer_shows_its_token_to_no_node(void **state)
{
	SSL_CTX *ctx = NULL;
	uint8_t fingerprint[FINGERPRINT_BYTES];
	good(place_fingerprint(node.place, fingerprint));
	belief_let_join(place_belief(node.place), true);
	good(context_new_join(fingerprint, test_clock, &ctx, &why));
	struct pair *p = shake(ctx, place_context(node.place, CONTEXT_ACCEPT));
	assert_int_equal(p->dialled, -1);
	assert_non_null(strstr(context_refusal(p->dials), "is no master"));
	part(p);
}

static void a_master_whose_certificate_is_of_the_key_before_lets_in_too(void **state)
{
	uint8_t fingerprint[FINGERPRINT_BYTES];
	good(authority_rotate(c.authority, now_s, &why));
	take_authority(&master, 1);
	belief_let_join(place_belief(master.place), true);
	for (int renewed = 0; renewed < 2; renewed++) {
		good(place_fingerprint(master.place, fingerprint));
		struct pair *p = newcomer_calls_master(fingerprint);
		both_are_in(p);
		part(p);
		renew(&master, CERTIFIED_MASTER); /* now it has a chain to show, too */
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(both_sides_know_each_other, begin, end),
		cmocka_unit_test_setup_teardown(third_parties_get_in_and_are_called_by_their_names, begin, end),
		cmocka_unit_test_setup_teardown(a_connection_takes_no_more_of_the_secure_heap_than_was_said, begin, end),
		cmocka_unit_test_setup_teardown(no_handshake_is_taken_up_again, begin, end),
		cmocka_unit_test_setup_teardown(handshakes_may_run_beside_each_other_and_beside_news, begin, end),
		cmocka_unit_test_setup_teardown(no_certificate, begin, end),
		cmocka_unit_test_setup_teardown(another_cluster_s_certificate, begin, end),
		cmocka_unit_test_setup_teardown(more_certificates_than_anybody_needs, begin, end),
		cmocka_unit_test_setup_teardown(over, begin, end),
		cmocka_unit_test_setup_teardown(not_yet_valid, begin, end),
		cmocka_unit_test_setup_teardown(revoked, begin, end),
		cmocka_unit_test_setup_teardown(one_who_is_no_host_cannot_be_called, begin, end),
		cmocka_unit_test_setup_teardown(a_host_that_does_not_speak_it, begin, end),
		cmocka_unit_test_setup_teardown(no_protocol_or_another, begin, end),
		cmocka_unit_test_setup_teardown(an_older_tls, begin, end),
		cmocka_unit_test_setup_teardown(plain_text, begin, end),
		cmocka_unit_test_setup_teardown(everybody_gets_in_while_the_authority_s_key_is_replaced, begin, end),
		cmocka_unit_test_setup_teardown(a_host_that_slept_through_it_gets_in_and_hears_of_it, begin, end),
		cmocka_unit_test_setup_teardown(what_the_key_before_signs_is_over_with_it, begin, end),
		cmocka_unit_test_setup_teardown(the_key_before_has_no_second_successor, begin, end),
		cmocka_unit_test_setup_teardown(a_newcomer_gets_in_while_it_is_let, begin, end),
		cmocka_unit_test_setup_teardown(a_newcomer_believes_only_the_token_s_authority, begin, end),
		cmocka_unit_test_setup_teardown(a_newcomer_is_not_fooled_by_certificates_that_anybody_has, begin, end),
		cmocka_unit_test_setup_teardown(a_newcomer_shows_its_token_to_no_node, begin, end),
		cmocka_unit_test_setup_teardown(a_master_whose_certificate_is_of_the_key_before_lets_in_too, begin, end),
	};
	if (key_keep_from_dumps(100) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
