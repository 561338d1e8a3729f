/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "heartbeat/step.h"

#define MS ((int64_t)1000000)

/* One watched neighbour, told what happens to it at which millisecond. */
struct story {
	struct step_rules rules;
	struct step s;
};

static struct story begin(bool busy_turns_down)
{
	struct story y = {.rules = step_rules_make(500 * MS, 2, 6)};

	y.rules.busy_turns_down = busy_turns_down;
	y.rules.grace_ns = 10000 * MS;
	step_init(&y.s, &y.rules);
	return y;
}

static void at(struct story *y, int64_t ms, enum step_kind kind)
{
	step(&y->s, &y->rules, ms * MS, &(struct step_input){.kind = kind});
}

static void acked(struct story *y, int64_t ms, int64_t when_ms)
{
	step(&y->s, &y->rules, ms * MS, &(struct step_input){.kind = STEP_ACKED, .at_ns = when_ms * MS});
}

static void paused(struct story *y, int64_t ms, int64_t for_ms)
{
	step(&y->s, &y->rules, ms * MS, &(struct step_input){.kind = STEP_PAUSED, .pause_ns = for_ms * MS});
}

static void expect(const struct story *y, enum step_state state, enum step_reason reason)
{
	assert_string_equal(step_state_name(y->s.state), step_state_name(state));
	assert_string_equal(step_reason_text(y->s.reason), step_reason_text(reason));
}

static void two_beats_a_second_make_late_in_one_and_down_in_three(void **state)
{
	struct story y = begin(true);

	at(&y, 0, STEP_CONNECTED);
	expect(&y, STEP_UP, STEP_ANSWERS);
	assert_int_equal(y.s.next_ns, 1000 * MS);
	at(&y, 500, STEP_BEAT_SENT);
	at(&y, 999, STEP_TICK);
	expect(&y, STEP_UP, STEP_ANSWERS);
	at(&y, 1000, STEP_TICK);
	expect(&y, STEP_LATE, STEP_SILENT);
	assert_int_equal(y.s.next_ns, 3000 * MS);
	at(&y, 2999, STEP_TICK);
	expect(&y, STEP_LATE, STEP_SILENT);
	at(&y, 3000, STEP_TICK);
	expect(&y, STEP_DOWN, STEP_SILENT);
	assert_true(y.s.next_ns == INT64_MAX);
}

static void an_answer_brings_it_back_at_any_time(void **state)
{
	struct story y = begin(true);

	at(&y, 0, STEP_CONNECTED);
	at(&y, 500, STEP_BEAT_SENT);
	at(&y, 3500, STEP_TICK);
	expect(&y, STEP_DOWN, STEP_SILENT);
	at(&y, 30000, STEP_ANSWERED);
	expect(&y, STEP_UP, STEP_ANSWERS);
	assert_int_equal(y.s.next_ns, 31000 * MS);
}

static void data_is_as_good_a_sign_as_a_beat(void **state)
{
	struct story y = begin(true);

	at(&y, 0, STEP_CONNECTED);
	at(&y, 500, STEP_BEAT_SENT);
	at(&y, 900, STEP_DATA);
	at(&y, 1800, STEP_TICK);
	expect(&y, STEP_UP, STEP_ANSWERS);
	at(&y, 1900, STEP_TICK);
	expect(&y, STEP_LATE, STEP_SILENT);
}

static void a_stopped_daemon_is_busy_and_then_down(void **state)
{
	struct story y = begin(true);

	at(&y, 0, STEP_CONNECTED);
	at(&y, 500, STEP_BEAT_SENT);
	acked(&y, 1000, 540);
	at(&y, 1000, STEP_TICK);
	expect(&y, STEP_BUSY, STEP_HOST_ANSWERS);
	acked(&y, 2000, 1540);
	acked(&y, 2900, 2540);
	expect(&y, STEP_BUSY, STEP_HOST_ANSWERS);
	at(&y, 3000, STEP_TICK);
	expect(&y, STEP_DOWN, STEP_STOPPED);
	at(&y, 4040, STEP_TICK);
	expect(&y, STEP_DOWN, STEP_SILENT);
}

static void an_occupied_program_of_someone_else_is_never_down(void **state)
{
	struct story y = begin(false);

	at(&y, 0, STEP_CONNECTED);
	at(&y, 500, STEP_BEAT_SENT);
	for (int64_t ms = 1000; ms < 600000; ms += 500) {
		acked(&y, ms, ms - 400);
		expect(&y, STEP_BUSY, STEP_HOST_ANSWERS);
	}
}

static void but_its_host_may_go(void **state)
{
	struct story y = begin(false);

	at(&y, 0, STEP_CONNECTED);
	at(&y, 500, STEP_BEAT_SENT);
	acked(&y, 60000, 60000);
	expect(&y, STEP_BUSY, STEP_HOST_ANSWERS);
	at(&y, 61499, STEP_TICK);
	expect(&y, STEP_BUSY, STEP_HOST_ANSWERS);
	at(&y, 61500, STEP_TICK);
	expect(&y, STEP_LATE, STEP_SILENT);
	at(&y, 63000, STEP_TICK);
	expect(&y, STEP_DOWN, STEP_SILENT);
}

static void an_acknowledgement_from_before_the_beat_says_nothing(void **state)
{
	struct story y = begin(true);

	at(&y, 0, STEP_CONNECTED);
	acked(&y, 400, 400);
	at(&y, 500, STEP_BEAT_SENT);
	at(&y, 1000, STEP_TICK);
	expect(&y, STEP_LATE, STEP_SILENT);
}

