/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tools/vigia/fleet.h"
#include "tools/vigia/near.h"
#include "tools/vigia/operation.h"
#include "tools/vigia/rate.h"
#include "tools/vigia/text.h"
#include "tools/vigia/top.h"
#include "tools/vigia/vigia.h"
#include "tools/vigia/when.h"

#define SEC 1000000000LL

/* --- helpers --- */

static FILE *captured;
static int saved_stdout;

static void capture(void)
{
	captured = tmpfile();
	fflush(stdout);
	saved_stdout = dup(STDOUT_FILENO);
	dup2(fileno(captured), STDOUT_FILENO);
}

/* What standard output got since capture(). */
static const char *said(void)
{
	static char text[65536];
	fflush(stdout);
	dup2(saved_stdout, STDOUT_FILENO);
	close(saved_stdout);
	rewind(captured);
	size_t n = fread(text, 1, sizeof text - 1, captured);
	text[n] = '\0';
	fclose(captured);
	return text;
}

typedef void put_fn(struct buf *out, const char *s);

static void becomes(put_fn *put, const char *s, const char *expected)
{
	struct buf out = BUF_INIT;
	put(&out, s);
	assert_string_equal(buf_str(&out), expected);
	buf_release(&out);
}

/* --- texts --- */

static void strangers_bytes_are_harmless(void **state)
{
	becomes(text_put, "plain", "plain");
	becomes(text_put, "a\033[2Jb", "a\\x1b[2Jb");
	becomes(text_put, "two\nlines\r", "two\\nlines\\x0d");
	becomes(text_put, "\xff\xc0\x80", "\\xff\\xc0\\x80");
	becomes(text_put, "\xc2\x9b", "\\xc2\\x9b"); /* CSI in one character */
	becomes(text_put,
	    "\xe2\x80\xae"
	    "evil",
	    "\\xe2\\x80\\xae"
	    "evil"); /* right to left from here */
	becomes(text_put, "Größe 温度", "Größe 温度");
	assert_int_equal(text_width("温度 x"), 6);
	assert_int_equal(text_fit("温度", 3), 3);
}

static void json_is_json(void **state)
{
	becomes(text_put_json, "a\"b\\c\n\t\001/", "\"a\\\"b\\\\c\\n\\u0009\\u0001/\"");
	becomes(text_put_json, "ü\xff", "\"ü\\ufffd\"");
	becomes(text_put_json, "\xc2\x9b\xe2\x80\xae", "\"\\u009b\\u202e\"");
	becomes(text_put_json, "\xf3\xa0\x80\x81😀", "\"\\udb40\\udc01😀\"");
}

static void csv_is_quoted_where_needed(void **state)
{
	becomes(text_put_csv, "plain text", "plain text");
	becomes(text_put_csv, "a,b", "\"a,b\"");
	becomes(text_put_csv, "say \"hi\"\n", "\"say \"\"hi\"\"\n\"");
}

static void number_becomes(const char *s, const char *expected)
{
	struct buf out = BUF_INIT;
	bool is = text_put_number(&out, s);
	assert_int_equal(is, expected != NULL);
	assert_string_equal(buf_str(&out), expected ? expected : "");
	buf_release(&out);
}

static void numbers_keep_their_decimals(void **state)
{
	number_becomes("0.420", "0.420");
	number_becomes("-7", "-7");
	number_becomes("9223372036854775807.000000001", "9223372036854775807.000000001");
	number_becomes(".5", "0.5");
	number_becomes("-.5", "-0.5");
	number_becomes("5.", "5");
	number_becomes("007", "7");
	number_becomes("00", "0");
	number_becomes("", NULL);
	number_becomes(".", NULL);
	number_becomes("-", NULL);
	number_becomes("1e9", NULL);
	number_becomes("nan", NULL);
	number_becomes("1.2.3", NULL);
	number_becomes("+1", NULL);
}

