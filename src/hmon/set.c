/* SPDX-License-Identifier: Apache-2.0 */
#include "hmon/set.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "hmon/text.h"

/* --- room --- */

static bool grow(void *array, size_t size, size_t each)
{
	void *more = reallocarray(*(void **)array, size, each);
	if (more)
		*(void **)array = more;
	return more;
}

static int reserve_positions(struct set *s, size_t more)
{
	if (s->n + more <= s->size)
		return 0;
	size_t size = s->size * 2 > s->n + more ? s->size * 2 : s->n + more;
	if (!grow(&s->order, size, sizeof *s->order) || !grow(&s->now, size, sizeof *s->now) ||
	    !grow(&s->before, size, sizeof *s->before) || !grow(&s->means, size, sizeof *s->means))
		return -ENOMEM;
	memset(s->now + s->size, 0, (size - s->size) * sizeof *s->now);
	memset(s->before + s->size, 0, (size - s->size) * sizeof *s->before);
	s->size = size;
	return 0;
}

static int reserve_slots(struct set *s, size_t n)
{
	if (n <= s->slots_size)
		return 0;
	size_t size = s->slots_size * 2 > n ? s->slots_size * 2 : n;
	if (!grow(&s->slots, size, sizeof *s->slots))
		return -ENOMEM;
	s->slots_size = size;
	return 0;
}

/* The first of n free indices in a row, perhaps at the end. */
static size_t find_free(const struct set *s, size_t n)
{
	size_t free_run = 0;
	for (size_t i = 0; i < s->slots_n; i++) {
		free_run = s->slots[i].metric ? 0 : free_run + 1;
		if (free_run == n)
			return i + 1 - n;
	}
	return s->slots_n - free_run;
}

void set_release(struct set *s)
{
	for (size_t i = 0; i < s->slots_n; i++)
		if (s->slots[i].group)
			free(s->slots[i].prefix);
	values_clear(s->now, s->size);
	values_clear(s->before, s->size);
	free(s->slots);
	free(s->order);
	free(s->now);
	free(s->before);
	free(s->means);
	*s = (struct set){0};
}

/* --- metrics --- */

static char *join(const char *prefix, const char *instance)
{
	size_t size = (prefix ? strlen(prefix) : 0) + (instance ? strlen(instance) : 0) + 2;
	char *s = malloc(size);
	if (!s)
		return NULL;
	char *end = stpcpy(s, prefix ? prefix : "");
	if (prefix && instance)
		*end++ = '/';
	strcpy(end, instance ? instance : "");
	if (prefix)
		text_clean_name(s, "/", strlen(prefix));
	text_clean_name(end, "", strlen(end));
	return s;
}

