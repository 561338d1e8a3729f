/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "core/core.h"

/* --- a service that does what tests want --- */

static struct {
	int alive, overs;	  /* states of calls */
	int closed, closed_error; /* of peers */
	char why[200];
	struct call *waiting[8];
	int waiting_n;
	int rows, stanzas, opened;
} seen;

struct stream_state {
	int64_t next, n;
	size_t most; /* that ever waited */
};

static void begin_state(struct call *c, size_t size)
{
	c->state = calloc(1, size);
	seen.alive++;
}

static void on_over(struct call *c)
{
	seen.overs++;
	for (int i = 0; i < seen.waiting_n; i++)
		if (seen.waiting[i] == c)
			seen.waiting[i] = seen.waiting[--seen.waiting_n];
	if (c->state)
		seen.alive--;
	free(c->state);
}

static int run_echo(struct call *c)
{
	struct msg *m = call_answer(c, "thing");
	msg_set(m, "name", c->args[0].text);
	msg_set(m, "node", c->args[1].text);
	msg_set_int(m, "count", c->args[2].number);
	msg_set_int(m, "wait", c->args[3].number);
	msg_set_flag(m, "flag", c->args[4].number);
	msg_set(m, "text", c->args[5].text);
	call_send(c, m);
	return CALL_DONE;
}

static int run_later(struct call *c)
{
	begin_state(c, 1);
	seen.waiting[seen.waiting_n++] = c;
	return CALL_LATER;
}

static int more_pieces(struct call *c)
{
	struct stream_state *s = c->state;
	if (call_pending(c) > s->most)
		s->most = call_pending(c);
	if (s->next == s->n)
		return CALL_DONE;
	struct msg *m = call_answer(c, "piece");
	msg_set_int(m, "n", s->next++);
	msg_set(m, "text", c->args[1].text);
	call_send(c, m);
	return CALL_MORE;
}

static int run_pieces(struct call *c)
{
	begin_state(c, sizeof(struct stream_state));
	((struct stream_state *)c->state)->n = c->args[0].number;
	return more_pieces(c);
}

/* Sends all at once, whether it is read or not. */
static int run_flood(struct call *c)
{
	begin_state(c, 1);
	for (int64_t i = 0; i < c->args[0].number; i++) {
		struct msg *m = call_answer(c, "flood");
		msg_setf(m, "text", "%01000d", 0);
		call_send(c, m);
	}
	return CALL_DONE;
}

static int run_fail(struct call *c)
{
	begin_state(c, 1);
	return call_fail(c, "failed", "it is %s", "broken <&>");
}

static int run_refuse(struct call *c)
{
	begin_state(c, 1);
	return peer_refuse(c->peer, "stranger", "not you");
}

static int run_cancel(struct call *c)
{
	if (c->args[0].number == c->id || !asker_cancel(c->asker, c->args[0].number))
		return call_fail(c, "not-found", "no such call");
	return CALL_DONE;
}

static int run_nothing(struct call *c)
{
	return CALL_DONE;
}

enum { ALL = ROLE_CLIENT | ROLE_NODE };

static const struct op ops[] = {
    {"thing", "echo", "", OP_READS, ALL,
	{{"name", OP_NAME, "who", true}, {"node", OP_PATTERN, ""}, {"count", OP_INTEGER, "", false, 42},
	    {"wait", OP_DURATION, "", false, 1000}, {"flag", OP_FLAG, ""}, {"text", OP_TEXT, ""}},
	run_echo, NULL, on_over},
    {"thing", "later", "", OP_STREAMS, ALL, {{0}}, run_later, NULL, on_over},
    {"thing", "pieces", "", OP_STREAMS, ALL, {{"count", OP_INTEGER, "", true}, {"text", OP_TEXT, ""}}, run_pieces,
	more_pieces, on_over},
    {"thing", "flood", "", OP_READS, ALL, {{"count", OP_INTEGER, "", true}}, run_flood, NULL, on_over},
    {"thing", "fail", "", OP_READS, ALL, {{0}}, run_fail, NULL, on_over},
    {"thing", "refuse", "", OP_READS, ALL, {{0}}, run_refuse, NULL, on_over},
    {"thing", "change", "", OP_CHANGES, ALL, {{0}}, run_nothing, NULL, on_over},
    {"thing", "node-only", "", OP_READS, ROLE_NODE, {{0}}, run_nothing, NULL, on_over},
    {"master", "cancel", "", OP_READS, ALL, {{"of", OP_INTEGER, "", true}}, run_cancel, NULL, on_over},
    {0},
};

