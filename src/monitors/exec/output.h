/* SPDX-License-Identifier: Apache-2.0 */
/* What a Nagios plugin prints (Monitoring Plugins Development Guidelines, "Plugin Output for Nagios"):
 *
 *   TEXT | 'label'=value[UOM];warning;critical;min;max label2=...
 *   more text | more
 *   performance data
 *
 * The output may be anything at all: nothing here trusts it, and all sizes are fixed.
 */
#ifndef VIGIA_MONITORS_EXEC_OUTPUT_H
#define VIGIA_MONITORS_EXEC_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	PERF_MAX = 128,
	PERF_LABEL_SIZE = 96,
	PERF_UNIT_SIZE = 24,
	PERF_LIMITS_SIZE = 80,
	PERF_DECIMALS_MAX = 9
};

struct perf {
	char label[PERF_LABEL_SIZE];   /* fit for a metric's name; unique in its output */
	char unit[PERF_UNIT_SIZE];     /* UCUM */
	char limits[PERF_LIMITS_SIZE]; /* "warning 0:5, critical 0:10", for people; may be "" */
	bool counter;
	bool known;	/* false: the plugin could not tell ("U"), or it is no number of ours */
	int decimals;	/* 0 to 9 */
	int64_t number; /* the value times 10^decimals */
};

struct output {
	const char *text; /* the first line, without performance data; in the bytes that were parsed */
	size_t n;
	struct perf perf[PERF_MAX];
};

/* Takes a NUL-terminated output apart, in place. */
void output_parse(struct output *ret, char *bytes);

#endif
