/* SPDX-License-Identifier: Apache-2.0 */
/* The HMON stream to the node over one connected socket: never blocks, one write a turn.
 *
 * What the peer does not take stays in `out`; the owner asks stream_clogged() before it makes more. While
 * clogged nothing is read either, so a peer that asks and never reads can't make it grow.
 */
#ifndef VIGIA_HMON_STREAM_H
#define VIGIA_HMON_STREAM_H

#include "base/buf.h"
#include "proto/xml.h"

struct stream {
	int fd;
	struct xml *xml;
	struct buf out;
};

/* Owns fd from here on, also on failure. */
int stream_init(struct stream *s, int fd, const struct xml_sink *sink, void *data);
void stream_release(struct stream *s);

bool stream_clogged(const struct stream *s);
/* What to poll for. */
short stream_events(const struct stream *s);
/* Reads what is there. 0; -EPIPE: the other end is done; what a callback said; another negative errno. */
int stream_read(struct stream *s);
/* Writes what it can. 0 or negative errno. */
int stream_flush(struct stream *s);

#endif
