/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/xml.h"

#include <errno.h>
#include <expat.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/base64.h"
#include "proto/chars.h"

enum { TEXT_KEEP = 16384, FEED_PIECE = 4096 };

struct xml {
	XML_Parser parser;
	const struct xml_sink *sink;
	void *data;
	struct msg *stanza, *path[XML_DEPTH_MAX + 1];
	struct buf text;
	struct xml_row row;
	bool in_row;
	int depth; /* 0: outside, 1: in <hmon>, 2: in a stanza ... */
	int error;
	int64_t fed, stanza_start, stanza_max;
	int strange_n;
	uint64_t strange[XML_STRANGE_MAX], key;
	char why[160];
};

/* --- refusing --- */

static void refuse(struct xml *x, int error)
{
	if (!x->error)
		x->error = error;
	XML_StopParser(x->parser, XML_FALSE);
}

#define refuse_because(x, ...) \
	do { \
		if (!(x)->error) \
			snprintf((x)->why, sizeof(x)->why, __VA_ARGS__); \
		refuse(x, -EPROTO); \
	} while (0)

const char *xml_why(const struct xml *x)
{
	return x->why;
}

/* --- names that HMON does not know: allowed, for newer peers, but expat keeps each for ever --- */

static const char *const known_names[] = {"ack", "answer", "beat", "boot", "c", "client", "code", "config", "count", "deadline", "digest", "doc",
    "end", "error", "event", "follow", "from", "full", "generation", "gone", "heard", "hmon", "id", "known",
    "lost", "m", "machine", "master", "max", "mean", "memory", "metric", "metrics", "min", "mode",
    "monitor", "monitor-id", "monitors", "n", "name", "node", "nodes", "none", "of", "p", "partial",
    "period", "problem", "processors", "query", "reason", "role", "scale", "secret", "send", "sequence",
    "since", "state", "step", "system", "t", "time", "to", "transport", "type", "u", "unit", "update", "v",
    "version", "window"};

static int compare_name(const void *name, const void *entry)
{
	return strcmp(name, *(const char *const *)entry);
}

static bool known(const char *name)
{
	return bsearch(name, known_names, sizeof known_names / sizeof *known_names, sizeof *known_names,
	    compare_name);
}

/* Keyed at random, so that nobody makes a thousand names that count as one: the name as a polynomial over the key,
 * modulo 2^61-1. (A SHA would do too, but libcrypto costs each monitor half a megabyte.) */
static uint64_t hash(const struct xml *x, const char *s)
{
	const uint64_t prime = (UINT64_C(1) << 61) - 1;
	unsigned __int128 h = 1;
	for (; *s; s++)
		h = (h * x->key + (unsigned char)*s) % prime;
	return (uint64_t)h;
}

static bool strange_name_allowed(struct xml *x, const char *name)
{
	if (known(name))
		return true;
	uint64_t h = hash(x, name);
	for (int i = 0; i < x->strange_n; i++)
		if (x->strange[i] == h)
			return true;
	if (x->strange_n == XML_STRANGE_MAX)
		return false;
	x->strange[x->strange_n++] = h;
	return true;
}

/* --- reading --- */

static const char *attribute(const char **atts, const char *name)
{
	for (; *atts; atts += 2)
		if (!strcmp(atts[0], name))
			return atts[1];
	return NULL;
}

static bool names_allowed(struct xml *x, const char *name, const char **atts)
{
	int n = 0;
	if (!strange_name_allowed(x, name))
		return false;
	for (; atts[0]; atts += 2)
		if (++n > XML_ATTRIBUTES_MAX || !strange_name_allowed(x, atts[0]))
			return false;
	return true;
}

static void take_attributes(struct msg *m, const char **atts)
{
	for (; atts[0]; atts += 2)
		msg_set(m, atts[0], atts[1]);
}

