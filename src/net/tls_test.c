/* SPDX-License-Identifier: Apache-2.0 */
/* The rules of net.h for streams, over TLS. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/certificates_test.h"
#include "net/net.h"

static uv_loop_t loop;
static struct net net;
static struct authority ours, theirs;
static SSL_CTX *host, *other_host;

/* Two streams that are each other's ends: a has dialled b. */
static struct owner {
	struct stream *stream;
	struct buf in;
	int secured, drained, closed, error, below;
	char why[200];
	bool close_on_data, pause_on_data, close_on_secured;
} a, b;

static void close_own(struct owner *o)
{
	stream_close(o->stream);
	o->stream = NULL;
}

static void on_data(void *owner, char *bytes, size_t n)
{
	struct owner *o = owner;
	assert_int_equal(o->secured, 1);
	buf_put(&o->in, bytes, n);
	if (o->close_on_data)
		close_own(o);
	if (o->pause_on_data)
		stream_pause(o->stream, true);
}

static void on_drained(void *owner)
{
	((struct owner *)owner)->drained++;
}

static void on_closed(void *owner, int error)
{
	struct owner *o = owner;
	o->closed++;
	o->error = error;
	snprintf(o->why, sizeof o->why, "%s", stream_why(o->stream));
}

static void on_below(void *owner)
{
	((struct owner *)owner)->below++;
}

static void on_secured(void *owner)
{
	struct owner *o = owner;
	o->secured++;
	if (o->close_on_secured)
		close_own(o);
}

static const struct stream_events events = {
    .data = on_data, .drained = on_drained, .closed = on_closed, .below = on_below, .secured = on_secured};

#define UNTIL(condition) \
	do { \
		uint64_t end_ = uv_hrtime() + 20000000000; \
		while (!(condition)) { \
			uv_run(&loop, UV_RUN_NOWAIT); \
			if (uv_hrtime() > end_) \
				fail_msg("never: %s", #condition); \
		} \
	} while (0)

static void two_plain(int fds[2])
{
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
}

static void two(SSL_CTX *dials, SSL_CTX *accepts, const char *alpn)
{
	int fds[2];
	two_plain(fds);
	assert_int_equal(stream_new(&a.stream, &net, fds[0], &events, &a), 0);
	assert_int_equal(stream_new(&b.stream, &net, fds[1], &events, &b), 0);
	assert_int_equal(stream_secure(a.stream, dials, false, alpn), 0);
	assert_int_equal(stream_secure(b.stream, accepts, true, NULL), 0);
}

static void two_secured(void)
{
	two(host, other_host, "hmon");
	UNTIL(a.secured && b.secured);
}

/* Who accepts, and a descriptor to say anything to it. */
static int one(SSL_CTX *accepts)
{
	int fds[2];
	two_plain(fds);
	assert_int_equal(stream_new(&b.stream, &net, fds[1], &events, &b), 0);
	assert_int_equal(stream_secure(b.stream, accepts, true, NULL), 0);
	return fds[0];
}

static int set_up_all(void **state)
{
	ours = authority_new("ours");
	theirs = authority_new("theirs");
	host = context_of(&ours, &ours, "h1", -60, 3600);
	other_host = context_of(&ours, &ours, "h2", -60, 3600);
	return 0;
}

static int tear_down_all(void **state)
{
	SSL_CTX_free(host);
	SSL_CTX_free(other_host);
	authority_free(&ours);
	authority_free(&theirs);
	return 0;
}

static int set_up(void **state)
{
	uv_loop_init(&loop);
	a = b = (struct owner){0};
	return net_start(&net, &loop);
}

static int tear_down(void **state)
{
	if (a.stream && !a.closed)
		stream_close(a.stream);
	if (b.stream && !b.closed)
		stream_close(b.stream);
	net_stop(&net);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&loop), 0);
	buf_release(&a.in);
	buf_release(&b.in);
	return 0;
}

/* --- well --- */

