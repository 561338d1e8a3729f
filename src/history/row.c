/* SPDX-License-Identifier: Apache-2.0 */
#include "history/row.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/config.h"

enum { WHOLE = 1 };
enum { CODE_NONE, CODE_TEXT, CODE_NUMBER, CODE_STEP };
/* A text that could not be kept: differs from anything, so that the next row tells it again. */
enum { KIND_UNKNOWN = 0xff };

void row_state_release(struct row_state *s)
{
	for (size_t i = 0; s->texts && i < s->place.n; i++)
		free(s->texts[i]);
	free(s->numbers);
	free(s->kinds);
	free(s->texts);
	*s = (struct row_state){0};
}

static int state_reset(struct row_state *s, size_t n)
{
	if (n != s->place.n || !s->numbers) {
		struct row_state fresh = {
		    .place.n = n,
		    .numbers = calloc(n + 1, sizeof *fresh.numbers),
		    .kinds = calloc(n + 1, sizeof *fresh.kinds),
		};
		if (!fresh.numbers || !fresh.kinds) {
			row_state_release(&fresh);
			return -ENOMEM;
		}
		row_state_release(s);
		*s = fresh;
		return 0;
	}
	memset(s->numbers, 0, n * sizeof *s->numbers);
	memset(s->kinds, VALUE_NONE, n);
	return 0;
}

static bool other_differs(const struct row_state *s, size_t i, const struct value *v)
{
	if (v->kind != s->kinds[i])
		return true;
	return v->kind == VALUE_TEXT && strcmp(v->text, s->texts[i]);
}

/* Fills the bits; returns the bytes of the texts among the changed. */
static size_t mark_changed(const struct row_state *s, const struct value *v, size_t n, uint8_t *bits)
{
	size_t texts = 0;
	for (size_t base = 0; base < n; base += 8) {
		size_t some = n - base < 8 ? n - base : 8;
		unsigned byte = 0;
		for (size_t k = 0; k < some; k++) {
			size_t i = base + k;
			unsigned differs;
			if (v[i].kind == VALUE_NUMBER && s->kinds[i] == VALUE_NUMBER)
				differs = v[i].number != s->numbers[i];
			else
				differs = other_differs(s, i, &v[i]);
			byte |= differs << k;
			if (v[i].kind == VALUE_TEXT && differs)
				texts += strlen(v[i].text);
		}
		bits[base / 8] = (uint8_t)byte;
	}
	return texts;
}

static void keep_text(struct row_state *s, size_t i, const char *text, size_t n)
{
	if (!s->texts)
		s->texts = calloc(s->place.n, sizeof *s->texts);
	char *copy = s->texts ? strndup(text, n) : NULL;
	if (!copy) {
		s->kinds[i] = KIND_UNKNOWN;
		return;
	}
	free(s->texts[i]);
	s->texts[i] = copy;
	s->kinds[i] = VALUE_TEXT;
}

static uint8_t *pack_number(uint8_t *to, struct row_state *s, size_t i, int64_t number)
{
	uint64_t step = zigzag((int64_t)((uint64_t)number - (uint64_t)s->numbers[i]));
	s->numbers[i] = number;
	s->kinds[i] = VALUE_NUMBER;
	if (step <= UINT64_MAX - CODE_STEP)
		return varint_write(to, step + CODE_STEP);
	*to++ = CODE_NUMBER;
	memcpy(to, &number, sizeof number);
	return to + sizeof number;
}

static uint8_t *pack_text(uint8_t *to, struct row_state *s, size_t i, const char *text)
{
	size_t n = strlen(text);
	*to++ = CODE_TEXT;
	to = varint_write(to, n);
	memcpy(to, text, n);
	keep_text(s, i, text, n);
	return to + n;
}

static uint8_t *pack_value(uint8_t *to, struct row_state *s, size_t i, const struct value *v)
{
	switch (v->kind) {
	case VALUE_NUMBER:
		return pack_number(to, s, i, v->number);
	case VALUE_TEXT:
		return pack_text(to, s, i, v->text);
	default:
		s->kinds[i] = VALUE_NONE;
		*to++ = CODE_NONE;
		return to;
	}
}

static uint8_t *pack_changes(
    uint8_t *to, struct row_state *s, const struct value *v, size_t n, const uint8_t *bits)
{
	for (size_t base = 0; base < n; base += 8)
		for (unsigned byte = bits[base / 8]; byte; byte &= byte - 1) {
			size_t i = base + (unsigned)__builtin_ctz(byte);
			to = pack_value(to, s, i, &v[i]);
		}
	return to;
}

