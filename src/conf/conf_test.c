/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf/conf.h"
#include "conf/options.h"
#include "conf/units.h"
#include "os/remote.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define SEC 1000000000LL

static struct conf *good(const char *text)
{
	struct buf errors = BUF_INIT;
	struct conf *c = NULL;
	int r = conf_load_text("t.conf", text, strlen(text), &c, &errors);

	if (r < 0)
		fail_msg("%s", buf_str(&errors));
	assert_int_equal(errors.len, 0);
	buf_release(&errors);
	return c;
}

/* All of the errors, as they are told. */
static void bad(const char *text, const char *expected)
{
	struct buf errors = BUF_INIT;
	struct conf *c = (struct conf *)1;

	assert_int_equal(conf_load_text("t.conf", text, strlen(text), &c, &errors), -EINVAL);
	assert_ptr_equal(c, (struct conf *)1);
	assert_string_equal(buf_str(&errors), expected);
	buf_release(&errors);
}

static char *dumped(const struct conf *c)
{
	char *text = NULL;
	size_t n;
	FILE *f = open_memstream(&text, &n);

	conf_dump(c, f);
	fclose(f);
	return text;
}

static void without_a_file_everything_has_its_default(void **state)
{
	struct buf errors = BUF_INIT;
	struct conf *c;

	assert_int_equal(conf_load(NULL, &c, &errors), 0);
	assert_true(conf_is_name(c->name));
	assert_int_equal(c->listen.n, 1);
	assert_string_equal(c->listen.v[0].host, "127.0.0.1");
	assert_int_equal(c->listen.v[0].port, 7660);
	assert_true(c->listen.v[0].is_loopback);
	assert_string_equal(c->socket, "on");
	assert_true(c->sandbox);
	assert_int_equal(c->node.masters.n, 0);
	assert_true(c->node.send_ns == SEC);
	assert_true(c->master.watch.on);
	assert_true(c->master.watch.beat_interval_ns == SEC / 2);
	assert_true(c->master.watch.down_ns == 3 * SEC);
	assert_true(c->history.keep_ns == 30 * 86400 * SEC);
	assert_true(c->history.size == 1LL << 30);
	assert_int_equal(c->limits.v[LIMIT_PENDING], 1 << 20);
	assert_int_equal(c->n_monitors, 3);
	assert_string_equal(c->monitors[0].name, "host");
	assert_string_equal(c->monitors[2].program, "temperature");
	assert_true(c->monitors[1].enabled);
	assert_false(conf_is_exposed(c));
	conf_free(c);
}

static void every_kind_of_value(void **state)
{
	struct conf *c = good("name = n-1.a; listen = {\"[::1]:0\", 127.0.0.2}  // two\n"
			      "socket = '/tmp/x y.sock'\ninsecure_network = yes\nsandbox = no\n"
			      "control = no trust_nodes = control realm = lab-2\n"
			      "node { masters = {m1.example:7661, \"[fd00::1]:7660\"} send = on-request }\n"
			      "/* a\n comment */ history { enabled = false size = \"2 TiB\" }\n"
			      "limits { nodes = 7 pending = 64KiB }\n");

	assert_string_equal(c->name, "n-1.a");
	assert_int_equal(c->listen.n, 2);
	assert_string_equal(c->listen.v[0].host, "::1");
	assert_int_equal(c->listen.v[0].port, 0);
	assert_int_equal(c->listen.v[1].port, 7660);
	assert_string_equal(c->socket, "/tmp/x y.sock");
	assert_false(c->sandbox);
	assert_false(c->control);
	assert_int_equal(c->trust_nodes, 1);
	assert_string_equal(c->realm, "lab-2");
	assert_string_equal(c->node.masters.v[0].host, "m1.example");
	assert_false(c->node.masters.v[0].is_loopback);
	assert_int_equal(c->node.masters.v[1].port, 7660);
	assert_true(c->node.send_ns == 0);
	assert_false(c->history.enabled);
	assert_true(c->history.size == 2LL << 40);
	assert_int_equal(c->limits.v[LIMIT_NODES], 7);
	assert_true(conf_is_exposed(c));
	conf_free(c);
}

