/* SPDX-License-Identifier: Apache-2.0 */
/* What the core may rely on, whatever the operating system: the same for SYSTEM = system_linux and system_made_up. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "os/suite/system_test.h"

extern const struct system_type SYSTEM;
static const struct system_type *const type = &SYSTEM;

/* ssh's part is played by a shell here. */
static const struct system_options options = {
    .launcher = LAUNCHER, .topology = TOPOLOGY, .remote = "env VIGIA_HOST=%h sh -c %c"};

static int open_system(void **state)
{
	struct rlimit files;

	name_sleeper();
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	struct buf why = BUF_INIT;
	if (type->open((struct system **)state, &options, &why) < 0)
		fail_msg("%s", buf_str(&why));
	return 0;
}

/* Programs outlive who started them, tests too: but not this one. */
static int close_system(void **state)
{
	end_sleepers(*state);
	type->close(*state);
	return 0;
}

static void end(struct system *s, struct heard *h)
{
	assert_int_equal(type->signal(s, &h->key, SIGKILL), 0);
	assert_int_equal(ended(s, h), SIGKILL);
}

/* --- the host ------------------------------------------------------------------------------------------------------- */

static void a_host_has_facts_and_addresses(void **state)
{
	struct host_address one[1], all[64];
	struct host_facts f;

	type->facts(*state, &f);
	assert_true(f.name[0] && f.machine[0] && f.processors > 0 && f.memory > 0);
	size_t n = type->addresses(*state, all, 64);
	assert_true(n > 0 && n < 64);
	for (size_t i = 0; i < n; i++)
		assert_true(all[i].interface[0] && all[i].text[0]);
	assert_int_equal(type->addresses(*state, one, 1), n);
	assert_string_equal(one[0].text, all[0].text);
}

static void its_topology_is_known_after_a_while(void **state)
{
	const struct host_topology *t;
	struct pollfd p = {.fd = type->fd(*state), .events = POLLIN};
	int r;

	while ((r = type->topology(*state, &t)) == -EAGAIN) {
		assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
		type->turn(*state);
	}
	assert_int_equal(r, 0);
	assert_true(t->packages > 0 && t->cores >= t->packages && t->threads >= t->cores && t->tree[0]);
}

static void nothing_is_wrong(void **state)
{
	struct buf what = BUF_INIT;

	assert_int_equal(type->trouble(*state, &what), 0);
	assert_int_equal(what.len, 0);
	buf_release(&what);
}

/* --- programs ------------------------------------------------------------------------------------------------------- */

static void a_program_is_started_and_its_end_is_told(void **state)
{
	const struct launch good = {.arguments = WORDS("true")}, bad = {.arguments = WORDS("false")};
	struct heard h;

	assert_true(started(*state, &good, &h).pid > 0);
	assert_int_equal(ended(*state, &h), 0);
	started(*state, &bad, &h);
	assert_int_equal(WEXITSTATUS(ended(*state, &h)), 1);
}

static void what_it_writes_goes_where_it_is_told(void **state)
{
	struct launch l = {.arguments = WORDS("echo", "two words", "more")};
	struct heard h;
	int out, in;

	assert_int_equal(system_pipe(&out, &in), 0);
	l.fds = (const int[]){-1, in, -1};
	start(*state, &l, &h);
	close(in);
	assert_string_equal(read_all(*state, out), "two words more\n");
	assert_int_equal(ended(*state, &h), 0);
	close(out);
}

static void what_can_not_be_executed_says_why(void **state)
{
	const struct launch none = {.arguments = WORDS("vigia-no-such-program"), .environment = WORDS("PATH=/usr/bin:/bin")},
			    nowhere = {.arguments = WORDS("true"), .directory = "/nonexistent/vigia"};
	struct heard h;

	start(*state, &none, &h);
	await(*state, &h.started);
	assert_int_equal(h.error, -ENOENT);
	assert_string_equal(h.what, "can't be executed");
	start(*state, &nowhere, &h);
	await(*state, &h.started);
	assert_int_equal(h.error, -ENOENT);
	assert_string_equal(h.what, "its directory can't be entered");
}