static int on_opened(struct peer *p, const struct msg *hmon)
{
	seen.opened++;
	peer_registered(p);
	return 0;
}

static void on_closed(struct peer *p, int error, const char *why)
{
	seen.closed++;
	seen.closed_error = error;
	snprintf(seen.why, sizeof seen.why, "%s", why);
}

static int on_row(struct peer *p, const struct xml_row *row)
{
	seen.rows++;
	return 0;
}

static int on_stanza(struct peer *p, const struct msg *m)
{
	seen.stanzas++;
	return 0;
}

static const struct role client = {.name = "client", .bit = ROLE_CLIENT, .opened = on_opened, .closed = on_closed};
static const struct role node = {.name = "node", .bit = ROLE_NODE, .opened = on_opened, .closed = on_closed,
    .row = on_row, .stanza = on_stanza};
static const struct role *const roles[] = {&client, &node, NULL};
static const struct service service = {"test", "", ops, roles};
static const struct service *const services[] = {&service, NULL};

/* --- a core on a loop, and the other ends of its connections --- */

enum { CONNECTIONS = 20, PENDING = 1 << 20, CALLS = 4 };

static uv_loop_t loop;
static struct core core;

struct end {
	int fd;
	struct buf in;
	bool eof, deaf;
};

static struct end *ends[CONNECTIONS];
static int ends_n;

static int set_up(void **state)
{
	static const struct limit_values limits = {{[LIMIT_CONNECTIONS] = CONNECTIONS,
	    [LIMIT_PENDING] = PENDING, [LIMIT_QUERIES] = CALLS, [LIMIT_OPENING] = 200000000}};
	memset(&seen, 0, sizeof seen);
	memset(&core, 0, sizeof core);
	ends_n = 0;
	uv_loop_init(&loop);
	return core_start(&core, &loop, &(struct host_id){{1}}, "n1", services, &limits);
}

static void turn(void)
{
	static char bytes[65536];
	uv_run(&loop, UV_RUN_NOWAIT);
	for (int i = 0; i < ends_n; i++) {
		struct end *e = ends[i];
		ssize_t n;
		while (!e->deaf && !e->eof && (n = recv(e->fd, bytes, sizeof bytes, MSG_DONTWAIT)) >= 0)
			if (n)
				buf_put(&e->in, bytes, (size_t)n);
			else
				e->eof = true;
	}
}

static int64_t now_ms(void)
{
	return (int64_t)(uv_hrtime() / 1000000);
}

/* Turns until the condition holds; a hang is a failure. */
#define UNTIL(condition) \
	do { \
		int64_t begun_ = now_ms(); \
		while (!(condition)) { \
			turn(); \
			if (now_ms() - begun_ > 10000) \
				fail_msg("never: %s", #condition); \
		} \
	} while (0)

static void dial(struct end *e)
{
	int fds[2];
	*e = (struct end){0};
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	fcntl(fds[0], F_SETFL, O_NONBLOCK);
	fcntl(fds[1], F_SETFL, O_NONBLOCK);
	e->fd = fds[1];
	assert_int_equal(peer_accept(&core, fds[0], NULL), 0);
	ends[ends_n++] = e;
}

static void say(struct end *e, const char *s)
{
	assert_int_equal(send(e->fd, s, strlen(s), MSG_NOSIGNAL), (ssize_t)strlen(s));
}

static bool has(struct end *e, const char *s)
{
	return strstr(buf_str(&e->in), s);
}

static void open_as(struct end *e, const char *role)
{
	char s[80];
	dial(e);
	snprintf(s, sizeof s, "<hmon version=\"1\" role=\"%s\">", role);
	say(e, s);
	UNTIL(has(e, "<hmon version=\"1\" role=\"vigiad\" name=\"n1\">"));
	buf_clear(&e->in);
}

static void hang_up(struct end *e)
{
	close(e->fd);
	buf_release(&e->in);
	for (int i = 0; i < ends_n; i++)
		if (ends[i] == e)
			ends[i] = ends[--ends_n];
}

static int tear_down(void **state)
{
	core_stop(&core);
	while (ends_n)
		hang_up(ends[0]);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&loop), 0);
	assert_int_equal(seen.alive, 0);
	return 0;
}

