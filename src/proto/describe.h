/* SPDX-License-Identifier: Apache-2.0 */
/* A config as an HMON stanza, both ways (docs/hmon.md, "Monitor and node"). */
#ifndef VIGIA_PROTO_DESCRIBE_H
#define VIGIA_PROTO_DESCRIBE_H

#include "base/config.h"
#include "proto/msg.h"

/* A sealed config from <config ...><metric/>...</config>. 0, -ENOMEM, or -EINVAL with what is wrong in why. */
int describe_read(struct config **ret, const struct msg *m, char *why, size_t why_size);
/* Period, window and metrics, into a <config> that has its other fields. `pattern` as in pattern_match(), by the
 * caller's function; NULL: all. */
void describe_write(struct msg *m, const struct config *c, bool (*wanted)(void *data, const char *name), void *data);
void describe_digest(char ret[17], uint64_t digest);
/* 0 or -EINVAL. */
int describe_digest_parse(const char *s, uint64_t *ret);
/* A node's or monitor's name: 1 to 63 of A-Z a-z 0-9 . _ -, the first a letter or digit. */
bool describe_name_ok(const char *s);

#endif
