/* SPDX-License-Identifier: Apache-2.0 */
/* What an operator has set besides the file (`vigia config set`): options by key, over those of vigia.conf.
 *
 * A key is OPTION or SECTION.OPTION, as `history.keep`; or monitor.NAME, whose value is the inside of that section, whole. A list's value
 * is its elements with commas between. The file of them has a line each: KEY=VALUE, in which \n is a line feed and \\ a backslash.
 * Which keys and values are right, conf_load_with() says.
 */
#ifndef VIGIA_CONF_SETTINGS_H
#define VIGIA_CONF_SETTINGS_H

#include <stddef.h>

#include "base/buf.h"

enum { SETTINGS_MAX = 256, SETTINGS_KEY_MAX = 100, SETTINGS_VALUE_MAX = 65536, SETTINGS_FILE_MAX = 4 << 20 };

struct setting {
	char *key, *value;
};

struct settings {
	struct setting *v;
	size_t n;
};

/* 0, -ENOMEM, -ENOSPC: SETTINGS_MAX; -EINVAL: a key or value that is too long, or a key of other than letters, digits and ._-. */
int settings_set(struct settings *s, const char *key, const char *value);
/* -ENOENT: it is not set. */
int settings_unset(struct settings *s, const char *key);
/* NULL: it is not set. */
const char *settings_get(const struct settings *s, const char *key);
int settings_copy(const struct settings *s, struct settings *ret);
void settings_release(struct settings *s);

/* As in the file. */
void settings_put(const struct settings *s, struct buf *to);
/* -EINVAL: *ret_line is no setting, or one that was there; nothing of it is kept. */
int settings_read(struct settings *ret, const char *text, size_t n, int *ret_line);

#endif