static void an_empty_list_is_empty(void **state)
{
	struct conf *c = good("listen = {}\n");

	assert_int_equal(c->listen.n, 0);
	conf_free(c);
}

static void services_are_names_each_once(void **state)
{
	struct conf *c = good("services = {process,\n \"lease\"}\n");

	assert_int_equal(c->services.n, 2);
	assert_string_equal(c->services.v[1].text, "lease");
	assert_int_equal(c->services.v[1].line, 2);
	conf_free(c);
	c = good("services = {}\n");
	assert_int_equal(c->services.n, 0);
	conf_free(c);
	c = good("");
	assert_string_equal(c->services.v[0].text, "all");
	conf_free(c);
	bad("services = {a, a}\nservices = {\"b c\"}\n", "t.conf:1: services: found \"a\", expected each service once\n"
	    "t.conf:2: services: said already in line 1\n"
	    "t.conf:2: services: found \"b c\", expected the name of a service, or \"all\"\n");
}

static void a_node_inherits_what_its_section_leaves_out(void **state)
{
	struct conf *c = good("master {\n\tnode a { down = 9s }\n\tlate = 2s\n\tnode b { watch = false }\n}\n");

	assert_true(conf_watch_of(c, "a")->down_ns == 9 * SEC);
	assert_true(conf_watch_of(c, "a")->late_ns == 2 * SEC);
	assert_true(conf_watch_of(c, "a")->on);
	assert_false(conf_watch_of(c, "b")->on);
	assert_true(conf_watch_of(c, "other")->down_ns == 3 * SEC);
	conf_free(c);
}

static void a_monitors_section_reaches_it_verbatim(void **state)
{
	struct conf *c = good("monitor disk {\n  program = \"fs\"  # }\n  skip = {'}', \"{\\\"\"} /* } */\n  deep { a (b) += c }\n}\n"
			      "name = x\nmonitor off{enabled=no}");

	assert_int_equal(c->n_monitors, 5);
	assert_string_equal(c->monitors[0].name, "disk");
	assert_string_equal(c->monitors[0].program, "fs");
	assert_string_equal(c->monitors[0].text,
	    "\n  program = \"fs\"  # }\n  skip = {'}', \"{\\\"\"} /* } */\n  deep { a (b) += c }\n");
	assert_int_equal(c->monitors[0].line, 1);
	assert_string_equal(c->monitors[1].program, "off");
	assert_false(c->monitors[1].enabled);
	assert_int_equal(c->monitors[1].line, 7);
	assert_string_equal(c->name, "x");
	conf_free(c);
}

static void default_monitors_stay_beside_others(void **state)
{
	struct conf *c = good("monitor mail { program = exec }\nmonitor fs { enabled = no }\n");
	assert_int_equal(c->n_monitors, 4);
	assert_string_equal(c->monitors[2].name, "host");
	assert_true(c->monitors[2].enabled);
	assert_false(c->monitors[1].enabled);
	assert_string_equal(c->monitors[3].name, "temperature");
	conf_free(c);
	c = good("monitor mail { program = exec }\ndefault_monitors = no\n");
	assert_int_equal(c->n_monitors, 1);
	conf_free(c);
}

static void all_errors_are_told_with_their_lines(void **state)
{
	bad("naem = x\n"
	    "listen = {\"foo:1\"}\n"
	    "late = \"1s\"\n"
	    "master {\n"
	    "\tbeat_interval = 5 apples = 1\n"
	    "\twatch = maybe\n"
	    "}\n"
	    "nodes { x = 1\n y { z = 2 } }\n"
	    "limits { nodes = 0 nodes = 5 }\n"
	    "monitor a { enabled = perhaps }\n"
	    "monitor a { }\n",
	    "t.conf:1: found \"naem\", which is unknown; did you mean name?\n"
	    "t.conf:2: listen: found \"foo:1\", expected a numeric ADDRESS:PORT, such as \"127.0.0.1:7660\" or "
	    "\"[::1]:7660\"\n"
	    "t.conf:3: found \"late\", which is unknown; it belongs into master\n"
	    "t.conf:5: found \"apples\", which is unknown in master\n"
	    "t.conf:5: beat_interval: found \"5\", expected a whole number and ns, us, ms, s, min, h or d, such as "
	    "\"500ms\"\n"
	    "t.conf:6: watch: found \"maybe\", expected true or false\n"
	    "t.conf:8: found \"nodes\", which is unknown; did you mean node?\n"
	    "t.conf:10: nodes: found \"0\", expected 1 to 1000000\n"
	    "t.conf:10: nodes: said already in line 10\n"
	    "t.conf:11: enabled: found \"perhaps\", expected true or false\n"
	    "t.conf:12: monitor a: there is one already in line 11\n");
}

