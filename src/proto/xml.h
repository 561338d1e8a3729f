/* SPDX-License-Identifier: Apache-2.0 */
/* HMON's XML, both ways (docs/hmon.md). Reading: one expat parser for a connection's life; what is not a value row
 * becomes a struct msg. All limits stand here and hold before memory is taken.
 */
#ifndef VIGIA_PROTO_XML_H
#define VIGIA_PROTO_XML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "proto/msg.h"

enum {
	XML_TAG_MAX = 8192,	     /* bytes of one tag, attributes and all */
	XML_ATTRIBUTES_MAX = 32,     /* of one element */
	XML_DEPTH_MAX = 4,	     /* below <hmon> */
	XML_TEXT_MAX = 1 << 20,      /* of one element */
	XML_STANZA_MAX = 2 << 20,    /* of one stanza, once the owner trusts the peer with that much */
	XML_STANZA_FIRST = 16384,    /* ... until then */
	XML_STRANGE_MAX = 64,	     /* different names a peer may use that HMON does not know */
};

/* <monitor> with values in order: the hot one, handed on without becoming a msg. */
struct xml_row {
	int64_t answer;	    /* query answered; 0: none */
	int64_t id;	    /* the monitor, as its config announced; 0 on a monitor's own connection */
	int64_t boot;	    /* 0: as before */
	int64_t generation;
	int64_t sequence;
	int64_t time_ns;    /* 0: not given */
	bool full;
	const char *text;
	size_t len;
};

struct xml;

/* Each returns 0 to go on; negative stops the parser, and xml_feed returns it. A callback may not free the parser. */
struct xml_sink {
	int (*open)(void *data, const struct msg *hmon);    /* the stream's root, first of all */
	int (*stanza)(void *data, const struct msg *stanza);
	int (*row)(void *data, const struct xml_row *row);
	int (*close)(void *data);			    /* </hmon> */
};

struct xml *xml_new(const struct xml_sink *sink, void *data);
void xml_free(struct xml *x);
/* Monitors and nodes may send large configs: raises the stanza's limit to XML_STANZA_MAX. */
void xml_trust(struct xml *x);

/* Feeds bytes as they came. 0; -EPROTO: the peer's fault, xml_why() says what and where; or what a callback
 * returned. After an error nothing more can be fed. */
int xml_feed(struct xml *x, const char *bytes, size_t n);
const char *xml_why(const struct xml *x);

/* Writing. */
void xml_put_open(struct buf *out, const struct msg *hmon);
void xml_put_close(struct buf *out);
void xml_put(struct buf *out, const struct msg *stanza);
void xml_put_row(struct buf *out, const struct xml_row *row);
void xml_escape(struct buf *out, const char *s, size_t n);

#endif
