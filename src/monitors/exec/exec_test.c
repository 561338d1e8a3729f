/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "output.h"
#include "run.h"

static struct output o;
static struct run r;
static char bytes[65536];

static void parse(const char *s)
{
	snprintf(bytes, sizeof bytes, "%s", s);
	output_parse(&o, bytes);
}

static void is(size_t i, const char *label, int64_t number, int decimals, const char *unit)
{
	assert_true(i < o.n);
	assert_string_equal(o.perf[i].label, label);
	assert_true(o.perf[i].known);
	assert_int_equal(o.perf[i].number, number);
	assert_int_equal(o.perf[i].decimals, decimals);
	assert_string_equal(o.perf[i].unit, unit);
}

static void the_first_line_is_the_text(void **state)
{
	parse("LOAD OK - fine | load1=0.100;5.000;10.000;0;\nmore");
	assert_string_equal(o.text, "LOAD OK - fine");
	assert_int_equal(o.n, 1);
	is(0, "load1", 100, 3, "1");
	assert_string_equal(o.perf[0].limits, "warning 5.000, critical 10.000");
	parse("");
	assert_string_equal(o.text, "");
	assert_int_equal(o.n, 0);
}

static void later_lines_may_have_data_too(void **state)
{
	parse("OK | a=1\nlong\ntext | b=2\nc=3 d=4");
	assert_int_equal(o.n, 4);
	is(3, "d", 4, 0, "1");
}

static void labels_become_names(void **state)
{
	parse("x|'/var/lib x'=1MiB 'it''s'=2 '=3 'open=1");
	assert_int_equal(o.n, 2);
	is(0, "_var_lib_x", 1, 0, "MiBy");
	is(1, "it's", 2, 0, "1");
	parse("x|/a=1 _a=2");
	assert_int_equal(o.n, 1);
}

static void units_become_ucum(void **state)
{
	parse("x|a=5c b=7% c=1.5ms d=3users e=1KB f=2{x}");
	assert_true(o.perf[0].counter);
	is(1, "b", 7, 0, "%");
	is(2, "c", 15, 1, "ms");
	is(3, "d", 3, 0, "{users}");
	is(4, "e", 1, 0, "kBy");
	is(5, "f", 2, 0, "{_x_}");
}

static void numbers_are_exact(void **state)
{
	parse("x|a=9223372036854775807 b=-0.000000001 c=0.1234567899 d=-5 e=.5 f=1e-5 g=2.5E3");
	is(0, "a", INT64_MAX, 0, "1");
	is(1, "b", -1, 9, "1");
	is(2, "c", 123456789, 9, "1");
	is(3, "d", -5, 0, "1");
	is(4, "e", 5, 1, "1");
	is(5, "f", 10000, 9, "1");
	is(6, "g", 2500000000, 6, "1");
}

static void what_is_no_number_has_no_value(void **state)
{
	parse("x|a=U b=9223372036854775808 c= d=x e=- f=1e999 g=U;5;6");
	assert_int_equal(o.n, 7);
	for (size_t i = 0; i < o.n; i++)
		assert_false(o.perf[i].known);
}

