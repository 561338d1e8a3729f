/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/dice_test.h"
#include "proto/listener_test.h"

static const char conversation[] =
    "<?xml version='1.0' encoding='UTF-8'?>\n<!-- hello -->\n<hmon version=\"1\" role='monitor'>\n"
    "<config monitor=\"load\" period=\"1000\"><metric name=\"a&lt;b\" odd=''>mean &amp; r\xc3\xbcn &#x20AC;</metric>\n"
    " <metric name=\"b\"/></config><?pi nothing?>\n"
    "<monitor><v n=\"a\">0.42</v><v n='b' none='yes'/></monitor>"
    "<monitor generation=\"1\" sequence=\"17\" time=\"1763839000123456789\">+2.3 51!&quot;ok \\&quot; \xc3\xa4&quot;~7.120</monitor>"
    "<monitor generation='2' sequence='18' full='yes' id='3' boot='5' answer='9'><![CDATA[1 \"<&>\"]]></monitor>"
    "<beat n=\"1\"/><strange x=\"y\"><deep><deeper/></deep></strange>\n</hmon>\n";

static const char understood[] =
    "open hmon version=[1] role=[monitor]()\n"
    "config monitor=[load] period=[1000](metric name=[a<b] odd=[] {mean & r\xc3\xbcn \xe2\x82\xac}()\nmetric name=[b]()\n)\n"
    "monitor(v n=[a] {0.42}()\nv n=[b] none=[yes]()\n)\n"
    "row 0 0 0 1 17 1763839000123456789 0 {+2.3 51!\"ok \\\" \xc3\xa4\"~7.120}\n"
    "row 9 3 5 2 18 0 1 {1 \"<&>\"}\n"
    "beat n=[1]()\n"
    "strange x=[y](deep(deeper()\n)\n)\n"
    "close\n";

static int hear(struct heard *h, struct xml *x, const char *bytes, size_t n)
{
	/* Memory of just that size: a sanitizer sees every step too far. */
	char *copy = malloc(n + !n);
	memcpy(copy, bytes, n);
	int r = xml_feed(x, copy, n);
	free(copy);
	return r;
}

static void check_heard(struct heard *h)
{
	assert_string_equal(buf_str(&h->text), understood);
	assert_int_equal(h->opened, 1);
	assert_int_equal(h->closed, 1);
	assert_int_equal(h->stanzas, 4);
	assert_int_equal(h->rows, 2);
	buf_release(&h->text);
}

static void stanzas_split_at_every_byte_give_the_same_messages(void **state)
{
	size_t n = sizeof conversation - 1;
	for (size_t at = 0; at <= n; at++) {
		struct heard h = {0};
		struct xml *x = xml_new(&listener, &h);
		assert_int_equal(hear(&h, x, conversation, at), 0);
		assert_int_equal(hear(&h, x, conversation + at, n - at), 0);
		check_heard(&h);
		xml_free(x);
	}
}

static void stanzas_in_pieces_of_any_size_give_the_same_messages(void **state)
{
	size_t n = sizeof conversation - 1;
	for (size_t piece = 1; piece < 40; piece++) {
		struct heard h = {0};
		struct xml *x = xml_new(&listener, &h);
		for (size_t at = 0; at < n; at += piece)
			assert_int_equal(hear(&h, x, conversation + at, n - at < piece ? n - at : piece), 0);
		check_heard(&h);
		xml_free(x);
	}
}

static void a_stanza_is_heard_when_its_last_byte_has_come(void **state)
{
	struct heard h = {0};
	struct xml *x = xml_new(&listener, &h);
	hear(&h, x, "<hmon>", 6);
	assert_int_equal(h.opened, 1);
	hear(&h, x, "<beat n='1'/", 12);
	assert_int_equal(h.stanzas, 0);
	hear(&h, x, ">", 1);
	assert_int_equal(h.stanzas, 1);
	hear(&h, x, "<monitor generation='1' sequence='1'>5</monitor", 47);
	assert_int_equal(h.rows, 0);
	hear(&h, x, ">", 1);
	assert_int_equal(h.rows, 1);
	xml_free(x);
	buf_release(&h.text);
}

