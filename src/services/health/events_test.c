/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "services/health/health.h"

static int on_opened(struct peer *p, const struct msg *hmon)
{
	peer_registered(p);
	return 0;
}

static const struct role client = {.name = "client", .bit = ROLE_CLIENT, .opened = on_opened};
static const struct role *const roles[] = {&client, NULL};
static const struct op ops[] = {
    {"node", "events", "", OP_STREAMS, ROLE_CLIENT,
	{{"from", OP_TIME, "", false, 0}, {"to", OP_TIME, "", false, INT64_MAX}, {"follow", OP_FLAG, ""}}, query_events,
	query_events_more, query_events_over},
    {0},
};
static const struct service service = {"events", "", ops, roles};
static const struct service *const services[] = {&service, NULL};

static uv_loop_t loop;
static struct core core;
static struct health *h;
static int fd;
static struct buf in;

static int set_up(void **state)
{
	static const struct limit_values limits = {{[LIMIT_CONNECTIONS] = 4, [LIMIT_PENDING] = 1 << 20,
	    [LIMIT_QUERIES] = 4, [LIMIT_OPENING] = 1000000000}};
	int fds[2];
	memset(&core, 0, sizeof core);
	h = calloc(1, sizeof *h);
	h->core = &core;
	core.context = h;
	uv_loop_init(&loop);
	core_start(&core, &loop, &(struct host_id){{1}}, "n1", services, &limits);
	socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds);
	fd = fds[1];
	in = (struct buf)BUF_INIT;
	return peer_accept(&core, fds[0], NULL);
}

static int tear_down(void **state)
{
	core_stop(&core);
	close(fd);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&loop), 0);
	assert_null(h->followers);
	free(h);
	buf_release(&in);
	return 0;
}

static bool until(const char *s)
{
	char bytes[4096];
	int64_t end = (int64_t)uv_hrtime() + 2000000000;
	while (!strstr(buf_str(&in), s) && (int64_t)uv_hrtime() < end) {
		uv_run(&loop, UV_RUN_NOWAIT);
		ssize_t n = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
		buf_put(&in, bytes, n > 0 ? (size_t)n : 0);
	}
	return strstr(buf_str(&in), s);
}

static void ask(const char *query)
{
	char s[256];
	int n = snprintf(s, sizeof s, "<hmon version='1' role='client'>%s", query);
	assert_int_equal(send(fd, s, (size_t)n, 0), n);
}

static int count(const char *what)
{
	int n = 0;
	for (const char *s = buf_str(&in); (s = strstr(s, what)); s++)
		n++;
	return n;
}

static void put_old(int n)
{
	for (int i = 0; i < n; i++)
		h->events[h->events_n++ % EVENTS_KEPT] = (struct event){.time_ns = i + 1, .kind = "old", .node = "n1"};
}

static void the_newest_1024_are_given_and_no_older(void **state)
{
	put_old(3000);
	ask("<node query='events' id='1'/>");
	assert_true(until("<end answer=\"1\"/>"));
	assert_int_equal(count("event=\"old\""), EVENTS_KEPT);
	assert_int_equal(count("time=\"1976\""), 0);
	assert_int_equal(count("time=\"1977\""), 1);
	assert_int_equal(count("time=\"3000\""), 1);
}

/* Those before are many: the first pieces of the answer are empty. */
static void only_a_time_s_events_are_given_however_many_were_before(void **state)
{
	put_old(1000);
	ask("<node query='events' id='1' from='900' to='910'/>");
	assert_true(until("<end answer=\"1\"/>"));
	assert_int_equal(count("event=\"old\""), 10);
	assert_int_equal(count("time=\"900\""), 1);
	assert_int_equal(count("time=\"910\""), 0);
}

static void a_time_without_events_ends_at_once(void **state)
{
	put_old(1000);
	ask("<node query='events' id='1' from='5000'/>");
	assert_true(until("<end answer=\"1\"/>"));
	assert_int_equal(count("event="), 0);
}

static void who_follows_is_told_at_once_also_of_two_together(void **state)
{
	ask("<node query='events' id='1' follow='yes'/>");
	until("role=\"vigiad\"");
	event_put(h, "node-up", "n1", NULL, "one");
	event_put(h, "node-down", "n1", "load", "two <%d>", 2);
	event_put(h, "node-late", "n1", NULL, "three");
	assert_true(until(">three</node>"));
	assert_int_equal(count("<node answer=\"1\" event="), 3);
	assert_int_equal(count("monitor=\"load\">two &lt;2&gt;</node>"), 1);
	assert_int_equal(count("<end"), 0);
}

#define T(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    T(the_newest_1024_are_given_and_no_older),
	    T(only_a_time_s_events_are_given_however_many_were_before),
	    T(a_time_without_events_ends_at_once),
	    T(who_follows_is_told_at_once_also_of_two_together),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