static void what_is_no_program_is_refused_at_once(void **state)
{
	static const char *many[LAUNCH_WORDS_MAX + 2];
	struct system_run *run = NULL;

	for (int i = 0; i <= LAUNCH_WORDS_MAX; i++)
		many[i] = "true";
	const struct {
		struct launch l;
		int error;
	} cases[] = {
	    {{.arguments = WORDS("")}, -EINVAL},
	    {{.arguments = WORDS("true"), .directory = "tmp"}, -EINVAL},
	    {{.arguments = WORDS("true"), .environment = WORDS("NAME")}, -EINVAL},
	    {{.arguments = many}, -E2BIG},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		assert_int_equal(type->start(*state, &cases[i].l, &hearing, NULL, &run), cases[i].error);
		assert_int_equal(type->start_remote(*state, "h2", &cases[i].l, &hearing, NULL, &run), cases[i].error);
	}
	assert_null(run);
}

static void one_is_started_on_another_host(void **state)
{
	static const char *const no_hosts[] = {"", "-oProxyCommand=x", "a b", "a;b", "$HOME"};
	const struct launch l = {.arguments = WORDS("true")};
	struct heard h = {0};
	struct system_run *run;

	for (size_t i = 0; i < sizeof no_hosts / sizeof *no_hosts; i++)
		assert_int_equal(type->start_remote(*state, no_hosts[i], &l, &hearing, &h, &run), -EINVAL);
	assert_int_equal(type->start_remote(*state, "h2.example", &l, &hearing, &h, &run), 0);
	await(*state, &h.started);
	assert_int_equal(h.error, 0);
	ended(*state, &h);
}

static void of_a_forgotten_program_nothing_is_told(void **state)
{
	struct process p;
	struct heard early, late, other;

	start(*state, &sleeper, &early);
	type->forget(early.run);
	const struct process_key key = started(*state, &sleeper, &late);
	type->forget(late.run);
	assert_int_equal(type->process(*state, key.pid, &p), 0);
	assert_int_equal(type->signal(*state, &key, SIGKILL), 0);
	const struct launch l = {.arguments = WORDS("true")};
	started(*state, &l, &other);
	ended(*state, &other);
	assert_false(early.started || late.ended);
}

/* --- processes ------------------------------------------------------------------------------------------------------ */

static void a_process_is_described(void **state)
{
	const struct launch l = {.arguments = WORDS("sleep", "1234")};
	struct process p;
	struct heard h;
	const struct process_key key = started(*state, &l, &h);

	p = described(*state, key.pid);
	assert_int_equal(p.key.pid, key.pid);
	assert_true(p.key.start == key.start && key.start > 0);
	assert_int_equal(p.uid, geteuid());
	assert_int_equal(p.real_uid, getuid());
	assert_int_equal(p.threads, 1);
	assert_string_equal(p.program, "sleep");
	assert_string_equal(p.command, "sleep 1234");
	assert_true(p.parent > 0 && p.started_ns > 0 && !p.kernel);
	end(*state, &h);
	assert_int_equal(type->process(*state, key.pid, &p), -ESRCH);
	assert_int_equal(type->process(*state, 0, &p), -ESRCH);
	assert_int_equal(type->process(*state, -1, &p), -ESRCH);
}

static void every_process_is_listed_once(void **state)
{
	enum { N = 50 };
	struct heard h[N];
	struct system_walk *w;
	struct process p;
	int32_t last = 0;
	int found = 0, r;

	for (int i = 0; i < N; i++)
		started(*state, &sleeper, &h[i]);
	assert_int_equal(type->walk_new(*state, &w), 0);
	while ((r = type->walk_next(w, &p)) == 1) {
		assert_true(p.key.pid > last);
		last = p.key.pid;
		for (int i = 0; i < N; i++)
			found += h[i].key.pid == p.key.pid && h[i].key.start == p.key.start;
	}
	assert_int_equal(r, 0);
	assert_int_equal(type->walk_next(w, &p), 0);
	type->walk_free(w);
	assert_int_equal(found, N);
	for (int i = 0; i < N; i++)
		end(*state, &h[i]);
}

static bool see(void *data, const struct process *p)
{
	return --*(int *)data > 0;
}

static void a_visitor_may_have_enough(void **state)
{
	int all = 1000000, one = 1;

	assert_int_equal(system_each(*state, see, &all), 0);
	assert_true(all < 1000000 - 1);
	assert_int_equal(system_each(*state, see, &one), 0);
	assert_int_equal(one, 0);
}

static void walks_are_not_without_number(void **state)
{
	struct system_walk *w[SYSTEM_WALKS_MAX], *more = NULL;

	for (int i = 0; i < SYSTEM_WALKS_MAX; i++)
		assert_int_equal(type->walk_new(*state, &w[i]), 0);
	assert_int_equal(type->walk_new(*state, &more), -EAGAIN);
	assert_null(more);
	for (int i = 0; i < SYSTEM_WALKS_MAX; i++)
		type->walk_free(w[i]);
	assert_int_equal(type->walk_new(*state, &more), 0);
	type->walk_free(more);
}

