/* SPDX-License-Identifier: Apache-2.0 */
/* What platform.h promises, of the type that is named: conformance_test TYPE [TEST]. Modules are in $VIGIA_MODULES. */
#include <malloc.h>

#include "base/dice_test.h"
#include "platform/nats/server_test.h"
#include "platform/stage_test.h"

static const struct platform_type *type;
static const char *server; /* NULL: it has none */
static struct stand *a, *b;

static int set_up(void **state)
{
	stage_begin();
	return 0;
}

static int tear_down(void **state)
{
	if (a)
		stand_free(a);
	if (b)
		stand_free(b);
	a = b = NULL;
	stage_end();
	return 0;
}

static struct stand *stand(int number, int64_t idle_ms)
{
	struct stand *s = stand_new(type, number, server, idle_ms);
	stand_open(s);
	return s;
}

static void two_stands(int64_t idle_ms)
{
	a = stand(0, idle_ms);
	b = stand(1, idle_ms);
	introduce(a, 1, b->place);
	introduce(b, 0, a->place);
}

/* Says numbers up to `until`, as many as there is room for. */
static void pump(struct stand *s, int to, uint64_t until, size_t n)
{
	while (s->lines[to].sent < until && !say(s, to, n))
		continue;
}

static bool all_arrived(const struct stand *from, int from_number, const struct stand *to, int to_number)
{
	return from->lines[to_number].sent == to->lines[from_number].got;
}

static void a_message_arrives_and_so_does_its_answer(void **state)
{
	two_stands(60000);
	assert_int_equal(say(a, 1, 64), 0);
	UNTIL(b->lines[0].got == 1);
	assert_int_equal(say(b, 0, 1), 0);
	UNTIL(a->lines[1].got == 1);
	assert_int_equal(a->lost + b->lost, 0);
	assert_true(room_for(a, 1) <= STAGE_PENDING);
}

static void both_may_speak_first_at_once(void **state)
{
	for (int round = 0; round < 20; round++) {
		two_stands(60000);
		pump(a, 1, 100, 50);
		pump(b, 0, 100, 50);
		UNTIL(b->lines[0].got == 100 && a->lines[1].got == 100);
		assert_int_equal(a->lost + b->lost, 0);
		stand_free(a);
		stand_free(b);
	}
	a = b = NULL;
}

static void much_goes_both_ways_at_once(void **state)
{
	enum { N = 100000 };
	two_stands(60000);
	UNTIL((pump(a, 1, N, 64), pump(b, 0, N, 64), b->lines[0].got == N && a->lines[1].got == N));
	assert_int_equal(a->lost + b->lost, 0);
}

static void and_between_processes(void **state)
{
	enum { N = 100000 };
	a = stand(0, 60000);
	struct child c = child_start(a, 0, 2, 20000);
	introduce(a, 2, c.place);
	UNTIL((pump(a, 2, N, 64), a->lines[2].got == N));
	assert_int_equal(a->lost, 0);
	child_kill(&c);
}

static size_t odd_size(uint64_t i)
{
	return i % 3 ? (size_t)(i * 977 % 5000) + 1 : FRAME_PAYLOAD_MAX - (size_t)(i % 9);
}

static void the_largest_go_among_the_small(void **state)
{
	enum { N = 60 };
	two_stands(60000);
	UNTIL(({
		while (a->lines[1].sent < N && !say(a, 1, odd_size(a->lines[1].sent)))
			continue;
		while (b->lines[0].sent < N && !say(b, 0, odd_size(b->lines[0].sent)))
			continue;
		b->lines[0].got == N && a->lines[1].got == N;
	}));
	assert_int_equal(a->lost + b->lost, 0);
}

/* --- hanging up and dialling again --- */

enum { FOUR = 4 };

static void run_for_ms(uint64_t ms)
{
	uint64_t end = uv_hrtime() + ms * 1000000;
	do
		uv_run(&loop, UV_RUN_NOWAIT);
	while (uv_hrtime() < end);
}

static void say_at_random(struct stand *hosts[FOUR])
{
	int from = (int)dice_below(FOUR), to = (int)((size_t)from + 1 + dice_below(FOUR - 1)) % FOUR;
	for (size_t i = dice_below(20); i < 20; i++)
		if (say(hosts[from], to, dice_below(40) ? 1 + dice_below(3000) : 1 + dice_below(200000)))
			return;
}

static bool four_are_quiet(struct stand *hosts[FOUR])
{
	for (int i = 0; i < FOUR; i++)
		for (int j = 0; j < FOUR; j++)
			if (i != j && !all_arrived(hosts[i], i, hosts[j], j))
				return false;
	return true;
}

