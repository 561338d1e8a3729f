/* SPDX-License-Identifier: Apache-2.0 */
/* A monitor on one end of a socket, on the other a node that reads with Vigia's own decoders. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/config.h"
#include "hmon/hmon.h"
#include "proto/row.h"
#include "proto/xml.h"

/* --- the monitor: a count, a text, an interface that comes and goes, what a lot of bytes makes --- */

static atomic_int count, gauge_step, start_error, blob_size;
static atomic_bool plugged, failing;

static const struct hmon_metric metrics[] = {
    {"count", HMON_COUNTER}, {"text", HMON_TEXT}, {"gauge", HMON_GAUGE, "Cel", 1}, {0}};
static const struct hmon_metric pair[] = {{"rx", HMON_COUNTER, "By"}, {"tx", HMON_COUNTER, "By"}, {0}};
static const struct hmon_option options[] = {{"who", HMON_OPTION_TEXT, "nobody"}, {0}};

static int start(struct hmon *h)
{
	hmon_set_data(h, (void *)-1);
	return start_error;
}

static void plug(struct hmon *h)
{
	intptr_t eth0 = (intptr_t)hmon_data(h);
	if (plugged && eth0 < 0)
		eth0 = hmon_add(h, "net", "eth0", pair, 2);
	else if (!plugged && eth0 >= 0) {
		hmon_drop(h, (int)eth0);
		eth0 = -1;
	}
	hmon_set_data(h, (void *)eth0);
	hmon_set_int(h, (int)eth0, 1000 + count);
}

static int read_(struct hmon *h)
{
	static char blob[1024];
	int n = ++count;
	plug(h);
	hmon_set_int(h, 0, n);
	hmon_set_double(h, 2, n * gauge_step);
	memset(blob, 'a' + n % 26, sizeof blob - 1);
	blob[blob_size] = '\0';
	hmon_set_text(h, 1, blob_size ? blob : hmon_option_text(h, "who"));
	return failing ? -EIO : 0;
}

static const struct hmon_monitor monitor = {
    .name = "test", .period = "10ms", .metrics = metrics, .options = options, .start = start, .read = read_};

/* --- the node --- */

struct node {
	int fd, monitor_fd;
	pthread_t thread;
	int result;
	struct xml *xml;
	struct config *config;
	struct value *values;
	struct row row;
	int64_t generation, sequence, rows, full_rows, answered;
	bool checked; /* a config without anything: the section is right */
	char errors[1000], name[100];
};

static int on_open(void *data, const struct msg *m)
{
	return strcmp(msg_get(m, "role", ""), "monitor") ? -EPROTO : 0;
}

static void forget(struct node *n)
{
	if (n->config)
		values_clear(n->values, n->config->n);
	free(n->values);
	config_unref(n->config);
	n->config = NULL;
	n->values = NULL;
}

static void take_metric(struct metric *to, const struct msg *m)
{
	int64_t scale = 0;
	msg_get_int(m, "scale", &scale);
	to->name = strdup(msg_get(m, "name", ""));
	to->unit = strdup(msg_get(m, "unit", ""));
	to->doc = strdup(m->text);
	to->type = (enum metric_type)metric_type_from(msg_get(m, "type", ""));
	to->scale = (uint8_t)scale;
}

static void take_config(struct node *n, const struct msg *m)
{
	size_t count_ = 0, at;
	const char *why;
	for (const struct msg *c = m->children; c; c = c->next)
		count_++;
	forget(n);
	n->config = config_new(count_);
	n->values = calloc(count_ + 1, sizeof *n->values);
	struct metric *to = n->config->metrics;
	for (const struct msg *c = m->children; c; c = c->next)
		take_metric(to++, c);
	assert_int_equal(config_seal(n->config, &why, &at), 0);
	assert_int_equal(msg_get_int(m, "generation", &n->generation), 0);
	snprintf(n->name, sizeof n->name, "%s", msg_get(m, "monitor", ""));
	n->sequence = 0;
}

static int on_stanza(void *data, const struct msg *m)
{
	struct node *n = data;
	if (!strcmp(m->name, "config") && !*msg_get(m, "monitor", ""))
		n->checked = true;
	else if (!strcmp(m->name, "config"))
		take_config(n, m);
	else if (!strcmp(m->name, "error"))
		snprintf(
		    n->errors + strlen(n->errors), sizeof n->errors - strlen(n->errors), "[%s]", m->text);
	return 0;
}

