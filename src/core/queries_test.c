/* SPDX-License-Identifier: Apache-2.0 */
/* The corpus of queries_fuzz.c (a folder, the argument): all that it asks is answered, and it asks everything. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/fuzz.h"
#include "core/queries_stage.h"

static const char *folder;

static void run_file(const char *name)
{
	static uint8_t data[65536];
	char path[4096];
	snprintf(path, sizeof path, "%s/%s", folder, name);
	FILE *f = fopen(path, "rb");
	assert_non_null(f);
	size_t n = fread(data, 1, sizeof data, f);
	fclose(f);
	LLVMFuzzerTestOneInput(data, n);
}

/* A new operation wants a seed: see src/core/corpus/queries.py. */
static void each_operation_of_the_core_is_in_the_corpus(void **state)
{
	const struct op *op;
	bool ran;
	unsigned missing = 0;
	DIR *d = opendir(folder);
	assert_non_null(d);
	for (struct dirent *e; (e = readdir(d));)
		if (*e->d_name != '.')
			run_file(e->d_name);
	closedir(d);
	for (size_t i = 0; (op = stage_op(i, &ran)); i++)
		if (!ran) {
			print_error("%s.%s is asked by no file of the corpus\n", op->noun, op->verb);
			missing++;
		}
	assert_int_equal(missing, 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_operation_of_the_core_is_in_the_corpus),
	};
	folder = argc > 1 ? argv[1] : ".";
	return cmocka_run_group_tests_name("core-queries", tests, NULL, NULL);
}
