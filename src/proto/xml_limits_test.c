/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

/* Run from the release build, where malloc counts: what a peer sends takes less than a mebibyte before it is refused. */
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/listener_test.h"

enum { MEBIBYTE = 1 << 20, PIECE = 65536 };

static size_t taken(void)
{
	struct mallinfo2 m = mallinfo2();
	return m.uordblks + m.hblkhd;
}

/* Feeds `head`, then `again` over and over, at most `most` bytes. The refusal's text; fails when memory grew. */
static void refused_within_bounds(const char *head, const char *again, size_t most, const char *why)
{
	struct heard h = {0};
	size_t len = strlen(again), n = 0, fed = strlen(head), peak = 0;
	char *piece = malloc(PIECE + len);
	while (n < PIECE) {
		memcpy(piece + n, again, len);
		n += len;
	}
	size_t before = taken();
	struct xml *x = xml_new(&listener, &h);
	int r = xml_feed(x, head, fed);
	while (!r && fed < most) {
		r = xml_feed(x, piece, n);
		fed += n;
		size_t now = taken() - before;
		peak = now > peak ? now : peak;
	}
	assert_int_equal(r, -EPROTO);
	if (!strstr(xml_why(x), why))
		fail_msg("%s", xml_why(x));
	printf("# %s: %zu KiB\n", xml_why(x), peak / 1024);
	assert_true(peak < MEBIBYTE);
	assert_int_equal(h.stanzas + h.rows, 0);
	xml_free(x);
	assert_true(taken() <= before + 65536);
	buf_release(&h.text);
	free(piece);
}

static void two_million_levels(void **state)
{
	refused_within_bounds("<hmon>", "<a>", 3 * 2000000, "deeper than");
}

static void an_attribute_of_200_megabytes(void **state)
{
	refused_within_bounds("<hmon><monitor name='", "xxxxxxxxxxxxxxxx", 200000000, "a tag of more than");
}

static void a_name_of_200_megabytes(void **state)
{
	refused_within_bounds("<hmon><monitor", "xxxxxxxxxxxxxxxx", 200000000, "a tag of more than");
}

static void a_comment_of_200_megabytes(void **state)
{
	refused_within_bounds("<hmon><!--", "xxxxxxxxxxxxxxxx", 200000000, "a tag of more than");
}

static void attributes_without_end(void **state)
{
	refused_within_bounds("<hmon><monitor ", "a='' ", 300000 * 5, "a tag of more than");
}

static void children_without_end(void **state)
{
	refused_within_bounds("<hmon><config>", "<metric/>", 200000000, "a stanza of more than");
}

static void a_text_without_end(void **state)
{
	refused_within_bounds("<hmon><a>", "xxxxxxxxxxxxxxxx", 200000000, "a stanza of more than");
}

static void a_row_without_end(void **state)
{
	refused_within_bounds("<hmon><monitor generation='1' sequence='1'>", "1 ", 200000000, "a stanza of more than");
}

static void cdata_without_end(void **state)
{
	refused_within_bounds("<hmon><a><![CDATA[", "x", 200000000, "a stanza of more than");
}

static void entities_without_end(void **state)
{
	refused_within_bounds("<!DOCTYPE hmon [", "<!ENTITY a 'aaaaaaaaaaaa'>", 200000000, "DOCTYPE");
}

/* Names are all that a parser keeps: they are refused by number. */
static void strange_names_without_end(void **state)
{
	struct heard h = {0};
	char stanza[128];
	size_t before = taken();
	struct xml *x = xml_new(&listener, &h);
	int i, r = xml_feed(x, "<hmon>", 6);
	for (i = 0; !r && i < 1000000; i++)
		r = xml_feed(x, stanza, (size_t)snprintf(stanza, sizeof stanza, "<e%d/>", i));
	assert_int_equal(r, -EPROTO);
	assert_int_equal(i, XML_STRANGE_MAX + 1);
	assert_true(taken() - before < MEBIBYTE);
	xml_free(x);
	buf_release(&h.text);
}

static int deaf(void *data, const struct msg *m)
{
	return 0;
}

static int deaf_row(void *data, const struct xml_row *r)
{
	return 0;
}

/* A connection that lives for years must not take more each day. */
static void a_million_good_stanzas_take_no_memory(void **state)
{
	static const struct xml_sink sink = {deaf, deaf, deaf_row, hear_close};
	static const char good[] = "<monitor generation='1' sequence='7'>+1.3 5</monitor>\n<beat n='1'/><!-- x --><?p i?>"
				   "<monitor><v n='a'>1</v></monitor>";
	struct xml *x = xml_new(&sink, NULL);
	xml_feed(x, "<hmon>", 6);
	for (int i = 0; i < 1000; i++)
		xml_feed(x, good, sizeof good - 1);
	size_t before = taken();
	for (int i = 0; i < 330000; i++)
		assert_int_equal(xml_feed(x, good, sizeof good - 1), 0);
	assert_true(taken() <= before + 4096);
	xml_free(x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(two_million_levels),
	    cmocka_unit_test(an_attribute_of_200_megabytes),
	    cmocka_unit_test(a_name_of_200_megabytes),
	    cmocka_unit_test(a_comment_of_200_megabytes),
	    cmocka_unit_test(attributes_without_end),
	    cmocka_unit_test(children_without_end),
	    cmocka_unit_test(a_text_without_end),
	    cmocka_unit_test(a_row_without_end),
	    cmocka_unit_test(cdata_without_end),
	    cmocka_unit_test(entities_without_end),
	    cmocka_unit_test(strange_names_without_end),
	    cmocka_unit_test(a_million_good_stanzas_take_no_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
