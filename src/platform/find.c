/* SPDX-License-Identifier: Apache-2.0 */
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "platform/platform.h"

static const struct platform_type *const own[] = {&platform_direct};

/* What may stand in a file's name. */
static bool is_name(const char *name)
{
	size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-");
	return n && n <= 32 && !name[n];
}

static int check(const struct platform_type *type, const char *name, const char *file, struct buf *why)
{
	if (!type || strcmp(type->name, name)) {
		buf_putf(why, "%s is no platform's module", file);
		return -ELIBBAD;
	}
	if (strcmp(type->version, VIGIA_VERSION)) {
		buf_putf(why, "%s is of Vigia %s, this is %s", file, type->version, VIGIA_VERSION);
		return -ELIBBAD;
	}
	return 0;
}

/* A module that is no good goes again; one that is used has threads, and stays for good. */
static int load(const struct platform_type **ret, const char *name, const char *dir, struct buf *why)
{
	char file[PATH_MAX];
	if (snprintf(file, sizeof file, "%s/platform-%s.so", dir, name) >= (int)sizeof file)
		return -ENAMETOOLONG;
	if (access(file, F_OK)) {
		buf_putf(why, "no platform is named %s: there is no %s", name, file);
		return -ENOENT;
	}
	void *module = dlopen(file, RTLD_NOW | RTLD_LOCAL);
	if (!module) {
		buf_putf(why, "%s can't be loaded: %s", file, dlerror());
		return -ELIBACC;
	}
	const struct platform_type *type = dlsym(module, "platform_module");
	int r = check(type, name, file, why);
	if (r)
		dlclose(module);
	else
		*ret = type;
	return r;
}

int platform_find(const struct platform_type **ret, const char *name, const char *dir, struct buf *why)
{
	for (size_t i = 0; i < sizeof own / sizeof *own; i++)
		if (!strcmp(own[i]->name, name)) {
			*ret = own[i];
			return 0;
		}
	if (!is_name(name)) {
		buf_putf(why, "no platform is named %.40s", name);
		return -ENOENT;
	}
	return load(ret, name, dir, why);
}
