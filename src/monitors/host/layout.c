/* SPDX-License-Identifier: Apache-2.0 */
#include "layout.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char *skip_blanks(const char *s)
{
	while (*s == ' ' || *s == '\t')
		s++;
	return s;
}

static const char *skip_word(const char *s)
{
	while (*s && *s != ' ' && *s != '\t' && *s != '\n')
		s++;
	return s;
}

static const char *line_end(const char *s)
{
	const char *end = strchr(s, '\n');
	return end ? end : s + strlen(s);
}

static const char *next_line(const char *s)
{
	s = line_end(s);
	return *s ? s + 1 : s;
}

static const char *skip_header(const struct shape *shape, const char *s)
{
	for (unsigned i = 0; i < shape->header; i++)
		s = next_line(s);
	return s;
}

static const char *key_at(const struct shape *shape, const char *s)
{
	s = skip_blanks(s);
	for (unsigned i = 0; i < shape->lead; i++)
		s = skip_blanks(skip_word(s));
	return s;
}

/* --- reading --- */

/* To the next number of the line, or its end. */
static inline const char *to_number(const char *s, bool assigned)
{
	while (*s == ' ')
		s++;
	if (assigned)
		while (*s && *s != '\n' && *s++ != '=')
			;
	while (*s && *s != '\n' && (*s < '0' || *s > '9') && *s != '-')
		s++;
	return *s == '\n' ? NULL : *s ? s : NULL;
}

static inline const char *take_number(const char *s, int64_t *ret)
{
	bool negative = *s == '-';
	uint64_t n = 0;
	for (s += negative; (*s >= '0' && *s <= '9') || *s == '.'; s++)
		if (*s != '.')
			n = n * 10 + (uint64_t)(*s - '0');
	*ret = (int64_t)(negative ? 0 - n : n);
	return s;
}

/* The line's numbers into its metrics; where it stopped, or NULL. */
static const char *read_numbers(const struct line *line, const char *s, bool assigned, struct hmon *h)
{
	for (size_t i = 0; i < line->n; i++) {
		int64_t number;
		s = to_number(s, assigned);
		if (!s)
			return NULL;
		s = take_number(s, &number);
		hmon_set_int(h, line->first + (int)i, line->factors ? number * line->factors[i] : number);
	}
	return s;
}

static bool ends_key(const struct line *line, char next)
{
	if (line->whole)
		return next == '\n';
	return line->key[line->key_len - 1] == ':' || next == ' ' || next == '\n';
}

static const char *after_key(const struct line *line, const char *s)
{
	if (!line->key_len || strncmp(s, line->key, line->key_len))
		return NULL;
	s += line->key_len;
	return ends_key(line, *s) ? s : NULL;
}

bool layout_read(const struct layout *l, const struct shape *shape, const char *text, struct hmon *h)
{
	const char *s = skip_header(shape, text);
	for (size_t i = 0; i < l->n; i++) {
		const struct line *line = &l->lines[i];
		if (line->key)
			s = after_key(line, key_at(shape, s));
		if (s)
			s = read_numbers(line, s, shape->assigned, h);
		if (!s)
			return false;
		s = next_line(s);
	}
	return !*s;
}

/* --- learning --- */

static size_t count_numbers(const char *s, bool assigned)
{
	size_t n = 0;
	int64_t number;
	while ((s = to_number(s, assigned))) {
		s = take_number(s, &number);
		n++;
	}
	return n;
}

static struct words split(const struct shape *shape, const char *s)
{
	struct words w = {.key = s, .numbers = s};
	if (!shape->keyless) {
		w.key = key_at(shape, s);
		w.numbers = skip_word(w.key);
		const char *colon = memchr(w.key, ':', (size_t)(w.numbers - w.key));
		if (colon)
			w.numbers = colon + 1;
		w.key_len = (size_t)(w.numbers - w.key);
	}
	w.count = count_numbers(w.numbers, shape->assigned);
	w.end = line_end(w.numbers);
	return w;
}

static int learn_line(
    struct line *line, const struct words *w, const struct shape *shape, layout_decide_fn *decide,
    const struct hmon *h)
{
	*line = (struct line){.first = -1};
	int r = decide(w, line, h);
	if (r || shape->keyless)
		return r;
	line->key_len = line->whole ? (size_t)(w->end - w->key) : w->key_len;
	line->key = strndup(w->key, line->key_len);
	return line->key ? 0 : -ENOMEM;
}

static struct line *more_lines(struct layout *l)
{
	if (l->n % 64 == 0) {
		struct line *lines = reallocarray(l->lines, l->n + 64, sizeof *lines);
		if (!lines)
			return NULL;
		l->lines = lines;
	}
	return &l->lines[l->n++];
}

static int learn_lines(
    struct layout *l, const struct shape *shape, layout_decide_fn *decide, const char *text,
    const struct hmon *h)
{
	for (const char *s = skip_header(shape, text); *s; s = next_line(s)) {
		struct words w = split(shape, s);
		struct line *line = more_lines(l);
		int r = line ? learn_line(line, &w, shape, decide, h) : -ENOMEM;
		if (r)
			return r;
	}
	return 0;
}

static bool same(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

static bool same_metrics(const struct line *a, const struct line *b)
{
	return a->n == b->n && a->first >= 0 && same(a->prefix, b->prefix) &&
	       same(a->instance, b->instance) &&
	       (a->own && b->own ? !strcmp(a->own->name, b->own->name) : a->metrics == b->metrics);
}

/* The metrics of an old line that measured the same go on under it. */
static bool inherit(struct line *line, struct layout *old)
{
	for (size_t i = 0; i < old->n; i++) {
		struct line *before = &old->lines[i];
		if (!same_metrics(before, line))
			continue;
		free(line->own);
		line->own = before->own;
		line->metrics = before->metrics;
		line->first = before->first;
		before->own = NULL;
		before->first = -1;
		return true;
	}
	return false;
}

static void drop_rest(struct layout *old, struct hmon *h)
{
	for (size_t i = 0; i < old->n; i++)
		if (old->lines[i].first >= 0)
			hmon_drop(h, old->lines[i].first);
}

static int add_lines(struct layout *l, struct layout *old, struct hmon *h)
{
	for (size_t i = 0; i < l->n; i++) {
		struct line *line = &l->lines[i];
		if (!line->n || inherit(line, old))
			continue;
		line->first = hmon_add(h, line->prefix, line->instance, line->metrics, line->n);
		if (line->first < 0)
			return line->first;
	}
	return 0;
}

int layout_learn(struct layout *ret, struct layout *old, const struct shape *shape, layout_decide_fn *decide,
    const char *prefix, const char *text, struct hmon *h)
{
	struct layout l = {0};
	int r = learn_lines(&l, shape, decide, text, h);
	for (size_t i = 0; i < l.n; i++)
		if (!l.lines[i].prefix)
			l.lines[i].prefix = prefix;
	if (!r)
		r = add_lines(&l, old, h);
	drop_rest(old, h);
	*ret = l;
	return r;
}

void layout_release(struct layout *l)
{
	for (size_t i = 0; i < l->n; i++) {
		free(l->lines[i].key);
		free(l->lines[i].instance);
		free(l->lines[i].own);
	}
	free(l->lines);
	*l = (struct layout){0};
}