static void sizes_are_short(void **state)
{
	static const struct {
		double n;
		const char *expected;
	} cases[] = {{0, "0 B"}, {999, "999 B"}, {1000, "1.0 KiB"}, {1536, "1.5 KiB"}, {10 * 1024, "10 KiB"},
	    {1e9, "954 MiB"}, {25276514304.0, "24 GiB"}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct buf out = BUF_INIT;
		text_put_bytes(&out, cases[i].n);
		assert_string_equal(buf_str(&out), cases[i].expected);
		buf_release(&out);
	}
}

static void charts_have_a_column_a_value(void **state)
{
	const double y[] = {0, 1, NAN, 7, 8};
	struct buf out = BUF_INIT;
	text_put_spark(&out, y, 5, 0, 8);
	assert_string_equal(buf_str(&out), "▁▂ ██");
	buf_clear(&out);
	text_put_spark(&out, y, 1, 0, 0);
	assert_string_equal(buf_str(&out), "▁");
	buf_clear(&out);
	text_put_bar(&out, 0.5, 4);
	assert_string_equal(buf_str(&out), "██░░");
	buf_clear(&out);
	text_put_bar(&out, NAN, 2);
	assert_string_equal(buf_str(&out), "░░");
	buf_release(&out);
}

/* --- times --- */

static void duration_is(const char *s, int64_t expected)
{
	int64_t ns = -1;
	assert_int_equal(when_duration(s, &ns), 0);
	assert_int_equal(ns, expected);
}

static void durations(void **state)
{
	int64_t ns = 42;
	duration_is("500ms", SEC / 2);
	duration_is("1.5s", 3 * SEC / 2);
	duration_is("2min", 120 * SEC);
	duration_is("2m", 120 * SEC);
	duration_is("1h30min", 5400 * SEC);
	duration_is("1d", 86400 * SEC);
	duration_is("1w", 7 * 86400 * SEC);
	duration_is("0s", 0);
	static const char *const bad[] = {"", "5", "s", "-1s", "1x", "1 s", "0x10s", "1e3s", "infs", "1h30"};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(when_duration(bad[i], &ns), -EINVAL);
	assert_int_equal(when_duration("99999999w", &ns), -ERANGE);
	assert_int_equal(ns, 42);
}

static const int64_t NOW = 1763839000 * SEC; /* 2025-11-22T19:16:40Z */

static void time_is(const char *s, int64_t expected)
{
	int64_t ns = -1;
	assert_int_equal(when_time(s, NOW, &ns), 0);
	assert_int_equal(ns, expected);
}

static void times(void **state)
{
	time_is("now", NOW);
	time_is("-1h", NOW - 3600 * SEC);
	time_is("1h", NOW - 3600 * SEC);
	time_is("@1763839000.5", NOW + SEC / 2);
	time_is("2025-11-22T19:16:40Z", NOW);
	time_is("2025-11-22T20:16:40+01:00", NOW);
	time_is("2025-11-22 13:16:40-0600", NOW);
	time_is("2025-11-22T19:16:40.25Z", NOW + SEC / 4);
	/* local: an hour east of UTC in these tests */
	time_is("2025-11-22T20:16:40", NOW);
	time_is("20:16", NOW - 40 * SEC);
	time_is("2025-11-22", NOW - (20 * 3600 + 16 * 60 + 40) * SEC);
	time_is("today", NOW - (20 * 3600 + 16 * 60 + 40) * SEC);
	time_is("yesterday", NOW - (44 * 3600 + 16 * 60 + 40) * SEC);
	static const char *const bad[] = {"", "later", "2025", "2025-13-01", "2025-11-22T",
	    "2025-11-22T24:00", "25:00", "12:60", "@", "@x", "-", "2025-11-22T10:00:00X",
	    "2025-11-22T10:00:00+1"};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		int64_t ns = 7;
		assert_true(when_time(bad[i], NOW, &ns) < 0);
		assert_int_equal(ns, 7);
	}
}

