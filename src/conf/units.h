/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers with units, as people write them: "500ms", "5min", "64KiB". */
#ifndef VIGIA_CONF_UNITS_H
#define VIGIA_CONF_UNITS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

/* Whole numbers with ns, us, ms, s, min, h or d; a bare "0" too. -EINVAL; -ERANGE: past int64_t. */
int units_duration(const char *text, int64_t *ret_ns);
/* Whole numbers with B, KiB, MiB, GiB or TiB. */
int units_size(const char *text, int64_t *ret_bytes);
/* Digits only. */
int units_count(const char *text, int64_t *ret_count);

/* In the largest unit that leaves no rest. */
void units_put_duration(struct buf *to, int64_t ns);
void units_put_size(struct buf *to, int64_t bytes);

#endif
