/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/dice_test.h"
#include "proto/describe.h"
#include "proto/xml.h"

/* --- a config as it would come on a stream --- */

struct taken {
	struct config *config;
	char why[200];
	int result;
};

static int on_open(void *data, const struct msg *hmon)
{
	return 0;
}

static int on_stanza(void *data, const struct msg *m)
{
	struct taken *t = data;
	t->result = describe_read(&t->config, m, t->why, sizeof t->why);
	return 0;
}

static int on_row(void *data, const struct xml_row *row)
{
	return 0;
}

static int on_close(void *data)
{
	return 0;
}

static struct taken take(const char *stanza, size_t n)
{
	static const struct xml_sink sink = {on_open, on_stanza, on_row, on_close};
	struct taken t = {.result = 1};
	struct xml *x = xml_new(&sink, &t);
	xml_trust(x);
	assert_int_equal(xml_feed(x, "<hmon>", 6), 0);
	if (xml_feed(x, stanza, n))
		fail_msg("%s", xml_why(x));
	xml_free(x);
	return t;
}

static const struct {
	const char *xml, *why; /* NULL: good */
} cases[] = {
    {"<config><metric name='a'/></config>", NULL},
    {"<config monitor='m' period='1000' window='500'><metric name='a' type='gauge' unit='s' scale='9'>doc</metric>"
     "</config>", NULL},
    {"<config>\n  <metric name='a'/>\n  <metric name='b' type='counter'/>\n</config>", NULL},
    {"<config><metric name='a' type='state'/><metric name='b' type='text'/></config>", NULL},
    {"<config><strange/><metric name='a' odd='1'/><strange/></config>", NULL},
    {"<config period='0' window='0'><metric name='a' scale='0'/></config>", NULL},
    {"<config period='31536000000'><metric name='a'/></config>", NULL},
    {"<config/>", "1 to 16384 metrics, not 0"},
    {"<config><metri name='a'/></config>", "1 to 16384 metrics, not 0"},
    {"<config><metric/></config>", "metric 1 (\"\"): a metric's name"},
    {"<config><metric name=''/></config>", "metric 1 (\"\"): a metric's name"},
    {"<config><metric name='a'/><metric name='b c'/></config>", "metric 2 (\"b c\"): a metric's name"},
    {"<config><metric name='a'/><metric name='b'/><metric name='a'/></config>", "metric 3 (\"a\"): two metrics"},
    {"<config><metric name='a' type='number'/></config>", "metric 1 (\"a\"): type is gauge"},
    {"<config><metric name='a' type=''/></config>", "metric 1 (\"a\"): type is gauge"},
    {"<config><metric name='a'/><metric name='b' scale='10'/></config>", "metric 2 (\"b\"): scale"},
    {"<config><metric name='a' scale='-1'/></config>", "metric 1 (\"a\"): scale"},
    {"<config><metric name='a' scale='x'/></config>", "metric 1 (\"a\"): scale"},
    {"<config><metric name='a' scale='256'/></config>", "metric 1 (\"a\"): scale"},
    {"<config><metric name='a' scale=''/></config>", "metric 1 (\"a\"): scale"},
    {"<config><metric name='a' type='text' scale='1'/></config>", "metric 1 (\"a\"): a state or a text has no scale"},
    {"<config><metric name='a' unit='per second'/></config>", "metric 1 (\"a\"): a unit"},
    {"<config period='-1'><metric name='a'/></config>", "durations"},
    {"<config period='1.5'><metric name='a'/></config>", "durations"},
    {"<config period='31536000001'><metric name='a'/></config>", "durations"},
    {"<config window='x'><metric name='a'/></config>", "durations"},
    {"<config period='9223372036854775807'><metric name='a'/></config>", "durations"},
};