static void shown_times(void **state)
{
	struct buf out = BUF_INIT;
	when_put(&out, NOW);
	assert_string_equal(buf_str(&out), "2025-11-22 20:16:40");
	buf_clear(&out);
	when_put_utc(&out, NOW + 42);
	assert_string_equal(buf_str(&out), "2025-11-22T19:16:40.000000042Z");
	buf_clear(&out);
	when_put(&out, 0);
	assert_string_equal(buf_str(&out), "");
	buf_release(&out);
	static const struct {
		int64_t ns;
		const char *expected;
	} ages[] = {{SEC / 4, "250 ms"}, {3 * SEC, "3 s"}, {60 * SEC, "1 min"}, {125 * SEC, "2 min 5 s"},
	    {3600 * SEC, "1 h"}, {3605 * SEC, "1 h"}, {90000 * SEC, "1 d 1 h"}};
	for (size_t i = 0; i < sizeof ages / sizeof *ages; i++) {
		struct buf age = BUF_INIT;
		when_put_duration(&age, ages[i].ns);
		assert_string_equal(buf_str(&age), ages[i].expected);
		buf_release(&age);
	}
}

/* --- names --- */

static void path_is(const char *text, const char *node, const char *monitor, const char *metric)
{
	struct path p;
	const char *const expected[] = {node, monitor, metric};
	assert_int_equal(path_init(&p, text, "me"), 0);
	const char *const found[] = {p.node, p.monitor, p.metric};
	for (int i = 0; i < 3; i++) {
		assert_int_equal(!expected[i], !found[i]);
		if (expected[i])
			assert_string_equal(expected[i], found[i]);
	}
	path_release(&p);
}

static void paths(void **state)
{
	path_is("", NULL, NULL, NULL);
	path_is("n1", "n1", NULL, NULL);
	path_is("n1/", "n1", NULL, NULL);
	path_is("n1/host", "n1", "host", NULL);
	path_is("n1/host/", "n1", "host", NULL);
	path_is("n1/host/net/eth0/rx_bytes", "n1", "host", "net/eth0/rx_bytes");
	path_is("n1/host/load/", "n1", "host", "load/*");
	path_is("//load/1min", NULL, NULL, "load/1min");
	path_is("*/host/*", "*", "host", "*");
	path_is("./host", "me", "host", NULL);
	path_is(".", "me", NULL, NULL);
}

/* --- tables --- */

static const struct column columns[] = {{"name", COLUMN_PEOPLE, "WHOLE NAME"}, {"node", COLUMN_MACHINES},
    {"value", COLUMN_NUMBER}, {"text"}, {NULL}};

static void fill(struct table *t)
{
	table_text(t, "n1/x");
	table_text(t, "n1");
	table_text(t, "7.50");
	table_text(t, "a, \"b\"\033");
	table_text(t, "node2/温度");
	table_text(t, "node2");
	table_text(t, NULL);
	table_text(t, NULL);
}

static void people_see_columns(void **state)
{
	capture();
	struct table *t = table_new(columns, OUT_TABLE, 0);
	fill(t);
	table_end(t);
	assert_string_equal(said(), "WHOLE NAME  VALUE  TEXT\n"
				    "n1/x         7.50  a, \"b\"\\x1b\n"
				    "node2/温度      -  -\n");
}

static void machines_see_json(void **state)
{
	capture();
	struct table *t = table_new(columns, OUT_JSON, 0);
	fill(t);
	table_end(t);
	assert_string_equal(said(),
	    "[{\"node\": \"n1\", \"value\": 7.50, \"text\": \"a, \\\"b\\\"\\u001b\"},\n"
	    " {\"node\": \"node2\", \"value\": null, \"text\": null}]");
}

static void a_stream_is_a_line_a_row(void **state)
{
	capture();
	struct table *t = table_new(columns, OUT_JSON, TABLE_STREAM);
	fill(t);
	table_end(t);
	assert_string_equal(said(), "{\"node\": \"n1\", \"value\": 7.50, \"text\": \"a, \\\"b\\\"\\u001b\"}\n"
				    "{\"node\": \"node2\", \"value\": null, \"text\": null}\n");
}

