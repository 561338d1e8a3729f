/* SPDX-License-Identifier: Apache-2.0 */
/* What a connection speaks, known from its first byte: HMON's XML, or frames. Only peer.c and the speeches see this. */
#ifndef VIGIA_CORE_SPEECH_H
#define VIGIA_CORE_SPEECH_H

#include "core/core.h"

struct speech {
	const struct asker_type *asker;
	/* 0 or -ENOMEM. */
	int (*begin)(struct peer *p);
	void (*data)(struct peer *p, char *bytes, size_t n);
	void (*error)(struct peer *p, const char *code, const char *text);
	/* Before it closes, perhaps with nothing said yet. */
	void (*last_error)(struct peer *p, const char *code, const char *text);
	void (*bye)(struct peer *p);
	void (*release)(struct peer *p);
};

extern const struct speech speech_xml, speech_frames;

/* All that is said to who is turned away before he said anything. */
void speech_put_refusal(struct buf *out, const struct core *core, const char *code, const char *text);
/* Judges what waits already; false: nothing more may be put. */
bool peer_may_send(struct peer *p);
/* It goes, its stream stays: the caller's, who gives it to somebody or closes it. */
struct stream *peer_let_go(struct peer *p);
/* Its role, if it has one, hears that it goes. */
void peer_gone(struct peer *p, int error, const char *why);
void peer_take_role(struct peer *p, const struct role *role);

#endif