static int count(const char *s, const char *what)
{
	int n = 0;
	for (; (s = strstr(s, what)); s++)
		n++;
	return n;
}

/* Asks, and has the answer up to its end. */
static const char *ask(struct end *e, const char *query)
{
	buf_clear(&e->in);
	say(e, query);
	UNTIL(has(e, "<end ") || has(e, "</error>") || e->eof);
	return buf_str(&e->in);
}

/* --- what arguments may be --- */

static void arguments_are_checked_against_the_table(void **state)
{
	static const struct {
		const char *query, *answer;
	} cases[] = {
	    {"<thing query='echo' id='1' name='a'/>",
		"<thing answer=\"1\" name=\"a\" node=\"*\" count=\"42\" wait=\"1000\" flag=\"no\" text=\"\"/>\n"
		"<end answer=\"1\"/>\n"},
	    {"<thing query='echo' id='2' name='a' node='n*' count='0' wait='20' flag='yes' text='&lt;t&gt;'/>",
		"<thing answer=\"2\" name=\"a\" node=\"n*\" count=\"0\" wait=\"20000000\" flag=\"yes\" text=\"&lt;t&gt;\"/>\n"
		"<end answer=\"2\"/>\n"},
	    {"<thing query='echo' id='3'/>", "answer=\"3\" code=\"bad-argument\">thing.echo needs name: who<"},
	    {"<thing query='echo' id='4' name=''/>", "name must be a name"},
	    {"<thing query='echo' id='4' name='a*'/>", "name must be a name, not &quot;a*&quot;<"},
	    {"<thing query='echo' id='4' name='a' node=''/>", "node must be a name or pattern"},
	    {"<thing query='echo' id='4' name='a' count='x'/>", "count must be a whole number from 0, not &quot;x&quot;<"},
	    {"<thing query='echo' id='4' name='a' count='-1'/>", "count must be a whole number"},
	    {"<thing query='echo' id='4' name='a' count='1.5'/>", "count must be a whole number"},
	    {"<thing query='echo' id='4' name='a' count='9223372036854775808'/>", "count must be a whole number"},
	    {"<thing query='echo' id='4' name='a' wait='9223372036854775807'/>", "wait must be a duration"},
	    {"<thing query='echo' id='4' name='a' flag='maybe'/>", "flag must be yes or no"},
	    {"<thing query='echo' id='4' name='a' flag=''/>", "flag must be yes or no"},
	    {"<thing query='echo' id='4' name='a' color='red'/>", "thing.echo has no argument color<"},
	    {"<thing query='echo' id='4' name='a' answer='5'/>", "thing.echo has no argument answer<"},
	    {"<thing query='later' id='4' name='a'/>", "thing.later has no argument name<"},
	    {"<thing query='nothing' id='5'/>", "<error answer=\"5\" code=\"unknown-query\">there is no thing.nothing<"},
	    {"<things query='echo' id='5'/>", "code=\"unknown-query\">there is no things.echo<"},
	    {"<thing query='' id='5'/>", "code=\"unknown-query\">there is no thing.<"},
	    {"<thing query='echo'/>", "<error code=\"bad-stanza\">&lt;thing&gt;: a query needs an id"},
	    {"<thing query='echo' id='0'/>", "<error code=\"bad-stanza\">"},
	    {"<thing query='echo' id='2147483648'/>", "<error code=\"bad-stanza\">"},
	    {"<thing query='echo' id='x'/>", "<error code=\"bad-stanza\">"},
	    {"<thing query='fail' id='2147483647'/>",
		"<error answer=\"2147483647\" code=\"failed\">it is broken &lt;&amp;&gt;</error>"},
	    {"<thing/>", "<error code=\"bad-stanza\">&lt;thing&gt;: a client asks queries"},
	};
	static struct end e;
	open_as(&e, "client");
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const char *answer = ask(&e, cases[i].query);
		if (!strstr(answer, cases[i].answer))
			fail_msg("%s\n%s", cases[i].query, answer);
	}
	assert_false(e.eof);
	assert_int_equal(seen.closed, 0);
}