static void configs_are_taken_or_the_text_says_what_is_wrong(void **state)
{
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct taken t = take(cases[i].xml, strlen(cases[i].xml));
		if (t.result != (cases[i].why ? -EINVAL : 0))
			fail_msg("%s: %d %s", cases[i].xml, t.result, t.why);
		if (cases[i].why && !strstr(t.why, cases[i].why))
			fail_msg("%s: %s", cases[i].xml, t.why);
		config_unref(t.config);
	}
}

static void absent_attributes_have_their_defaults(void **state)
{
	static const char xml[] = "<config><metric name='a'/><metric name='b' type='text'/><metric name='c' unit=''/></config>";
	struct taken t = take(xml, sizeof xml - 1);
	const struct metric *m = t.config->metrics;
	assert_int_equal(t.config->period_ns, 0);
	assert_int_equal(t.config->window_ns, 0);
	assert_int_equal(m[0].type, METRIC_GAUGE);
	assert_string_equal(m[0].unit, "1");
	assert_int_equal(m[0].scale, 0);
	assert_string_equal(m[0].doc, "");
	assert_string_equal(m[1].unit, "");
	assert_string_equal(m[2].unit, "1");
	config_unref(t.config);
}

/* The page's "Digest", done by hand. */
static uint64_t digest_by_hand(const char *text)
{
	unsigned char sha[SHA256_DIGEST_LENGTH];
	uint64_t digest = 0;
	SHA256((const unsigned char *)text, strlen(text), sha);
	for (int i = 0; i < 8; i++)
		digest = digest << 8 | sha[i];
	return digest;
}

static void the_digest_is_what_the_page_says(void **state)
{
	static const char xml[] = "<config monitor='load' period='1000' window='250' generation='3'>"
				  "<metric name='load/1min' unit='1' scale='2'>mean run queue</metric>"
				  "<metric name='net/eth0/rx' type='counter' unit='By'/>"
				  "<metric name='link' type='state'/><metric name='os' type='text'>name</metric></config>";
	static const char text[] = "1000 250\nload/1min\tgauge\t1\t2\nnet/eth0/rx\tcounter\tBy\t0\n"
				   "link\tstate\t\t0\nos\ttext\t\t0\n";
	char digits[17];
	uint64_t back = 0;
	struct taken t = take(xml, sizeof xml - 1);
	assert_true(t.config->digest == digest_by_hand(text));
	describe_digest(digits, t.config->digest);
	/* printf '...' | sha256sum | cut -c1-16 */
	assert_string_equal(digits, "c7e9ff5bf9370515");
	assert_int_equal(describe_digest_parse(digits, &back), 0);
	assert_true(back == t.config->digest);
	config_unref(t.config);
}

static void a_digest_is_16_hexadecimal_digits_in_lower_case(void **state)
{
	uint64_t d = 7;
	assert_int_equal(describe_digest_parse("00000000000000ff", &d), 0);
	assert_true(d == 255);
	assert_int_equal(describe_digest_parse("ffffffffffffffff", &d), 0);
	assert_true(d == UINT64_MAX);
	static const char *const bad[] = {"", "ff", "00000000000000FF", "00000000000000f", "00000000000000fff",
	    "0x000000000000ff", " 0000000000000ff", "-0000000000000ff"};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(describe_digest_parse(bad[i], &d), -EINVAL);
	assert_true(d == UINT64_MAX);
}

static void a_doc_is_cut_between_characters(void **state)
{
	char xml[1000];
	for (int lead = 250; lead < 256; lead++) {
		snprintf(xml, sizeof xml, "<config><metric name='a'>%0*d\xe2\x82\xac\xe2\x82\xac</metric></config>", lead, 0);
		struct taken t = take(xml, strlen(xml));
		size_t n = strlen(t.config->metrics[0].doc);
		assert_true(n <= METRIC_DOC_MAX);
		assert_int_equal((n - (size_t)lead) % 3, 0);
		assert_int_equal(n, lead + (255 - lead) / 3 * 3);
		config_unref(t.config);
	}
}

