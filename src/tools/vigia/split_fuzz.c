/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a console's line: an error or words, and those words quoted are a line of the same words. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/fuzz.h"
#include "tools/vigia/split.h"

static void put_quoted(struct buf *out, const char *word)
{
	buf_putc(out, '\'');
	for (; *word; word++)
		if (*word == '\'')
			buf_puts(out, "'\\''");
		else
			buf_putc(out, *word);
	buf_puts(out, "' ");
}

static void check_same(const struct split *a, const struct split *b)
{
	if (a->n != b->n)
		abort();
	for (int i = 0; i < a->n; i++)
		if (strcmp(a->words[i], b->words[i]))
			abort();
}

static void check_again(const struct split *s)
{
	char why[100];
	struct split again;
	struct buf line = BUF_INIT;
	for (int i = 0; i < s->n; i++)
		put_quoted(&line, s->words[i]);
	buf_str(&line);
	if (split_line(&again, buf_str(&line), line.len, why, sizeof why))
		abort();
	check_same(s, &again);
	split_release(&again);
	buf_release(&line);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char why[100] = "";
	struct split s;
	if (!split_line(&s, (const char *)data, size, why, sizeof why)) {
		check_again(&s);
		split_release(&s);
	} else if (!*why || s.text) {
		abort();
	}
	if (!split_start(&s, (const char *)data, size))
		split_release(&s);
	return 0;
}