static void a_long_argument_is_told_in_whole_characters(void **state)
{
	static struct end e;
	char query[400] = "<thing query='echo' id='1' name='a' count='x", *s = query + strlen(query);
	open_as(&e, "client");
	for (int i = 0; i < 40; i++)
		s = stpcpy(s, "\xe2\x82\xac");
	strcpy(s, "'/>");
	const char *answer = ask(&e, query);
	assert_non_null(strstr(answer, "bad-argument"));
	for (const char *p = answer; (p = strchr(p, '\xe2')); p++)
		assert_memory_equal(p, "\xe2\x82\xac", 3);
}

static void who_may_not_is_told_so(void **state)
{
	static struct end e, n;
	open_as(&e, "client");
	open_as(&n, "node");
	assert_non_null(strstr(ask(&e, "<thing query='node-only' id='1'/>"), "not-permitted\">thing.node-only is not for a client<"));
	assert_non_null(strstr(ask(&n, "<thing query='node-only' id='1'/>"), "<end answer=\"1\"/>"));
	assert_non_null(strstr(ask(&e, "<thing query='change' id='2'/>"), "<end answer=\"2\"/>"));
	core.peers->asker.uid = core.peers->next->asker.uid = (uid_t)-1; /* as if they came by TCP */
	assert_non_null(strstr(ask(&e, "<thing query='change' id='3'/>"), "not-permitted\">thing.change is only for"));
	core.peers->asker.uid = core.peers->next->asker.uid = geteuid() + 1;
	assert_non_null(strstr(ask(&e, "<thing query='change' id='4'/>"), "not-permitted"));
}

/* --- calls --- */

static void answers_may_come_later_and_interleave(void **state)
{
	static struct end e;
	open_as(&e, "client");
	say(&e, "<thing query='later' id='1'/><thing query='later' id='2'/>");
	UNTIL(seen.waiting_n == 2);
	assert_non_null(strstr(ask(&e, "<thing query='echo' id='3' name='a'/>"), "<end answer=\"3\"/>"));
	struct call *first = seen.waiting[0], *second = seen.waiting[1];
	buf_clear(&e.in);
	call_end(second);
	call_send(first, call_answer(first, "thing"));
	call_fail(first, "unavailable", "not today");
	UNTIL(has(&e, "</error>"));
	assert_string_equal(buf_str(&e.in), "<end answer=\"2\"/>\n<thing answer=\"1\"/>\n"
					    "<error answer=\"1\" code=\"unavailable\">not today</error>\n");
	assert_int_equal(seen.alive, 0);
}

static void an_id_under_way_is_not_taken_again(void **state)
{
	static struct end e;
	open_as(&e, "client");
	say(&e, "<thing query='later' id='7'/>");
	UNTIL(seen.waiting_n == 1);
	assert_non_null(strstr(ask(&e, "<thing query='echo' id='7' name='a'/>"),
	    "<error code=\"bad-stanza\">query 7 is still under way<"));
	call_end(seen.waiting[0]);
	UNTIL(has(&e, "<end answer=\"7\"/>"));
	assert_non_null(strstr(ask(&e, "<thing query='echo' id='7' name='a'/>"), "<end answer=\"7\"/>"));
}