/* What was heard when it broke off is a beginning of the whole, to a line: nothing half. */
static void what_is_cut_off_anywhere_gives_no_half_stanza(void **state)
{
	for (size_t n = 0; n < sizeof conversation - 1; n++) {
		struct heard h = {0};
		struct xml *x = xml_new(&listener, &h);
		assert_int_equal(hear(&h, x, conversation, n), 0);
		const char *text = buf_str(&h.text);
		size_t len = strlen(text);
		assert_memory_equal(text, understood, len);
		assert_true(!len || text[len - 1] == '\n');
		xml_free(x);
		buf_release(&h.text);
	}
}

/* --- refused --- */

static struct xml *refused(const char *bytes, size_t n, struct heard *h)
{
	struct xml *x = xml_new(&listener, h);
	if (hear(h, x, bytes, n) != -EPROTO)
		fail_msg("\"%.200s\" was taken", bytes);
	assert_int_not_equal(*xml_why(x), '\0');
	assert_int_equal(xml_feed(x, " ", 1), -EPROTO);
	return x;
}

static const struct {
	const char *bytes, *why;
} bad[] = {
    {"<client/>", "begins with <client>, not <hmon>"},
    {"GET / HTTP/1.1\r\n", "not well-formed"},
    {"\x16\x03\x01", "not well-formed"},
    {"<hmon></hmon><hmon>", "not well-formed"},
    {"<hmon></client>", "mismatched"},
    {"<hmon><a></b>", "mismatched"},
    {"<hmon><a x='1' x='2'/>", "duplicate"},
    {"<hmon><a x=1/>", "not well-formed"},
    {"<hmon><a>&unknown;</a>", "entity"},
    {"<hmon><a>&#0;</a>", "character"},
    {"<hmon><a>&#xD800;</a>", "character"},
    {"<hmon><a>&#22;</a>", "character"},
    {"<hmon><a>]]></a>", "not well-formed"},
    {"<!DOCTYPE hmon><hmon>", "DOCTYPE"},
    {"<!DOCTYPE hmon [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;&a;'>]><hmon>&b;", "DOCTYPE"},
    {"<!DOCTYPE hmon SYSTEM 'file:///etc/passwd'><hmon>", "DOCTYPE"},
    {"<?xml version='1.0' encoding='ISO-8859-1'?><!DOCTYPE hmon>", "DOCTYPE"},
    {"<hmon><a>\xff</a>", "not well-formed"},
    {"<hmon><a>\xc3</a>", "not well-formed"},
    {"<hmon><a>\xc0\x80</a>", "not well-formed"},
    {"<hmon><a>\xed\xa0\x80</a>", "not well-formed"},
    {"<hmon><a>\xf4\x90\x80\x80</a>", "not well-formed"},
    {"<hmon><a x='\xff'/>", "not well-formed"},
    {"<hmon><\xff/>", "not well-formed"},
    {"<hmon><a>\x01</a>", "not well-formed"},
    {"<hmon><monitor generation='1' sequence='1'><v/></monitor>", "<v> inside values in order"},
    {"<hmon><monitor generation='x' sequence='1'/>", "generation is not a number"},
    {"<hmon><monitor generation='1' sequence='-1'/>", "sequence is not a number"},
    {"<hmon><monitor generation='1' sequence='1' time='9223372036854775808'/>", "time is not a number"},
    {"<hmon><monitor generation='1' sequence='1' boot=''/>", "boot is not a number"},
    {"<hmon><monitor generation='1' sequence='&#9;1'/>", "sequence is not a number"},
    {"<hmon><config><metric><a><c><b/></c></a></metric></config>", "<b>: deeper than 5"},
};

static void what_is_refused_says_why(void **state)
{
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct heard h = {0};
		struct xml *x = refused(bad[i].bytes, strlen(bad[i].bytes), &h);
		if (!strstr(xml_why(x), bad[i].why))
			fail_msg("\"%s\": %s", bad[i].bytes, xml_why(x));
		assert_int_equal(h.stanzas + h.rows, 0);
		xml_free(x);
		buf_release(&h.text);
	}
}

static void a_zero_byte_is_refused_wherever_it_stands(void **state)
{
	static const char xml[] = "<hmon version='1'><a b='c'>text</a>";
	for (size_t at = 0; at < sizeof xml - 1; at++) {
		struct heard h = {0};
		char bytes[sizeof xml];
		memcpy(bytes, xml, sizeof xml);
		bytes[at] = '\0';
		xml_free(refused(bytes, sizeof xml - 1, &h));
		assert_int_equal(h.stanzas, 0);
		buf_release(&h.text);
	}
}

