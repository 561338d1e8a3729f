/* SPDX-License-Identifier: Apache-2.0 */
/* What stands before the frames in each message over NATS (docs/platform-nats.md). */
#ifndef VIGIA_PLATFORM_NATS_HEADER_H
#define VIGIA_PLATFORM_NATS_HEADER_H

#include <stddef.h>
#include <stdint.h>

enum { HEADER_SIZE = 48, HEADER_VERSION = 1, HEADER_NAME_MAX = 63 };

enum header_kind {
	HEADER_STATE = 1, /* how far I am */
	HEADER_ASK,	  /* the same, and how far are you? */
	HEADER_DATA,	  /* the same, and what comes next of my frames */
};

struct header {
	enum header_kind kind;
	uint64_t era, boot; /* platform/pair.h; boot: the sender's */
	uint64_t to_boot;   /* whom it is meant for; 0: not known yet */
	uint64_t at;	    /* bytes of frames that went before, in this era */
	uint64_t taken;	    /* bytes of the other's frames that were taken, in this era */
	const uint8_t *data; /* frames; of the other kinds the sender's name, for people */
	size_t n;
};

void header_put(uint8_t to[HEADER_SIZE], const struct header *h);
/* 0 or -EPROTO with *ret_why (static). The data is borrowed. */
int header_get(const void *bytes, size_t n, struct header *ret, const char **ret_why);

#endif