static void too_many_calls_close_the_connection_and_free_them(void **state)
{
	static struct end e;
	char query[64];
	open_as(&e, "client");
	for (int i = 1; i <= CALLS + 1; i++) {
		snprintf(query, sizeof query, "<thing query='later' id='%d'/>", i);
		say(&e, query);
	}
	UNTIL(e.eof);
	assert_true(has(&e, "<error code=\"too-many\">limit queries (4) is reached; limits { queries = ... } in vigia.conf raises it</error>\n</hmon>"));
	assert_int_equal(seen.overs, CALLS);
	assert_int_equal(seen.alive, 0);
	assert_int_equal(seen.closed, 1);
}

static void a_call_is_cancelled_once(void **state)
{
	static struct end e;
	open_as(&e, "client");
	say(&e, "<thing query='later' id='1'/>");
	UNTIL(seen.waiting_n == 1);
	buf_clear(&e.in);
	say(&e, "<master query='cancel' id='2' of='1'/>");
	UNTIL(has(&e, "answer=\"2\""));
	assert_string_equal(buf_str(&e.in), "<end answer=\"1\"/>\n<end answer=\"2\"/>\n");
	assert_int_equal(seen.overs, 2);
	assert_non_null(strstr(ask(&e, "<master query='cancel' id='3' of='1'/>"), "not-found"));
	assert_non_null(strstr(ask(&e, "<master query='cancel' id='4' of='4'/>"), "not-found"));
}

static void a_peer_that_goes_in_the_middle_frees_its_calls_once(void **state)
{
	static struct end e;
	open_as(&e, "client");
	say(&e, "<thing query='later' id='1'/><thing query='later' id='2'/>");
	UNTIL(seen.waiting_n == 2);
	hang_up(&e);
	UNTIL(seen.closed);
	assert_int_equal(seen.overs, 2);
	assert_int_equal(seen.alive, 0);
	assert_int_equal(seen.closed, 1);
	assert_int_equal(core.figures.peers, 0);
}

static void good_bye_ends_calls_too(void **state)
{
	static struct end e;
	open_as(&e, "client");
	say(&e, "<thing query='later' id='1'/></hmon>");
	UNTIL(e.eof);
	assert_int_equal(seen.overs, 1);
	assert_int_equal(seen.closed, 1);
	assert_string_equal(seen.why, "said good-bye");
	assert_true(has(&e, "</hmon>"));
}

static void a_refusal_within_a_call_frees_it_once(void **state)
{
	static struct end e;
	open_as(&e, "client");
	say(&e, "<thing query='later' id='1'/><thing query='refuse' id='2'/><thing query='echo' id='3' name='a'/>");
	UNTIL(e.eof);
	assert_true(has(&e, "<error code=\"stranger\">not you</error>\n</hmon>"));
	assert_false(has(&e, "answer=\"3\""));
	assert_int_equal(seen.overs, 2);
	assert_int_equal(seen.closed, 1);
}

/* --- streaming --- */

/* Nobody wakes the loop here but the streaming itself. */
static void on_late(uv_timer_t *timer)
{
	uv_stop(&loop);
}

static void a_fast_reader_is_served_without_a_pause(void **state)
{
	static struct end e;
	uv_timer_t late;
	open_as(&e, "client");
	uv_timer_init(&loop, &late);
	uv_timer_start(&late, on_late, 500, 0);
	say(&e, "<thing query='pieces' id='1' count='150'/>");
	e.deaf = true;
	int64_t begun = now_ms();
	while (!seen.overs && now_ms() - begun < 450)
		uv_run(&loop, UV_RUN_ONCE);
	assert_int_equal(seen.overs, 1);
	uv_close((uv_handle_t *)&late, NULL);
	e.deaf = false;
	UNTIL(has(&e, "<end answer=\"1\"/>"));
	assert_int_equal(count(buf_str(&e.in), "<piece "), 150);
}

