/* SPDX-License-Identifier: Apache-2.0 */
/* simulation-test [SEEDS [FIRST]]: that many simulated hours, from that seed on. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>

#include "heartbeat/simulation.h"

#define HOUR ((int64_t)3600 * 1000000000)
#define NEVER INT64_MAX

static uint64_t seeds = 60, first_seed = 1;

static void report(uint64_t seed, const struct simulation_result *r)
{
	for (int i = 0; i < INVARIANTS; i++)
		if (r->breached & 1U << i)
			print_error("# seed %llu: \"%s\" broken at %.6f s by node %d, then %s\n",
			    (unsigned long long)seed, invariant_name((enum invariant)i),
			    (double)r->first[i].at_ns / 1e9, r->first[i].node,
			    step_state_name(r->first[i].state));
}

static void the_shipped_code_keeps_every_invariant(void **state)
{
	struct simulation_result r, sum = {0};

	for (uint64_t seed = first_seed; seed < first_seed + seeds; seed++) {
		simulate(seed, HOUR, step, &r);
		report(seed, &r);
		assert_int_equal(r.breached, 0);
		sum.steps += r.steps;
		sum.beats += r.beats;
		sum.downs += r.downs;
		sum.freezes += r.freezes;
		sum.restarts += r.restarts;
		sum.pauses += r.pauses;
	}
	print_message("# %llu hours: %llu steps, %llu beats, %llu times down, %llu freezes, %llu restarts, "
		      "%llu pauses of the watcher\n",
	    (unsigned long long)seeds, (unsigned long long)sum.steps, (unsigned long long)sum.beats,
	    (unsigned long long)sum.downs, (unsigned long long)sum.freezes, (unsigned long long)sum.restarts,
	    (unsigned long long)sum.pauses);
}

/* ---- planted bugs: step() with one thing wrong ---- */

static bool changed(const struct step *before, const struct step *s)
{
	return before->state != s->state || before->reason != s->reason;
}

/* Overrules the verdict, and answers for it honestly. */
static bool overrule(
    struct step *s, const struct step *before, enum step_state state, enum step_reason reason)
{
	s->state = state;
	s->reason = reason;
	return changed(before, s);
}

static bool late_at_half_time(
    struct step *s, const struct step_rules *r, int64_t now, const struct step_input *in)
{
	struct step_rules hasty = *r;

	hasty.late_ns /= 2;
	return step(s, &hasty, now, in);
}

static bool down_when_late(
    struct step *s, const struct step_rules *r, int64_t now, const struct step_input *in)
{
	struct step before = *s;

	step(s, r, now, in);
	if (s->state == STEP_LATE && s->reason == STEP_SILENT)
		return overrule(s, &before, STEP_DOWN, STEP_SILENT);
	return changed(&before, s);
}

static bool down_at_any_rest(
    struct step *s, const struct step_rules *r, int64_t now, const struct step_input *in)
{
	struct step before = *s;

	step(s, r, now, in);
	if (s->state == STEP_UP && in->kind == STEP_BEAT_SENT)
		return overrule(s, &before, STEP_DOWN, STEP_SILENT);
	return changed(&before, s);
}

static bool late_too_late(
    struct step *s, const struct step_rules *r, int64_t now, const struct step_input *in)
{
	struct step_rules slow = *r;

	slow.late_ns = r->late_ns * 3 / 2;
	return step(s, &slow, now, in);
}

static bool never_down(struct step *s, const struct step_rules *r, int64_t now, const struct step_input *in)
{
	struct step_rules endless = *r;

	endless.down_ns *= 100;
	return step(s, &endless, now, in);
}

static bool deaf_to_acks(struct step *s, const struct step_rules *r, int64_t now, const struct step_input *in)
{
	return step(s, r, now, in->kind == STEP_ACKED ? &(struct step_input){.kind = STEP_TICK} : in);
}

static bool busy_for_ever(
    struct step *s, const struct step_rules *r, int64_t now, const struct step_input *in)
{
	struct step_rules lenient = *r;

	lenient.busy_turns_down = false;
	return step(s, &lenient, now, in);
}

static bool busy_always_turns(
    struct step *s, const struct step_rules *r, int64_t now, const struct step_input *in)
{
	struct step_rules strict = *r;

	strict.busy_turns_down = true;
	return step(s, &strict, now, in);
}

static bool acks_never_age(
    struct step *s, const struct step_rules *r, int64_t now, const struct step_input *in)
{
	struct step_rules trusting = *r;

	trusting.ack_ns *= 1000;
	return step(s, &trusting, now, in);
}

static bool deaf_to_the_end(
    struct step *s, const struct step_rules *r, int64_t now, const struct step_input *in)
{
	return step(s, r, now, in->kind == STEP_GONE ? &(struct step_input){.kind = STEP_TICK} : in);
}

static bool no_second_connection(
    struct step *s, const struct step_rules *r, int64_t now, const struct step_input *in)
{
	if (in->kind == STEP_CONNECTED && s->state == STEP_DOWN)
		return step(s, r, now, &(struct step_input){.kind = STEP_TICK});
	return step(s, r, now, in);
}

