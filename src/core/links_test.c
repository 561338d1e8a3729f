/* SPDX-License-Identifier: Apache-2.0 */
/* What is kept of another host, and for how long. On the stage of whole operations, whose h2 is no process. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/queries_stage.h"

enum { WHILE_MS = 30000 };

static int begin(void **state)
{
	stage_begin();
	return 0;
}

static int end(void **state)
{
	stage_end();
	return 0;
}

/* From h2. Returns how many askers there have been. */
static uint64_t ask(int64_t id, const char *noun, const char *verb, const char *channel)
{
	struct frame_route route = {.deadline_ms = 1000};
	struct msg *m = msg_new(noun);
	msg_set(m, "query", verb);
	if (channel)
		msg_set(m, "channel", channel);
	stage_ask(STAGE_HOST, id, false, &route, m);
	msg_free(m);
	stage_turn();
	return stage_core()->askers;
}

static void a_host_with_which_nothing_is_under_way_is_forgotten(void **state)
{
	uint64_t first = ask(1, "host", "list", NULL);
	assert_int_equal(ask(2, "host", "list", NULL), first);
	stage_wait(WHILE_MS);
	stage_wait(WHILE_MS);
	assert_int_equal(ask(3, "host", "list", NULL), first + 1);
}

static void one_that_still_listens_is_not(void **state)
{
	uint64_t first = ask(1, "channel", "subscribe", "hosts");
	stage_wait(WHILE_MS);
	stage_wait(WHILE_MS);
	assert_int_equal(ask(2, "host", "list", NULL), first);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, begin, end)
	const struct CMUnitTest tests[] = {
	    T(a_host_with_which_nothing_is_under_way_is_forgotten),
	    T(one_that_still_listens_is_not),
	};
	return cmocka_run_group_tests_name("core-links", tests, NULL, NULL);
}
