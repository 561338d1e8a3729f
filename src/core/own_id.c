/* SPDX-License-Identifier: Apache-2.0 */
#include "core/own_id.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "os/file.h"
#include "os/log.h"
#include "os/secret.h"

/* 0, -ENOENT or -EINVAL. */
static int read_id(const char *path, struct host_id *ret)
{
	char line[HOST_ID_TEXT + 2] = "";
	FILE *f = fopen(path, "re");
	if (!f)
		return -errno;
	bool any = fgets(line, sizeof line, f);
	fclose(f);
	line[strcspn(line, "\n")] = '\0';
	return any ? host_id_parse(line, ret) : -EINVAL;
}

static void put_aside(const char *path)
{
	char *aside;
	if (asprintf(&aside, "%s.bad", path) < 0)
		return;
	if (!rename(path, aside))
		log_event(LOG_ERR, "id", "%s is no id: kept as %s; this host is a new one to others", path, aside);
	free(aside);
}

static int draw(const char *path, struct host_id *ret)
{
	char text[SECRET_SIZE + 1];
	int r = secret_new(text);
	if (r)
		return r;
	host_id_parse(text, ret);
	strcat(text, "\n");
	r = file_replace(path, text);
	if (r)
		log_event(LOG_WARNING, "id", "%s: %s; after a restart this host is a new one to others", path, strerror(-r));
	return 0;
}

int own_id(const char *state_directory, struct host_id *ret)
{
	char *path;
	if (asprintf(&path, "%s/id", state_directory) < 0)
		return -ENOMEM;
	int r = read_id(path, ret);
	if (r && r != -ENOENT)
		put_aside(path);
	if (r)
		r = draw(path, ret);
	free(path);
	return r;
}
