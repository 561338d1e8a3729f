/* SPDX-License-Identifier: Apache-2.0 */
#include "hmon/session.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "hmon/clock.h"
#include "hmon/stream.h"
#include "hmon/text.h"
#include "proto/row.h"

enum { ERRORS_MAX = 65536 }; /* bytes waiting, above which errors stay in the log */

struct session {
	struct hmon *h;
	const struct session_terms *terms;
	struct stream stream;
	struct buf row; /* the one being made; kept for its memory */
	int64_t generation, sequence;
	bool measuring; /* options were taken and the config sent */
	bool full;	/* the next row stands on its own */
	bool closed;	/* the node said </hmon> */
	int result;	/* of the options taken last */
	struct tick tick;
};

/* --- saying --- */

static void say_error(struct session *s, int64_t answer, const char *code, const char *text)
{
	struct msg *m = msg_new("error");
	if (!m)
		return;
	if (answer)
		msg_set_int(m, "answer", answer);
	msg_set(m, "code", code);
	msg_text(m, text, strlen(text));
	if (!msg_failed(m))
		xml_put(&s->stream.out, m);
	msg_free(m);
}

static void tell_node(void *data, const char *line)
{
	struct session *s = data;
	if (s->stream.out.len < ERRORS_MAX)
		say_error(s, 0, "failed", line);
}

static void put_attribute(struct buf *out, const char *name, const char *value)
{
	buf_putf(out, " %s=\"", name);
	xml_escape(out, value, strlen(value));
	buf_putc(out, '"');
}

static const char *const type_names[] = {
    [HMON_GAUGE] = "gauge", [HMON_COUNTER] = "counter", [HMON_STATE] = "state", [HMON_TEXT] = "text"};

static void put_doc(struct buf *out, const char *doc)
{
	char clean[METRIC_DOC_MAX + 1];
	text_clean(clean, sizeof clean, doc ? doc : "");
	xml_escape(out, clean, strlen(clean));
}

static void put_metric(struct buf *out, const struct set *set, size_t position)
{
	buf_puts(out, "<metric name=\"");
	const struct hmon_metric *m = set_metric(set, position, out);
	buf_putf(out, "\" type=\"%s\"", type_names[m->type]);
	if (m->type == HMON_GAUGE || m->type == HMON_COUNTER)
		put_attribute(out, "unit", m->unit ? m->unit : "1");
	if (m->scale)
		buf_putf(out, " scale=\"%d\"", m->scale);
	buf_putc(out, '>');
	put_doc(out, m->doc);
	buf_puts(out, "</metric>\n");
}

static void say_config(struct session *s, int64_t answer)
{
	struct buf *out = &s->stream.out;
	const struct options *o = &s->h->options;
	buf_puts(out, "<config");
	if (answer)
		buf_putf(out, " answer=\"%lld\"", (long long)answer);
	put_attribute(out, "monitor", s->h->name);
	buf_putf(out, " period=\"%lld\" window=\"%lld\" generation=\"%lld\"", (long long)o->period_ms,
	    (long long)o->window_ms, (long long)s->generation);
	if (s->terms->secret)
		put_attribute(out, "secret", s->terms->secret);
	buf_puts(out, ">\n");
	for (size_t i = 0; i < s->h->set.n; i++)
		put_metric(out, &s->h->set, i);
	buf_puts(out, "</config>\n");
	s->h->set.changed = false;
	s->full = true;
}

static void say_values(struct session *s, int64_t answer, int64_t time_ns)
{
	struct set *set = &s->h->set;
	if (set->changed) {
		s->generation++;
		say_config(s, 0);
	}
	buf_clear(&s->row);
	row_encode(&s->row, s->full ? NULL : set->before, set->now, set->n);
	struct xml_row row = {.answer = answer,
	    .generation = s->generation,
	    .sequence = ++s->sequence,
	    .time_ns = time_ns,
	    .full = s->full,
	    .text = s->row.data,
	    .len = s->row.len};
	xml_put_row(&s->stream.out, &row);
	s->stream.out.failed |= s->row.failed;
	set_sent(set);
	s->full = false;
}