static void machines_see_csv(void **state)
{
	capture();
	struct table *t = table_new(columns, OUT_CSV, 0);
	fill(t);
	table_end(t);
	assert_string_equal(said(), "node,value,text\r\n"
				    "n1,7.50,\"a, \"\"b\"\"\\x1b\"\r\n"
				    "node2,,\r\n");
}

static void nothing_is_still_a_document(void **state)
{
	capture();
	table_end(table_new(columns, OUT_JSON, 0));
	table_end(table_new(columns, OUT_CSV, 0));
	table_end(table_new(columns, OUT_TABLE, 0));
	assert_string_equal(said(), "[]node,value,text\r\n");
}

static void a_text_is_no_number(void **state)
{
	capture();
	struct table *t = table_new(columns, OUT_JSON, TABLE_STREAM);
	table_text(t, "");
	table_text(t, "n1");
	table_string(t, "42");
	table_text(t, "");
	table_end(t);
	assert_string_equal(said(), "{\"node\": \"n1\", \"value\": \"42\", \"text\": \"\"}\n");
}

/* More rows than are kept: they leave, aligned, before the end. */
static void long_tables_are_not_kept(void **state)
{
	size_t lines = 0;
	capture();
	struct table *t = table_new(columns, OUT_TABLE, 0);
	for (int i = 0; i < 30000; i++)
		fill(t);
	assert_int_equal(table_rows(t), 60000);
	fflush(stdout);
	rewind(captured);
	for (int c; (c = getc(captured)) != EOF;)
		lines += c == '\n';
	assert_true(lines > 39000);
	table_end(t);
	said();
}

/* --- figures --- */

static struct msg *values(const char *node, const char *monitor, int64_t time_ns, ...)
{
	va_list ap;
	struct msg *m = msg_new("monitor");
	msg_set(m, "node", node);
	msg_set(m, "monitor", monitor);
	msg_set_int(m, "time", time_ns);
	va_start(ap, time_ns);
	for (const char *name; (name = va_arg(ap, const char *));) {
		struct msg *v = msg_child(m, "v");
		const char *text = va_arg(ap, const char *);
		msg_set(v, "n", name);
		msg_set(v, "u", strcmp(monitor, "host") ? "Cel" : "1");
		msg_text(v, text, strlen(text));
	}
	va_end(ap);
	return m;
}

static void give(struct fleet *f, struct msg *m)
{
	if (!strcmp(m->name, "node"))
		fleet_take_node(f, m);
	else
		fleet_take_values(f, m);
	msg_free(m);
}

static struct msg *node(const char *name, const char *state)
{
	struct msg *m = msg_new("node");
	msg_set(m, "name", name);
	msg_set(m, "state", state);
	msg_set_int(m, "processors", 2);
	return m;
}

static void rates_come_from_counters(void **state)
{
	struct fleet f = {0};
	give(&f, node("n1", "up"));
	give(&f, values("n1", "host", 10 * SEC, "cpu/idle", "100.00", "cpu/iowait", "5.00",
		     "net/eth0/rx_bytes", "1000", "net/lo/rx_bytes", "5", "disk/sda/read_bytes", "0",
		     "disk/sda1/read_bytes", "0", "memory/total", "200", "memory/available", "150", NULL));
	fleet_rates(&f);
	struct fleet_node *n = fleet_at(&f, 0);
	assert_true(isnan(node_cpu(n)));
	assert_float_equal(node_memory(n), 25, 1e-6);
	/* What did not change is not said. */
	give(&f, values("n1", "host", 12 * SEC, "cpu/idle", "101.00", "net/eth0/rx_bytes", "3000",
		     "net/lo/rx_bytes", "9999", "disk/sda/read_bytes", "4096", "disk/sda1/read_bytes", "4096",
		     NULL));
	fleet_rates(&f);
	assert_float_equal(node_cpu(n), 75, 1e-6);
	assert_float_equal(node_rate(n, RATE_RECEIVED), 1000, 1e-6);
	assert_float_equal(node_rate(n, RATE_READ), 2048, 1e-6);
	assert_true(isnan(node_rate(n, RATE_SENT)));
	fleet_release(&f);
}

