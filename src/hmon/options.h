/* SPDX-License-Identifier: Apache-2.0 */
/* A monitor's section of vigia.conf, read by its table of options. */
#ifndef VIGIA_HMON_OPTIONS_H
#define VIGIA_HMON_OPTIONS_H

#include <confuse.h>

#include "base/buf.h"
#include "hmon/hmon.h"

struct options {
	cfg_opt_t *known;
	cfg_t *values;
	int64_t period_ms, window_ms;
};

/* 0; -EINVAL, and `why` has a line for each mistake: where, and what was expected; -ENOMEM. *ret is untouched on
 * failure. */
int options_parse(struct options *ret, const struct hmon_monitor *m, const char *text, struct buf *why);
void options_release(struct options *o);

/* "500ms", "10s", "2.5s", "5min", "1h", "1d", "0" in milliseconds; -EINVAL. */
int64_t options_duration(const char *s);

#endif