static void both_know_who_the_other_is_and_what_is_spoken(void **state)
{
	const unsigned char *alpn;
	unsigned n;
	char name[20];
	two(host, other_host, "hmon");
	assert_null(stream_ssl(a.stream));
	UNTIL(a.secured && b.secured);
	SSL_get0_alpn_selected(stream_ssl(b.stream), &alpn, &n);
	assert_int_equal(n, 4);
	assert_memory_equal(alpn, "hmon", 4);
	X509 *c = SSL_get0_peer_certificate(stream_ssl(b.stream));
	X509_NAME_get_text_by_NID(X509_get_subject_name(c), NID_commonName, name, sizeof name);
	assert_string_equal(name, "h1");
	assert_int_equal(SSL_version(stream_ssl(a.stream)), TLS1_3_VERSION);
}

static void what_is_put_before_the_handshake_waits_for_it(void **state)
{
	two(host, other_host, "hmon");
	buf_puts(stream_out(a.stream), "first ");
	buf_puts(stream_out(b.stream), "answer");
	buf_puts(stream_out(a.stream), "second");
	UNTIL(a.in.len == 6 && b.in.len == 12);
	assert_string_equal(buf_str(&b.in), "first second");
	assert_string_equal(buf_str(&a.in), "answer");
	UNTIL(a.drained);
	assert_int_equal(stream_pending(a.stream), 0);
}

static void put_much(struct stream *s, size_t n)
{
	struct buf *out = stream_out(s);
	for (size_t i = 0; i < n; i += 4)
		buf_put(out, &(uint32_t){(uint32_t)i * 2654435761u}, 4);
}

static bool is_much(const struct buf *in, size_t n)
{
	bool same = in->len == n;
	for (size_t i = 0; same && i < n; i += 4)
		same = !memcmp(in->data + i, &(uint32_t){(uint32_t)i * 2654435761u}, 4);
	return same;
}

static void much_passes_both_ways_at_once(void **state)
{
	enum { N = 8 << 20 };
	two_secured();
	put_much(a.stream, N);
	put_much(b.stream, N);
	UNTIL(a.in.len == N && b.in.len == N);
	assert_true(is_much(&a.in, N) && is_much(&b.in, N));
	UNTIL(a.drained && b.drained);
}

static void who_pauses_gets_the_rest_when_he_goes_on(void **state)
{
	enum { N = 1 << 20 };
	two_secured();
	b.pause_on_data = true;
	put_much(a.stream, N);
	for (int rounds = 0; b.in.len < N; rounds++) {
		size_t had = b.in.len;
		UNTIL(b.in.len > had);
		had = b.in.len;
		for (int i = 0; i < 20; i++)
			uv_run(&loop, UV_RUN_NOWAIT);
		assert_int_equal(b.in.len, had);
		assert_true(rounds < 2000);
		stream_pause(b.stream, false);
	}
	assert_true(is_much(&b.in, N));
}

static void what_waits_counts_as_pending_and_below_is_told(void **state)
{
	enum { N = 4 << 20 };
	two_secured();
	stream_pause(b.stream, true);
	put_much(a.stream, N);
	for (int i = 0; i < 50; i++)
		uv_run(&loop, UV_RUN_NOWAIT);
	assert_true(stream_pending(a.stream) > N / 2);
	stream_tell_below(a.stream, 1000);
	for (int i = 0; i < 50; i++)
		uv_run(&loop, UV_RUN_NOWAIT);
	assert_int_equal(a.below + a.drained, 0);
	stream_pause(b.stream, false);
	UNTIL(a.below && a.drained && b.in.len == N);
}

/* --- its end --- */

static void what_was_put_comes_before_an_end_in_order(void **state)
{
	enum { N = 1 << 20 };
	two_secured();
	put_much(a.stream, N);
	stream_finish(a.stream);
	UNTIL(b.closed);
	assert_int_equal(b.error, 0);
	assert_true(is_much(&b.in, N));
	assert_int_equal(a.closed, 0);
	a.stream = NULL;
}

static void who_ends_still_hears_the_other(void **state)
{
	two_secured();
	buf_puts(stream_out(a.stream), "last");
	stream_end(a.stream);
	UNTIL(b.closed);
	assert_int_equal(b.error, 0);
	assert_string_equal(buf_str(&b.in), "last");
	UNTIL(a.closed);
}

static void a_cut_is_no_end(void **state)
{
	two_secured();
	shutdown(stream_fd(a.stream), SHUT_WR);
	UNTIL(b.closed);
	assert_int_equal(b.error, -ECONNRESET);
}

