/* SPDX-License-Identifier: Apache-2.0 */
/* What libvigia shows, in which order, and what it names as cause; the daemon is the test. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libvigia/connection.h"
#include "proto/causal.h"

enum { A = 1, B, C };
#define EVERYTHING UINT32_MAX

static struct vigia *v;
static int daemon_end;
static char shown[512]; /* "a1 b1 ..."; a loss: "-N" before its sequence; an end: "end" */
static int64_t cancel_at_next;

static struct channel_id id_of(unsigned channel)
{
	return (struct channel_id){.host.bytes = {5}, .number = channel};
}

static void note(const char *format, ...)
{
	size_t at = strlen(shown);
	va_list ap;
	va_start(ap, format);
	vsnprintf(shown + at, sizeof shown - at, format, ap);
	va_end(ap);
}

static void on_event(void *data, const struct vigia_event *e)
{
	const char *name = data;
	if (e->lost)
		note("%s-%d ", name, (int)e->lost);
	else
		note("%s%d ", name, (int)e->sequence);
	if (cancel_at_next)
		vigia_cancel(v, cancel_at_next);
	cancel_at_next = 0;
}

static void on_over(void *data, int result, const struct vigia_error *error)
{
	note("%s-end ", (const char *)data);
}

static int set_up(void **state)
{
	int ends[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	v = calloc(1, sizeof *v);
	v->fd = ends[0];
	daemon_end = ends[1];
	*shown = '\0';
	return 0;
}

static int tear_down(void **state)
{
	close(daemon_end);
	vigia_close(v);
	return 0;
}

static void feed(struct buf *b)
{
	struct frame f;
	const char *why;
	assert_int_equal(frame_read(b->data, b->len, &f, &why), 0);
	assert_int_equal(ask_take_frame(v, &f), 0);
	buf_release(b);
}

static uint64_t ask_for(const char *name, uint32_t mask, int64_t after)
{
	struct vigia_subscriber s = {on_event, on_over, (void *)(uintptr_t)name};
	int64_t r = vigia_subscribe(v, NULL, name, mask, after, &s);
	assert_true(r > 0);
	return (uint64_t)r;
}

static void answered(uint64_t number, unsigned channel, int64_t sequence)
{
	struct buf b = BUF_INIT;
	char id[CHANNEL_ID_TEXT];
	struct channel_id channel_id = id_of(channel);
	struct msg *m = msg_new("channel");
	channel_id_format(&channel_id, id);
	msg_set(m, "id", id);
	msg_set_int(m, "sequence", sequence);
	frame_put_msg(&b, FRAME_ANSWER, number, m);
	msg_free(m);
	feed(&b);
}

static uint64_t subscribe(const char *name, unsigned channel)
{
	uint64_t number = ask_for(name, EVERYTHING, 0);
	answered(number, channel, 0);
	return number;
}

/* cause_sequence 0: no cause. */
static void come(uint64_t number, uint64_t sequence, unsigned cause, uint64_t cause_sequence)
{
	struct buf b = BUF_INIT;
	struct frame_event e = {.sequence = sequence, .causes = {{id_of(cause), cause_sequence}},
	    .causes_n = cause_sequence != 0};
	frame_put_event(&b, number, &e);
	feed(&b);
}

static void lose(uint64_t number, uint64_t lost, uint64_t before)
{
	struct buf b = BUF_INIT;
	frame_put_lost(&b, number, lost, before);
	feed(&b);
}

static void end(uint64_t number)
{
	struct buf b = BUF_INIT;
	frame_put(&b, FRAME_END, 0, number, NULL, 0);
	feed(&b);
}

/* The causes of what is put now: "CHANNEL:SEQUENCE ...". */
static const char *causes_now(void)
{
	static char text[256];
	struct frame_cause causes[FRAME_CAUSES_MAX];
	size_t n = order_causes(v, causes);
	*text = '\0';
	for (size_t i = 0; i < n; i++)
		snprintf(text + strlen(text), sizeof text - strlen(text), "%d:%d ", (int)causes[i].channel.number,
		    (int)causes[i].sequence);
	return text;
}

/* --- */

static void an_effect_is_shown_after_its_cause(void **state)
{
	uint64_t a = subscribe("a", A), b = subscribe("b", B);
	come(b, 1, A, 2);
	come(b, 2, 0, 0);
	come(a, 1, 0, 0);
	assert_string_equal(shown, "a1 ");
	assert_true(order_wake_ns(v) != INT64_MAX);
	come(a, 2, 0, 0);
	assert_string_equal(shown, "a1 a2 b1 b2 ");
	assert_true(order_wake_ns(v) == INT64_MAX);
}

static void a_cause_in_a_channel_that_nobody_reads_here_is_not_waited_for(void **state)
{
	uint64_t b = subscribe("b", B);
	come(b, 1, A, 2);
	assert_string_equal(shown, "b1 ");
}

static void what_was_before_a_subscription_is_not_waited_for(void **state)
{
	uint64_t a = ask_for("a", EVERYTHING, -1), b = subscribe("b", B);
	answered(a, A, 7);
	come(b, 1, A, 7);
	assert_string_equal(shown, "b1 ");
	come(b, 2, A, 8);
	assert_string_equal(shown, "b1 ");
}

static void until_a_subscription_is_answered_others_wait(void **state)
{
	uint64_t b = subscribe("b", B), a = ask_for("a", EVERYTHING, 0);
	come(b, 1, A, 1);
	come(b, 2, 0, 0);
	assert_string_equal(shown, "");
	answered(a, A, 1);
	assert_string_equal(shown, "");
	come(a, 1, 0, 0);
	assert_string_equal(shown, "a1 b1 b2 ");
}

static void one_that_fails_is_not_waited_for(void **state)
{
	uint64_t b = subscribe("b", B), a = ask_for("a", EVERYTHING, 0);
	come(b, 1, 0, 0);
	end(a);
	come(b, 2, 0, 0);
	assert_string_equal(shown, "a-end b1 b2 ");
}

static void a_loss_keeps_its_place_and_stands_for_what_is_lost(void **state)
{
	uint64_t a = subscribe("a", A), b = subscribe("b", B);
	come(b, 1, A, 3);
	lose(b, 2, 4);
	lose(a, 2, 3);
	assert_string_equal(shown, "a-2 ");
	lose(a, 0, 4); /* only how far it is */
	assert_string_equal(shown, "a-2 b1 b-2 ");
}

static void what_waits_is_shown_before_the_end(void **state)
{
	uint64_t a = subscribe("a", A), b = subscribe("b", B);
	come(b, 1, A, 1);
	come(b, 2, 0, 0);
	end(b);
	assert_string_equal(shown, "b1 b2 b-end ");
	come(a, 1, 0, 0);
}

static void nothing_is_shown_of_what_was_cancelled(void **state)
{
	uint64_t a = subscribe("a", A), b = subscribe("b", B), c = subscribe("c", C);
	come(b, 1, A, 1);
	come(c, 1, A, 1);
	come(c, 2, B, 5);
	vigia_cancel(v, (int64_t)b);
	cancel_at_next = (int64_t)c;
	come(a, 1, 0, 0);
	come(c, 3, 0, 0);
	assert_string_equal(shown, "a1 ");
}

static void one_may_be_cancelled_while_it_is_shown(void **state)
{
	uint64_t a = subscribe("a", A);
	cancel_at_next = (int64_t)a;
	come(a, 1, 0, 0);
	come(a, 2, 0, 0);
	assert_string_equal(shown, "a1 ");
}

static void what_was_shown_is_the_cause_of_what_is_put(void **state)
{
	uint64_t a = subscribe("a", A), b = subscribe("b", B);
	assert_string_equal(causes_now(), "");
	come(a, 1, C, 9);
	assert_string_equal(causes_now(), "1:1 3:9 ");
	come(b, 4, A, 1);
	assert_string_equal(causes_now(), "2:4 1:1 3:9 ");
	come(b, 5, A, 2); /* waits, so it was not shown */
	assert_string_equal(causes_now(), "2:4 1:1 3:9 ");
}

static void with_a_mask_it_is_named_but_not_waited_for(void **state)
{
	uint64_t a = ask_for("a", 1, 0), b = subscribe("b", B);
	answered(a, A, 0);
	come(b, 1, A, 5);
	assert_string_equal(shown, "b1 ");
	come(a, 6, 0, 0);
	assert_string_equal(causes_now(), "1:6 2:1 ");
}

static void two_of_one_channel_are_one_to_wait_for(void **state)
{
	uint64_t a = subscribe("a", A), again = subscribe("A", A), b = subscribe("b", B);
	vigia_cancel(v, (int64_t)again);
	come(b, 1, A, 1);
	assert_string_equal(shown, "");
	come(a, 1, 0, 0);
	assert_string_equal(shown, "a1 b1 ");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	    T(an_effect_is_shown_after_its_cause),
	    T(a_cause_in_a_channel_that_nobody_reads_here_is_not_waited_for),
	    T(what_was_before_a_subscription_is_not_waited_for),
	    T(until_a_subscription_is_answered_others_wait),
	    T(one_that_fails_is_not_waited_for),
	    T(a_loss_keeps_its_place_and_stands_for_what_is_lost),
	    T(what_waits_is_shown_before_the_end),
	    T(nothing_is_shown_of_what_was_cancelled),
	    T(one_may_be_cancelled_while_it_is_shown),
	    T(what_was_shown_is_the_cause_of_what_is_put),
	    T(with_a_mask_it_is_named_but_not_waited_for),
	    T(two_of_one_channel_are_one_to_wait_for),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
