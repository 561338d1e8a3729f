/* SPDX-License-Identifier: Apache-2.0 */
/* What is the nats platform's own, with a real nats-server: which servers will do, what they do, who else is there. */
#include "platform/nats/server_test.h"
#include "platform/stage_test.h"

static const struct platform_type *type;
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
	if (nats_server.pid)
		server_kill();
	nats_server.pid = 0;
	server_forget();
	stage_end();
	return 0;
}

static void serve(const char *configuration)
{
	server_prepare(configuration);
	server_start();
}

static struct stand *stand(int number, const char *server, int64_t dead_ms)
{
	struct stand *s = stand_new(type, number, server, 60000);
	s->options.dead_ns = dead_ms * 1000000;
	stand_open(s);
	return s;
}

static int trouble(struct stand *s, char text[500])
{
	struct buf what = BUF_INIT;
	int r = s->type->trouble(s->p, &what);
	snprintf(text, 500, "%s", buf_str(&what));
	buf_release(&what);
	return r;
}

static bool is_troubled(struct stand *s, int error, const char *part)
{
	char text[500];
	return trouble(s, text) == error && strstr(text, part);
}

static bool is_well(struct stand *s)
{
	char text[500];
	return !trouble(s, text);
}

static void refuse(const char *server, const char *cluster, int error, const char *expected)
{
	struct platform *p;
	struct buf why = BUF_INIT;
	struct platform_options o = {.net = &net, .self = id_of(1), .name = "h1", .server = server, .cluster = cluster,
	    .events = &stand_events};
	assert_int_equal(type->open(&p, &o, &why), error);
	assert_string_equal(buf_str(&why), expected);
	buf_release(&why);
}

static void what_can_t_be_is_refused(void **state)
{
	refuse(NULL, "test", -EINVAL, "nats needs a server, nats://HOST:PORT");
	refuse("tls://127.0.0.1:1", "test", -EPROTONOSUPPORT, "TLS to a nats-server is not supported yet");
	refuse("nats://127.0.0.1:1", "a.b", -EINVAL,
	    "a cluster's name on NATS has letters, digits, _ and -, 32 at most: not a.b");
}

static void it_may_be_closed_whatever_it_does(void **state)
{
	serve("");
	for (int i = 0; i < 10; i++) {
		struct stand *s = stand(1, i % 2 ? nats_server.url : "nats://127.0.0.1:1", 0);
		for (int turns = 0; turns < i / 2; turns++)
			uv_run(&loop, UV_RUN_ONCE);
		stand_free(s);
	}
}

static void the_next_of_several_servers_is_tried(void **state)
{
	char servers[200];
	serve("");
	snprintf(servers, sizeof servers, "nats://127.0.0.1:1,%s", nats_server.url);
	a = stand(0, servers, 0);
	b = stand(1, nats_server.url, 0);
	say(a, 1, 10);
	UNTIL(b->lines[0].got == 1);
}

static void a_server_that_takes_too_little_is_named(void **state)
{
	serve("max_payload: 1000");
	a = stand(0, nats_server.url, 0);
	UNTIL(is_troubled(a, -ENOTCONN, "its max_payload is 1000, we need 65584"));
}

static void a_password_is_used_and_not_shown(void **state)
{
	char url[100], text[500];
	serve("authorization { user: vigia, password: secret }");
	snprintf(url, sizeof url, "nats://vigia:secret@127.0.0.1:%d", nats_server.port);
	a = stand(0, nats_server.url, 0);
	b = stand(1, url, 0);
	UNTIL(is_troubled(a, -ENOTCONN, "no nats-server answers at ") && is_well(b));
	server_kill();
	nats_server.pid = 0;
	UNTIL(!is_well(b));
	trouble(b, text);
	assert_null(strstr(text, "secret"));
}

static void a_server_that_stands_still_is_known(void **state)
{
	enum { DEAD_MS = 600 };
	serve("");
	a = stand(0, nats_server.url, DEAD_MS);
	b = stand(1, nats_server.url, DEAD_MS);
	say(a, 1, 10);
	UNTIL(b->lines[0].got == 1);
	kill(nats_server.pid, SIGSTOP);
	say(a, 1, 10);
	UNTIL_WITHIN(10, !is_well(a) && !is_well(b) && a->lost);
	kill(nats_server.pid, SIGCONT);
	UNTIL(is_well(a) && is_well(b));
	unsigned lost = ~0u;
	UNTIL(({
		if (lost != a->lost)
			lost = a->lost, say(a, 1, 10);
		b->lines[0].got == a->lines[1].sent;
	}));
}

static void two_with_one_id_know_it(void **state)
{
	serve("");
	a = stand(1, nats_server.url, 400);
	b = stand(1, nats_server.url, 400);
	UNTIL(is_troubled(a, -ENOTUNIQ, "has this host's id") && is_troubled(b, -ENOTUNIQ, "has this host's id"));
}

/* --- a stranger at the same server --- */

static int stranger(void)
{
	struct sockaddr_in to = server_address();
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
	dprintf(fd, "CONNECT {\"verbose\":false}\r\n");
	return fd;
}

static void what_is_none_of_a_vigiad_s_is_left_alone_and_told(void **state)
{
	char id[HOST_ID_TEXT];
	struct host_id self = id_of(0);
	serve("");
	a = stand(0, nats_server.url, 0);
	b = stand(1, nats_server.url, 0);
	say(b, 0, 10);
	UNTIL(a->lines[1].got == 1);
	host_id_format(&self, id);
	int fd = stranger();
	dprintf(fd, "PUB vigia.test.host.%s.me 5\r\nhallo\r\n", id);
	UNTIL(is_troubled(a, -EBADMSG, "1 messages came that were none of a vigiad's, the last: a subject that names no host"));
	dprintf(fd, "PUB vigia.test.host.%s.%s 5\r\nhallo\r\n", id, id);
	UNTIL(is_troubled(a, -EBADMSG, "2 messages came that were none of a vigiad's, the last: less than a header"));
	dprintf(fd, "PUB vigia.test.nobody.%s.%s 5\r\nhallo\r\n", id, id);
	say(b, 0, 10);
	UNTIL(a->lines[1].got == 2);
	assert_int_equal(a->lost + b->lost, 0);
	close(fd);
}

#define T(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(int argc, char **argv)
{
	struct buf why = BUF_INIT;
	const char *dir = getenv("VIGIA_MODULES");
	const struct CMUnitTest tests[] = {
	    T(what_can_t_be_is_refused),
	    T(it_may_be_closed_whatever_it_does),
	    T(the_next_of_several_servers_is_tried),
	    T(a_server_that_takes_too_little_is_named),
	    T(a_password_is_used_and_not_shown),
	    T(a_server_that_stands_still_is_known),
	    T(two_with_one_id_know_it),
	    T(what_is_none_of_a_vigiad_s_is_left_alone_and_told),
	};
	if (platform_find(&type, "nats", dir ? dir : ".", &why)) {
		fprintf(stderr, "%s\n", buf_str(&why));
		return 2;
	}
	if (!server_exists()) {
		printf("1..0 # SKIP there is no nats-server\n");
		return 0;
	}
	cmocka_set_test_filter(argc > 1 ? argv[1] : NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