static const struct {
	const char *name;
	size_t offset;
} row_fields[] = {
    {"answer", offsetof(struct xml_row, answer)},
    {"boot", offsetof(struct xml_row, boot)},
    {"generation", offsetof(struct xml_row, generation)},
    {"id", offsetof(struct xml_row, id)},
    {"sequence", offsetof(struct xml_row, sequence)},
    {"time", offsetof(struct xml_row, time_ns)},
};

static int64_t *row_field(struct xml_row *row, const char *name)
{
	for (size_t i = 0; i < sizeof row_fields / sizeof *row_fields; i++)
		if (!strcmp(row_fields[i].name, name))
			return (int64_t *)((char *)row + row_fields[i].offset);
	return NULL;
}

static void begin_row(struct xml *x, const char **atts)
{
	x->in_row = true;
	x->row = (struct xml_row){0};
	for (; atts[0]; atts += 2) {
		int64_t *field = row_field(&x->row, atts[0]);
		if (field && (msg_parse_int(atts[1], field) || *field < 0))
			refuse_because(x, "<monitor>: %s is not a number from 0 to 2^63-1", atts[0]);
	}
}

static void begin_stanza(struct xml *x, const char *name, const char **atts)
{
	x->stanza_start = XML_GetCurrentByteIndex(x->parser);
	if (!strcmp(name, "monitor") && attribute(atts, "sequence") && !attribute(atts, "query") &&
	    attribute(atts, "generation")) {
		const char *full = attribute(atts, "full");
		begin_row(x, atts);
		x->row.full = full && !strcmp(full, "yes");
		return;
	}
	x->stanza = x->path[0] = msg_new(name);
	if (!x->stanza) {
		refuse(x, -ENOMEM);
		return;
	}
	take_attributes(x->stanza, atts);
}

static void begin_child(struct xml *x, const char *name, const char **atts)
{
	if (x->in_row) {
		refuse_because(x, "<%s> inside values in order", name);
		return;
	}
	int level = x->depth - 2;
	x->path[level] = msg_child(x->path[level - 1], name);
	take_attributes(x->path[level], atts);
}

static void open_stream(struct xml *x, const char *name, const char **atts)
{
	if (strcmp(name, "hmon")) {
		refuse_because(x, "the stream begins with <%.40s>, not <hmon>", name);
		return;
	}
	struct msg *m = msg_new(name);
	if (!m) {
		refuse(x, -ENOMEM);
		return;
	}
	take_attributes(m, atts);
	int r = msg_failed(m) ? -ENOMEM : x->sink->open(x->data, m);
	msg_free(m);
	if (r < 0)
		refuse(x, r);
}

static void XMLCALL on_start(void *data, const char *name, const char **atts)
{
	struct xml *x = data;
	if (x->error)
		return;
	buf_clear(&x->text);
	if (XML_GetCurrentByteCount(x->parser) > XML_TAG_MAX) {
		refuse_because(x, "<%.40s>: a tag of more than %d bytes", name, XML_TAG_MAX);
		return;
	}
	if (!names_allowed(x, name, atts)) {
		refuse_because(x, "<%.40s>: more than %d attributes, or %d strange names on this connection", name,
		    XML_ATTRIBUTES_MAX, XML_STRANGE_MAX);
		return;
	}
	x->depth++;
	if (x->depth == 1)
		open_stream(x, name, atts);
	else if (x->depth == 2)
		begin_stanza(x, name, atts);
	else if (x->depth <= XML_DEPTH_MAX + 1)
		begin_child(x, name, atts);
	else
		refuse_because(x, "<%.40s>: deeper than %d elements", name, XML_DEPTH_MAX + 1);
}

/* Up to the end of the token at hand. */
static int64_t stanza_bytes(const struct xml *x)
{
	return XML_GetCurrentByteIndex(x->parser) + XML_GetCurrentByteCount(x->parser) - x->stanza_start;
}

static void refuse_stanza(struct xml *x)
{
	refuse_because(x, "a stanza of more than %lld bytes", (long long)x->stanza_max);
}