static void good_ones_before_a_bad_one_are_heard(void **state)
{
	static const char xml[] = "<hmon><beat n='1'/><beat n='2'/><bad";
	struct heard h = {0};
	struct xml *x = xml_new(&listener, &h);
	assert_int_equal(hear(&h, x, xml, sizeof xml - 1), 0);
	assert_int_equal(hear(&h, x, "<", 1), -EPROTO);
	assert_int_equal(h.stanzas, 2);
	xml_free(x);
	buf_release(&h.text);
}

static int grumpy(void *data, const struct msg *m)
{
	return -ENODATA;
}

static void what_a_callback_returns_stops_the_parser(void **state)
{
	static const struct xml_sink sink = {hear_open, grumpy, hear_row, hear_close};
	struct heard h = {0};
	struct xml *x = xml_new(&sink, &h);
	static const char xml[] = "<hmon><a/><monitor generation='1' sequence='1'/>";
	assert_int_equal(xml_feed(x, xml, sizeof xml - 1), -ENODATA);
	assert_int_equal(xml_feed(x, "<a/>", 4), -ENODATA);
	assert_int_equal(h.rows, 0);
	xml_free(x);
	buf_release(&h.text);
}

/* --- limits, to the byte --- */

/* A stream whose one stanza's tag, text or all of it has n bytes. */
static int feed_tag(size_t n, size_t piece)
{
	struct heard h = {0};
	struct buf b = BUF_INIT;
	buf_puts(&b, "<hmon>");
	size_t start = b.len;
	buf_puts(&b, "<monitor name='");
	while (b.len < start + n - 3)
		buf_putc(&b, 'x');
	buf_puts(&b, "'/>");
	struct xml *x = xml_new(&listener, &h);
	int r = 0;
	for (size_t at = 0; at < b.len && !r; at += piece)
		r = hear(&h, x, b.data + at, b.len - at < piece ? b.len - at : piece);
	assert_int_equal(h.stanzas, r ? 0 : 1);
	if (r)
		assert_non_null(strstr(xml_why(x), "a tag of more than 8192"));
	xml_free(x);
	buf_release(&b);
	buf_release(&h.text);
	return r;
}

static void a_tag_has_at_most_8192_bytes_however_it_comes(void **state)
{
	static const size_t pieces[] = {100, 1000, 4096, 5000, 100000};
	for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
		assert_int_equal(feed_tag(XML_TAG_MAX, pieces[i]), 0);
		assert_int_equal(feed_tag(XML_TAG_MAX + 1, pieces[i]), -EPROTO);
		assert_int_equal(feed_tag(XML_TAG_MAX + 4096, pieces[i]), -EPROTO);
		assert_int_equal(feed_tag(XML_TAG_MAX * 8, pieces[i]), -EPROTO);
	}
}

static int feed_stanza(bool trusted, size_t n, size_t piece)
{
	struct heard h = {0};
	struct buf b = BUF_INIT;
	buf_puts(&b, "<hmon>");
	size_t start = b.len;
	buf_puts(&b, "<config>");
	while (b.len < start + n - 9 - 2100)
		buf_putf(&b, "<metric>%02000d</metric>", 0);
	buf_puts(&b, "<m>");
	while (b.len < start + n - 9 - 4)
		buf_putc(&b, 'x');
	buf_puts(&b, "</m></config>");
	assert_int_equal(b.len - start, n);
	struct xml *x = xml_new(&listener, &h);
	if (trusted)
		xml_trust(x);
	int r = 0;
	for (size_t at = 0; at < b.len && !r; at += piece)
		r = hear(&h, x, b.data + at, b.len - at < piece ? b.len - at : piece);
	assert_int_equal(h.stanzas, r ? 0 : 1);
	if (r)
		assert_non_null(strstr(xml_why(x), trusted ? "of more than 2097152" : "of more than 16384"));
	xml_free(x);
	buf_release(&b);
	buf_release(&h.text);
	return r;
}