static void a_flood_of_labels_is_bounded(void **state)
{
	strcpy(bytes, "x|");
	for (int i = 0; i < 5000; i++)
		sprintf(bytes + strlen(bytes), "a%d=1 ", i);
	output_parse(&o, bytes);
	assert_int_equal(o.n, PERF_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void replay(const char *path)
{
	static uint8_t data[65536];
	FILE *f = fopen(path, "r");
	assert_non_null(f);
	size_t n = fread(data, 1, sizeof data, f);
	fclose(f);
	for (size_t cut = 0; cut <= n; cut++)
		LLVMFuzzerTestOneInput(data, cut);
}

static void the_corpus_does_no_harm_cut_anywhere(void **state)
{
	char path[4096];
	DIR *d = opendir(getenv("CORPUS"));
	assert_non_null(d);
	for (struct dirent *e; (e = readdir(d));) {
		snprintf(path, sizeof path, "%s/%s", getenv("CORPUS"), e->d_name);
		if (*e->d_name != '.')
			replay(path);
	}
	closedir(d);
}

/* --- running --- */

static int sh(const char *script, int64_t limit_ms)
{
	const char *argv[] = {"/bin/sh", "-c", script, NULL};
	return run_program(&r, argv, limit_ms, -1);
}

static void a_program_runs_to_its_end(void **state)
{
	assert_int_equal(sh("echo out; echo err >&2; exit 2", 5000), 0);
	assert_int_equal(WEXITSTATUS(r.status), 2);
	assert_string_equal(r.output, "out\n");
	assert_string_equal(r.errors, "err\n");
}

static void a_missing_program_says_so(void **state)
{
	const char *argv[] = {"/does/not/exist", NULL};
	assert_int_equal(run_program(&r, argv, 1000, -1), 0);
	assert_int_equal(WEXITSTATUS(r.status), 127);
	assert_string_equal(r.errors, "can't run /does/not/exist: No such file or directory\n");
}

/* An orphan's corpse may wait long for whoever reaps here. */
static bool is_dead(pid_t pid)
{
	char path[40], state = 'Z';
	sprintf(path, "/proc/%d/stat", pid);
	FILE *f = fopen(path, "r");
	if (!f)
		return true;
	assert_int_equal(fscanf(f, "%*d %*s %c", &state), 1);
	fclose(f);
	return state == 'Z' || state == 'X';
}

static bool is_gone(pid_t pid)
{
	for (int i = 0; i < 100 && !is_dead(pid); i++)
		usleep(10000);
	return is_dead(pid);
}

static void the_time_limit_takes_the_whole_group(void **state)
{
	assert_int_equal(sh("sleep 100 & echo $!; trap '' TERM; sleep 100", 200), 0);
	assert_true(r.timed_out);
	assert_true(r.took_ns < 2000000000LL);
	assert_true(atoi(r.output) > 0);
	assert_true(is_gone(atoi(r.output)));
}

static void a_session_of_its_own_is_no_way_out(void **state)
{
	assert_int_equal(sh("setsid sh -c 'echo $$; sleep 100 & wait' & sleep 100", 300), 0);
	assert_true(r.timed_out);
	assert_true(atoi(r.output) > 0);
	assert_true(is_gone(atoi(r.output)));
	assert_int_equal(sh("setsid sh -c 'setsid sleep 100 & echo $!' & wait", 5000), 0);
	assert_false(r.timed_out);
	assert_true(atoi(r.output) > 0);
	assert_true(is_gone(atoi(r.output)));
}

static void a_grandchild_that_keeps_the_pipe_holds_up_nobody(void **state)
{
	assert_int_equal(sh("setsid sleep 3 & echo done", 5000), 0);
	assert_false(r.timed_out);
	assert_true(r.took_ns < 2000000000LL);
	assert_string_equal(r.output, "done\n");
}

static void a_flood_ends_by_itself(void **state)
{
	assert_int_equal(sh("exec yes", 20000), 0);
	assert_false(r.timed_out);
	assert_true(WIFSIGNALED(r.status));
	assert_int_equal(r.output_len, RUN_OUTPUT_SIZE - 1);
}

static void closed_pipes_are_waited_out(void **state)
{
	assert_int_equal(sh("exec >&- 2>&-; sleep 0.2; exit 1", 5000), 0);
	assert_int_equal(WEXITSTATUS(r.status), 1);
}

static void zero_bytes_are_shown(void **state)
{
	assert_int_equal(sh("printf 'a\\0b'", 5000), 0);
	assert_string_equal(r.output, "a?b");
}

static void it_ends_when_told(void **state)
{
	int end = eventfd(1, EFD_CLOEXEC);
	const char *argv[] = {"/bin/sleep", "100", NULL};
	assert_int_equal(run_program(&r, argv, 100000, end), -ECANCELED);
	close(end);
}

static void real_plugins_are_understood(void **state)
{
	const char *argv[] = {
	    "/usr/lib/nagios/plugins/check_load", "-w", "1000,1000,1000", "-c", "2000,2000,2000", NULL};
	if (access(argv[0], X_OK)) {
		print_message("# skipped: no package monitoring-plugins-basic\n");
		skip();
	}
	assert_int_equal(run_program(&r, argv, 10000, -1), 0);
	assert_int_equal(r.status, 0);
	output_parse(&o, r.output);
	assert_int_equal(o.n, 3);
	assert_string_equal(o.perf[0].label, "load1");
	assert_true(o.perf[0].known);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_first_line_is_the_text),
	    cmocka_unit_test(later_lines_may_have_data_too),
	    cmocka_unit_test(labels_become_names),
	    cmocka_unit_test(units_become_ucum),
	    cmocka_unit_test(numbers_are_exact),
	    cmocka_unit_test(what_is_no_number_has_no_value),
	    cmocka_unit_test(a_flood_of_labels_is_bounded),
	    cmocka_unit_test(the_corpus_does_no_harm_cut_anywhere),
	    cmocka_unit_test(a_program_runs_to_its_end),
	    cmocka_unit_test(a_missing_program_says_so),
	    cmocka_unit_test(the_time_limit_takes_the_whole_group),
	    cmocka_unit_test(a_session_of_its_own_is_no_way_out),
	    cmocka_unit_test(a_grandchild_that_keeps_the_pipe_holds_up_nobody),
	    cmocka_unit_test(a_flood_ends_by_itself),
	    cmocka_unit_test(closed_pipes_are_waited_out),
	    cmocka_unit_test(zero_bytes_are_shown),
	    cmocka_unit_test(it_ends_when_told),
	    cmocka_unit_test(real_plugins_are_understood),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
