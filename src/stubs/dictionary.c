/* SPDX-License-Identifier: Apache-2.0 */
/* Words for a fuzzer of queries, as libFuzzer's -dict takes them. */
#include <stdio.h>
#include <string.h>

#include "stubs/stubs.h"

static void put_word(struct buf *out, const char *word)
{
	buf_puts(out, "\"");
	for (; *word; word++)
		if (*word == '"' || *word == '\\')
			buf_putf(out, "\\%c", *word);
		else if (*word >= ' ' && *word < 0x7f)
			buf_putc(out, *word);
	buf_puts(out, "\"\n");
}

static void put_query(struct buf *out, const char *name)
{
	char noun[64], text[200];
	const char *dot = strchr(name, '.');
	snprintf(noun, sizeof noun, "%.*s", dot ? (int)(dot - name) : 0, name);
	put_word(out, noun);
	put_word(out, dot ? dot + 1 : name);
	snprintf(text, sizeof text, "<%s query=\"%s\" id=\"1\"/>", noun, dot ? dot + 1 : "");
	put_word(out, text);
}

static void operation(struct buf *out, const struct msg *o, bool first)
{
	put_query(out, stubs_get(o, "name"));
	for stubs_each(a, o, "argument")
		put_word(out, stubs_get(a, "name"));
}

const struct stubs_form stubs_dictionary = {"dictionary", "words for a fuzzer", NULL, operation, NULL};
