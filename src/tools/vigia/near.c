/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vigia/near.h"

#include <stdio.h>
#include <string.h>

static int least(int a, int b, int c)
{
	int ab = a < b ? a : b;
	return ab < c ? ab : c;
}

/* Levenshtein's, with one row kept. */
static int letters(const char *a, const char *b)
{
	int row[NEAR_NAME + 1];
	int n = (int)strlen(b);
	for (int i = 0; i <= n; i++)
		row[i] = i;
	for (int k = 1; *a; a++, k++) {
		int before = row[0];
		row[0] = k;
		for (int i = 1; i <= n; i++) {
			int here = row[i];
			row[i] = least(row[i] + 1, row[i - 1] + 1, before + (*a != b[i - 1]));
			before = here;
		}
	}
	return row[n];
}

/* A third of the letters may be wrong, and two in a short word: letters that changed places. */
static int tolerance(size_t n)
{
	return n < 3 ? 1 : n < 9 ? 2 : (int)n / 3;
}

int near_distance(const char *name, const char *candidate)
{
	size_t n = strlen(name), of = strlen(candidate);
	if (!n || n >= NEAR_NAME || of >= NEAR_NAME)
		return NEAR_FAR;
	if (!strncasecmp(candidate, name, n))
		return 0;
	if (n > 2 && strcasestr(candidate, name))
		return 1;
	int d = letters(name, candidate);
	return d <= tolerance(n) && d < (int)of ? d : NEAR_FAR;
}

void near_take(struct near *s, const char *candidate)
{
	int d = near_distance(s->name, candidate);
	size_t at = s->n;
	s->seen++;
	s->alike += d < NEAR_FAR && s->alike < NEAR_MOST;
	while (at && s->best[at - 1].distance > d)
		at--;
	if (at == NEAR_MOST)
		return;
	size_t moved = s->n - at - (s->n == NEAR_MOST);
	memmove(&s->best[at + 1], &s->best[at], moved * sizeof s->best[0]);
	snprintf(s->best[at].name, sizeof s->best[at].name, "%s", candidate);
	s->best[at].distance = d;
	s->n += s->n < NEAR_MOST;
}
