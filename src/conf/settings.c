/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/settings.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct setting *find(const struct settings *s, const char *key)
{
	for (size_t i = 0; i < s->n; i++)
		if (!strcmp(s->v[i].key, key))
			return &s->v[i];
	return NULL;
}

static bool key_is_good(const char *key)
{
	size_t n = strspn(key, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");
	return n && n <= SETTINGS_KEY_MAX && !key[n];
}

static int add(struct settings *s, const char *key, char *take_value)
{
	struct setting *more = s->n < SETTINGS_MAX ? realloc(s->v, (s->n + 1) * sizeof *more) : NULL;
	char *copy = more ? strdup(key) : NULL;
	if (more)
		s->v = more;
	if (!copy) {
		free(take_value);
		return s->n < SETTINGS_MAX ? -ENOMEM : -ENOSPC;
	}
	s->v[s->n++] = (struct setting){copy, take_value};
	return 0;
}

int settings_set(struct settings *s, const char *key, const char *value)
{
	struct setting *there = find(s, key);
	if (!key_is_good(key) || strlen(value) > SETTINGS_VALUE_MAX)
		return -EINVAL;
	char *copy = strdup(value);
	if (!copy)
		return -ENOMEM;
	if (!there)
		return add(s, key, copy);
	free(there->value);
	there->value = copy;
	return 0;
}

int settings_unset(struct settings *s, const char *key)
{
	struct setting *there = find(s, key);
	if (!there)
		return -ENOENT;
	free(there->key);
	free(there->value);
	memmove(there, there + 1, (size_t)(s->v + s->n - there - 1) * sizeof *there);
	s->n--;
	return 0;
}

const char *settings_get(const struct settings *s, const char *key)
{
	const struct setting *there = find(s, key);
	return there ? there->value : NULL;
}

int settings_copy(const struct settings *s, struct settings *ret)
{
	int r = 0;
	*ret = (struct settings){0};
	for (size_t i = 0; !r && i < s->n; i++)
		r = settings_set(ret, s->v[i].key, s->v[i].value);
	if (r)
		settings_release(ret);
	return r;
}

void settings_release(struct settings *s)
{
	for (size_t i = 0; i < s->n; i++) {
		free(s->v[i].key);
		free(s->v[i].value);
	}
	free(s->v);
	*s = (struct settings){0};
}

/* --- the file --- */

static void put_value(struct buf *to, const char *value)
{
	for (; *value; value++)
		if (*value == '\n')
			buf_puts(to, "\\n");
		else if (*value == '\\')
			buf_puts(to, "\\\\");
		else
			buf_putc(to, *value);
}

void settings_put(const struct settings *s, struct buf *to)
{
	for (size_t i = 0; i < s->n; i++) {
		buf_putf(to, "%s=", s->v[i].key);
		put_value(to, s->v[i].value);
		buf_putc(to, '\n');
	}
}

/* In place; false: another letter behind a backslash. */
static bool read_value(char *value)
{
	char *to = value;
	for (; *value; value++) {
		char c = *value;
		if (c == '\\') {
			c = *++value;
			if (c != 'n' && c != '\\')
				return false;
			c = c == 'n' ? '\n' : '\\';
		}
		*to++ = c;
	}
	*to = '\0';
	return true;
}

static int read_line(struct settings *s, char *line)
{
	char *value = strchr(line, '=');
	if (!value)
		return -EINVAL;
	*value++ = '\0';
	return read_value(value) && !find(s, line) ? settings_set(s, line, value) : -EINVAL;
}

int settings_read(struct settings *ret, const char *text, size_t n, int *ret_line)
{
	struct settings s = {0};
	char *copy = n <= SETTINGS_FILE_MAX && !memchr(text, 0, n) ? strndup(text, n) : NULL, *rest = copy, *line;
	int r = copy ? 0 : -EINVAL;
	*ret_line = 1;
	while (!r && rest && *rest && (line = strsep(&rest, "\n")))
		if (!(r = rest ? read_line(&s, line) : -EINVAL))
			++*ret_line;
	free(copy);
	if (r)
		settings_release(&s);
	else
		*ret = s;
	return r == -ENOSPC ? -EINVAL : r;
}