/* --- signals -------------------------------------------------------------------------------------------------------- */

static void a_signal_ends_just_that_process(void **state)
{
	struct heard h, other;
	const struct process_key key = started(*state, &sleeper, &h), neighbour = started(*state, &sleeper, &other);

	assert_int_equal(type->signal(*state, &key, 0), 0);
	assert_int_equal(type->signal(*state, &key, SIGTERM), 0);
	assert_int_equal(ended(*state, &h), SIGTERM);
	assert_int_equal(type->signal(*state, &key, 0), -ESRCH);
	assert_int_equal(type->signal(*state, &key, SIGKILL), -ESRCH);
	assert_int_equal(type->signal(*state, &neighbour, 0), 0);
	end(*state, &other);
}

/* The same number, another process: as when the first has ended and its number was given again. */
static void one_that_has_its_number_is_never_hit(void **state)
{
	struct heard h;
	struct process_key key = started(*state, &sleeper, &h);
	struct system_watch *w = NULL;

	key.start++;
	assert_int_equal(type->signal(*state, &key, SIGKILL), -ESRCH);
	assert_int_equal(type->watch(*state, &key, NULL, NULL, &w), -ESRCH);
	assert_null(w);
	assert_int_equal(type->signal(*state, &h.key, 0), 0);
	end(*state, &h);
}

static void what_is_no_signal_or_no_process_is_refused(void **state)
{
	struct heard h;
	static const struct process_key none[] = {{0, 0}, {-1, 0}, {INT32_MAX, 1}, {INT32_MIN, 1}};

	started(*state, &sleeper, &h);
	assert_int_equal(type->signal(*state, &h.key, -1), -EINVAL);
	assert_int_equal(type->signal(*state, &h.key, 65), -EINVAL);
	for (size_t i = 0; i < sizeof none / sizeof *none; i++)
		assert_int_equal(type->signal(*state, &none[i], SIGTERM), -ESRCH);
	end(*state, &h);
}

static void await_state(struct system *s, int32_t pid, bool stopped)
{
	struct process p;

	do
		assert_int_equal(type->process(s, pid, &p), 0);
	while ((p.state == 'T') != stopped);
}

static void a_process_is_stopped_and_goes_on(void **state)
{
	struct heard h;
	const struct process_key key = started(*state, &sleeper, &h);

	assert_int_equal(type->signal(*state, &key, SIGSTOP), 0);
	await_state(*state, key.pid, true);
	assert_int_equal(type->signal(*state, &key, SIGCONT), 0);
	await_state(*state, key.pid, false);
	end(*state, &h);
}

/* --- watches -------------------------------------------------------------------------------------------------------- */

struct seen {
	bool gone;
	struct process_key key;
};

static void see_ended(void *owner, const struct process_key *process)
{
	struct seen *s = owner;

	assert_false(s->gone);
	s->gone = true;
	s->key = *process;
}

static void a_watch_says_when_it_has_ended(void **state)
{
	struct system_watch *w;
	struct heard h;
	struct seen one = {0}, two = {0}, dropped = {0};
	const struct process_key key = started(*state, &sleeper, &h);

	assert_int_equal(type->watch(*state, &key, see_ended, &one, &w), 0);
	assert_int_equal(type->watch(*state, &key, see_ended, &dropped, &w), 0);
	type->unwatch(w);
	assert_int_equal(type->watch(*state, &key, see_ended, &two, &w), 0);
	turn_all(*state);
	assert_false(one.gone || two.gone);
	end(*state, &h);
	await(*state, &one.gone);
	await(*state, &two.gone);
	assert_int_equal(one.key.pid, key.pid);
	assert_true(one.key.start == key.start);
	turn_all(*state);
	assert_false(dropped.gone);
	assert_int_equal(type->watch(*state, &key, see_ended, &one, &w), -ESRCH);
}

static void watches_are_not_without_number(void **state)
{
	static struct system_watch *w[SYSTEM_WATCHES_MAX + 1];
	struct heard h;
	const struct process_key key = started(*state, &sleeper, &h);

	for (int i = 0; i < SYSTEM_WATCHES_MAX; i++)
		assert_int_equal(type->watch(*state, &key, see_ended, NULL, &w[i]), 0);
	assert_int_equal(type->watch(*state, &key, see_ended, NULL, &w[SYSTEM_WATCHES_MAX]), -EAGAIN);
	for (int i = 0; i < SYSTEM_WATCHES_MAX; i++)
		type->unwatch(w[i]);
	end(*state, &h);
}