static void a_stanza_has_at_most_16384_bytes_until_the_peer_is_trusted(void **state)
{
	static const size_t pieces[] = {100, 1000, 4096, 5000, 100000};
	for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
		assert_int_equal(feed_stanza(false, XML_STANZA_FIRST, pieces[i]), 0);
		assert_int_equal(feed_stanza(false, XML_STANZA_FIRST + 1, pieces[i]), -EPROTO);
		assert_int_equal(feed_stanza(true, XML_STANZA_FIRST + 1, pieces[i]), 0);
	}
	assert_int_equal(feed_stanza(true, XML_STANZA_MAX, 65536), 0);
	assert_int_equal(feed_stanza(true, XML_STANZA_MAX + 1, 65536), -EPROTO);
}

static int feed_text(size_t n, const char *before, const char *after)
{
	struct heard h = {0};
	struct xml *x = xml_new(&listener, &h);
	char *text = malloc(n);
	memset(text, '5', n);
	xml_trust(x);
	hear(&h, x, before, strlen(before));
	int r = hear(&h, x, text, n);
	if (!r)
		r = hear(&h, x, after, strlen(after));
	if (r)
		assert_non_null(strstr(xml_why(x), "a text of more than 1048576"));
	assert_int_equal(h.stanzas + h.rows, r ? 0 : 1);
	free(text);
	xml_free(x);
	buf_release(&h.text);
	return r;
}

static void a_text_has_at_most_a_mebibyte(void **state)
{
	static const char row[] = "<hmon><monitor generation='1' sequence='1'>";
	assert_int_equal(feed_text(XML_TEXT_MAX, "<hmon><a>", "</a>"), 0);
	assert_int_equal(feed_text(XML_TEXT_MAX + 1, "<hmon><a>", "</a>"), -EPROTO);
	assert_int_equal(feed_text(XML_TEXT_MAX, row, "</monitor>"), 0);
	assert_int_equal(feed_text(XML_TEXT_MAX + 1, row, "</monitor>"), -EPROTO);
}

static int feed_attributes(int n)
{
	struct heard h = {0};
	struct buf b = BUF_INIT;
	buf_puts(&b, "<hmon><monitor");
	for (int i = 0; i < n; i++)
		buf_putf(&b, " a%d=''", i);
	buf_puts(&b, "/>");
	struct xml *x = xml_new(&listener, &h);
	int r = hear(&h, x, b.data, b.len);
	assert_int_equal(h.stanzas, r ? 0 : 1);
	xml_free(x);
	buf_release(&b);
	buf_release(&h.text);
	return r;
}

static void an_element_has_at_most_32_attributes(void **state)
{
	assert_int_equal(feed_attributes(32), 0);
	assert_int_equal(feed_attributes(33), -EPROTO);
	assert_int_equal(feed_attributes(300000), -EPROTO);
}

/* Names that HMON knows cost nothing, others count once each. */
static void a_peer_has_at_most_64_strange_names(void **state)
{
	char stanza[64];
	struct heard h = {0};
	struct xml *x = xml_new(&listener, &h);
	hear(&h, x, "<hmon>", 6);
	for (int round = 0; round < 3; round++)
		for (int i = 0; i < 32; i++) {
			int n = snprintf(stanza, sizeof stanza, "<e%d monitor='x' b%d=''><metric/></e%d>", i, i, i);
			assert_int_equal(hear(&h, x, stanza, (size_t)n), 0);
		}
	assert_int_equal(hear(&h, x, "<monitor window='' query=''/>", 29), 0);
	assert_int_equal(hear(&h, x, "<monitor strange=''/>", 21), -EPROTO);
	assert_non_null(strstr(xml_why(x), "64 strange names"));
	xml_free(x);
	buf_release(&h.text);
}

/* Each two have the same 32-bit FNV-1a hash, and there are such in any number. */
static void names_made_to_look_alike_count_each(void **state)
{
	char stanza[64];
	struct heard h = {0};
	struct xml *x = xml_new(&listener, &h);
	hear(&h, x, "<hmon>", 6);
	for (int i = 0; i < 62; i++) {
		int n = snprintf(stanza, sizeof stanza, "<e%d/>", i);
		assert_int_equal(hear(&h, x, stanza, (size_t)n), 0);
	}
	assert_int_equal(hear(&h, x, "<costarring/><liquid/>", 22), 0);
	assert_int_equal(hear(&h, x, "<liquid/><costarring/>", 22), 0);
	static const char more[] = "<declinate/><macallums/>";
	assert_int_equal(hear(&h, x, more, sizeof more - 1), -EPROTO);
	xml_free(x);
	buf_release(&h.text);
}

