/* SPDX-License-Identifier: Apache-2.0 */
/* For tests: a monitor whose every value follows from its sequence, so that any reader can check what it
 * gets. */
#ifndef VIGIA_HISTORY_PLAY_H
#define VIGIA_HISTORY_PLAY_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/config.h"
#include "base/value.h"

/* Rounds have names of their own: round 0 "metric/3", round 5 "5/metric/3". */
static inline struct config *play_config_of(size_t n, int round)
{
	struct config *c = config_new(n);
	const char *why;
	size_t at;
	for (size_t i = 0; c && i < n; i++) {
		char name[32];
		char *to = name;
		if (round)
			to += sprintf(name, "%d/", round);
		sprintf(to, "metric/%zu", i);
		c->metrics[i] = (struct metric){.name = strdup(name),
		    .unit = strdup(i % 7 == 5 ? "" : "By"),
		    .doc = strdup("made up \"for tests\""),
		    .type = i % 7 == 5 ? METRIC_TEXT : METRIC_GAUGE,
		    .scale = i % 7 == 3 ? 2 : 0};
	}
	if (!c || config_seal(c, &why, &at))
		abort();
	return c;
}

static inline struct config *play_config(size_t n)
{
	return play_config_of(n, 0);
}

static inline uint64_t play_noise(uint64_t x)
{
	x = (x ^ x >> 31) * 0x7fb5d329728ea185;
	x = (x ^ x >> 27) * 0x81dadef4bc2dd44d;
	return x ^ x >> 33;
}

/* Value i of period `sequence`; a text lives in `text`. */
static inline struct value play_value(uint64_t sequence, size_t i, char text[32])
{
	uint64_t noise = play_noise(sequence * 1009 + i);
	struct value v = {.kind = VALUE_NUMBER};
	switch (i % 7) {
	case 0:
		v.number = (int64_t)(sequence * 1000 + noise % 100);
		break;
	case 1:
		v.number = 42;
		break;
	case 2:
		v.number = (int64_t)(sequence / 50);
		break;
	case 3:
		v.number = (int64_t)(noise % 10000);
		break;
	case 4:
		v.kind = sequence % 10 == 3 ? VALUE_NONE : VALUE_NUMBER;
		v.number = (int64_t)sequence * -3;
		break;
	case 5:
		v.kind = VALUE_TEXT;
		snprintf(text, 32, "state %u", (unsigned)(sequence / 20 % 5));
		v.text = text;
		break;
	default:
		v.number = noise % 50 ? 0 : (int64_t)noise;
	}
	return v;
}

struct play {
	struct value *values;
	char (*texts)[32];
	size_t n;
};

static inline const struct value *play_period(struct play *p, uint64_t sequence, size_t n)
{
	if (p->n < n) {
		p->values = realloc(p->values, n * sizeof *p->values);
		p->texts = realloc(p->texts, n * sizeof *p->texts);
		p->n = n;
	}
	for (size_t i = 0; i < n; i++)
		p->values[i] = play_value(sequence, i, p->texts[i]);
	return p->values;
}

static inline int play_matches(uint64_t sequence, const struct value *v, size_t n)
{
	char text[32];
	for (size_t i = 0; i < n; i++) {
		struct value want = play_value(sequence, i, text);
		if (!value_equal(&want, &v[i]))
			return 0;
	}
	return 1;
}

#endif
