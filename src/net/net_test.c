/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "net/net.h"

static uv_loop_t loop;
static struct net net;

/* The owner of a stream, and its other end. */
static struct owner {
	struct stream *stream;
	int fd;
	struct buf in;
	int drained, closed, error, urgent, below;
	bool close_on_data;
} a;

static void on_data(void *owner, char *bytes, size_t n)
{
	struct owner *o = owner;
	buf_put(&o->in, bytes, n);
	if (o->close_on_data)
		stream_close(o->stream);
}

static void on_urgent(void *owner)
{
	struct owner *o = owner;
	o->urgent++;
	stream_want_urgent(o->stream, false);
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
}

static void on_below(void *owner)
{
	((struct owner *)owner)->below++;
}

static const struct stream_events events = {on_data, on_urgent, on_drained, on_closed, on_below};

static int set_up(void **state)
{
	int fds[2];
	uv_loop_init(&loop);
	net_start(&net, &loop);
	socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds);
	a = (struct owner){.fd = fds[1]};
	return stream_new(&a.stream, &net, fds[0], &events, &a);
}

static int tear_down(void **state)
{
	if (a.fd >= 0)
		close(a.fd);
	net_stop(&net);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&loop), 0);
	buf_release(&a.in);
	return 0;
}

#define UNTIL(condition) \
	do { \
		uint64_t end_ = uv_hrtime() + 5000000000; \
		while (!(condition)) { \
			uv_run(&loop, UV_RUN_NOWAIT); \
			if (uv_hrtime() > end_) \
				fail_msg("never: %s", #condition); \
		} \
	} while (0)

/* All that came to the other end so far; *ret_end: and then its end. */
static size_t received(struct buf *to, bool *ret_end)
{
	char bytes[65536];
	ssize_t n;
	while ((n = recv(a.fd, bytes, sizeof bytes, MSG_DONTWAIT)) > 0)
		buf_put(to, bytes, (size_t)n);
	*ret_end = *ret_end || !n;
	return to->len;
}

static void what_is_put_in_one_turn_leaves_in_one_piece(void **state)
{
	char bytes[64];
	buf_puts(stream_out(a.stream), "one ");
	buf_puts(stream_out(a.stream), "two");
	assert_int_equal(stream_pending(a.stream), 7);
	assert_int_equal(recv(a.fd, bytes, sizeof bytes, 0), -1);
	UNTIL(a.drained);
	assert_int_equal(recv(a.fd, bytes, sizeof bytes, 0), 7);
	assert_memory_equal(bytes, "one two", 7);
	assert_int_equal(stream_pending(a.stream), 0);
	stream_close(a.stream);
}

static void nothing_left_yet(void *data)
{
	char byte;
	assert_int_equal(recv(a.fd, &byte, 1, MSG_PEEK), -1);
	++*(int *)data;
}

static void what_must_be_done_first_is_done_before_a_turns_output_leaves(void **state)
{
	char byte;
	int done = 0;
	net.before_output = nothing_left_yet;
	net.before_data = &done;
	buf_puts(stream_out(a.stream), "secret");
	UNTIL(a.drained);
	assert_int_equal(done, 1);
	assert_int_equal(recv(a.fd, &byte, 1, 0), 1);
	stream_close(a.stream);
}

static void much_arrives_in_order_though_the_kernel_takes_little(void **state)
{
	enum { N = 1000000 };
	struct buf got = BUF_INIT;
	bool end = false;
	for (int i = 0; i < N; i++)
		buf_putf(stream_out(a.stream), "%07d\n", i);
	UNTIL(received(&got, &end) == 8 * N);
	for (int i = 0; i < N; i += 997)
		assert_int_equal(atoi(got.data + 8 * i), i);
	assert_int_equal(a.drained, 1);
	stream_close(a.stream);
	buf_release(&got);
}

static void who_waits_for_room_is_told_once_when_there_is_some(void **state)
{
	enum { N = 8000000 };
	struct buf got = BUF_INIT;
	bool end = false;
	char *much = calloc(1, N);
	buf_put(stream_out(a.stream), much, N);
	stream_tell_below(a.stream, N / 2);
	for (int i = 0; i < 10; i++)
		uv_run(&loop, UV_RUN_NOWAIT);
	assert_int_equal(a.below, 0); /* nobody reads */
	UNTIL((received(&got, &end), a.below));
	assert_in_range(stream_pending(a.stream), 1, N / 2);
	UNTIL(received(&got, &end) == N);
	assert_int_equal(a.below, 1);
	stream_tell_below(a.stream, 0);
	UNTIL(a.below == 2);
	stream_close(a.stream);
	free(much);
	buf_release(&got);
}

static void ending_shows_the_end_and_hears_on(void **state)
{
	struct buf got = BUF_INIT;
	bool end = false;
	char *much = calloc(1, 3000000);
	buf_put(stream_out(a.stream), much, 3000000);
	stream_end(a.stream);
	UNTIL((received(&got, &end), end));
	assert_int_equal(got.len, 3000000);
	assert_int_equal(a.closed, 0);
	send(a.fd, "last words", 10, 0);
	close(a.fd);
	a.fd = -1;
	UNTIL(a.closed);
	assert_int_equal(a.error, 0);
	assert_string_equal(buf_str(&a.in), "last words");
	free(much);
	buf_release(&got);
}

static void finishing_delivers_first_and_then_ends(void **state)
{
	struct buf got = BUF_INIT;
	bool end = false;
	char *much = calloc(1, 3000000);
	send(a.fd, much, 100000, 0); /* unread: must not make the kernel throw ours away */
	buf_put(stream_out(a.stream), much, 3000000);
	stream_tell_below(a.stream, 1000000);
	stream_finish(a.stream);
	UNTIL((received(&got, &end), end));
	assert_int_equal(got.len, 3000000);
	assert_int_equal(a.in.len, 0);
	assert_int_equal(a.closed + a.below, 0); /* the owner may be gone */
	free(much);
	buf_release(&got);
}

static void who_does_not_read_is_not_waited_for_long(void **state)
{
	char *much = calloc(1, 3000000);
	uint64_t begun = uv_hrtime();
	buf_put(stream_out(a.stream), much, 3000000);
	stream_finish(a.stream);
	net_stop(&net);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_true(uv_hrtime() - begun < 3000000000);
	assert_int_equal(a.closed, 0);
	free(much);
	net_start(&net, &loop);
}

static void what_is_given_away_is_another_ones(void **state)
{
	struct owner b = {0};
	send(a.fd, "first", 5, 0);
	UNTIL(a.in.len == 5);
	stream_want_urgent(a.stream, true);
	b.stream = a.stream;
	stream_give(a.stream, &events, &b);
	send(a.fd, "second", 6, 0);
	UNTIL(b.in.len == 6);
	assert_int_equal(a.in.len, 5);
	assert_int_equal(a.closed, 0);
	stream_close(b.stream);
	buf_release(&b.in);
}

static void after_closing_no_callback_comes(void **state)
{
	buf_puts(stream_out(a.stream), "never sent");
	send(a.fd, "x", 1, 0);
	stream_close(a.stream);
	stream_close(a.stream);
	uv_run(&loop, UV_RUN_NOWAIT);
	assert_int_equal(a.closed + a.drained + (int)a.in.len, 0);
}

static void it_may_be_closed_from_its_own_callback(void **state)
{
	a.close_on_data = true;
	send(a.fd, "x", 1, 0);
	UNTIL(a.in.len);
	char byte;
	UNTIL(!recv(a.fd, &byte, 1, 0));
	assert_int_equal(a.closed, 0);
}

static void the_peer_s_end_is_told_once_after_its_data(void **state)
{
	send(a.fd, "last words", 10, 0);
	close(a.fd);
	a.fd = -1;
	UNTIL(a.closed);
	assert_int_equal(a.error, 0);
	assert_string_equal(buf_str(&a.in), "last words");
	uv_run(&loop, UV_RUN_NOWAIT);
	assert_int_equal(a.closed, 1);
}

static void what_a_paused_one_has_not_read_stays(void **state)
{
	stream_pause(a.stream, true);
	send(a.fd, "later", 5, 0);
	for (int i = 0; i < 10; i++)
		uv_run(&loop, UV_RUN_NOWAIT);
	assert_int_equal(a.in.len, 0);
	stream_pause(a.stream, false);
	UNTIL(a.in.len == 5);
	stream_close(a.stream);
}

static void out_of_memory_ends_the_stream(void **state)
{
	stream_out(a.stream)->failed = true;
	UNTIL(a.closed);
	assert_int_equal(a.error, -ENOMEM);
}

/* --- listening and dialling --- */

static int accepted = -1, dialled, dials;

static void on_accepted(void *data, int fd)
{
	accepted = fd;
}

static void on_dialled(void *data, int fd)
{
	dialled = fd;
	dials++;
}

static void dial_to(const char *address)
{
	struct dial *d;
	accepted = -1;
	dialled = dials = 0;
	assert_int_equal(dial_tcp(&d, &net, address, 0, on_dialled, NULL), 0);
	UNTIL(dials);
}

static void listen_and_dial(const char *host, const char *format)
{
	char address[64];
	struct listener *l;
	assert_int_equal(listener_tcp(&l, &net, host, 0, on_accepted, NULL), 0);
	snprintf(address, sizeof address, format, listener_port(l));
	dial_to(address);
	assert_true(dialled >= 0);
	UNTIL(accepted >= 0);
	assert_true(fcntl(accepted, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(accepted, F_GETFD) & FD_CLOEXEC);
	close(accepted);
	close(dialled);
	listener_close(l);
	uv_run(&loop, UV_RUN_NOWAIT);
	uv_run(&loop, UV_RUN_NOWAIT);
	dial_to(address);
	assert_int_equal(dialled, -ECONNREFUSED);
	stream_close(a.stream);
}

static void who_listens_is_reached(void **state)
{
	listen_and_dial("127.0.0.1", "127.0.0.1:%d");
}

static void ipv6_addresses_stand_in_brackets(void **state)
{
	struct listener *l;
	if (listener_tcp(&l, &net, "::1", 0, on_accepted, NULL)) {
		stream_close(a.stream);
		return;
	}
	listener_close(l);
	listen_and_dial("::1", "[::1]:%d");
}

static bool two_addresses;

/* A name of two addresses that only this program knows, before it has threads; false: that takes root. */
static bool name_two_addresses(void)
{
	char path[] = "/tmp/net-test-hosts-XXXXXX";
	int fd = mkstemp(path);
	dprintf(fd, "::1 two-addresses\n127.0.0.1 two-addresses\n");
	close(fd);
	bool done = !unshare(CLONE_NEWNS) && !mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) &&
		    !mount(path, "/etc/hosts", NULL, MS_BIND, NULL);
	unlink(path);
	return done;
}

/* Whichever comes first, nobody listens on one of them. */
static void the_next_address_of_a_name_is_tried(void **state)
{
	static const char *const hosts[] = {"127.0.0.1", "::1"};
	struct listener *l;
	char address[64];
	stream_close(a.stream);
	if (!two_addresses)
		skip();
	for (size_t i = 0; i < 2; i++) {
		if (listener_tcp(&l, &net, hosts[i], 0, on_accepted, NULL))
			continue; /* no IPv6 here */
		snprintf(address, sizeof address, "two-addresses:%d", listener_port(l));
		dial_to(address);
		assert_true(dialled >= 0);
		UNTIL(accepted >= 0);
		close(accepted);
		close(dialled);
		listener_close(l);
	}
}

/* A reset is told as one, not as what the loop calls it. */
static void a_reset_says_so(void **state)
{
	static const struct linger at_once = {1, 0};
	char address[64];
	struct listener *l;
	stream_close(a.stream);
	listener_tcp(&l, &net, "127.0.0.1", 0, on_accepted, NULL);
	snprintf(address, sizeof address, "127.0.0.1:%d", listener_port(l));
	dial_to(address);
	UNTIL(accepted >= 0);
	uv_run(&loop, UV_RUN_NOWAIT);
	assert_int_equal(stream_new(&a.stream, &net, accepted, &events, &a), 0);
	setsockopt(dialled, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
	close(dialled);
	UNTIL(a.closed);
	assert_int_equal(a.error, -ECONNRESET);
	listener_close(l);
}

static void a_bad_address_is_an_error_at_once(void **state)
{
	struct dial *d;
	struct listener *l;
	assert_int_equal(dial_tcp(&d, &net, "", 0, on_dialled, NULL), -EINVAL);
	assert_int_equal(dial_tcp(&d, &net, "host", 0, on_dialled, NULL), -EINVAL);
	assert_int_equal(dial_tcp(&d, &net, ":80", 0, on_dialled, NULL), -EINVAL);
	assert_int_equal(listener_tcp(&l, &net, "no address", 0, on_accepted, NULL), -EINVAL);
	stream_close(a.stream);
}

static void a_dial_that_is_cancelled_is_not_told(void **state)
{
	struct dial *d;
	struct listener *l;
	char address[64];
	dials = 0;
	listener_tcp(&l, &net, "127.0.0.1", 0, on_accepted, NULL);
	snprintf(address, sizeof address, "127.0.0.1:%d", listener_port(l));
	assert_int_equal(dial_tcp(&d, &net, address, 0, on_dialled, NULL), 0);
	dial_cancel(d);
	listener_close(l);
	stream_close(a.stream);
	net_stop(&net);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(dials, 0);
	net_start(&net, &loop);
}

static void a_unix_socket_replaces_an_old_one_and_goes_with_its_listener(void **state)
{
	char path[64];
	struct stat st;
	struct listener *l;
	snprintf(path, sizeof path, "/tmp/net-test-%d", (int)getpid());
	fclose(fopen(path, "w"));
	assert_int_equal(listener_unix(&l, &net, path, on_accepted, NULL), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_true(S_ISSOCK(st.st_mode));
	assert_int_equal(st.st_mode & 0777, 0666);
	listener_close(l);
	assert_int_equal(stat(path, &st), -1);
	char long_path[200];
	memset(long_path, 'x', sizeof long_path);
	long_path[199] = '\0';
	assert_int_equal(listener_unix(&l, &net, long_path, on_accepted, NULL), -ENAMETOOLONG);
	stream_close(a.stream);
}

#define T(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	two_addresses = name_two_addresses();
	const struct CMUnitTest tests[] = {
	    T(what_is_put_in_one_turn_leaves_in_one_piece),
	    T(what_must_be_done_first_is_done_before_a_turns_output_leaves),
	    T(much_arrives_in_order_though_the_kernel_takes_little),
	    T(who_waits_for_room_is_told_once_when_there_is_some),
	    T(ending_shows_the_end_and_hears_on),
	    T(finishing_delivers_first_and_then_ends),
	    T(who_does_not_read_is_not_waited_for_long),
	    T(what_is_given_away_is_another_ones),
	    T(after_closing_no_callback_comes),
	    T(it_may_be_closed_from_its_own_callback),
	    T(the_peer_s_end_is_told_once_after_its_data),
	    T(what_a_paused_one_has_not_read_stays),
	    T(out_of_memory_ends_the_stream),
	    T(who_listens_is_reached),
	    T(ipv6_addresses_stand_in_brackets),
	    T(a_reset_says_so),
	    T(a_bad_address_is_an_error_at_once),
	    T(the_next_address_of_a_name_is_tried),
	    T(a_dial_that_is_cancelled_is_not_told),
	    T(a_unix_socket_replaces_an_old_one_and_goes_with_its_listener),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