/* --- writing --- */

static size_t put_utf8(char *s, uint32_t c)
{
	size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
	static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
	for (size_t i = n; i-- > 1; c >>= 6)
		s[i] = (char)(0x80 | (c & 0x3f));
	s[0] = (char)(lead[n] | c);
	return n;
}

static bool in_xml(uint32_t c)
{
	return c == 9 || c == 10 || c == 13 || (c >= 0x20 && c < 0xd800) || (c > 0xdfff && c < 0xfffe) || c > 0xffff;
}

struct echo {
	char *attribute, *text;
};

static int on_echo(void *data, const struct msg *m)
{
	struct echo *e = data;
	e->attribute = strdup(msg_get(m, "name", "-"));
	e->text = strdup(m->text);
	return 0;
}

static int no_open(void *data, const struct msg *m)
{
	return 0;
}

static struct echo echoed(const char *s)
{
	static const struct xml_sink sink = {no_open, on_echo, hear_row, hear_close};
	struct echo e = {0};
	struct buf b = BUF_INIT;
	struct xml *x = xml_new(&sink, &e);
	struct msg *m = msg_new("monitor");
	msg_set(m, "name", s);
	msg_text(m, s, strlen(s));
	buf_puts(&b, "<hmon>");
	xml_put(&b, m);
	if (xml_feed(x, b.data, b.len))
		fail_msg("%s: %s", buf_str(&b), xml_why(x));
	buf_release(&b);
	msg_free(m);
	xml_free(x);
	return e;
}

static void check_echo(const char *s, const char *expected)
{
	struct echo e = echoed(s);
	assert_string_equal(e.attribute, expected);
	assert_string_equal(e.text, expected);
	free(e.attribute);
	free(e.text);
}

/* A few hundred at a time; what XML does not have is shown as question marks, one a byte. */
static void every_character_is_written_so_that_it_reads_the_same(void **state)
{
	char s[2048], expected[2048];
	size_t n = 0, m = 0;
	for (uint32_t c = 1; c <= 0x10ffff; c++) {
		size_t len = put_utf8(s + n, c);
		if (in_xml(c))
			memcpy(expected + m, s + n, len);
		else
			memset(expected + m, '?', len);
		n += len;
		m += len;
		if (n > 1000 || c == 0x10ffff) {
			s[n] = expected[m] = '\0';
			check_echo(s, expected);
			n = m = 0;
		}
	}
}

static void bytes_that_are_no_characters_become_question_marks(void **state)
{
	check_echo("a\xff" "b", "a?b");
	check_echo("cut \xe2\x82", "cut ??");
	check_echo("\xe2\x82<", "?" "?<");
	check_echo("\xc0\x80", "??");
	check_echo("\x80\xbf", "??");
	check_echo("\x16\x01", "??");
	check_echo("\xc3\xa4\xc3", "\xc3\xa4?");
}

static void rows_are_written_so_that_they_read_the_same(void **state)
{
	struct heard h = {0};
	struct buf b = BUF_INIT;
	struct xml_row full = {9, 3, 5, 1, 17, 1763839000123456789, true, "1 \"<&>\n\"", 8};
	struct xml_row least = {.generation = 1, .sequence = INT64_MAX, .text = "", .len = 0};
	struct xml *x = xml_new(&listener, &h);
	buf_puts(&b, "<hmon>");
	xml_put_row(&b, &full);
	xml_put_row(&b, &least);
	assert_int_equal(xml_feed(x, b.data, b.len), 0);
	assert_string_equal(buf_str(&h.text), "open hmon()\nrow 9 3 5 1 17 1763839000123456789 1 {1 \"<&>\n\"}\n"
					      "row 0 0 0 1 9223372036854775807 0 0 {}\n");
	xml_free(x);
	buf_release(&b);
	buf_release(&h.text);
}

static const char *random_text(void)
{
	static char s[64];
	static const char *const parts[] = {"a", "<", ">", "&", "\"", "'", " ", "\n", "\t", "\r", "]]>", "&lt;", "\xc3\xa4",
	    "\xf0\x9f\x92\x9a", "--", "<!--"};
	size_t n = 0;
	s[0] = '\0';
	for (size_t k = dice_below(8); k; k--)
		n += (size_t)snprintf(s + n, sizeof s - n, "%s", parts[dice_below(sizeof parts / sizeof *parts)]);
	return s;
}