static void nothing_is_lost_or_doubled_by_hanging_up(void **state)
{
	enum { IDLE_MS = 4, STEPS = 2000 };
	struct stand *hosts[FOUR];
	unsigned dials = 0, lost = 0;
	for (int i = 0; i < FOUR; i++)
		hosts[i] = stand(i, IDLE_MS);
	for (int i = 0; i < FOUR; i++)
		for (int j = 0; j < FOUR; j++)
			if (i != j)
				introduce(hosts[i], j, hosts[j]->place);
	for (int step = 0; step < STEPS; step++) {
		say_at_random(hosts);
		if (!dice_below(3))
			run_for_ms(dice_below(3 * IDLE_MS));
		if (!dice_below(20))
			UNTIL(four_are_quiet(hosts));
	}
	UNTIL(four_are_quiet(hosts));
	for (int i = 0; i < FOUR; i++) {
		dials += hosts[i]->accepted;
		lost += hosts[i]->lost;
		stand_free(hosts[i]);
	}
	print_message("# dialled %u times\n", dials);
	assert_int_equal(lost, 0);
	if (type->accepted)
		assert_true(dials > 100);
}

/* --- those that die, or stop --- */

/* What is lost on the way there is said again. Returns how often it was said: a host that starts may not be connected yet. */
static unsigned speak_until_heard(struct stand *from, int to, const struct line *there)
{
	struct line *line = &from->lines[to];
	unsigned lost = line->lost - 1, said = 0;
	UNTIL(({
		if (line->lost != lost && !say(from, to, 10)) {
			lost = line->lost;
			said++;
		}
		there->got == line->sent;
	}));
	return said;
}

static unsigned speak_until_answered(struct stand *s, int to)
{
	return speak_until_heard(s, to, &s->lines[to]);
}

static void one_that_is_killed_is_lost_once_and_comes_back(void **state)
{
	a = stand(0, 60000);
	struct child c = child_start(a, 0, 2, 20000);
	introduce(a, 2, c.place);
	pump(a, 2, 100, 64);
	UNTIL(a->lines[2].got == 100);
	child_kill(&c);
	say(a, 2, 10);
	UNTIL_WITHIN(3, a->lost == 1);
	print_message("# %s\n", a->why);
	c = child_start(a, 0, 2, 20000);
	introduce(a, 2, c.place);
	assert_int_equal(a->lost, 1);
	unsigned said = speak_until_answered(a, 2);
	assert_int_equal(a->lost, said); /* each but the last, and the one before */
	child_kill(&c);
}

static void one_that_was_never_met_is_called_as_the_core_calls_it(void **state)
{
	a = stand(0, 60000);
	introduce_as(a, 2, "far-away", "127.0.0.1:1");
	assert_int_equal(say(a, 2, 10), 0);
	UNTIL(a->lost == 1);
	assert_memory_equal(a->why, "far-away: ", 10);
}

static size_t taken(void)
{
#ifdef __SANITIZE_ADDRESS__
	return 0;
#else
	struct mallinfo2 m = mallinfo2();
	return m.uordblks + m.hblkhd;
#endif
}

static void one_that_does_not_read_is_waited_for_by_nobody_else(void **state)
{
	enum { N = 1000, SIZE = 1000 };
	struct child c;
	two_stands(60000);
	c = child_start(a, 0, 2, 60000);
	introduce(a, 2, c.place);
	pump(a, 2, 1, SIZE);
	UNTIL(a->lines[2].got == 1);
	size_t before = taken();
	kill(c.pid, SIGSTOP);
	UNTIL(({
		uint64_t sent = a->lines[2].sent;
		pump(a, 2, UINT64_MAX, SIZE);
		uv_run(&loop, UV_RUN_NOWAIT);
		sent == a->lines[2].sent && room_for(a, 2) < SIZE + FRAME_HEADER;
	}));
	assert_true(taken() < before + 3 * STAGE_PENDING);
	UNTIL((pump(a, 1, N, 64), pump(b, 0, N, 64), b->lines[0].got == N && a->lines[1].got == N));
	unsigned rooms = a->rooms;
	kill(c.pid, SIGCONT);
	UNTIL(a->lines[2].got == a->lines[2].sent);
	assert_true(a->rooms > rooms);
	assert_int_equal(a->lost + b->lost, 0);
	child_kill(&c);
}

static void one_that_stands_still_too_long_is_lost(void **state)
{
	enum { DEAD_MS = 500 };
	a = stand_new(type, 0, server, 60000);
	a->options.dead_ns = DEAD_MS * 1000000LL;
	stand_open(a);
	struct child c = child_start(a, 0, 2, DEAD_MS);
	introduce(a, 2, c.place);
	speak_until_answered(a, 2);
	kill(c.pid, SIGSTOP);
	pump(a, 2, UINT64_MAX, 1000);
	UNTIL_WITHIN(10 * DEAD_MS / 1000.0, a->lost == 1);
	print_message("# %s\n", a->why);
	kill(c.pid, SIGCONT);
	speak_until_answered(a, 2);
	child_kill(&c);
}