static void syntax_errors_say_what_was_expected(void **state)
{
	bad("name = \"x\n", "t.conf:1: found a string that does not end on its line, expected \"\n");
	bad("a", "t.conf:1: found \"a\", which is unknown\n");
	bad("\n/* x", "t.conf:2: found a comment that does not end, expected */\n");
	bad("node {\n\nsend = 1s\n", "t.conf:1: node { is never closed, expected }\n");
	bad("name\n", "t.conf:2: premature end of file, expected the rest of an option or section\n");
	bad("name = \nlisten = {}\n", "t.conf:1: name: expected a value behind the =\n");
	bad("name = }\n", "t.conf:1: unexpected token '}', expected a value, or NAME = VALUE, or NAME { ... }\n");
	bad("}\n", "t.conf:1: unexpected closing brace, expected an option or section: nothing is open\n");
	bad("name x\n", "t.conf:1: found \"x\", which is unknown\n");
	bad("name + x\n", "t.conf:1: found +, expected a word, a string, {, }, = or a comma\n"
			  "t.conf:1: found \"x\", which is unknown\n");
	bad("\"node|send\" = 1s\n", "t.conf:1: found a string, expected the name of an option or section\n");
	bad("monitor x\n", "t.conf:1: monitor x: expected {\n");
	bad("monitor x { {\n}", "t.conf:1: monitor x: its { is never closed, expected }\n");
	bad("monitor {}", "t.conf:1: monitor: expected monitor NAME { ... }\n");
	bad("socket = \"/${HOME}\"\n", "t.conf:1: found ${ in a string: variables are not expanded here\n");
	bad("name = \"a\\101\"\n", "t.conf:1: found \\1 in a string, expected \\\\ or \\\"\n");
}

static void beyond_this_machine_needs_a_word(void **state)
{
	bad("listen = {\"127.1.2.3:1\", \"0.0.0.0:7660\"}\nnode {\n  masters = {\"localhost:7660\", m:1}\n}",
	    "t.conf:1: listen: 0.0.0.0:7660 is beyond this machine, in plain TCP; that needs insecure_network = true, in a "
	    "closed network\n"
	    "t.conf:3: masters: m:1 is beyond this machine, in plain TCP; that needs insecure_network = true, in a closed "
	    "network\n");
}

static void hosts_talk_directly_or_over_nats(void **state)
{
	struct conf *c = good("");

	assert_string_equal(c->platform, "direct");
	conf_free(c);
	c = good("\nplatform = nats\nnats { server = \"nats://u:p@127.0.0.1:1,nats://[::1]:2,nats://localhost:3\" cluster = a_B-9 }\n");
	assert_string_equal(c->platform, "nats");
	assert_int_equal(c->platform_line, 2);
	assert_string_equal(c->nats.server, "nats://u:p@127.0.0.1:1,nats://[::1]:2,nats://localhost:3");
	assert_string_equal(c->nats.cluster, "a_B-9");
	assert_false(conf_is_exposed(c));
	conf_free(c);
	bad("platform = \"a/b\" nats { server = \"127.0.0.1:4222\"\n cluster = \"a.b\" }",
	    "t.conf:1: platform: found \"a/b\", expected direct or nats\n"
	    "t.conf:1: server: found \"127.0.0.1:4222\", expected nats://HOST:PORT, such as \"nats://127.0.0.1:4222\", several "
	    "with a comma between\n"
	    "t.conf:2: cluster: found \"a.b\", expected 1 to 32 letters, digits, _ and -\n");
}

