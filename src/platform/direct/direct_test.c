/* SPDX-License-Identifier: Apache-2.0 */
/* What is direct's own: places, hellos, links that break on one side, strangers and twins. */
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>

#include "base/dice_test.h"
#include "platform/direct/direct.h"
#include "platform/direct/relay_test.h"
#include "platform/faults_test.h"
#include "platform/stage_test.h"

static struct stand *a, *b;
static struct relay to_a, to_b;
static bool relayed;

static struct stand *stand(int number, int64_t idle_ms, int64_t dead_ms)
{
	struct stand *s = stand_new(&platform_direct, number, NULL, idle_ms);
	s->options.dead_ns = dead_ms * 1000000;
	stand_open(s);
	return s;
}

static void two_stands(int64_t idle_ms, int64_t dead_ms)
{
	a = stand(0, idle_ms, dead_ms);
	b = stand(1, idle_ms, dead_ms);
	introduce(a, 1, b->place);
	introduce(b, 0, a->place);
}

static void two_stands_apart(int64_t idle_ms)
{
	two_stands(idle_ms, 300);
	relayed = true;
	relay_begin(&to_a, a->place);
	relay_begin(&to_b, b->place);
	introduce(a, 1, to_b.place);
	introduce(b, 0, to_a.place);
}

static int set_up(void **state)
{
	stage_begin();
	return 0;
}

static int tear_down(void **state)
{
	if (relayed) {
		relay_end(&to_a);
		relay_end(&to_b);
	}
	if (a)
		stand_free(a);
	if (b)
		stand_free(b);
	a = b = NULL;
	relayed = false;
	stage_end();
	return 0;
}

/* A port where nobody listens. */
static void nowhere(char place[64])
{
	struct listener *l;
	assert_int_equal(listener_tcp(&l, &net, "127.0.0.1", 0, on_call, NULL), 0);
	snprintf(place, 64, "127.0.0.1:%d", listener_port(l));
	listener_close(l);
}

/* --- places --- */

static void one_without_a_place_can_t_be_reached(void **state)
{
	a = stand(0, 60000, 0);
	assert_int_equal(say(a, 1, 10), -EHOSTUNREACH);
	introduce(a, 1, "127.0.0.1:1");
	introduce(a, 1, "");
	assert_int_equal(say(a, 1, 10), -EHOSTUNREACH);
	assert_int_equal(room_for(a, 1), STAGE_PENDING);
}

static void a_place_where_nobody_answers_is_named(void **state)
{
	char place[64], expected[200];
	a = stand(0, 60000, 0);
	nowhere(place);
	introduce(a, 1, place);
	assert_int_equal(say(a, 1, 10), 0);
	UNTIL(a->lost);
	snprintf(expected, sizeof expected, "host a1a1a1a1...: no vigiad answers at 127.0.0.1 port %s: Connection refused",
	    strchr(place, ':') + 1);
	assert_string_equal(a->why, expected);
	assert_int_equal(a->error, -ECONNREFUSED);
}

static void each_of_several_addresses_is_tried(void **state)
{
	char none[64], places[200];
	two_stands(60000, 0);
	nowhere(none);
	snprintf(places, sizeof places, "%s no-port %s", none, b->place);
	introduce(a, 1, places);
	say(a, 1, 10);
	UNTIL(b->lines[0].got == 1);
	assert_int_equal(a->lost, 0);
}

static void what_is_wrong_with_each_is_told(void **state)
{
	char none[64], places[200];
	a = stand(0, 60000, 0);
	nowhere(none);
	snprintf(places, sizeof places, "%s nonsense", none);
	introduce(a, 1, places);
	say(a, 1, 10);
	UNTIL(a->lost);
	assert_non_null(strstr(a->why, "Connection refused; nonsense is no address to dial"));
	introduce(a, 1, "nonsense");
	assert_int_equal(say(a, 1, 10), 0);
	UNTIL(a->lost == 2);
}

static void a_port_that_does_not_answer_is_given_up(void **state)
{
	struct listener *l;
	char place[64];
	a = stand(0, 60000, 200);
	b = stand(1, 60000, 0);
	platform_direct.close(b->p); /* accepts, but no hello comes back */
	b->p = NULL;
	assert_int_equal(listener_tcp(&l, &net, "127.0.0.1", 0, on_call, b), 0);
	snprintf(place, sizeof place, "127.0.0.1:%d", listener_port(l));
	introduce(a, 1, place);
	say(a, 1, 10);
	UNTIL(a->lost);
	listener_close(l);
}