static void what_is_pending_when_it_closes_still_leaves(void **state)
{
	enum { N = 1000 };
	two_stands(60000);
	say(a, 1, 64);
	UNTIL(b->lines[0].got == 1);
	pump(a, 1, N, 64);
	stand_shut(a);
	UNTIL(b->lines[0].got == N);
}

static struct stand *closing;

static void close_at_once(void *owner, const struct host_id *from, const void *frame, size_t n)
{
	closing->type->close(closing->p);
	closing->p = NULL;
}

static void it_may_be_closed_from_its_own_event(void **state)
{
	static const struct platform_events events = {close_at_once, stand_lost, stand_room};
	a = stand(0, 60000);
	b = closing = stand_new(type, 1, server, 60000);
	b->options.events = &events;
	stand_open(b);
	introduce(a, 1, b->place);
	pump(a, 1, 10, 64);
	UNTIL(!b->p);
}

/* --- servers: the last tests, for types that have some --- */

enum { OF_SERVERS = 2 };

static bool is_troubled(struct stand *s)
{
	struct buf what = BUF_INIT;
	bool is = s->type->trouble(s->p, &what);
	assert_int_equal(is, what.len > 0);
	buf_release(&what);
	return is;
}

static void a_server_that_dies_under_a_stream_costs_no_more_than_is_told(void **state)
{
	two_stands(60000);
	UNTIL((pump(a, 1, 5000, 64), pump(b, 0, 5000, 64), b->lines[0].got > 1000));
	for (int round = 0; round < 5; round++) {
		server_kill();
		UNTIL((pump(a, 1, UINT64_MAX, 64), pump(b, 0, UINT64_MAX, 64), is_troubled(a) && is_troubled(b)));
		server_start();
		UNTIL(!is_troubled(a) && !is_troubled(b));
		speak_until_heard(a, 1, &b->lines[0]);
		speak_until_heard(b, 0, &a->lines[1]);
		print_message("# lost %u and %u times\n", a->lost, b->lost);
		assert_int_equal(a->lost, b->lost);
	}
}

static void without_a_server_it_waits_and_says_so(void **state)
{
	server_kill();
	two_stands(60000);
	UNTIL(is_troubled(a) && is_troubled(b));
	pump(a, 1, 10, 64);
	server_start();
	UNTIL(b->lines[0].got == 10);
	assert_int_equal(a->lost + b->lost, 0);
}

/* libnats forgets the message that a broken connection was in the middle of. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
	return "leak:libnats";
}

#define T(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(int argc, char **argv)
{
	struct buf why = BUF_INIT;
	bool is_peer = argc > 1 && !strcmp(argv[1], "--peer");
	const char *dir = getenv("VIGIA_MODULES");
	const struct CMUnitTest tests[] = {
	    T(a_message_arrives_and_so_does_its_answer),
	    T(both_may_speak_first_at_once),
	    T(much_goes_both_ways_at_once),
	    T(and_between_processes),
	    T(the_largest_go_among_the_small),
	    T(nothing_is_lost_or_doubled_by_hanging_up),
	    T(one_that_is_killed_is_lost_once_and_comes_back),
	    T(one_that_was_never_met_is_called_as_the_core_calls_it),
	    T(one_that_does_not_read_is_waited_for_by_nobody_else),
	    T(one_that_stands_still_too_long_is_lost),
	    T(what_is_pending_when_it_closes_still_leaves),
	    T(it_may_be_closed_from_its_own_event),
	    T(a_server_that_dies_under_a_stream_costs_no_more_than_is_told),
	    T(without_a_server_it_waits_and_says_so),
	};
	if (argc < 2 || platform_find(&type, argv[1 + is_peer], dir ? dir : ".", &why)) {
		fprintf(stderr, "%s\n", argc < 2 ? "usage: conformance_test TYPE [TEST]" : buf_str(&why));
		return 2;
	}
	if (is_peer)
		return peer_main(type, argv);
	dice_begin();
	if (!type->accepted) {
		if (!server_exists()) {
			printf("1..0 # SKIP there is no nats-server\n");
			return 0;
		}
		server = server_prepare("");
		server_start();
	}
	cmocka_set_test_filter(argc > 2 ? argv[2] : NULL);
	size_t n = sizeof tests / sizeof *tests - (server ? 0 : OF_SERVERS);
	int failed = _cmocka_run_group_tests(argv[1], tests, n, NULL, NULL);
	buf_release(&why);
	if (server) {
		server_kill();
		server_forget();
	}
	return failed;
}