static void a_server_is_one_that_can_be(void **state)
{
	static const char *const none[] = {"", "nats://", "nats://h", "nats://h:", "nats://h:0", "nats://h:1,", ",nats://h:1",
	    "nats://h:1,,nats://h:2", "nats://h:1 ", "nats://u:p@", "tls://h:1", "nats://a/b:1", "nats://h:70000"};

	for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
		char text[200];
		struct buf errors = BUF_INIT;
		struct conf *c;
		snprintf(text, sizeof text, "insecure_network = true platform = nats nats { server = \"%s\" }", none[i]);
		if (!conf_load_text("t", text, strlen(text), &c, &errors))
			fail_msg("%s is no server", none[i]);
		buf_release(&errors);
	}
}

static void a_server_beyond_this_machine_needs_a_word(void **state)
{
	struct conf *c = good("nats { server = \"nats://10.0.0.1:4222\" }"); /* nobody uses it */

	assert_false(conf_is_exposed(c));
	conf_free(c);
	bad("platform = nats\nnats {\n server = \"nats://127.0.0.1:1,nats://u:secret@10.0.0.1:4222\"\n}",
	    "t.conf:3: server: 10.0.0.1:4222 is beyond this machine, in plain TCP; that needs insecure_network = true, in a "
	    "closed network\n");
	c = good("insecure_network = true platform = nats nats { server = \"nats://10.0.0.1:4222\" }");
	assert_true(conf_is_exposed(c));
	conf_free(c);
}

static void limits_of_watching_grow(void **state)
{
	bad("master {\n late = 5s\n node a { down = 10s }\n}\n",
	    "t.conf:2: master: found beat_interval 500ms, late 5s, down 3s; expected each longer than the one before\n");
}

static void a_dump_loads_to_the_same(void **state)
{
	struct conf *a = good("insecure_network = true listen = {} node { masters = {x:1, \"[::2]:3\"} send = 90s }\n"
			      "master { node q { watch = no } } monitor z { program = host # c\n a { } }\n");
	char *first = dumped(a);
	struct conf *b = good(first);
	char *second = dumped(b);

	assert_string_equal(first, second);
	assert_string_equal(a->monitors[0].text, b->monitors[0].text);
	assert_true(conf_monitor_equal(&a->monitors[0], &b->monitors[0]));
	free(first);
	free(second);
	conf_free(a);
	conf_free(b);
}

static void hosts_are_added_over_ssh_unless_another_way_is_named(void **state)
{
	struct conf *c = good("");
	assert_string_equal(c->add.ssh, REMOTE_SSH);
	assert_int_equal(c->add.masters.n, 0);
	conf_free(c);
	c = good("add { ssh = \"rsh %h %c\" command = \"x %m\" masters = {m:1} }\n");
	assert_string_equal(c->add.ssh, "rsh %h %c");
	assert_string_equal(c->add.command, "x %m");
	assert_string_equal(c->add.masters.v[0].host, "m");
	conf_free(c);
	bad("add {\n ssh = \"rsh %h\"\n}\n",
	    "t.conf:2: ssh: found \"rsh %h\", expected the words of a program, with %h, the host, and %c, the command there\n");
	bad("add { command = \" \" }\n", "t.conf:1: command: found \" \", expected words with blanks between, at most 1000 "
					"bytes without quotes, $ and \\\n");
}