static void a_slow_reader_gets_everything_in_order_and_little_waits(void **state)
{
	static struct end e;
	char query[512], piece[64], byte[1000];
	size_t most = 0;
	open_as(&e, "client");
	snprintf(query, sizeof query, "<thing query='pieces' id='1' count='5000' text='%0200d'/>", 0);
	say(&e, query);
	e.deaf = true;
	int64_t begun = now_ms();
	ssize_t n = 0;
	while ((!seen.overs || n > 0) && now_ms() - begun < 20000) {
		uv_run(&loop, UV_RUN_NOWAIT);
		size_t pending = stream_pending(core.peers->stream);
		most = pending > most ? pending : most;
		n = recv(e.fd, byte, sizeof byte, MSG_DONTWAIT);
		buf_put(&e.in, byte, n > 0 ? (size_t)n : 0);
	}
	const char *s = buf_str(&e.in);
	for (int i = 0; i < 5000; i++) {
		snprintf(piece, sizeof piece, "<piece answer=\"1\" n=\"%d\"", i);
		s = strstr(s, piece);
		assert_non_null(s);
	}
	assert_true(most < 4096);
	assert_int_equal(seen.overs, 1);
}

static void of_two_streams_neither_waits_for_the_end_of_the_other(void **state)
{
	static struct end e;
	char query[512];
	open_as(&e, "client");
	for (int id = 1; id <= 2; id++) {
		snprintf(query, sizeof query, "<thing query='pieces' id='%d' count='3000' text='%0200d'/>", id, 0);
		say(&e, query);
	}
	UNTIL(has(&e, "<end "));
	int one = count(buf_str(&e.in), "<piece answer=\"1\""), other = count(buf_str(&e.in), "<piece answer=\"2\"");
	assert_true(one > 2500 && other > 2500);
	UNTIL(seen.overs == 2);
}

static void streams_may_be_cancelled_and_broken_off(void **state)
{
	static struct end e, f;
	open_as(&e, "client");
	open_as(&f, "client");
	e.deaf = f.deaf = true;
	char query[512];
	snprintf(query, sizeof query, "<thing query='pieces' id='1' count='1000000' text='%0200d'/>", 0);
	say(&e, query);
	say(&f, query);
	UNTIL(seen.alive == 2 && stream_pending(core.peers->stream) && stream_pending(core.peers->next->stream));
	hang_up(&f);
	UNTIL(seen.overs == 1);
	e.deaf = false;
	say(&e, "<master query='cancel' id='2' of='1'/>");
	UNTIL(has(&e, "<end answer=\"2\"/>"));
	assert_true(has(&e, "<end answer=\"1\"/>"));
	assert_int_equal(seen.alive, 0);
}

static void a_client_that_never_reads_is_closed_while_others_are_served(void **state)
{
	static struct end deaf, other;
	open_as(&deaf, "client");
	open_as(&other, "client");
	deaf.deaf = true;
	say(&deaf, "<thing query='later' id='9'/><thing query='flood' id='1' count='2000'/>");
	UNTIL(seen.closed);
	assert_int_equal(seen.closed_error, -ENOBUFS);
	assert_string_equal(seen.why, "does not read what it is sent");
	assert_int_equal(seen.overs, 2);
	assert_int_equal(core.figures.overflows, 1);
	assert_int_equal(core.figures.peers, 1);
	assert_non_null(strstr(ask(&other, "<thing query='echo' id='1' name='a'/>"), "<end answer=\"1\"/>"));
}

static void what_waits_for_a_doomed_peer_has_an_end(void **state)
{
	static struct end deaf;
	open_as(&deaf, "client");
	deaf.deaf = true;
	struct peer *p = core.peers;
	for (int i = 0; i < 3000; i++) {
		struct msg *m = msg_new("thing");
		msg_setf(m, "text", "%01000d", 0);
		peer_send(p, m);
		assert_true(stream_pending(p->stream) <= PENDING + 2000);
	}
	peer_registered(p); /* must not save it */
	UNTIL(seen.closed == 1);
}