static bool leave_is_an_end(
    struct step *s, const struct step_rules *r, int64_t now, const struct step_input *in)
{
	return step(s, r, now, in->kind == STEP_LEAVE ? &(struct step_input){.kind = STEP_GONE} : in);
}

static bool no_grace(struct step *s, const struct step_rules *r, int64_t now, const struct step_input *in)
{
	struct step_rules harsh = *r;

	harsh.grace_ns /= 4;
	return step(s, &harsh, now, in);
}

static bool endless_grace(
    struct step *s, const struct step_rules *r, int64_t now, const struct step_input *in)
{
	struct step_rules patient = *r;

	patient.grace_ns *= 1000;
	return step(s, &patient, now, in);
}

static bool pause_is_a_tick(
    struct step *s, const struct step_rules *r, int64_t now, const struct step_input *in)
{
	return step(s, r, now, in->kind == STEP_PAUSED ? &(struct step_input){.kind = STEP_TICK} : in);
}

static bool time_heals(struct step *s, const struct step_rules *r, int64_t now, const struct step_input *in)
{
	struct step before = *s;

	step(s, r, now, in);
	if (in->kind == STEP_TICK && before.state == STEP_BUSY)
		return overrule(s, &before, STEP_UP, STEP_ANSWERS);
	return changed(&before, s);
}

static bool echoes_revive(
    struct step *s, const struct step_rules *r, int64_t now, const struct step_input *in)
{
	if (in->kind == STEP_ANSWERED)
		s->connected = true;
	return step(s, r, now, in);
}

static bool tells_nothing(
    struct step *s, const struct step_rules *r, int64_t now, const struct step_input *in)
{
	step(s, r, now, in);
	return false;
}

static bool asks_too_late(
    struct step *s, const struct step_rules *r, int64_t now, const struct step_input *in)
{
	bool told = step(s, r, now, in);

	if (s->next_ns != NEVER)
		s->next_ns += 1000;
	return told;
}

static const struct planted {
	const char *name;
	step_function *decide;
	enum invariant breaks;
} planted[] = {
    {"late at half time", late_at_half_time, NOT_LATE_TOO_SOON},
    {"down when late", down_when_late, NOT_DOWN_TOO_SOON},
    {"down at any rest", down_at_any_rest, FINE_IS_NOT_DOWN},
    {"late too late", late_too_late, DEAD_IS_LATE_IN_TIME},
    {"never down", never_down, DEAD_IS_DOWN_IN_TIME},
    {"deaf to acks", deaf_to_acks, FROZEN_IS_BUSY},
    {"busy for ever", busy_for_ever, FROZEN_DAEMON_IS_DOWN},
    {"busy always turns", busy_always_turns, FROZEN_OTHER_IS_NOT_DOWN},
    {"acks never age", acks_never_age, CUT_OFF_IS_NOT_BUSY},
    {"deaf to the end", deaf_to_the_end, END_IS_DOWN_AT_ONCE},
    {"no second connection", no_second_connection, CONNECTED_IS_UP_AT_ONCE},
    {"leave is an end", leave_is_an_end, LEAVE_IS_LEFT},
    {"no grace", no_grace, NOBODY_DOWN_IN_GRACE},
    {"endless grace", endless_grace, ABSENT_IS_DOWN_AFTER_GRACE},
    {"pause is a tick", pause_is_a_tick, PAUSE_MAKES_NOBODY_WORSE},
    {"time heals", time_heals, CHANGE_HAS_CAUSE},
    {"echoes revive", echoes_revive, CHANGE_HAS_CAUSE},
    {"tells nothing", tells_nothing, CHANGE_IS_TOLD},
    {"asks too late", asks_too_late, NEXT_IS_NOT_MISSED},
};

static void every_planted_bug_is_found(void **state)
{
	struct simulation_result r;
	uint32_t covered = 0;

	for (size_t i = 0; i < sizeof planted / sizeof planted[0]; i++) {
		uint32_t broken = 0;

		for (uint64_t seed = 1; seed <= 20 && !(broken & 1U << planted[i].breaks); seed++) {
			simulate(seed, HOUR, planted[i].decide, &r);
			broken |= r.breached;
		}
		if (!(broken & 1U << planted[i].breaks))
			print_error("# \"%s\" was not caught by \"%s\"\n", planted[i].name,
			    invariant_name(planted[i].breaks));
		assert_true(broken & 1U << planted[i].breaks);
		covered |= 1U << planted[i].breaks;
	}
	assert_int_equal(covered, (1U << INVARIANTS) - 1);
}

static void the_same_seed_gives_the_same_hour(void **state)
{
	struct simulation_result a, b;

	simulate(7, HOUR, step, &a);
	simulate(7, HOUR, step, &b);
	assert_memory_equal(&a, &b, sizeof a);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_shipped_code_keeps_every_invariant),
	    cmocka_unit_test(every_planted_bug_is_found),
	    cmocka_unit_test(the_same_seed_gives_the_same_hour),
	};

	if (argc > 1)
		seeds = strtoull(argv[1], NULL, 10);
	if (argc > 2)
		first_seed = strtoull(argv[2], NULL, 10);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