static void say(const char *file, const struct conf_said *said, const char *masters, const char *listen, const char *wrong)
{
	struct conf *c = good(file);
	struct buf errors = BUF_INIT, all = BUF_INIT;
	int r = conf_say(c, said, &errors);

	assert_string_equal(buf_str(&errors), wrong);
	assert_int_equal(r, *wrong ? -EINVAL : 0);
	for (size_t i = 0; !r && i < c->node.masters.n; i++)
		buf_putf(&all, "%s:%d ", c->node.masters.v[i].host, c->node.masters.v[i].port);
	if (!r)
		assert_string_equal(buf_str(&all), masters);
	buf_clear(&all);
	for (size_t i = 0; !r && i < c->listen.n; i++)
		buf_putf(&all, "%s:%d ", c->listen.v[i].host, c->listen.v[i].port);
	if (!r)
		assert_string_equal(buf_str(&all), listen);
	buf_release(&all);
	buf_release(&errors);
	conf_free(c);
}

static void a_command_line_says_more(void **state)
{
	static const char home[] = "127.0.0.1:7660 ", file[] = "insecure_network = true node { masters = {a:1} }\n";

	say("", &(struct conf_said){0}, "", home, "");
	say("", &(struct conf_said){.masters = "localhost:1,127.0.0.2:2"}, "localhost:1 127.0.0.2:2 ", home, "");
	say(file, &(struct conf_said){.masters = "b:2,a:1,b:2"}, "a:1 b:2 ", home, "");
	say("", &(struct conf_said){.masters = "a:1", .listen = "0.0.0.0:5", .insecure_network = true}, "a:1 ", "0.0.0.0:5 ", "");
	say("", &(struct conf_said){.masters = "a:1"}, "", "",
	    "--masters: a:1 is beyond this machine, in plain TCP; that needs insecure_network = true, in a closed network\n");
	say("", &(struct conf_said){.listen = "0.0.0.0:5"}, "", "",
	    "--listen: 0.0.0.0:5 is beyond this machine, in plain TCP; that needs insecure_network = true, in a closed network\n");
	say(file, &(struct conf_said){.masters = "b:2,"}, "", "", "--masters: found \"\", expected HOST:PORT\n");
	say(file, &(struct conf_said){.listen = "name:2"}, "", "", "--listen: found \"name:2\", expected a numeric ADDRESS:PORT\n");
}

/* libconfuse's lexer is global: what one file leaves behind must not reach the next. */
static void a_bad_file_does_not_spoil_the_next(void **state)
{
	static const char *const broken[] = {"name = \"", "name = '", "/*", "name = \"\\999\"", "node {", "name = {", "node { masters = {"};

	for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
		struct buf errors = BUF_INIT;
		struct conf *c;
		assert_true(conf_load_text("t", broken[i], strlen(broken[i]), &c, &errors) < 0);
		buf_release(&errors);
		c = good("name = after\n");
		assert_string_equal(c->name, "after");
		conf_free(c);
	}
}

static void bytes_that_are_no_text_are_refused(void **state)
{
	struct buf errors = BUF_INIT;
	struct conf *c;

	assert_int_equal(conf_load_text("t", "a\n\0b", 4, &c, &errors), -EINVAL);
	assert_string_equal(buf_str(&errors), "t:2: found byte 0x00, expected text in UTF-8\n");
	buf_clear(&errors);
	assert_int_equal(conf_load_text("t", "# \xc0\x80", 4, &c, &errors), -EINVAL);
	buf_clear(&errors);
	char *large = calloc(1, CONF_FILE_MAX + 1);
	assert_int_equal(conf_load_text("t", large, CONF_FILE_MAX + 1, &c, &errors), -EINVAL);
	free(large);
	buf_release(&errors);
}

static void files_that_can_not_be_read(void **state)
{
	struct buf errors = BUF_INIT;
	struct conf *c;

	assert_int_equal(conf_load("/nonexistent/vigia.conf", &c, &errors), -ENOENT);
	assert_string_equal(buf_str(&errors), "/nonexistent/vigia.conf: No such file or directory\n");
	buf_clear(&errors);
	assert_int_equal(conf_load("/", &c, &errors), -EINVAL);
	buf_release(&errors);
}

