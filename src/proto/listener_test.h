/* SPDX-License-Identifier: Apache-2.0 */
/* For tests of xml: a sink that writes down what it is told, each message in one form. */
#ifndef VIGIA_PROTO_LISTENER_TEST_H
#define VIGIA_PROTO_LISTENER_TEST_H

#include <string.h>

#include "proto/xml.h"

struct heard {
	struct buf text;
	int opened, stanzas, rows, closed;
};

static void write_down(struct buf *out, const struct msg *m)
{
	buf_puts(out, m->name);
	for (const struct msg_field *f = m->fields; f; f = f->next)
		buf_putf(out, " %s=[%s]", f->name, f->text);
	if (*m->text)
		buf_putf(out, " {%s}", m->text);
	buf_putc(out, '(');
	for (const struct msg *c = m->children; c; c = c->next)
		write_down(out, c);
	buf_puts(out, ")\n");
}

static int hear_open(void *data, const struct msg *hmon)
{
	struct heard *h = data;
	h->opened++;
	buf_puts(&h->text, "open ");
	write_down(&h->text, hmon);
	return 0;
}

static int hear_stanza(void *data, const struct msg *m)
{
	struct heard *h = data;
	h->stanzas++;
	write_down(&h->text, m);
	return 0;
}

static int hear_row(void *data, const struct xml_row *r)
{
	struct heard *h = data;
	h->rows++;
	buf_putf(&h->text, "row %lld %lld %lld %lld %lld %lld %d {%.*s}\n", (long long)r->answer, (long long)r->id,
	    (long long)r->boot, (long long)r->generation, (long long)r->sequence, (long long)r->time_ns, r->full,
	    (int)r->len, r->text);
	return 0;
}

static int hear_close(void *data)
{
	struct heard *h = data;
	h->closed++;
	buf_puts(&h->text, "close\n");
	return 0;
}

static const struct xml_sink listener = {hear_open, hear_stanza, hear_row, hear_close};

#endif
