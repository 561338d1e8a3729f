/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as the payload of a query, and of an answer. What reads comes back the same, is passed on the
 * same, and is well-formed as XML. */
#include <stdlib.h>
#include <string.h>

#include "base/fuzz.h"
#include "proto/frame.h"
#include "proto/frame_dice_test.h"
#include "proto/xml.h"

static void check(bool good)
{
	if (!good)
		abort();
}

static int on_stanza(void *data, const struct msg *m)
{
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

/* XML's own limits are narrower than ours. */
static void write_as_xml(const struct msg *m)
{
	static const struct xml_sink sink = {on_stanza, on_stanza, on_row, on_close};
	struct xml *x = xml_new(&sink, NULL);
	struct buf out = BUF_INIT;
	buf_puts(&out, "<hmon>");
	xml_put(&out, m);
	xml_trust(x);
	if (xml_feed(x, buf_str(&out), out.len))
		check(!strstr(xml_why(x), "not well-formed"));
	buf_release(&out);
	xml_free(x);
}

static void read_back(const struct frame *f, const struct frame_route *route, const struct msg *m)
{
	struct buf out = BUF_INIT, passed_on = BUF_INIT;
	struct frame again;
	struct frame_route same_route;
	struct msg *same = NULL;
	const char *why;
	size_t at;
	check(!frame_get_route(f, &same_route, &at, &why));
	check(!memcmp(&same_route, route, sizeof *route));
	int r = frame_put_query_bytes(&passed_on, 0, 1, route, f->payload + at, f->n - at);
	if (!frame_put_query(&out, 0, 1, route, m)) { /* shortest, so not longer than it came */
		check(!r && out.len <= passed_on.len);
		check(!frame_read(out.data, out.len, &again, &why));
		check(!frame_get_query(&again, &same_route, &same, &why) && same_message(m, same));
		check(!memcmp(&same_route, route, sizeof *route));
	} else
		check(r);
	msg_free(same);
	buf_release(&out);
	buf_release(&passed_on);
}

static void read_as_query(const struct frame *f)
{
	struct frame_route route;
	struct msg *m = NULL;
	const char *why = NULL;
	size_t at;
	if (frame_get_query(f, &route, &m, &why)) {
		check(why && frame_get_route(f, &route, &at, &why));
		return;
	}
	read_back(f, &route, m);
	write_as_xml(m);
	msg_free(m);
}

static void read_as_answer(const struct frame *f)
{
	struct msg *m = NULL;
	const char *why = NULL;
	if (frame_get_msg(f, &m, &why))
		check(why);
	else
		write_as_xml(m);
	msg_free(m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct frame f = {.kind = FRAME_QUERY, .number = 1, .payload = data, .n = size};
	read_as_query(&f);
	f.kind = FRAME_ANSWER;
	read_as_answer(&f);
	return 0;
}
