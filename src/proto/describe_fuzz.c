/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes after <hmon>, each stanza taken for a config. A config that is taken is written and read again, and has the
 * same digest. */
#include <stdlib.h>
#include <string.h>

#include "base/fuzz.h"
#include "proto/describe.h"
#include "proto/xml.h"

static int on_open(void *data, const struct msg *m)
{
	return 0;
}

static int on_row(void *data, const struct xml_row *r)
{
	return 0;
}

static int on_close(void *data)
{
	return 0;
}

static struct config *read_config(const struct msg *m)
{
	char why[100] = "";
	struct config *c = NULL;
	int r = describe_read(&c, m, why, sizeof why);
	if (r && !*why)
		abort();
	return r ? NULL : c;
}

static int on_again(void *data, const struct msg *m)
{
	*(struct config **)data = read_config(m);
	return 0;
}

static struct config *through_xml(const struct config *c)
{
	static const struct xml_sink sink = {on_open, on_again, on_row, on_close};
	struct config *again = NULL;
	struct buf b = BUF_INIT;
	struct xml *x = xml_new(&sink, &again);
	struct msg *m = msg_new("config");
	describe_write(m, c, NULL, NULL);
	buf_puts(&b, "<hmon>");
	xml_put(&b, m);
	xml_trust(x);
	if (xml_feed(x, b.data, b.len))
		abort();
	buf_release(&b);
	msg_free(m);
	xml_free(x);
	return again;
}

static int on_config(void *data, const struct msg *m)
{
	struct config *c = read_config(m);
	if (!c)
		return 0;
	struct config *again = through_xml(c);
	if (!again || again->digest != c->digest || again->n != c->n)
		abort();
	config_unref(again);
	config_unref(c);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct xml_sink sink = {on_open, on_config, on_row, on_close};
	struct xml *x = xml_new(&sink, NULL);
	xml_trust(x);
	if (!xml_feed(x, "<hmon>", 6))
		xml_feed(x, (const char *)data, size);
	xml_free(x);
	return 0;
}