static void a_counter_that_began_anew_is_no_rate(void **state)
{
	struct fleet f = {0};
	give(&f, node("n1", "up"));
	give(&f, values("n1", "host", 10 * SEC, "net/eth0/rx_bytes", "1000000", NULL));
	fleet_rates(&f);
	give(&f, values("n1", "host", 11 * SEC, "net/eth0/rx_bytes", "10", NULL));
	fleet_rates(&f);
	assert_float_equal(node_rate(fleet_at(&f, 0), RATE_RECEIVED), 0, 1e-6);
	fleet_release(&f);
}

static struct msg *past(const char *metric, int64_t t1, const char *v1, int64_t t2, const char *v2)
{
	struct msg *m = msg_new("monitor");
	msg_set(m, "node", "n1");
	msg_set(m, "metric", metric);
	for (int i = 0; i < 2; i++) {
		struct msg *p = msg_child(m, "p");
		msg_set_int(p, "t", i ? t2 : t1);
		msg_set(p, "v", i ? v2 : v1);
	}
	return m;
}

static void history_makes_rates_before_a_second_period(void **state)
{
	struct fleet f = {0};
	give(&f, node("n1", "up"));
	give(&f, values("n1", "host", 10 * SEC, "cpu/idle", "100.00", "net/eth0/rx_bytes", "5000", NULL));
	fleet_rates(&f);
	struct msg *idle = past("cpu/idle", 8 * SEC, "98.00", 10 * SEC, "100.00");
	struct msg *received = past("net/eth0/rx_bytes", 7 * SEC, "0", 8 * SEC, "1000");
	fleet_take_past(&f, received);
	fleet_take_past(&f, idle);
	fleet_past_rates(&f);
	fleet_rates(&f); /* the same period again changes nothing */
	assert_float_equal(node_cpu(fleet_at(&f, 0)), 50, 1e-6);
	assert_float_equal(node_rate(fleet_at(&f, 0), RATE_RECEIVED), 2000, 1e-6);
	give(&f, values("n1", "host", 11 * SEC, "cpu/idle", "102.00", "net/eth0/rx_bytes", "5000", NULL));
	fleet_rates(&f);
	assert_float_equal(node_cpu(fleet_at(&f, 0)), 0, 1e-6);
	msg_free(idle);
	msg_free(received);
	fleet_release(&f);
}

static void the_dead_have_no_figures(void **state)
{
	struct fleet f = {0};
	give(&f, node("n1", "up"));
	give(&f, values("n1", "temperature", 10 * SEC, "temperature/cpu/a", "41.0", "temperature/cpu/b",
		     "47.5", NULL));
	assert_float_equal(node_temperature(fleet_at(&f, 0)), 47.5, 1e-6);
	give(&f, node("n1", "down"));
	assert_true(isnan(node_temperature(fleet_at(&f, 0))));
	fleet_release(&f);
}

static void who_is_no_longer_listed_goes(void **state)
{
	struct fleet f = {0};
	give(&f, node("n1", "up"));
	give(&f, node("n2", "up"));
	fleet_list_begin(&f);
	give(&f, node("n2", "up"));
	fleet_list_end(&f);
	assert_int_equal(f.nodes.n, 1);
	assert_string_equal(fleet_at(&f, 0)->name, "n2");
	fleet_release(&f);
}

static void sorting_and_filtering(void **state)
{
	struct fleet f = {0};
	struct order o;
	size_t n;
	give(&f, node("n10", "up"));
	give(&f, node("n2", "down"));
	give(&f, node("web", "up"));
	give(&f, values("web", "host", SEC, "load/1min", "3.00", NULL));
	assert_true(order_parse(&o, "load"));
	struct fleet_node **sorted = top_sort(&f, &o, "", &n);
	assert_int_equal(n, 3);
	assert_string_equal(sorted[0]->name, "web");
	assert_string_equal(sorted[1]->name, "n2"); /* as people count: before n10 */
	free(sorted);
	assert_true(order_parse(&o, "state"));
	sorted = top_sort(&f, &o, "n", &n);
	assert_int_equal(n, 2);
	assert_string_equal(sorted[0]->name, "n2");
	free(sorted);
	assert_false(order_parse(&o, "colour"));
	assert_true(filter_fits("n?", "n2"));
	assert_false(filter_fits("n?", "n10"));
	fleet_release(&f);
}