static void calls_come_back_after_a_rest(void **state)
{
	char none[64];
	two_stands(60000, 0);
	nowhere(none);
	introduce(a, 1, none);
	say(a, 1, 10);
	UNTIL(a->lost == 1);
	introduce(a, 1, b->place);
	say(a, 1, 10);
	UNTIL(b->lines[0].got == 2 || (b->lines[0].gap = true, false));
	assert_int_equal(a->lost, 1);
}

/* --- who is who --- */

static void a_host_that_dials_itself_is_told(void **state)
{
	a = stand(0, 60000, 0);
	introduce(a, 1, a->place);
	say(a, 1, 10);
	UNTIL(a->lost);
	assert_non_null(strstr(a->why, "refuses: is this host itself, h0"));
	struct buf what = BUF_INIT;
	assert_int_equal(platform_direct.trouble(a->p, &what), 0);
	buf_release(&what);
}

static void another_host_than_was_meant_is_told_and_left_alone(void **state)
{
	two_stands(60000, 0);
	say(a, 1, 10);
	UNTIL(b->lines[0].got == 1);
	introduce(a, 2, b->place);
	say(a, 2, 10);
	UNTIL(a->lines[2].lost);
	assert_non_null(strstr(a->why, "refuses: is h1, another host than was meant"));
	say(a, 1, 10);
	say(b, 0, 10);
	UNTIL(b->lines[0].got == 2 && a->lines[1].got == 1);
	assert_int_equal(b->lost, 0);
	assert_int_equal(a->lost, 1);
}

static void twins_are_told_apart_by_everybody(void **state)
{
	two_stands(60000, 0);
	struct stand *twin = stand(1, 60000, 0);
	introduce(twin, 0, a->place);
	say(b, 0, 10);
	UNTIL(a->lines[1].got == 1);
	say(twin, 0, 10); /* a life after b's, as it seems */
	a->lines[1].got = 0;
	UNTIL(a->lines[1].got == 1 && a->lost == 1 && b->lost == 1);
	say(b, 0, 10);
	UNTIL(a->lost == 2 && b->lost == 2 && twin->lost);
	assert_int_equal(a->error, -ENOTUNIQ);
	assert_non_null(strstr(a->why, "a state directory was copied"));
	assert_non_null(strstr(b->why, "a state directory was copied"));
	stand_free(twin);
}

static void twins_that_meet_know_it(void **state)
{
	struct buf what = BUF_INIT;
	a = stand(1, 60000, 0);
	b = stand(1, 60000, 0);
	introduce(a, 2, b->place);
	say(a, 2, 10);
	UNTIL(a->lost);
	assert_non_null(strstr(a->why, "refuses: has the id of h1: one's state directory is a copy of the other's"));
	assert_int_equal(platform_direct.trouble(b->p, &what), -ENOTUNIQ);
	assert_non_null(strstr(buf_str(&what), "has this host's id"));
	buf_release(&what);
}

static void who_has_no_place_is_answered_where_he_called(void **state)
{
	two_stands(10, 0);
	introduce(b, 0, "");
	say(a, 1, 10);
	UNTIL(b->lines[0].got == 1);
	uint64_t end = uv_hrtime() + 100000000; /* ten times as long as idle */
	UNTIL(uv_hrtime() > end);
	assert_int_equal(say(b, 0, 10), 0);
	UNTIL(a->lines[1].got == 1);
	assert_int_equal(b->accepted, 1);
	assert_int_equal(a->lost + b->lost, 0);
}

/* --- breaks --- */

static void a_break_that_one_side_noticed_is_told_to_the_other_first(void **state)
{
	two_stands_apart(60000);
	say(a, 1, 10);
	say(b, 0, 10);
	UNTIL(b->lines[0].got == 1 && a->lines[1].got == 1);
	relay_cut(&to_b, LEFT);
	relay_cut(&to_a, RIGHT);
	UNTIL(a->lost == 1);
	assert_int_equal(b->lost, 0);
	say(b, 0, 10); /* goes nowhere */
	say(a, 1, 10);
	UNTIL(b->lines[0].got == 2);
	assert_int_equal(b->lost, 1);
	assert_int_equal(b->lines[0].got_since_lost, 1);
	assert_int_equal(a->lost, 1);
	say(b, 0, 10);
	UNTIL(a->lines[1].got == 3);
}

static void run_a_while(uint64_t ms)
{
	uint64_t end = uv_hrtime() + ms * 1000000;
	do
		uv_run(&loop, UV_RUN_NOWAIT);
	while (uv_hrtime() < end);
}