static void it_may_be_closed_at_any_time(void **state)
{
	for (int when = 0; when < 60; when++) {
		two(host, other_host, "hmon");
		put_much(a.stream, 65536);
		for (int i = 0; i < when; i++)
			uv_run(&loop, UV_RUN_NOWAIT);
		stream_close(when % 2 ? a.stream : b.stream);
		stream_close(when % 2 ? b.stream : a.stream);
		uv_run(&loop, UV_RUN_NOWAIT);
		buf_release(&a.in);
		buf_release(&b.in);
		a = b = (struct owner){0};
	}
}

static void it_may_be_closed_from_its_own_callbacks(void **state)
{
	two(host, other_host, "hmon");
	a.close_on_secured = true;
	UNTIL(a.secured && b.closed);
	assert_int_equal(b.error, -ECONNRESET);
	a = b = (struct owner){0};
	two(host, other_host, "hmon");
	b.close_on_data = true;
	put_much(a.stream, 200000);
	UNTIL(b.in.len && a.closed);
	assert_int_equal(b.closed, 0);
}

/* --- not --- */

static void refused(SSL_CTX *dials, SSL_CTX *accepts, const char *alpn, const char *a_why, const char *b_why)
{
	two(dials, accepts, alpn);
	buf_puts(stream_out(a.stream), "never");
	UNTIL(b.closed && a.closed);
	assert_int_equal(b.secured, 0);
	assert_int_equal(b.in.len, 0);
	assert_int_equal(b.error, b_why ? -EPROTO : -ECONNRESET);
	if (!strstr(b.why, b_why ? b_why : ""))
		fail_msg("b: \"%s\", not \"%s\"", b.why, b_why);
	if (!strstr(a.why, a_why))
		fail_msg("a: \"%s\", not \"%s\"", a.why, a_why);
}

static void who_shows_no_certificate_is_refused(void **state)
{
	SSL_CTX *none = context_of(&ours, &ours, NULL, 0, 0);
	refused(none, host, "hmon", "it refuses us: ", "it shows no certificate");
	SSL_CTX_free(none);
}

static void who_has_one_of_another_authority_is_refused(void **state)
{
	SSL_CTX *stranger = context_of(&theirs, &ours, "h1", -60, 3600);
	refused(stranger, host, "hmon", "it refuses us: ", "its certificate is refused: ");
	SSL_CTX_free(stranger);
}

static void who_dials_a_stranger_refuses_it(void **state)
{
	SSL_CTX *stranger = context_of(&theirs, &ours, "h1", -60, 3600);
	refused(host, stranger, "hmon", "its certificate is refused: ", "it refuses us: ");
	SSL_CTX_free(stranger);
}

static void an_old_certificate_is_refused_and_a_future_one(void **state)
{
	SSL_CTX *old = context_of(&ours, &ours, "h1", -7200, -3600), *early = context_of(&ours, &ours, "h1", 3600, 7200);
	refused(old, host, "hmon", "it refuses us: ", "expired");
	a = b = (struct owner){0};
	refused(early, host, "hmon", "it refuses us: ", "not yet valid");
	SSL_CTX_free(old);
	SSL_CTX_free(early);
}

static void one_that_signs_without_being_an_authority_is_refused(void **state)
{
	struct authority h = {.key = EVP_EC_gen("P-256")};
	h.certificate = sign(&ours, h.key, "h3", -60, 3600);
	SSL_CTX *child = context_of(&h, &ours, "h1", -60, 3600);
	SSL_CTX_add1_chain_cert(child, h.certificate);
	refused(child, host, "hmon", "it refuses us: ", "its certificate is refused: ");
	SSL_CTX_free(child);
	authority_free(&h);
}

static void tls_1_2_is_refused(void **state)
{
	SSL_CTX *old = context_of(&ours, &ours, "h1", -60, 3600);
	SSL_CTX_set_min_proto_version(old, TLS1_2_VERSION);
	SSL_CTX_set_max_proto_version(old, TLS1_2_VERSION);
	refused(old, host, "hmon", "it refuses us: ", "it speaks no TLS 1.3");
	SSL_CTX_free(old);
}

static void a_protocol_that_is_not_spoken_is_refused(void **state)
{
	refused(host, other_host, "http/1.1", "it refuses us: ", "it wants a protocol that is not spoken here");
}