static int end_row(struct xml *x)
{
	x->in_row = false;
	x->row.text = x->text.len ? x->text.data : "";
	x->row.len = x->text.len;
	return x->sink->row(x->data, &x->row);
}

static int end_stanza(struct xml *x)
{
	struct msg *m = x->stanza;
	x->stanza = NULL;
	int r = msg_failed(m) ? -ENOMEM : x->sink->stanza(x->data, m);
	msg_free(m);
	return r;
}

static void XMLCALL on_end(void *data, const char *name)
{
	struct xml *x = data;
	if (x->error)
		return;
	int level = x->depth-- - 2;
	int r = 0;
	if (level >= 0 && stanza_bytes(x) > x->stanza_max) {
		refuse_stanza(x);
		return;
	}
	if (level >= 0 && !x->in_row && x->text.len)
		msg_text(x->path[level], x->text.data, x->text.len);
	if (level < 0)
		r = x->sink->close(x->data);
	else if (level == 0)
		r = x->in_row ? end_row(x) : end_stanza(x);
	if (x->text.size > TEXT_KEEP)
		buf_release(&x->text);
	buf_clear(&x->text);
	if (r < 0)
		refuse(x, r);
}

static void XMLCALL on_text(void *data, const char *s, int n)
{
	struct xml *x = data;
	if (x->error || x->depth < 2)
		return;
	if (x->text.len + (size_t)n > XML_TEXT_MAX) {
		refuse_because(x, "a text of more than %d bytes", XML_TEXT_MAX);
		return;
	}
	buf_put(&x->text, s, (size_t)n);
	if (x->text.failed)
		refuse(x, -ENOMEM);
}

static void XMLCALL on_doctype(void *data, const char *name, const char *sysid, const char *pubid, int internal)
{
	struct xml *x = data;
	refuse_because(x, "a DOCTYPE is not allowed");
}

struct xml *xml_new(const struct xml_sink *sink, void *data)
{
	struct xml *x = calloc(1, sizeof *x);
	if (!x)
		return NULL;
	x->parser = XML_ParserCreate("UTF-8");
	if (!x->parser) {
		free(x);
		return NULL;
	}
	if (getrandom(&x->key, sizeof x->key, GRND_NONBLOCK) < 0)
		x->key = (uintptr_t)x;
	x->key %= (UINT64_C(1) << 61) - 1;
	x->sink = sink;
	x->data = data;
	x->stanza_max = XML_STANZA_FIRST;
#ifdef HAVE_REPARSE_DEFERRAL
	/* Else a tag that came in two reads is only seen when more has come after it. */
	XML_SetReparseDeferralEnabled(x->parser, XML_FALSE);
#endif
	XML_SetUserData(x->parser, x);
	XML_SetElementHandler(x->parser, on_start, on_end);
	XML_SetCharacterDataHandler(x->parser, on_text);
	XML_SetStartDoctypeDeclHandler(x->parser, on_doctype);
	return x;
}

void xml_trust(struct xml *x)
{
	x->stanza_max = XML_STANZA_MAX;
}

void xml_free(struct xml *x)
{
	if (!x)
		return;
	XML_ParserFree(x->parser);
	msg_free(x->stanza);
	buf_release(&x->text);
	free(x);
}

static int parser_error(struct xml *x)
{
	if (!x->error) {
		snprintf(x->why, sizeof x->why, "not well-formed XML at byte %lld: %s",
		    (long long)XML_GetCurrentByteIndex(x->parser),
		    XML_ErrorString(XML_GetErrorCode(x->parser)));
		x->error = -EPROTO;
	}
	return x->error;
}

/* What expat holds back is one unfinished token: that, and the stanza so far, are bounded here. */
static int check_sizes(struct xml *x)
{
	int64_t at = XML_GetCurrentByteIndex(x->parser);
	if (at >= 0 && x->fed - at > XML_TAG_MAX)
		refuse_because(x, "a tag of more than %d bytes at byte %lld", XML_TAG_MAX, (long long)at);
	else if (x->depth >= 2 && x->fed - x->stanza_start > x->stanza_max)
		refuse_stanza(x);
	return x->error;
}