/* --- opening --- */

static void openings_that_are_wrong_are_answered_then_closed(void **state)
{
	static const struct {
		const char *bytes, *error;
	} cases[] = {
	    {"<hmon role='client'>", "code=\"bad-version\">"},
	    {"<hmon version='0' role='client'>", "code=\"bad-version\">"},
	    {"<hmon version='x' role='client'>", "code=\"bad-version\">"},
	    {"<hmon version='1'>", "code=\"bad-role\">"},
	    {"<hmon version='1' role='king'>", "code=\"bad-role\">role &quot;king&quot; is not"},
	    {"<client>", "code=\"bad-xml\">the stream begins with &lt;client&gt;"},
	    {"GET / HTTP/1.1\r\n\r\n", "code=\"bad-xml\">not well-formed"},
	    {"<!DOCTYPE x><hmon>", "code=\"bad-xml\">a DOCTYPE"},
	    {"<hmon version='1' role='client'><monitor generation='1' sequence='1'>5</monitor>",
		"code=\"bad-stanza\">&lt;monitor&gt;: a client sends no values<"},
	    {"<hmon version='1' role='client'><a></b>", "code=\"bad-xml\">"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		static struct end e;
		dial(&e);
		say(&e, cases[i].bytes);
		UNTIL(e.eof);
		assert_int_equal(strncmp(buf_str(&e.in), "<hmon version=\"1\" role=\"vigiad\" name=\"n1\">", 42), 0);
		if (!has(&e, cases[i].error) || !has(&e, "</error>\n</hmon>"))
			fail_msg("%s\n%s", cases[i].bytes, buf_str(&e.in));
		hang_up(&e);
	}
	assert_int_equal(core.figures.peers, 0);
}

/* What the peer still has to say must not make the kernel throw the error away. */
static void the_error_arrives_though_more_was_sent(void **state)
{
	static struct end e;
	char *much = malloc(100001);
	memset(much, ' ', 100000);
	much[100000] = '\0';
	dial(&e);
	say(&e, "<hmon version='1' role='king'>");
	assert_true(send(e.fd, much, 100000, MSG_NOSIGNAL) > 0);
	UNTIL(e.eof);
	assert_true(has(&e, "bad-role"));
	free(much);
}

static void a_newer_version_is_answered_with_ours(void **state)
{
	static struct end e;
	dial(&e);
	say(&e, "<hmon version='7' role='client' new='yes'><beat n='5'/>");
	UNTIL(has(&e, "<beat answer=\"5\"/>"));
	assert_true(has(&e, "<hmon version=\"1\""));
}

static void who_says_nothing_is_closed(void **state)
{
	static struct end e;
	dial(&e);
	UNTIL(e.eof);
	assert_true(has(&e, "code=\"bad-stanza\">nothing understandable"));
}

static void stray_beats_are_removed_anywhere(void **state)
{
	static struct end e;
	dial(&e);
	say(&e, "\x16<hm\x16on version='1' role='node'>\x16\x16<be\x16" "at n='1'/><monitor generation='1' sequence='1'>" "\x16" "5</monitor>");
	UNTIL(has(&e, "<beat answer=\"1\"/>") && seen.rows == 1);
}

static void connections_have_a_limit(void **state)
{
	static struct end e[CONNECTIONS];
	int fds[2];
	for (int i = 0; i < CONNECTIONS; i++)
		dial(&e[i]);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	assert_int_equal(peer_accept(&core, fds[0], NULL), -EMFILE);
	close(fds[0]);
	close(fds[1]);
	assert_int_equal(core.figures.refused, 1);
}

static void stopping_says_good_bye_to_everyone(void **state)
{
	static struct end e, f;
	open_as(&e, "client");
	open_as(&f, "node");
	say(&e, "<thing query='later' id='1'/>");
	UNTIL(seen.waiting_n == 1);
	struct peer *p = core.peers;
	assert_non_null(p);
	for (; p; p = p->next)
		assert_true(p->greeted);
	/* tear_down stops the core and checks that nothing is left. */
}

/* --- patterns --- */

static void patterns_match_as_the_page_says(void **state)
{
	static const struct {
		const char *pattern, *name;
		bool match;
	} cases[] = {
	    {"n1", "n1", true}, {"n1", "n", false}, {"n1", "n12", false}, {"", "", true}, {"", "a", false},
	    {"*", "", true}, {"*", "a/b", true}, {"?", "", false}, {"?", "a", true}, {"?", "ab", false},
	    {"n*", "n", true}, {"n*", "n1/x", true}, {"n*", "m", false}, {"*1", "n11", true}, {"*1", "n12", false},
	    {"load/*", "load/1min", true}, {"load/*", "load", false}, {"*/eth0/*", "net/eth0/rx", true},
	    {"a*b*c", "abbbcbc", true}, {"a*b*c", "abbbcbd", false}, {"**", "x", true}, {"*?", "", false},
	    {"*?*", "x", true}, {"a?c", "abc", true}, {"?*?", "a", false}, {"?*?", "ab", true},
	    {"*aab", "aaaaab", true}, {"[a]", "a", false}, {"\\*", "*", false},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		if (pattern_match(cases[i].pattern, cases[i].name) != cases[i].match)
			fail_msg("\"%s\" and \"%s\"", cases[i].pattern, cases[i].name);
	assert_true(pattern_plain("a/b"));
	assert_false(pattern_plain("a*"));
	assert_false(pattern_plain("?"));
}

/* By going back at each star this would take longer than the world lasts. */
static void no_pattern_takes_long(void **state)
{
	char pattern[256], name[128];
	for (size_t i = 0; i + 3 < sizeof pattern; i += 2)
		memcpy(pattern + i, "*a", 3);
	strcat(pattern, "b");
	memset(name, 'a', sizeof name);
	name[127] = '\0';
	int64_t begun = now_ms();
	for (int i = 0; i < 10000; i++)
		assert_false(pattern_match(pattern, name));
	memset(pattern, 'a', sizeof pattern);
	pattern[0] = '*';
	strcpy(pattern + 60, "b");
	for (int i = 0; i < 10000; i++)
		assert_false(pattern_match(pattern, name));
	assert_true(now_ms() - begun < 5000);
}

#define T(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    T(arguments_are_checked_against_the_table),
	    T(a_long_argument_is_told_in_whole_characters),
	    T(who_may_not_is_told_so),
	    T(answers_may_come_later_and_interleave),
	    T(an_id_under_way_is_not_taken_again),
	    T(too_many_calls_close_the_connection_and_free_them),
	    T(a_call_is_cancelled_once),
	    T(a_peer_that_goes_in_the_middle_frees_its_calls_once),
	    T(good_bye_ends_calls_too),
	    T(a_refusal_within_a_call_frees_it_once),
	    T(a_fast_reader_is_served_without_a_pause),
	    T(a_slow_reader_gets_everything_in_order_and_little_waits),
	    T(of_two_streams_neither_waits_for_the_end_of_the_other),
	    T(streams_may_be_cancelled_and_broken_off),
	    T(a_client_that_never_reads_is_closed_while_others_are_served),
	    T(what_waits_for_a_doomed_peer_has_an_end),
	    T(openings_that_are_wrong_are_answered_then_closed),
	    T(the_error_arrives_though_more_was_sent),
	    T(a_newer_version_is_answered_with_ours),
	    T(who_says_nothing_is_closed),
	    T(stray_beats_are_removed_anywhere),
	    T(connections_have_a_limit),
	    T(stopping_says_good_bye_to_everyone),
	    cmocka_unit_test(patterns_match_as_the_page_says),
	    cmocka_unit_test(no_pattern_takes_long),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