/* --- measuring --- */

static void next_tick(struct session *s)
{
	const struct options *o = &s->h->options;
	s->tick = clock_next(clock_monotonic_ns(), o->period_ms * 1000000, o->window_ms * 1000000);
}

static void measure(struct session *s, int64_t answer)
{
	int64_t time_ns = clock_wall_ns();
	monitor_read(s->h);
	if (s->h->options.window_ms)
		set_means_take(&s->h->set);
	say_values(s, answer, time_ns);
}

/* A node that does not read misses periods; what it gets next is whole. */
static void period_over(struct session *s)
{
	if (stream_clogged(&s->stream))
		s->full = true;
	else
		measure(s, 0);
}

static void on_tick(struct session *s)
{
	if (s->tick.first)
		set_means_clear(&s->h->set);
	if (s->tick.last)
		period_over(s);
	else
		monitor_read(s->h);
	next_tick(s);
}

/* --- what the node says --- */

static int64_t query_id(const struct msg *m)
{
	int64_t id = 0;
	msg_get_int(m, "id", &id);
	return id;
}

/* People read lines. */
static void log_mistakes(struct hmon *h, const char *text)
{
	for (const char *end; *text; text = end + (*end == '\n')) {
		end = strchrnul(text, '\n');
		hmon_log(h, LOG_ERR, "options: %.*s", (int)(end - text), text);
	}
}

static int configure(struct session *s, const char *text, struct buf *why)
{
	s->h->tell = NULL; /* the answer will tell */
	int r = monitor_configure(s->h, text, why);
	if (r) {
		if (!why->len)
			buf_puts(why, strerror(-r));
		log_mistakes(s->h, buf_str(why));
		s->tick.at_ns = INT64_MAX;
	}
	s->h->tell = tell_node;
	s->measuring = !r;
	s->result = r;
	return r;
}

/* The first asks for all; a later one brings changed options. The node that started us says under which name
 * (one program may serve several sections). Measuring may take long, so the config goes first. */
static int on_describe(struct session *s, const struct msg *m)
{
	int64_t id = query_id(m);
	const char *own = s->terms->options, *name = msg_get(m, "monitor", NULL);
	if (name)
		monitor_name(s->h, name);
	struct buf why = BUF_INIT;
	int r = configure(s, own ? own : m->text, &why);
	if (r)
		say_error(s, id, "failed", buf_str(&why));
	buf_release(&why);
	if (r)
		return 0;
	s->generation++;
	say_config(s, id);
	s->tick = (struct tick){.at_ns = clock_monotonic_ns(), .first = true, .last = true};
	return stream_flush(&s->stream);
}

static int on_check(struct session *s, const struct msg *m)
{
	struct buf why = BUF_INIT;
	if (monitor_check(s->h, m->text, &why))
		say_error(s, query_id(m), "bad-argument", buf_str(&why));
	else
		buf_putf(&s->stream.out, "<config answer=\"%lld\"/>\n", (long long)query_id(m));
	buf_release(&why);
	return 0;
}

static int on_update(struct session *s, const struct msg *m)
{
	if (s->measuring)
		measure(s, query_id(m));
	else
		say_error(s, query_id(m), "unavailable", "the monitor is not configured");
	return 0;
}

static int on_registered(struct session *s, const struct msg *m)
{
	const char *secret = msg_get(m, "secret", NULL);
	monitor_well(s->h);
	if (secret && s->terms->keep_secret)
		s->terms->keep_secret(s->terms->data, secret);
	return 0;
}

static int on_error(struct session *s, const struct msg *m)
{
	monitor_trouble(s->h, "the node says %s: %s", msg_get(m, "code", "error"), m->text);
	return 0;
}