/* --- what a callback may do ----------------------------------------------------------------------------------------- */

struct cascade {
	struct system *system;
	struct system_watch *others[2];
	struct system_run *run;
	struct heard next;
	bool done;
};

static void unwatch_the_other(void *owner, const struct process_key *process)
{
	struct cascade *c = owner;

	assert_false(c->done);
	c->done = true;
	/* Both are due; the first takes the second away. Which one is first nobody says. */
	for (int i = 0; i < 2; i++)
		if (c->others[i])
			type->unwatch(c->others[i]);
}

struct pair {
	struct cascade *cascade;
	int i;
};

static void first_of_two(void *owner, const struct process_key *process)
{
	struct pair *p = owner;

	p->cascade->others[p->i] = NULL;
	unwatch_the_other(p->cascade, process);
}

static void a_callback_takes_another_watch_away(void **state)
{
	struct cascade c = {.system = *state};
	struct pair pairs[2] = {{&c, 0}, {&c, 1}};
	struct heard h;
	const struct process_key key = started(*state, &sleeper, &h);

	for (int i = 0; i < 2; i++)
		assert_int_equal(type->watch(*state, &key, first_of_two, &pairs[i], &c.others[i]), 0);
	end(*state, &h);
	await(*state, &c.done);
	turn_all(*state);
}

static void forget_at_once(void *owner, int error, const char *what, const struct process_key *process)
{
	struct cascade *c = owner;
	const struct launch l = {.arguments = WORDS("false")};

	assert_int_equal(error, 0);
	type->forget(c->run);
	assert_int_equal(type->start(c->system, &l, &hearing, &c->next, &c->next.run), 0);
	c->done = true;
}

static void a_callback_forgets_its_program_and_starts_another(void **state)
{
	static const struct system_run_events events = {forget_at_once, hear_ended};
	const struct launch l = {.arguments = WORDS("true")};
	struct cascade c = {.system = *state};

	assert_int_equal(type->start(*state, &l, &events, &c, &c.run), 0);
	await(*state, &c.done);
	assert_int_equal(WEXITSTATUS(ended(*state, &c.next)), 1);
}

/* --- closing -------------------------------------------------------------------------------------------------------- */

static void closing_forgets_what_is_left(void **state)
{
	struct system *s;
	struct system_watch *w;
	struct heard runs, begun;
	struct seen seen = {0};

	assert_int_equal(type->open(&s, &options, NULL), 0);
	const struct process_key key = started(s, &sleeper, &runs);
	assert_int_equal(type->watch(s, &key, see_ended, &seen, &w), 0);
	started(s, &sleeper, &begun);
	type->signal(s, &key, SIGKILL);
	type->close(s);
	assert_false(seen.gone || runs.ended || begun.ended);
	type->close(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_host_has_facts_and_addresses),
	    cmocka_unit_test(its_topology_is_known_after_a_while),
	    cmocka_unit_test(nothing_is_wrong),
	    cmocka_unit_test(a_program_is_started_and_its_end_is_told),
	    cmocka_unit_test(what_it_writes_goes_where_it_is_told),
	    cmocka_unit_test(what_can_not_be_executed_says_why),
	    cmocka_unit_test(what_is_no_program_is_refused_at_once),
	    cmocka_unit_test(one_is_started_on_another_host),
	    cmocka_unit_test(of_a_forgotten_program_nothing_is_told),
	    cmocka_unit_test(a_process_is_described),
	    cmocka_unit_test(every_process_is_listed_once),
	    cmocka_unit_test(a_visitor_may_have_enough),
	    cmocka_unit_test(walks_are_not_without_number),
	    cmocka_unit_test(a_signal_ends_just_that_process),
	    cmocka_unit_test(one_that_has_its_number_is_never_hit),
	    cmocka_unit_test(what_is_no_signal_or_no_process_is_refused),
	    cmocka_unit_test(a_process_is_stopped_and_goes_on),
	    cmocka_unit_test(a_watch_says_when_it_has_ended),
	    cmocka_unit_test(watches_are_not_without_number),
	    cmocka_unit_test(a_callback_takes_another_watch_away),
	    cmocka_unit_test(a_callback_forgets_its_program_and_starts_another),
	    cmocka_unit_test(closing_forgets_what_is_left),
	};

	return cmocka_run_group_tests_name(NAME, tests, open_system, close_system);
}