static void say_some(void)
{
	struct stand *s = dice_below(2) ? a : b;
	for (size_t i = dice_below(5); i; i--)
		say(s, s == a, dice_below(50) ? 1 + dice_below(3000) : 1 + dice_below(300000));
}

/* A message on a new link may be quicker than the last one on the old. */
static void no_link_overtakes_the_one_before(void **state)
{
	enum { STEPS = 1500, IDLE_MS = 4, SLOWEST_MS = 10 };
	two_stands_apart(IDLE_MS);
	to_a.slowest_ms = to_b.slowest_ms = SLOWEST_MS;
	for (int step = 0; step < STEPS; step++) {
		say_some();
		run_a_while(dice_below(4) ? 0 : dice_below(2 * SLOWEST_MS));
	}
	UNTIL(b->lines[0].got == a->lines[1].sent && a->lines[1].got == b->lines[0].sent);
	print_message("# dialled %u times\n", a->accepted + b->accepted);
	assert_int_equal(a->lost + b->lost, 0);
}

/* What was said since a side last began anew has come, in the end. */
static bool is_settled(struct stand *from, int to, struct stand *there, int from_number)
{
	const struct line *line = &from->lines[to];
	return line->sent == line->sent_at_lost || line->sent == there->lines[from_number].got;
}

static void whatever_breaks_is_told(void **state)
{
	enum { STEPS = 1500, IDLE_MS = 4 };
	unsigned cuts = 0;
	two_stands_apart(IDLE_MS);
	for (int step = 0; step < STEPS; step++) {
		say_some();
		if (!dice_below(12)) {
			relay_cut(dice_below(2) ? &to_a : &to_b, (int)dice_below(4));
			cuts++;
		}
		run_a_while(dice_below(3));
	}
	UNTIL(is_settled(a, 1, b, 0) && is_settled(b, 0, a, 1));
	print_message("# %u cuts, lost %u and %u times, %d and %d of %d and %d messages came\n", cuts, a->lost, b->lost,
	    (int)b->lines[0].got, (int)a->lines[1].got, (int)a->lines[1].sent, (int)b->lines[0].sent);
	assert_true(a->lost + b->lost > 10);
}

static void without_memory_what_is_lost_is_told(void **state)
{
	enum { STEPS = 2000, IDLE_MS = 4 };
	two_stands(IDLE_MS, 300);
	for (int step = 0; step < STEPS; step++) {
		failing = dice_below(3) ? 0 : 300;
		say_some();
		run_a_while(dice_below(3));
	}
	failing = 0;
	UNTIL(is_settled(a, 1, b, 0) && is_settled(b, 0, a, 1));
	print_message("# %u failures, lost %u and %u times\n", failed, a->lost, b->lost);
	assert_true(failed > 20);
}

static void set_loopback(bool up)
{
	struct ifreq r = {.ifr_name = "lo", .ifr_flags = up ? IFF_UP | IFF_RUNNING : 0};
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &r), 0);
	close(fd);
}

static void a_cut_network_is_noticed_by_both(void **state)
{
	enum { DEAD_MS = 1000, IDLE_MS = 200 };
	two_stands(IDLE_MS, DEAD_MS);
	say(a, 1, 10);
	UNTIL(b->lines[0].got == 1);
	set_loopback(false);
	say(a, 1, 10);
	UNTIL_WITHIN(5, a->lost && b->lost); /* b had nothing to say, but wants to hang up */
	set_loopback(true);
	UNTIL((a->lines[1].sent_at_lost == a->lines[1].sent ? (void)say(a, 1, 10) : (void)0,
	    b->lines[0].got == a->lines[1].sent && b->lines[0].got > 2));
}

/* --- hostile callers --- */

static int call(const char *place)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	    .sin_port = htons((uint16_t)atoi(strchr(place, ':') + 1))};
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
	return fd;
}

static bool is_ended(int fd)
{
	char bytes[4096];
	ssize_t n;
	do
		n = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
	while (n > 0);
	return !n || (n < 0 && errno != EAGAIN);
}

static void put_a_hello(struct buf *out, int from, int to)
{
	struct hello h = {.id = id_of(from), .name = "stranger", .boot = 7};
	if (to >= 0)
		h.to = id_of(to);
	buf_put(out, FRAME_PREFACE, FRAME_PREFACE_SIZE);
	hello_put(out, &h);
}

static void say_and_be_hung_up(struct buf *bytes)
{
	int fd = call(b->place);
	assert_int_equal(send(fd, bytes->data, bytes->len, MSG_NOSIGNAL), bytes->len);
	shutdown(fd, SHUT_WR);
	UNTIL(is_ended(fd));
	close(fd);
	buf_release(bytes);
}

