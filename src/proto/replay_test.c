/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

/* The corpus of a fuzz target, each file whole, cut at every byte, and with bytes changed, the same way every time. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/dice_test.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FILE_MAX = 65536, CHANGED = 400 };

static void run(const uint8_t *data, size_t size)
{
	/* Memory of just that size: a sanitizer sees every step too far. */
	uint8_t *copy = malloc(size + !size);
	memcpy(copy, data, size);
	LLVMFuzzerTestOneInput(copy, size);
	free(copy);
}

static void run_changed(const uint8_t *data, size_t size)
{
	static uint8_t changed[FILE_MAX];
	for (int i = 0; i < CHANGED && size; i++) {
		memcpy(changed, data, size);
		for (size_t k = 0; k <= dice_below(4); k++)
			changed[dice_below(size)] = (uint8_t)dice();
		run(changed, size);
	}
}

static void run_file(const char *name)
{
	static uint8_t data[FILE_MAX];
	char path[1024];
	snprintf(path, sizeof path, "%s/%s", CORPUS, name);
	FILE *f = fopen(path, "rb");
	assert_non_null(f);
	size_t size = fread(data, 1, sizeof data, f);
	fclose(f);
	run(data, size);
	for (size_t n = 0; n < size && n < 4096; n++)
		run(data, n);
	run_changed(data, size);
}

static void the_corpus_does_no_harm(void **state)
{
	int n = 0;
	DIR *d = opendir(CORPUS);
	assert_non_null(d);
	for (struct dirent *e; (e = readdir(d)); )
		if (*e->d_name != '.') {
			run_file(e->d_name);
			n++;
		}
	closedir(d);
	assert_true(n > 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(the_corpus_does_no_harm)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