static void fill(struct msg *m, int depth)
{
	static const char *const fields[] = {"name", "time", "unit", "state"};
	static const char *const children[] = {"v", "metric", "p"};
	for (size_t i = 0; i < 4; i++)
		if (dice_below(2))
			msg_set(m, fields[i], random_text());
	size_t n = depth < 3 ? dice_below(4) : 0;
	if (!n) {
		const char *s = random_text();
		msg_text(m, s, strlen(s));
	}
	while (n--)
		fill(msg_child(m, children[dice_below(3)]), depth + 1);
}

static void any_message_that_is_written_reads_back_equal(void **state)
{
	dice_begin();
	for (int i = 0; i < 3000; i++) {
		struct heard h = {0};
		struct buf b = BUF_INIT, expected = BUF_INIT;
		struct xml *x = xml_new(&listener, &h);
		struct msg *m = msg_new("monitor");
		fill(m, 0);
		buf_puts(&b, "<hmon>");
		xml_put(&b, m);
		buf_puts(&expected, "open hmon()\n");
		write_down(&expected, m);
		if (xml_feed(x, b.data, b.len))
			fail_msg("%s: %s", buf_str(&b), xml_why(x));
		assert_string_equal(buf_str(&h.text), buf_str(&expected));
		msg_free(m);
		xml_free(x);
		buf_release(&b);
		buf_release(&expected);
		buf_release(&h.text);
	}
}

static void numbers_and_flags_are_written_as_the_page_has_them(void **state)
{
	struct buf b = BUF_INIT;
	struct msg *m = msg_new("monitor");
	msg_set_int(m, "time", INT64_MAX);
	msg_set_flag(m, "full", true);
	msg_set_flag(m, "known", false);
	xml_put(&b, m);
	assert_string_equal(buf_str(&b), "<monitor time=\"9223372036854775807\" full=\"yes\" known=\"no\"/>\n");
	msg_free(m);
	buf_release(&b);
}

static void bytes_are_written_as_base64(void **state)
{
	struct buf b = BUF_INIT;
	struct msg *m = msg_new("event");
	msg_set_bytes(m, "data", "\xfb\xff\x00\x01", 4);
	msg_set_bytes(m, "none", "", 0);
	xml_put(&b, m);
	assert_string_equal(buf_str(&b), "<event data=\"+/8AAQ==\" none=\"\"/>\n");
	msg_free(m);
	buf_release(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(stanzas_split_at_every_byte_give_the_same_messages),
	    cmocka_unit_test(stanzas_in_pieces_of_any_size_give_the_same_messages),
	    cmocka_unit_test(a_stanza_is_heard_when_its_last_byte_has_come),
	    cmocka_unit_test(what_is_cut_off_anywhere_gives_no_half_stanza),
	    cmocka_unit_test(what_is_refused_says_why),
	    cmocka_unit_test(a_zero_byte_is_refused_wherever_it_stands),
	    cmocka_unit_test(good_ones_before_a_bad_one_are_heard),
	    cmocka_unit_test(what_a_callback_returns_stops_the_parser),
	    cmocka_unit_test(a_tag_has_at_most_8192_bytes_however_it_comes),
	    cmocka_unit_test(a_stanza_has_at_most_16384_bytes_until_the_peer_is_trusted),
	    cmocka_unit_test(a_text_has_at_most_a_mebibyte),
	    cmocka_unit_test(an_element_has_at_most_32_attributes),
	    cmocka_unit_test(a_peer_has_at_most_64_strange_names),
	    cmocka_unit_test(names_made_to_look_alike_count_each),
	    cmocka_unit_test(every_character_is_written_so_that_it_reads_the_same),
	    cmocka_unit_test(bytes_that_are_no_characters_become_question_marks),
	    cmocka_unit_test(rows_are_written_so_that_they_read_the_same),
	    cmocka_unit_test(any_message_that_is_written_reads_back_equal),
	    cmocka_unit_test(numbers_and_flags_are_written_as_the_page_has_them),
	    cmocka_unit_test(bytes_are_written_as_base64),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