static void the_end_of_the_connection_is_known_at_once(void **state)
{
	struct story y = begin(true);

	at(&y, 0, STEP_CONNECTED);
	at(&y, 1, STEP_GONE);
	expect(&y, STEP_DOWN, STEP_CLOSED);
	at(&y, 2, STEP_ANSWERED);
	expect(&y, STEP_DOWN, STEP_CLOSED);
	at(&y, 3, STEP_CONNECTED);
	expect(&y, STEP_UP, STEP_ANSWERS);
	at(&y, 4, STEP_LOST);
	expect(&y, STEP_DOWN, STEP_UNREACHABLE);
}

static void who_takes_his_leave_is_not_down(void **state)
{
	struct story y = begin(true);

	at(&y, 0, STEP_CONNECTED);
	at(&y, 10, STEP_LEAVE);
	at(&y, 11, STEP_GONE);
	at(&y, 100000, STEP_TICK);
	expect(&y, STEP_LEFT, STEP_SAID_LEAVE);
	assert_true(y.s.next_ns == INT64_MAX);
	at(&y, 100001, STEP_CONNECTED);
	expect(&y, STEP_UP, STEP_ANSWERS);
}

static void our_own_pause_extends_every_deadline(void **state)
{
	struct story y = begin(true);

	at(&y, 0, STEP_CONNECTED);
	at(&y, 500, STEP_BEAT_SENT);
	paused(&y, 60500, 60000);
	expect(&y, STEP_UP, STEP_ANSWERS);
	at(&y, 60999, STEP_TICK);
	expect(&y, STEP_UP, STEP_ANSWERS);
	at(&y, 61000, STEP_TICK);
	expect(&y, STEP_LATE, STEP_SILENT);
	paused(&y, 64000, 2000);
	at(&y, 64000, STEP_TICK);
	expect(&y, STEP_LATE, STEP_SILENT);
	at(&y, 65000, STEP_TICK);
	expect(&y, STEP_DOWN, STEP_SILENT);
}

static void a_pause_by_itself_judges_nobody(void **state)
{
	struct story y = begin(true);

	at(&y, 0, STEP_CONNECTED);
	paused(&y, 11000, 10000);
	expect(&y, STEP_UP, STEP_ANSWERS);
	assert_int_equal(y.s.next_ns, 11000 * MS + 1);
	at(&y, 11001, STEP_TICK);
	expect(&y, STEP_LATE, STEP_SILENT);
}

static void a_restarted_watcher_waits_for_those_it_knew(void **state)
{
	struct story y = begin(true);

	at(&y, 0, STEP_AWAITED);
	expect(&y, STEP_LATE, STEP_STILL_AWAITED);
	at(&y, 9999, STEP_TICK);
	expect(&y, STEP_LATE, STEP_STILL_AWAITED);
	paused(&y, 9999, 5000);
	at(&y, 14999, STEP_TICK);
	expect(&y, STEP_LATE, STEP_STILL_AWAITED);
	at(&y, 15000, STEP_TICK);
	expect(&y, STEP_DOWN, STEP_NEVER_RETURNED);
	at(&y, 16000, STEP_CONNECTED);
	expect(&y, STEP_UP, STEP_ANSWERS);
	at(&y, 16100, STEP_GONE);
	expect(&y, STEP_DOWN, STEP_CLOSED);
}

static void who_returns_within_the_grace_was_never_down(void **state)
{
	struct story y = begin(true);

	at(&y, 0, STEP_AWAITED);
	at(&y, 9000, STEP_CONNECTED);
	expect(&y, STEP_UP, STEP_ANSWERS);
	at(&y, 9900, STEP_ANSWERED);
	at(&y, 10100, STEP_TICK);
	expect(&y, STEP_UP, STEP_ANSWERS);
}

static void switched_off_only_the_end_counts(void **state)
{
	struct story y = begin(true);

	y.rules.interval_ns = 0;
	at(&y, 0, STEP_CONNECTED);
	at(&y, 1000000, STEP_TICK);
	expect(&y, STEP_NOT_WATCHED, STEP_NO_REASON);
	at(&y, 1000001, STEP_GONE);
	expect(&y, STEP_DOWN, STEP_CLOSED);
}

static void where_no_beat_is_possible_the_host_stands_for_the_program(void **state)
{
	struct story y = begin(false);

	y.rules.acks_suffice = true;
	at(&y, 0, STEP_CONNECTED);
	acked(&y, 900, 900);
	at(&y, 1800, STEP_TICK);
	expect(&y, STEP_UP, STEP_HOST_ANSWERS);
	at(&y, 1900, STEP_TICK);
	expect(&y, STEP_LATE, STEP_SILENT);
	at(&y, 3900, STEP_TICK);
	expect(&y, STEP_DOWN, STEP_SILENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(two_beats_a_second_make_late_in_one_and_down_in_three),
	    cmocka_unit_test(an_answer_brings_it_back_at_any_time),
	    cmocka_unit_test(data_is_as_good_a_sign_as_a_beat),
	    cmocka_unit_test(a_stopped_daemon_is_busy_and_then_down),
	    cmocka_unit_test(an_occupied_program_of_someone_else_is_never_down),
	    cmocka_unit_test(but_its_host_may_go),
	    cmocka_unit_test(an_acknowledgement_from_before_the_beat_says_nothing),
	    cmocka_unit_test(the_end_of_the_connection_is_known_at_once),
	    cmocka_unit_test(who_takes_his_leave_is_not_down),
	    cmocka_unit_test(our_own_pause_extends_every_deadline),
	    cmocka_unit_test(a_pause_by_itself_judges_nobody),
	    cmocka_unit_test(a_restarted_watcher_waits_for_those_it_knew),
	    cmocka_unit_test(who_returns_within_the_grace_was_never_down),
	    cmocka_unit_test(switched_off_only_the_end_counts),
	    cmocka_unit_test(where_no_beat_is_possible_the_host_stands_for_the_program),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
