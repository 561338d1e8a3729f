/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/nats/header.h"

#include <errno.h>
#include <string.h>

#include "platform/pair.h"
#include "proto/chars.h"
#include "proto/wire.h"

enum { AT_VERSION = 0, AT_KIND = 1, AT_ZERO = 2, AT_ERA = 8, AT_BOOT = 16, AT_TO_BOOT = 24, AT_AT = 32 };
enum { AT_TAKEN = 40 };

void header_put(uint8_t to[HEADER_SIZE], const struct header *h)
{
	memset(to, 0, HEADER_SIZE);
	to[AT_VERSION] = HEADER_VERSION;
	to[AT_KIND] = (uint8_t)h->kind;
	wire_put64(to + AT_ERA, h->era);
	wire_put64(to + AT_BOOT, h->boot);
	wire_put64(to + AT_TO_BOOT, h->to_boot);
	wire_put64(to + AT_AT, h->at);
	wire_put64(to + AT_TAKEN, h->taken);
}

static const char *check(const uint8_t *bytes, const struct header *h)
{
	static const uint8_t zero[AT_ERA - AT_ZERO];
	if (bytes[AT_VERSION] != HEADER_VERSION)
		return "another version than 1";
	if (h->kind < HEADER_STATE || h->kind > HEADER_DATA)
		return "no known kind";
	if (memcmp(bytes + AT_ZERO, zero, sizeof zero))
		return "not zero where a header has zero";
	if (h->era > PAIR_ERA_MAX)
		return "an era that nobody can have counted to";
	if (!h->boot || h->boot > INT64_MAX || h->to_boot > INT64_MAX)
		return "a boot that is no positive number";
	if (h->at > INT64_MAX || h->taken > INT64_MAX)
		return "a count that nobody can have counted to";
	if (h->kind == HEADER_DATA)
		return h->n ? NULL : "no data where there must be some";
	return h->n > HEADER_NAME_MAX || chars_good((const char *)h->data, h->n) < h->n
		   ? "no name of 63 bytes at most"
		   : NULL;
}

int header_get(const void *bytes, size_t n, struct header *ret, const char **ret_why)
{
	const uint8_t *b = bytes;
	if (n < HEADER_SIZE) {
		*ret_why = "less than a header";
		return -EPROTO;
	}
	struct header h = {.kind = (enum header_kind)b[AT_KIND],
	    .era = wire_get64(b + AT_ERA),
	    .boot = wire_get64(b + AT_BOOT),
	    .to_boot = wire_get64(b + AT_TO_BOOT),
	    .at = wire_get64(b + AT_AT),
	    .taken = wire_get64(b + AT_TAKEN),
	    .data = b + HEADER_SIZE,
	    .n = n - HEADER_SIZE};
	const char *why = check(b, &h);
	if (why) {
		*ret_why = why;
		return -EPROTO;
	}
	*ret = h;
	return 0;
}
