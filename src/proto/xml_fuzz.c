/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a stream: heard the same whole and in pieces, and what was heard reads the same when it is written. */
#include <stdlib.h>
#include <string.h>

#include "base/fuzz.h"
#include "proto/listener_test.h"

struct copied {
	struct heard heard;
	struct buf xml;
	bool mixed; /* text and elements in one: HMON has no such thing, and it is not kept */
};

static bool is_mixed(const struct msg *m)
{
	if (m->children && *m->text)
		return true;
	for (const struct msg *c = m->children; c; c = c->next)
		if (is_mixed(c))
			return true;
	return false;
}

static int copy_stanza(void *data, const struct msg *m)
{
	struct copied *c = data;
	xml_put(&c->xml, m);
	c->mixed = c->mixed || is_mixed(m);
	return hear_stanza(&c->heard, m);
}

static int copy_row(void *data, const struct xml_row *r)
{
	struct copied *c = data;
	xml_put_row(&c->xml, r);
	return hear_row(&c->heard, r);
}

static int copy_open(void *data, const struct msg *m)
{
	struct copied *c = data;
	xml_put_open(&c->xml, m);
	return hear_open(&c->heard, m);
}

static int copy_close(void *data)
{
	struct copied *c = data;
	xml_put_close(&c->xml);
	return hear_close(&c->heard);
}

static const struct xml_sink copier = {copy_open, copy_stanza, copy_row, copy_close};

static struct copied hear_in_pieces(const char *bytes, size_t n, size_t piece)
{
	struct copied c = {0};
	struct xml *x = xml_new(&copier, &c);
	int r = 0;
	xml_trust(x);
	for (size_t at = 0; at < n && !r; at += piece)
		r = xml_feed(x, bytes + at, n - at < piece ? n - at : piece);
	if (r && !*xml_why(x))
		abort();
	xml_free(x);
	return c;
}

static void check_same(struct copied *a, struct copied *b)
{
	if (strcmp(buf_str(&a->heard.text), buf_str(&b->heard.text)))
		abort();
}

static void copied_release(struct copied *c)
{
	buf_release(&c->heard.text);
	buf_release(&c->xml);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *bytes = (const char *)data;
	/* Where a limit is passed in the middle of a token only the refusal's place may differ. */
	bool small = size <= XML_TAG_MAX;
	struct copied whole = hear_in_pieces(bytes, size, size + 1);
	struct copied pieces = hear_in_pieces(bytes, size, size ? 1 + data[size / 2] % 16u : 1);
	if (small)
		check_same(&whole, &pieces);
	struct copied again = hear_in_pieces(whole.xml.data ? whole.xml.data : "", whole.xml.len, 4096);
	if (!whole.mixed && whole.xml.len <= XML_TAG_MAX)
		check_same(&whole, &again);
	copied_release(&whole);
	copied_release(&pieces);
	copied_release(&again);
	return 0;
}
