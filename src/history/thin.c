/* SPDX-License-Identifier: Apache-2.0 */
#include "history/thin.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { AT_ONCE = 16 };

static int64_t step_of(int64_t time_ns, int64_t step_ns)
{
	int64_t rest = time_ns % step_ns;
	return time_ns - (rest < 0 ? rest + step_ns : rest);
}

/* Where each step's rows begin; ends[steps] is rows. Returns the steps. */
static size_t find_steps(const struct table *t, int64_t step_ns, size_t *begins)
{
	size_t n = 0;
	for (size_t i = 0; i < t->rows; i++)
		if (!i || step_of(t->times[i], step_ns) != step_of(t->times[i - 1], step_ns))
			begins[n++] = i;
	begins[n] = t->rows;
	return n;
}

static void thin_numbers(struct series *to, size_t step, const struct series *s, size_t begin, size_t end)
{
	__int128 sum = 0;
	int64_t count = 0, min = INT64_MAX, max = INT64_MIN;
	for (size_t i = begin; i < end; i++) {
		if (s->kinds && s->kinds[i] != VALUE_NUMBER)
			continue;
		sum += s->numbers[i];
		min = s->numbers[i] < min ? s->numbers[i] : min;
		max = s->numbers[i] > max ? s->numbers[i] : max;
		count++;
	}
	int64_t last = s->numbers[end - 1];
	int64_t parts[THIN_PARTS] = {count, last, 0, last, last, last};
	if (count) {
		parts[THIN_MEAN] = (int64_t)(sum / count);
		parts[THIN_REST] = (int64_t)(sum % count);
		parts[THIN_MIN] = min;
		parts[THIN_MAX] = max;
	}
	for (size_t k = 0; k < THIN_PARTS; k++)
		to[k].numbers[step] = parts[k];
}

/* The last column keeps what is no number, as measured. */
static int thin_kinds(struct series *to, const struct series *s, const size_t *begins, size_t steps)
{
	if (!s->kinds)
		return 0;
	to->kinds = malloc(steps);
	to->text_of = s->text_of ? malloc(steps * sizeof *to->text_of) : NULL;
	to->texts = s->text_of ? calloc(s->texts_n + 1, sizeof *to->texts) : NULL;
	if (!to->kinds || (s->text_of && (!to->text_of || !to->texts)))
		return -ENOMEM;
	for (size_t i = 0; i < steps; i++) {
		to->kinds[i] = s->kinds[begins[i + 1] - 1];
		if (s->text_of)
			to->text_of[i] = s->text_of[begins[i + 1] - 1];
	}
	for (size_t i = 0; i < s->texts_n; i++, to->texts_n++)
		if (!(to->texts[i] = strdup(s->texts[i])))
			return -ENOMEM;
	return 0;
}

/* Renumbers the texts that are used, in their order of use. */
static void drop_unused_texts(struct series *s, size_t rows)
{
	if (!s->text_of)
		return;
	size_t used = 0;
	for (size_t i = 0; i < rows; i++) {
		uint32_t at = s->text_of[i];
		if (at < used)
			continue;
		char *text = s->texts[at];
		s->texts[at] = s->texts[used];
		s->texts[used] = text;
		for (size_t k = i; k < rows; k++)
			s->text_of[k] = s->text_of[k] == at	? (uint32_t)used
					: s->text_of[k] == used ? at
								: s->text_of[k];
		used++;
	}
	while (s->texts_n > used)
		free(s->texts[--s->texts_n]);
}

int thin_table(struct table *ret, const struct table *t, int64_t step_ns)
{
	size_t *begins = malloc((t->rows + 1) * sizeof *begins);
	if (!begins)
		return -ENOMEM;
	size_t steps = find_steps(t, step_ns, begins);
	struct table out;
	int e = steps * THIN_PARTS > t->rows ? -E2BIG : table_init(&out, steps, t->columns * THIN_PARTS);
	if (e) {
		free(begins);
		return e;
	}
	for (size_t i = 0; i < steps; i++) {
		out.times[i] = step_of(t->times[begins[i]], step_ns);
		out.sequences[i] = t->sequences[begins[i + 1] - 1];
	}
	for (size_t c = 0; !e && c < t->columns; c++) {
		struct series *to = &out.series[c * THIN_PARTS];
		for (size_t i = 0; i < steps; i++)
			thin_numbers(to, i, &t->series[c], begins[i], begins[i + 1]);
		e = thin_kinds(&to[THIN_LAST], &t->series[c], begins, steps);
		drop_unused_texts(&to[THIN_LAST], steps);
	}
	free(begins);
	if (e)
		table_release(&out);
	else
		*ret = out;
	return e;
}

struct thinning {
	struct store *store;
	int64_t step_ns;
	struct {
		struct chunk_row row;
		struct buf body, summary;
	} done[AT_ONCE];
	size_t n;
};

static int thin_chunk(struct buf *body, struct bytes packed, int64_t step_ns)
{
	struct chunk c;
	struct table t = {0}, thinned = {0};
	int e = chunk_open(&c, packed);
	if (e)
		return e;
	e = chunk_table(&c, &t);
	if (!e)
		e = thin_table(&thinned, &t, step_ns);
	if (!e)
		e = chunk_pack(body, &thinned);
	table_release(&thinned);
	table_release(&t);
	chunk_release(&c);
	return e;
}

static int take_chunk(void *data, const struct chunk_row *c)
{
	struct thinning *t = data;
	struct buf *body = &t->done[t->n].body, *summary = &t->done[t->n].summary;
	struct chunk_row row = *c;
	int e = thin_chunk(body, c->body, t->step_ns);
	row.step_ns = t->step_ns;
	if (e == -ENOMEM)
		return e;
	if (e) {
		row.step_ns = STEP_NEVER;
		buf_clear(body);
		buf_put(body, c->body.at, bytes_left(&c->body));
	}
	buf_puts(summary, c->summary);
	row.summary = buf_str(summary);
	row.body = bytes_of(body->data, body->len);
	t->done[t->n++].row = row;
	return body->failed || summary->failed ? -ENOMEM : 0;
}

int thin_some(struct store *s, int64_t before_ns, int64_t step_ns)
{
	struct thinning t = {.store = s, .step_ns = step_ns > 0 ? step_ns : INT64_C(60000000000)};
	int e = store_chunks_to_thin(s, before_ns, AT_ONCE, take_chunk, &t);
	if (!e && t.n)
		e = store_begin(s);
	for (size_t i = 0; !e && i < t.n; i++)
		e = store_put_chunk(s, &t.done[i].row);
	if (!e && t.n)
		e = store_commit(s);
	for (size_t i = 0; i < AT_ONCE; i++) {
		buf_release(&t.done[i].body);
		buf_release(&t.done[i].summary);
	}
	return e;
}