static int on_row(void *data, const struct xml_row *row)
{
	struct node *n = data;
	const char *why = "";
	size_t at = 0;
	assert_int_equal(row->generation, n->generation);
	assert_true(row->full || row->sequence == n->sequence + 1);
	assert_true(row->full || n->sequence);
	int r = row_decode(&n->row, row->text, row->len, n->config, n->values, row->full, &why, &at);
	if (r)
		print_error("%s at %zu of %.*s\n", why, at, (int)row->len, row->text);
	assert_int_equal(r, 0);
	assert_int_equal(row_apply(&n->row, n->values), 0);
	n->sequence = row->sequence;
	n->rows++;
	n->full_rows += row->full;
	n->answered = row->answer ? row->answer : n->answered;
	return 0;
}

static int on_close(void *data)
{
	return 0;
}

static const struct xml_sink sink = {on_open, on_stanza, on_row, on_close};

static void *serve(void *data)
{
	struct node *n = data;
	n->result = hmon_serve(&monitor, NULL, NULL, n->monitor_fd);
	return NULL;
}

static void begin(struct node *n, int buffer)
{
	int fds[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	if (buffer)
		setsockopt(fds[1], SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer);
	*n = (struct node){.fd = fds[0], .monitor_fd = fds[1], .xml = xml_new(&sink, n)};
	xml_trust(n->xml);
	count = gauge_step = start_error = blob_size = 0;
	plugged = failing = false;
	assert_int_equal(pthread_create(&n->thread, NULL, serve, n), 0);
}

static void say(struct node *n, const char *s)
{
	assert_int_equal(write(n->fd, s, strlen(s)), strlen(s));
}

static void greet(struct node *n, const char *section)
{
	char text[500];
	snprintf(text, sizeof text,
	    "<hmon version='1' role='vigiad'><config query='describe' id='1'>%s</config>", section);
	say(n, text);
}

static void listen_for(struct node *n, int milliseconds)
{
	static char bytes[65536];
	struct timespec from, now;
	clock_gettime(CLOCK_MONOTONIC, &from);
	for (int left = milliseconds; left > 0;) {
		struct pollfd p = {.fd = n->fd, .events = POLLIN};
		ssize_t got = poll(&p, 1, left) > 0 ? read(n->fd, bytes, sizeof bytes) : -1;
		if (got > 0)
			assert_int_equal(xml_feed(n->xml, bytes, (size_t)got), 0);
		clock_gettime(CLOCK_MONOTONIC, &now);
		left = milliseconds -
		       (int)((now.tv_sec - from.tv_sec) * 1000 + (now.tv_nsec - from.tv_nsec) / 1000000);
	}
}

static void end_with(struct node *n, int result)
{
	shutdown(n->fd, SHUT_WR);
	pthread_join(n->thread, NULL);
	close(n->fd);
	forget(n);
	row_release(&n->row);
	xml_free(n->xml);
	assert_int_equal(n->result, result);
}

static void end(struct node *n)
{
	end_with(n, 0);
}

/* --- stories --- */

static struct node n;

static void a_monitor_announces_then_sends_each_period(void **state)
{
	begin(&n, 0);
	greet(&n, "who = me");
	listen_for(&n, 205);
	assert_int_equal(n.config->n, 3);
	assert_in_range(n.rows, 15, 22);
	assert_int_equal(n.full_rows, 1);
	assert_int_equal(n.config->period_ns, 0);
	assert_string_equal(n.values[1].text, "me");
	assert_true(n.values[0].number >= n.rows - 1);
	end(&n);
}

static void the_node_names_the_section_it_started(void **state)
{
	begin(&n, 0);
	say(&n, "<hmon version='1' role='vigiad'><config query='describe' id='1' monitor='disk-2'/>");
	listen_for(&n, 30);
	assert_string_equal(n.name, "disk-2");
	end(&n);
}

static void an_update_is_answered_at_once(void **state)
{
	begin(&n, 0);
	greet(&n, "period = 0");
	listen_for(&n, 30);
	assert_int_equal(n.rows, 1);
	say(&n, "<monitor query='update' id='42'/>");
	listen_for(&n, 30);
	assert_int_equal(n.rows, 2);
	assert_int_equal(n.answered, 42);
	assert_int_equal(n.values[0].number, 2);
	end(&n);
}

static void instances_make_a_new_generation(void **state)
{
	begin(&n, 0);
	greet(&n, "");
	listen_for(&n, 50);
	assert_int_equal(n.generation, 1);
	plugged = true;
	listen_for(&n, 50);
	assert_int_equal(n.generation, 2);
	assert_int_equal(config_find(n.config, "net/eth0/rx"), 3);
	assert_true(n.values[3].number > 1000);
	assert_int_equal(n.values[4].kind, VALUE_NONE);
	plugged = false;
	listen_for(&n, 50);
	assert_int_equal(n.generation, 3);
	assert_int_equal(n.config->n, 3);
	end(&n);
}

static void a_node_that_does_not_read_misses_periods(void **state)
{
	begin(&n, 4096);
	blob_size = 1000;
	greet(&n, "");
	usleep(400000);
	int before = count;
	assert_in_range(before, 2, 20); /* it stopped measuring, too */
	listen_for(&n, 100);
	assert_true(count > before + 5);
	assert_true(n.full_rows >= 2);
	assert_true(n.values[0].number >= before);
	end(&n);
}

static void wrong_options_are_answered_and_can_be_mended(void **state)
{
	begin(&n, 0);
	greet(&n, "\nwhom = me");
	listen_for(&n, 30);
	assert_non_null(strstr(n.errors, "line 2: no such option 'whom'"));
	say(&n, "<monitor query='update' id='2'/>");
	listen_for(&n, 30);
	assert_non_null(strstr(n.errors, "not configured"));
	assert_int_equal(n.rows, 0);
	say(&n, "<config query='describe' id='3'>who = you</config>");
	listen_for(&n, 50);
	assert_string_equal(n.values[1].text, "you");
	say(&n, "<config query='describe' id='4'>who = us period = 20ms</config>");
	listen_for(&n, 50);
	assert_string_equal(n.values[1].text, "us");
	assert_int_equal(n.generation, 2);
	end(&n);
}

static void who_can_not_take_its_options_ends_with_an_error(void **state)
{
	begin(&n, 0);
	greet(&n, "whom = me");
	listen_for(&n, 30);
	end_with(&n, -EINVAL);
}

static void a_section_is_checked_and_nothing_else_happens(void **state)
{
	begin(&n, 0);
	say(&n, "<hmon version='1' role='vigiad'><config query='check' id='1'>who = me\nwhom = you</config>");
	listen_for(&n, 30);
	assert_string_equal(n.errors, "[line 2: no such option 'whom'; expected one of who period window program enabled]");
	*n.errors = '\0';
	say(&n, "<config query='check' id='2'>who = me</config>");
	listen_for(&n, 30);
	assert_string_equal(n.errors, "");
	assert_true(n.checked);
	assert_int_equal(n.rows, 0);
	end(&n);
}

static void a_failing_read_is_told_once(void **state)
{
	begin(&n, 0);
	failing = true;
	greet(&n, "");
	listen_for(&n, 100);
	assert_string_equal(n.errors, "[can't read: Input/output error]");
	failing = false;
	listen_for(&n, 50);
	failing = true;
	listen_for(&n, 50);
	assert_string_equal(n.errors, "[can't read: Input/output error][can't read: Input/output error]");
	end(&n);
}

static void a_window_gives_means(void **state)
{
	begin(&n, 0);
	gauge_step = 10;
	greet(&n, "period = 400ms window = 300ms");
	listen_for(&n, 900);
	/* three samples each; the counter is the last, the gauge the middle one */
	assert_int_equal(n.values[2].number, (n.values[0].number - 1) * 10 * 10);
	end(&n);
}

static void strange_words_do_no_harm(void **state)
{
	begin(&n, 0);
	greet(&n, "");
	say(&n, "<beat n='5'/>\x16<node monitor='test' id='3'/><what query='ever' id='9'/><new/>"
		"<monitor generation='1' sequence='1'>1</monitor>");
	listen_for(&n, 50);
	assert_string_equal(n.errors, "[a monitor knows describe, check and update]");
	assert_true(n.rows > 1);
	end(&n);
}

static void a_node_that_is_none_is_left(void **state)
{
	begin(&n, 0);
	say(&n, "<html>");
	pthread_join(n.thread, NULL);
	assert_int_equal(n.result, -EPROTO);
	close(n.fd);
	xml_free(n.xml);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_monitor_announces_then_sends_each_period),
	    cmocka_unit_test(the_node_names_the_section_it_started),
	    cmocka_unit_test(an_update_is_answered_at_once),
	    cmocka_unit_test(instances_make_a_new_generation),
	    cmocka_unit_test(a_node_that_does_not_read_misses_periods),
	    cmocka_unit_test(wrong_options_are_answered_and_can_be_mended),
	    cmocka_unit_test(who_can_not_take_its_options_ends_with_an_error),
	    cmocka_unit_test(a_section_is_checked_and_nothing_else_happens),
	    cmocka_unit_test(a_failing_read_is_told_once),
	    cmocka_unit_test(a_window_gives_means),
	    cmocka_unit_test(strange_words_do_no_harm),
	    cmocka_unit_test(a_node_that_is_none_is_left),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