static void numbers_have_units(void **state)
{
	int64_t n = 7;

	assert_int_equal(units_duration("5min", &n), 0);
	assert_true(n == 300 * SEC);
	assert_int_equal(units_duration("0", &n), 0);
	assert_int_equal(n, 0);
	assert_int_equal(units_duration("5", &n), -EINVAL);
	assert_int_equal(units_duration("-5s", &n), -EINVAL);
	assert_int_equal(units_duration("5 fortnights", &n), -EINVAL);
	assert_int_equal(units_duration("9999999999999999999s", &n), -ERANGE);
	assert_int_equal(units_duration("999999999999d", &n), -ERANGE);
	assert_int_equal(n, 0);
	assert_int_equal(units_size("64KiB", &n), 0);
	assert_int_equal(n, 65536);
	assert_int_equal(units_size("64KB", &n), -EINVAL);
}

static char *read_manual(void)
{
	static char text[65536];
	FILE *f = fopen(MANUAL, "r");

	assert_non_null(f);
	text[fread(text, 1, sizeof text - 1, f)] = '\0';
	fclose(f);
	return text;
}

static void the_manual_says_what_the_table_says(void **state)
{
	const char *manual = read_manual();

	for (size_t i = 0; i < conf_n_options; i++) {
		struct buf entry = BUF_INIT;
		conf_option_manual(&conf_options[i], &entry);
		if (!strstr(manual, buf_str(&entry)))
			fail_msg("docs/man/vigia.conf.5.scd lacks:\n%s", buf_str(&entry));
		buf_release(&entry);
	}
}

static void replay(const char *file)
{
	static uint8_t bytes[1 << 16];
	FILE *f = fopen(file, "r");

	assert_non_null(f);
	size_t n = fread(bytes, 1, sizeof bytes, f);
	fclose(f);
	LLVMFuzzerTestOneInput(bytes, n);
}

static void the_corpus_harms_nothing(void **state)
{
	DIR *d = opendir(CORPUS);
	int n = 0;

	assert_non_null(d);
	for (struct dirent *e; (e = readdir(d));) {
		char file[4096];
		if (e->d_name[0] == '.')
			continue;
		snprintf(file, sizeof file, "%s/%s", CORPUS, e->d_name);
		replay(file);
		n++;
	}
	closedir(d);
	assert_true(n > 5);
}

static void the_example_is_right(void **state)
{
	struct buf errors = BUF_INIT;
	struct conf *c;
	int r = conf_load(EXAMPLE, &c, &errors);

	if (r < 0)
		fail_msg("%s", buf_str(&errors));
	conf_free(c);
	buf_release(&errors);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(without_a_file_everything_has_its_default),
	    cmocka_unit_test(every_kind_of_value),
	    cmocka_unit_test(an_empty_list_is_empty),
	    cmocka_unit_test(services_are_names_each_once),
	    cmocka_unit_test(a_node_inherits_what_its_section_leaves_out),
	    cmocka_unit_test(a_monitors_section_reaches_it_verbatim),
	    cmocka_unit_test(default_monitors_stay_beside_others),
	    cmocka_unit_test(all_errors_are_told_with_their_lines),
	    cmocka_unit_test(syntax_errors_say_what_was_expected),
	    cmocka_unit_test(beyond_this_machine_needs_a_word),
	    cmocka_unit_test(hosts_talk_directly_or_over_nats),
	    cmocka_unit_test(a_server_is_one_that_can_be),
	    cmocka_unit_test(a_server_beyond_this_machine_needs_a_word),
	    cmocka_unit_test(limits_of_watching_grow),
	    cmocka_unit_test(a_dump_loads_to_the_same),
	    cmocka_unit_test(hosts_are_added_over_ssh_unless_another_way_is_named),
	    cmocka_unit_test(a_command_line_says_more),
	    cmocka_unit_test(a_bad_file_does_not_spoil_the_next),
	    cmocka_unit_test(bytes_that_are_no_text_are_refused),
	    cmocka_unit_test(files_that_can_not_be_read),
	    cmocka_unit_test(numbers_have_units),
	    cmocka_unit_test(the_manual_says_what_the_table_says),
	    cmocka_unit_test(the_corpus_harms_nothing),
	    cmocka_unit_test(the_example_is_right),
	};

	return cmocka_run_group_tests_name("conf", tests, NULL, NULL);
}
