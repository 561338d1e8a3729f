/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as vigia.conf: an error or a configuration, and a configuration's dump loads to the same dump. */
#include <stdlib.h>
#include <string.h>

#include "conf/conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static char *dumped(const struct conf *c)
{
	char *text = NULL;
	size_t n;
	FILE *f = open_memstream(&text, &n);

	if (!f)
		abort();
	conf_dump(c, f);
	fclose(f);
	return text;
}

static struct conf *load_dump(const char *text)
{
	struct buf errors = BUF_INIT;
	struct conf *c;

	if (conf_load_text("dump", text, strlen(text), &c, &errors) < 0) {
		fprintf(stderr, "%s%s", text, buf_str(&errors));
		abort();
	}
	buf_release(&errors);
	return c;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct buf errors = BUF_INIT;
	struct conf *c;
	int r = conf_load_text("fuzz", (const char *)data, n, &c, &errors);

	if ((r < 0) != (errors.len > 0))
		abort();
	if (r == 0) {
		char *first = dumped(c);
		struct conf *again = load_dump(first);
		char *second = dumped(again);
		if (strcmp(first, second) != 0)
			abort();
		free(first);
		free(second);
		conf_free(c);
		conf_free(again);
	}
	buf_release(&errors);
	return 0;
}
