/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "core/secure.h"

static enum secure_right right_of(unsigned roles, bool secure, unsigned flags, const char *noun, const char *verb)
{
	struct peer p = {.secure = secure, .who = {.name = "eye", .roles = roles}};
	const struct op op = {.noun = noun, .verb = verb, .flags = flags};
	struct msg *query = msg_new(noun);
	msg_set(query, "query", verb);
	const struct call c = {.op = &op, .peer = &p, .msg = query};
	enum secure_right r = secure_right(&c);
	msg_free(query);
	return r;
}

static void who_is_no_third_party_is_judged_by_others(void **state)
{
	const struct call daemons_own = {.peer = NULL};
	assert_int_equal(secure_right(&daemons_own), SECURE_NOTHING);
	assert_int_equal(right_of(CERTIFIED_READER, false, OP_CHANGES, "monitor", "stop"), SECURE_NOTHING);
	assert_int_equal(right_of(CERTIFIED_USER, true, OP_CHANGES, "monitor", "stop"), SECURE_NOTHING);
	assert_int_equal(right_of(CERTIFIED_NODE, true, OP_CHANGES, "monitor", "stop"), SECURE_NOTHING);
	assert_int_equal(right_of(CERTIFIED_HOST, true, OP_CHANGES, "monitor", "stop"), SECURE_NOTHING);
}

static void a_reader_reads(void **state)
{
	static const unsigned never[] = {OP_CHANGES, OP_ACTS, OP_PRIVATE, OP_TRUSTED, OP_ACTS | OP_STREAMS, OP_ACTS | OP_TRAFFIC};
	assert_int_equal(right_of(CERTIFIED_READER, true, OP_READS, "host", "list"), SECURE_READS);
	assert_int_equal(right_of(CERTIFIED_READER, true, OP_STREAMS, "monitor", "subscribe"), SECURE_READS);
	for (size_t i = 0; i < sizeof never / sizeof *never; i++) {
		assert_int_equal(right_of(CERTIFIED_READER, true, never[i], "host", "list"), SECURE_REFUSES);
		assert_int_equal(right_of(CERTIFIED_READER, true, never[i], "monitor", "stop"), SECURE_REFUSES);
	}
	assert_int_equal(right_of(CERTIFIED_READER, true, OP_STREAMS, "service", "get"), SECURE_REFUSES);
}

static void an_operator_changes_what_is_in_the_table(void **state)
{
	static const char *const may[][2] = {{"monitor", "start"}, {"monitor", "stop"}, {"monitor", "restart"}, {"monitor", "forget"},
	    {"node", "forget"}, {"master", "reload"}};
	static const char *const may_not[][2] = {{"cluster", "certify"}, {"cluster", "token"}, {"cluster", "revoke"}, {"cluster", "rotate"},
	    {"cluster", "init"}, {"cluster", "leave"}, {"host", "add"}, {"host", "remove"}, {"process", "start"}, {"monitor", ""},
	    {"settings", "set"}};
	for (size_t i = 0; i < sizeof may / sizeof *may; i++)
		assert_int_equal(right_of(CERTIFIED_OPERATOR, true, OP_CHANGES, may[i][0], may[i][1]), SECURE_CHANGES);
	for (size_t i = 0; i < sizeof may_not / sizeof *may_not; i++)
		assert_int_equal(right_of(CERTIFIED_OPERATOR, true, OP_CHANGES, may_not[i][0], may_not[i][1]), SECURE_REFUSES);
	assert_int_equal(right_of(CERTIFIED_OPERATOR, true, OP_PRIVATE, "process", "list"), SECURE_REFUSES);
	assert_int_equal(right_of(CERTIFIED_OPERATOR, true, OP_READS, "host", "list"), SECURE_READS);
}

static void a_name_is_the_certificate_s(void **state)
{
	struct peer plain = {.secure = false}, probe = {.secure = true, .who = {.name = "probe", .roles = CERTIFIED_MONITOR}};
	assert_true(secure_is_named(&plain, "anything"));
	assert_true(secure_is_named(&probe, "probe"));
	assert_false(secure_is_named(&probe, "prob"));
	assert_false(secure_is_named(&probe, "probe2"));
	assert_false(secure_is_named(&probe, ""));
	assert_null(secure_name(&plain));
	assert_string_equal(secure_name(&probe), "probe");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(who_is_no_third_party_is_judged_by_others),
	    cmocka_unit_test(a_reader_reads),
	    cmocka_unit_test(an_operator_changes_what_is_in_the_table),
	    cmocka_unit_test(a_name_is_the_certificate_s),
	};
	return cmocka_run_group_tests_name("secure", tests, NULL, NULL);
}