static bool same(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

/* Two metrics of one name would have the node refuse all of them. */
static bool is_there(const struct set *s, const char *prefix, const struct hmon_metric *first)
{
	for (size_t i = 0; i < s->slots_n; i++) {
		const struct slot *sl = &s->slots[i];
		if (sl->group && !sl->dropped && same(sl->prefix, prefix) &&
		    !strcmp(sl->metric->name, first->name))
			return true;
	}
	return false;
}

static void place(struct set *s, size_t index, const struct hmon_metric *metric, char *prefix)
{
	s->slots[index] = (struct slot){.metric = metric, .prefix = prefix, .position = (int)s->n};
	s->order[s->n] = (int)index;
	value_clear(&s->now[s->n]);
	s->means[s->n] = (struct mean){0};
	s->n++;
}

int set_add(
    struct set *s, const char *prefix, const char *instance, const struct hmon_metric *metrics, size_t n)
{
	if (!n)
		return -EINVAL;
	if (s->n + n > METRICS_MAX)
		return -E2BIG;
	size_t first = find_free(s, n);
	if (reserve_positions(s, n) || reserve_slots(s, first + n))
		return -ENOMEM;
	char *joined = NULL;
	if ((prefix || instance) && !(joined = join(prefix, instance)))
		return -ENOMEM;
	if (is_there(s, joined, metrics)) {
		free(joined);
		return -EEXIST;
	}
	for (size_t i = 0; i < n; i++)
		place(s, first + i, &metrics[i], joined);
	s->slots[first].group = (unsigned)n;
	if (s->slots_n < first + n)
		s->slots_n = first + n;
	s->changed = true;
	return (int)first;
}

static struct slot *slot(const struct set *s, int index)
{
	if (index < 0 || (size_t)index >= s->slots_n || !s->slots[index].metric)
		return NULL;
	return &s->slots[index];
}

void set_drop(struct set *s, int first)
{
	struct slot *leader = slot(s, first);
	if (!leader)
		return;
	for (unsigned i = 0; i < leader->group; i++)
		leader[i].dropped = true;
	s->changed = true;
}

void set_drop_from(struct set *s, int keep)
{
	for (size_t i = (size_t)keep; i < s->slots_n; i++)
		if (s->slots[i].group)
			set_drop(s, (int)i);
}

static void free_dropped_slots(struct set *s)
{
	for (size_t i = 0; i < s->slots_n; i++) {
		if (!s->slots[i].dropped)
			continue;
		if (s->slots[i].group)
			free(s->slots[i].prefix);
		s->slots[i] = (struct slot){0};
	}
}

static void move(struct set *s, size_t from, size_t to)
{
	struct value v = s->now[from];
	s->now[from] = (struct value){0};
	s->now[to] = v;
	s->means[to] = s->means[from];
	s->order[to] = s->order[from];
	s->slots[s->order[to]].position = (int)to;
}

/* Closes the gaps that dropped metrics leave. */
static void settle(struct set *s)
{
	size_t to = 0;
	for (size_t from = 0; from < s->n; from++) {
		if (s->slots[s->order[from]].dropped)
			value_clear(&s->now[from]);
		else
			move(s, from, to++);
	}
	if (to != s->n)
		free_dropped_slots(s);
	s->n = to;
}

const struct hmon_metric *set_metric(const struct set *s, size_t position, struct buf *out)
{
	const struct slot *sl = &s->slots[s->order[position]];
	if (sl->prefix)
		buf_puts(out, sl->prefix);
	if (sl->prefix && *sl->metric->name)
		buf_putc(out, '/');
	buf_puts(out, sl->metric->name);
	return sl->metric;
}

/* --- values --- */

static bool is_text(const struct hmon_metric *m)
{
	return m->type == HMON_STATE || m->type == HMON_TEXT;
}

/* Where the value of an index stands, emptied; NULL when it is none or of the other kind. */
static struct value *place_of(struct set *s, int index, bool text)
{
	const struct slot *sl = slot(s, index);
	if (!sl || is_text(sl->metric) != text)
		return NULL;
	struct value *v = &s->now[sl->position];
	if (text)
		value_clear(v);
	return v;
}

void set_number(struct set *s, int index, int64_t number)
{
	struct value *v = place_of(s, index, false);
	if (v)
		*v = (struct value){.kind = VALUE_NUMBER, .number = number};
}

void set_double(struct set *s, int index, double value)
{
	static const double powers[] = {1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9};
	const struct slot *sl = slot(s, index);
	if (!sl)
		return;
	double scaled = value * powers[sl->metric->scale] + (value < 0 ? -0.5 : 0.5);
	if (scaled > -9.2e18 && scaled < 9.2e18)
		set_number(s, index, (int64_t)scaled);
	else
		set_none(s, index);
}

void set_text(struct set *s, int index, const char *text)
{
	struct value *v = place_of(s, index, true);
	if (!v)
		return;
	char clean[VALUE_TEXT_MAX + 1];
	text_clean(clean, sizeof clean, text);
	char *copy = strdup(clean);
	if (copy)
		*v = (struct value){.kind = VALUE_TEXT, .text = copy};
}

void set_none(struct set *s, int index)
{
	const struct slot *sl = slot(s, index);
	if (sl)
		value_clear(&s->now[sl->position]);
}

/* --- readings --- */

void set_begin(struct set *s)
{
	values_clear(s->now, s->n);
}

static void add_sample(struct set *s, size_t i)
{
	if (s->now[i].kind != VALUE_NUMBER)
		return;
	s->means[i].sum += (double)s->now[i].number;
	s->means[i].n++;
}

void set_end(struct set *s)
{
	if (s->changed)
		settle(s);
	for (size_t i = 0; i < s->n; i++)
		add_sample(s, i);
}

void set_means_clear(struct set *s)
{
	if (s->n)
		memset(s->means, 0, s->n * sizeof *s->means);
}

void set_means_take(struct set *s)
{
	for (size_t i = 0; i < s->n; i++) {
		const struct mean *m = &s->means[i];
		if (!m->n || s->slots[s->order[i]].metric->type != HMON_GAUGE)
			continue;
		double mean = m->sum / m->n;
		s->now[i] =
		    (struct value){.kind = VALUE_NUMBER, .number = (int64_t)(mean + (mean < 0 ? -0.5 : 0.5))};
	}
}

void set_sent(struct set *s)
{
	struct value *t = s->before;
	s->before = s->now;
	s->now = t;
	s->changed = false;
}