/* --- the command line --- */

static int read_words(struct line *l, const char *words)
{
	static char copy[512];
	char name[] = "vigia", *argv[32] = {name}, *rest = copy;
	int argc = 1;
	snprintf(copy, sizeof copy, "%s", words);
	while (argc < 31 && (argv[argc] = strsep(&rest, " ")))
		argc++;
	*l = (struct line){0};
	return line_read(l, argc, argv);
}

static void command_lines(void **state)
{
	struct line l;
	assert_int_equal(read_words(&l, "--json get n1 --at=h:1 --deadline 5s n2"), 0);
	assert_string_equal(l.command->name, "get");
	assert_int_equal(l.v.format, OUT_JSON);
	assert_string_equal(l.v.at, "h:1");
	assert_int_equal(l.args.n, 2);
	assert_string_equal(l.args.words[1], "n2");
	assert_string_equal(l.args.flags[1], "5s");
	assert_null(l.args.flags[0]);
	assert_int_equal(read_words(&l, "history n1 --from -1h"), 0);
	assert_string_equal(l.args.flags[0], "-1h");
	assert_int_equal(read_words(&l, "get -- --update"), 0);
	assert_string_equal(l.args.words[0], "--update");
	assert_int_equal(read_words(&l, "forget --help"), 0);
	assert_true(l.help);
	assert_int_equal(read_words(&l, "service find --at h1 x --json"), 0);
	assert_ptr_equal(l.command, &operation_command);
	assert_int_equal(l.args.n, 2);
	assert_string_equal(l.args.words[0], "service.find");
	assert_string_equal(l.args.words[1], "x");
	assert_int_equal(read_words(&l, "service --help"), 0);
	assert_ptr_equal(l.command, &help_command_entry);
	assert_string_equal(l.args.words[0], "service");
}

static void wrong_command_lines(void **state)
{
	struct line l;
	static const char *const wrong[] = {"gett", "get --nothing", "--update get", "get --deadline",
	    "forget", "forget a b", "info x", "get --update=yes", "status -x"};
	assert_non_null(freopen("/dev/null", "w", stderr));
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		assert_int_equal(read_words(&l, wrong[i]), USAGE);
}

static void the_nearest_command(void **state)
{
	assert_string_equal(command_nearest("statsu")->name, "status");
	assert_string_equal(command_nearest("hist")->name, "history");
	assert_string_equal(command_nearest("event")->name, "events");
	assert_null(command_nearest("xyzzy"));
	assert_null(command_nearest(""));
}

static void names_that_are_near(void **state)
{
	struct near n = {.name = "hots"};
	near_take(&n, "temperature");
	near_take(&n, "host");
	near_take(&n, "hosts-of-mine");
	assert_int_equal(n.seen, 3);
	assert_int_equal(n.alike, 1);
	assert_string_equal(n.best[0].name, "host");
	assert_int_equal(near_distance("load/1", "load/1min"), 0);
	assert_int_equal(near_distance("1min", "load/1min"), 1);
	assert_int_equal(near_distance("x", "host"), NEAR_FAR);
	n = (struct near){.name = "a"};
	for (int i = 0; i < 20; i++)
		near_take(&n, i % 2 ? "ab" : "zz");
	assert_int_equal(n.n, NEAR_MOST);
	assert_int_equal(n.alike, NEAR_MOST);
	assert_string_equal(n.best[NEAR_MOST - 1].name, "ab");
}

static void rate_is(double per_s, const char *expected)
{
	struct buf out = BUF_INIT;
	rate_put(&out, per_s);
	assert_string_equal(buf_str(&out), expected);
	buf_release(&out);
}