static struct config *random_config(size_t n)
{
	static const char *const units[] = {"1", "s", "By", "%", "Cel", "By/s"};
	struct config *c = config_new(n);
	char name[40];
	c->period_ns = (int64_t)dice_below(100000) * 1000000;
	c->window_ns = dice_below(2) ? (int64_t)dice_below(100000) * 1000000 : 0;
	for (size_t i = 0; i < n; i++) {
		enum metric_type type = (enum metric_type)dice_below(4);
		snprintf(name, sizeof name, "m'%zu/%c", i, (char)('#' + dice_below(3)));
		c->metrics[i] = (struct metric){.name = strdup(name),
		    .unit = strdup(type < METRIC_STATE ? units[dice_below(6)] : ""),
		    .doc = strdup(dice_below(2) ? "a <doc> & \"more\"" : ""),
		    .type = type,
		    .scale = type < METRIC_STATE ? (uint8_t)dice_below(10) : 0};
	}
	return c;
}

static void check_same(const struct config *a, const struct config *b)
{
	assert_int_equal(a->n, b->n);
	assert_true(a->digest == b->digest && a->period_ns == b->period_ns && a->window_ns == b->window_ns);
	for (size_t i = 0; i < a->n; i++) {
		assert_string_equal(a->metrics[i].name, b->metrics[i].name);
		assert_string_equal(a->metrics[i].unit, b->metrics[i].unit);
		assert_string_equal(a->metrics[i].doc, b->metrics[i].doc);
		assert_int_equal(a->metrics[i].type, b->metrics[i].type);
		assert_int_equal(a->metrics[i].scale, b->metrics[i].scale);
	}
}

static void what_is_written_reads_as_the_same_config(void **state)
{
	dice_begin();
	for (int i = 0; i < 300; i++) {
		const char *why;
		size_t at;
		struct buf xml = BUF_INIT;
		struct config *c = random_config(1 + dice_below(50));
		assert_int_equal(config_seal(c, &why, &at), 0);
		struct msg *m = msg_new("config");
		describe_write(m, c, NULL, NULL);
		xml_put(&xml, m);
		struct taken t = take(xml.data, xml.len);
		assert_int_equal(t.result, 0);
		check_same(t.config, c);
		config_unref(t.config);
		config_unref(c);
		msg_free(m);
		buf_release(&xml);
	}
}

static bool only_b(void *data, const char *name)
{
	return !strcmp(name, "b");
}

static void only_wanted_metrics_are_written(void **state)
{
	static const char xml[] = "<config><metric name='a'/><metric name='b'/><metric name='c'/></config>";
	struct taken t = take(xml, sizeof xml - 1);
	struct msg *m = msg_new("config");
	describe_write(m, t.config, only_b, NULL);
	assert_string_equal(msg_get(m->children, "name", ""), "b");
	assert_null(m->children->next);
	msg_free(m);
	config_unref(t.config);
}

static void names_of_nodes_and_monitors(void **state)
{
	static const struct {
		const char *name;
		bool ok;
	} names[] = {{"n1", true}, {"N-1.example_x", true}, {"1", true}, {"", false}, {".n", false}, {"-n", false},
	    {"_n", false}, {"n 1", false}, {"n/1", false}, {"n*", false}, {"\xc3\xbc", false}, {"n\n", false},
	    {"n12345678901234567890123456789012345678901234567890123456789012", true},
	    {"n123456789012345678901234567890123456789012345678901234567890123", false}};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (describe_name_ok(names[i].name) != names[i].ok)
			fail_msg("\"%s\"", names[i].name);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(configs_are_taken_or_the_text_says_what_is_wrong),
	    cmocka_unit_test(absent_attributes_have_their_defaults),
	    cmocka_unit_test(the_digest_is_what_the_page_says),
	    cmocka_unit_test(a_digest_is_16_hexadecimal_digits_in_lower_case),
	    cmocka_unit_test(a_doc_is_cut_between_characters),
	    cmocka_unit_test(what_is_written_reads_as_the_same_config),
	    cmocka_unit_test(only_wanted_metrics_are_written),
	    cmocka_unit_test(names_of_nodes_and_monitors),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
