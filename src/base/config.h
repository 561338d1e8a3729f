/* SPDX-License-Identifier: Apache-2.0 */
/* What a monitor measures: its metrics, in the order in which a period's values are given (HMON `config`).
 *
 * A config never changes once made: a monitor whose metrics come or go announces another one, under the next
 * generation. It is counted by reference, because a thousand equal hosts share one, from any thread.
 */
#ifndef VIGIA_BASE_CONFIG_H
#define VIGIA_BASE_CONFIG_H

#include <stddef.h>
#include <stdint.h>

#include "base/value.h"

enum metric_type { METRIC_GAUGE, METRIC_COUNTER, METRIC_STATE, METRIC_TEXT };

enum {
	METRICS_MAX = 16384,	 /* of one monitor */
	METRIC_NAME_MAX = 127,	 /* bytes, as for unit */
	METRIC_SCALE_MAX = 9,	 /* decimals */
	METRIC_DOC_MAX = 255,
};

struct metric {
	char *name; /* "net/eth0/rx_bytes"; printable ASCII but space, '"', '<', '>', '&', '*', '?' */
	char *unit; /* UCUM: "By", "s", "Cel", "%", "1"; "" for state and text */
	char *doc;  /* one line, may be "" */
	enum metric_type type;
	uint8_t scale; /* decimals: a value of 1234 at scale 2 means 12.34 */
};

struct config {
	unsigned refs;
	uint64_t digest; /* of all below; the same on every host: see config_digest() */
	int64_t period_ns; /* between two samples; 0: the monitor sends when it likes */
	int64_t window_ns; /* values are means over this long; 0: instant values */
	size_t n;
	struct metric metrics[];
};

/* A config of n nameless metrics, to be filled and then sealed. NULL: no memory. */
struct config *config_new(size_t n);
/* Checks names, units and scales, refuses two metrics of one name, and computes the digest.
 * 0, or -EINVAL with *ret_why (static text) and *ret_at (which metric). */
int config_seal(struct config *c, const char **ret_why, size_t *ret_at);
struct config *config_ref(struct config *c);
void config_unref(struct config *c);

/* First 8 bytes, big-endian, of the SHA-256 over "PERIOD WINDOW\n" (milliseconds) and a line "name\ttype\tunit\tscale\n"
 * a metric; doc is left out (docs/hmon.md, "Digest"). */
uint64_t config_digest(const struct config *c);

/* Index of a metric, or -1. */
int config_find(const struct config *c, const char *name);
/* The same, looked for first at `hint`: who asks for one after the other pays for no search. */
int config_find_near(const struct config *c, const char *name, size_t hint);

const char *metric_type_name(enum metric_type t);
/* The type so named, or -1. */
int metric_type_from(const char *name);

#endif