static void strangers_may_say_anything(void **state)
{
	two_stands(60000, 500);
	say(a, 1, 10);
	UNTIL(b->lines[0].got == 1);
	b->hears_strangers = true;
	for (int i = 0; i < 300; i++) {
		struct buf bytes = BUF_INIT;
		put_a_hello(&bytes, 3, dice_below(2) ? -1 : (int)dice_below(4));
		if (dice_below(2))
			make_message(&bytes, 1 + dice_below(3), 1 + dice_below(100));
		for (size_t k = dice_below(6); k; k--)
			bytes.data[dice_below(bytes.len)] = (char)dice();
		for (size_t k = dice_below(64); k; k--)
			buf_putc(&bytes, (char)dice());
		say_and_be_hung_up(&bytes);
	}
	say(a, 1, 10);
	UNTIL(b->lines[0].got == 2);
	assert_int_equal(a->lost, 0);
}

static const struct stream_events nobody;

static void a_hello_must_be_whole_before_too_much_was_said(void **state)
{
	two_stands(60000, 0);
	struct buf bytes = BUF_INIT, payload = BUF_INIT;
	buf_put(&bytes, FRAME_PREFACE, FRAME_PREFACE_SIZE);
	for (int i = 0; i < 10000; i++)
		buf_putc(&payload, 'x');
	frame_put(&bytes, FRAME_HELLO, 0, 0, payload.data, payload.len);
	int fds[2];
	socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds);
	struct stream *stream;
	assert_int_equal(stream_new(&stream, &net, fds[0], &nobody, NULL), 0);
	platform_direct.accepted(b->p, stream, bytes.data, 9000);
	UNTIL(is_ended(fds[1]));
	close(fds[1]);
	socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds);
	assert_int_equal(stream_new(&stream, &net, fds[0], &nobody, NULL), 0);
	assert_true(platform_direct.accepted(b->p, stream, "x", 1) < 0);
	UNTIL(is_ended(fds[1]));
	close(fds[1]);
	buf_release(&bytes);
	buf_release(&payload);
}

static bool one_is_ended(const int *fds, int n)
{
	int ended = 0;
	for (int i = 0; i < n; i++)
		ended += is_ended(fds[i]);
	return ended > 0;
}

static void strangers_take_only_so_much(void **state)
{
	int fds[LINKS_MAX + 1];
	two_stands(60000, 0);
	for (int i = 0; i <= LINKS_MAX; i++) {
		struct buf bytes = BUF_INIT;
		put_a_hello(&bytes, 3, 1);
		fds[i] = call(b->place);
		assert_int_equal(send(fds[i], bytes.data, bytes.len, 0), bytes.len);
		buf_release(&bytes);
	}
	UNTIL(one_is_ended(fds, LINKS_MAX + 1)); /* which: a port has several queues */
	for (int i = 0; i <= LINKS_MAX; i++)
		close(fds[i]);
	UNTIL(b->lines[3].lost);
}

#define T(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(int argc, char **argv)
{
	dice_begin();
	const struct CMUnitTest tests[] = {
	    T(one_without_a_place_can_t_be_reached),
	    T(a_place_where_nobody_answers_is_named),
	    T(each_of_several_addresses_is_tried),
	    T(what_is_wrong_with_each_is_told),
	    T(a_port_that_does_not_answer_is_given_up),
	    T(calls_come_back_after_a_rest),
	    T(a_host_that_dials_itself_is_told),
	    T(another_host_than_was_meant_is_told_and_left_alone),
	    T(twins_are_told_apart_by_everybody),
	    T(twins_that_meet_know_it),
	    T(who_has_no_place_is_answered_where_he_called),
	    T(a_break_that_one_side_noticed_is_told_to_the_other_first),
	    T(no_link_overtakes_the_one_before),
	    T(whatever_breaks_is_told),
	    T(without_memory_what_is_lost_is_told),
	    T(strangers_may_say_anything),
	    T(a_hello_must_be_whole_before_too_much_was_said),
	    T(strangers_take_only_so_much),
	    T(a_cut_network_is_noticed_by_both), /* the last */
	};
	bool own_network = !unshare(CLONE_NEWNET); /* takes root */
	if (own_network)
		set_loopback(true);
	cmocka_set_test_filter(argc > 1 ? argv[1] : NULL);
	return _cmocka_run_group_tests("direct", tests, sizeof tests / sizeof *tests - !own_network, NULL, NULL);
}