/* All that came to fd, and its end. */
static size_t all_of(int fd)
{
	char bytes[4096];
	size_t all = 0;
	ssize_t n = -1;
	UNTIL((n = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT)) == 0 || (n > 0 && (all += (size_t)n) > 65536) || (n < 0 && errno == ECONNRESET));
	return all;
}

static void plain_text_is_told_nothing_but_an_alert(void **state)
{
	static const char *const says[] = {"<hmon version='1' role='client'>", "\x89VIGIA1\n", "GET / HTTP/1.1\r\n\r\n",
	    "\x16\x03\x01\xff\xff garbage that is as long as it says it is not", "\x16\x03\x01\x00\x05\x01\xff\xff\xff\xff"};
	for (size_t i = 0; i < sizeof says / sizeof *says; i++) {
		int fd = one(host);
		size_t n = i < 3 ? strlen(says[i]) : 10;
		assert_int_equal(send(fd, says[i], n, 0), (ssize_t)n);
		UNTIL(b.closed);
		assert_int_equal(b.error, -EPROTO);
		assert_true(*b.why);
		assert_true(all_of(fd) <= 7);
		close(fd);
		b = (struct owner){0};
	}
}

static void a_handshake_that_never_ends_takes_no_memory(void **state)
{
	static char much[1 << 20] = "\x16\x03\x01\x40\x00\x01\x00\x3f\xfc\x03\x03";
	int fd = one(host);
	for (size_t at = 0; at < sizeof much && !b.closed;) {
		ssize_t n = send(fd, much + at, sizeof much - at, MSG_DONTWAIT | MSG_NOSIGNAL);
		at += n > 0 ? (size_t)n : 0;
		uv_run(&loop, UV_RUN_NOWAIT);
	}
	UNTIL(b.closed);
	assert_int_equal(b.error, -EPROTO);
	close(fd);
}

/* --- many --- */

static void many_at_once_are_all_secured_while_the_loop_turns(void **state)
{
	enum { MANY = 100 };
	static struct owner many[2 * MANY];
	int fds[2], turns = 0;
	for (int i = 0; i < 2 * MANY; i += 2) {
		many[i] = many[i + 1] = (struct owner){0};
		two_plain(fds);
		for (int k = 0; k < 2; k++) {
			assert_int_equal(stream_new(&many[i + k].stream, &net, fds[k], &events, &many[i + k]), 0);
			assert_int_equal(stream_secure(many[i + k].stream, host, k, k ? NULL : "frames"), 0);
		}
	}
	for (int done = 0; done < 2 * MANY; turns++) {
		uv_run(&loop, UV_RUN_ONCE);
		done = 0;
		for (int i = 0; i < 2 * MANY; i++)
			done += many[i].secured;
	}
	assert_true(turns > 10);
	for (int i = 0; i < 2 * MANY; i++)
		stream_close(many[i].stream);
}

static void urgent_data_is_never_wanted(void **state)
{
	two_secured();
	stream_want_urgent(b.stream, true);
	buf_puts(stream_out(a.stream), "x");
	UNTIL(b.in.len == 1);
	assert_int_equal(b.closed, 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
	    T(both_know_who_the_other_is_and_what_is_spoken),
	    T(what_is_put_before_the_handshake_waits_for_it),
	    T(much_passes_both_ways_at_once),
	    T(who_pauses_gets_the_rest_when_he_goes_on),
	    T(what_waits_counts_as_pending_and_below_is_told),
	    T(what_was_put_comes_before_an_end_in_order),
	    T(who_ends_still_hears_the_other),
	    T(a_cut_is_no_end),
	    T(it_may_be_closed_at_any_time),
	    T(it_may_be_closed_from_its_own_callbacks),
	    T(who_shows_no_certificate_is_refused),
	    T(who_has_one_of_another_authority_is_refused),
	    T(who_dials_a_stranger_refuses_it),
	    T(an_old_certificate_is_refused_and_a_future_one),
	    T(one_that_signs_without_being_an_authority_is_refused),
	    T(tls_1_2_is_refused),
	    T(a_protocol_that_is_not_spoken_is_refused),
	    T(plain_text_is_told_nothing_but_an_alert),
	    T(a_handshake_that_never_ends_takes_no_memory),
	    T(many_at_once_are_all_secured_while_the_loop_turns),
	    T(urgent_data_is_never_wanted),
	};
	return cmocka_run_group_tests_name("tls", tests, set_up_all, tear_down_all);
}
