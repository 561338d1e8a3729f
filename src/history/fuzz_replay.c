/* SPDX-License-Identifier: Apache-2.0 */
/* Stands in for libFuzzer: runs a target over the files of the folders named, and over each with bytes
 * changed, cut and moved (the same way every time). */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "history/fuzz.h"
#include "history/play.h"

enum { SIZE = 1 << 16, VARIANTS = 400 };

static void run_copy(const uint8_t *data, size_t size)
{
	/* Memory of just that size, so that a sanitizer sees every step too far. */
	uint8_t *copy = malloc(size + !size);
	memcpy(copy, data, size);
	LLVMFuzzerTestOneInput(copy, size);
	free(copy);
}

static void run_variants(const uint8_t *data, size_t size)
{
	static uint8_t changed[SIZE];
	for (uint64_t v = 0; v < VARIANTS && size; v++) {
		memcpy(changed, data, size);
		for (uint64_t k = 0; k <= v % 4; k++)
			changed[play_noise(v * 31 + k) % size] = (uint8_t)play_noise(v * 37 + k);
		run_copy(changed, v % 5 ? size : play_noise(v) % size);
	}
}

static int run_file(const char *folder, const char *name)
{
	static uint8_t data[SIZE];
	char path[1024];
	snprintf(path, sizeof path, "%s/%s", folder, name);
	FILE *f = fopen(path, "rb");
	if (!f)
		return 0;
	size_t size = fread(data, 1, sizeof data, f);
	fclose(f);
	run_copy(data, size);
	run_variants(data, size);
	return 1;
}

int main(int argc, char **argv)
{
	int n = 0;
	for (int i = 1; i < argc; i++) {
		DIR *d = opendir(argv[i]);
		for (struct dirent *e; d && (e = readdir(d));)
			if (*e->d_name != '.')
				n += run_file(argv[i], e->d_name);
		if (d)
			closedir(d);
	}
	printf("1..1\n%s 1 - %d inputs, %d variants each\n", n ? "ok" : "not ok", n, VARIANTS);
	return !n;
}
