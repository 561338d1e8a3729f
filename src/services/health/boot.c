/* SPDX-License-Identifier: Apache-2.0 */
/* This life's number. Were one ever used twice, a master would take what is new for what it has already: so it is on
 * disk before anybody hears of it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "os/clock.h"
#include "os/file.h"
#include "os/log.h"
#include "services/health/health.h"

static int64_t read_last(const char *path)
{
	long long last = 0;
	FILE *f = fopen(path, "re");
	if (f && fscanf(f, "%lld", &last) != 1)
		last = 0;
	if (f)
		fclose(f);
	return last < INT64_MAX ? last : 0;
}

static int64_t later(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

int64_t boot_next(const char *directory, int64_t after)
{
	char text[24], *path;
	if (asprintf(&path, "%s/boot", directory) < 0)
		return later(clock_wall_ns(), after + 1);
	int64_t boot = later(clock_wall_ns(), later(read_last(path), after) + 1);
	snprintf(text, sizeof text, "%lld\n", (long long)boot);
	int r = file_replace(path, text);
	if (r)
		log_event(LOG_WARNING, "boot", "%s: %s; were the clock set back, masters would refuse this node", path,
		    strerror(-r));
	free(path);
	return boot;
}