int xml_feed(struct xml *x, const char *bytes, size_t n)
{
	while (n && !x->error) {
		size_t piece = n < FEED_PIECE ? n : FEED_PIECE;
		x->fed += (int64_t)piece;
		if (XML_Parse(x->parser, bytes, (int)piece, 0) != XML_STATUS_OK)
			return parser_error(x);
		check_sizes(x);
		bytes += piece;
		n -= piece;
	}
	return x->error;
}

/* --- writing --- */

static const char *const escapes[256] = {
    ['&'] = "&amp;", ['<'] = "&lt;", ['>'] = "&gt;", ['"'] = "&quot;", ['\n'] = "&#10;", ['\t'] = "&#9;",
    ['\r'] = "&#13;"};

void xml_escape(struct buf *out, const char *s, size_t n)
{
	const unsigned char *u = (const unsigned char *)s;
	size_t from = 0, length;
	for (size_t i = 0; i < n; i += length) {
		length = u[i] >= 0x20 && u[i] < 0x80 ? 1 : chars_one(s + i, n - i);
		if (length && !escapes[u[i]])
			continue;
		buf_put(out, s + from, i - from);
		buf_puts(out, escapes[u[i]] ? escapes[u[i]] : "?");
		length = 1;
		from = i + 1;
	}
	buf_put(out, s + from, n - from);
}

static void put_field(struct buf *out, const struct msg_field *f)
{
	buf_putc(out, ' ');
	buf_puts(out, f->name);
	buf_puts(out, "=\"");
	if (f->type == MSG_INT)
		buf_put_int(out, f->number);
	else if (f->type == MSG_FLAG)
		buf_puts(out, f->number ? "yes" : "no");
	else if (f->type == MSG_BYTES)
		base64_put(out, f->bytes, f->n);
	else
		xml_escape(out, f->text, f->n);
	buf_putc(out, '"');
}

static void put_tag(struct buf *out, const struct msg *m)
{
	buf_putc(out, '<');
	buf_puts(out, m->name);
	for (const struct msg_field *f = m->fields; f; f = f->next)
		put_field(out, f);
}

static void put_element(struct buf *out, const struct msg *m)
{
	put_tag(out, m);
	if (!m->children && !*m->text) {
		buf_puts(out, "/>");
		return;
	}
	buf_putc(out, '>');
	xml_escape(out, m->text, strlen(m->text));
	for (const struct msg *c = m->children; c; c = c->next)
		put_element(out, c);
	buf_puts(out, "</");
	buf_puts(out, m->name);
	buf_putc(out, '>');
}

void xml_put_open(struct buf *out, const struct msg *hmon)
{
	put_tag(out, hmon);
	buf_puts(out, ">\n");
}

void xml_put_close(struct buf *out)
{
	buf_puts(out, "</hmon>\n");
}

void xml_put(struct buf *out, const struct msg *stanza)
{
	put_element(out, stanza);
	buf_putc(out, '\n');
}

static void put_row_field(struct buf *out, const char *name, int64_t n)
{
	buf_puts(out, name);
	buf_put_int(out, n);
	buf_putc(out, '"');
}

void xml_put_row(struct buf *out, const struct xml_row *row)
{
	buf_puts(out, "<monitor");
	if (row->answer)
		put_row_field(out, " answer=\"", row->answer);
	if (row->id)
		put_row_field(out, " id=\"", row->id);
	if (row->boot)
		put_row_field(out, " boot=\"", row->boot);
	put_row_field(out, " generation=\"", row->generation);
	put_row_field(out, " sequence=\"", row->sequence);
	if (row->time_ns)
		put_row_field(out, " time=\"", row->time_ns);
	if (row->full)
		buf_puts(out, " full=\"yes\"");
	buf_putc(out, '>');
	xml_escape(out, row->text, row->len);
	buf_puts(out, "</monitor>\n");
}