static int on_beat(struct session *s, const struct msg *m)
{
	int64_t n;
	if (!msg_get_int(m, "n", &n))
		buf_putf(&s->stream.out, "<beat answer=\"%lld\"/>\n", (long long)n);
	return 0;
}

static const struct {
	const char *name, *query; /* query NULL: an information */
	int (*take)(struct session *s, const struct msg *m);
} stanzas[] = {
    {"config", "describe", on_describe},
    {"config", "check", on_check},
    {"monitor", "update", on_update},
    {"node", NULL, on_registered},
    {"error", NULL, on_error},
    {"beat", NULL, on_beat},
};

static bool same(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

static int on_stanza(void *data, const struct msg *m)
{
	struct session *s = data;
	const char *query = msg_get(m, "query", NULL);
	for (size_t i = 0; i < sizeof stanzas / sizeof *stanzas; i++)
		if (!strcmp(stanzas[i].name, m->name) && same(stanzas[i].query, query))
			return stanzas[i].take(s, m);
	if (query)
		say_error(s, query_id(m), "unknown-query", "a monitor knows describe, check and update");
	return 0;
}

static int on_open(void *data, const struct msg *m)
{
	return strcmp(msg_get(m, "role", ""), "vigiad") ? -EPROTO : 0;
}

static int on_row(void *data, const struct xml_row *row)
{
	return 0;
}

static int on_close(void *data)
{
	struct session *s = data;
	s->closed = true;
	return 0;
}

static const struct xml_sink sink = {.open = on_open, .stanza = on_stanza, .row = on_row, .close = on_close};

/* --- the loop --- */

static struct timespec until(int64_t at_ns)
{
	int64_t left = at_ns - clock_monotonic_ns();
	if (left < 0)
		left = 0;
	return (struct timespec){.tv_sec = left / 1000000000, .tv_nsec = left % 1000000000};
}

static int await(struct session *s, short *ret_socket, short *ret_end)
{
	struct pollfd fds[] = {{.fd = s->stream.fd, .events = stream_events(&s->stream)},
	    {.fd = s->h->end_fd, .events = POLLIN}};
	struct timespec left = until(s->tick.at_ns);
	if (ppoll(fds, 2, s->tick.at_ns == INT64_MAX ? NULL : &left, NULL) < 0 && errno != EINTR)
		return -errno;
	*ret_socket = fds[0].revents;
	*ret_end = fds[1].revents;
	return 0;
}

static int leave(struct session *s)
{
	xml_put_close(&s->stream.out);
	stream_flush(&s->stream);
	return -ECANCELED;
}

static int turn(struct session *s)
{
	short socket = 0, end = 0;
	int r = await(s, &socket, &end);
	if (!r && end)
		r = leave(s);
	if (!r && (socket & ~POLLOUT))
		r = stream_read(&s->stream);
	if (!r && clock_monotonic_ns() >= s->tick.at_ns)
		on_tick(s);
	return r ? r : stream_flush(&s->stream);
}

static int serve(struct session *s)
{
	static const char opening[] = "<hmon version=\"1\" role=\"monitor\">\n";
	buf_puts(&s->stream.out, opening);
	int r = stream_flush(&s->stream);
	while (!r && !s->closed)
		r = turn(s);
	return r == -EPIPE || r == -ECONNRESET || !r ? s->result : r;
}

int session_run(struct hmon *h, int fd, const struct session_terms *terms)
{
	struct session s = {.h = h, .terms = terms, .tick = {.at_ns = INT64_MAX}};
	int r = stream_init(&s.stream, fd, &sink, &s);
	if (r)
		return r;
	h->tell = tell_node;
	h->teller = &s;
	r = serve(&s);
	if (r == -EPROTO)
		monitor_trouble(h, "the node's stream: %s", xml_why(s.stream.xml));
	h->tell = NULL;
	stream_release(&s.stream);
	buf_release(&s.row);
	return r;
}
