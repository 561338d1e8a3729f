/* SPDX-License-Identifier: Apache-2.0 */
/* What the codec of frames costs alone: CPU of a query whose message has 64 bytes, written and read; of an
 *event with 64 bytes of data; of cutting a stream; beside them the same query as XML.
 *
 *	frames [SECONDS [NAME]]	each, or the one of this name, for so long (0.2)
 *
 * Result lines: name value unit.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "proto/frame.h"
#include "proto/xml.h"

enum { BATCH = 1000 };

static struct {
	struct msg *query;
	struct frame_route route;
	struct frame_event event;
	struct buf query_frame, event_frame, events, xml_text, out;
	struct xml *xml;
	uint64_t seen;
} b;

static void stop(const char *what)
{
	fprintf(stderr, "frames: %s\n", what);
	exit(1);
}

static double cpu_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* --- what is measured; each returns how many it has done --- */

static size_t write_query(void)
{
	buf_clear(&b.out);
	for (int i = 0; i < BATCH; i++)
		frame_put_query(&b.out, 0, (uint64_t)i + 1, &b.route, b.query);
	return BATCH;
}

static struct frame frame_in(const struct buf *whole)
{
	struct frame f;
	const char *why;
	if (frame_read(whole->data, whole->len, &f, &why))
		stop(why);
	return f;
}

static size_t read_query(void)
{
	for (int i = 0; i < BATCH; i++) {
		struct frame f = frame_in(&b.query_frame);
		struct frame_route route;
		struct msg *m;
		const char *why;
		if (frame_get_query(&f, &route, &m, &why))
			stop(why);
		b.seen += (uint64_t)route.deadline_ms;
		msg_free(m);
	}
	return BATCH;
}

static size_t pass_query_on(void)
{
	buf_clear(&b.out);
	for (int i = 0; i < BATCH; i++) {
		struct frame f = frame_in(&b.query_frame);
		struct frame_route route;
		const char *why;
		size_t at;
		if (frame_get_route(&f, &route, &at, &why))
			stop(why);
		frame_put_query_bytes(&b.out, f.flags, (uint64_t)i + 1, &route, f.payload + at, f.n - at);
	}
	return BATCH;
}

static size_t write_event(void)
{
	buf_clear(&b.out);
	for (int i = 0; i < BATCH; i++) {
		b.event.sequence++;
		frame_put_event(&b.out, 1, &b.event);
	}
	return BATCH;
}

static size_t read_event(void)
{
	for (int i = 0; i < BATCH; i++) {
		struct frame f = frame_in(&b.event_frame);
		struct frame_event e;
		if (frame_get_event(&f, &e))
			stop("an event");
		b.seen += e.sequence + e.data[0];
	}
	return BATCH;
}

static int on_frame(void *data, const struct frame *f)
{
	b.seen += f->number + f->payload[0];
	return 0;
}

/* As a socket gives it: 64 KiB at a time, wherever that cuts. */
static size_t cut_events(void)
{
	struct frame_cutter c = {0};
	for (size_t at = 0; at < b.events.len; at += 65536)
		if (frame_cut(&c, b.events.data + at, b.events.len - at < 65536 ? b.events.len - at : 65536,
			on_frame, NULL))
			stop("cutting");
	frame_cutter_release(&c);
	return b.events.len / b.event_frame.len;
}

static size_t write_xml(void)
{
	buf_clear(&b.out);
	for (int i = 0; i < BATCH; i++)
		xml_put(&b.out, b.query);
	return BATCH;
}

static size_t read_xml(void)
{
	for (int i = 0; i < BATCH; i++)
		if (xml_feed(b.xml, b.xml_text.data, b.xml_text.len))
			stop(xml_why(b.xml));
	return BATCH;
}

/* The least that anyone can do: the frame's bytes from here to there. */
static size_t copy(void)
{
	buf_clear(&b.out);
	for (int i = 0; i < BATCH; i++)
		buf_put(&b.out, b.query_frame.data, b.query_frame.len);
	return BATCH;
}

static const struct {
	const char *name;
	size_t (*run)(void);
} measures[] = {{"query_write", write_query}, {"query_read", read_query}, {"query_pass_on", pass_query_on},
    {"event_write", write_event}, {"event_read", read_event}, {"event_cut", cut_events}, {"floor_copy", copy},
    {"xml_write", write_xml}, {"xml_read", read_xml}};

/* --- setting up --- */

static int on_msg(void *data, const struct msg *m)
{
	b.seen += m->name[0];
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

static void set_up(void)
{
	static const struct xml_sink sink = {on_msg, on_msg, on_row, on_close};
	static const uint8_t data[64] = "an event's data";
	b.query = msg_new("process");
	msg_set(b.query, "query", "list");
	msg_set(b.query, "program", "solver*");
	msg_set_int(b.query, "uid", 100000);
	msg_set_int(b.query, "at-most", 100);
	msg_set_flag(b.query, "follow", true);
	b.route.deadline_ms = 1000;
	b.event =
	    (struct frame_event){.time_ns = 1700000000000000000, .tag = 1, .data = data, .n = sizeof data};
	frame_put_query(&b.query_frame, 0, 1, &b.route, b.query);
	frame_put_event(&b.event_frame, 1, &b.event);
	for (int i = 0; i < 20000; i++)
		buf_put(&b.events, b.event_frame.data, b.event_frame.len);
	xml_put(&b.xml_text, b.query);
	b.xml = xml_new(&sink, NULL);
	if (!b.xml || xml_feed(b.xml, "<hmon>", 6))
		stop("XML");
}

static void measure(size_t i, double ns)
{
	double begun = cpu_ns(), took;
	size_t n = 0;
	do
		n += measures[i].run();
	while ((took = cpu_ns() - begun) < ns);
	printf("%s %.1f ns\n", measures[i].name, took / (double)n);
}

int main(int argc, char **argv)
{
	set_up();
	printf("query_bytes %zu B\nevent_bytes %zu B\nxml_bytes %zu B\n", b.query_frame.len,
	    b.event_frame.len, b.xml_text.len);
	for (size_t i = 0; i < sizeof measures / sizeof *measures; i++)
		if (argc < 3 || !strcmp(argv[2], measures[i].name))
			measure(i, (argc > 1 ? atof(argv[1]) : 0.2) * 1e9);
	return b.seen == 1;
}