static void counters_become_rates(void **state)
{
	struct rate r = {0};
	assert_true(isnan(rate_take(&r, 10 * SEC, 1000)));
	assert_true(isnan(rate_now(&r)));
	assert_float_equal(rate_take(&r, 12 * SEC, 1500), 250, 1e-9);
	assert_true(isnan(rate_take(&r, 12 * SEC, 1600))); /* the same period again */
	assert_true(isnan(rate_take(&r, 13 * SEC, NAN)));
	assert_float_equal(rate_take(&r, 14 * SEC, 50), 25, 1e-9); /* it began anew */
	assert_float_equal(rate_now(&r), 25, 1e-9);
	rate_is(0, "0");
	rate_is(0.25, "0.25000");
	rate_is(12.5, "12.500");
	rate_is(123456789, "123456789");
}

/* --- the manual page --- */

static char *page(void)
{
	static char text[65536];
	FILE *f = fopen(MANUAL, "re");
	assert_non_null(f);
	size_t n = fread(text, 1, sizeof text - 1, f);
	text[n] = '\0';
	fclose(f);
	return text;
}

static void check_flags(const char *where, const char *text, const struct flag *flags)
{
	for (int i = 0; i < FLAGS_MAX && flags[i].name; i++) {
		char option[64];
		snprintf(option, sizeof option, "*--%s*", flags[i].name);
		if (!strstr(text, option))
			fail_msg("the manual page does not tell of %s %s", where, option);
	}
}

static void the_manual_page_is_whole(void **state)
{
	const char *text = page();
	for (const struct command *const *c = commands; *c; c++) {
		char head[64], entry[1024];
		snprintf(head, sizeof head, "\n*%s*", (*c)->name);
		const char *at = strstr(text, head);
		if (!at)
			fail_msg("the manual page does not tell of %s", (*c)->name);
		snprintf(entry, sizeof entry, "%.*s", (int)strcspn(at + 1, "\n"), at + 1);
		check_flags((*c)->name, entry, (*c)->flags);
	}
	check_flags("vigia", text, global_flags);
}

static int setup(void **state)
{
	setenv("TZ", "<+01>-1", 1);
	setenv("LC_ALL", "C.UTF-8", 1);
	setenv("TERM", "xterm", 1);
	tzset();
	return !text_unicode();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(strangers_bytes_are_harmless),
	    cmocka_unit_test(json_is_json),
	    cmocka_unit_test(csv_is_quoted_where_needed),
	    cmocka_unit_test(numbers_keep_their_decimals),
	    cmocka_unit_test(sizes_are_short),
	    cmocka_unit_test(charts_have_a_column_a_value),
	    cmocka_unit_test(durations),
	    cmocka_unit_test(times),
	    cmocka_unit_test(shown_times),
	    cmocka_unit_test(paths),
	    cmocka_unit_test(people_see_columns),
	    cmocka_unit_test(machines_see_json),
	    cmocka_unit_test(a_stream_is_a_line_a_row),
	    cmocka_unit_test(machines_see_csv),
	    cmocka_unit_test(nothing_is_still_a_document),
	    cmocka_unit_test(a_text_is_no_number),
	    cmocka_unit_test(long_tables_are_not_kept),
	    cmocka_unit_test(rates_come_from_counters),
	    cmocka_unit_test(a_counter_that_began_anew_is_no_rate),
	    cmocka_unit_test(history_makes_rates_before_a_second_period),
	    cmocka_unit_test(the_dead_have_no_figures),
	    cmocka_unit_test(who_is_no_longer_listed_goes),
	    cmocka_unit_test(sorting_and_filtering),
	    cmocka_unit_test(command_lines),
	    cmocka_unit_test(wrong_command_lines),
	    cmocka_unit_test(the_nearest_command),
	    cmocka_unit_test(names_that_are_near),
	    cmocka_unit_test(counters_become_rates),
	    cmocka_unit_test(the_manual_page_is_whole),
	};
	return cmocka_run_group_tests_name("vigia", tests, setup, NULL);
}