static uint8_t *pack_place(uint8_t *to, struct row_state *s, bool whole, const struct history_period *p)
{
	struct row_place *at = &s->place;
	int64_t step = whole ? 0 : (int64_t)((uint64_t)p->time_ns - (uint64_t)at->time_ns);
	*to++ = whole ? WHOLE : 0;
	if (whole) {
		to = varint_write(to, zigzag(p->at.boot));
		to = varint_write(to, p->at.sequence);
		to = varint_write(to, zigzag(p->time_ns));
		to = varint_write(to, at->n);
	} else {
		to = varint_write(to, p->at.sequence - at->at.sequence);
		to = varint_write(to, zigzag((int64_t)((uint64_t)step - (uint64_t)at->step_ns)));
	}
	at->at = p->at;
	at->time_ns = p->time_ns;
	at->step_ns = step;
	return to;
}

int row_pack(struct buf *b, struct row_state *s, size_t n, bool whole, const struct history_period *p)
{
	if (whole) {
		int e = state_reset(s, n);
		if (e)
			return e;
	}
	enum { PLACE = 1 + 4 * VARINT_MAX, VALUE = 1 + VARINT_MAX };
	size_t bytes = (n + 7) / 8;
	if (!buf_reserve(b, PLACE + bytes + n * VALUE))
		return -ENOMEM;
	uint8_t bits[(METRICS_MAX + 7) / 8];
	size_t texts = mark_changed(s, p->values, n, bits);
	if (texts && !buf_reserve(b, PLACE + bytes + n * VALUE + texts))
		return -ENOMEM;
	uint8_t *to = pack_place((uint8_t *)b->data + b->len, s, whole, p);
	memcpy(to, bits, bytes);
	to = pack_changes(to + bytes, s, p->values, n, bits);
	b->len = (size_t)((char *)to - b->data);
	return 0;
}

int row_place(struct bytes *row, const struct row_place *before, struct row_place *ret)
{
	struct row_place place = {0};
	uint8_t flags = get_byte(row);
	if (flags & WHOLE) {
		place.at.boot = get_signed(row);
		place.at.sequence = get_varint(row);
		place.time_ns = get_signed(row);
		uint64_t n = get_varint(row);
		if (n > METRICS_MAX || (n + 7) / 8 > bytes_left(row))
			return -EBADMSG;
		place.n = n;
	} else {
		if (!before)
			return -ENOENT;
		place = *before;
		place.at.sequence += get_varint(row);
		place.step_ns = (int64_t)((uint64_t)place.step_ns + (uint64_t)get_signed(row));
		place.time_ns = (int64_t)((uint64_t)place.time_ns + (uint64_t)place.step_ns);
	}
	if (row->bad || flags & ~WHOLE)
		return -EBADMSG;
	*ret = place;
	return 0;
}

static void unpack_text(struct bytes *row, struct row_state *s, size_t i)
{
	struct bytes text = get_bytes(row, get_varint(row));
	if (bytes_left(&text) > VALUE_TEXT_MAX)
		row->bad = true;
	else
		keep_text(s, i, (const char *)text.at, bytes_left(&text));
}

static void unpack_value(struct bytes *row, struct row_state *s, size_t i)
{
	uint64_t code = get_varint(row);
	switch (code) {
	case CODE_NONE:
		s->kinds[i] = VALUE_NONE;
		return;
	case CODE_TEXT:
		unpack_text(row, s, i);
		return;
	case CODE_NUMBER: {
		struct bytes raw = get_bytes(row, sizeof s->numbers[i]);
		if (!row->bad)
			memcpy(&s->numbers[i], raw.at, sizeof s->numbers[i]);
		break;
	}
	default:
		s->numbers[i] = (int64_t)((uint64_t)s->numbers[i] + (uint64_t)unzigzag(code - CODE_STEP));
	}
	s->kinds[i] = VALUE_NUMBER;
}

static int unpack_changes(struct bytes *row, struct row_state *s)
{
	size_t n = s->place.n;
	struct bytes bits = get_bytes(row, (n + 7) / 8);
	if (row->bad || (n % 8 && bits.at[n / 8] >> n % 8))
		return -EBADMSG;
	for (size_t base = 0; base < n; base += 8)
		for (unsigned byte = bits.at[base / 8]; byte; byte &= byte - 1)
			unpack_value(row, s, base + (unsigned)__builtin_ctz(byte));
	return row->bad || bytes_left(row) ? -EBADMSG : 0;
}

int row_unpack(struct bytes row, struct row_state *s)
{
	struct row_place place;
	bool whole = bytes_left(&row) && *row.at & WHOLE;
	int e = row_place(&row, s->numbers ? &s->place : NULL, &place);
	if (!e && whole)
		e = state_reset(s, place.n);
	if (!e) {
		s->place = place;
		e = unpack_changes(&row, s);
	}
	if (e)
		row_state_release(s);
	return e;
}

void row_values(const struct row_state *s, struct value *values)
{
	for (size_t i = 0; i < s->place.n; i++) {
		values[i].kind = s->kinds[i] == KIND_UNKNOWN ? VALUE_NONE : (enum value_kind)s->kinds[i];
		if (values[i].kind == VALUE_TEXT)
			values[i].text = s->texts[i];
		else
			values[i].number = s->numbers[i];
	}
}
